"""Claims, leases, attempts, holds: one worker at a time, and nothing is ever forgotten."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from dicom_node import worklist
from dicom_node.errors import LeaseLost, NotFound, WrongState
from dicom_node.rules.tables import Routing
from dicom_node.tables import AuditRow, Book, DeliveryState, Revision, Study, StudyState, Workitem, WorkitemState
from dicom_node.worklist import Ending
from tests.unit.dicom_node.desk import KEY_OBJECT, LEASE, STUDY, Desk, header


@pytest.fixture
def due(desk: Desk) -> Desk:
    """A desk with one study that waits to be read."""
    desk.receive()
    desk.complete()
    return desk


def test_two_claimers_one_wins(due: Desk) -> None:
    assert due.must_claim("w1").attempt == 1
    assert due.claim("w2") is None


def test_most_urgent_then_oldest_is_claimed_first(desk: Desk) -> None:
    for number in (1, 2, 3):
        desk.receive(header(study=f"1.2.{number}", instance=f"1.2.{number}.1"))
        desk.complete()
    urgent = desk.workitem(study="1.2.3").id
    desk.do(lambda tx: setattr(tx.get_one(Workitem, urgent), "priority", 0))
    assert [desk.must_claim().study_instance_uid for _ in range(3)] == ["1.2.3", "1.2.1", "1.2.2"]


def test_who_asks_for_urgent_work_gets_no_other(due: Desk) -> None:
    def claim() -> worklist.Claim | None:
        take = {"worker": "w", "token": "t", "lease": LEASE, "now": due.now}
        return due.do(lambda tx: worklist.claim(tx, **take, urgent=True))

    assert claim() is None
    due.do(lambda tx: setattr(tx.get_one(Workitem, due.workitem().id), "priority", 4))
    taken = claim()
    assert taken is not None
    assert taken.urgent


def test_lease_that_ends_gives_the_work_to_another(due: Desk) -> None:
    first = due.must_claim("w1")
    due.wait(LEASE.total_seconds() - 1)
    assert due.take_back() == 0
    due.wait(2)
    assert due.take_back(wait=30) == 1
    assert due.claim("w2") is None, "the wait before the next attempt was skipped"
    due.wait(30)
    second = due.must_claim("w2")
    assert (second.attempt, second.content_at) == (2, first.content_at)
    with pytest.raises(LeaseLost):
        due.finish(first)
    due.finish(second)


def test_what_is_written_after_a_confirmation_is_not_dated_before_it(due: Desk) -> None:
    first = due.must_claim()
    due.do(lambda tx: worklist.hold(tx, first, reason="no-body-part", explanation="absent", now=due.now))
    due.wait(3600)
    due.confirm()
    second = due.must_claim()

    assert second.content_at >= first.content_at + timedelta(hours=1)
    assert (second.confirmed, second.confirmed_by) == (True, "person:a")


def test_claim_of_a_dead_neighbor_is_taken_back_before_its_lease_ends(due: Desk) -> None:
    due.must_claim("w1")
    assert due.take_back(dead=["w2"]) == 0
    assert due.take_back(dead=["w1"]) == 1


def test_progress_prolongs_the_lease(due: Desk) -> None:
    held = due.must_claim()
    for _ in range(5):
        due.wait(50)
        due.renew(held)
        assert due.take_back() == 0
    due.finish(held)


def test_who_lost_the_lease_can_do_nothing(due: Desk) -> None:
    held = due.must_claim("w1")
    due.wait(61)
    due.take_back(wait=0)
    due.must_claim("w2")
    for deed in (
        lambda: due.renew(held),
        lambda: due.finish(held),
        lambda: due.fail(held),
        lambda: due.do(lambda tx: worklist.release(tx, held, due.now)),
        lambda: due.do(lambda tx: worklist.exclude(tx, held, reason="r", explanation="e", now=due.now)),
        lambda: due.do(lambda tx: worklist.hold(tx, held, reason="r", explanation="e", now=due.now)),
    ):
        with pytest.raises(LeaseLost):
            deed()
    assert due.workitem().claimed_by == "w2"


def test_failed_attempts_are_counted_and_end_as_a_dead_letter(due: Desk) -> None:
    for attempt in (1, 2, 3):
        held = due.must_claim()
        assert held.attempt == attempt
        due.fail(held, attempts=3, wait=30)
        due.wait(30)
    assert due.claim() is None
    assert due.workitem().state is WorkitemState.CANCELED
    assert (due.revision().book, due.revision().reason) == (Book.DEAD_LETTERED, "reading-failed")


def test_worker_that_dies_three_times_ends_as_a_dead_letter(due: Desk) -> None:
    for _ in range(3):
        due.must_claim()
        due.wait(61)
        due.take_back(wait=0)
    assert due.claim() is None
    assert (due.revision().book, due.revision().reason) == (Book.DEAD_LETTERED, "worker-lost")


def test_orderly_stop_costs_no_attempt(due: Desk) -> None:
    held = due.must_claim()
    due.do(lambda tx: worklist.release(tx, held, due.now))
    assert due.must_claim().attempt == 1


def test_held_work_waits_for_a_person_and_costs_no_attempt(due: Desk) -> None:
    held = due.must_claim()
    due.do(lambda tx: worklist.hold(tx, held, reason="no-body-part", explanation="absent", now=due.now))
    due.wait(1e6)
    assert due.claim() is None
    due.confirm()
    again = due.must_claim()
    assert (again.attempt, again.confirmed) == (1, True)
    due.finish(again)
    with pytest.raises(WrongState, match="does not wait"):
        due.confirm()


def test_excluded_work_has_its_reason_in_the_books(due: Desk) -> None:
    held = due.must_claim()
    due.do(lambda tx: worklist.exclude(tx, held, reason="not-a-chest", explanation="It is a hand.", now=due.now))
    revision = due.revision()
    assert (revision.book, revision.reason, revision.explanation) == (Book.EXCLUDED, "not-a-chest", "It is a hand.")


def test_study_without_an_image_is_excluded(desk: Desk) -> None:
    desk.receive(header(sop_class=KEY_OBJECT))
    desk.complete()
    assert (desk.revision().book, desk.revision().reason) == (Book.EXCLUDED, "no-image")


def test_person_takes_a_waiting_study_out(due: Desk) -> None:
    due.set_aside()
    assert (due.revision().book, due.revision().reason) == (Book.EXCLUDED, "excluded-by-person")
    assert due.claim() is None
    with pytest.raises(WrongState, match="only one in flight"):
        due.set_aside()


def test_person_takes_a_study_out_that_is_still_receiving(desk: Desk) -> None:
    desk.receive()
    desk.set_aside()
    assert desk.complete() == 0
    assert desk.revision().book is Book.EXCLUDED


def test_person_takes_a_held_study_out(desk: Desk) -> None:
    desk.receive(header(patient=""))
    desk.complete()
    desk.set_aside()
    assert desk.revision().book is Book.EXCLUDED


def test_requeue_reads_a_dead_letter_anew(due: Desk) -> None:
    due.fail(due.must_claim(), attempts=1)
    assert "revision 2" in due.requeue()
    held = due.must_claim()
    assert (held.revision, held.attempt) == (2, 1)
    assert due.revision(1).book is Book.DEAD_LETTERED


def test_requeue_of_work_in_flight_is_refused(due: Desk) -> None:
    with pytest.raises(WrongState, match="nothing to requeue"):
        due.requeue()


def test_requeue_sends_failed_deliveries_again_without_another_draft(due: Desk) -> None:
    due.peer()
    due.finish(due.must_claim())
    due.failed(due.must_take())
    assert due.revision().book is Book.DEAD_LETTERED
    assert "1 delivery" in due.requeue()
    assert due.revision().book is Book.IN_FLIGHT
    assert [delivery.state for delivery in due.deliveries()] == [DeliveryState.QUEUED]
    assert due.study().revision == 1


@pytest.mark.parametrize("book", [Book.AWAITING_SIGNOFF, Book.CLOSED, Book.DEAD_LETTERED])
def test_draft_for_nobody_is_booked_as_told(due: Desk, book: Book) -> None:
    due.finish(due.must_claim(), (), ending=Ending(book, "why"))
    assert (due.revision().book, due.revision().reason) == (book, "why")


def test_pause_stops_claims_and_nothing_else(due: Desk) -> None:
    due.do(lambda tx: worklist.switch(tx, "pause-work", on=True, now=due.now, actor="p"))
    assert due.claim() is None
    due.receive(header(study="1.2.9", instance="1.2.9.1"))
    due.do(lambda tx: worklist.switch(tx, "pause-work", on=False, now=due.now, actor="p"))
    assert due.must_claim()


def test_bell_rings_once_and_again_when_it_was_not_heard(due: Desk) -> None:
    def ring() -> int:
        found = due.ask(lambda tx: worklist.due_workitems(tx, due.now, ring_again=timedelta(seconds=30)))
        due.do(lambda tx: worklist.mark_rung(tx, [workitem.id for workitem in found], due.now))
        return len(found)

    assert [ring(), ring()] == [1, 0]
    due.wait(30)
    assert ring() == 1
    due.must_claim()
    due.wait(30)
    assert ring() == 0


def test_workitem_uid_is_derived_from_study_and_revision(due: Desk) -> None:
    first = due.workitem(1).uid
    due.receive(header(instance="1.2.3.2"))
    due.complete()
    assert first.startswith("2.25.")
    assert due.workitem(2).uid != first


def test_study_is_found_by_number_uid_or_accession_number(due: Desk) -> None:
    for key in ("1", STUDY, "A1"):
        assert due.ask(lambda tx, key=key: worklist.find_study(tx, key)).study_instance_uid == STUDY  # type: ignore[misc]
    for absent in ("2", "1.2", "a1", "9" * 40, "٣"):
        with pytest.raises(NotFound, match="no study has"):
            due.ask(lambda tx, key=absent: worklist.find_study(tx, key))  # type: ignore[misc]


@pytest.mark.parametrize(("studies", "named"), [(2, "studies: #2, #1;"), (10, " #2, #1;"), (11, " #3, #2, ...;")])
def test_accession_number_of_several_studies_asks_which_one(due: Desk, studies: int, named: str) -> None:
    for number in range(2, studies + 1):
        due.receive(header(study=f"1.2.{number + 7}", instance=f"1.2.{number + 7}.1"))
    with pytest.raises(NotFound, match=re.escape(named)):
        due.ask(lambda tx: worklist.find_study(tx, "A1"))


def test_number_alone_changes_nothing_since_it_may_be_an_accession_number(due: Desk) -> None:
    with pytest.raises(NotFound, match="'#1'"):
        due.ask(lambda tx: worklist.find_study_to_change(tx, "1"))
    for key in ("#1", STUDY, "A1"):
        assert due.ask(lambda tx, key=key: worklist.find_study_to_change(tx, key)).id == 1  # type: ignore[misc]
    assert due.ask(lambda tx: worklist.find_study(tx, "#1")).id == 1


@contextmanager
def trouble_with(study_id: int) -> Iterator[None]:
    """The database refuses whatever is written about one study's revisions."""

    def refuse(_mapper: object, _connection: object, row: AuditRow) -> None:
        if row.study_id == study_id:
            raise OperationalError("INSERT", {}, Exception("refused"))

    event.listen(AuditRow, "before_insert", refuse)
    try:
        yield
    finally:
        event.remove(AuditRow, "before_insert", refuse)


