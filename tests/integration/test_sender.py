"""The outbox against a peer that answers whatever the test wants: state, retry and words are right for each."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find  # type: ignore[attr-defined]
from sqlalchemy import select, update

from dicom_node import books, worklist
from dicom_node.database import Database, clock
from dicom_node.errors import StoreAway, WetreadError
from dicom_node.headers import Header
from dicom_node.kinds import Kind, Stage
from dicom_node.sender import Sender
from dicom_node.tables import AuditRow, Book, Delivery, DeliveryState, Mode, Proof, RemoteAE, Revision, Way
from dicom_node.worklist import Arrival, Ending, Outgoing
from tests.harness.node import free_port, wait_until
from tests.harness.outbox import SR, STUDY, Outbox, document


class Peer:
    """A Storage and Query SCP with settable manners. `status` None aborts instead of answering."""

    def __init__(self) -> None:
        self.status: int | None = 0x0000
        self.find: list[int] | None = [0xFF00, 0x0000]
        self.may_answer = threading.Event()  # what it has stored
        self.may_answer.set()
        self.received: list[Dataset] = []
        self.asked: list[Dataset] = []

    def store(self, event: evt.Event) -> int:
        self.received.append(event.dataset)
        assert self.may_answer.wait(60)
        if self.status is None:
            event.assoc.abort()
            return 0x0000
        return self.status

    def query(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        if event.identifier.QueryRetrieveLevel == "STUDY":  # whose study it is: test_identity
            return
        self.asked.append(event.identifier)
        if self.find is None:
            event.assoc.abort()
            return
        for status in self.find:
            yield status, event.identifier if status == 0xFF00 else None


StartPeer = Callable[..., int]


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def start(peer: Peer) -> Iterator[StartPeer]:
    """Opens the peer's port; `classes` are what it supports."""
    servers: list[Any] = []

    def start_one(classes: tuple[str, ...] = (SR, Find), *, syntaxes: tuple[str, ...] = (), **settings: Any) -> int:
        entity = AE(ae_title="PACS")
        for name, value in settings.items():
            setattr(entity, name, value)
        for sop_class in classes:
            entity.add_supported_context(sop_class, *([list(syntaxes)] if syntaxes else []))
        handlers = [(evt.EVT_C_STORE, peer.store), (evt.EVT_C_FIND, peer.query)]
        port = free_port()
        servers.append(entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers))
        return port

    yield start_one
    for server in servers:
        server.ae.shutdown()


@pytest.fixture
def outbox(database: Database, tmp_path: Path) -> Iterator[Callable[..., Outbox]]:
    def make(port: int, **settings: Any) -> Outbox:
        return Outbox(database, tmp_path / "data", port=port, **settings)

    yield make
    with database.read() as tx:
        assert books.balance(tx).problems == ()


MakeOutbox = Callable[..., Outbox]


# --- the claim --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("patient_one", "seconds"), [("SLOW", 70), ("PACS", 8 * 3600 + 30)])
def test_lease_is_by_the_time_outs_of_the_destination_itself(
    outbox: MakeOutbox, database: Database, patient_one: str, seconds: float
) -> None:
    leases: list[float] = []

    def look(_payload: bytes, held: worklist.Consignment) -> None:
        with database.read() as tx:
            until = tx.get_one(Delivery, held.delivery_id).lease_until
            assert until is not None
            leases.append((until - clock(tx)).total_seconds())

    sending = outbox(free_port(), check=look)
    with database.write() as tx:
        tx.add(RemoteAE(ae_title="SLOW", host="127.0.0.1", port=1, send_to=True, mode=Mode.DRAFT))
        tx.flush()
        changed = update(RemoteAE).where(RemoteAE.ae_title == patient_one)
        tx.execute(changed.values(dimse_timeout_seconds=3600))

    sending.step()

    (lease,) = leases
    assert seconds / 2 < lease <= seconds


