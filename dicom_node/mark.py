"""The mark of the store: what tells the folder of stored objects from the empty one under a disk that is not mounted.

A small file in the store says what one row of the database says. It is written when the store is made. A store of an
earlier version has none: it is given one where it holds most of what the books name (decision 0020).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Select, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from dicom_node import audit, files
from dicom_node.database import Database, clock
from dicom_node.tables import Delivery, Instance, Revision, StoreMark, Study

_ROW: Final = 1
_SAMPLE: Final = 32  # of films and of documents: so many of the oldest and so many of the newest

_Chosen = tuple[Select[str], InstrumentedAttribute[int]]


def named(tx: Session) -> str:
    """What the database says the store is marked with; empty where it does not say."""
    return tx.scalar(select(StoreMark.mark).where(StoreMark.id == _ROW)) or ""


def require(tx: Session, store: Path) -> None:
    """Raises StoreAway: the folder is not there, has no mark, or another one than the database names.

    Before anything was marked or stored there may be no folder.
    """
    mark = named(tx)
    if mark or tx.scalar(select(Instance.id).limit(1)) is not None:
        files.require(store, mark)


def settle(database: Database, store: Path, *, new: str) -> None:
    """Have store and database name one mark before anything is stored; `new` is given where there is none.

    Raises StoreAway: the store that the database means is not there, or it cannot be told whether this is it. OSError.
    """
    with database.read() as tx:
        mark = named(tx)
        if mark and files.mark_of(store) == mark:
            return
    with database.write() as tx:
        mark, found = named(tx), files.mark_of(store)
        if not _is_anything_booked(tx) or (not mark and (found or _holds_most(tx, store, where_none=store.is_dir()))):
            _name(tx, files.make_store(store, new))
        elif mark and not found and _holds_most(tx, store):  # copied without it
            files.make_store(store, mark)
        files.require(store, named(tx))


def adopt(database: Database, store: Path, *, new: str, actor: str) -> tuple[int, int]:
    """Take the folder for the store, since a person says so; it is made and marked with `new` where needed.

    Returns how many of a sample of the files that the books name are in it, and of how many. Raises OSError.
    """
    mark = files.make_store(store, new)
    with database.write() as tx:
        if named(tx) != mark:
            _name(tx, mark)
            audit.append(tx, "store-adopted", at=clock(tx), actor=actor)
        return held(tx, store)


def held(tx: Session, store: Path) -> tuple[int, int]:
    """How many of a sample of the files that must be in the store are there, and of how many."""
    wanted = _sample(tx)
    return sum(files.stored_path(store, digest).exists() for digest in wanted), len(wanted)


def _is_anything_booked(tx: Session) -> bool:
    return any(tx.scalar(select(column).limit(1)) is not None for column in (Instance.id, Delivery.id))


def _holds_most(tx: Session, store: Path, *, where_none: bool = False) -> bool:
    """Is the folder the store of these books, by their files? `where_none`: the answer where they name none.

    An empty mount point holds none; one that was written to while its disk was away holds some of the newest.
    """
    found, wanted = held(tx, store)
    return 2 * found > wanted if wanted else where_none


def _name(tx: Session, mark: str) -> None:
    tx.merge(StoreMark(id=_ROW, mark=mark, at=clock(tx)))


def _sample(tx: Session) -> frozenset[str]:
    """Digests of files that are in the store unless it is another one: the oldest and the newest of each kind."""
    films = (
        select(Instance.digest)
        .join(Study, Study.id == Instance.study_id)
        .join(Revision, (Revision.study_id == Study.id) & (Revision.number == Study.revision))
        .where(Revision.purged_at.is_(None))
    )
    documents = select(Delivery.digest).where(Delivery.digest != "")
    chosen: tuple[_Chosen, ...] = ((films, Instance.id), (documents, Delivery.id))
    ends = [question.order_by(order).limit(_SAMPLE) for question, by in chosen for order in (by.asc(), by.desc())]
    return frozenset(digest for question in ends for digest in tx.scalars(question))
