"""PostgreSQL for more than one machine: a whole node runs on it, and two processes never miss each other's commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from agent.demo.phantom import film
from dicom_node import audit, books, worklist
from dicom_node.database import Database
from dicom_node.errors import LeaseLost
from dicom_node.kinds import Kind, Stage
from dicom_node.loopback import LoopbackPacs
from dicom_node.tables import Book, DeliveryState, Outcome
from dicom_node.worklist import Ending, Outgoing
from tests.harness import dcmtk
from tests.harness.node import Node, wait_until
from tests.harness.postgres import PostgresServer
from tests.unit.dicom_node.desk import SR, STUDY, Desk, header

pytestmark = pytest.mark.postgres
T = TypeVar("T")


@pytest.fixture
def desk(empty_postgres_url: str, open_database: Callable[[str], Database]) -> Iterator[Desk]:
    at_work = Desk(open_database(empty_postgres_url))
    yield at_work
    assert at_work.problems() == ()


class Rival(threading.Thread):
    """Runs a change in a transaction of its own, beside one that is still open."""

    def __init__(self, change: Callable[[], T]) -> None:
        super().__init__(daemon=True)
        self._change = change
        self.result: object = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self._change()
        except (LeaseLost, IntegrityError) as error:
            self.error = error


@contextmanager
def uncommitted(desk: Desk, change: Callable[[Session], T]) -> Iterator[T]:
    """A transaction that has made its change and commits only at the end of the block."""
    with desk.database.write() as tx:
        result = change(tx)
        tx.flush()
        yield result


def waits(desk: Desk, rival: Rival) -> None:
    """The rival runs into the lock of the other transaction, as the server says; it must not be through."""
    locked = text("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")

    def has_met_it() -> bool:
        assert rival.is_alive(), "it did not wait for the other transaction"
        return bool(desk.ask(lambda tx: tx.execute(locked).all()))

    wait_until(has_met_it, "the rival to wait for the other transaction")


def book(desk: Desk, instance: str, content: str) -> Outcome:
    return desk.receive(header(instance=instance), content=content)


def test_late_image_waits_for_a_finishing_worker_and_cancels_what_it_queued(desk: Desk) -> None:
    desk.peer()
    desk.receive()
    desk.complete()
    held = desk.must_claim()
    outgoing = [Outgoing("PACS", Kind.BASIC_TEXT, Stage.DRAFT, SR, "2.25.1", "", "0" * 64)]
    finish = uncommitted(
        desk,
        lambda tx: worklist.finish(tx, held, outgoing, nothing_leaves=Ending(Book.CLOSED), now=desk.now),
    )
    with finish:
        rival = Rival(lambda: desk.receive(header(instance="1.2.3.2")))
        waits(desk, rival)
    rival.join(60)
    assert [delivery.state for delivery in desk.deliveries()] == [DeliveryState.CANCELED]
    assert (desk.revision(1).book, desk.study().revision) == (Book.CLOSED, 2)


def test_finishing_worker_waits_for_a_late_image_and_loses_its_lease(desk: Desk) -> None:
    desk.peer()
    desk.receive()
    desk.complete()
    held = desk.must_claim()
    arrival = worklist.Arrival(header(instance="1.2.3.2"), "1.2.840.10008.1.2.1", "1" * 64, 1, "PACS")
    with uncommitted(desk, lambda tx: worklist.record_instance(tx, arrival, desk.now)):
        rival = Rival(lambda: desk.finish(held))
        waits(desk, rival)
    rival.join(60)
    assert isinstance(rival.error, LeaseLost)
    assert desk.deliveries() == []


def test_two_senders_that_prove_at_once_leave_the_revision_delivered(desk: Desk) -> None:
    desk.peer("ONE")
    desk.peer("TWO")
    desk.draft(destinations=("ONE", "TWO"))
    for held in [desk.must_take(), desk.must_take()]:
        desk.sent(held)
    one, two = desk.must_take(), desk.must_take()
    with uncommitted(desk, lambda tx: worklist.mark_committed(tx, one, desk.now)):
        rival = Rival(lambda: desk.proven(two))
        waits(desk, rival)
    rival.join(60)
    assert desk.revision().book is Book.DELIVERED


def test_late_image_that_waits_for_a_proof_leaves_the_revision_delivered(desk: Desk) -> None:
    desk.peer()
    desk.draft()
    desk.sent(desk.must_take())
    held = desk.must_take()
    with uncommitted(desk, lambda tx: worklist.mark_committed(tx, held, desk.now)):
        rival = Rival(lambda: desk.receive(header(instance="1.2.3.2")))
        waits(desk, rival)
    rival.join(60)
    assert rival.error is None
    assert desk.revision(1).book is Book.DELIVERED


@pytest.mark.parametrize("called_off_by", ["late image", "second patient"])
def test_answer_that_waits_for_what_calls_it_off_is_booked(desk: Desk, called_off_by: str) -> None:
    desk.peer()
    desk.draft()
    held = desk.must_take()
    patient = "P1" if called_off_by == "late image" else "P2"
    arrival = worklist.Arrival(header(instance="1.2.3.2", patient=patient), "1.2.840.10008.1.2.1", "1" * 64, 1, "PACS")
    with uncommitted(desk, lambda tx: worklist.record_instance(tx, arrival, desk.now)):
        rival = Rival(lambda: desk.sent(held))
        waits(desk, rival)
    rival.join(60)
    assert rival.error is None
    assert desk.deliveries()[0].state is DeliveryState.SENT
    assert desk.revision(1).book is Book.IN_FLIGHT
    desk.proven(desk.must_take())
    assert desk.revision(1).book is Book.DELIVERED


def test_two_contents_of_one_object_at_once_are_a_conflict(desk: Desk) -> None:
    desk.receive()
    arrival = worklist.Arrival(header(instance="1.2.3.2"), "1.2.840.10008.1.2.1", "1" * 64, 1, "PACS")
    with uncommitted(desk, lambda tx: worklist.record_instance(tx, arrival, desk.now)) as outcome:
        rival = Rival(lambda: book(desk, "1.2.3.2", "other bytes"))
        waits(desk, rival)
    rival.join(60)
    assert (outcome, rival.result) == (Outcome.STORED, Outcome.CONFLICT)


def test_two_contents_of_one_object_in_two_new_studies_at_once_are_a_conflict(desk: Desk) -> None:
    arrival = worklist.Arrival(header(), "1.2.840.10008.1.2.1", "1" * 64, 1, "PACS")
    with uncommitted(desk, lambda tx: worklist.record_instance(tx, arrival, desk.now)) as outcome:
        rival = Rival(lambda: desk.receive(header(study="1.2.9"), content="other bytes"))
        waits(desk, rival)
    rival.join(60)
    assert (outcome, rival.result, rival.error) == (Outcome.STORED, Outcome.CONFLICT, None)
    for study in (STUDY, "1.2.9"):
        assert desk.study(study).hold_reason == "instance-in-two-studies"


def test_objects_of_two_studies_do_not_wait_for_each_other(desk: Desk) -> None:
    arrival = worklist.Arrival(header(), "1.2.840.10008.1.2.1", "1" * 64, 1, "PACS")
    with uncommitted(desk, lambda tx: worklist.record_instance(tx, arrival, desk.now)):
        assert desk.receive(header(study="1.2.9", instance="1.2.9.1")) is Outcome.STORED


def test_many_claimers_leave_places_for_another_destination(desk: Desk) -> None:
    for title in ("ONE", "TWO"):
        desk.peer(title)
        for number in range(8):
            uid = f"1.2.{title == 'TWO':d}.{number}"
            desk.draft(header(study=uid, instance=f"{uid}.1"), (title,))
    taken: list[str] = []
    start = threading.Barrier(12)

    def work(name: str) -> None:
        start.wait()
        with desk.database.write() as tx:
            lease = timedelta(minutes=1)
            held = worklist.claim_delivery(tx, sender=name, token=name, lease=lease, now=desk.now)
        taken.extend([held.destination] if held else [])

    rivals = [threading.Thread(target=work, args=(f"s{number}",)) for number in range(12)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join()
    assert sorted(taken) == ["ONE", "ONE", "TWO", "TWO"]


def test_two_senders_that_reach_nobody_do_not_wait_for_each_other(desk: Desk) -> None:
    desk.peer()
    for number in range(4):
        desk.draft(header(study=f"1.2.{number}", instance=f"1.2.{number}.1"))
    one, two = desk.must_take(), desk.must_take()
    wait = timedelta(seconds=30)
    postponed = uncommitted(
        desk, lambda tx: worklist.mark_retry(tx, one, error="away", wait=wait, now=desk.now, others_wait=wait)
    )
    with postponed:
        desk.retry(two, others_wait=30)
    assert desk.take() is None
    desk.wait(30)
    assert desk.must_take()


def test_two_associations_that_open_one_study_at_once_are_told_to_look_again(desk: Desk) -> None:
    arrival = worklist.Arrival(header(), "1.2.840.10008.1.2.1", "1" * 64, 1, "PACS")
    with uncommitted(desk, lambda tx: worklist.record_instance(tx, arrival, desk.now)):
        rival = Rival(lambda: book(desk, "1.2.3.2", "x"))
        waits(desk, rival)
    rival.join(60)
    assert isinstance(rival.error, IntegrityError)  # the listener tries once more
    assert book(desk, "1.2.3.2", "x") is Outcome.STORED
    assert desk.study(STUDY).revision == 1


def test_one_of_many_claimers_wins_each_study(desk: Desk) -> None:
    for number in range(20):
        desk.receive(header(study=f"1.2.{number}", instance=f"1.2.{number}.1"))
    desk.complete()
    claimed: list[str] = []

    def work(name: str) -> None:
        misses = 0
        while misses < 3:
            with desk.database.write() as tx:
                token = f"{name}{len(claimed)}{time.monotonic_ns()}"[:32]
                held = worklist.claim(tx, worker=name, token=token, lease=timedelta(minutes=1), now=desk.now)
            misses += held is None
            if held is not None:
                claimed.append(held.uid)

    rivals = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(6)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join()
    assert len(claimed) == len(set(claimed)) == 20


def test_two_dispatchers_seal_one_chain(desk: Desk) -> None:
    with uncommitted(desk, lambda tx: audit.append(tx, "late", at=desk.now, actor="p")):
        for _ in range(3):
            desk.do(lambda tx: audit.append(tx, "early", at=desk.now, actor="p"))
        desk.do(audit.seal)
    desk.do(audit.seal)  # the row with the smaller number came later
    assert desk.ask(audit.broken_seal) is None
    assert desk.do(audit.seal) == 0


@pytest.mark.timeout(600)
def test_whole_node_runs_on_it(postgres_server: PostgresServer, tmp_path: Path) -> None:
    url = postgres_server.create("node")
    image = film(4711, now=datetime.now(UTC), new_uid=lambda: f"2.25.33{time.time_ns()}", rows=512, columns=448)
    path = tmp_path / "film.dcm"
    image.save_as(path, enforce_file_format=True)
    with LoopbackPacs("PACS", 0, tmp_path / "pacs") as pacs, Node(tmp_path / "node", database=url) as node:
        node.add_peer("PACS", pacs.port, send_to=True)
        assert dcmtk.store(node.port, path, options=("-R",)).returncode == 0

        def delivered() -> bool:
            with node.database.read() as tx:
                return books.balance(tx).revisions[Book.DELIVERED] == 1

        wait_until(delivered, "the draft to be delivered", seconds=180)
        (arrival,) = pacs.received
        assert arrival.study_instance_uid == image.StudyInstanceUID
        assert [finding for finding in node.ask("check") if finding["verdict"] == "wrong"] == []
        told = node.cli("db", "backup", str(tmp_path / "b.tar"))
        assert (told.returncode, "pg_dump" in told.stderr) == (2, True)
