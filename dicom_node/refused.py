"""What was refused for its content: who sent it, why, and whether its bytes are still there to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicom_node.tables import Outcome, Reception


@dataclass(frozen=True, slots=True)
class Refused:
    """One object that was answered with a failure for good. `size` in bytes, None where its bytes are gone."""

    at: datetime
    calling_ae_title: str
    reason: str
    size: int | None
    digest: str
    file: Path | None
    sop_instance_uid: str


def newest(tx: Session, folder: Path, *, limit: int) -> Sequence[Refused]:
    """The newest refused objects. folder: the quarantine."""
    chosen = select(Reception).where(Reception.outcome == Outcome.QUARANTINED).order_by(Reception.id.desc())
    return [_with_file(row, folder) for row in tx.scalars(chosen.limit(limit))]


def count_since(tx: Session, moment: datetime) -> int:
    """How many objects were refused for their content since then."""
    refused = Reception.outcome == Outcome.QUARANTINED
    return tx.scalar(select(func.count(Reception.id)).where(refused, Reception.at >= moment)) or 0


def _with_file(row: Reception, folder: Path) -> Refused:
    file = folder / f"{row.digest}.dcm"
    there = bool(row.digest) and file.exists()
    return Refused(
        at=row.at,
        calling_ae_title=row.calling_ae_title,
        reason=row.reason,
        size=file.stat().st_size if there else None,
        digest=row.digest,
        file=file if there else None,
        sop_instance_uid=row.sop_instance_uid,
    )
