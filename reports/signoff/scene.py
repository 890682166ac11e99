"""What a signature depends on: read before the documents are built and, with the study locked, before the commit again.

Two readings that are equal mean that nothing has happened between them that the documents would have to say otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Final

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from dicom_node import worklist
from dicom_node.destinations import destinations
from dicom_node.errors import NotFound
from dicom_node.kinds import FINAL, Kind
from dicom_node.tables import Book, Delivery, DeliveryState, Instance, Revision, Role, Study
from dicom_node.transports import Destination
from dicom_node.worklist.moves import CLASS_REFUSED
from reports import drafts, life
from reports.signoff.possessions import known_of
from reports.signoff.tables import SignedDocument, SignedKind
from reports.tables import Event, Report, ReportState

_FAR: Final = (
    DeliveryState.FAILED,
    DeliveryState.CANCELED,
    DeliveryState.QUEUED,
    DeliveryState.SENT,
    DeliveryState.COMMITTED,
)
_FRESH: Final = MappingProxyType({"populate_existing": True})


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
        raise _no_report(report_id)
    return report


def study_of(tx: Session, report_id: int) -> int:
    """Number of the study that a report is about. Raises NotFound."""
    study_id = tx.scalar(_study_of(), {"report": report_id})
    if study_id is None:
        raise _no_report(report_id)
    return study_id


def signed_report_of(tx: Session, study_id: int) -> Report | None:
    """The report of a study that is verified now; None where none is. Raises NotFound: no such study."""
    if tx.get(Study, study_id) is None:
        raise NotFound(f"there is no study with the number {study_id}")
    number = drafts.signed_one(tx, study_id)
    return tx.get(Report, number) if number is not None else None


def look(tx: Session, report_id: int) -> Scene:
    """Read everything, in few questions: they are asked with the study locked. Raises NotFound."""
    row = tx.execute(_whole(), {"report": report_id}, execution_options=_FRESH).first()
    if row is None:
        raise _no_report(report_id)
    report, revision = row
    study: Study = revision.study
    signatures = tx.scalars(_signed(), {"study": study.id}, execution_options=_FRESH).all()
    own = _those_of(signatures, report.id)
    signed = drafts.signed_one(tx, study.id)
    seen = life.seen_of(tx, study)
    films = tx.execute(_films(), {"study": study.id}).all()
    known = known_of(tx, study.id, revision.number)
    return Scene(
        report_id=report.id,
        study_id=study.id,
        revision_id=revision.id,
        state=report.state,
        event=report.event,
        draft_digest=report.digest,
        drafted_at=report.drafted_at,
        films=report.films,
        images=tuple(one.digest for one in films if not (one.conflict or one.sop_instance_uid in seen.rejected)),
        is_current=_is_current(tx, revision),
        hold=study.hold_reason,
        whose=(study.study_instance_uid, study.patient_id, study.issuer_of_patient_id, study.accession_number),
        newest=(films[-1].id, films[-1].digest) if films else None,
        silence=life.why_silent(tx, study.id, seen, report.films, signed=signed is not None),
        is_merged=seen.merged,
        everyone=worklist.bound_for(tx, revision.id, destinations(tx)),
        earlier=known.earlier,
        messaged=known.messaged,
        drafted=known.drafted,
        first=_first(report, own),
        last=_verified(own),
        beside=None if signed in {None, report.id} else _verified(_those_of(signatures, signed)),
        next_number=max((one.number for one in signatures), default=0) + 1,
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


def _no_report(report_id: int) -> NotFound:
    return NotFound(f"there is no report with the number {report_id}")


def _is_current(tx: Session, revision: Revision) -> bool:
    """Is no newer revision about to be read, but for such as stand beside it, with late images of their own?

    One that was excluded, or could not be read, gives no draft that could be waited for.
    """
    asked = {"study": revision.study_id, "number": revision.number}
    return all(worklist.stands_beside(tx, one) for one in tx.scalars(_coming(), asked).all())


def _signature(row: SignedDocument) -> Signature:
    return Signature(
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


def _those_of(rows: Sequence[SignedDocument], report_id: int) -> list[Signature]:
    """The signatures of one report that hold."""
    return [_signature(row) for row in rows if row.report_id == report_id and row.ended_at is None]


def _first(report: Report, signatures: list[Signature]) -> Signature | None:
    if report.state is not ReportState.AWAITING_SECOND:
        return None
    return next((one for one in reversed(signatures) if one.kind is SignedKind.ATTESTED), None)


def _verified(signatures: list[Signature]) -> Signature | None:
    return next((one for one in reversed(signatures) if one.kind is not SignedKind.ATTESTED), None)


@cache
def _whole() -> Select[Report, Revision]:
    """A report and its revision, which brings its study."""
    joined = select(Report, Revision).join(Revision, Revision.id == Report.revision_id)
    return joined.where(Report.id == bindparam("report"))


@cache
def _study_of() -> Select[int]:
    return select(Revision.study_id).join(Report).where(Report.id == bindparam("report"))


@cache
def _signed() -> Select[SignedDocument]:
    """All signatures of a study, also those that have ended."""
    return select(SignedDocument).where(SignedDocument.study_id == bindparam("study")).order_by(SignedDocument.number)


@cache
def _films() -> Select[int, str, str, bool]:
    """The images of a study, also those that are not used."""
    chosen = select(Instance.id, Instance.digest, Instance.sop_instance_uid, Instance.conflict)
    return chosen.where(Instance.study_id == bindparam("study"), Instance.role == Role.IMAGE).order_by(Instance.id)


@cache
def _coming() -> Select[int]:
    newer = select(Revision.id).where(Revision.study_id == bindparam("study"), Revision.number > bindparam("number"))
    return newer.where(Revision.book == Book.IN_FLIGHT)
