"""The sums of quality for a span of days: made by one thread at a time, and kept for a minute.

30,000 decisions take about a second of a processor, in which other pages wait: many who look must not multiply it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from dicom_node.database import Database, clock
from reports import quality
from reports.quality import Agreement, Case, Outcome

KEPT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Sums:
    """Everything about the drafts of one span. at: when it was counted."""

    at: datetime
    whole: Outcome
    weeks: tuple[Outcome, ...]
    devices: tuple[Outcome, ...]
    readers: tuple[Outcome, ...]
    findings: tuple[Agreement, ...]


class Ledger:
    """One for all pages; safe to use from several threads."""

    def __init__(self, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._elapsed = elapsed
        self._alone = Lock()
        self._kept: dict[int, tuple[float, Sums]] = {}

    def sums(self, database: Database, days: int) -> Sums:
        """Of the decisions of the last days; up to a minute old."""
        with self._alone:
            now = self._elapsed()
            self._kept = {span: kept for span, kept in self._kept.items() if now - kept[0] < KEPT_SECONDS}
            if days not in self._kept:
                made = _sums(*_cases(database, days))
                self._kept[days] = (self._elapsed(), made)
            return self._kept[days][1]

    def cases(self, database: Database, days: int) -> list[Case]:
        """The decisions themselves, which are not kept: 30,000 fill some 20 MiB."""
        with self._alone:
            return _cases(database, days)[1]


def _cases(database: Database, days: int) -> tuple[datetime, list[Case]]:
    with database.read() as tx:
        now = clock(tx)
        return now, quality.cases(tx, now - timedelta(days=days))


def _sums(at: datetime, chosen: list[Case]) -> Sums:
    return Sums(
        at=at,
        whole=quality.outcome("all", chosen),
        weeks=tuple(quality.grouped(chosen, quality.week_of)),
        devices=tuple(quality.grouped(chosen, quality.device_of)),
        readers=tuple(quality.grouped(chosen, quality.reader_of)),
        findings=tuple(quality.agreement(chosen)),
    )
