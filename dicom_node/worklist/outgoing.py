"""What is queued for a destination: with the reading that made it, or later in the life of its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Book, Delivery, DeliveryState, Revision
from dicom_node.worklist.moves import CALLED_OFF, SIGNED_INSTEAD, locked, move_delivery, settle


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One object to be queued for one destination; its bytes are in the store already."""

    destination: str
    kind: Kind
    stage: Stage
    sop_class_uid: str  # empty for what is no DICOM object
    sop_instance_uid: str  # for a message: its derived UID
    device_uid: str
    digest: str


def enqueue(tx: Session, revision: Revision, outgoing: Sequence[Outgoing], now: datetime, *, actor: str) -> int:
    """Queue objects of a revision, also of one whose book is closed: it is in flight then until they are through.

    What a destination was to get already is not queued again. Returns how many are new.
    """
    known = tx.execute(
        select(Delivery.destination, Delivery.sop_instance_uid).where(Delivery.revision_id == revision.id)
    )
    there = {(destination, uid) for destination, uid in known}
    new = [item for item in outgoing if (item.destination, item.sop_instance_uid) not in there]
    for item in new:
        tx.add(
            Delivery(
                revision_id=revision.id,
                destination=item.destination,
                kind=item.kind,
                stage=item.stage,
                sop_class_uid=item.sop_class_uid,
                sop_instance_uid=item.sop_instance_uid,
                device_uid=item.device_uid,
                digest=item.digest,
                state=DeliveryState.QUEUED,
                next_attempt_at=now,
                queued_at=now,
            )
        )
    if new and revision.book is not Book.IN_FLIGHT:
        settle(tx, revision, now, actor=actor)
    return len(new)


def drop_unsent_drafts(tx: Session, revision: Revision) -> None:
    """A person has signed: drafts of the revision that no sender has touched stay here, dead letters are called off.

    What a destination may have goes its way: the signed document names it as its predecessor. The caller settles the
    books.
    """
    drafts = locked(Delivery).where(Delivery.revision_id == revision.id, Delivery.stage == Stage.DRAFT)
    for delivery in tx.scalars(drafts.order_by(Delivery.id)):
        if delivery.state is DeliveryState.FAILED:
            move_delivery(delivery, DeliveryState.QUEUED)
        elif delivery.claim_token or delivery.sent_at is not None:
            continue
        if delivery.state is DeliveryState.QUEUED:
            move_delivery(delivery, DeliveryState.CANCELED)
            delivery.reason = SIGNED_INSTEAD
        elif delivery.reason == CALLED_OFF:  # by a newer revision, of which there is no draft
            delivery.reason = SIGNED_INSTEAD
