"""Drafts that a site wants hidden once the signed report is there: which ones, and where it is proven to be.

Asked again and again by `dispatch`, and answered from the tables alone, as `reports.recalls`. The report itself stays
what it is, signed; only the draft's objects are named in a note, at destinations that have proven the signed ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.kinds import FINAL, NOTES, Kind, Stage
from dicom_node.tables import Delivery, DeliveryState, Revision
from dicom_node.worklist import Outgoing, deliveries_of, enqueue
from reports import life
from reports.recalls import AT_ONCE, Got
from reports.tables import Report, ReportState

PATIENCE: Final = timedelta(days=7)  # so long after its signature a draft is hidden, not later: longer than any retry
WORDS: Final = "A radiologist has signed the report of this study; it is here, and replaces this AI draft."
_OBJECTS: Final = frozenset({Kind.BASIC_TEXT, Kind.TID1500, Kind.PDF, Kind.SC})  # a signed message replaces a message
_ON_ITS_WAY: Final = frozenset({DeliveryState.QUEUED, DeliveryState.SENT, DeliveryState.FAILED})


@dataclass(frozen=True, slots=True)
class Hiding:
    """One signed report, and by destination the draft's objects that are to be hidden there.

    digest: of the draft. at: of the signature. unclear: the signed report is not proven somewhere yet.
    """

    report_id: int
    revision_id: int
    study_id: int
    number: int  # of the revision
    digest: str
    drafted_at: datetime
    at: datetime
    got: Mapping[str, tuple[Got, ...]]
    unclear: bool


def pending(tx: Session, now: datetime, *, after: int = 0, limit: int = AT_ONCE) -> list[Hiding]:
    """Reports that were signed lately and of which drafts may have to be hidden, the oldest first.

    after: number of a report.
    """
    chosen = select(Report).where(
        Report.taken_back_at.is_(None),
        Report.state == ReportState.VERIFIED,
        Report.changed_at >= now - PATIENCE,
        Report.id > after,
    )
    return [_hiding(tx, report) for report in tx.scalars(chosen.order_by(Report.id).limit(limit))]


def finish(tx: Session, hiding: Hiding, outgoing: Sequence[Outgoing], now: datetime) -> int:
    """Queue the notes; returns how many are new. Nothing happens where the report was withdrawn meanwhile.

    Several dispatchers may come here at once: UIDs are derived, and what is queued already is not queued again.
    """
    life.lock(tx, hiding.study_id)
    report = tx.get_one(Report, hiding.report_id, populate_existing=True, with_for_update=True)
    if report.state is not ReportState.VERIFIED or report.taken_back_at is not None:
        return 0
    new = enqueue(tx, tx.get_one(Revision, hiding.revision_id), outgoing, now, actor="dispatch")
    for name in sorted({item.destination for item in outgoing}) if new else ():
        audit.append(tx, "draft-hidden", at=now, actor="dispatch", study_id=hiding.study_id, destination=name)
    if not hiding.unclear:
        report.taken_back_at = now
    return new


def _hiding(tx: Session, report: Report) -> Hiding:
    revision = tx.get_one(Revision, report.revision_id)
    there: dict[str, list[Delivery]] = {}
    for delivery in deliveries_of(tx, revision):
        there.setdefault(delivery.destination, []).append(delivery)
    drafted = {name: drafts for name, several in there.items() if (drafts := _drafts(several))}
    proven = {name for name in drafted if _is_proven(there[name])}
    waited_for = {name for name in drafted.keys() - proven if any(one.stage in FINAL for one in there[name])}
    return Hiding(
        report_id=report.id,
        revision_id=revision.id,
        study_id=revision.study_id,
        number=revision.number,
        digest=report.digest,
        drafted_at=report.drafted_at,
        at=report.changed_at,
        got=MappingProxyType({name: drafted[name] for name in sorted(proven)}),
        unclear=bool(waited_for),
    )


def _drafts(deliveries: Sequence[Delivery]) -> tuple[Got, ...]:
    """What one destination has, or may have, of the draft as objects; nothing where it was told of it already."""
    if any(one.stage in NOTES for one in deliveries):
        return ()
    drafts = [one for one in deliveries if one.stage is Stage.DRAFT and one.kind in _OBJECTS]
    return tuple(Got(one.kind, one.sop_instance_uid, one.digest) for one in drafts if one.sent_at is not None)


def _is_proven(deliveries: Sequence[Delivery]) -> bool:
    """Has it every object that was signed, and does nothing of the draft still come?"""
    final = [one for one in deliveries if one.stage in FINAL]
    there = any(one.kind in _OBJECTS and one.state is DeliveryState.COMMITTED for one in final)
    waits = any(one.state in _ON_ITS_WAY or one.claim_token for one in final)
    return there and not waits and not any(_may_still_come(one) for one in deliveries if one.stage is Stage.DRAFT)


def _may_still_come(draft: Delivery) -> bool:
    """Is it queued or under way, or sent but not proven? What is found missing is sent again."""
    return draft.state in {DeliveryState.QUEUED, DeliveryState.SENT} or bool(draft.claim_token)
