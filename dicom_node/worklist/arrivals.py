"""What comes through the door: each object is booked, and opens, keeps open or reopens its study."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.headers import Header
from dicom_node.tables import (
    Book,
    Delivery,
    DeliveryState,
    Instance,
    Outcome,
    Reception,
    Revision,
    Role,
    Study,
    StudyState,
    Workitem,
    WorkitemState,
)
from dicom_node.worklist.moves import (
    Ending,
    close,
    current_revision,
    locked,
    move_delivery,
    move_workitem,
    next_revision,
)

TWO_PATIENTS = "two-patients"
NO_PATIENT_ID = "no-patient-id"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One object that lies whole in the incoming folder."""

    header: Header
    transfer_syntax_uid: str
    digest: str
    size: int  # bytes of the file
    calling_ae_title: str


def record_instance(tx: Session, arrival: Arrival, now: datetime) -> Outcome:
    """Book one arrived object and return what it is. Afterwards the file may be kept (STORED, CONFLICT) or dropped."""
    header = arrival.header
    if is_own(tx, header):
        _book_reception(tx, arrival, now, Outcome.DUPLICATE, reason="own-object")
        return Outcome.DUPLICATE
    # Two associations may bring the study's objects at once: the second waits here and then sees the first.
    tx.scalar(
        select(Study.id).where(Study.study_instance_uid == header.study_instance_uid).with_for_update(key_share=True)
    )
    known = tx.scalars(
        select(Instance).where(Instance.sop_instance_uid == header.sop_instance_uid).order_by(Instance.id)
    ).all()
    same = next((instance for instance in known if instance.digest == arrival.digest), None)
    if same is not None:
        _book_reception(tx, arrival, now, Outcome.DUPLICATE, instance=same)
        return Outcome.DUPLICATE
    if known:
        return _record_conflict(tx, arrival, known[0], now)
    role = Role.IMAGE if header.is_image else Role.OTHER
    study = _study_for(tx, header, role, now)
    instance = _add_instance(tx, arrival, study, role, now, conflict=False)
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


def _record_conflict(tx: Session, arrival: Arrival, first: Instance, now: datetime) -> Outcome:
    study = tx.get_one(Study, first.study_id)
    instance = _add_instance(tx, arrival, study, first.role, now, conflict=True)
    _book_reception(tx, arrival, now, Outcome.CONFLICT, instance=instance)
    audit.append(tx, "instance-conflict", at=now, actor="listen", study_id=study.id, digest=arrival.digest)
    return Outcome.CONFLICT


def _study_for(tx: Session, header: Header, role: Role, now: datetime) -> Study:
    """The study of an object that we did not have: opened, reopened or kept open as its role asks."""
    wanted = select(Study).where(Study.study_instance_uid == header.study_instance_uid)
    study = tx.scalar(wanted.with_for_update(of=Study))
    if study is None:
        study = _open_study(tx, header, now)
    elif study.state is StudyState.COMPLETE and role is Role.IMAGE:
        next_revision(tx, study, now, actor="listen")
    elif role is Role.IMAGE:
        study.last_received_at = now
    if (header.patient_id, header.issuer_of_patient_id) != (study.patient_id, study.issuer_of_patient_id):
        _hold_study(tx, study, TWO_PATIENTS, now)
    return study


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


def _hold_study(tx: Session, study: Study, reason: str, now: datetime) -> None:
    """Nothing may be read or sent until a person has looked."""
    tx.flush()
    if study.hold_reason != reason:
        study.hold_reason = reason
        audit.append(tx, "study-held", at=now, actor="listen", study_id=study.id, reason=reason)
    for workitem in tx.scalars(locked(Workitem).join(Revision).where(Revision.study_id == study.id)):
        if workitem.state is WorkitemState.IN_PROGRESS:
            move_workitem(workitem, WorkitemState.SCHEDULED)
        workitem.hold_reason = reason
    revision = current_revision(tx, study)
    deliveries = tx.scalars(locked(Delivery).where(Delivery.revision_id == revision.id)).all()
    queued = [delivery for delivery in deliveries if delivery.state is DeliveryState.QUEUED]
    for delivery in queued:
        move_delivery(delivery, DeliveryState.CANCELED)
    on_its_way = any(delivery.state is DeliveryState.SENT for delivery in deliveries)
    if queued and not on_its_way:  # what was sent is still proven, and closes the book then
        explanation = "the study came with a second patient before its draft was sent"
        close(tx, revision, Ending(Book.DEAD_LETTERED, reason, explanation), now, actor="listen")


def _add_instance(
    tx: Session, arrival: Arrival, study: Study, role: Role, now: datetime, *, conflict: bool
) -> Instance:
    header = arrival.header
    instance = Instance(
        study_id=study.id,
        revision=study.revision,
        sop_instance_uid=header.sop_instance_uid,
        sop_class_uid=header.sop_class_uid,
        series_instance_uid=header.series_instance_uid,
        transfer_syntax_uid=arrival.transfer_syntax_uid,
        role=role,
        conflict=conflict,
        digest=arrival.digest,
        size=arrival.size,
        calling_ae_title=arrival.calling_ae_title,
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
