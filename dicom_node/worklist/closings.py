"""Dead letters that are meant: a person closes them, and the report goes on without them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.errors import NotFound, WrongState
from dicom_node.tables import Book, Delivery, DeliveryState, Revision
from dicom_node.worklist.moves import CLOSED_BY_PERSON, deliveries_of, ending_of, locked, move_delivery, settle


def dead_letters(tx: Session, *, limit: int) -> Sequence[Delivery]:
    """The newest deliveries that were given up, of every revision, the newest first."""
    chosen = select(Delivery).where(Delivery.state == DeliveryState.FAILED)
    return tx.scalars(chosen.order_by(Delivery.id.desc()).limit(limit)).all()


def close_dead_letter(tx: Session, number: int, *, explanation: str, now: datetime, actor: str) -> Delivery:
    """End a delivery that was given up; its report stays as it is, and so does what other destinations got.

    explanation: a sentence without a patient's data. Where the destination may have the object all the same, that is
    remembered, and it is taken back there when the report ends.

    Raises NotFound; WrongState: it is no dead letter.
    """
    delivery = tx.scalar(locked(Delivery).where(Delivery.id == number))
    if delivery is None:
        raise NotFound(f"no delivery has the number {number}; dead letters: wetread queue dead")
    if delivery.state is not DeliveryState.FAILED:
        raise WrongState(f"delivery {number} is {delivery.state}, no dead letter; those are in: wetread queue dead")
    was = delivery.reason
    move_delivery(delivery, DeliveryState.QUEUED)
    move_delivery(delivery, DeliveryState.CANCELED)
    delivery.reason, delivery.last_error = CLOSED_BY_PERSON, explanation
    audit.append(
        tx,
        "delivery-closed",
        at=now,
        actor=actor,
        study_id=delivery.revision.study_id,
        revision=delivery.revision.number,
        destination=delivery.destination,
        kind=delivery.kind.value,
        stage=delivery.stage.value,
        was=was,
        explanation=explanation,
    )
    settle(tx, delivery.revision, now, actor=actor)
    _tell_of_the_next(tx, delivery.revision)
    return delivery


def _tell_of_the_next(tx: Session, revision: Revision) -> None:
    """The books still tell of the dead letter that was closed, where another one keeps them from closing."""
    ending = ending_of(deliveries_of(tx, revision, again=True))
    if ending is not None and ending.book is revision.book is Book.DEAD_LETTERED:
        revision.reason, revision.explanation = ending.reason, ending.explanation