# --- C-STORE ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0x0000, 0x0111, 0xB000, 0xB006, 0xB007])
def test_success_duplicate_and_warnings_are_sent(outbox: MakeOutbox, start: StartPeer, peer: Peer, status: int) -> None:
    peer.status = status
    delivery = outbox(start()).step()
    assert (delivery.state, delivery.attempts, delivery.last_error) == (DeliveryState.SENT, 0, "")
    assert peer.received == [document()]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0xA700, "0xA700"),
        (0xA701, "0xA701"),
        (0xC000, "0xC000"),
        (0x0110, "0x0110"),
        (0x0124, "0x0124"),
        (None, "broke off"),
    ],
)
def test_trouble_that_passes_is_tried_again(
    outbox: MakeOutbox, start: StartPeer, peer: Peer, status: int | None, words: str
) -> None:
    peer.status = status
    box = outbox(start())
    for wait in (30, 60, 120, 120):
        delivery = box.step()
        assert box.pause() == wait
        assert delivery.state is DeliveryState.QUEUED
        assert words in delivery.last_error
        assert not box.sender.deliver_one(), "it did not wait"
        box.skip_the_wait()
    peer.status = 0x0000
    assert box.step().state is DeliveryState.SENT


@pytest.mark.parametrize("status", [0xA900, 0xA9FF, 0x0117, 0x0122])
def test_what_sending_again_cannot_mend_is_a_dead_letter(
    outbox: MakeOutbox, start: StartPeer, peer: Peer, status: int
) -> None:
    peer.status = status
    box = outbox(start())
    delivery = box.step()
    assert delivery.state is DeliveryState.FAILED
    assert f"0x{status:04X}" in delivery.last_error
    assert box.book() is Book.DEAD_LETTERED
    box.skip_the_wait()
    assert not box.sender.deliver_one()


def test_trouble_that_does_not_pass_is_given_up(outbox: MakeOutbox, start: StartPeer, peer: Peer) -> None:
    peer.status = 0xA700
    assert outbox(start(), age=timedelta(hours=73)).step().state is DeliveryState.FAILED


def test_peer_without_the_sop_class_is_a_dead_letter_that_names_it(outbox: MakeOutbox, start: StartPeer) -> None:
    delivery = outbox(start((Find,))).step()
    assert delivery.state is DeliveryState.FAILED
    assert "takes no Basic Text SR Storage (1.2.840.10008.5.1.4.1.1.88.11)" in delivery.last_error


def test_peer_that_is_away_is_tried_again(outbox: MakeOutbox) -> None:
    delivery = outbox(free_port()).step()
    assert delivery.state is DeliveryState.QUEUED
    assert "cannot be reached: nobody listens on that port" in delivery.last_error


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"require_calling_aet": ["OTHER"]}, "does not know our AE title; register WETREAD in the PACS"),
        ({"ae_title": "OTHER", "require_called_aet": True}, "its AE title is not PACS"),
    ],
)
def test_rejected_association_is_told_in_words_and_tried_again(
    outbox: MakeOutbox, start: StartPeer, settings: dict[str, Any], words: str
) -> None:
    delivery = outbox(start(**settings)).step()
    assert delivery.state is DeliveryState.QUEUED
    assert words in delivery.last_error


def test_busy_peer_is_tried_again(outbox: MakeOutbox, start: StartPeer) -> None:
    port = start(maximum_associations=1)
    other = AE(ae_title="OTHER")
    other.add_requested_context(Find)
    held = other.associate("127.0.0.1", port, ae_title="PACS")
    delivery = outbox(port).step()
    held.release()
    assert delivery.state is DeliveryState.QUEUED
    assert "too many associations" in delivery.last_error


def test_peer_that_takes_implicit_only_gets_the_same_data_set(outbox: MakeOutbox, start: StartPeer, peer: Peer) -> None:
    assert outbox(start(syntaxes=(ImplicitVRLittleEndian,))).step().state is DeliveryState.SENT
    assert peer.received == [document()]


