"""Messages replace each other at their receiver: whatever is queued again, the newest draft is what stays there."""

from __future__ import annotations

from dicom_node import worklist
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Book, DeliveryState, Way
from reports import life
from reports.tables import Event
from tests.unit.agent.test_incoming import final
from tests.unit.agent.ward import Ward, now
from tests.unit.reports import films

NOTHING_THERE = "nothing-to-take-back"


def newer_message_failed_and_older_note_waits(ward: Ward) -> None:
    """RIS has the first draft; the second one was refused, so that the first is to be taken back."""
    ward.service("RIS", Way.MLLP)
    ward.study_with_draft()
    ward.deliver()
    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.2"))
    ward.draft()
    held = ward.must_take()
    ward.do(lambda tx: worklist.mark_failed(tx, held, error="refused", now=now()))
    assert ward.recaller.step() == 1


def requeue(ward: Ward) -> int:
    return ward.do(lambda tx: worklist.requeue_for(tx, "RIS", now(), actor="person:x"))


def test_a_newer_message_that_is_queued_again_goes_after_the_note_on_the_older_one(ward: Ward) -> None:
    newer_message_failed_and_older_note_waits(ward)
    assert requeue(ward) == 1

    sent = [(one.stage, ward.payload(one)) for one in ward.deliver()]

    assert [stage for stage, _ in sent] == [Stage.REJECTION, Stage.DRAFT]
    assert b"|D\r" in sent[0][1]
    assert [ward.revision(number).book for number in (1, 2)] == [Book.CLOSED, Book.DELIVERED]


def test_a_note_that_is_queued_again_after_the_newer_message_is_there_is_not_sent(ward: Ward) -> None:
    newer_message_failed_and_older_note_waits(ward)
    note = ward.must_take()
    assert note.stage is Stage.REJECTION
    ward.do(lambda tx: worklist.mark_failed(tx, note, error="refused", now=now()))
    study = ward.study()
    ward.do(lambda tx: worklist.requeue(tx, tx.get_one(type(study), study.id), now(), actor="person:x"))
    # the note is a dead letter again, and the message gets through
    held = ward.must_take()
    assert held.stage is Stage.REJECTION
    ward.do(lambda tx: worklist.mark_failed(tx, held, error="refused", now=now()))
    assert [one.stage for one in ward.deliver()] == [Stage.DRAFT]

    assert requeue(ward) == 1
    assert ward.deliver() == []

    (dropped,) = [one for one in ward.deliveries() if one.stage is Stage.REJECTION]
    assert (dropped.state, dropped.reason) == (DeliveryState.CANCELED, NOTHING_THERE)
    assert ward.revision(2).book is Book.DELIVERED


def test_the_note_on_the_newer_draft_itself_is_sent(ward: Ward) -> None:
    newer_message_failed_and_older_note_waits(ward)
    requeue(ward)
    ward.deliver()
    ward.hear(*final())
    ward.recaller.step()
    assert [(one.kind, one.stage) for one in ward.deliver()] == [(Kind.ORU, Stage.REJECTION)]


def test_for_a_patients_safety_the_older_one_is_taken_back_whatever_came_after(ward: Ward) -> None:
    """The newer message may be of another patient, and replace nothing; a draft less is the safe side."""
    ward.service("RIS", Way.MLLP)
    ward.study_with_draft()
    ward.deliver()
    study_id = ward.study().id
    ward.do(lambda tx: life.end_all(tx, study_id, Event.WITHDRAWN_FOR_SAFETY, now(), actor="person:x"))
    ward.recaller.step()
    note = ward.must_take()
    ward.do(lambda tx: worklist.mark_failed(tx, note, error="refused", now=now()))
    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.2"))
    ward.draft()
    assert [one.stage for one in ward.deliver()] == [Stage.DRAFT]

    assert requeue(ward) == 1
    assert [one.stage for one in ward.deliver()] == [Stage.WITHDRAWAL]