def test_study_that_cannot_be_completed_does_not_keep_others_waiting(desk: Desk) -> None:
    for number in (1, 2, 3):
        desk.receive(header(study=f"1.2.{number}", instance=f"1.2.{number}.1"))
    with trouble_with(2):
        swept = desk.sweep()
    assert (swept.done, swept.failed) == (2, (worklist.Stumble(2, "OperationalError"),))
    assert [desk.study(f"1.2.{number}").state.value for number in (1, 2, 3)] == ["COMPLETE", "RECEIVING", "COMPLETE"]
    assert desk.complete() == 1


def test_claim_that_cannot_be_taken_back_does_not_keep_others_waiting(desk: Desk) -> None:
    for number in (1, 2, 3):
        desk.receive(header(study=f"1.2.{number}", instance=f"1.2.{number}.1"))
    desk.complete()
    for _ in range(3):
        desk.must_claim()
    with trouble_with(2):
        assert desk.take_back(dead=["w1"]) == 2
    found = [desk.workitem(study=f"1.2.{number}").state.value for number in (1, 2, 3)]
    assert found == ["SCHEDULED", "IN PROGRESS", "SCHEDULED"]
    assert desk.take_back(dead=["w1"]) == 1


def crowd(desk: Desk, studies: int, *, decided: bool) -> None:
    """So many studies that were complete in one moment."""
    numbers, now = range(1, studies + 1), desk.now
    of_a_study = {"state": StudyState.COMPLETE, "revision": 1, "first_received_at": now, "last_received_at": now}
    opened = {"number": 1, "book": Book.IN_FLIGHT, "opened_at": now}
    scheduled = {"state": WorkitemState.SCHEDULED, "next_attempt_at": now}
    decided_at = now if decided else None

    def fill(tx: Session) -> None:
        tx.execute(insert(Study), [{"id": n, "study_instance_uid": f"1.2.{n}", **of_a_study} for n in numbers])
        tx.execute(insert(Revision), [{"id": n, "study_id": n, **opened} for n in numbers])
        tx.execute(insert(Workitem), [{"uid": f"2.25.{n}", "revision_id": n, **scheduled} for n in numbers])
        tx.execute(insert(Routing), [{"revision_id": n, "decided_at": decided_at} for n in numbers])

    desk.do(fill)