# --- before it leaves -------------------------------------------------------------------------------------------------


class Refused(WetreadError):
    """The check before sending says no."""


def test_what_the_check_refuses_never_leaves(outbox: MakeOutbox, start: StartPeer, peer: Peer) -> None:
    def refuse(_payload: bytes, _held: object) -> None:
        raise Refused("another patient")

    delivery = outbox(start(), check=refuse).step()
    assert (delivery.state, delivery.last_error) == (DeliveryState.FAILED, "another patient")
    assert peer.received == []


def test_error_while_others_are_asked_leaves_no_doubt_that_nothing_left(
    outbox: MakeOutbox, start: StartPeer, peer: Peer
) -> None:
    def look(_held: object) -> None:
        raise KeyError("odd answer")

    delivery = outbox(start(), look=look).step()
    assert (delivery.state, delivery.sent_at) == (DeliveryState.QUEUED, None)
    assert "KeyError while asking others" in delivery.last_error
    assert peer.received == []


def test_damaged_document_never_leaves(outbox: MakeOutbox, start: StartPeer, peer: Peer) -> None:
    box = outbox(start())
    (stored,) = box.config.store_folder.rglob("*.dcm")
    stored.write_bytes(stored.read_bytes()[:-2] + b"!!")
    delivery = box.step()
    assert delivery.state is DeliveryState.FAILED
    assert "damaged" in delivery.last_error
    assert peer.received == []


def test_store_that_is_away_gives_nothing_up(outbox: MakeOutbox, start: StartPeer, peer: Peer) -> None:
    box = outbox(start())
    store, away = box.config.store_folder, box.config.data_folder / "away"
    store.rename(away)
    with pytest.raises(StoreAway):
        box.sender.deliver_one()
    assert (box.delivery().state, box.delivery().attempts) == (DeliveryState.QUEUED, 0)

    def goes() -> str:  # after the first look at it
        store.rename(away)
        return "token"

    away.rename(store)
    late = Sender(box.config, box.database, {Way.DIMSE: box.transport}, lambda _payload, _held: None, goes)
    assert late.deliver_one()
    delivery = box.delivery()
    assert (delivery.state, "is not there: mount its disk" in delivery.last_error) == (DeliveryState.QUEUED, True)
    assert peer.received == []

    away.rename(store)
    box.skip_the_wait()
    assert box.step().state is DeliveryState.SENT


# --- proof ------------------------------------------------------------------------------------------------------------


def test_delivered_is_what_a_query_finds(outbox: MakeOutbox, start: StartPeer, peer: Peer) -> None:
    box = outbox(start())
    box.step()
    assert box.book() is Book.IN_FLIGHT
    delivery = box.step()
    assert (delivery.state, delivery.proven_by, box.book()) == (DeliveryState.COMMITTED, "query", Book.DELIVERED)
    (asked,) = peer.asked
    assert (asked.QueryRetrieveLevel, asked.SOPInstanceUID) == ("IMAGE", document().SOPInstanceUID)


def test_what_a_query_never_finds_is_sent_again(outbox: MakeOutbox, start: StartPeer, peer: Peer) -> None:
    peer.find = [0x0000]
    box = outbox(start())
    box.step()
    for wait in (2, 4, 8, 16):
        delivery = box.step()
        assert (delivery.state, delivery.last_error) == (DeliveryState.SENT, "PACS does not find the object yet")
        assert box.pause() == wait
        box.skip_the_wait()
    assert box.step().state is DeliveryState.QUEUED
    box.skip_the_wait()
    assert box.step().state is DeliveryState.SENT
    assert len(peer.received) == 2
    peer.find = [0xFF00, 0x0000]
    assert box.step().state is DeliveryState.COMMITTED


