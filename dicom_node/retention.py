"""Pixels are kept only as long as they are needed: after proven delivery they go, the books stay."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.files import stored_path
from dicom_node.tables import Book, Delivery, Instance, Revision, Study

_ENDED = (Book.DELIVERED, Book.EXCLUDED, Book.CLOSED)
_AT_ONCE = 100


def purge(tx: Session, store: Path, now: datetime, *, keep: timedelta) -> int:
    """Delete the received files of studies that ended longer than `keep` ago; returns how many studies.

    Only studies whose newest revision was delivered with proof, excluded or closed: dead letters and what waits for a
    person keep their pixels. Our own documents stay.
    """
    due = (
        select(Revision)
        .join(Study)
        .where(
            Revision.number == Study.revision,
            Revision.book.in_(_ENDED),
            Revision.closed_at <= now - keep,
            Revision.purged_at.is_(None),
        )
        .limit(_AT_ONCE)
    )
    revisions = tx.scalars(due).all()
    for revision in revisions:
        for digest in tx.scalars(select(Instance.digest).where(Instance.study_id == revision.study_id)):
            stored_path(store, digest).unlink(missing_ok=True)
        revision.purged_at = now
        audit.append(tx, "pixels-deleted", at=now, actor="dispatch", study_id=revision.study_id)
    return len(revisions)


def orphans(
    tx: Session, store: Path, now: datetime, *, older_than: timedelta, also_named: Iterable[str] = ()
) -> list[Path]:
    """Files in the store that no row names, such as those of a transaction that never came: they may be deleted.

    `older_than` must be longer than an object takes from its rename to its commit. `also_named`: digests that rows
    of other rooms name, such as drafts that were not for any destination.
    """
    limit = (now - older_than).timestamp()
    known = set(tx.scalars(select(Instance.digest))) | set(tx.scalars(select(Delivery.digest))) | set(also_named)
    return [path for path in store.glob("??/*.dcm") if path.stem not in known and path.stat().st_mtime <= limit]
