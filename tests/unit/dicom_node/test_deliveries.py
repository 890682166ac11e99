"""One object on its way: in order, leased, proven, sent again, or a dead letter."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.orm import Session

from dicom_node import peers, worklist
from dicom_node.errors import LeaseLost, WrongState
from dicom_node.headers import Header
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Book, Delivery, DeliveryState, Mode, Proof, Revision, Study, StudyState
from tests.unit.dicom_node.desk import KEY_OBJECT, LEASE, SR, Desk, header


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
    assert (held.state, held.attempt) == (DeliveryState.QUEUED, 1)
    assert held.to is not None
    assert (held.to.name, held.to.host, held.to.port) == ("PACS", "127.0.0.1", 104)
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
    desk.finish(desk.must_claim(), ("ONE", "TWO"), kinds=(Kind.BASIC_TEXT, Kind.KOS))
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


@pytest.mark.parametrize("deed", ["retry", "failed"])
def test_what_was_called_off_and_did_not_get_through_stays_called_off(queued: Desk, deed: str) -> None:
    held = queued.must_take()
    queued.receive(LATE)
    getattr(queued, deed)(held)
    queued.wait(1e6)
    assert queued.take() is None
    assert (states(queued), queued.revision(1).book) == (["CANCELED"], Book.CLOSED)
    assert queued.deliveries()[0].sent_at is None


# --- nobody answered: the peer may have it ----------------------------------------------------------------------------


CALLED_OFF: Final[dict[str, tuple[Callable[[Desk], object], Book, str, Book]]] = {  # how, book and why, book if found
    "late image": (lambda desk: desk.receive(LATE), Book.CLOSED, "superseded", Book.DELIVERED),
    "second patient": (lambda desk: desk.receive(STRANGER), Book.DEAD_LETTERED, "two-patients", Book.DEAD_LETTERED),
    "a person": (Desk.set_aside, Book.EXCLUDED, "excluded-by-person", Book.DELIVERED),
}


def may_be_there(desk: Desk, call_off: Callable[[Desk], object], how: str) -> None:
    """The first attempt ends without an answer, and the draft is called off before, during or after its end."""
    held = desk.must_take()
    if how == "during":
        call_off(desk)
        desk.retry(held, in_doubt=True)
    elif how == "after":
        desk.retry(held, in_doubt=True)
        call_off(desk)
    elif how == "later attempt":
        desk.retry(held, in_doubt=True)
        desk.wait(30)
        held = desk.must_take()
        call_off(desk)
        desk.retry(held)  # this one did not even reach it; the first may have
    elif how == "lease ended":
        call_off(desk)
        desk.wait(LEASE.total_seconds() + 1)
    elif how == "lease ended first":
        desk.wait(LEASE.total_seconds() + 1)
        desk.retry(desk.must_take())
        call_off(desk)
    elif how == "sender died":
        call_off(desk)
        assert desk.take_back(dead=["s1"]) == 1
    elif how == "sender died first":
        assert desk.take_back(dead=["s1"]) == 1
        call_off(desk)


WAYS: Final = [
    "during",
    "after",
    "later attempt",
    "lease ended",
    "lease ended first",
    "sender died",
    "sender died first",
]


@pytest.fixture(params=[(cause, how) for cause in CALLED_OFF for how in WAYS], ids=": ".join)
def doubtful(desk: Desk, request: pytest.FixtureRequest) -> tuple[Desk, str]:
    """A draft that may be there and was called off."""
    cause, how = request.param
    desk.peer()
    desk.draft()
    may_be_there(desk, CALLED_OFF[cause][0], how)
    return desk, cause


def test_what_may_be_there_when_it_is_called_off_is_asked_for(doubtful: tuple[Desk, str]) -> None:
    desk, cause = doubtful
    asked = desk.must_take()
    assert (asked.state, asked.attempt, asked.called_off) == (DeliveryState.SENT, 1, True)
    assert desk.revision().book is Book.IN_FLIGHT
    assert desk.deliveries()[0].sent_at is not None
    assert desk.problems() == ()
    desk.proven(asked)
    assert (states(desk), desk.revision().book) == (["COMMITTED"], CALLED_OFF[cause][3])
    assert desk.problems() == ()


def test_what_may_have_been_there_and_is_not_found_is_canceled_and_not_sent_again(doubtful: tuple[Desk, str]) -> None:
    desk, cause = doubtful
    desk.missing(desk.must_take())
    _, book, reason, _ = CALLED_OFF[cause]
    assert (states(desk), desk.revision().book, desk.revision().reason) == (["CANCELED"], book, reason)
    assert desk.deliveries()[0].sent_at is None
    desk.wait(1e6)
    assert desk.take() is None
    assert desk.problems() == ()


def test_what_may_be_there_and_cannot_be_asked_for_is_told_to_a_person(doubtful: tuple[Desk, str]) -> None:
    desk, _ = doubtful
    desk.failed(desk.must_take(), error="it takes no C-FIND")
    assert (states(desk), desk.revision().book) == (["FAILED"], Book.DEAD_LETTERED)
    assert desk.revision().reason == "may-be-there"
    assert "look there for it" in desk.revision().explanation
    assert desk.deliveries()[0].sent_at is not None


def test_query_is_named_as_the_proof_of_what_was_asked_for(desk: Desk) -> None:
    desk.peer(proof=Proof.ACKNOWLEDGEMENT)
    desk.draft()
    may_be_there(desk, CALLED_OFF["late image"][0], "after")
    desk.proven(desk.must_take())
    assert desk.deliveries()[0].proven_by == "query"


def test_what_is_sent_again_after_a_time_out_is_still_in_doubt_as_a_dead_letter(queued: Desk) -> None:
    queued.retry(queued.must_take(), in_doubt=True)
    queued.wait(30)
    assert queued.must_take().state is DeliveryState.QUEUED, "C-STORE again: the same object does no harm"
    queued.wait(LEASE.total_seconds() + 1)
    queued.failed(queued.must_take())
    (delivery,) = queued.deliveries()
    assert (delivery.state, delivery.sent_at is None) == (DeliveryState.FAILED, False)


def test_attempt_that_did_not_reach_the_peer_leaves_no_doubt(queued: Desk) -> None:
    queued.retry(queued.must_take())
    assert queued.deliveries()[0].sent_at is None
    queued.receive(LATE)
    queued.wait(1e6)
    assert queued.take() is None
    assert states(queued) == ["CANCELED"]


# --- a destination that is silent -------------------------------------------------------------------------------------


def drafts(desk: Desk, count: int, destinations: tuple[str, ...] = ("ONE", "TWO")) -> None:
    for title in destinations:
        desk.peer(title)
    for number in range(count):
        desk.draft(header(study=f"1.2.{number}", instance=f"1.2.{number}.1"), destinations)


def test_no_destination_takes_all_senders(desk: Desk) -> None:
    drafts(desk, 4, ("ONE",))
    desk.peer("TWO")
    desk.draft(header(study="1.2.99", instance="1.2.99.1"), ("TWO",))
    taken = [desk.must_take() for _ in range(3)]
    assert [held.destination for held in taken] == ["ONE", "ONE", "TWO"]
    assert desk.take() is None
    desk.sent(taken[0])
    assert desk.must_take().destination == "ONE"
    assert desk.take() is None


def test_claim_whose_lease_ended_does_not_count(desk: Desk) -> None:
    drafts(desk, 4, ("ONE",))
    assert [desk.must_take().destination for _ in range(2)] == ["ONE", "ONE"]
    assert desk.take() is None
    desk.wait(LEASE.total_seconds() + 1)
    assert desk.must_take().destination == "ONE"


def test_canceled_draft_on_the_wire_still_takes_a_place(desk: Desk) -> None:
    drafts(desk, 3, ("ONE",))
    held = desk.must_take()
    desk.must_take()
    desk.receive(header(study=held.study_instance_uid, instance="1.2.0.2"))
    assert desk.take() is None


def test_destination_that_cannot_be_reached_is_tried_by_one_object_and_not_by_all(desk: Desk) -> None:
    drafts(desk, 5)
    first = next(held for held in iter(desk.take, None) if held.destination == "ONE")
    desk.retry(first, wait=60, others_wait=30)
    rest = []
    while held := desk.take():
        rest.append(held)
        (desk.proven if held.state is DeliveryState.SENT else desk.sent)(held)
    assert {held.destination for held in rest} == {"TWO"}
    desk.wait(29)
    assert desk.take() is None
    desk.wait(1)
    again = desk.must_take()
    assert (again.destination, again.study_id == first.study_id) == ("ONE", False)


def test_what_waits_longer_is_not_called_sooner(desk: Desk) -> None:
    drafts(desk, 2, ("ONE",))
    desk.retry(desk.must_take(), wait=1000)
    desk.retry(desk.must_take(), wait=60, others_wait=30)
    waits = sorted((one.next_attempt_at - desk.now).total_seconds() for one in desk.deliveries())
    assert waits == [60, 1000]


def fill(tx: Session, studies: int, now: datetime, *, held: int = 0) -> None:
    """One queued draft for each of so many studies, of which the first are held."""
    numbers = range(1, studies + 1)
    times = {"first_received_at": now, "last_received_at": now}
    of_a_study = {"state": StudyState.COMPLETE, "revision": 1, **times}
    reasons = {number: "identity" if number <= held else "" for number in numbers}
    tx.execute(
        insert(Study),
        [{"id": n, "study_instance_uid": f"1.2.{n}", "hold_reason": reasons[n], **of_a_study} for n in numbers],
    )
    opened = {"number": 1, "book": Book.IN_FLIGHT, "opened_at": now}
    tx.execute(insert(Revision), [{"id": n, "study_id": n, **opened} for n in numbers])
    parcel = {
        "destination": "PACS",
        "kind": Kind.BASIC_TEXT,
        "stage": Stage.DRAFT,
        "sop_class_uid": SR,
        "digest": "0" * 64,
        "queued_at": now,
        "state": DeliveryState.QUEUED,
        "next_attempt_at": now,
    }
    tx.execute(insert(Delivery), [{"revision_id": n, "sop_instance_uid": f"2.25.{n}", **parcel} for n in numbers])


def test_claim_is_quick_with_ten_thousand_queued(desk: Desk) -> None:
    desk.peer()
    desk.do(lambda tx: fill(tx, 10_000, desk.now))
    began = time.monotonic()
    desk.must_take()
    assert time.monotonic() - began < 30, "the whole queue was walked for each object in it"


def test_claim_is_quick_with_the_worst_plan(desk: Desk) -> None:
    """After a burst PostgreSQL plans by the figures of tables that were nearly empty, and may plan anything."""
    if desk.database.engine.dialect.name != "postgresql":
        return  # SQLite plans without figures

    def claim(tx: Session) -> worklist.Consignment | None:
        for better in ("hashjoin", "mergejoin", "indexscan", "indexonlyscan", "bitmapscan", "material", "memoize"):
            tx.execute(text(f"SET LOCAL enable_{better} = off"))
        tx.execute(text("SET LOCAL statement_timeout = '20s'"))  # 3 s; 30 s where the queue is walked anew
        return worklist.claim_delivery(tx, sender="s1", token="1" * 32, lease=LEASE, now=desk.now)

    desk.peer()
    desk.do(lambda tx: fill(tx, 1_000, desk.now))
    assert desk.do(claim) is not None


def test_who_changes_a_destination_does_not_wait_for_each_object_in_its_queue(desk: Desk) -> None:
    desk.peer()
    desk.do(lambda tx: fill(tx, 300, desk.now))
    asked: list[str] = []
    event.listen(desk.database.engine, "before_cursor_execute", lambda *about: asked.append(about[2]))
    assert desk.do(lambda tx: worklist.count_stopped(tx, "PACS")) == 0
    assert 0 < len(asked) < 20


def test_many_held_studies_keep_no_other_back(desk: Desk) -> None:
    desk.peer()
    desk.do(lambda tx: fill(tx, 700, desk.now, held=699))
    assert desk.must_take().study_instance_uid == "1.2.700"
    assert desk.take() is None


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


def test_who_asks_often_asks_as_a_reader(queued: Desk) -> None:
    assert queued.ask(lambda tx: worklist.is_delivery_due(tx, queued.now))
    queued.must_take()
    assert not queued.ask(lambda tx: worklist.is_delivery_due(tx, queued.now)), "it is claimed"
    queued.wait(LEASE.total_seconds() + 1)
    assert queued.ask(lambda tx: worklist.is_delivery_due(tx, queued.now)), "its lease has ended"
