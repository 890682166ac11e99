"""What modalities and PACS tell of their work: Modality Performed Procedure Steps (PS3.4 F.7), Instance Availability
Notifications (PS3.4 R.3). Both may say that a study is whole; nothing else is done with them, and nothing else is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final, cast

import structlog
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_CREATE, N_SET
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dicom_node.access import Right
from dicom_node.database import Database, clock
from dicom_node.rules.tables import PerformedStep, Trigger
from dicom_node.services import Handler, Offer
from dicom_node.uids import derived_uid, is_uid
from dicom_node.worklist import Event, completed_by
from dicom_node.worklist.completions import unsay

log = structlog.get_logger("listen")

PERFORMED_STEP: Final = "1.2.840.10008.3.1.2.3.3"
AVAILABILITY: Final = "1.2.840.10008.5.1.4.33"

# PS3.7 C.4 and C.5
SUCCESS: Final = 0x0000
INVALID_VALUE: Final = 0x0106
PROCESSING_FAILURE: Final = 0x0110
DUPLICATE: Final = 0x0111
NO_SUCH_INSTANCE: Final = 0x0112
MISSING_ATTRIBUTE: Final = 0x0120
RESOURCE_LIMITATION: Final = 0x0213

_IN_PROGRESS: Final = "IN PROGRESS"
_COMPLETED: Final = "COMPLETED"
_ENDED: Final = frozenset({_COMPLETED, "DISCONTINUED"})
_GONE: Final = "UNAVAILABLE"  # Instance Availability (0008,0056)
_MOST: Final = 10_000  # instances of one message

Answer = tuple[int, Dataset | None]
Keep = Callable[[Session, Event, datetime], None]


class PerformedSteps:
    """The services that the listener offers: procedure steps and availability notifications, from whoever may send."""

    def __init__(self, database: Database, counted: Collection[Trigger] = (Trigger.IAN, Trigger.MPPS)) -> None:
        """counted: whose word may complete a study. The others are answered all the same, and nothing is written."""
        self._database = database
        self._counted = frozenset(counted)

    @property
    def offers(self) -> Sequence[Offer]:
        """Both classes."""
        senders = frozenset({Right.SEND})
        return (Offer(PERFORMED_STEP, senders), Offer(AVAILABILITY, senders))

    @property
    def handlers(self) -> Mapping[evt.InterventionEvent, Handler]:
        """N-CREATE begins a step, or notifies; N-SET goes on with a step."""
        return MappingProxyType({evt.EVT_N_CREATE: self._handle_create, evt.EVT_N_SET: self._handle_set})

    def _handle_create(self, event: evt.Event) -> Answer:
        attributes, peer = event.attribute_list, _peer(event)
        if str(event.context.abstract_syntax) == AVAILABILITY:
            status, _ = self._answered(lambda tx, now: hear_availability(tx, attributes, peer, now, keep=self._keep))
            return status, _named(attributes) if status == SUCCESS else None
        uid = str(cast(N_CREATE, event.request).AffectedSOPInstanceUID or "")
        return self._answered(lambda tx, now: begin(tx, uid, attributes, peer, now))

    def _handle_set(self, event: evt.Event) -> Answer:
        if str(event.context.abstract_syntax) == AVAILABILITY:
            return NO_SUCH_INSTANCE, None
        uid, changes = str(cast(N_SET, event.request).RequestedSOPInstanceUID), event.modification_list
        return self._answered(lambda tx, now: go_on(tx, uid, changes, now, keep=self._keep))

    def _keep(self, tx: Session, event: Event, now: datetime) -> None:
        if event.trigger in self._counted:
            completed_by(tx, event, now)

    def _answered(self, change: Callable[[Session, datetime], int]) -> Answer:
        try:
            with self._database.write() as tx:
                status = change(tx, clock(tx))
        except SQLAlchemyError as error:
            log.error("database_unavailable", error=type(error).__name__)
            return RESOURCE_LIMITATION, None
        return status, Dataset() if status == SUCCESS else None


def begin(tx: Session, uid: str, attributes: Dataset, peer: str, now: datetime) -> int:
    """N-CREATE of a procedure step, which has to be IN PROGRESS (PS3.4 F.7.2.1.2). Returns the status."""
    studies = _studies(attributes)
    if not is_uid(uid) or not studies:
        return MISSING_ATTRIBUTE
    if _status(attributes) != _IN_PROGRESS:
        return INVALID_VALUE
    if tx.get(PerformedStep, uid) is not None:
        return DUPLICATE
    step = PerformedStep(
        sop_instance_uid=uid,
        # A step for several studies says of no image which one it belongs to: nothing follows from it.
        study_instance_uid=studies[0] if len(studies) == 1 else "",
        status=_IN_PROGRESS,
        instances=json.dumps(_images(attributes)),
        peer=peer,
        begun_at=now,
        changed_at=now,
    )
    tx.add(step)
    if step.study_instance_uid:
        unsay(tx, step.study_instance_uid, Trigger.MPPS)  # it ends with this step, which speaks for all of them
    return SUCCESS


def go_on(tx: Session, uid: str, changes: Dataset, now: datetime, *, keep: Keep = completed_by) -> int:
    """N-SET of a procedure step (PS3.4 F.7.2.2.2); one that has ended is never changed. Returns the status."""
    found = select(PerformedStep).where(PerformedStep.sop_instance_uid == uid)
    step = tx.scalar(found.with_for_update(of=PerformedStep))
    if step is None:
        return NO_SUCH_INSTANCE
    if step.status in _ENDED:
        return PROCESSING_FAILURE
    status = _status(changes) or step.status
    if status not in _ENDED | {_IN_PROGRESS}:
        return INVALID_VALUE
    if "PerformedSeriesSequence" in changes:
        step.instances = json.dumps(_images(changes))
    step.status, step.changed_at = status, now
    if status == _COMPLETED:
        tx.flush()
        _conclude(tx, step, now, keep)
    return SUCCESS


def hear_availability(tx: Session, attributes: Dataset, peer: str, now: datetime, *, keep: Keep = completed_by) -> int:
    """N-CREATE of an availability notification. Returns the status."""
    study = _text(attributes, "StudyInstanceUID")
    if not is_uid(study) or "ReferencedSeriesSequence" not in attributes:
        return MISSING_ATTRIBUTE
    objects = [
        item
        for series in _items(attributes, "ReferencedSeriesSequence")
        for item in _items(series, "ReferencedSOPSequence")
        if _text(item, "InstanceAvailability").upper() != _GONE
    ]
    keep(tx, Event(Trigger.IAN, study, frozenset(_uids(objects)), peer), now)
    log.info("availability_told", peer=peer, objects=len(objects))
    return SUCCESS


def _conclude(tx: Session, step: PerformedStep, now: datetime, keep: Keep) -> None:
    """The study is whole once all its steps have ended; what was discontinued has no images that anybody waits for."""
    if not step.study_instance_uid:
        return
    of_study = select(PerformedStep).where(PerformedStep.study_instance_uid == step.study_instance_uid)
    steps = tx.scalars(of_study).all()
    if any(one.status == _IN_PROGRESS for one in steps):
        return
    images = frozenset(uid for one in steps if one.status == _COMPLETED for uid in json.loads(one.instances))
    keep(tx, Event(Trigger.MPPS, step.study_instance_uid, images, step.peer), now)
    log.info("step_completed", peer=step.peer, images=len(images))


def _named(attributes: Dataset) -> Dataset:
    """The answer to who leaves it to us to name the notification (PS3.7 10.1.5.1.4): the same content, the same UID."""
    answer = Dataset()
    answer.AffectedSOPInstanceUID = derived_uid(AVAILABILITY, attributes.to_json())
    return answer


def _studies(attributes: Dataset) -> list[str]:
    scheduled = _items(attributes, "ScheduledStepAttributesSequence")
    return sorted({uid for item in scheduled if is_uid(uid := _text(item, "StudyInstanceUID"))})


def _images(attributes: Dataset) -> list[str]:
    series = _items(attributes, "PerformedSeriesSequence")
    return _uids(item for one in series for item in _items(one, "ReferencedImageSequence"))


def _uids(items: Iterable[Dataset]) -> list[str]:
    found = {uid for item in items if is_uid(uid := _text(item, "ReferencedSOPInstanceUID"))}
    return sorted(found)[:_MOST]


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    return list(dataset.get(keyword) or ())


def _text(dataset: Dataset, keyword: str) -> str:
    return str(dataset.get(keyword) or "").strip(" \0")


def _status(attributes: Dataset) -> str:
    return _text(attributes, "PerformedProcedureStepStatus").upper()


def _peer(event: evt.Event) -> str:
    return str(event.assoc.requestor.ae_title).strip()[:16]
