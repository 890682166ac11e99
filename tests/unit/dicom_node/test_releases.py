"""A person ends a hold: only where what came last agrees on one patient, and never for a study that others use."""

from __future__ import annotations

import pytest

from dicom_node import books, worklist
from dicom_node.errors import WrongState
from dicom_node.tables import Book, Instance, Outcome, Role
from tests.unit.dicom_node.desk import KEY_OBJECT, STUDY, Desk, header

OTHER_STUDY = "1.2.826.0.1.3680043.10.1.2"


def used(desk: Desk, study: str = STUDY) -> list[tuple[str, str]]:
    """Patient and SOP Instance UID of the images that are read."""
    number = desk.study(study).id
    return desk.ask(lambda tx: [(one.patient_id, one.sop_instance_uid) for one in worklist.images_of(tx, number)])


def test_corrected_patient_under_the_same_uid_is_read_once_released(desk: Desk) -> None:
    desk.peer()
    desk.draft(header(patient="P1"))
    desk.receive(header(patient="P2", issuer="X"), content="corrected")
    assert desk.release() == "released; revision 2 scheduled"
    assert used(desk) == [("P2", "1.2.3.1")]
    held = desk.must_claim()
    assert (held.patient_id, held.issuer_of_patient_id, held.revision) == ("P2", "X", 2)
    desk.finish(held)
    assert desk.must_take().patient_id == "P2"
    assert desk.ask(books.backlog).conflicts == 0
    assert "study-released" in desk.events()


def test_study_without_patient_id_is_read_once_corrected_and_released(desk: Desk) -> None:
    desk.receive(header(patient=""))
    desk.complete()
    desk.receive(header(patient="P1"), content="corrected")
    assert desk.study().hold_reason == "no-patient-id", "the first bytes are used until a person has decided"
    desk.release()
    assert (desk.study().hold_reason, desk.must_claim().patient_id) == ("", "P1")


def test_images_without_patient_id_are_set_aside_for_corrected_ones_with_new_uids(desk: Desk) -> None:
    desk.receive(header(patient=""))
    desk.receive(header(patient="P1", instance="1.2.3.2"))
    assert desk.study().hold_reason == "no-patient-id"
    assert desk.release() == "released; it is read when no more images come"
    assert used(desk) == [("P1", "1.2.3.2")]
    roles = desk.ask(lambda tx: [one.role for one in tx.query(Instance).order_by(Instance.id)])
    assert roles == [Role.SET_ASIDE, Role.IMAGE]
    desk.complete()
    assert desk.must_claim().patient_id == "P1"


def test_object_that_is_no_image_without_patient_id_does_not_hold_identified_images(desk: Desk) -> None:
    desk.receive(header(patient="", sop_class=KEY_OBJECT, instance="1.2.3.5"))
    desk.receive(header(patient="P1"))
    desk.complete()
    assert desk.must_claim().patient_id == "P1"


@pytest.mark.parametrize(("first", "second"), [("", "X"), ("X", "")])
def test_absent_issuer_agrees_with_any_and_the_images_name_it(desk: Desk, first: str, second: str) -> None:
    desk.receive(header(issuer=first, sop_class=KEY_OBJECT, instance="1.2.3.5"))
    desk.receive(header(issuer=second))
    assert (desk.study().hold_reason, desk.study().issuer_of_patient_id) == ("", second)
    third = header(issuer="Y", sop_class=KEY_OBJECT, instance="1.2.3.6")
    desk.receive(third)
    assert desk.study().hold_reason == "two-patients"


@pytest.mark.parametrize(
    ("patients", "why"), [(["P1", "P2"], "differ in Patient ID"), ([""], "no image of the study has a Patient ID")]
)
def test_study_whose_newest_images_disagree_is_not_released(desk: Desk, patients: list[str], why: str) -> None:
    for number, patient in enumerate(patients, 1):
        desk.receive(header(patient=patient, instance=f"1.2.3.{number}"))
    with pytest.raises(WrongState, match=why):
        desk.release()
    assert desk.study().hold_reason != ""


def test_study_that_is_not_held_has_nothing_to_release(desk: Desk) -> None:
    desk.receive()
    with pytest.raises(WrongState, match="not held"):
        desk.release()


def test_object_in_two_studies_is_read_in_the_one_that_is_released(desk: Desk) -> None:
    desk.receive()
    assert desk.receive(header(study=OTHER_STUDY), content="moved") is Outcome.CONFLICT
    desk.complete()
    desk.release(OTHER_STUDY)
    assert (used(desk), used(desk, OTHER_STUDY)) == ([], [("P1", "1.2.3.1")])
    assert desk.must_claim().study_instance_uid == OTHER_STUDY
    assert desk.claim() is None
    with pytest.raises(WrongState, match="in use in study #2"):
        desk.release()
    desk.set_aside()
    assert desk.revision().book is Book.EXCLUDED


@pytest.mark.parametrize("goes_as_far_as", ["QUEUED", "SENT"])
def test_release_while_the_old_draft_is_on_its_way_leaves_the_books_balanced(desk: Desk, goes_as_far_as: str) -> None:
    desk.peer()
    desk.draft()
    if goes_as_far_as == "SENT":
        desk.sent(desk.must_take())
    desk.receive(header(patient="P2"), content="corrected")
    desk.release()
    assert desk.problems() == ()
    if goes_as_far_as == "SENT":
        desk.proven(desk.must_take())
        assert desk.revision(1).book is Book.DELIVERED


def test_newer_bytes_of_the_same_patient_can_be_released_without_a_hold(desk: Desk) -> None:
    desk.peer()
    desk.draft()
    desk.receive(content="newer")
    desk.release()
    assert desk.must_claim().revision == 2
    assert desk.ask(books.backlog).conflicts == 0