@pytest.mark.parametrize(
    ("find", "words"), [([0xA700], "C-FIND with status 0xA700"), (None, "broke off before it answered C-FIND")]
)
def test_query_that_fails_is_asked_again(
    outbox: MakeOutbox, start: StartPeer, peer: Peer, find: list[int] | None, words: str
) -> None:
    peer.find = find
    box = outbox(start())
    box.step()
    delivery = box.step()
    assert delivery.state is DeliveryState.SENT
    assert words in delivery.last_error
    peer.find = [0xFF00, 0x0000]
    box.skip_the_wait()
    assert box.step().state is DeliveryState.COMMITTED


def test_peer_without_query_is_a_dead_letter_that_names_the_other_proof(outbox: MakeOutbox, start: StartPeer) -> None:
    box = outbox(start((SR,)))
    box.step()
    delivery = box.step()
    assert delivery.state is DeliveryState.FAILED
    assert "takes no Study Root Query/Retrieve Information Model - FIND" in delivery.last_error
    assert "--proof acknowledgement" in delivery.last_error


def test_answer_is_the_proof_where_that_is_agreed(outbox: MakeOutbox, start: StartPeer, peer: Peer) -> None:
    box = outbox(start((SR,)), proof=Proof.ACKNOWLEDGEMENT)
    delivery = box.step()
    assert (delivery.state, delivery.proven_by, box.book()) == (
        DeliveryState.COMMITTED,
        "acknowledgement",
        Book.DELIVERED,
    )


