"""What changed lately: one look at the database a second for all browsers that listen, however many they are.

Every change of a study writes an audit row, and every object that comes in a reception; who has a draft open is in the
working copies. Commits may pass each other, so a number that is missing may still come: the last numbers are looked at
again each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from dicom_node.database import Database, clock
from dicom_node.tables import AuditRow, Instance, Reception, Revision
from reports.signoff.tables import SILENCE, WorkingCopy
from reports.tables import Report

_LOOK_BACK: Final = 500  # numbers behind the newest
_LOOKED_AT: Final = "study-seen"  # changes nothing
MOST_STUDIES: Final = 200  # more than a page shows: then the browser asks for all it shows


class Full(Exception):
    """All seats are taken."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long. looks: seconds between two. seats: browsers at once, in this process."""

    looks: float = 1.0
    beats: float = 15.0  # seconds between two signs of life, at each of which the session is asked for
    lasts: float = 1800.0  # seconds until the browser is asked to come again
    seats: int = 200


@dataclass(frozen=True, slots=True)
class News:
    """What one browser is told. studies: None where there are too many to count. written: somebody types there, which
    only who has that report on the screen cares for. silent: no word from the database.
    """

    studies: frozenset[int] | None = frozenset()
    written: frozenset[int] = frozenset()
    silent: bool = False


@dataclass(eq=False, slots=True)
class Seat:
    """One listener: what it has not been told yet."""

    bell: asyncio.Event = field(default_factory=asyncio.Event)
    studies: set[int] = field(default_factory=set)
    written: set[int] = field(default_factory=set)
    silent: bool = False
    was_silent: bool = False

    def take(self) -> News:
        """What is new; it counts as told."""
        self.bell.clear()
        told, self.studies = frozenset(self.studies), set()
        written, self.written = frozenset(self.written), set()
        if self.silent != self.was_silent:
            self.was_silent = self.silent
            return News(None, silent=self.silent)
        return News(told if len(told) <= MOST_STUDIES else None, written - told)


@dataclass(frozen=True, slots=True)
class _Seen:
    """Where a look left off. audit, receptions: numbers of rows seen; holders: report, who has it open, and its study;
    texts: report, version of its text, and its study, of those alone.

    Who is silent has nothing open any more, though nobody wrote that down.
    """

    audit: frozenset[int]
    receptions: frozenset[int]
    holders: frozenset[tuple[int, int | None, int]]
    texts: frozenset[tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class _Changes:
    """Since the look before. studies: of any kind; written: of a text that somebody has open."""

    studies: frozenset[int] = frozenset()
    written: frozenset[int] = frozenset()


class Newsroom:
    """Looks while somebody listens."""

    def __init__(self, database: Database, pace: Pace) -> None:
        self.pace = pace
        self._database = database
        self._seats: set[Seat] = set()
        self._task: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Is every seat taken?"""
        return len(self._seats) >= self.pace.seats

    @contextmanager
    def seat(self) -> Iterator[Seat]:
        """A seat for one browser, within the event loop. Raises Full."""
        if self.is_full:
            raise Full
        taken = Seat()
        self._seats.add(taken)
        if self._task is None or self._task.done():
            self._looked = asyncio.Event()
            self._task = asyncio.get_running_loop().create_task(self._look_on())
        try:
            yield taken
        finally:
            self._seats.discard(taken)

    async def ready(self) -> None:
        """Wait for the first look since somebody listens: every change from then on is heard."""
        await self._looked.wait()

    async def _look_on(self) -> None:
        before: _Seen | None = None
        while self._seats:
            try:
                before, changes = await run_in_threadpool(self._look, before)
                self._tell(changes, silent=False)
            except SQLAlchemyError:
                self._tell(_Changes(), silent=True)
            self._looked.set()
            await asyncio.sleep(self.pace.looks)

    def _tell(self, changes: _Changes, *, silent: bool) -> None:
        for seat in self._seats:
            seat.studies |= changes.studies
            seat.written |= changes.written
            seat.silent = silent
            if changes.studies or changes.written or seat.silent != seat.was_silent:
                seat.bell.set()

    def _look(self, before: _Seen | None) -> tuple[_Seen, _Changes]:
        """What is there now, and what changed since the look before; the first one finds nothing new."""
        with self._database.read() as tx:
            since = tx.scalar(select(func.max(AuditRow.id))) or 0
            rows = select(AuditRow.id, AuditRow.study_id).where(
                AuditRow.id > since - _LOOK_BACK, AuditRow.event != _LOOKED_AT
            )
            audit = {number: study for number, study in tx.execute(rows)}  # noqa: C416
            last = tx.scalar(select(func.max(Reception.id))) or 0
            came = (
                select(Reception.id, Instance.study_id)
                .join(Instance, Instance.id == Reception.instance_id)
                .where(Reception.id > last - _LOOK_BACK)
            )
            receptions = {number: study for number, study in tx.execute(came)}  # noqa: C416
            held = (
                select(WorkingCopy.report_id, WorkingCopy.holder_id, Revision.study_id, WorkingCopy.version)
                .join(Report, Report.id == WorkingCopy.report_id)
                .join(Revision, Revision.id == Report.revision_id)
                .where(WorkingCopy.holder_id.is_not(None), WorkingCopy.heard_at > clock(tx) - SILENCE)
            )
            copies = tx.execute(held).all()
        holders = frozenset((report, holder, study) for report, holder, study, _ in copies)
        texts = frozenset((report, version, study) for report, _, study, version in copies)
        seen = _Seen(frozenset(audit), frozenset(receptions), holders, texts)
        if before is None:
            return seen, _Changes()
        oldest = min(before.audit, default=0)
        studies = {audit[number] for number in seen.audit - before.audit if number > oldest}
        earliest = min(before.receptions, default=0)
        studies |= {receptions[number] for number in seen.receptions - before.receptions if number > earliest}
        studies |= {study for _, _, study in seen.holders ^ before.holders}
        written = frozenset(study for _, _, study in seen.texts - before.texts)
        return seen, _Changes(frozenset(study for study in studies if study is not None), written)


async def told(room: Newsroom, seat: Seat) -> AsyncIterator[News | None]:
    """What is new, as it comes; None at each beat, however much is new, to ask for the session. Ends after a while."""
    loop = asyncio.get_running_loop()
    end, beat = loop.time() + room.pace.lasts, loop.time() + room.pace.beats
    while loop.time() < end:
        if loop.time() >= beat:
            beat = loop.time() + room.pace.beats
            yield None
        try:
            async with asyncio.timeout_at(min(beat, end)):
                await seat.bell.wait()
        except TimeoutError:
            continue
        yield seat.take()
