"""The balance is a proof: every row that somebody tampers with is found."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, update

from dicom_node import books
from dicom_node.database import Database
from dicom_node.tables import (
    Book,
    Delivery,
    DeliveryState,
    Instance,
    Outcome,
    Reception,
    Revision,
    StudyState,
    Workitem,
    WorkitemState,
)
from tests.unit.dicom_node.desk import Desk, header


@pytest.fixture
def full(database: Database) -> Desk:
    """A desk with a study in every book, balanced before the test tampers with it."""
    desk = Desk(database)
    desk.peer()
    for number in range(1, 6):
        desk.receive(header(study=f"1.2.{number}", instance=f"1.2.{number}.1"))
    desk.complete()
    desk.finish(desk.must_claim())  # delivered
    desk.sent(desk.must_take())
    desk.proven(desk.must_take())
    desk.finish(desk.must_claim())  # undeliverable
    desk.failed(desk.must_take())
    desk.fail(desk.must_claim(), attempts=1)  # unreadable
    desk.finish(desk.must_claim())  # on its way
    assert desk.problems() == ()
    return desk


def test_counts_are_by_book_and_outcome(full: Desk) -> None:
    full.receive(header(study="1.2.1", instance="1.2.1.1"))
    balance = full.ask(books.balance)
    assert {book: count for book, count in balance.revisions.items() if count} == {
        Book.DELIVERED: 1,
        Book.DEAD_LETTERED: 2,
        Book.IN_FLIGHT: 2,
    }
    assert balance.receptions == {
        Outcome.STORED: 5,
        Outcome.DUPLICATE: 1,
        Outcome.CONFLICT: 0,
        Outcome.QUARANTINED: 0,
    }


def test_backlog_counts_what_waits_and_since_when(full: Desk) -> None:
    waiting = full.ask(books.backlog)
    assert (waiting.scheduled, waiting.queued, waiting.dead_letters, waiting.held) == (1, 1, 2, 0)
    assert waiting.oldest_queued == full.now
    assert waiting.oldest_scheduled is not None
    assert waiting.oldest_scheduled < full.now


@pytest.mark.parametrize("book", [book for book in Book if book is not Book.DELIVERED])
def test_wrong_book_is_found(full: Desk, book: Book) -> None:
    full.do(lambda tx: tx.execute(update(Revision).where(Revision.book == Book.DELIVERED).values(book=book)))
    (problem,) = full.problems()
    assert f"booked as {book}" in problem
    assert problem.endswith("say delivered")


def test_lost_delivery_is_found(full: Desk) -> None:
    full.do(lambda tx: tx.execute(delete(Delivery).where(Delivery.state == DeliveryState.COMMITTED)))
    assert len(full.problems()) == 1


def test_changed_delivery_is_found(full: Desk) -> None:
    committed = update(Delivery).where(Delivery.state == DeliveryState.COMMITTED)
    full.do(lambda tx: tx.execute(committed.values(state=DeliveryState.SENT)))
    assert len(full.problems()) == 1


def test_lost_workitem_is_found(full: Desk) -> None:
    full.do(lambda tx: tx.execute(delete(Workitem).where(Workitem.state == WorkitemState.SCHEDULED)))
    (problem,) = full.problems()
    assert "booked as in flight" in problem


@pytest.mark.parametrize("state", [WorkitemState.CANCELED, WorkitemState.COMPLETED])
def test_work_that_ended_without_an_entry_is_found(full: Desk, state: WorkitemState) -> None:
    scheduled = update(Workitem).where(Workitem.state == WorkitemState.SCHEDULED)
    full.do(lambda tx: tx.execute(scheduled.values(state=state)))
    assert len(full.problems()) == 1


def test_study_without_a_revision_is_found(full: Desk) -> None:
    def tamper(tx):  # type: ignore[no-untyped-def]
        lost = tx.query(Workitem).filter(Workitem.state == WorkitemState.SCHEDULED).one()
        tx.execute(delete(Workitem).where(Workitem.id == lost.id))
        tx.execute(delete(Revision).where(Revision.id == lost.revision_id))

    full.do(tamper)
    (problem,) = full.problems()
    assert "has no revision" in problem


def test_lost_instance_and_lost_reception_are_found(full: Desk) -> None:
    full.do(lambda tx: tx.execute(delete(Reception).where(Reception.id == 1)))
    assert "4 objects were answered as stored but 5 are in the books" in full.problems()

    def lose(tx):  # type: ignore[no-untyped-def]
        tx.execute(delete(Reception).where(Reception.id.in_([2, 3])))
        tx.execute(delete(Instance).where(Instance.id == 2))

    full.do(lose)
    assert "2 objects were answered as stored but 4 are in the books" in full.problems()


def test_complete_study_whose_reading_was_never_scheduled_is_found(desk: Desk) -> None:
    desk.receive()
    desk.do(lambda tx: setattr(desk._study(tx), "state", StudyState.COMPLETE))
    assert len(desk.problems()) == 1
    desk.do(lambda tx: setattr(desk._study(tx), "state", StudyState.RECEIVING))


def test_held_counts_each_study_that_waits_for_a_person(desk: Desk) -> None:
    desk.receive(header(patient=""))
    assert desk.ask(books.backlog).held == 1, "a study that still receives"
    desk.complete()
    assert desk.ask(books.backlog).held == 1
    assert desk.ask(books.balance).held == 1
    desk.set_aside()
    assert desk.ask(books.backlog).held == 0
