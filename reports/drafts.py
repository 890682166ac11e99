"""Recording a draft: the row is written in the transaction that ends the reading and queues the deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.errors import WrongState
from dicom_node.tables import Revision
from reports.tables import REPORT_TRANSITIONS, Report, ReportState


def record(tx: Session, report: Report, now: datetime) -> None:
    """Add a draft; drafts of older revisions of its study are superseded. The document must be durable already."""
    revision = tx.get_one(Revision, report.revision_id)
    older = (
        select(Report).join(Revision).where(Revision.study_id == revision.study_id, Report.state == ReportState.DRAFT)
    )
    for draft in tx.scalars(older):
        move(draft, ReportState.SUPERSEDED)
    report.state = ReportState.DRAFT
    report.drafted_at = now
    tx.add(report)


def move(report: Report, state: ReportState) -> None:
    """Change the state of a report. Raises WrongState."""
    if (report.state, state) not in REPORT_TRANSITIONS:
        raise WrongState(f"a report cannot go from {report.state} to {state}")
    report.state = state


def of_study(tx: Session, study_id: int) -> Sequence[Report]:
    """All reports of a study, newest first."""
    return tx.scalars(
        select(Report).join(Revision).where(Revision.study_id == study_id).order_by(Report.id.desc())
    ).all()
