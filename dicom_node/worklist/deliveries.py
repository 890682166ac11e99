"""One object on its way to one destination: leased, sent, proven, or a dead letter that a person is told of.

`Delivery.sent_at` is set as soon as the peer *may* have the object: it answered success, or an attempt ended without an
answer (a time-out, a broken connection, a sender that died). It is emptied only when the peer says that it does not
have it. So whoever must take an object back asks for `sent_at` or a claim token, never for the state alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from sqlalchemy import ColumnElement, and_, case, func, literal, select, update
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.database import UTCDateTime
from dicom_node.destinations import find
from dicom_node.errors import LeaseLost
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Delivery, DeliveryState, Proof
from dicom_node.transports import Destination
from dicom_node.worklist.due import due, free
from dicom_node.worklist.moves import (
    CALLED_OFF,
    DESTINATION_OFF,
    MAY_BE_THERE,
    ask_for,
    cancel,
    changed_one,
    move_delivery,
    settle,
)
from dicom_node.worklist.pauses import What, is_paused, paused_peers
from dicom_node.worklist.permits import is_called_off, why_it_is_not_needed, why_it_is_off
from dicom_node.worklist.turns import take_turn

TOGETHER: Final = timedelta(seconds=1)  # until commitment is asked for: the other objects of the study come, too
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
    to: Destination | None  # as it is registered now; None where it was removed
    kind: Kind
    stage: Stage
    sop_class_uid: str
    sop_instance_uid: str
    digest: str
    study_id: int
    study_instance_uid: str
    patient_id: str
    issuer_of_patient_id: str
    accession_number: str
    called_off: bool  # nobody wants it any more; what is asked is only whether it is there


def claim_delivery(tx: Session, *, sender: str, token: str, lease: timedelta, now: datetime) -> Consignment | None:
    """Take the next due delivery, or None. Per study and destination the order of queueing is kept.

    Claims are taken one after another, so that no destination gets more than `due.AT_ONCE`.
    """
    take_turn(tx, "claim a delivery")
    if is_paused(tx, What.SEND):
        return None
    for delivery_id in islice(due(tx, now, paused=paused_peers(tx, What.SEND)), 8):
        taken = tx.execute(
            update(Delivery)
            .where(Delivery.id == delivery_id, *free(now))
            .values(
                claim_token=token,
                claimed_by=sender,
                lease_until=now + lease,
                attempts=Delivery.attempts + 1,
                sent_at=_sent_at_or_in_doubt(now),
            )
            .execution_options(synchronize_session=False)
        )
        if not changed_one(taken):
            continue
        delivery = tx.get_one(Delivery, delivery_id, populate_existing=True)
        if _is_to_be_worked_on(tx, delivery, now):
            return _as_consignment(tx, delivery)
    return None


def is_delivery_due(tx: Session, now: datetime) -> bool:
    """Could anything be claimed now? For whoever asks often, as a reader: a claim keeps all other writers waiting."""
    return next(due(tx, now), None) is not None


def mark_sent(tx: Session, held: Consignment, now: datetime) -> None:
    """The peer answered success; where that is all the proof there is, it is committed at once. Raises LeaseLost.

    What was called off while it was being transmitted is out as well: its proof is still asked for, and is booked.
    """
    delivery = own_delivery(tx, held, also=DeliveryState.CANCELED)
    called_off = delivery.state is DeliveryState.CANCELED
    move_delivery(delivery, DeliveryState.SENT)
    delivery.sent_at, delivery.next_attempt_at, delivery.attempts, delivery.last_error = now, now, 0, ""
    if held.to is not None and held.to.proof is Proof.COMMITMENT and not called_off:
        delivery.next_attempt_at = now + TOGETHER
    audit.append(tx, "delivery-sent", at=now, actor="send", study_id=held.study_id, destination=held.destination)
    if held.to is not None and held.to.proof is Proof.ACKNOWLEDGEMENT:
        _commit(tx, delivery, held, now, Proof.ACKNOWLEDGEMENT)
    elif called_off:
        settle(tx, delivery.revision, now, actor="send")


def mark_committed(tx: Session, held: Consignment, now: datetime, proof: Proof = Proof.QUERY) -> None:
    """The destination was asked and has the object, or promised it. Raises LeaseLost."""
    _commit(tx, own_delivery(tx, held), held, now, proof)


def mark_missing(tx: Session, held: Consignment, now: datetime) -> None:
    """The destination answered success but does not have the object. Raises LeaseLost.

    It is sent again, three times and ever later, and is a dead letter then; what was called off meanwhile is neither.
    """
    delivery = own_delivery(tx, held)
    called_off = is_called_off(tx, delivery)
    audit.append(tx, "delivery-missing", at=now, actor="send", study_id=held.study_id, destination=held.destination)
    if delivery.resends >= len(RESEND_SECONDS) and not called_off:
        bury(tx, delivery, now, reason="never-found", error=_NEVER_FOUND)
        return
    move_delivery(delivery, DeliveryState.QUEUED)
    delivery.attempts, delivery.sent_at = 0, None
    delivery.last_error = "the destination answered success but does not have the object"
    if called_off:
        cancel(delivery, now)
        settle(tx, delivery.revision, now, actor="send")
        return
    delivery.next_attempt_at = now + timedelta(seconds=RESEND_SECONDS[delivery.resends])
    delivery.resends += 1


def mark_retry(
    tx: Session,
    held: Consignment,
    *,
    error: str,
    wait: timedelta,
    now: datetime,
    in_doubt: bool = False,
    others_wait: timedelta | None = None,
    event: str = "delivery-attempt-failed",
    lost_by: str = "",
) -> None:
    """It did not work this time. Raises LeaseLost.

    `in_doubt`: the bytes left and no answer came, so the peer may have them. `others_wait`: the destination cannot be
    reached, and whatever else is due for it waits so long before one of them tries again. `event`: for the audit
    trail. `lost_by`: the peer that has something no more, for that trail.
    """
    delivery = own_delivery(tx, held, also=DeliveryState.CANCELED)
    delivery.claim_token, delivery.lease_until = "", None
    delivery.next_attempt_at, delivery.last_error = now + wait, error
    _doubt(delivery, now, in_doubt=in_doubt)
    audit.append(
        tx,
        event,
        at=now,
        actor="send",
        study_id=held.study_id,
        destination=held.destination,
        attempt=held.attempt,
        **({"lost_by": lost_by} if lost_by else {}),
    )
    _ask_if_called_off(tx, delivery, now)
    if others_wait is not None:
        _let_others_wait(tx, delivery, now, now + others_wait)


def mark_failed(
    tx: Session, held: Consignment, *, error: str, now: datetime, in_doubt: bool = False, reason: str = ""
) -> None:
    """A dead letter: only a person can queue it again. What was called off meanwhile is none. Raises LeaseLost."""
    delivery = own_delivery(tx, held, also=DeliveryState.CANCELED)
    _doubt(delivery, now, in_doubt=in_doubt)
    if delivery.state is DeliveryState.CANCELED:
        delivery.claim_token, delivery.lease_until, delivery.last_error = "", None, error
        _ask_if_called_off(tx, delivery, now)
    elif delivery.state is DeliveryState.SENT and is_called_off(tx, delivery):
        words = f"it was called off, but may be there, which could not be found out ({error}); look there for it"
        bury(tx, delivery, now, reason=MAY_BE_THERE, error=words)
    elif reason:
        bury(tx, delivery, now, reason=reason, error=error)
    else:
        bury(tx, delivery, now, reason="undeliverable", error=error)


def abandon(delivery: Delivery, now: datetime) -> None:
    """Its sender is dead: it is free at once, and the peer may have what was being transmitted."""
    _doubt(delivery, now, in_doubt=delivery.state is not DeliveryState.SENT)
    delivery.lease_until = None
    if delivery.state is not DeliveryState.CANCELED:  # a canceled one is found by the claim that nobody ended
        delivery.claim_token = ""


def count_stopped(tx: Session, destination: str) -> int:
    """How many queued objects its destination does not take any more: they become dead letters when they are due."""
    queued = (Delivery.destination == destination, Delivery.state == DeliveryState.QUEUED)
    first = select(func.min(Delivery.id)).where(*queued).group_by(Delivery.kind, Delivery.stage)
    # one of a form and stage speaks for all of them: ten thousand may be queued, and a person waits
    off = [one for number in tx.scalars(first).all() if why_it_is_off(tx, one := tx.get_one(Delivery, number))]
    return sum(
        not why_it_is_not_needed(tx, delivery)
        for one in off
        for delivery in tx.scalars(
            select(Delivery).where(*queued, Delivery.kind == one.kind, Delivery.stage == one.stage)
        )
    )


def bury(tx: Session, delivery: Delivery, now: datetime, *, reason: str, error: str) -> None:
    """Make a dead letter of it: only a person can queue it again."""
    move_delivery(delivery, DeliveryState.FAILED)
    delivery.reason, delivery.last_error = reason, error
    study_id, destination = delivery.revision.study_id, delivery.destination
    audit.append(tx, "delivery-failed", at=now, actor="send", study_id=study_id, destination=destination, reason=reason)
    settle(tx, delivery.revision, now, actor="send")


def _is_to_be_worked_on(tx: Session, delivery: Delivery, now: datetime) -> bool:
    """Is what was just claimed to be sent or asked for? What is neither is booked here, and its claim ends."""
    if delivery.state is DeliveryState.CANCELED:  # its sender died, or was too late to say what became of it
        _ask_in_this_claim(tx, delivery, now)
    if delivery.state is not DeliveryState.QUEUED:
        return True
    if not_needed := why_it_is_not_needed(tx, delivery):
        if not_needed == CALLED_OFF and delivery.sent_at is not None:
            _ask_in_this_claim(tx, delivery, now)
            return True
        _drop(tx, delivery, now, reason=not_needed)
        return False
    if off := why_it_is_off(tx, delivery):
        bury(tx, delivery, now, reason=DESTINATION_OFF, error=off)
        return False
    return True


def _drop(tx: Session, delivery: Delivery, now: datetime, *, reason: str) -> None:
    """Nobody needs it at its destination: no dead letter, since a person has nothing to do about it."""
    move_delivery(delivery, DeliveryState.CANCELED)
    delivery.reason = reason
    settle(tx, delivery.revision, now, actor="send")


def _doubt(delivery: Delivery, now: datetime, *, in_doubt: bool) -> None:
    if in_doubt and delivery.sent_at is None:
        delivery.sent_at = now


def _ask_if_called_off(tx: Session, delivery: Delivery, now: datetime) -> None:
    """The attempt is over. What was called off during it was never sent, unless this or an earlier one is in doubt."""
    if delivery.state is DeliveryState.CANCELED and delivery.sent_at is not None:
        ask_for(delivery, now)
        settle(tx, delivery.revision, now, actor="send")


def _ask_in_this_claim(tx: Session, delivery: Delivery, now: datetime) -> None:
    token, lease_until = delivery.claim_token, delivery.lease_until
    ask_for(delivery, now)
    delivery.claim_token, delivery.lease_until, delivery.attempts = token, lease_until, 1
    settle(tx, delivery.revision, now, actor="send")


def _let_others_wait(tx: Session, failed: Delivery, now: datetime, until: datetime) -> None:
    """Postpone what is due and free for the same destination. Rows that somebody else changes now are left alone."""
    same = select(Delivery.id).where(
        Delivery.destination == failed.destination, Delivery.id != failed.id, *free(now, at_latest=until)
    )
    tx.execute(
        update(Delivery)
        .where(Delivery.id.in_(same.with_for_update(skip_locked=True)))
        .values(next_attempt_at=until)
        .execution_options(synchronize_session=False)
    )


def _commit(tx: Session, delivery: Delivery, held: Consignment, now: datetime, proof: Proof) -> None:
    move_delivery(delivery, DeliveryState.COMMITTED)
    delivery.committed_at, delivery.proven_by = now, proof.value
    audit.append(
        tx,
        "delivery-committed",
        at=now,
        actor="send",
        study_id=held.study_id,
        destination=held.destination,
        proof=proof.value,
    )
    settle(tx, delivery.revision, now, actor="send")


def _sent_at_or_in_doubt(now: datetime) -> ColumnElement[datetime | None]:
    """A claim that was not ended before the next one: its sender may have got it through."""
    in_doubt = and_(Delivery.claim_token != "", Delivery.state != DeliveryState.SENT, Delivery.sent_at.is_(None))
    return case((in_doubt, literal(now, UTCDateTime())), else_=Delivery.sent_at)


def own_delivery(tx: Session, held: Consignment, *, also: DeliveryState | None = None) -> Delivery:
    """The delivery that this claim is for, locked, in the state it was claimed in or `also`. Raises LeaseLost."""
    delivery = tx.scalar(select(Delivery).where(Delivery.id == held.delivery_id).with_for_update(of=Delivery))
    if delivery is None or delivery.claim_token != held.token or delivery.state not in {held.state, also}:
        raise LeaseLost("another process has this delivery, or it was called off")
    return delivery


def _as_consignment(tx: Session, delivery: Delivery) -> Consignment:
    study = delivery.revision.study
    return Consignment(
        delivery_id=delivery.id,
        token=delivery.claim_token,
        state=delivery.state,
        attempt=delivery.attempts,
        queued_at=delivery.queued_at,
        destination=delivery.destination,
        to=find(tx, delivery.destination),
        kind=delivery.kind,
        stage=delivery.stage,
        sop_class_uid=delivery.sop_class_uid,
        sop_instance_uid=delivery.sop_instance_uid,
        digest=delivery.digest,
        study_id=study.id,
        study_instance_uid=study.study_instance_uid,
        patient_id=study.patient_id,
        issuer_of_patient_id=study.issuer_of_patient_id,
        accession_number=study.accession_number,
        called_off=is_called_off(tx, delivery),
    )
