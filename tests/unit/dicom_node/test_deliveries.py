"""One object on its way: in order, leased, proven, sent again, or a dead letter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dicom_node import peers, worklist
from dicom_node.errors import LeaseLost, WrongState
from dicom_node.headers import Header
from dicom_node.tables import Book, DeliveryState, Mode, Proof
from tests.unit.dicom_node.desk import KEY_OBJECT, LEASE, Desk, header


@pytest.fixture
def queued(desk: Desk) -> Desk:
    """A desk with one draft for one destination."""
    desk.peer()
    desk.draft()
    return desk


def states(desk: Desk) -> list[str]:
    return [delivery.state.value for delivery in desk.deliveries()]


def test_success_alone_is_not_delivered_where_proof_is_asked(queued: Desk) -> None:
    held = queued.must_take()
    assert (held.state, held.attempt, held.host, held.port) == (DeliveryState.QUEUED, 1, "127.0.0.1", 104)
    queued.sent(held)
    assert states(queued) == ["SENT"]
    assert queued.revision().book is Book.IN_FLIGHT
    queued.proven(queued.must_take())
    assert states(queued) == ["COMMITTED"]
    assert (queued.deliveries()[0].proven_by, queued.revision().book) == ("query", Book.DELIVERED)


def test_success_is_the_proof_where_that_is_agreed(desk: Desk) -> None:
    desk.peer(proof=Proof.ACKNOWLEDGEMENT)
    desk.draft()
    desk.sent(desk.must_take())
    assert states(desk) == ["COMMITTED"]
    assert (desk.deliveries()[0].proven_by, desk.revision().book) == ("acknowledgement", Book.DELIVERED)


def test_one_sender_at_a_time_until_the_lease_ends(queued: Desk) -> None:
    first = queued.must_take()
    assert queued.take() is None
    queued.wait(LEASE.total_seconds() + 1)
    second = queued.must_take()
    assert second.attempt == 2
    for deed in (queued.sent, queued.retry, queued.failed):
        with pytest.raises(LeaseLost):
            deed(first)
    queued.sent(second)


def test_delivery_of_a_dead_neighbor_is_free_at_once(queued: Desk) -> None:
    queued.must_take()
    assert queued.take_back(dead=["s1"]) == 1
    assert queued.must_take().attempt == 2


def test_retry_waits_as_told(queued: Desk) -> None:
    queued.retry(queued.must_take(), wait=30)
    queued.wait(29)
    assert queued.take() is None
    queued.wait(1)
    assert queued.must_take().attempt == 2
    assert queued.deliveries()[0].last_error == "busy"


def test_missing_object_is_sent_again(queued: Desk) -> None:
    queued.sent(queued.must_take())
    queued.missing(queued.must_take())
    assert states(queued) == ["QUEUED"]
    assert queued.revision().book is Book.IN_FLIGHT
    queued.wait(30)
    again = queued.must_take()
    assert (again.state, again.attempt) == (DeliveryState.QUEUED, 1)


def test_dead_letter_waits_for_a_person(queued: Desk) -> None:
    queued.failed(queued.must_take(), error="it refuses Basic Text SR")
    revision = queued.revision()
    assert (revision.book, revision.reason) == (Book.DEAD_LETTERED, "undeliverable")
    assert revision.explanation == "PACS: it refuses Basic Text SR"
    queued.wait(1e6)
    assert queued.take() is None


def test_proof_that_never_comes_can_be_given_up(queued: Desk) -> None:
    queued.sent(queued.must_take())
    queued.failed(queued.must_take())
    assert queued.revision().book is Book.DEAD_LETTERED


def test_each_destination_is_on_its_own(desk: Desk) -> None:
    desk.peer("ONE", proof=Proof.ACKNOWLEDGEMENT)
    desk.peer("TWO", proof=Proof.ACKNOWLEDGEMENT)
    desk.draft(destinations=("ONE", "TWO"))
    one, two = desk.must_take(), desk.must_take()
    assert {one.destination, two.destination} == {"ONE", "TWO"}
    desk.failed(one)
    assert desk.revision().book is Book.DEAD_LETTERED
    desk.sent(two)
    assert desk.revision().book is Book.DEAD_LETTERED
    desk.requeue()
    desk.sent(desk.must_take())
    assert desk.revision().book is Book.DELIVERED


def test_order_is_kept_per_study_and_destination(desk: Desk) -> None:
    desk.peer("ONE")
    desk.peer("TWO")
    desk.receive()
    desk.complete()
    desk.finish(desk.must_claim(), ("ONE", "TWO"), kinds=("draft", "key-object"))
    taken = [desk.must_take(), desk.must_take()]
    assert [held.destination for held in taken] == ["ONE", "TWO"]
    assert desk.take() is None, "the second object overtook the first"
    desk.retry(taken[0], wait=30)
    assert desk.take() is None, "the second object overtook the first, which waits"
    desk.sent(taken[1])
    second = desk.must_take()
    assert second.destination == "TWO"


def test_trouble_with_one_study_does_not_stop_another(queued: Desk) -> None:
    queued.retry(queued.must_take(), wait=1e6)
    queued.draft(header(study="1.2.9", instance="1.2.9.1"))
    assert queued.must_take().study_instance_uid == "1.2.9"


def test_pause_stops_deliveries(queued: Desk) -> None:
    queued.do(lambda tx: worklist.switch(tx, "pause-send", on=True, now=queued.now, actor="p"))
    assert queued.take() is None
    queued.do(lambda tx: worklist.switch(tx, "pause-send", on=False, now=queued.now, actor="p"))
    assert queued.must_take()


def test_delivered_study_can_be_read_anew_and_the_old_draft_stays_delivered(queued: Desk) -> None:
    queued.sent(queued.must_take())
    queued.proven(queued.must_take())
    assert "revision 2" in queued.requeue()
    assert queued.revision(1).book is Book.DELIVERED
    with pytest.raises(WrongState):
        queued.requeue()


LATE = header(instance="1.2.3.2")
STRANGER = header(instance="1.2.3.2", patient="P2", sop_class=KEY_OBJECT)


def test_what_was_on_the_wire_when_a_late_image_came_is_booked_as_delivered(queued: Desk) -> None:
    held = queued.must_take()
    queued.receive(LATE)
    assert (states(queued), queued.revision(1).book) == (["CANCELED"], Book.CLOSED)
    queued.sent(held)
    assert (states(queued), queued.revision(1).book) == (["SENT"], Book.IN_FLIGHT)
    assert queued.problems() == ()
    queued.proven(queued.must_take())
    assert (queued.revision(1).book, queued.revision(2).book) == (Book.DELIVERED, Book.IN_FLIGHT)


@pytest.mark.parametrize("proof", list(Proof))
@pytest.mark.parametrize("answered", ["before", "after"])
def test_what_was_on_the_wire_when_a_second_patient_came_ends_as_a_dead_letter(
    desk: Desk, proof: Proof, answered: str
) -> None:
    desk.peer(proof=Proof.QUERY if answered == "before" else proof)
    desk.draft()
    held = desk.must_take()
    if answered == "before":
        desk.sent(held)
    desk.receive(STRANGER)
    if answered == "after":
        desk.sent(held)
    assert desk.problems() == ()
    if states(desk) == ["SENT"]:
        desk.proven(desk.must_take())
    revision = desk.revision()
    assert (revision.book, revision.reason) == (Book.DEAD_LETTERED, "two-patients")
    assert "a draft with the identity of the first patient is in PACS" in revision.explanation


def test_what_was_called_off_and_did_not_get_through_stays_called_off(queued: Desk) -> None:
    held = queued.must_take()
    queued.receive(LATE)
    for deed in (queued.retry, queued.failed):
        with pytest.raises(LeaseLost):
            deed(held)
    assert (states(queued), queued.revision(1).book) == (["CANCELED"], Book.CLOSED)


def test_another_sender_cannot_book_what_was_called_off(queued: Desk) -> None:
    held = queued.must_take()
    queued.receive(LATE)
    with pytest.raises(LeaseLost):
        queued.sent(replace(held, token="0" * 32))


@pytest.mark.parametrize(
    "change",
    [{"send_to": False}, {"mode": Mode.SHADOW}, {"mode": Mode.HOLD}, None],
    ids=["off", "shadow", "hold", "removed"],
)
def test_destination_that_is_turned_off_gets_nothing_that_is_queued(
    queued: Desk, change: dict[str, Any] | None
) -> None:
    if change is None:
        queued.do(lambda tx: peers.remove(tx, "PACS", now=queued.now, actor="p"))
    else:
        queued.do(lambda tx: peers.edit(tx, "PACS", now=queued.now, actor="p", **change))
    assert queued.ask(lambda tx: worklist.count_stopped(tx, "PACS")) == 1
    assert queued.take() is None
    assert states(queued) == ["FAILED"]
    assert (queued.revision().book, queued.revision().reason) == (Book.DEAD_LETTERED, "destination-off")
    if change is None:
        queued.peer()
    else:
        on = {"send_to": True, "mode": Mode.DRAFT}
        queued.do(lambda tx: peers.edit(tx, "PACS", now=queued.now, actor="p", **on))  # type: ignore[arg-type]
    queued.requeue()
    assert queued.must_take().destination == "PACS"


def test_destination_that_is_off_does_not_keep_others_waiting(desk: Desk) -> None:
    desk.peer("ONE")
    desk.peer("TWO")
    desk.draft(destinations=("ONE", "TWO"))
    desk.do(lambda tx: peers.edit(tx, "ONE", now=desk.now, actor="p", mode=Mode.SHADOW))
    assert desk.must_take().destination == "TWO"


def test_object_that_is_never_found_is_sent_ever_later_and_then_is_a_dead_letter(queued: Desk) -> None:
    for wait in (30, 300, 3600):
        queued.sent(queued.must_take())
        queued.missing(queued.must_take())
        queued.wait(wait - 1)
        assert queued.take() is None
        queued.wait(1)
    queued.sent(queued.must_take())
    queued.missing(queued.must_take())
    assert (queued.revision().book, queued.revision().reason) == (Book.DEAD_LETTERED, "never-found")
    assert "--proof acknowledgement" in queued.revision().explanation
    queued.requeue()
    queued.sent(queued.must_take())
    queued.missing(queued.must_take())
    assert states(queued) == ["QUEUED"]


@pytest.mark.parametrize(("cause", "book"), [(LATE, Book.CLOSED), (STRANGER, Book.DEAD_LETTERED)])
def test_what_is_not_found_and_no_longer_wanted_is_not_sent_again(queued: Desk, cause: Header, book: Book) -> None:
    queued.sent(queued.must_take())
    queued.receive(cause)
    queued.missing(queued.must_take())
    assert (states(queued), queued.revision(1).book) == (["CANCELED"], book)


def test_held_study_cannot_be_requeued(queued: Desk) -> None:
    queued.failed(queued.must_take())
    queued.receive(STRANGER)
    with pytest.raises(WrongState, match="held"):
        queued.requeue()
    assert states(queued) == ["FAILED"]