QUESTIONS: dict[str, Callable[[Session, Desk], object]] = {
    "is_due": lambda tx, desk: worklist.is_due(tx, desk.now, reader="parrot"),
    "claim": lambda tx, desk: worklist.claim(
        tx, worker="w", token="0" * 32, lease=LEASE, now=desk.now, reader="parrot"
    ),
    "bells": lambda tx, desk: worklist.due_workitems(tx, desk.now, ring_again=LEASE),
    "undecided": lambda tx, _: worklist.undecided(tx, limit=1),
}


@pytest.mark.parametrize("decided", [True, False])
def test_queue_is_read_once_with_the_worst_plan(desk: Desk, decided: bool) -> None:
    """After a burst PostgreSQL plans by figures from before it, and may compare each workitem with each decision."""
    if desk.database.engine.dialect.name != "postgresql":
        return  # SQLite plans without figures
    crowd(desk, studies := 600, decided=decided)
    came = {}
    for name, question in QUESTIONS.items():
        with desk.database.write() as tx:
            for better in ("hashjoin", "mergejoin", "indexscan", "indexonlyscan", "bitmapscan", "material", "memoize"):
                tx.execute(text(f"SET LOCAL enable_{better} = off"))
            came[name] = bool(question(tx, desk))
            read = "SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables"
            assert int(tx.scalar(text(read)) or 0) < 30 * studies, name
    assert came == {"is_due": decided, "claim": decided, "bells": decided, "undecided": not decided}


def test_undecided_studies_keep_no_other_back(desk: Desk) -> None:
    crowd(desk, 700, decided=False)
    desk.do(lambda tx: setattr(tx.get_one(Routing, 700), "decided_at", desk.now))
    assert desk.must_claim().study_instance_uid == "1.2.700"
    assert desk.claim() is None
