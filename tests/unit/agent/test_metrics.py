"""The metrics, read as Prometheus reads them, from a real database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from agent.metrics import Exposition
from dicom_node import books, worklist
from dicom_node.database import Database, clock
from dicom_node.headers import Header
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Book, Endpoint, Outcome, ProcessBeat, RemoteAE, Way
from dicom_node.worklist import Arrival, Claim, Ending, Outgoing
from reports import watches
from tests.harness.installation import install

LEASE = timedelta(minutes=5)
SECRETS = ("Example^Film", "EX-0001", "ACC0001", "1.2.826.0.1.3680043.10.999")


class Instruments:
    """A database, a clock that a test moves, and the metrics of both."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'wetread.db'}")
        install(self.database)
        with self.database.write() as tx:
            tx.add(RemoteAE(ae_title="PACS", host="127.0.0.1", send_to=True))
        self.folder = folder
        self.seconds = 0.0
        self.exposition = Exposition(self.database, folder, version="1.2.3", monotonic=lambda: self.seconds)

    def read(self) -> dict[str, float]:
        """Every sample as `name{label}`."""
        return {
            sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
            for family in text_string_to_metric_families(self.exposition.text().decode())
            for sample in family.samples
        }

    def receive(self, number: int, *, digest: str = "") -> None:
        study = f"1.2.826.0.1.3680043.10.999.{number}"
        header = Header(
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            sop_instance_uid=f"{study}.1",
            study_instance_uid=study,
            series_instance_uid=study,
            patient_id="EX-0001",
            issuer_of_patient_id="",
            accession_number="ACC0001",
            device_uid="",
        )
        arrival = Arrival(header, "1.2.840.10008.1.2.1", digest or f"{number:064x}", 1000, "PACS")
        with self.database.write() as tx:
            worklist.record_instance(tx, arrival, clock(tx))

    def complete(self) -> None:
        with self.database.write() as tx:
            worklist.complete_studies(tx, clock(tx), quiet=timedelta(0), deadline=LEASE)

    def claim(self) -> Claim:
        with self.database.write() as tx:
            held = worklist.claim(tx, worker="work@host", token="t", lease=LEASE, now=clock(tx))
        assert held is not None
        return held

    def finish(self, held: Claim) -> None:
        uid = f"2.25.{held.study_id}"
        outgoing = Outgoing("PACS", Kind.BASIC_TEXT, Stage.DRAFT, "1.2.840.10008.5.1.4.1.1.88.11", uid, "", "e" * 64)
        with self.database.write() as tx:
            worklist.finish(tx, held, [outgoing], nothing_leaves=Ending(Book.CLOSED), now=clock(tx))


@pytest.fixture
def instruments(tmp_path: Path) -> Iterator[Instruments]:
    made = Instruments(tmp_path)
    yield made
    made.database.close()


def test_every_book_and_outcome_is_there_before_anything_happened(instruments: Instruments) -> None:
    found = instruments.read()

    assert {f"wetread_revisions{{{book.value}}}" for book in Book} <= set(found)
    assert {f"wetread_receptions_total{{{outcome.value}}}" for outcome in Outcome} <= set(found)
    assert found["wetread_books_balanced"] == 1
    assert found["wetread_build_info{1.2.3}"] == 1
    assert found["wetread_oldest_scheduled_age_seconds"] == 0
    assert found["wetread_oldest_queued_age_seconds"] == 0
    assert found["wetread_free_disk_mebibytes"] > 0


def test_counts_follow_the_studies(instruments: Instruments) -> None:
    for number in range(1, 7):
        instruments.receive(number)
    instruments.receive(1)  # the same bytes again
    instruments.receive(2, digest="c" * 64)  # the same object with other bytes
    instruments.complete()
    instruments.receive(7)
    instruments.finish(instruments.claim())
    drafted = instruments.claim()
    instruments.finish(drafted)
    held, excluded = instruments.claim(), instruments.claim()
    with instruments.database.write() as tx:
        now = clock(tx)
        worklist.hold(tx, held, reason="body-part-unknown", explanation="unknown", now=now)
        worklist.exclude(tx, excluded, reason="child", explanation="a child", now=now)
        consignment = worklist.claim_delivery(tx, sender="send@host", token="s", lease=LEASE, now=now)
        assert consignment is not None
        worklist.mark_failed(tx, consignment, error="refused", now=now)
    instruments.claim()

    found = instruments.read()

    assert found["wetread_receptions_total{stored}"] == 7
    assert found["wetread_receptions_total{duplicate}"] == 1
    assert found["wetread_receptions_total{conflict}"] == 1
    assert found["wetread_revisions{in flight}"] == 5
    assert found["wetread_revisions{excluded}"] == 1
    assert found["wetread_revisions{dead-lettered}"] == 1
    stages = {stage: found[f"wetread_backlog{{{stage}}}"] for stage in ("receiving", "scheduled", "reading", "queued")}
    assert stages == {"receiving": 1, "scheduled": 1, "reading": 1, "queued": 1}
    assert found["wetread_held"] == 1
    assert found["wetread_held_because{body-part-unknown}"] == 1
    assert found["wetread_excluded{child}"] == 1
    assert found["wetread_dead_letters"] == 1
    assert found["wetread_books_balanced"] == 1


