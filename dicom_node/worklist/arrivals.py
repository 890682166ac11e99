"""What comes through the door: each object is booked, and opens, keeps open or reopens its study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.headers import Header
from dicom_node.rules.tables import Late, Routing
from dicom_node.tables import (
    Book,
    Delivery,
    Instance,
    Outcome,
    Reception,
    Revision,
    Role,
    Study,
    StudyState,
)
from dicom_node.worklist.holds import IN_TWO_STUDIES, NO_PATIENT_ID, TWO_PATIENTS, hold_study
from dicom_node.worklist.moves import current_revision, is_signed, next_revision
from dicom_node.worklist.routings import routing_of, stands_beside
from dicom_node.worklist.turns import take_turn


@dataclass(frozen=True, slots=True)
class Arrival:
    """One object that lies whole in the incoming folder."""

    header: Header
    transfer_syntax_uid: str
    digest: str
    size: int  # bytes of the file
    calling_ae_title: str
    called_ae_title: str = ""


def record_instance(tx: Session, arrival: Arrival, now: datetime, *, late: Late = Late.REPLACE) -> Outcome:
    """Book one arrived object and return what it is. Afterwards the file may be kept (STORED, CONFLICT) or dropped.

    late: what becomes of an image of a complete study where its rule does not say it.
    """
    header = arrival.header
    take_turn(tx, f"arrival {header.sop_instance_uid}")  # two new studies may bring one UID: no row to lock yet
    if is_own(tx, header):
        _book_reception(tx, arrival, now, Outcome.DUPLICATE, reason="own-object")
        return Outcome.DUPLICATE
    _lock_studies(tx, header)
    known = tx.scalars(
        select(Instance).where(Instance.sop_instance_uid == header.sop_instance_uid).order_by(Instance.id)
    ).all()
    same = next((instance for instance in known if instance.digest == arrival.digest), None)
    if same is not None:
        _book_reception(tx, arrival, now, Outcome.DUPLICATE, instance=same)
        return Outcome.DUPLICATE
    if known:
        return _record_conflict(tx, arrival, known, now)
    study = _study_for(tx, header, now, late)
    instance = _add_instance(tx, arrival, study, now, conflict=False)
    _book_reception(tx, arrival, now, Outcome.STORED, instance=instance)
    return Outcome.STORED


def is_own(tx: Session, header: Header) -> bool:
    """Did we make this object? Every PACS that routes everything will send our drafts back to us."""
    made_here = Delivery.sop_instance_uid == header.sop_instance_uid
    if header.device_uid:
        made_here = or_(made_here, Delivery.device_uid == header.device_uid)
    return tx.scalar(select(Delivery.id).where(made_here).limit(1)) is not None


def record_quarantine(
    tx: Session,
    now: datetime,
    *,
    calling_ae_title: str,
    reason: str,
    digest: str,
    sop_class_uid: str,
    sop_instance_uid: str,
) -> None:
    """Book an object that was refused for its content."""
    tx.add(
        Reception(
            at=now,
            calling_ae_title=calling_ae_title,
            outcome=Outcome.QUARANTINED,
            reason=reason,
            sop_class_uid=sop_class_uid[:64],
            sop_instance_uid=sop_instance_uid[:64],
            digest=digest,
        )
    )
    audit.append(tx, "object-quarantined", at=now, actor="listen", reason=reason, digest=digest)


def _lock_studies(tx: Session, header: Header) -> None:
    """Two associations may bring a study's objects at once: the second waits here and then sees the first.

    The studies that have this SOP Instance UID already are locked as well, all in one order.
    """
    having = select(Instance.study_id).where(Instance.sop_instance_uid == header.sop_instance_uid)
    touched = or_(Study.study_instance_uid == header.study_instance_uid, Study.id.in_(having))
    tx.scalars(select(Study.id).where(touched).order_by(Study.id).with_for_update(key_share=True)).all()


def _record_conflict(tx: Session, arrival: Arrival, known: Sequence[Instance], now: datetime) -> Outcome:
    """Other bytes under a known SOP Instance UID: kept, not used, and looked at for another patient or study."""
    study = _find_study(tx, arrival.header) or _open_study(tx, arrival.header, now)
    instance = _add_instance(tx, arrival, study, now, conflict=True)
    _book_reception(tx, arrival, now, Outcome.CONFLICT, instance=instance)
    audit.append(tx, "instance-conflict", at=now, actor="listen", study_id=study.id, digest=arrival.digest)
    elsewhere = sorted({other.study_id for other in known} - {study.id})
    for study_id in elsewhere:
        hold_study(tx, tx.get_one(Study, study_id), IN_TWO_STUDIES, now)
    if elsewhere:
        hold_study(tx, study, IN_TWO_STUDIES, now)
    else:
        _compare_identity(tx, study, arrival.header, now, used=False)
    return Outcome.CONFLICT


def _study_for(tx: Session, header: Header, now: datetime, late: Late) -> Study:
    """The study of an object that we did not have: opened, reopened or kept open as its role asks."""
    study = _find_study(tx, header)
    if study is None:
        return _open_study(tx, header, now)
    if study.state is StudyState.COMPLETE and header.is_image:
        _take_late(tx, study, now, late)
    elif header.is_image:
        study.last_received_at = now
    _compare_identity(tx, study, header, now, used=True)
    return study


def _take_late(tx: Session, study: Study, now: datetime, late: Late) -> None:
    """An image came after its study was complete. It opens a revision, or is kept only."""
    old = current_revision(tx, study)
    routing = tx.get(Routing, old.id)  # none of a study that was complete before there were rules
    policy = Late((routing.late if routing else "") or late)
    if is_signed(tx, old):
        audit.append(tx, "late-image", at=now, actor="listen", study_id=study.id, policy="signed")
        return
    if policy is Late.NEVER:
        audit.append(tx, "late-image", at=now, actor="listen", study_id=study.id, policy=policy.value)
        return
    # Before the older draft is out, one draft can still tell of all images.
    beside = policy is Late.ADD and (old.book is Book.DELIVERED or stands_beside(tx, old.id))
    revision = next_revision(tx, study, now, actor="listen")
    if beside:
        tx.flush()
        routing_of(tx, revision.id).beside = True


def _find_study(tx: Session, header: Header) -> Study | None:
    wanted = select(Study).where(Study.study_instance_uid == header.study_instance_uid)
    return tx.scalar(wanted.with_for_update(of=Study).execution_options(populate_existing=True))


def _compare_identity(tx: Session, study: Study, header: Header, now: datetime, *, used: bool) -> None:
    """Hold the study of two patients; an absent issuer agrees with any one. The images in use say whose it is."""
    used_image = used and header.is_image
    if not study.patient_id:  # held since it was opened
        if header.patient_id and used:
            _identify(study, header)
            if not _used_images(tx, study, Instance.patient_id == ""):
                study.hold_reason = ""
                audit.append(tx, "study-released", at=now, actor="listen", study_id=study.id, reason=NO_PATIENT_ID)
    elif not header.patient_id and study.hold_reason == NO_PATIENT_ID:
        return
    elif header.patient_id != study.patient_id or not _issuers_agree(tx, study, header):
        hold_study(tx, study, TWO_PATIENTS, now)
    elif used_image and not _used_images(tx, study):
        _identify(study, header)  # what was no image came first; a draft will say what the images say
    elif used_image:
        study.issuer_of_patient_id = study.issuer_of_patient_id or header.issuer_of_patient_id


def _identify(study: Study, header: Header) -> None:
    study.patient_id, study.issuer_of_patient_id = header.patient_id, header.issuer_of_patient_id
    study.accession_number = header.accession_number[:64]


def _used_images(tx: Session, study: Study, *conditions: ColumnElement[bool]) -> bool:
    wanted = select(Instance.id).where(
        Instance.study_id == study.id, Instance.role == Role.IMAGE, ~Instance.conflict, *conditions
    )
    return tx.scalar(wanted.limit(1)) is not None


def _issuers_agree(tx: Session, study: Study, header: Header) -> bool:
    came = select(Instance.issuer_of_patient_id).where(Instance.study_id == study.id, ~Instance.conflict).distinct()
    issuers = {study.issuer_of_patient_id, header.issuer_of_patient_id, *tx.scalars(came)} - {""}
    return len(issuers) <= 1


def _open_study(tx: Session, header: Header, now: datetime) -> Study:
    study = Study(
        study_instance_uid=header.study_instance_uid,
        state=StudyState.RECEIVING,
        revision=1,
        patient_id=header.patient_id,
        issuer_of_patient_id=header.issuer_of_patient_id,
        accession_number=header.accession_number[:64],
        first_received_at=now,
        last_received_at=now,
        hold_reason="" if header.patient_id else NO_PATIENT_ID,
    )
    tx.add(study)
    tx.flush()
    tx.add(Revision(study_id=study.id, number=1, book=Book.IN_FLIGHT, opened_at=now))
    audit.append(tx, "study-opened", at=now, actor="listen", study_id=study.id)
    return study


def _add_instance(tx: Session, arrival: Arrival, study: Study, now: datetime, *, conflict: bool) -> Instance:
    header = arrival.header
    instance = Instance(
        study_id=study.id,
        revision=study.revision,
        sop_instance_uid=header.sop_instance_uid,
        sop_class_uid=header.sop_class_uid,
        series_instance_uid=header.series_instance_uid,
        patient_id=header.patient_id,
        issuer_of_patient_id=header.issuer_of_patient_id,
        accession_number=header.accession_number[:64],
        transfer_syntax_uid=arrival.transfer_syntax_uid,
        role=Role.IMAGE if header.is_image else Role.OTHER,
        conflict=conflict,
        digest=arrival.digest,
        size=arrival.size,
        calling_ae_title=arrival.calling_ae_title,
        called_ae_title=arrival.called_ae_title,
        received_at=now,
    )
    tx.add(instance)
    tx.flush()
    return instance


def _book_reception(
    tx: Session,
    arrival: Arrival,
    now: datetime,
    outcome: Outcome,
    *,
    instance: Instance | None = None,
    reason: str = "",
) -> None:
    tx.add(
        Reception(
            at=now,
            calling_ae_title=arrival.calling_ae_title,
            outcome=outcome,
            reason=reason,
            sop_class_uid=arrival.header.sop_class_uid,
            sop_instance_uid=arrival.header.sop_instance_uid,
            digest=arrival.digest,
            instance_id=None if instance is None else instance.id,
        )
    )
