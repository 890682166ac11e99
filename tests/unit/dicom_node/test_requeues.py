"""What was taken back is never sent again: not by itself, and not by a person who requeues dead letters."""

from __future__ import annotations

from sqlalchemy.orm import Session

from dicom_node import peers, worklist
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Book, DeliveryState, Mode
from dicom_node.worklist import Consignment, Ending, Outgoing
from dicom_node.worklist.moves import call_back
from tests.unit.dicom_node.desk import DEVICE, KEY_OBJECT, SR, Desk


def two_destinations(desk: Desk) -> Consignment:
    """A draft that ONE has and that TWO answered with success but does not find yet."""
    desk.peer("ONE")
    desk.peer("TWO")
    desk.draft(destinations=("ONE", "TWO"))
    for held in (desk.must_take(), desk.must_take()):
        desk.sent(held)
    asked = {held.destination: held for held in (desk.must_take(), desk.must_take())}
    desk.proven(asked["ONE"])
    return asked["TWO"]


def end_report(desk: Desk, destinations: tuple[str, ...] = (), stage: Stage = Stage.REJECTION) -> None:
    """The report ends as `reports` ends it, and these destinations are told."""

    def change(tx: Session) -> None:
        revision = worklist.current_revision(tx, desk._study(tx))
        call_back(tx, revision, Ending(Book.CLOSED, "final-elsewhere", "made elsewhere"), desk.now, actor="p")
        notes = [Outgoing(name, Kind.KOS, stage, KEY_OBJECT, "2.25.88", DEVICE, "f" * 64) for name in destinations]
        worklist.enqueue(tx, revision, notes, desk.now, actor="p")

    desk.do(change)


def requeue_for(desk: Desk, destination: str) -> int:
    return desk.do(lambda tx: worklist.requeue_for(tx, destination, desk.now, actor="p"))


def said(desk: Desk) -> list[tuple[str, Stage, DeliveryState, str]]:
    return [(one.destination, one.stage, one.state, one.reason) for one in desk.deliveries()]


def test_draft_that_was_taken_back_is_not_sent_again_whatever_became_of_the_note_elsewhere(desk: Desk) -> None:
    asked = two_destinations(desk)
    end_report(desk, ("ONE", "TWO"))
    for _ in range(2):
        note = desk.must_take()
        (desk.failed if note.destination == "ONE" else desk.sent)(note)
    desk.proven(desk.must_take())
    assert desk.revision().book is Book.DEAD_LETTERED
    desk.missing(asked)
    desk.wait(1e5)
    assert desk.take() is None, "the draft followed its own withdrawal"
    assert said(desk)[1] == ("TWO", Stage.DRAFT, DeliveryState.CANCELED, "called-off")
    assert desk.problems() == ()


def test_draft_that_was_called_off_is_not_sent_again_where_nobody_can_be_told(desk: Desk) -> None:
    asked = two_destinations(desk)
    end_report(desk, ("ONE",))
    desk.failed(desk.must_take())
    desk.missing(asked)
    desk.wait(1e5)
    assert desk.take() is None
    assert said(desk)[1] == ("TWO", Stage.DRAFT, DeliveryState.CANCELED, "called-off")


def test_requeued_note_does_not_make_the_draft_wanted_again(desk: Desk) -> None:
    asked = two_destinations(desk)
    end_report(desk, ("ONE",))
    desk.failed(desk.must_take())
    assert requeue_for(desk, "ONE") == 1
    assert desk.revision().reason == ""
    desk.missing(asked)
    desk.sent(desk.must_take())
    desk.proven(desk.must_take())
    desk.wait(1e5)
    assert desk.take() is None
    assert (desk.revision().book, desk.revision().reason) == (Book.CLOSED, "taken-back")


def test_draft_that_was_called_off_and_never_found_is_no_dead_letter(desk: Desk) -> None:
    desk.peer()
    desk.draft()
    for wait in worklist.deliveries.RESEND_SECONDS:
        desk.sent(desk.must_take())
        desk.missing(desk.must_take())
        desk.wait(wait)
    desk.sent(desk.must_take())
    end_report(desk)
    desk.missing(desk.must_take())
    assert said(desk) == [("PACS", Stage.DRAFT, DeliveryState.CANCELED, "called-off")]
    assert (desk.revision().book, desk.revision().reason) == (Book.CLOSED, "final-elsewhere")


