"""What `dispatch` does for the lives of reports: drafts expire, and what has ended is taken back where it was sent.

The questions are answered from the tables at every step, so a crash between two of them costs nothing. Documents are
built, checked and durable before the transaction that queues them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from agent.desk import Desk
from dicom_node.database import clock
from dicom_node.destinations import destinations
from dicom_node.errors import WetreadError
from reports import life, recalls
from reports.recalls import Recall

log = structlog.get_logger("dispatch")


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
            now = clock(tx)
        self._nothing_to_do([recall for recall in pending if not recall.got], now)
        there = [recall for recall in pending if recall.got]
        if not there:
            return 0
        from agent.retraction import take_back  # noqa: PLC0415  what documents are made with takes seconds to load

        queued, failed = 0, set()
        for recall in there:
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

    def _nothing_to_do(self, nowhere: Sequence[Recall], now: datetime) -> None:
        """Book that nobody has what has ended. What is not known yet is asked again at the next step."""
        known = [recall for recall in nowhere if not recall.unclear]
        if known:
            with self._desk.database.write() as tx:
                for recall in known:
                    recalls.finish(tx, recall, [], now)

    def _expire(self) -> None:
        hours = self._desk.config.reports.expire_hours
        if not hours:
            return
        with self._desk.database.write() as tx:
            expired = life.expire(tx, clock(tx), after=timedelta(hours=hours))
        if expired.done:
            log.info("drafts_expired", reports=expired.done)
