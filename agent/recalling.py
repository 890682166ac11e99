"""What `dispatch` does for the lives of reports: drafts expire, and what has ended is taken back where it was sent.

The questions are answered from the tables at every step, so a crash between two of them costs nothing. Documents are
built, checked and durable before the transaction that queues them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog
from pydicom import Dataset

from agent import drafting
from agent.drafting import Desk
from dicom_node.database import clock
from dicom_node.destinations import destinations
from dicom_node.errors import WetreadError
from dicom_node.kinds import Kind
from dicom_node.transports import Destination
from reports import life, outbox, recalls
from reports.outbox import Made, Taking
from reports.recalls import Recall

log = structlog.get_logger("dispatch")

_DOCUMENTS = frozenset({Kind.BASIC_TEXT, Kind.TID1500, Kind.PDF, Kind.SC})


class Recaller:
    """One step at a time. Remembers only what it has complained of, so that it says it once."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._failed: frozenset[int] = frozenset()

    def step(self) -> int:
        """Expire what is due and take back what has ended; returns how many objects were queued."""
        self._expire()
        with self._desk.database.read() as tx:
            pending = recalls.pending(tx)
            everyone = destinations(tx) if pending else ()
        queued = 0
        failed = set()
        for recall in pending:
            try:
                queued += take_back(self._desk, recall, everyone)
            except WetreadError as error:  # a lost or damaged document: a person is told, the others go on
                failed.add(recall.report_id)
                if recall.report_id not in self._failed:
                    log.error("recall_failed", report=recall.report_id, explanation=str(error))
        self._failed = frozenset(failed)
        if queued:
            log.info("recalled", objects=queued)
        return queued

    def _expire(self) -> None:
        hours = self._desk.config.reports.expire_hours
        if not hours:
            return
        with self._desk.database.write() as tx:
            expired = life.expire(tx, clock(tx), after=timedelta(hours=hours))
        if expired.done:
            log.info("drafts_expired", reports=expired.done)


def take_back(desk: Desk, recall: Recall, everyone: Sequence[Destination]) -> int:
    """Build, store and queue what takes one report back; returns how many objects are new.

    Raises NotFound: a document is missing in the store. DocumentRefused.
    """
    made = _made(desk, recall, everyone) if recall.got else Made((), ())
    outgoing = drafting.store(desk, made.packets)
    with desk.database.write() as tx:
        now = clock(tx)
        queued = recalls.finish(tx, recall, outgoing, now)
        drafting.tell_of(tx, recall.study_id, made.left_out, now, actor="dispatch")
    return queued


def _made(desk: Desk, recall: Recall, everyone: Sequence[Destination]) -> Made:
    master = drafting.load(desk, recall.digest)
    taking = Taking(
        stage=recall.stage,
        event=recall.event,
        words=recall.words,
        drafted_at=recall.drafted_at,
        at=recall.at,
        number=recall.number,
        findings=drafting.findings_in(master),
    )
    return outbox.take_back(master, _contents(desk, recall), everyone, desk.workshop, taking)


def _contents(desk: Desk, recall: Recall) -> Mapping[str, tuple[Sequence[Dataset], frozenset[Kind]]]:
    """By destination its documents, read from the store, and the forms of its messages."""
    contents = {}
    for name, got in recall.got.items():
        documents = [drafting.load(desk, one.digest) for one in got if one.kind in _DOCUMENTS]
        contents[name] = documents, frozenset(one.kind for one in got) - _DOCUMENTS
    return contents
