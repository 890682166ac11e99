"""Studies that wait for a person because of whose they are: nothing of them is read or sent."""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType
from typing import Final

from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.kinds import KEPT
from dicom_node.tables import (
    Book,
    Delivery,
    Revision,
    Study,
    Workitem,
    WorkitemState,
)
from dicom_node.worklist.moves import Ending, call_back, current_revision, locked, move_workitem, where_it_is

TWO_PATIENTS: Final = "two-patients"
NO_PATIENT_ID: Final = "no-patient-id"
IN_TWO_STUDIES: Final = "instance-in-two-studies"
PATIENT_CHANGED: Final = "patient-changed"

# What each means, in the words of the command, the page and the manual.
HOLDS: Final = MappingProxyType(
    {
        TWO_PATIENTS: "Objects of two patients came under one Study Instance UID, or of two issuers of the Patient ID.",
        NO_PATIENT_ID: "The study came without a Patient ID.",
        IN_TWO_STUDIES: "One SOP Instance UID came in two studies.",
        PATIENT_CHANGED: "The patient of the study was merged or changed after it came (HL7 ADT).",
    }
)


WAY_OUT: Final = (
    "Correct it in the PACS and send it again; then wetread study release uses the newest of what came. "
    "Or wetread study exclude."
)


def what_to_do(reason: str) -> str:
    """What a hold means and what a person does about it: one wording for the commands, the page and the manual."""
    return f"{HOLDS[reason]} {WAY_OUT}"


def hold_study(tx: Session, study: Study, reason: str, now: datetime, *, actor: str = "listen") -> None:
    """Nothing may be read or sent until a person has looked.

    What a person has signed waits as well, with the note that hides its draft, and goes out after the release, where it
    still names whose study it is.
    """
    tx.flush()
    if study.hold_reason != reason:
        study.hold_reason = reason
        audit.append(tx, "study-held", at=now, actor=actor, study_id=study.id, reason=reason)
    for workitem in tx.scalars(locked(Workitem).join(Revision).where(Revision.study_id == study.id)):
        if workitem.state is WorkitemState.IN_PROGRESS:
            move_workitem(workitem, WorkitemState.SCHEDULED)
        workitem.hold_reason = reason
    revision = current_revision(tx, study)
    if tx.scalars(locked(Delivery).where(Delivery.revision_id == revision.id)).all():
        ending = Ending(Book.DEAD_LETTERED, reason, where_it_is(tx, revision))
        call_back(tx, revision, ending, now, actor=actor, but=KEPT)
