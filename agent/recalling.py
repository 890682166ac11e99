"""What `dispatch` does for the lives of reports: drafts expire, and what has ended is taken back where it was sent.

The questions are answered from the tables at every step, so a crash between two of them costs nothing. Documents are
built, checked and durable before the transaction that queues them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog
from pydicom.errors import InvalidDicomError

from agent.desk import Desk
from dicom_node.database import clock
from dicom_node.destinations import destinations, takes
from dicom_node.errors import WetreadError
from dicom_node.kinds import Kind, Stage
from dicom_node.transports import Destination
from reports import hidings, life, recalls
from reports.hidings import Hiding
from reports.recalls import Recall

log = structlog.get_logger("dispatch")

# What a library may raise on a document of ours: one report that cannot be taken back must not stop everything else.
_UNFORESEEN = (
    ArithmeticError,
    AttributeError,
    InvalidDicomError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class Recaller:
    """One page of what is to be taken back at a time, so that nothing that cannot be done keeps the rest waiting.

    Remembers only where it is, and what it has complained of, so that it says it once.
    """

    def __init__(self, desk: Desk, *, at_once: int = recalls.AT_ONCE) -> None:
        self._desk = desk
        self._at_once = at_once
        self._failed: frozenset[int] = frozenset()
        self._after = 0
        self._after_signed = 0

    def step(self) -> int:
        """Expire what is due, take back what has ended, and hide what was signed where the site wants that.

        Returns how many objects were queued.
        """
        self._expire()
        hidden = self._hide() if self._desk.config.reports.hide_draft_after_signing else 0
        return hidden + self._take_back_ended()

    def _hide(self) -> int:
        with self._desk.database.read() as tx:
            pending = hidings.pending(tx, clock(tx), after=self._after_signed, limit=self._at_once)
            everyone = destinations(tx) if pending else ()
        self._after_signed = pending[-1].report_id if len(pending) == self._at_once else 0
        told = {to.name for to in everyone if takes(to, Kind.KOS, Stage.HIDING)}
        due = [one for one in pending if not one.unclear or not told.isdisjoint(one.got)]
        queued = sum(self._try(one, partial(self._hide_one, one, everyone)) for one in due)
        if queued:
            log.info("drafts_hidden", objects=queued)
        return queued

    def _hide_one(self, hiding: Hiding, everyone: Sequence[Destination]) -> int:
        from agent.retraction import hide  # noqa: PLC0415  as below

        return hide(self._desk, hiding, everyone)

    def _take_back_ended(self) -> int:
        with self._desk.database.read() as tx:
            pending = recalls.pending(tx, after=self._after, limit=self._at_once)
            everyone = destinations(tx) if pending else ()
            now = clock(tx)
        self._after = pending[-1].report_id if len(pending) == self._at_once else 0
        self._nothing_to_do([recall for recall in pending if not recall.got], now)
        # who cannot be told is booked at the end, when all of it is clear
        there = [one for one in pending if one.got and (not one.unclear or recalls.can_tell(one, everyone))]
        if not there:
            return 0
        queued = sum(self._try(recall, partial(self._take_back, recall, everyone)) for recall in there)
        if queued:
            log.info("recalled", objects=queued)
        return queued

    def _take_back(self, recall: Recall, everyone: Sequence[Destination]) -> int:
        from agent.retraction import take_back  # noqa: PLC0415  what documents are made with takes seconds to load

        return take_back(self._desk, recall, everyone)

    def _try(self, one: Recall | Hiding, act: Callable[[], int]) -> int:
        """What cannot be done is told once, and keeps nothing else waiting."""
        known = one.report_id in self._failed
        try:
            queued = act()
        except WetreadError as error:  # a lost or damaged document: a person is told, the others go on
            if not known:
                log.error("recall_failed", report=one.report_id, study=one.study_id, explanation=str(error))
            self._failed |= {one.report_id}
            return 0
        except _UNFORESEEN:
            if not known:
                log.exception("recall_failed", report=one.report_id, study=one.study_id)
            self._failed |= {one.report_id}
            return 0
        self._failed -= {one.report_id}
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
