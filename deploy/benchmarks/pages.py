"""The worklist page with many studies: seconds from the request to the whole answer, in this process.

    python deploy/benchmarks/pages.py [--studies 10000] [--database URL] [--rounds 15]

Rows as a busy node has them after months: most signed, a fifth drafts that wait, some held, dead letters, a queue. The
database is an empty one at URL (PostgreSQL), or SQLite in a temporary folder. Limit: the first page within 200 ms, in
the median. Exits 1 above it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import insert, text
from starlette.testclient import TestClient

from agent import schema
from agent.config import Config
from agent.pages import make_pages
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import (
    AuditRow,
    Book,
    Delivery,
    DeliveryState,
    Instance,
    Outcome,
    Reception,
    RemoteAE,
    Revision,
    Role,
    Study,
    StudyState,
    Workitem,
    WorkitemState,
)
from reports.glance import Glance, Urgency, marked
from reports.tables import Event, Report, ReportState

LIMIT = 0.2  # seconds
ADDRESSES: Final = (
    "/?show=all",
    "/?show=drafts",
    "/?show=drafts&finding=Pneumothorax",
    "/?show=signed",
    "/?show=held",
    "/?q=ACC0000",
    "/?q=EX-9",
    "/?show=all&before=200",
    "/worklist/rows?show=drafts&shown=1,2,3&changed=1",
)
_UID = "2.25.1234567890123456789012345678901"
_DX = "1.2.840.10008.5.1.4.1.1.1.1"
_SR = "1.2.840.10008.5.1.4.1.1.88.11"
_BATCH = 500

Rows = dict[type[Any], list[dict[str, Any]]]


def fate(number: int) -> tuple[Book, ReportState | None]:
    """What became of a study: 6 of 10 signed, 2 of 10 drafts that wait."""
    kind = number % 100
    if kind < 60:
        return Book.DELIVERED, ReportState.VERIFIED
    if kind < 80:
        return Book.DELIVERED, ReportState.DRAFT
    if kind < 90:
        return Book.EXCLUDED, None
    if kind < 94:
        return Book.CLOSED, ReportState.EXPIRED
    if kind < 96:
        return Book.DEAD_LETTERED, None
    return Book.IN_FLIGHT, None


def rows_of(number: int, now: datetime, studies: int) -> Rows:
    """All rows of one study; number from 1."""
    book, state = fate(number)
    at = now - timedelta(minutes=5 * (studies - number))
    uid, digest = f"{_UID}.{number}", f"{number:064x}"
    workitem = {
        "id": number,
        "uid": f"{uid}.2",
        "revision_id": number,
        "next_attempt_at": at,
        "state": _workitem_of(book),
        "priority": 0 if number % 20 == 0 else 5,
    }
    rows = _arrived(number, at, uid, digest, book)
    rows |= {
        Workitem: [workitem],
        AuditRow: [{"at": at, "actor": "listen", "event": event, "study_id": number} for event in _EVENTS],
    }
    return rows | (_reported(number, at, uid, digest, state) if state is not None else {})


def _arrived(number: int, at: datetime, uid: str, digest: str, book: Book) -> Rows:
    whose = {
        "patient_id": f"EX-{number % 3000:05d}",
        "issuer_of_patient_id": "",
        "accession_number": f"ACC{number:07d}",
    }
    study = {
        **whose,
        "id": number,
        "study_instance_uid": uid,
        "state": StudyState.COMPLETE,
        "revision": 1,
        "first_received_at": at,
        "last_received_at": at,
        "completed_at": at,
        "hold_reason": "two-patients" if number % 1000 == 999 else "",
    }
    revision = {
        "id": number,
        "study_id": number,
        "number": 1,
        "book": book,
        "opened_at": at,
        "reason": "child" if book is Book.EXCLUDED else "",
        "closed_at": None if book is Book.IN_FLIGHT else at,
    }
    instance = {
        **whose,
        "id": number,
        "study_id": number,
        "revision": 1,
        "sop_instance_uid": f"{uid}.1.1",
        "sop_class_uid": _DX,
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "role": Role.IMAGE,
        "digest": digest,
        "size": 10_000_000,
        "calling_ae_title": "XRAY1",
        "received_at": at,
    }
    reception = {"at": at, "calling_ae_title": "XRAY1", "outcome": Outcome.STORED, "instance_id": number}
    return {Study: [study], Revision: [revision], Instance: [instance], Reception: [reception]}


_EVENTS: Final = (
    "study-opened",
    "study-complete",
    "workitem-claimed",
    "draft-recorded",
    "delivery-sent",
    "delivery-committed",
    "revision-delivered",
)


def _workitem_of(book: Book) -> WorkitemState:
    if book is Book.IN_FLIGHT:
        return WorkitemState.SCHEDULED
    return WorkitemState.CANCELED if book in {Book.EXCLUDED, Book.DEAD_LETTERED} else WorkitemState.COMPLETED


def _reported(number: int, at: datetime, uid: str, digest: str, state: ReportState) -> Rows:
    found = "Pneumothorax" if number % 50 == 3 else "Cardiomegaly"
    urgency = Urgency.CRITICAL if found == "Pneumothorax" else Urgency.PLAIN
    report = {
        "id": number,
        "revision_id": number,
        "state": state,
        "sop_instance_uid": f"{uid}.3",
        "digest": digest,
        "film_digest": digest,
        "reader": "CXR-LLaVA v2 bf16",
        "reader_digest": digest,
        "generation": "greedy",
        "drafted_at": at,
        "changed_at": at,
        "event": Event.DRAFTED,
        "taken_back_at": at if state is ReportState.EXPIRED else None,
    }
    deliveries = [
        {
            "revision_id": number,
            "destination": name,
            "kind": Kind.BASIC_TEXT,
            "stage": Stage.SIGNED if state is ReportState.VERIFIED else Stage.DRAFT,
            "sop_class_uid": _SR,
            "sop_instance_uid": f"{uid}.3",
            "digest": digest,
            "state": DeliveryState.COMMITTED,
            "next_attempt_at": at,
            "queued_at": at,
            "sent_at": at,
            "committed_at": at,
            "proven_by": "query",
        }
        for name in ("PACS", "ARCHIVE")
    ]
    glance = {"report_id": number, "urgency": int(urgency), "present": marked([found]), "modality": "DX", "view": "PA"}
    return {Report: [report], Delivery: deliveries, Glance: [glance]}


def fill(database: Database, studies: int) -> None:
    """Enter so many studies."""
    now = datetime.now(UTC)
    with database.write() as tx:
        tx.execute(insert(RemoteAE), [{"ae_title": "XRAY1", "host": "10.0.0.5", "may_send": True, "send_to": True}])
    for first in range(1, studies + 1, _BATCH):
        together: Rows = {}
        for number in range(first, min(first + _BATCH, studies + 1)):
            for table, rows in rows_of(number, now, studies).items():
                together.setdefault(table, []).extend(rows)
        with database.write() as tx:
            for table, rows in together.items():
                tx.execute(insert(table), rows)


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds of the requests for one address. computed: of this process, however busy the machine is."""

    address: str
    waited: Sequence[float]
    computed: Sequence[float]


