"""The mark of the store: what tells the folder of stored objects from the empty one under a disk that is not mounted.

A small file in the store says what one row of the database says. It is written when the store is made. A store of an
earlier version has none: it is given one where it holds most of what the books name (decision 0020).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node import audit, files
from dicom_node.database import Database, clock, locked
from dicom_node.tables import Delivery, Instance, Revision, StoreMark, Study

_ROW: Final = 1
_SAMPLE: Final = 32  # of films and of documents, at most
CURE: Final = "Where that folder is the store all the same, or its objects are lost: wetread db adopt-store"

_Samples = tuple[frozenset[str], ...]


def named(tx: Session) -> str:
    """What the database says the store is marked with; empty where it does not say."""
    return tx.scalar(select(StoreMark.mark).where(StoreMark.id == _ROW)) or ""


def require(tx: Session, store: Path) -> None:
    """Raises StoreAway: the folder is not there, has no mark, or another one than the database names.

    Before anything was marked or stored there may be no folder. In a transaction that reads only: a disk that hangs
    would keep every other writer waiting.
    """
    mark = named(tx)
    if mark or tx.scalar(select(Instance.id).limit(1)) is not None:
        files.require(store, mark)


def settle(database: Database, store: Path, *, new: str) -> None:
    """Have store and database name one mark before anything is stored; `new` is given where there is none.

    Others may do so at the same moment. The disk is asked between the transactions, never in one that writes.
    Raises StoreAway: the store that the database means is not there, or it cannot be told whether this is it. OSError.
    """
    with database.read() as tx:
        mark, is_booked, samples = named(tx), _is_anything_booked(tx), _samples(tx)
    found = files.mark_of(store)
    if mark and found == mark:
        return
    if not is_booked or (not mark and (found or _holds_most(store, samples, where_none=store.is_dir()))):
        made = files.make_store(store, new)
        with database.write() as tx:
            row = _row(tx, made)
            if row.mark == mark and not _is_anything_booked(tx):
                row.mark, row.at = made, clock(tx)
    elif mark and not found and _holds_most(store, samples):  # copied without it
        files.make_store(store, mark)
    with database.read() as tx:
        mark = named(tx)
    files.require(store, mark)


def adopt(database: Database, store: Path, *, new: str, actor: str) -> tuple[int, int]:
    """Take the folder for the store, since a person says so; it is made and marked with `new` where needed.

    Returns how many of a sample of the files that the books name are in it, and of how many. Raises OSError.
    """
    mark = files.make_store(store, new)
    with database.write() as tx:
        if named(tx) != mark:
            row = _row(tx, mark)
            row.mark, row.at = mark, clock(tx)
            audit.append(tx, "store-adopted", at=clock(tx), actor=actor)
        wanted = frozenset[str]().union(*_samples(tx))
    return _held(store, wanted), len(wanted)


def _is_anything_booked(tx: Session) -> bool:
    return any(tx.scalar(select(column).limit(1)) is not None for column in (Instance.id, Delivery.id))


def _holds_most(store: Path, samples: _Samples, *, where_none: bool = False) -> bool:
    """Is the folder the store of these books, by their files? `where_none`: the answer where they name none.

    More than half of each kind: neither may speak for the other. A mount point that was written to for longer than
    films are kept holds every film that is left, and none of the oldest documents, which are never deleted.
    """
    return all(2 * _held(store, wanted) > len(wanted) for wanted in samples) if samples else where_none


def _held(store: Path, wanted: frozenset[str]) -> int:
    return sum(files.stored_path(store, digest).exists() for digest in wanted)


def _row(tx: Session, mark: str) -> StoreMark:
    """What the database says, locked; it says `mark` where it said nothing."""
    return locked(tx, StoreMark(id=_ROW, mark=mark, at=clock(tx)))


def _samples(tx: Session) -> _Samples:
    """Digests of files that are in the store unless it is another one: of each kind that there is, the oldest.

    Of a few only the older half: the newer one may lie in the mount point.
    """
    films = (
        select(Instance.digest)
        .join(Study, Study.id == Instance.study_id)
        .join(Revision, (Revision.study_id == Study.id) & (Revision.number == Study.revision))
        .where(Revision.purged_at.is_(None))
        .order_by(Instance.id)
    )
    documents = select(Delivery.digest).where(Delivery.digest != "").order_by(Delivery.id)
    oldest = [list(dict.fromkeys(tx.scalars(question.limit(2 * _SAMPLE)))) for question in (films, documents)]
    return tuple(frozenset(kind[: (len(kind) + 1) // 2]) for kind in oldest if kind)
