"""What people do to a report while a sender has one of its deliveries, on PostgreSQL: SQLite takes writers in turns."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from dicom_node.kinds import Stage
from dicom_node.worklist import Consignment
from dicom_node.worklist.deliveries import own_delivery
from dicom_node.worklist.moves import settle
from reports.signoff import scene as scenes
from reports.signoff import service as signing
from reports.signoff.reasons import Reason
from reports.signoff.scene import Scene
from reports.signoff.service import SignOff
from reports.tables import ReportState
from tests.harness.node import wait_until
from tests.unit.agent.desk_of_readers import CARL, EDITED, RITA, predecessor, ready, service, sign
from tests.unit.agent.ward import Ward, now

pytestmark = pytest.mark.parametrize(
    "database", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)


def somebody_waits(ward: Ward) -> bool:
    """Is a transaction of this database waiting for a row of another one?"""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(ward.ask(lambda tx: tx.scalar(waiting)))


def beside_a_sender(ward: Ward, held: Consignment, act: Callable[[SignOff], object]) -> None:
    """Act while a sender, which has locked its delivery, is about to settle the books."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            act(service(ward))
        except BaseException as error:  # noqa: BLE001  shown by the assertion
            failures.append(error)

    person = threading.Thread(target=run)
    with ward.database.write() as tx:
        delivery = own_delivery(tx, held)
        person.start()
        wait_until(lambda: somebody_waits(ward), "the person waits for the sender")
        settle(tx, delivery.revision, now(), actor="send")
    person.join(60)
    assert (person.is_alive(), failures) == (False, [])


def test_a_rejection_and_a_sender_do_not_wait_for_each_other(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    report_id = ward.report().id
    beside_a_sender(ward, ward.must_take(), lambda desk: desk.reject(report_id, RITA, Reason.QUALITY, "", now()))
    assert ward.report().state is ReportState.REJECTED


def test_a_withdrawal_and_a_sender_do_not_wait_for_each_other(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    study_id = sign(ward).study_id
    beside_a_sender(ward, ward.must_take(), lambda desk: desk.withdraw(study_id, CARL, "Wrong.", now()))
    assert ward.report().state is ReportState.WITHDRAWN


def test_a_sender_cannot_take_the_draft_once_the_signature_has_looked_at_it(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the PACS gets both, and nothing says that one replaces the other."""
    ward.peer("PACS")
    ward.study_with_draft()
    opened = ready(ward)
    look, looks = scenes.look, [0]
    taken: list[Consignment | None] = []
    sender = threading.Thread(target=lambda: taken.append(ward.take()))

    def slowly(tx: Session, report_id: int) -> Scene:
        scene = look(tx, report_id)
        looks[0] += 1
        if looks[0] == 2:  # the one before the commit
            sender.start()
            wait_until(lambda: somebody_waits(ward) or not sender.is_alive(), "the sender has the draft, or waits")
        return scene

    monkeypatch.setattr(signing, "look", slowly)
    service(ward).sign(opened.report_id, RITA, EDITED, opened.version, now())
    sender.join(60)

    assert taken == [None]
    (sent,) = ward.deliver()
    assert (sent.stage, predecessor(ward.document(sent))) == (Stage.SIGNED, None)
