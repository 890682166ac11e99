"""Pixels are kept only as long as they are needed: after proven delivery they go, the books stay.

What is deleted is booked first. A process that dies in between leaves files that no row needs any more, and those are
found by the sweep. Nothing is deleted at once: the sweep moves a file into the trash, looks again, and empties the
trash an hour later, so that an object that comes back at that very moment is not lost.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Select, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from dicom_node import audit
from dicom_node.database import Database
from dicom_node.files import stored_path
from dicom_node.tables import Book, Delivery, Instance, Revision, Study
from dicom_node.worklist import commitments, promises

_ENDED = (Book.DELIVERED, Book.EXCLUDED, Book.CLOSED)
_AT_ONCE = 100
_IN_TRASH = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Purged:
    """Studies that need their films no more, and the digests of those films."""

    studies: int
    digests: tuple[str, ...]


def purge(database: Database, store: Path, now: datetime, *, keep: timedelta) -> int:
    """Delete the received files of studies that ended longer than `keep` ago; returns how many studies.

    Storage commitments that were settled before that are forgotten as well, in both directions.
    """
    with database.write() as tx:
        purged = book_purge(tx, now, keep=keep)
        commitments.forget(tx, now - keep)
        promises.forget(tx, now - keep)
    for digest in purged.digests:
        stored_path(store, digest).unlink(missing_ok=True)
    return purged.studies


def book_purge(tx: Session, now: datetime, *, keep: timedelta) -> Purged:
    """Book that the films of ended studies go; delete them after the commit, and only them.

    Only studies whose newest revision was delivered with proof, excluded or closed: dead letters and what waits for a
    person keep their pixels. Our own documents stay. A study that somebody changes at this moment is passed over; one
    that is locked here takes its late image afterwards, under a revision of its own.
    """
    due = (
        select(Study, Revision)
        .join(Revision, (Revision.study_id == Study.id) & (Revision.number == Study.revision))
        .where(Revision.book.in_(_ENDED), Revision.closed_at <= now - keep, Revision.purged_at.is_(None))
        .order_by(Revision.id)
        .limit(_AT_ONCE)
        .with_for_update(of=(Study, Revision), skip_locked=True)
        .execution_options(populate_existing=True)
    )
    digests: list[str] = []
    studies = tx.execute(due).all()
    for study, revision in studies:
        digests += tx.scalars(select(Instance.digest).where(Instance.study_id == study.id))
        revision.purged_at = now
        audit.append(tx, "pixels-deleted", at=now, actor="dispatch", study_id=study.id)
    return Purged(len(studies), tuple(digests))


def sweep(
    database: Database,
    store: Path,
    *,
    older_than: timedelta,
    also_named: Sequence[InstrumentedAttribute[str]] = (),
) -> int:
    """Take files that no row needs out of the store, and delete those taken an hour ago; returns how many were taken.

    Such files are left by a transaction that never came and by a crash in a purge, or came again after it.
    `older_than` must be longer than an object takes from its rename to its commit. `also_named`: columns of other rooms
    that name digests, such as drafts that were not for any destination.
    """
    trash = store / "trash"
    _empty(database, store, trash, also_named)
    limit = time.time() - older_than.total_seconds()
    with database.read() as tx:
        candidates = orphans(tx, store, limit, also_named)
    if candidates:
        trash.mkdir(exist_ok=True)
    return sum(_discard(database, path, trash, limit, also_named) for path in candidates)


def orphans(
    tx: Session, store: Path, limit: float, also_named: Sequence[InstrumentedAttribute[str]] = ()
) -> list[Path]:
    """Files in the store, last touched before `limit` (seconds since 1970), that no row needs at this moment."""
    needed = {digest for chosen in _needed(also_named) for digest in tx.scalars(chosen)}
    return [path for path in store.glob("??/*.dcm") if path.stem not in needed and _touched(path) <= limit]


def _needed(also_named: Sequence[InstrumentedAttribute[str]], digest: str | None = None) -> list[Select[str]]:
    """Questions for the digests that rows need: of films not purged, of deliveries, of other rooms; or for one."""
    films = (
        select(Instance.digest)
        .join(Study, Study.id == Instance.study_id)
        .join(Revision, (Revision.study_id == Study.id) & (Revision.number == Study.revision))
        .where(Revision.purged_at.is_(None))
    )
    chosen = [(films, Instance.digest), *((select(column), column) for column in (Delivery.digest, *also_named))]
    return [question if digest is None else question.where(column == digest).limit(1) for question, column in chosen]


def _is_needed(database: Database, digest: str, also_named: Sequence[InstrumentedAttribute[str]]) -> bool:
    with database.read() as tx:
        return any(tx.scalar(question) is not None for question in _needed(also_named, digest))


def _discard(
    database: Database, path: Path, trash: Path, limit: float, also_named: Sequence[InstrumentedAttribute[str]]
) -> bool:
    """Move a file into the trash unless it is needed by now. The minutes since the candidates were listed count."""
    if _is_needed(database, path.stem, also_named):
        return False
    taken = trash / path.name
    try:
        path.rename(taken)
    except FileNotFoundError:
        return False
    if _touched(taken) > limit or _is_needed(database, path.stem, also_named):  # it came again while we looked
        _put_back(taken, path)
        return False
    os.utime(taken)  # the hour begins
    return True


def _empty(database: Database, store: Path, trash: Path, also_named: Sequence[InstrumentedAttribute[str]]) -> None:
    """Delete what has been in the trash for an hour; put back what a row names all the same."""
    limit = time.time() - _IN_TRASH.total_seconds()
    for taken in trash.glob("*.dcm"):
        if _is_needed(database, taken.stem, also_named):
            _put_back(taken, stored_path(store, taken.stem))
        elif _touched(taken) <= limit:
            taken.unlink(missing_ok=True)


def _put_back(taken: Path, path: Path) -> None:
    """Never over a file that has come meanwhile: it has the same content."""
    path.parent.mkdir(exist_ok=True)
    with suppress(FileExistsError):
        os.link(taken, path)
    taken.unlink(missing_ok=True)


def _touched(path: Path) -> float:
    """When the file was last written; never, where it has gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
