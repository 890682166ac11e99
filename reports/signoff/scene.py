"""What a signature depends on: read before the documents are built and, with the study locked, before the commit again.

Two readings that are equal mean that nothing has happened between them that the documents would have to say otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from dicom_node import worklist
from dicom_node.destinations import destinations
from dicom_node.errors import NotFound
from dicom_node.kinds import FINAL, Kind, Stage
from dicom_node.tables import Book, Delivery, DeliveryState, Instance, Revision, Role, Study
from dicom_node.transports import Destination
from dicom_node.worklist.moves import CLASS_REFUSED
from reports import drafts, life
from reports.signoff.tables import SignedDocument, SignedKind
from reports.tables import Event, Report, ReportState

_FAR: Final = (
    DeliveryState.FAILED,
    DeliveryState.CANCELED,
    DeliveryState.QUEUED,
    DeliveryState.SENT,
    DeliveryState.COMMITTED,
)
_PREDECESSORS: Final = (Kind.BASIC_TEXT, Kind.TID1500)  # forms that name the document they replace


@dataclass(frozen=True, slots=True)
class Signature:
    """A row of `SignedDocument`, as it stands."""

    id: int
    report_id: int
    number: int
    kind: SignedKind
    digest: str
    sop_instance_uid: str
    user_id: int
    login: str
    name: str
    organization: str
    identifier: str
    scheme: str
    may_verify: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Scene:
    """A report with everything that its signed documents depend on.

    films: digests of the images that were read; images: of all that are in use and that no PACS has rejected.
    whose: Study Instance UID, Patient ID, issuer and accession number, as the books have them. newest: id and digest of
    the image that came last, also one that is not used. silence: why no draft of the study may leave. is_merged: its
    Patient ID was merged away. earlier: by destination and form, digest of the newest document of ours that it has or
    will have. messaged: who may have a draft as ORU; drafted: in any form. first: the signature that waits for a second
    one. last: the newest one that verified. beside: that of another report of the study. next_number: of the next
    signature of the study.
    """

    report_id: int
    study_id: int
    revision_id: int
    state: ReportState
    event: str
    draft_digest: str
    drafted_at: datetime
    films: tuple[str, ...]
    images: tuple[str, ...]
    is_current: bool
    hold: str
    whose: tuple[str, str, str, str]
    newest: tuple[int, str] | None
    silence: Event | None
    is_merged: bool
    everyone: tuple[Destination, ...]
    earlier: Mapping[str, Mapping[Kind, str]]
    messaged: frozenset[str]
    drafted: frozenset[str]
    first: Signature | None
    last: Signature | None
    beside: Signature | None
    next_number: int


def report_of(tx: Session, report_id: int) -> Report:
    """Raises NotFound."""
    report = tx.get(Report, report_id)
    if report is None:
        raise NotFound(f"there is no report with the number {report_id}")
    return report


def study_of(tx: Session, report_id: int) -> int:
    """Number of the study that a report is about. Raises NotFound."""
    return tx.get_one(Revision, report_of(tx, report_id).revision_id).study_id


def signed_report_of(tx: Session, study_id: int) -> Report | None:
    """The report of a study that is verified now; None where none is. Raises NotFound: no such study."""
    if tx.get(Study, study_id) is None:
        raise NotFound(f"there is no study with the number {study_id}")
    return next((one for one in drafts.of_study(tx, study_id) if one.state is ReportState.VERIFIED), None)


def look(tx: Session, report_id: int) -> Scene:
    """Read everything. Raises NotFound."""
    report = tx.get(Report, report_id, populate_existing=True)
    if report is None:
        raise NotFound(f"there is no report with the number {report_id}")
    revision = tx.get_one(Revision, report.revision_id)
    study = tx.get_one(Study, revision.study_id, populate_existing=True)
    signatures = _signatures(tx, report.id)
    return Scene(
        report_id=report.id,
        study_id=study.id,
        revision_id=revision.id,
        state=report.state,
        event=report.event,
        draft_digest=report.digest,
        drafted_at=report.drafted_at,
        films=report.films,
        images=_images(tx, study.id),
        is_current=_is_current(tx, revision),
        hold=study.hold_reason,
        whose=(study.study_instance_uid, study.patient_id, study.issuer_of_patient_id, study.accession_number),
        newest=_newest(tx, study.id),
        silence=life.silence(tx, study.id, films=report.films),
        is_merged=life.was_merged_away(tx, study),
        everyone=worklist.bound_for(tx, revision.id, destinations(tx)),
        earlier=_earlier(tx, study.id, revision.number),
        messaged=drafts.messaged(tx, study.id),
        drafted=_drafted(tx, study.id),
        first=_first(report, signatures),
        last=_verified(signatures),
        beside=_beside(tx, study.id, report),
        next_number=(tx.scalar(_highest(study.id)) or 0) + 1,
    )


def standing(tx: Session, study_id: int) -> dict[str, DeliveryState]:
    """By destination the least state among the newest signed objects of each form that it is to get."""
    chosen = (
        select(Delivery.destination, Delivery.kind, Delivery.state)
        .join(Revision, Revision.id == Delivery.revision_id)
        .where(Revision.study_id == study_id, Delivery.stage.in_(FINAL), Delivery.reason != CLASS_REFUSED)
        .order_by(Delivery.id)
    )
    newest = {(destination, kind): state for destination, kind, state in tx.execute(chosen)}
    found: dict[str, DeliveryState] = {}
    for (destination, _), state in newest.items():
        found[destination] = min(found.get(destination, state), state, key=_FAR.index)
    return found


def _is_current(tx: Session, revision: Revision) -> bool:
    """Is no newer revision about to be read, but for such as stand beside it, with late images of their own?

    One that was excluded, or could not be read, gives no draft that could be waited for.
    """
    newer = select(Revision.id).where(Revision.study_id == revision.study_id, Revision.number > revision.number)
    coming = tx.scalars(newer.where(Revision.book == Book.IN_FLIGHT)).all()
    return all(worklist.stands_beside(tx, one) for one in coming)


def _images(tx: Session, study_id: int) -> tuple[str, ...]:
    rejected = drafts.rejected_images(tx, study_id)
    everyone = worklist.images_of(tx, study_id)
    return tuple(one.digest for one in everyone if one.sop_instance_uid not in rejected)


def _newest(tx: Session, study_id: int) -> tuple[int, str] | None:
    images = select(Instance.id, Instance.digest).where(Instance.study_id == study_id, Instance.role == Role.IMAGE)
    row = tx.execute(images.order_by(Instance.id.desc()).limit(1)).first()
    return (row[0], row[1]) if row is not None else None


def _may_be_there() -> ColumnElement[bool]:
    return or_(Delivery.sent_at.is_not(None), Delivery.claim_token != "")


def _earlier(tx: Session, study_id: int, number: int) -> Mapping[str, Mapping[Kind, str]]:
    """Drafts count where they are or may be; what is signed counts also while it waits, as it goes out first."""
    on_its_way = and_(Delivery.stage.in_(FINAL), Delivery.state != DeliveryState.CANCELED)
    chosen = (
        select(Delivery.destination, Delivery.kind, Delivery.digest)
        .join(Revision, Revision.id == Delivery.revision_id)
        .where(
            Revision.study_id == study_id,
            Revision.number <= number,
            Delivery.kind.in_(_PREDECESSORS),
            or_(and_(Delivery.stage == Stage.DRAFT, _may_be_there()), on_its_way),
        )
        .order_by(Delivery.id)
    )
    found: dict[str, dict[Kind, str]] = {}
    for destination, kind, digest in tx.execute(chosen):
        found.setdefault(destination, {})[kind] = digest
    return MappingProxyType(found)


def _drafted(tx: Session, study_id: int) -> frozenset[str]:
    chosen = (
        select(Delivery.destination)
        .join(Revision, Revision.id == Delivery.revision_id)
        .where(Revision.study_id == study_id, Delivery.stage == Stage.DRAFT, _may_be_there())
    )
    return frozenset(tx.scalars(chosen))


def _signatures(tx: Session, report_id: int) -> list[Signature]:
    chosen = select(SignedDocument).where(SignedDocument.report_id == report_id, SignedDocument.ended_at.is_(None))
    fresh = chosen.order_by(SignedDocument.number).execution_options(populate_existing=True)
    return [
        Signature(
            id=row.id,
            report_id=row.report_id,
            number=row.number,
            kind=row.kind,
            digest=row.digest,
            sop_instance_uid=row.sop_instance_uid,
            user_id=row.user_id,
            login=row.login,
            name=row.name,
            organization=row.organization,
            identifier=row.identifier,
            scheme=row.scheme,
            may_verify=row.may_verify,
            at=row.at,
        )
        for row in tx.scalars(fresh)
    ]


def _first(report: Report, signatures: list[Signature]) -> Signature | None:
    if report.state is not ReportState.AWAITING_SECOND:
        return None
    return next((one for one in reversed(signatures) if one.kind is SignedKind.ATTESTED), None)


def _verified(signatures: list[Signature]) -> Signature | None:
    return next((one for one in reversed(signatures) if one.kind is not SignedKind.ATTESTED), None)


def _beside(tx: Session, study_id: int, report: Report) -> Signature | None:
    """What was signed last of another report of the study, which is its report now."""
    signed = next((one for one in drafts.of_study(tx, study_id) if one.state is ReportState.VERIFIED), None)
    return None if signed is None or signed.id == report.id else _verified(_signatures(tx, signed.id))


def _highest(study_id: int) -> Select[int]:
    return select(func.max(SignedDocument.number)).where(SignedDocument.study_id == study_id)
