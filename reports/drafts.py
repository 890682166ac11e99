"""The rows of reports: how one is added, how its state changes, how those of a study are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Final

from sqlalchemy import Select, bindparam, func, or_, select
from sqlalchemy.orm import Session

from dicom_node.errors import WrongState
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Delivery, Revision
from reports.tables import REPORT_TRANSITIONS, Event, Report, ReportState, Sighting

OPEN: Final = (ReportState.DRAFT, ReportState.AWAITING_SECOND)


def add(tx: Session, report: Report, now: datetime) -> None:
    """Add a draft. Its document must be durable already."""
    report.state = ReportState.DRAFT
    report.drafted_at = report.changed_at = now
    report.event = Event.DRAFTED
    tx.add(report)


def move(report: Report, state: ReportState, event: Event, now: datetime) -> None:
    """Change the state of a report. Raises WrongState."""
    if (report.state, state) not in REPORT_TRANSITIONS:
        raise WrongState(f"a report cannot go from {report.state} to {state}")
    report.state, report.changed_at, report.event = state, now, event


def of_study(tx: Session, study_id: int, *, lock: bool = False) -> Sequence[Report]:
    """All reports of a study, newest first; with `lock` nobody else changes them until this transaction ends."""
    return tx.scalars(_of_study(lock=lock), {"study": study_id}).all()


@cache
def _of_study(*, lock: bool) -> Select[Report]:
    chosen = select(Report).join(Revision).where(Revision.study_id == bindparam("study")).order_by(Report.id.desc())
    return chosen.with_for_update(of=Report).execution_options(populate_existing=True) if lock else chosen


def signed_one(tx: Session, study_id: int) -> int | None:
    """Number of the newest report of a study that is signed now; None where none is."""
    return tx.scalar(_signed_one(), {"study": study_id})


@cache
def _signed_one() -> Select[int]:
    signed = Report.state == ReportState.VERIFIED
    return select(func.max(Report.id)).join(Revision).where(Revision.study_id == bindparam("study"), signed)


def foremost(reports: Sequence[Report]) -> Report | None:
    """The one of a study that people care for: what waits for them, the oldest first; else what is signed; else any.

    A draft of late images may stand beside an older one: both wait, and the older one would be forgotten.
    reports: newest first.
    """
    waiting = [one for one in reversed(reports) if one.state in OPEN]
    signed = [one for one in reports if one.state is ReportState.VERIFIED]
    return next(iter([*waiting, *signed, *reports]), None)


def earlier_drafts(tx: Session, study_id: int, *, before: int) -> Mapping[str, Mapping[Kind, str]]:
    """By destination and form: digest of the newest draft of an older revision that it has or may have.

    "May" counts: a reference to a document that never came is harmless, a draft that seems to replace nothing is not.
    """
    chosen = (
        select(Delivery.destination, Delivery.kind, Delivery.digest)
        .join(Revision, Revision.id == Delivery.revision_id)
        .where(
            Revision.study_id == study_id,
            Revision.number < before,
            Delivery.kind.in_([Kind.BASIC_TEXT, Kind.TID1500]),
            Delivery.stage == Stage.DRAFT,
            or_(Delivery.sent_at.is_not(None), Delivery.claim_token != ""),
        )
        .order_by(Delivery.id)
    )
    found: dict[str, dict[Kind, str]] = {}
    for destination, kind, digest in tx.execute(chosen):
        found.setdefault(destination, {})[kind] = digest
    return found


def rejected_images(tx: Session, study_id: int) -> frozenset[str]:
    """SOP Instance UIDs of the study's images that a PACS has rejected or deleted."""
    chosen = select(Sighting.about).where(
        Sighting.study_id == study_id, Sighting.event.in_([Event.CANCELED, Event.CANCELED_FOR_SAFETY])
    )
    return frozenset(tx.scalars(chosen)) - {""}
