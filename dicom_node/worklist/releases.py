"""A person releases a study: the newest of what came under each SOP Instance UID is used from now on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.errors import WrongState
from dicom_node.tables import Instance, Role, Study, StudyState
from dicom_node.worklist.completions import complete
from dicom_node.worklist.moves import next_revision


def release_study(tx: Session, study: Study, now: datetime, *, actor: str) -> str:
    """Use the newest bytes under each SOP Instance UID, adopt the patient they name, end the hold, read it anew.

    Images without a Patient ID are set aside where others have one. Returns what was done, in words. Raises WrongState
    where the images would not agree on one patient, or one of them is in use in another study.
    """
    contents = _contents(tx, study)
    newest = {one.sop_instance_uid: one for one in contents if one.study_id == study.id}
    if not study.hold_reason and not any(one.conflict for one in newest.values()):
        raise WrongState("the study is not held and has no newer bytes than those that are used")
    _nobody_else_uses(tx, study, contents)
    images = _of_one_patient([one for one in newest.values() if one.role is not Role.OTHER])
    reason = study.hold_reason
    for one in contents:
        one.conflict = one is not newest[one.sop_instance_uid]
        if one.study_id == study.id and one.role is not Role.OTHER and not one.conflict:
            one.role = Role.IMAGE if one in images else Role.SET_ASIDE
    study.patient_id, study.issuer_of_patient_id = images[-1].patient_id, images[-1].issuer_of_patient_id
    study.accession_number, study.hold_reason = images[-1].accession_number, ""
    audit.append(tx, "study-released", at=now, actor=actor, study_id=study.id, reason=reason or "newer bytes")
    if study.state is StudyState.RECEIVING:
        return "released; it is read when no more images come"
    next_revision(tx, study, now, actor=actor)
    complete(tx, study, now, actor=actor)
    return f"released; revision {study.revision} scheduled"


def _contents(tx: Session, study: Study) -> Sequence[Instance]:
    """All that came under the study's SOP Instance UIDs, in any study, oldest first; those studies are locked."""
    uids = select(Instance.sop_instance_uid).where(Instance.study_id == study.id)
    wanted = select(Instance).where(Instance.sop_instance_uid.in_(uids)).order_by(Instance.id)
    studies = select(Study).where(Study.id.in_({study.id, *(one.study_id for one in tx.scalars(wanted))}))
    tx.scalars(
        studies.order_by(Study.id).with_for_update(key_share=True).execution_options(populate_existing=True)
    ).all()
    return tx.scalars(wanted.execution_options(populate_existing=True)).all()


def _nobody_else_uses(tx: Session, study: Study, contents: Sequence[Instance]) -> None:
    for one in contents:
        if one.study_id != study.id and not one.conflict and not tx.get_one(Study, one.study_id).hold_reason:
            raise WrongState(f"an object of the study is in use in study #{one.study_id}, which was released")


def _of_one_patient(images: Sequence[Instance]) -> Sequence[Instance]:
    """The images that name their patient. Raises WrongState where none does, or where they name two."""
    named = [one for one in images if one.patient_id]
    if not named:
        raise WrongState("no image of the study has a Patient ID: correct it in the PACS and send the study again")
    for what, found in (
        ("Patient ID", {one.patient_id for one in named}),
        ("Issuer of Patient ID", {one.issuer_of_patient_id for one in named}),
    ):
        if len(found) > 1:
            raise WrongState(
                f"also the newest images of the study differ in {what}: correct all of them in the PACS and send them "
                "again, or exclude the study"
            )
    return named
