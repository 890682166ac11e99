"""The metrics: counted from the database at each look, so that they are true after any restart. No patient in them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from dicom_node import books, worklist
from dicom_node.books import Backlog
from dicom_node.database import Database, clock
from dicom_node.destinations import destinations
from dicom_node.files import free_mebibytes
from dicom_node.tables import Book, Outcome, ProcessBeat, Reception, Revision, Study, Way, Workitem
from dicom_node.worklist import gaps
from reports.watches import Watch

_BALANCE_SECONDS = 60.0  # the proof looks at every revision


class Exposition:
    """Writes the metrics as Prometheus text. One object per process; safe to use from several threads."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        version: str,
        monotonic: Callable[[], float],
        certificates: Callable[[datetime], Mapping[str, float]] = lambda _now: {},
        watches: bool = False,
    ) -> None:
        """folder: where free space counts. monotonic: seconds that never go back.

        certificates: setting -> days until that certificate expires.
        watches: FHIR servers are asked for signed reports.
        """
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Certificates(certificates))
        self._registry.register(_Books(database, folder, version, monotonic, watches=watches))

    def text(self) -> bytes:
        """Prometheus text format 0.0.4. Raises SQLAlchemyError where the database does not answer."""
        return generate_latest(self._registry)


class _Books(Collector):
    """Asks the database whenever somebody looks."""

    def __init__(
        self, database: Database, folder: Path, version: str, monotonic: Callable[[], float], *, watches: bool
    ) -> None:
        self._watches = watches
        self._database = database
        self._folder = folder
        self._version = version
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._balanced: tuple[float, bool] | None = None

    def collect(self) -> Iterator[Metric]:
        """All families, from one consistent view."""
        yield _by("wetread_build_info", "Version of this program; always 1.", "version", {self._version: 1})
        with self._database.read() as tx:
            now = clock(tx)
            yield from _counts(tx)
            yield from _reasons(tx)
            yield from _backlog(books.backlog(tx), now)
            yield from _processes(tx, now)
            if self._watches:
                yield from _heard(tx, now)
            yield GaugeMetricFamily(
                "wetread_missing_studies",
                "Studies with chest films that a peer has and we do not.",
                gaps.count_open(tx),
            )
        balanced = self._balance()
        yield GaugeMetricFamily(
            "wetread_books_balanced", "1 where every study and object is accounted for.", float(balanced)
        )
        yield from self._disk()

    def _balance(self) -> bool:
        """Whether the books balance, at most a minute old."""
        with self._lock:
            now = self._monotonic()
            if self._balanced is None or now - self._balanced[0] >= _BALANCE_SECONDS:
                with self._database.read() as tx:
                    self._balanced = (now, not books.balance(tx).problems)
            return self._balanced[1]

    def _disk(self) -> Iterator[Metric]:
        try:
            free = free_mebibytes(self._folder)
        except OSError:  # no folder, no number: an alert on its absence is right
            return
        yield GaugeMetricFamily("wetread_free_disk_mebibytes", "Free space where the data lie, in MiB.", free)


class _Certificates(Collector):
    """Reads the files whenever somebody looks."""

    def __init__(self, days_left: Callable[[datetime], Mapping[str, float]]) -> None:
        self._days_left = days_left

    def collect(self) -> Iterator[Metric]:
        """None where nothing is configured."""
        found = self._days_left(datetime.now(UTC))
        if found:
            words = "Until a certificate expires; below 0 afterwards."
            yield _by("wetread_certificate_days_left", words, "setting", found)


def _counts(tx: Session) -> Iterator[Metric]:
    by_book = dict(tx.execute(select(Revision.book, func.count()).group_by(Revision.book)).all())
    yield _by(
        "wetread_revisions",
        "Study revisions in each book.",
        "book",
        {book.value: by_book.get(book, 0) for book in Book},
    )
    by_outcome = dict(tx.execute(select(Reception.outcome, func.count()).group_by(Reception.outcome)).all())
    receptions = CounterMetricFamily("wetread_receptions", "Answered C-STORE requests.", labels=["outcome"])
    for outcome in Outcome:
        receptions.add_metric([outcome.value], by_outcome.get(outcome, 0))
    yield receptions


def _reasons(tx: Session) -> Iterator[Metric]:
    """Codes of the manual; one that no study has is absent."""
    closed = select(Revision.reason, func.count()).where(Revision.book == Book.EXCLUDED).group_by(Revision.reason)
    excluded = {str(code): int(count) for code, count in tx.execute(closed)}
    yield _by("wetread_excluded", "Excluded study revisions for each reason.", "reason", excluded)
    reason = case((Study.hold_reason != "", Study.hold_reason), else_=func.coalesce(Workitem.hold_reason, ""))
    waiting = (
        select(reason, func.count())
        .select_from(Revision)
        .join(Study, Study.id == Revision.study_id)
        .outerjoin(Workitem, Workitem.revision_id == Revision.id)
        .where(Revision.id.in_(books.held()))
        .group_by(reason)
    )
    held = {str(code): int(count) for code, count in tx.execute(waiting)}
    yield _by("wetread_held_because", "Studies that wait for a person, for each reason.", "reason", held)


def _backlog(waiting: Backlog, now: datetime) -> Iterator[Metric]:
    stages = {
        "receiving": waiting.receiving,
        "scheduled": waiting.scheduled,
        "reading": waiting.in_progress,
        "queued": waiting.queued,
        "sent": waiting.sent,
    }
    yield _by("wetread_backlog", "Studies or deliveries at each stage.", "stage", stages)
    yield GaugeMetricFamily("wetread_held", "Studies that wait for a person.", waiting.held)
    yield GaugeMetricFamily("wetread_dead_letters", "Studies that were given up.", waiting.dead_letters)
    yield GaugeMetricFamily(
        "wetread_oldest_scheduled_age_seconds",
        "Since when the oldest study waits to be read; 0 where none waits.",
        _seconds(waiting.oldest_scheduled, now),
    )
    yield GaugeMetricFamily(
        "wetread_oldest_queued_age_seconds",
        "Since when the oldest delivery waits to be sent; 0 where none waits.",
        _seconds(waiting.oldest_queued, now),
    )


def _processes(tx: Session, now: datetime) -> Iterator[Metric]:
    beats = {beat.name: _seconds(beat.beat_at, now) for beat in tx.scalars(select(ProcessBeat))}
    yield _by("wetread_process_last_beat_age_seconds", "Since the last sign of life.", "process", beats)
    paused = {what: int(worklist.switched(tx, f"pause-{what}")) for what in ("work", "send", "receive")}
    yield _by("wetread_paused", "1 where a person paused it.", "what", paused)


def _heard(tx: Session, now: datetime) -> Iterator[Metric]:
    servers = [to.name for to in destinations(tx) if to.way is Way.FHIR]
    rows = {row.name: row for row in tx.scalars(select(Watch).where(Watch.name.in_(servers)))}
    since = {name: _seconds(row.heard_at, now) for name, row in rows.items() if row.heard_at is not None}
    words = "Since a FHIR server last answered which reports were signed there; absent where it never did."
    yield _by("wetread_watch_last_heard_age_seconds", words, "destination", since)
    failing = {name: float(name in rows and rows[name].failing_since is not None) for name in servers}
    yield _by("wetread_watch_failing", "1 where the last question for signed reports failed.", "destination", failing)


def _by(name: str, documentation: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def _seconds(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