def withdrawn_but_may_be_there(desk: Desk) -> None:
    """Nobody answered the draft; it was withdrawn, its note was taken, and the peer does not say what it has."""
    desk.peer()
    desk.draft()
    desk.retry(desk.must_take(), in_doubt=True)
    end_report(desk, ("PACS",), Stage.WITHDRAWAL)
    desk.sent(desk.must_take())  # the note: first, since a person waits for it
    desk.proven(desk.must_take())
    desk.failed(desk.must_take(), error="it cannot be asked")
    assert said(desk)[0] == ("PACS", Stage.DRAFT, DeliveryState.FAILED, "may-be-there")


def test_requeued_draft_that_was_withdrawn_is_asked_for_and_not_sent(desk: Desk) -> None:
    withdrawn_but_may_be_there(desk)
    assert requeue_for(desk, "PACS") == 1
    asked = desk.must_take()
    assert (asked.state, asked.called_off) == (DeliveryState.SENT, True)
    desk.missing(asked)
    desk.wait(1e5)
    assert desk.take() is None
    assert said(desk)[0] == ("PACS", Stage.DRAFT, DeliveryState.CANCELED, "called-off")
    assert (desk.revision().book, desk.problems()) == (Book.CLOSED, ())


def test_requeued_draft_that_cannot_be_asked_for_is_a_dead_letter_again(desk: Desk) -> None:
    withdrawn_but_may_be_there(desk)
    assert desk.requeue() == "1 delivery queued again"
    desk.failed(desk.must_take(), error="it cannot be asked")
    assert said(desk)[0] == ("PACS", Stage.DRAFT, DeliveryState.FAILED, "may-be-there")
    assert desk.revision().book is Book.DEAD_LETTERED


def test_requeued_draft_that_a_person_excluded_is_asked_for(desk: Desk) -> None:
    desk.peer()
    desk.draft()
    desk.retry(desk.must_take(), in_doubt=True)
    desk.set_aside()
    desk.failed(desk.must_take(), error="it cannot be asked")
    requeue_for(desk, "PACS")
    assert desk.must_take().state is DeliveryState.SENT


def test_draft_that_is_queued_in_spite_of_its_note_is_not_sent(desk: Desk) -> None:
    desk.peer()
    desk.draft()

    def take_back(tx: Session) -> None:
        note = Outgoing("PACS", Kind.KOS, Stage.WITHDRAWAL, KEY_OBJECT, "2.25.88", DEVICE, "f" * 64)
        worklist.enqueue(tx, worklist.current_revision(tx, desk._study(tx)), [note], desk.now, actor="p")

    desk.do(take_back)
    assert desk.take() is None
    assert desk.take() is None
    assert [(state, reason) for _, _, state, reason in said(desk)] == [
        (DeliveryState.CANCELED, "called-off"),
        (DeliveryState.CANCELED, "nothing-to-take-back"),
    ]


def test_note_where_the_draft_turned_out_missing_is_no_dead_letter(desk: Desk) -> None:
    asked = two_destinations(desk)
    end_report(desk, ("ONE", "TWO"))
    desk.missing(asked)
    note = desk.must_take()
    assert note.destination == "ONE"
    assert desk.take() is None
    desk.sent(note)
    desk.proven(desk.must_take())
    assert said(desk)[3] == ("TWO", Stage.REJECTION, DeliveryState.CANCELED, "nothing-to-take-back")
    assert (desk.revision().book, desk.problems()) == (Book.CLOSED, ())
    assert "delivery-failed" not in desk.events()


def test_signed_report_is_taken_back_where_no_draft_came(desk: Desk) -> None:
    desk.peer()
    desk.receive()
    desk.complete()
    desk.finish(desk.must_claim(), stage=Stage.SIGNED)
    desk.do(lambda tx: peers.edit(tx, "PACS", now=desk.now, actor="p", mode=Mode.HOLD))
    held = desk.must_take()
    assert held.sop_class_uid == SR
    desk.sent(held)
    desk.proven(desk.must_take())
    end_report(desk, ("PACS",))
    assert desk.must_take().stage is Stage.REJECTION
