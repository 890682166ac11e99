"""Storage commitment of what we send: asked, reported in every way, and acted on; it outlives the sender."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    BasicTextSRStorage,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
)
from sqlalchemy import select, update

from dicom_node import books
from dicom_node.commitment_service import Commitment
from dicom_node.commitment_tables import Asked
from dicom_node.commitment_tables import Commitment as Row
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.files import make_store, write_document
from dicom_node.kinds import Kind, Stage
from dicom_node.listener import Listener
from dicom_node.tables import Book, Delivery, DeliveryState, Proof, RemoteAE, Revision
from dicom_node.worklist import Outgoing, enqueue
from tests.harness import dcmtk
from tests.harness.archive import Archive
from tests.harness.node import free_port, wait_until
from tests.harness.orthanc import TITLE, Orthanc
from tests.harness.outbox import Outbox, document, encoded
from tests.harness.parcels import object_of
from tests.harness.sending import sending

MakeOutbox = Callable[..., Outbox]


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    """What is written is tried on both databases in the unit tests; here it is about what peers say."""
    opened = Database(sqlite_url, busy_seconds=10)
    yield opened
    opened.close()


@pytest.fixture
def archive() -> Iterator[Archive]:
    with Archive() as opened:
        yield opened


@pytest.fixture
def outbox(database: Database, tmp_path: Path) -> Iterator[MakeOutbox]:
    made: list[Outbox] = []

    def make(port: int, **settings: Any) -> Outbox:
        settings = {"answer_seconds": 30, **settings}
        made.append(Outbox(database, tmp_path / "data", port=port, proof=Proof.COMMITMENT, **settings))
        return made[-1]

    yield make
    for box in made:
        box.commitment.close()
        box.transport.close()
    with database.read() as tx:
        assert books.balance(tx).problems == ()


@contextmanager
def our_port(database: Database, folder: Path) -> Iterator[int]:
    """Our listener with storage commitment."""
    config = NodeConfig(bind_address="127.0.0.1", port=free_port(), data_folder=folder, reserve_mebibytes=1)
    make_store(config.store_folder, "here")
    listener = Listener(config, database, [Commitment(config, database)])
    listener.start()
    try:
        yield config.port
    finally:
        listener.stop(patience_seconds=5)


def rows(box: Outbox) -> list[Row]:
    with box.database.read() as tx:
        return list(tx.scalars(select(Row).order_by(Row.id)))


def states(box: Outbox) -> list[DeliveryState]:
    with box.database.read() as tx:
        return list(tx.scalars(select(Delivery.state).order_by(Delivery.id)))


def until_due(box: Outbox) -> Delivery:
    """Let the sender do the next thing as soon as it is due."""
    wait_until(box.sender.deliver_one, "something to be due", seconds=60)
    return box.delivery()


def ask(box: Outbox) -> Delivery:
    """Send the object and ask for its commitment."""
    assert box.step().state is DeliveryState.SENT
    box.skip_the_wait()
    return box.step()


def test_report_on_the_same_association_is_the_proof(outbox: MakeOutbox, archive: Archive) -> None:
    box = outbox(archive.port)
    delivery = ask(box)
    assert (delivery.state, box.book()) == (DeliveryState.SENT, Book.IN_FLIGHT)
    (asked,) = archive.asked
    assert [item.ReferencedSOPInstanceUID for item in asked.ReferencedSOPSequence] == [document().SOPInstanceUID]
    archive.wait_for_answers()
    assert archive.answers == [0x0000]
    delivery = until_due(box)
    assert (delivery.state, delivery.proven_by, box.book()) == (DeliveryState.COMMITTED, "commitment", Book.DELIVERED)
    assert archive.queries == 0


def test_report_on_a_new_association_to_our_port_is_the_proof(
    outbox: MakeOutbox, archive: Archive, tmp_path: Path
) -> None:
    box = outbox(archive.port)
    with our_port(box.database, tmp_path / "node") as archive.our_port:
        archive.report = "new"
        ask(box)
        archive.wait_for_answers()
        assert archive.answers == [0x0000]
        assert until_due(box).state is DeliveryState.COMMITTED
    assert archive.queries == 0


def test_delivery_waits_for_the_report_without_asking_again(outbox: MakeOutbox, archive: Archive) -> None:
    archive.report = "never"
    box = outbox(archive.port, commitment_seconds=3600)
    delivery = ask(box)
    assert (delivery.attempts, delivery.claim_token) == (0, "")
    assert 1800 < box.wait_seconds() <= 3600
    box.skip_the_wait()
    box.step()
    assert (len(archive.asked), archive.queries) == (1, 0)


def test_without_a_report_in_time_a_query_is_the_proof(outbox: MakeOutbox, archive: Archive) -> None:
    archive.report = "never"
    box = outbox(archive.port, commitment_seconds=1)
    ask(box)
    delivery = until_due(box)
    assert (delivery.state, delivery.proven_by) == (DeliveryState.COMMITTED, "query")
    assert archive.queries == 1


def test_without_a_report_and_without_a_hit_it_is_sent_and_asked_again(outbox: MakeOutbox, archive: Archive) -> None:
    archive.report, archive.finds = "never", False
    box = outbox(archive.port, commitment_seconds=0.5)
    ask(box)
    until_due(box)
    while states(box) == [DeliveryState.SENT]:
        box.skip_the_wait()
        box.step()
    assert (states(box), archive.queries) == ([DeliveryState.QUEUED], 5)
    archive.report = "same"
    box.skip_the_wait()
    ask(box)
    assert len(archive.stored) == len(archive.asked) == 2
    archive.wait_for_answers()
    assert until_due(box).state is DeliveryState.COMMITTED


def test_who_neither_reports_nor_takes_questions_is_asked_for_commitment_again(outbox: MakeOutbox) -> None:
    with Archive(classes=(BasicTextSRStorage, StorageCommitmentPushModel)) as archive:
        archive.report = "never"
        box = outbox(archive.port, commitment_seconds=0.5)
        ask(box)
        delivery = until_due(box)
        assert delivery.state is DeliveryState.SENT
        assert "reported no commitment in time, and cannot be asked" in delivery.last_error
        archive.report = "same"
        box.skip_the_wait()
        box.step()
        archive.wait_for_answers()
        assert until_due(box).state is DeliveryState.COMMITTED
    assert len({asked.TransactionUID for asked in archive.asked}) == 2


@pytest.mark.parametrize(
    ("reason", "state", "words"),
    [
        (0x0110, DeliveryState.SENT, "processing failure"),
        (0x0213, DeliveryState.SENT, "it is out of resources"),
        (0x0131, DeliveryState.SENT, "the transaction UID is in use"),
        (0xA7FF, DeliveryState.SENT, "reason 0xA7FF"),
        (0x0112, DeliveryState.QUEUED, "does not have the object"),
        (0x0119, DeliveryState.FAILED, "the object is of another class there"),
        (0x0122, DeliveryState.COMMITTED, ""),
    ],
)
def test_each_reason_of_a_failure_has_its_consequence(
    outbox: MakeOutbox, archive: Archive, reason: int, state: DeliveryState, words: str
) -> None:
    archive.failures[""] = reason
    box = outbox(archive.port)
    ask(box)
    archive.wait_for_answers()
    delivery = until_due(box)
    assert delivery.state is state
    assert words in delivery.last_error
    assert rows(box)[0].failure_reason == reason
    assert archive.queries == (1 if reason == 0x0122 else 0)
    if state in {DeliveryState.SENT, DeliveryState.QUEUED}:
        archive.failures.clear()
        for _ in range(2 if state is DeliveryState.QUEUED else 1):
            box.skip_the_wait()
            box.step()
        archive.wait_for_answers(2)
        delivery = until_due(box)
        assert (delivery.state, delivery.proven_by) == (DeliveryState.COMMITTED, "commitment")
        assert len({asked.TransactionUID for asked in archive.asked}) == 2


def until_queued_again(box: Outbox, archive: Archive) -> list[float]:
    """Let the sender do whatever comes next until it sends the object again; the pauses after failed attempts."""
    pauses: list[float] = []
    ask(box)
    for _ in range(20):
        archive.wait_for_answers(len(archive.asked))
        box.skip_the_wait()
        delivery = box.step()
        if delivery.state is not DeliveryState.SENT:
            return pauses
        if delivery.last_error:
            pauses.append(box.pause())
    raise AssertionError("it is asked for ever")


def test_who_never_promises_what_it_has_is_asked_by_a_query_in_the_end(outbox: MakeOutbox, archive: Archive) -> None:
    archive.failures[""] = 0x0110
    box = outbox(archive.port)
    pauses = until_queued_again(box, archive)
    assert pauses == pytest.approx([2, 4], abs=1)
    assert (box.delivery().state, box.delivery().proven_by) == (DeliveryState.COMMITTED, "query")
    assert (len(archive.asked), archive.queries) == (3, 1)


@pytest.mark.parametrize(("reason", "asked", "queries"), [(0x0110, 3, 3), (0x0122, 1, 5)])
def test_what_is_neither_promised_nor_found_is_sent_again(
    outbox: MakeOutbox, archive: Archive, reason: int, asked: int, queries: int
) -> None:
    archive.failures[""], archive.finds = reason, False
    box = outbox(archive.port)
    pauses = until_queued_again(box, archive)
    assert pauses == pytest.approx([2, 4, 8, 16], abs=1)
    assert (box.delivery().state, box.delivery().resends) == (DeliveryState.QUEUED, 1)
    assert (len(archive.asked), archive.queries) == (asked, queries)


def test_who_commits_none_of_the_class_and_takes_no_questions_is_told_to_a_person(outbox: MakeOutbox) -> None:
    with Archive(classes=(BasicTextSRStorage, StorageCommitmentPushModel)) as archive:
        archive.failures[""] = 0x0122
        box = outbox(archive.port)
        ask(box)
        archive.wait_for_answers()
        assert until_due(box).state is DeliveryState.FAILED


def test_report_that_fails_in_part_sends_only_what_is_missing(outbox: MakeOutbox, archive: Archive) -> None:
    box = outbox(archive.port)
    other = object_of(Kind.KOS)
    queue(box, Outgoing("PACS", Kind.KOS, Stage.DRAFT, other.SOPClassUID, other.SOPInstanceUID, "", stored(box)))
    archive.failures[other.SOPInstanceUID] = 0x0112
    for _ in range(2):
        assert box.sender.deliver_one()
    box.skip_the_wait()
    assert box.sender.deliver_one()
    assert len(archive.asked) == 1, "one transaction for both"
    archive.wait_for_answers()
    for _ in range(2):
        wait_until(box.sender.deliver_one, "the answers to be due")
    assert states(box) == [DeliveryState.COMMITTED, DeliveryState.QUEUED]
    assert [row.state for row in rows(box)] == [Asked.COMMITTED, Asked.SPENT]


def queue(box: Outbox, outgoing: Outgoing) -> None:
    with box.database.write() as tx:
        enqueue(tx, tx.scalars(select(Revision)).one(), [outgoing], datetime.now(UTC), actor="test")
        tx.execute(update(Delivery).values(next_attempt_at=datetime.now(UTC) - timedelta(seconds=1)))


def stored(box: Outbox) -> str:
    return write_document(box.config.store_folder, encoded(object_of(Kind.KOS)))


@pytest.mark.parametrize("status", [0x0110, 0x0213])
def test_action_that_is_refused_for_now_is_asked_again(outbox: MakeOutbox, archive: Archive, status: int) -> None:
    archive.action_status = status
    box = outbox(archive.port)
    delivery = ask(box)
    assert delivery.state is DeliveryState.SENT
    assert f"refused storage commitment with status 0x{status:04X}" in delivery.last_error
    archive.action_status = 0x0000
    box.skip_the_wait()
    box.step()
    archive.wait_for_answers()
    assert until_due(box).state is DeliveryState.COMMITTED


@pytest.mark.parametrize("status", [0x0122, 0x0123, 0x0124, 0x0211])
def test_action_that_is_refused_for_good_leaves_the_query(outbox: MakeOutbox, archive: Archive, status: int) -> None:
    archive.action_status = status
    delivery = ask(outbox(archive.port))
    assert (delivery.state, delivery.proven_by) == (DeliveryState.COMMITTED, "query")


def test_peer_without_the_service_is_asked_by_a_query(outbox: MakeOutbox) -> None:
    with Archive(classes=(BasicTextSRStorage, StudyRootQueryRetrieveInformationModelFind)) as archive:
        delivery = ask(outbox(archive.port))
    assert (delivery.state, delivery.proven_by) == (DeliveryState.COMMITTED, "query")


def test_action_without_an_answer_may_still_be_reported_on(
    outbox: MakeOutbox, archive: Archive, tmp_path: Path
) -> None:
    archive.action_status = None
    box = outbox(archive.port)
    assert ask(box).state is DeliveryState.SENT
    with our_port(box.database, tmp_path / "node") as archive.our_port:
        assert archive.report_now() == 0x0000
    assert until_due(box).proven_by == "commitment"


def test_peer_that_is_away_is_asked_later(outbox: MakeOutbox, archive: Archive) -> None:
    box = outbox(archive.port)
    assert box.step().state is DeliveryState.SENT
    archive.entity.shutdown()
    box.skip_the_wait()
    delivery = box.step()
    assert delivery.state is DeliveryState.SENT
    assert "cannot be reached" in delivery.last_error
    assert [row.state for row in rows(box)] == [Asked.SPENT]


# --- reports that nobody expects --------------------------------------------------------------------------------------


def test_report_on_an_unknown_transaction_changes_nothing(outbox: MakeOutbox, archive: Archive, tmp_path: Path) -> None:
    archive.report = "never"
    box = outbox(archive.port)
    ask(box)
    with our_port(box.database, tmp_path / "node") as archive.our_port:
        archive.transaction_uid = "2.25.1"
        assert archive.report_now() == 0x0115
    assert [row.state for row in rows(box)] == [Asked.ASKED]


def test_report_that_comes_twice_is_taken_twice(outbox: MakeOutbox, archive: Archive, tmp_path: Path) -> None:
    box = outbox(archive.port)
    ask(box)
    archive.wait_for_answers()
    assert until_due(box).state is DeliveryState.COMMITTED
    with our_port(box.database, tmp_path / "node") as archive.our_port:
        assert archive.report_now() == 0x0000
        archive.failures[""] = 0x0112
        assert archive.report_now() == 0x0000, "a promise is kept"
    assert box.delivery().state is DeliveryState.COMMITTED
    assert [row.state for row in rows(box)] == [Asked.COMMITTED]


def test_report_about_what_was_sent_before_does_not_count(outbox: MakeOutbox, archive: Archive, tmp_path: Path) -> None:
    """It was sent again since: an old promise may be of what the peer has lost."""
    archive.report = "never"
    box = outbox(archive.port)
    ask(box)
    with box.database.write() as tx:
        tx.execute(update(Delivery).values(sent_at=datetime.now(UTC) + timedelta(seconds=1)))
    with our_port(box.database, tmp_path / "node") as archive.our_port:
        archive.report_now()
    box.skip_the_wait()
    assert box.step().state is DeliveryState.SENT
    assert len(archive.asked) == 2


# --- it outlives the sender -------------------------------------------------------------------------------------------


def test_transaction_outlives_a_sender_that_is_killed(
    outbox: MakeOutbox, archive: Archive, tmp_path: Path, database: Database
) -> None:
    archive.report = "late"
    url = database.url.render_as_string(hide_password=False)
    box = outbox(archive.port)
    with sending(url, box.config.data_folder):
        wait_until(lambda: archive.asked, "the N-ACTION", seconds=90)
    assert box.delivery().state is DeliveryState.SENT
    with our_port(database, tmp_path / "node") as archive.our_port:
        assert archive.report_now() == 0x0000
    box.free_the_dead()
    with sending(url, box.config.data_folder):
        wait_until(lambda: box.delivery().state is DeliveryState.COMMITTED, "the proof", seconds=120)
    assert (box.delivery().proven_by, len(archive.asked), len(archive.stored)) == ("commitment", 1, 1)


# --- real archives ----------------------------------------------------------------------------------------------------


def test_orthanc_commits(database: Database, tmp_path: Path) -> None:
    with our_port(database, tmp_path / "node") as port, Orthanc(tmp_path / "pacs", wetread_port=port) as pacs:
        box = Outbox(database, tmp_path / "data", port=pacs.port, proof=Proof.COMMITMENT, answer_seconds=30)
        rename(box, TITLE)
        ask(box)
        delivery = until_due(box)
        assert (delivery.state, delivery.proven_by) == (DeliveryState.COMMITTED, "commitment")
        box.transport.close()
        box.commitment.close()


def test_orthanc_does_not_commit_to_what_it_lost(database: Database, tmp_path: Path) -> None:
    with our_port(database, tmp_path / "node") as port, Orthanc(tmp_path / "pacs", wetread_port=port) as pacs:
        box = Outbox(database, tmp_path / "data", port=pacs.port, proof=Proof.COMMITMENT, answer_seconds=30)
        rename(box, TITLE)
        box.step()
        pacs.delete_everything()
        box.skip_the_wait()
        box.step()
        delivery = until_due(box)
        assert (delivery.state, rows(box)[0].failure_reason) == (DeliveryState.QUEUED, 0x0112)
        box.transport.close()
        box.commitment.close()


def rename(box: Outbox, title: str) -> None:
    with box.database.write() as tx:
        tx.execute(update(RemoteAE).values(ae_title=title))
        tx.execute(update(Delivery).values(destination=title))


def test_dcmqrscp_commits_to_nothing_and_is_asked_by_a_query(outbox: MakeOutbox, tmp_path: Path) -> None:
    with dcmtk.archive(tmp_path / "qr", title="PACS") as port:
        delivery = ask(outbox(port))
    assert (delivery.state, delivery.proven_by) == (DeliveryState.COMMITTED, "query")