def measure(web: TestClient, addresses: Sequence[str], rounds: int) -> Iterator[Taken]:
    """Ask for each address; the first answer of each is not counted."""
    for address in addresses:
        waited, computed = [], []
        for turn in range(rounds + 1):
            began, ran = time.perf_counter(), time.process_time()
            answer = web.get(address)
            if turn:
                waited.append(time.perf_counter() - began)
                computed.append(time.process_time() - ran)
            if answer.status_code != 200:
                raise SystemExit(f"{address} answered {answer.status_code}")
        yield Taken(address, waited, computed)


def run(database: Database, folder: Path, studies: int, rounds: int) -> Mapping[str, float]:
    """Fill the database, measure, print; returns medians."""
    schema.upgrade(database)
    fill(database, studies)
    with database.engine.begin() as connection:
        connection.execute(text("ANALYZE"))  # as PostgreSQL's autovacuum does within minutes
    web = TestClient(make_pages(Config(node=NodeConfig(data_folder=folder)), database), base_url="http://localhost")
    medians = {}
    print(f"{studies} studies, {database.url.get_backend_name()}; ms: median, slowest of {rounds}, computed")
    for taken in measure(web, ADDRESSES, rounds):
        medians[taken.address] = statistics.median(taken.waited)
        figures = (medians[taken.address], max(taken.waited), statistics.median(taken.computed))
        print(" ".join(f"{one * 1000:7.0f}" for one in figures), f" {taken.address}", flush=True)
    return medians


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--database", default="", help="address of an empty PostgreSQL database")
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = Database(asked.database or f"sqlite:///{folder / 'wetread.db'}")
        medians = run(database, folder, asked.studies, asked.rounds)
        database.close()
    sys.exit(medians[ADDRESSES[0]] > LIMIT)


if __name__ == "__main__":
    main()
