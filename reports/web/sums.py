"""The sums of quality for a span of days: made by one thread at a time, and kept while nothing has changed.

30,000 decisions take about a second of a processor, in which other pages wait: many who look must not multiply it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Final, NamedTuple

from sqlalchemy import func, select

from dicom_node.database import Database, clock
from reports import quality
from reports.quality import Agreement, Case, Outcome
from reports.signoff.tables import Decision

KEPT_SECONDS: Final = 60.0  # without a look at whether something has changed


@dataclass(frozen=True, slots=True)
class Sums:
    """Everything about the drafts of one span. at: when it was counted."""

    at: datetime
    whole: Outcome
    weeks: tuple[Outcome, ...]
    sites: tuple[Outcome, ...]
    devices: tuple[Outcome, ...]
    readers: tuple[Outcome, ...]
    findings: tuple[Agreement, ...]


class _Mark(NamedTuple):
    """What is another one as soon as a decision of the span comes, is withdrawn, or grows too old."""

    number: int
    newest: int | None
    withdrawn: int


class _Kept(NamedTuple):
    looked: float
    mark: _Mark
    sums: Sums


class Ledger:
    """One for all pages; safe to use from several threads."""

    def __init__(self, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._elapsed = elapsed
        self._alone = Lock()
        self._kept: dict[int, _Kept] = {}

    def sums(self, database: Database, days: int) -> Sums:
        """Of the decisions of the last days; up to a minute old."""
        with self._alone:
            kept = self._kept.get(days)
            if kept is None or self._elapsed() - kept.looked >= KEPT_SECONDS:
                kept = self._kept[days] = _Kept(self._elapsed(), *_anew(database, days, kept))
            return kept.sums

    def cases(self, database: Database, days: int) -> list[Case]:
        """The decisions themselves, which are not kept: 30,000 fill some 20 MiB."""
        with self._alone:
            return _cases(database, days)[1]


def _anew(database: Database, days: int, kept: _Kept | None) -> tuple[_Mark, Sums]:
    with database.read() as tx:
        now = clock(tx)
        counted = func.count(), func.max(Decision.id), func.count(Decision.withdrawn_at)
        found = tx.execute(select(*counted).where(Decision.decided_at >= now - timedelta(days=days))).one()
    mark = _Mark(*found)
    if kept is not None and kept.mark == mark:
        return mark, replace(kept.sums, at=now)
    return mark, _sums(*_cases(database, days))


def _cases(database: Database, days: int) -> tuple[datetime, list[Case]]:
    with database.read() as tx:
        now = clock(tx)
        return now, quality.cases(tx, now - timedelta(days=days))


def _sums(at: datetime, chosen: list[Case]) -> Sums:
    return Sums(
        at=at,
        whole=quality.outcome("all", chosen),
        weeks=tuple(quality.grouped(chosen, quality.week_of)),
        sites=tuple(quality.grouped(chosen, quality.site_of)),
        devices=tuple(quality.grouped(chosen, quality.device_of)),
        readers=tuple(quality.grouped(chosen, quality.reader_of)),
        findings=tuple(quality.agreement(chosen)),
    )
