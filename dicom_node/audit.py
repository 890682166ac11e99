"""The audit trail: appended in the transaction of the change that it records, sealed into a hash chain soon after.

A row says who did what to which study. It holds no name, no identifier of a person and no report text.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.tables import AuditRow

SEALED_AT_ONCE = 500


def append(
    tx: Session, event: str, *, at: datetime, actor: str, study_id: int | None = None, **detail: str | int | float
) -> None:
    """Add one row. `event` is a static hyphenated word such as `study-complete`."""
    tx.add(AuditRow(at=at, actor=actor[:64], event=event, study_id=study_id, detail=json.dumps(detail, sort_keys=True)))


def seal(tx: Session) -> int:
    """Chain the rows that have no seal yet; returns how many.

    Each seal is the SHA-256 of the seal before it and of the row: a row that is changed or removed later breaks it.
    """
    last = tx.scalar(
        select(AuditRow).where(AuditRow.sealed_as.is_not(None)).order_by(AuditRow.sealed_as.desc()).limit(1)
    )
    previous, place = (last.seal, last.sealed_as or 0) if last else ("", 0)
    rows = tx.scalars(
        select(AuditRow).where(AuditRow.sealed_as.is_(None)).order_by(AuditRow.id).limit(SEALED_AT_ONCE)
    ).all()
    for place_of_row, row in enumerate(rows, place + 1):
        row.seal = previous = _seal(previous, row)
        row.sealed_as = place_of_row
    return len(rows)


def broken_seal(tx: Session) -> int | None:
    """The place of the first row in the chain that was changed, or before which one is missing; None where all fit."""
    previous = ""
    rows = tx.scalars(select(AuditRow).where(AuditRow.sealed_as.is_not(None)).order_by(AuditRow.sealed_as))
    for place, row in enumerate(rows, 1):
        if row.sealed_as != place or row.seal != _seal(previous, row):
            return place
        previous = row.seal
    return None


def _seal(previous: str, row: AuditRow) -> str:
    fields = [previous, row.at.isoformat(), row.actor, row.event, str(row.study_id or ""), row.detail]
    return hashlib.sha256("\n".join(fields).encode()).hexdigest()
