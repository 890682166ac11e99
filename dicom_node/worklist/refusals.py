"""What becomes of an object whose form its destination does not take: another form, without it, or a dead letter."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.kinds import Kind
from dicom_node.tables import Delivery, DeliveryState
from dicom_node.worklist.deliveries import Consignment, bury, own_delivery
from dicom_node.worklist.moves import CLASS_REFUSED, deliveries_of, move_delivery, settle
from dicom_node.worklist.outgoing import Outgoing, enqueue

_OPTIONAL: Final = frozenset({Kind.TID1500, Kind.PDF, Kind.SC})


class Refusal(StrEnum):
    """How a destination goes on that refused a form."""

    INSTEAD = "another form instead"
    WITHOUT = "without it"
    DEAD_LETTER = "dead letter"
    CALLED_OFF = "called off"


def mark_refused(tx: Session, held: Consignment, *, error: str, instead: Outgoing | None, now: datetime) -> Refusal:
    """The destination takes no objects of this form; `instead` is the same content in another. Raises LeaseLost.

    An object that has a narrative beside it can be done without. One that is all that the destination was to get at
    this stage cannot, and a note that takes a document back cannot: what it takes back stays there, and a person must
    know.
    """
    delivery = own_delivery(tx, held, also=DeliveryState.CANCELED)
    if delivery.state is DeliveryState.CANCELED:
        delivery.claim_token, delivery.lease_until, delivery.last_error = "", None, error
        return Refusal.CALLED_OFF
    if instead is None and not _can_do_without(tx, delivery):
        bury(tx, delivery, now, reason=CLASS_REFUSED, error=error)
        return Refusal.DEAD_LETTER
    move_delivery(delivery, DeliveryState.CANCELED)
    delivery.reason, delivery.last_error = CLASS_REFUSED, error
    audit.append(
        tx,
        "delivery-refused",
        at=now,
        actor="send",
        study_id=held.study_id,
        destination=held.destination,
        kind=held.kind.value,
        reason=CLASS_REFUSED,
    )
    if instead is not None:
        enqueue(tx, delivery.revision, [instead], now, actor="send")
    settle(tx, delivery.revision, now, actor="send")
    return Refusal.INSTEAD if instead is not None else Refusal.WITHOUT


def _can_do_without(tx: Session, delivery: Delivery) -> bool:
    if delivery.kind not in _OPTIONAL:
        return False
    return any(
        other.id != delivery.id
        and (other.destination, other.stage) == (delivery.destination, delivery.stage)
        and other.state is not DeliveryState.CANCELED
        for other in deliveries_of(tx, delivery.revision)
    )
