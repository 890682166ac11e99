"""What destinations said of the studies that are ours: who has named one, and how often it has been missing since."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from dicom_node.database import Database, clock
from dicom_node.known_tables import KnownFilm, KnownStudy
from dicom_node.tables import Delivery, Revision, Study
from dicom_node.worklist.turns import take_turn

_TOGETHER: Final = 500
# Several documents of a study ask, each in its own time: the fifth answer that counts is eight minutes after the first.
_APART: Final = tuple(timedelta(seconds=seconds) for seconds in (25, 55, 115, 290))


def named(database: Database, destination: str, uids: Iterable[str]) -> None:
    """A destination named these studies; which are none of ours is not kept, what is booked is not written again.

    Nor is it booked that it had a study to which we had sent something by then: our own document may be all of it.
    """
    wanted = sorted(set(uids))
    with database.read() as tx:
        new = _to_be_booked(tx, destination, wanted)
    if not new:
        return
    with database.write() as tx:
        take_turn(tx, "known studies")  # two answers may name it at once: no row to lock yet
        now = clock(tx)
        for study_id in new:
            known = tx.get(KnownStudy, (study_id, destination))
            if known is None:
                tx.add(KnownStudy(study_id=study_id, destination=destination, named_at=now, misses=0))
            else:
                known.misses, known.missed_at = 0, None


def missed(database: Database, destination: str, uid: str) -> int:
    """A destination answered without this study: how many times in a row by now; 0 where it has never named it."""
    with database.read() as tx:
        if not has_named(tx, destination, uid):
            return 0
    with database.write() as tx:
        chosen = select(KnownStudy).join(Study, Study.id == KnownStudy.study_id)
        own = (Study.study_instance_uid == uid, KnownStudy.destination == destination)
        known = tx.scalar(chosen.where(*own).with_for_update(of=KnownStudy))
        if known is None:
            return 0
        count(known, clock(tx))
        return known.misses


def count(row: KnownStudy | KnownFilm, now: datetime) -> None:
    """One more answer without it; none where it comes too soon after the last that was counted."""
    if row.missed_at is None or row.misses == 0 or now - row.missed_at >= _APART[min(row.misses, len(_APART)) - 1]:
        row.misses, row.missed_at = row.misses + 1, now


def has_named(tx: Session, destination: str, uid: str) -> bool:
    """Has it ever named this study?"""
    chosen = select(KnownStudy.study_id).join(Study, Study.id == KnownStudy.study_id)
    own = (Study.study_instance_uid == uid, KnownStudy.destination == destination)
    return tx.scalar(chosen.where(*own)) is not None


def who_named(tx: Session, uid: str) -> Sequence[str]:
    """Names of the destinations that have ever named this study."""
    chosen = select(KnownStudy.destination).join(Study, Study.id == KnownStudy.study_id)
    return tx.scalars(chosen.where(Study.study_instance_uid == uid).order_by(KnownStudy.destination)).all()


def forget(tx: Session, destination: str) -> None:
    """It is registered no more: another one may come under its name."""
    tx.execute(delete(KnownFilm).where(KnownFilm.destination == destination))
    tx.execute(delete(KnownStudy).where(KnownStudy.destination == destination))


def _to_be_booked(tx: Session, destination: str, uids: Sequence[str]) -> list[int]:
    """Numbers of those of our studies that it has not named before, or not since it last answered without them."""
    booked = select(KnownStudy.study_id).where(KnownStudy.study_id == Study.id, KnownStudy.destination == destination)
    sent = (
        select(Delivery.id)
        .join(Revision, Revision.id == Delivery.revision_id)
        .where(Revision.study_id == Study.id, Delivery.destination == destination, Delivery.sent_at.is_not(None))
    )
    is_new = ~(booked.exists() | sent.exists()) | booked.where(KnownStudy.misses > 0).exists()
    ours = select(Study.id).where(is_new).order_by(Study.id)
    return [
        study_id
        for first in range(0, len(uids), _TOGETHER)
        for study_id in tx.scalars(ours.where(Study.study_instance_uid.in_(uids[first : first + _TOGETHER])))
    ]
