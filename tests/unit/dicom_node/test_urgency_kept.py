"""A study that a person has read anew stays as urgent as its header or a rule made it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from dicom_node import worklist
from dicom_node.rules.decision import Decision
from tests.unit.dicom_node.desk import Desk, header


def decided_as(desk: Desk, priority: str) -> None:
    """As dispatch does it without rules: the headers are asked, then the reading is free."""

    def complete(tx: Session) -> None:
        worklist.complete_studies(tx, desk.now, quiet=timedelta(), deadline=timedelta(), ask=True)
        for one in worklist.undecided(tx, limit=10):
            worklist.decided(tx, one.revision_id, Decision(priority=priority, priority_from="header"), desk.now)

    desk.do(complete)


@pytest.mark.parametrize(("priority", "rank"), [("stat", 0), ("routine", 5), ("backlog", 5)])
def test_requeue_keeps_stat_and_lets_nobody_wait_for_the_night(desk: Desk, priority: str, rank: int) -> None:
    desk.receive()
    decided_as(desk, priority)
    desk.fail(desk.must_claim(), attempts=1)
    desk.requeue()
    assert desk.workitem(2).priority == rank
    desk.fail(desk.must_claim(), attempts=1)
    desk.requeue()
    assert desk.workitem(3).priority == rank


def test_release_keeps_stat(desk: Desk) -> None:
    desk.peer()
    desk.receive(header(patient="P1"))
    decided_as(desk, "stat")
    desk.finish(desk.must_claim())
    desk.receive(header(patient="P2"), content="corrected")
    desk.release()
    assert desk.workitem(2).priority == 0


def test_overruling_an_exclusion_keeps_stat(desk: Desk) -> None:
    desk.receive()
    decided_as(desk, "stat")
    claim = desk.must_claim()
    desk.do(lambda tx: worklist.exclude(tx, claim, reason="lateral", explanation="it is a lateral", now=desk.now))
    desk.do(lambda tx: worklist.overrule(tx, desk._study(tx), "lateral", desk.now, actor="person:a"))
    assert desk.workitem(2).priority == 0


def test_what_is_asked_anew_is_as_urgent_as_the_answer(desk: Desk) -> None:
    desk.receive()
    decided_as(desk, "stat")
    desk.fail(desk.must_claim(), attempts=1)
    desk.do(lambda tx: worklist.reprocess(tx, desk._study(tx), desk.now, actor="person:a"))
    decided_as(desk, "routine")
    assert desk.workitem(2).priority == 5