def test_ages_are_those_of_the_oldest(instruments: Instruments) -> None:
    for number in (1, 2, 3):
        instruments.receive(number)
    instruments.complete()
    instruments.finish(instruments.claim())
    with instruments.database.write() as tx:
        tx.execute(text("UPDATE revision SET opened_at = datetime(opened_at, '-90 seconds') WHERE id = 2"))
        tx.execute(text("UPDATE delivery SET queued_at = datetime(queued_at, '-200 seconds')"))
        moment = clock(tx) - timedelta(seconds=40)
        tx.add(ProcessBeat(name="send@host", pid=1, started_at=moment, beat_at=moment))

    found = instruments.read()

    assert found["wetread_oldest_scheduled_age_seconds"] == pytest.approx(90, abs=10)
    assert found["wetread_oldest_queued_age_seconds"] == pytest.approx(200, abs=10)
    assert found["wetread_process_last_beat_age_seconds{send@host}"] == pytest.approx(40, abs=10)


def test_pause_is_seen(instruments: Instruments) -> None:
    with instruments.database.write() as tx:
        worklist.switch(tx, "pause-send", on=True, now=clock(tx), actor="person:test")

    found = instruments.read()

    assert (found["wetread_paused{work}"], found["wetread_paused{send}"]) == (0, 1)


def test_books_that_do_not_balance_are_told_within_a_minute_and_no_oftener_proven(instruments: Instruments) -> None:
    instruments.receive(1)
    assert instruments.read()["wetread_books_balanced"] == 1
    with instruments.database.write() as tx:
        tx.execute(text("DELETE FROM reception"))
    with instruments.database.read() as tx:
        assert books.balance(tx).problems

    instruments.seconds = 59.9
    assert instruments.read()["wetread_books_balanced"] == 1
    instruments.seconds = 60.0
    assert instruments.read()["wetread_books_balanced"] == 0


def test_metrics_hold_no_patient_and_no_identifier_of_a_study(instruments: Instruments) -> None:
    instruments.receive(1)
    instruments.complete()
    instruments.finish(instruments.claim())

    written = instruments.exposition.text().decode()

    assert "wetread_revisions" in written
    assert [secret for secret in SECRETS if secret in written] == []
    assert "2.25." not in written


def test_database_that_does_not_answer_is_an_error_and_no_zero(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    exposition = Exposition(database, tmp_path, version="1", monotonic=lambda: 0.0)

    with pytest.raises(OperationalError):
        exposition.text()
    database.close()


def test_servers_that_are_asked_for_signed_reports_count_where_they_are(instruments: Instruments) -> None:
    with instruments.database.write() as tx:
        now = clock(tx)
        for name in ("EHR", "NEW"):
            tx.add(Endpoint(name=name, way=Way.FHIR, url="http://ehr/fhir"))
        watches.succeed(tx, "EHR", now, now - timedelta(seconds=90))
        watches.fail(tx, "EHR", now, "EHR answered 503", now)
    assert not [name for name in instruments.read() if name.startswith("wetread_watch")]

    asking = Exposition(instruments.database, instruments.folder, version="1", monotonic=lambda: 0.0, watches=True)
    instruments.exposition = asking
    found = {name: value for name, value in instruments.read().items() if name.startswith("wetread_watch")}

    assert found.pop("wetread_watch_last_heard_age_seconds{EHR}") >= 89
    assert found == {"wetread_watch_failing{EHR}": 1, "wetread_watch_failing{NEW}": 0}
