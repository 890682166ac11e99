"""Stat before routine before backlog, and nobody starves."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from dicom_node import worklist
from dicom_node.rules.decision import BACKLOG, ROUTINE, STAT
from dicom_node.tables import Workitem, WorkitemState
from dicom_node.worklist.urgency import AGING, order_of_claims
from tests.unit.dicom_node.desk import LEASE, Desk, header

UNLUCKY, LUCKY = "0" * 32, "f" * 32


def wait(desk: Desk, number: int, priority: int) -> None:
    """One more study that waits to be read."""
    study = f"1.2.{number}"
    desk.receive(header(study=study, instance=f"{study}.1"))
    desk.complete()
    workitem = desk.workitem(study=study).id
    desk.do(lambda tx: setattr(tx.get_one(Workitem, workitem), "priority", priority))


def take(desk: Desk, *, token: str = UNLUCKY, urgent: bool = False, backlog: bool = True) -> int:
    """The number of the study that is claimed; 0 for none."""
    held = desk.do(
        lambda tx: worklist.claim(
            tx, worker="w", token=token, lease=LEASE, now=desk.now, urgent=urgent, backlog=backlog
        )
    )
    return int(held.study_instance_uid.rpartition(".")[2]) if held else 0


def test_stat_goes_before_routine_before_backlog(desk: Desk) -> None:
    for number, priority in enumerate((BACKLOG, ROUTINE, STAT, BACKLOG, ROUTINE, STAT), 1):
        wait(desk, number, priority)

    assert [take(desk) for _ in range(7)] == [3, 6, 2, 5, 1, 4, 0]


def test_backlog_that_has_waited_for_hours_goes_before_new_routine(desk: Desk) -> None:
    wait(desk, 1, BACKLOG)
    desk.wait(AGING.total_seconds() - 200)
    wait(desk, 2, ROUTINE)
    assert take(desk) == 2

    wait(desk, 3, ROUTINE)
    desk.wait(200)
    assert take(desk) == 1
    assert take(desk) == 3


def test_backlog_never_goes_before_stat(desk: Desk) -> None:
    wait(desk, 1, BACKLOG)
    desk.wait(10 * AGING.total_seconds())
    wait(desk, 2, STAT)

    assert [take(desk), take(desk)] == [2, 1]


def test_a_lucky_claim_takes_what_has_waited_longest_although_stat_waits(desk: Desk) -> None:
    for number, priority in enumerate((BACKLOG, ROUTINE, STAT, STAT), 1):
        wait(desk, number, priority)

    assert take(desk, token=LUCKY) == 1
    assert take(desk, token=LUCKY) == 2
    assert [take(desk, token=LUCKY), take(desk)] == [3, 4]


def test_endless_stat_studies_leave_others_their_share(desk: Desk) -> None:
    """Tokens as `secrets` makes them: each sixteenth ends in each digit."""
    wait(desk, 1, BACKLOG)
    for number in range(2, 20):
        wait(desk, number, STAT)
    taken = [take(desk, token=f"{number:032x}") for number in range(16)]

    assert 1 in taken
    assert taken.count(1) == 1
    assert len([number for number in taken if number > 1]) == 15


def test_outside_of_its_hours_no_backlog_is_read(desk: Desk) -> None:
    wait(desk, 1, BACKLOG)
    desk.wait(2 * AGING.total_seconds())

    assert take(desk, backlog=False) == 0
    assert take(desk, token=LUCKY, backlog=False) == 0
    assert take(desk) == 1


def test_who_asks_for_urgent_studies_gets_no_other(desk: Desk) -> None:
    wait(desk, 1, ROUTINE)
    assert take(desk, token=LUCKY, urgent=True) == 0
    wait(desk, 2, STAT)
    assert take(desk, urgent=True) == 2


@pytest.mark.parametrize("hours", [0, 9])
def test_pages_show_the_order_of_claims(desk: Desk, hours: int) -> None:
    for number, priority in enumerate((BACKLOG, ROUTINE, STAT, BACKLOG, ROUTINE), 1):
        wait(desk, number, priority)
    desk.wait(hours * 3600)
    wait(desk, 6, ROUTINE)
    waiting = select(Workitem).where(Workitem.state == WorkitemState.SCHEDULED)
    shown = desk.ask(lambda tx: [one.id for one in tx.scalars(waiting.order_by(*order_of_claims(desk.now)))])

    known = select(Workitem.id).where(Workitem.state == WorkitemState.IN_PROGRESS)
    claimed: list[int] = []
    while take(desk):
        claimed += [one for one in desk.ask(lambda tx: list(tx.scalars(known))) if one not in claimed]
    assert claimed == shown
