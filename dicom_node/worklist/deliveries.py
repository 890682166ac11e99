"""One object on its way to one destination: leased, sent, proven, or a dead letter that a person is told of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Select, exists, or_, select, update
from sqlalchemy.orm import Session, aliased

from dicom_node import audit
from dicom_node.errors import LeaseLost
from dicom_node.tables import Delivery, DeliveryState, Mode, Proof, RemoteAE, Revision, Study
from dicom_node.worklist.moves import cancel, changed_one, move_delivery, settle, switched

RESEND_SECONDS: Final = (30, 300, 3600)  # waits before an object that is not found is sent again
_NEVER_FOUND: Final = (
    "it answers success but never finds the object: it may change UIDs; if it does, try "
    "wetread ae edit --proof acknowledgement, then requeue"
)


@dataclass(frozen=True, slots=True)
class Consignment:
    """A delivery that this process may work on until its lease ends, and what it must agree with."""

    delivery_id: int
    token: str
    state: DeliveryState  # QUEUED: to be sent; SENT: to be proven
    attempt: int  # 1 for the first in this state
    queued_at: datetime
    destination: str
    host: str
    port: int
    proof: Proof
    sop_class_uid: str
    sop_instance_uid: str
    digest: str
    study_id: int
    study_instance_uid: str
    patient_id: str
    issuer_of_patient_id: str
    accession_number: str


def claim_delivery(tx: Session, *, sender: str, token: str, lease: timedelta, now: datetime) -> Consignment | None:
    """Take the next due delivery, or None. Per study and destination the order of queueing is kept."""
    if switched(tx, "pause-send"):
        return None
    for delivery_id in tx.scalars(_due(now).limit(8)).all():
        taken = tx.execute(
            update(Delivery)
            .where(Delivery.id == delivery_id, *_free(now))
            .values(claim_token=token, claimed_by=sender, lease_until=now + lease, attempts=Delivery.attempts + 1)
            .execution_options(synchronize_session=False)
        )
        if not changed_one(taken):
            continue
        delivery = tx.get_one(Delivery, delivery_id, populate_existing=True)
        off = _why_it_is_off(tx, delivery) if delivery.state is DeliveryState.QUEUED else ""
        if not off:
            return _as_consignment(tx, delivery)
        _bury(tx, delivery, now, reason="destination-off", error=off)
    return None


def mark_sent(tx: Session, held: Consignment, now: datetime) -> None:
    """The peer answered success; where that is all the proof there is, it is committed at once. Raises LeaseLost.

    What was called off while it was being transmitted is out as well: its proof is still asked for, and is booked.
    """
    delivery = _own_delivery(tx, held, also=DeliveryState.CANCELED)
    called_off = delivery.state is DeliveryState.CANCELED
    move_delivery(delivery, DeliveryState.SENT)
    delivery.sent_at, delivery.next_attempt_at, delivery.attempts, delivery.last_error = now, now, 0, ""
    audit.append(tx, "delivery-sent", at=now, actor="send", study_id=held.study_id, destination=held.destination)
    if held.proof is Proof.ACKNOWLEDGEMENT:
        _commit(tx, delivery, held, now)
    elif called_off:
        settle(tx, delivery.revision, now, actor="send")


def mark_committed(tx: Session, held: Consignment, now: datetime) -> None:
    """The destination proved that it has the object. Raises LeaseLost."""
    _commit(tx, _own_delivery(tx, held), held, now)


def mark_missing(tx: Session, held: Consignment, now: datetime) -> None:
    """The destination answered success but does not have the object. Raises LeaseLost.

    It is sent again, three times and ever later, and is a dead letter then; what was called off meanwhile is not.
    """
    delivery = _own_delivery(tx, held)
    audit.append(tx, "delivery-missing", at=now, actor="send", study_id=held.study_id, destination=held.destination)
    if delivery.resends >= len(RESEND_SECONDS):
        _bury(tx, delivery, now, reason="never-found", error=_NEVER_FOUND)
        return
    move_delivery(delivery, DeliveryState.QUEUED)
    delivery.next_attempt_at = now + timedelta(seconds=RESEND_SECONDS[delivery.resends])
    delivery.resends += 1
    delivery.attempts = 0
    delivery.last_error = "the destination answered success but does not have the object"
    study = delivery.revision.study
    if study.hold_reason or delivery.revision.number != study.revision:
        cancel(delivery)
        settle(tx, delivery.revision, now, actor="send")


def mark_retry(tx: Session, held: Consignment, *, error: str, wait: timedelta, now: datetime) -> None:
    """It did not work this time. Raises LeaseLost."""
    delivery = _own_delivery(tx, held)
    delivery.claim_token, delivery.lease_until = "", None
    delivery.next_attempt_at, delivery.last_error = now + wait, error
    audit.append(
        tx,
        "delivery-attempt-failed",
        at=now,
        actor="send",
        study_id=held.study_id,
        destination=held.destination,
        attempt=held.attempt,
    )


def mark_failed(tx: Session, held: Consignment, *, error: str, now: datetime) -> None:
    """A dead letter: only a person can queue it again. Raises LeaseLost."""
    _bury(tx, _own_delivery(tx, held), now, reason="undeliverable", error=error)


def count_stopped(tx: Session, destination: str) -> int:
    """How many queued objects its destination does not take any more: they become dead letters when they are due."""
    queued = select(Delivery).where(Delivery.destination == destination, Delivery.state == DeliveryState.QUEUED)
    return sum(bool(_why_it_is_off(tx, delivery)) for delivery in tx.scalars(queued))


def _bury(tx: Session, delivery: Delivery, now: datetime, *, reason: str, error: str) -> None:
    move_delivery(delivery, DeliveryState.FAILED)
    delivery.reason, delivery.last_error = reason, error
    study_id, destination = delivery.revision.study_id, delivery.destination
    audit.append(tx, "delivery-failed", at=now, actor="send", study_id=study_id, destination=destination, reason=reason)
    settle(tx, delivery.revision, now, actor="send")


def _why_it_is_off(tx: Session, delivery: Delivery) -> str:
    """Why a queued object must not go to its destination as that is registered now; empty where it may."""
    peer = tx.scalar(select(RemoteAE).where(RemoteAE.ae_title == delivery.destination))
    if peer is None:
        return "the destination was removed; wetread ae add registers it again"
    if not peer.send_to:
        return "the destination gets nothing any more (ae edit --no-send-to)"
    if peer.mode is Mode.SHADOW or (delivery.kind == "draft" and peer.mode is not Mode.DRAFT):
        return f"the destination is in mode {peer.mode} now and gets no draft"
    return ""


def _commit(tx: Session, delivery: Delivery, held: Consignment, now: datetime) -> None:
    move_delivery(delivery, DeliveryState.COMMITTED)
    delivery.committed_at, delivery.proven_by = now, held.proof.value
    audit.append(
        tx,
        "delivery-committed",
        at=now,
        actor="send",
        study_id=held.study_id,
        destination=held.destination,
        proof=held.proof.value,
    )
    settle(tx, delivery.revision, now, actor="send")


def _free(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Delivery.state.in_([DeliveryState.QUEUED, DeliveryState.SENT]),
        Delivery.next_attempt_at <= now,
        or_(Delivery.lease_until.is_(None), Delivery.lease_until < now),
    )


def _due(now: datetime) -> Select[int]:
    """Ids of due deliveries: proofs first, and none that overtakes an older one of its study and destination."""
    older, older_revision = aliased(Delivery), aliased(Revision)
    overtakes = exists().where(
        older.revision_id == older_revision.id,
        older_revision.study_id == Revision.study_id,
        older.destination == Delivery.destination,
        older.state == DeliveryState.QUEUED,
        older.id < Delivery.id,
    )
    return (
        select(Delivery.id)
        .join(Revision, Revision.id == Delivery.revision_id)
        .join(Study, Study.id == Revision.study_id)
        .where(*_free(now), ~overtakes, or_(Study.hold_reason == "", Delivery.state == DeliveryState.SENT))
        .order_by(Delivery.next_attempt_at, Delivery.id)
    )


def _own_delivery(tx: Session, held: Consignment, *, also: DeliveryState | None = None) -> Delivery:
    delivery = tx.scalar(select(Delivery).where(Delivery.id == held.delivery_id).with_for_update(of=Delivery))
    if delivery is None or delivery.claim_token != held.token or delivery.state not in {held.state, also}:
        raise LeaseLost("another process has this delivery, or it was called off")
    return delivery


def _as_consignment(tx: Session, delivery: Delivery) -> Consignment:
    study = delivery.revision.study
    peer = tx.scalar(select(RemoteAE).where(RemoteAE.ae_title == delivery.destination))
    return Consignment(
        delivery_id=delivery.id,
        token=delivery.claim_token,
        state=delivery.state,
        attempt=delivery.attempts,
        queued_at=delivery.queued_at,
        destination=delivery.destination,
        host=peer.host if peer else "",
        port=peer.port if peer else 0,
        proof=peer.proof if peer else Proof.QUERY,
        sop_class_uid=delivery.sop_class_uid,
        sop_instance_uid=delivery.sop_instance_uid,
        digest=delivery.digest,
        study_id=study.id,
        study_instance_uid=study.study_instance_uid,
        patient_id=study.patient_id,
        issuer_of_patient_id=study.issuer_of_patient_id,
        accession_number=study.accession_number,
    )
