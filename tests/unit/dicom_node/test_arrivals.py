"""What comes through the door: duplicates, conflicts, strangers in a study, late images, our own objects."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dicom_node import books, worklist
from dicom_node.errors import LeaseLost, WrongState
from dicom_node.headers import Header
from dicom_node.tables import Book, DeliveryState, Outcome, Reception, StudyState, WorkitemState
from tests.unit.dicom_node.desk import DEVICE, KEY_OBJECT, SR, STUDY, Desk, header

LATE = header(instance="1.2.3.2")


def test_first_image_opens_the_study(desk: Desk) -> None:
    assert desk.receive() is Outcome.STORED
    study = desk.study()
    assert (study.state, study.revision, study.hold_reason) == (StudyState.RECEIVING, 1, "")
    assert desk.revision().book is Book.IN_FLIGHT


def test_same_bytes_again_are_a_duplicate_and_change_nothing(desk: Desk) -> None:
    desk.receive()
    desk.complete()
    assert desk.receive() is Outcome.DUPLICATE
    assert desk.study().state is StudyState.COMPLETE
    assert desk.study().revision == 1


def test_same_uid_with_other_bytes_is_kept_as_a_conflict_and_not_used(desk: Desk) -> None:
    desk.receive(content="first")
    assert desk.receive(content="second") is Outcome.CONFLICT
    assert desk.receive(content="second") is Outcome.DUPLICATE
    used = desk.ask(lambda tx: worklist.images_of(tx, 1))
    assert [instance.conflict for instance in used] == [False]
    assert "instance-conflict" in desk.events()


def test_conflict_does_not_reopen_a_complete_study(desk: Desk) -> None:
    desk.receive(content="first")
    desk.complete()
    desk.receive(content="second")
    assert (desk.study().state, desk.study().revision) == (StudyState.COMPLETE, 1)


@pytest.mark.parametrize("stranger", [header(instance="1.2.3.2", patient="P2"), header(instance="1.2.3.2", issuer="X")])
def test_second_patient_or_issuer_holds_the_study(desk: Desk, stranger: Header) -> None:
    desk.receive(header(issuer="Y"))
    desk.receive(stranger)
    desk.complete()
    assert desk.study().hold_reason == "two-patients"
    assert desk.claim() is None
    with pytest.raises(WrongState, match="two patients"):
        desk.confirm()


def test_second_patient_takes_a_running_claim_away(desk: Desk) -> None:
    desk.receive()
    desk.complete()
    held = desk.must_claim()
    desk.receive(header(instance="1.2.3.2", patient="P2"))
    with pytest.raises(LeaseLost):
        desk.finish(held)


def test_object_of_a_second_patient_that_is_no_image_holds_the_study_too(desk: Desk) -> None:
    desk.receive()
    desk.complete()
    held = desk.must_claim()
    desk.receive(header(instance="1.2.3.2", patient="P2", sop_class=KEY_OBJECT))
    with pytest.raises(LeaseLost):
        desk.finish(held)
    assert desk.workitem().hold_reason == "two-patients"


def test_second_patient_stops_a_queued_draft(desk: Desk) -> None:
    desk.peer()
    desk.draft()
    desk.receive(header(instance="1.2.3.2", patient="P2", sop_class=KEY_OBJECT))
    assert [delivery.state for delivery in desk.deliveries()] == [DeliveryState.CANCELED]
    assert (desk.revision().book, desk.revision().reason) == (Book.DEAD_LETTERED, "two-patients")
    assert desk.take() is None


@pytest.mark.parametrize("first_goes_as_far_as", ["SENT", "COMMITTED"])
def test_second_patient_with_one_destination_served_leaves_the_books_balanced(
    desk: Desk, first_goes_as_far_as: str
) -> None:
    desk.peer("ONE")
    desk.peer("TWO")
    desk.draft(destinations=("ONE", "TWO"))
    first = desk.must_take()
    desk.sent(first)
    if first_goes_as_far_as == "COMMITTED":
        desk.proven(desk.must_take())
    desk.receive(header(instance="1.2.3.2", patient="P2", sop_class=KEY_OBJECT))
    assert desk.problems() == ()
    if first_goes_as_far_as == "SENT":  # what is out is still proven, although nothing else may leave
        desk.proven(desk.must_take())
    assert desk.take() is None
    assert (desk.revision().book, desk.revision().reason) == (Book.DEAD_LETTERED, "two-patients")


def test_study_without_patient_id_is_held(desk: Desk) -> None:
    desk.receive(header(patient=""))
    desk.complete()
    assert desk.workitem().hold_reason == "no-patient-id"
    assert desk.claim() is None


def test_late_image_opens_the_next_revision_and_calls_off_the_waiting_work(desk: Desk) -> None:
    desk.receive()
    desk.complete()
    assert desk.receive(LATE) is Outcome.STORED
    assert (desk.study().state, desk.study().revision) == (StudyState.RECEIVING, 2)
    assert desk.workitem(1).state is WorkitemState.CANCELED
    assert (desk.revision(1).book, desk.revision(1).reason) == (Book.CLOSED, "superseded")
    desk.complete()
    assert desk.must_claim().revision == 2


def test_late_image_revokes_a_running_claim(desk: Desk) -> None:
    desk.receive()
    desk.complete()
    held = desk.must_claim()
    desk.receive(LATE)
    with pytest.raises(LeaseLost):
        desk.renew(held)
    with pytest.raises(LeaseLost):
        desk.finish(held)
    assert desk.deliveries() == []


def test_late_image_cancels_a_queued_draft(desk: Desk) -> None:
    desk.peer()
    desk.draft()
    desk.receive(LATE)
    assert [delivery.state for delivery in desk.deliveries()] == [DeliveryState.CANCELED]
    assert desk.take() is None


def test_late_image_after_delivery_leaves_the_old_revision_delivered(desk: Desk) -> None:
    desk.peer()
    desk.draft()
    desk.sent(desk.must_take())
    desk.proven(desk.must_take())
    desk.receive(LATE)
    assert desk.revision(1).book is Book.DELIVERED
    assert desk.revision(2).book is Book.IN_FLIGHT


@pytest.mark.parametrize("first_goes_as_far_as", ["SENT", "COMMITTED"])
def test_late_image_with_one_destination_served_leaves_the_books_balanced(
    desk: Desk, first_goes_as_far_as: str
) -> None:
    desk.peer("ONE")
    desk.peer("TWO")
    desk.draft(destinations=("ONE", "TWO"))
    desk.sent(desk.must_take())
    if first_goes_as_far_as == "COMMITTED":
        desk.proven(desk.must_take())
    desk.receive(LATE)
    assert desk.problems() == ()
    if first_goes_as_far_as == "SENT":
        desk.proven(desk.must_take())
    assert (desk.revision(1).book, desk.revision(1).reason) == (Book.CLOSED, "superseded")


def test_object_that_is_no_image_never_reopens(desk: Desk) -> None:
    desk.receive()
    desk.complete()
    assert desk.receive(header(instance="1.2.3.5", sop_class=KEY_OBJECT)) is Outcome.STORED
    assert (desk.study().state, desk.study().revision) == (StudyState.COMPLETE, 1)
    assert desk.workitem().state is WorkitemState.SCHEDULED


def test_object_that_is_no_image_does_not_keep_a_study_open(desk: Desk) -> None:
    desk.receive()
    before = desk.study().last_received_at
    desk.wait(30)
    desk.receive(header(instance="1.2.3.5", sop_class=KEY_OBJECT))
    assert desk.study().last_received_at == before


@pytest.mark.parametrize("revealed_by", ["instance", "device"])
def test_our_own_object_that_comes_back_changes_nothing(desk: Desk, revealed_by: str) -> None:
    desk.peer()
    (uid,) = desk.draft()
    own = (
        header(instance=uid, sop_class=SR)
        if revealed_by == "instance"
        else header(instance="1.2.3.77", sop_class=SR, device=DEVICE)
    )
    events = desk.events()
    for _ in range(3):
        assert desk.receive(own) is Outcome.DUPLICATE
    assert (desk.study().state, desk.study().revision) == (StudyState.COMPLETE, 1)
    assert desk.events() == events
    reasons = desk.ask(lambda tx: [row.reason for row in tx.query(Reception).order_by(Reception.id)])
    assert reasons == ["", "own-object", "own-object", "own-object"]


def test_quarantined_object_is_booked(desk: Desk) -> None:
    desk.do(
        lambda tx: worklist.record_quarantine(
            tx,
            desk.now,
            calling_ae_title="PACS",
            reason="dataset-mismatch",
            digest="0" * 64,
            sop_class_uid="1" * 80,
            sop_instance_uid="2" * 80,
        )
    )
    assert "object-quarantined" in desk.events()
    (row,) = desk.ask(lambda tx: tx.query(Reception).all())
    assert (row.outcome, len(row.sop_class_uid)) == (Outcome.QUARANTINED, 64)


def test_study_is_complete_after_quiet_or_at_the_deadline(desk: Desk) -> None:
    desk.receive()
    for number in range(2, 20):  # an image every 50 s keeps it open until 900 s have passed
        desk.wait(50)
        before = desk.study().state
        desk.do(
            lambda tx: worklist.complete_studies(
                tx, desk.now, quiet=timedelta(seconds=60), deadline=timedelta(seconds=900)
            )
        )
        if desk.study().state is StudyState.COMPLETE:
            break
        assert before is StudyState.RECEIVING
        desk.receive(header(instance=f"1.2.3.{number}"))
    assert number == 19
    assert desk.study(STUDY).state is StudyState.COMPLETE


OTHER_STUDY = "1.2.826.0.1.3680043.10.1.2"


@pytest.mark.parametrize("corrected", [header(patient="P2"), header(issuer="X")])
def test_corrected_patient_under_the_same_uid_holds_the_study(desk: Desk, corrected: Header) -> None:
    desk.peer()
    desk.draft(header(issuer="Y"))
    assert desk.receive(corrected, content="corrected") is Outcome.CONFLICT
    assert desk.study().hold_reason == "two-patients"
    assert desk.take() is None
    assert desk.revision().book is Book.DEAD_LETTERED


def test_same_uid_in_another_study_opens_that_and_holds_both(desk: Desk) -> None:
    desk.peer()
    desk.draft()
    moved = header(study=OTHER_STUDY)
    assert desk.receive(moved, content="moved") is Outcome.CONFLICT
    desk.complete()
    for uid in (STUDY, OTHER_STUDY):
        assert desk.study(uid).hold_reason == "instance-in-two-studies"
    assert desk.take() is None
    assert desk.claim() is None
    assert desk.revision(study=OTHER_STUDY).book is Book.IN_FLIGHT


def test_same_patient_under_the_same_uid_holds_nothing_and_is_counted(desk: Desk) -> None:
    desk.receive()
    assert desk.ask(books.backlog).conflicts == 0
    desk.receive(content="other")
    desk.receive(content="yet another")
    assert desk.study().hold_reason == ""
    assert desk.ask(books.backlog).conflicts == 1
    assert desk.ask(books.balance).conflicts == 1
    desk.set_aside()
    assert desk.ask(books.backlog).conflicts == 0