def test_four_threads_send_once(outbox: MakeOutbox, start: StartPeer, peer: Peer) -> None:
    box = outbox(start((SR,)), proof=Proof.ACKNOWLEDGEMENT)
    threads = [threading.Thread(target=box.sender.deliver_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(peer.received) == 1
    assert box.delivery().state is DeliveryState.COMMITTED


# --- nobody answered: the peer may have it ----------------------------------------------------------------------------


def arrive(database: Database, study: str, instance: str) -> None:
    head = Header("1.2.840.10008.5.1.4.1.1.1.1", instance, study, "1.2.3", "P1", "", "", "")
    digest = hashlib.sha256(instance.encode()).hexdigest()
    with database.write() as tx:
        worklist.record_instance(tx, Arrival(head, "1.2.840.10008.1.2.1", digest, 1, "PACS"), datetime.now(UTC))


def first_book(database: Database) -> Book:
    """The book of the revision that was called off."""
    with database.read() as tx:
        return tx.scalars(select(Revision.book).order_by(Revision.id)).all()[0]


@pytest.mark.parametrize("trouble", ["time-out", "abort"])
@pytest.mark.parametrize("called_off", ["during", "after"])
def test_what_was_called_off_and_got_through_without_an_answer_is_booked_as_there(
    outbox: MakeOutbox, start: StartPeer, peer: Peer, trouble: str, called_off: str
) -> None:
    peer.may_answer.clear()
    peer.status = 0x0000 if trouble == "time-out" else None
    box = outbox(start(), answer_seconds=3 if trouble == "time-out" else 60)
    attempt = threading.Thread(target=box.sender.deliver_one)
    attempt.start()
    wait_until(lambda: peer.received, "the object")
    if called_off == "during":
        arrive(box.database, STUDY, "1.2.3.2")
        assert box.delivery().state is DeliveryState.CANCELED
    if trouble == "abort":
        peer.may_answer.set()
    attempt.join()
    peer.may_answer.set()
    if called_off == "after":
        assert (box.delivery().state, box.delivery().sent_at is None) == (DeliveryState.QUEUED, False)
        arrive(box.database, STUDY, "1.2.3.2")
    assert (box.delivery().state, first_book(box.database)) == (DeliveryState.SENT, Book.IN_FLIGHT)
    delivery = box.step()
    assert (delivery.state, delivery.proven_by, first_book(box.database)) == (
        DeliveryState.COMMITTED,
        "query",
        Book.DELIVERED,
    )


@pytest.mark.parametrize("reason", ["refused", "away", "rejected"])
def test_what_was_called_off_and_certainly_did_not_get_through_is_canceled(
    outbox: MakeOutbox, start: StartPeer, peer: Peer, reason: str
) -> None:
    peer.status = 0xA700
    manners: dict[str, Any] = {"require_calling_aet": ["OTHER"]} if reason == "rejected" else {}
    box = outbox(free_port() if reason == "away" else start(**manners))
    assert (box.step().state, box.delivery().sent_at) == (DeliveryState.QUEUED, None)
    arrive(box.database, STUDY, "1.2.3.2")
    assert (box.delivery().state, first_book(box.database)) == (DeliveryState.CANCELED, Book.CLOSED)


# --- a silent peer ----------------------------------------------------------------------------------------------------


@contextmanager
def silent_server() -> Iterator[tuple[int, list[socket.socket]]]:
    """A port that takes every connection and never says a word."""
    callers: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            while True:
                try:
                    callers.append(server.accept()[0])
                except OSError:
                    return

        taker = threading.Thread(target=take, daemon=True)
        taker.start()
        yield server.getsockname()[1], callers
        server.shutdown(socket.SHUT_RDWR)
    taker.join()
    for caller in callers:
        caller.close()


def queue_studies(box: Outbox, destination: str, port: int, count: int) -> None:
    with box.database.read() as tx:
        digest = tx.scalars(select(Delivery.digest).limit(1)).one()
    peer = RemoteAE(
        ae_title=destination, host="127.0.0.1", port=port, send_to=True, mode=Mode.DRAFT, proof=Proof.ACKNOWLEDGEMENT
    )
    with box.database.write() as tx:
        tx.add(peer)
    for number in range(count):
        study = f"1.2.{sum(destination.encode())}.{number}"
        arrive(box.database, study, f"{study}.1")
        now = datetime.now(UTC) - timedelta(seconds=1)
        with box.database.write() as tx:
            worklist.complete_studies(tx, now + timedelta(seconds=2), quiet=timedelta(), deadline=timedelta())
            held = worklist.claim(
                tx, worker="w", token="t", lease=timedelta(minutes=1), now=datetime.now(UTC) + timedelta(seconds=3)
            )
            assert held is not None
            outgoing = Outgoing(destination, Kind.BASIC_TEXT, Stage.DRAFT, SR, f"2.25.{number}", "", digest)
            worklist.finish(tx, held, [outgoing], nothing_leaves=Ending(Book.CLOSED), now=now)


def test_silent_peer_holds_up_nobody_else_and_is_not_tried_by_every_object(
    outbox: MakeOutbox, start: StartPeer, peer: Peer
) -> None:
    with silent_server() as (silent_port, callers):
        box = outbox(start((SR,)), proof=Proof.ACKNOWLEDGEMENT, answer_seconds=15)
        queue_studies(box, "SILENT", silent_port, 8)
        queue_studies(box, "OTHER", start((SR,)), 8)
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                if not box.sender.deliver_one():
                    time.sleep(0.05)

        def states(destination: str) -> list[DeliveryState]:
            with box.database.read() as tx:
                chosen = select(Delivery.state).where(Delivery.destination == destination)
                return list(tx.scalars(chosen))

        def failed() -> int:
            with box.database.read() as tx:
                return len(tx.scalars(select(AuditRow.id).where(AuditRow.event == "delivery-attempt-failed")).all())

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: set(states("OTHER")) == {DeliveryState.COMMITTED}, "the other destination")
            ended, tried = failed(), len(callers)
            wait_until(lambda: failed() == 2, "the silent one's time-outs")
            time.sleep(2)  # in which the others wait
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert ended == 0, "the other destination waited for the silent one"
        assert (tried, len(callers)) == (2, 2), "more than two called, or the others did not wait"
        assert states("SILENT") == [DeliveryState.QUEUED] * 8
        assert len(peer.received) == 9
