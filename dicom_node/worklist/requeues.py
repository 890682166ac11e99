"""Dead letters that a person wants to be tried again: those of a study, or all of a destination that was mended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.kinds import FINAL, NOTES, TAKES_BACK
from dicom_node.tables import Delivery, DeliveryState, Revision, Study
from dicom_node.worklist.moves import MAY_BE_THERE, cancel, locked, move_delivery, settle
from dicom_node.worklist.permits import is_called_off


def requeue_deliveries_of(tx: Session, study: Study, now: datetime, *, actor: str) -> int:
    """Queue the dead letters of a study again, of every form; of older revisions what is signed, or a note."""
    return _again(tx, [Revision.study_id == study.id], now, actor=actor)


def requeue_for(tx: Session, destination: str, now: datetime, *, actor: str) -> int:
    """Queue all dead letters for a destination again. Studies that are held keep theirs, save what takes back."""
    free = or_(Study.hold_reason == "", Delivery.stage.in_(TAKES_BACK))
    count = _again(tx, [Delivery.destination == destination, free], now, actor=actor)
    audit.append(tx, "destination-requeued", at=now, actor=actor, destination=destination, deliveries=count)
    return count


def is_wanted(study: Study, delivery: Delivery) -> bool:
    """Does a requeue of the study queue this dead letter again? Where there is none such, it reads the study anew."""
    return delivery.revision.number == study.revision or delivery.stage in NOTES | FINAL


def _again(tx: Session, which: Sequence[ColumnElement[bool]], now: datetime, *, actor: str) -> int:
    wanted = or_(Revision.number == Study.revision, Delivery.stage.in_(NOTES | FINAL))
    chosen = (
        locked(Delivery)
        .join(Revision, Revision.id == Delivery.revision_id)
        .join(Study, Study.id == Revision.study_id)
        .where(Delivery.state == DeliveryState.FAILED, wanted, *which)
        .order_by(Delivery.id)
    )
    failed = tx.scalars(chosen).all()
    for delivery in failed:
        _try(tx, delivery, now)
    for revision in tx.scalars(
        select(Revision).where(Revision.id.in_({delivery.revision_id for delivery in failed})).order_by(Revision.id)
    ).all():
        settle(tx, revision, now, actor=actor)
    return sum(delivery.state is not DeliveryState.CANCELED for delivery in failed)


def _try(tx: Session, delivery: Delivery, now: datetime) -> None:
    """Queue a dead letter again. One that was called off is never sent: it is asked for where it may be there."""
    called_off = delivery.reason == MAY_BE_THERE or is_called_off(tx, delivery)
    move_delivery(delivery, DeliveryState.QUEUED)
    delivery.attempts, delivery.resends, delivery.reason = 0, 0, ""
    delivery.next_attempt_at, delivery.queued_at = now, now
    if called_off:
        cancel(delivery, now)
