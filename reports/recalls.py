"""What must still be taken back: ended reports whose documents a destination has, or may have.

Asked again and again by `dispatch`, and answered from the tables alone, so that a crash at any point loses nothing.
A destination has, or may have, a document once `sent_at` is set; while a sender holds a claim that is not known yet,
and the question waits, so that nothing is taken back before it comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.destinations import takes
from dicom_node.kinds import NOTES, TAKES_BACK, Kind, Stage
from dicom_node.tables import Delivery, DeliveryState, Revision
from dicom_node.transports import Destination
from dicom_node.worklist import Outgoing, deliveries_of, enqueue
from reports.life import RULES, key_of
from reports.signoff.tables import Decision, SignedDocument, SignedKind
from reports.tables import ENDED, Event, Report, Sighting

AT_ONCE: Final = 100
LEFT_BEHIND: Final = "report-left-behind"  # in the audit trail: a destination has it, and cannot be told
_MESSAGES: Final = frozenset({Kind.ORU, Kind.FHIR, Kind.OUTCOME})


@dataclass(frozen=True, slots=True)
class Got:
    """One object that a destination has, or may have."""

    kind: Kind
    sop_instance_uid: str
    digest: str


@dataclass(frozen=True, slots=True)
class Signed:
    """One document that a person signed, as it was kept: what messages of it were made from."""

    sop_instance_uid: str
    digest: str


@dataclass(frozen=True, slots=True)
class Recall:
    """One ended report, and by destination what must be taken back there.

    digest: of the draft. finals: what was signed, the newest first. reason: of whoever rejected it here, a code word.
    """

    report_id: int
    revision_id: int
    study_id: int
    number: int  # of the revision
    event: Event
    stage: Stage
    words: str
    drafted_at: datetime
    at: datetime
    digest: str
    finals: tuple[Signed, ...]
    reason: str
    got: Mapping[str, tuple[Got, ...]]
    unclear: bool  # a sender may still be transmitting: asked again later


def pending(tx: Session, *, after: int = 0, limit: int = AT_ONCE) -> list[Recall]:
    """Ended reports of which something may have to be taken back, the oldest first. after: number of a report."""
    chosen = select(Report).where(Report.taken_back_at.is_(None), Report.state.in_(ENDED), Report.id > after)
    return [_recall(tx, report) for report in tx.scalars(chosen.order_by(Report.id).limit(limit))]


def overdue(tx: Session, before: datetime) -> Iterator[Recall]:
    """What ended before a moment and is still to be taken back somewhere: no `dispatch` does so, or it fails."""
    after = 0
    while page := pending(tx, after=after):
        yield from (recall for recall in page if recall.got and recall.at < before)
        after = page[-1].report_id


def in_place_key(destination: str, study_id: int) -> str:
    """64 hexadecimal digits for a draft of a study that a person has signed where it is, as a resource of a server."""
    return key_of("final in place", destination, str(study_id))


def can_tell(recall: Recall, everyone: Sequence[Destination]) -> bool:
    """Does anybody who has it take what takes it back?"""
    return any(
        takes(to, one.kind if one.kind in _MESSAGES else Kind.KOS, recall.stage)
        for to in everyone
        for one in recall.got.get(to.name, ())
    )


def left_behind(recall: Recall, outgoing: Sequence[Outgoing]) -> Sequence[str]:
    """Names of those who have it and get nothing that takes it back; known only once nothing is unclear any more."""
    return () if recall.unclear else sorted(recall.got.keys() - {item.destination for item in outgoing})


def finish(tx: Session, recall: Recall, outgoing: Sequence[Outgoing], now: datetime) -> int:
    """Queue what takes it back; returns how many are new. What can be told to nobody is said in the audit trail.

    Several dispatchers may come here at once: UIDs are derived, and what is queued already is not queued again.
    """
    report = tx.scalars(select(Report).where(Report.id == recall.report_id).with_for_update(of=Report)).one()
    if report.taken_back_at is not None or report.changed_at != recall.at:
        return 0
    revision = tx.get_one(Revision, recall.revision_id)
    new = enqueue(tx, revision, outgoing, now, actor="dispatch")
    for name in sorted({item.destination for item in outgoing}):
        audit.append(tx, "report-recalled", at=now, actor="dispatch", study_id=revision.study_id, destination=name)
    for name in left_behind(recall, outgoing):
        audit.append(tx, LEFT_BEHIND, at=now, actor="dispatch", study_id=revision.study_id, destination=name)
    if not recall.unclear:
        report.taken_back_at = now
    return new


def _recall(tx: Session, report: Report) -> Recall:
    revision = tx.get_one(Revision, report.revision_id)
    rule = RULES[Event(report.event)]
    newer = _newer(tx, revision) if report.event == Event.SUPERSEDED else _later(tx, revision)
    ours = [one for one in deliveries_of(tx, revision) if not _is_final_in_place(tx, one, revision.study_id)]
    got, unclear = _got(ours, report.changed_at, newer)
    return Recall(
        report_id=report.id,
        revision_id=revision.id,
        study_id=revision.study_id,
        number=revision.number,
        event=Event(report.event),
        stage=rule.goes_out,
        words=report.explanation or rule.words,
        drafted_at=report.drafted_at,
        at=report.changed_at,
        digest=report.digest,
        finals=_finals(tx, report),
        reason=tx.scalar(select(Decision.reason).where(Decision.report_id == report.id)) or "",
        got=got,
        unclear=unclear,
    )


def _finals(tx: Session, report: Report) -> tuple[Signed, ...]:
    signed = select(SignedDocument.sop_instance_uid, SignedDocument.digest).where(
        SignedDocument.report_id == report.id, SignedDocument.kind != SignedKind.ATTESTED
    )
    return tuple(Signed(uid, digest) for uid, digest in tx.execute(signed.order_by(SignedDocument.number.desc())))


def _is_final_in_place(tx: Session, delivery: Delivery, study_id: int) -> bool:
    """Has a person signed it there? Then it is theirs, and there is nothing to take back."""
    key = in_place_key(delivery.destination, study_id)
    return delivery.kind is Kind.FHIR and tx.scalar(select(Sighting.id).where(Sighting.key == key)) is not None


def _newer(tx: Session, revision: Revision) -> Sequence[Delivery]:
    """Messages of newer drafts: what arrives replaces the older one, and taking that back would take this back."""
    chosen = (
        select(Delivery)
        .join(Revision, Revision.id == Delivery.revision_id)
        .where(
            Revision.study_id == revision.study_id,
            Revision.number > revision.number,
            Delivery.kind.in_([Kind.ORU, Kind.FHIR]),
            Delivery.stage.not_in(NOTES),
        )
    )
    return tx.scalars(chosen).all()


def _later(tx: Session, revision: Revision) -> Sequence[Delivery]:
    """Messages of what stands beside, queued after the last one of this revision: as `_newer`."""
    last = (
        select(func.max(Delivery.id))
        .where(Delivery.revision_id == revision.id, Delivery.stage.not_in(NOTES))
        .scalar_subquery()
    )
    chosen = (
        select(Delivery)
        .join(Revision, Revision.id == Delivery.revision_id)
        .join(Report, Report.revision_id == Revision.id)
        .where(
            Revision.study_id == revision.study_id,
            Revision.id != revision.id,
            Report.state.not_in(ENDED),
            Delivery.kind.in_([Kind.ORU, Kind.FHIR]),
            Delivery.stage.not_in(NOTES),
            Delivery.id > last,
        )
    )
    return tx.scalars(chosen).all()


def _got(
    deliveries: Sequence[Delivery], ended_at: datetime, newer: Sequence[Delivery]
) -> tuple[Mapping[str, tuple[Got, ...]], bool]:
    """By destination what is there, and whether that is not known yet of some destination."""
    told = {one.destination for one in deliveries if one.stage in TAKES_BACK and one.queued_at >= ended_at}
    ours = [one for one in deliveries if one.stage not in NOTES | {Stage.NOTICE} and one.destination not in told]
    under_way = {(one.destination, one.kind) for one in newer if _may_still_come(one)}
    # what was called off or refused before it left has replaced nothing
    replaced = {(one.destination, one.kind) for one in newer if one.sent_at is not None and not _may_still_come(one)}
    ours = [one for one in ours if (one.destination, one.kind) not in replaced]
    unclear = {one.destination for one in ours if _is_being_sent(one)}
    unclear |= {one.destination for one in ours if one.sent_at is not None and (one.destination, one.kind) in under_way}
    got: dict[str, tuple[Got, ...]] = {}
    for one in ours:
        if one.sent_at is not None and one.destination not in unclear:
            got[one.destination] = (
                *got.get(one.destination, ()),
                Got(one.kind, one.sop_instance_uid, one.digest),
            )
    return MappingProxyType(got), bool(unclear)


def _is_being_sent(delivery: Delivery) -> bool:
    return bool(delivery.claim_token) and delivery.state in {DeliveryState.QUEUED, DeliveryState.CANCELED}


def _may_still_come(delivery: Delivery) -> bool:
    """Also what was answered with success: while its proof is missing, the destination may still say that it is not."""
    return delivery.state in {DeliveryState.QUEUED, DeliveryState.SENT} or _is_being_sent(delivery)
