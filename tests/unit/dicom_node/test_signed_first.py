"""What a person has signed does not wait behind the drafts of a busy hour."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Book, Delivery, DeliveryState, Proof, Revision
from tests.unit.dicom_node.desk import KEY_OBJECT, Desk, header

DRAFTS = 4


@pytest.fixture
def busy(desk: Desk) -> Desk:
    """A desk with drafts that wait for a destination."""
    desk.peer()
    for number in range(DRAFTS):
        desk.draft(header(study=f"1.2.{number}", instance=f"1.2.{number}.1"))
        desk.wait(1)
    return desk


def become(desk: Desk, number: int, stage: Stage) -> None:
    """The draft of a study, by its place in the queue, is an object of another stage."""
    chosen = desk.deliveries()[number]
    desk.do(lambda tx: tx.execute(update(Delivery).where(Delivery.id == chosen.id).values(stage=stage)))


@pytest.mark.parametrize("stage", [Stage.SIGNED, Stage.COSIGNED, Stage.ADDENDUM])
def test_what_a_person_waits_for_overtakes_the_drafts_of_other_studies(busy: Desk, stage: Stage) -> None:
    become(busy, DRAFTS - 1, stage)
    first, second = busy.must_take(), busy.must_take()
    assert (first.stage, first.study_instance_uid) == (stage, f"1.2.{DRAFTS - 1}")
    assert second.study_instance_uid == "1.2.0", "the drafts lost their order"


def test_withdrawal_overtakes_the_drafts_of_other_studies(desk: Desk) -> None:
    desk.peer(proof=Proof.ACKNOWLEDGEMENT)
    desk.draft()
    desk.sent(desk.must_take())
    desk.draft(header(study="1.2.9", instance="1.2.9.1"))
    desk.wait(1)
    withdrawal = Delivery(
        revision_id=desk.revision().id,
        destination="PACS",
        kind=Kind.KOS,
        stage=Stage.WITHDRAWAL,
        sop_class_uid=KEY_OBJECT,
        sop_instance_uid="2.25.77",
        digest="0" * 64,
        state=DeliveryState.QUEUED,
        next_attempt_at=desk.now,
        queued_at=desk.now,
    )
    desk.do(lambda tx: tx.add(withdrawal))
    reopened = update(Revision).where(Revision.id == desk.revision().id).values(book=Book.IN_FLIGHT, closed_at=None)
    desk.do(lambda tx: tx.execute(reopened))
    assert [desk.must_take().stage for _ in range(2)] == [Stage.WITHDRAWAL, Stage.DRAFT]


def test_proof_of_what_was_signed_is_asked_for_before_drafts_are_sent(busy: Desk) -> None:
    become(busy, DRAFTS - 1, Stage.SIGNED)
    busy.sent(busy.must_take())
    assert busy.must_take().stage is Stage.SIGNED


def test_signed_report_that_must_wait_does_not_keep_the_drafts_waiting(busy: Desk) -> None:
    become(busy, DRAFTS - 1, Stage.SIGNED)
    busy.retry(busy.must_take(), wait=30)
    assert busy.must_take().stage is Stage.DRAFT
    busy.wait(31)
    assert busy.must_take().stage is Stage.SIGNED
