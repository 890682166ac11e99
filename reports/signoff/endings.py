"""What becomes of signatures when their report is sent back or withdrawn. Light: commands need it without documents."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from reports.signoff.tables import Decision, SignedDocument


def lapse(tx: Session, report_id: int, now: datetime) -> None:
    """The first signature of a report that is a draft again counts no more."""
    rows = update(SignedDocument).where(SignedDocument.report_id == report_id, SignedDocument.ended_at.is_(None))
    tx.execute(rows.values(ended_at=now))


def take_back(tx: Session, report_id: int, now: datetime) -> None:
    """What was signed was withdrawn; the decision about the draft stays, and says so."""
    lapse(tx, report_id, now)
    tx.execute(update(Decision).where(Decision.report_id == report_id).values(withdrawn_at=now))
