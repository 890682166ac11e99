"""Storage commitment of what we sent: asked in transactions that outlive the sender, answered by the peer, acted on.

A row is written before the N-ACTION leaves, so that a report finds it whatever became of the process that asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Select, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.commitment_tables import Asked, Commitment
from dicom_node.tables import Delivery, DeliveryState
from dicom_node.worklist.deliveries import Consignment, own_delivery
from dicom_node.worklist.moves import CALLED_OFF

AT_ONCE: Final = 50  # objects of one transaction: all that wait for the same peer's promise go together

_FORGET_AT_ONCE: Final = 500


class Step(StrEnum):
    """What is to be done about the proof of a delivery."""

    ASK = "ask"  # no transaction is open for what was sent last
    WAIT = "wait"
    OVERDUE = "overdue"  # no report in time
    COMMITTED = "committed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the commitment of one delivery stands. reason: (0008,1197) where it failed."""

    step: Step
    until: datetime | None = None  # of WAIT
    reason: int | None = None
    failures: int = 0  # reports since it was sent last that did not promise it, this one among them


@dataclass(frozen=True, slots=True)
class Reference:
    """One object that a transaction is about."""

    sop_class_uid: str
    sop_instance_uid: str


def standing_of(tx: Session, held: Consignment, now: datetime, *, patience: timedelta) -> Standing:
    """What is known of the object as it was sent last; an answer about an earlier sending does not count."""
    sent_at = tx.scalar(select(Delivery.sent_at).where(Delivery.id == held.delivery_id))
    everything = tx.scalars(_asked_since(held.delivery_id, sent_at).order_by(Commitment.id.desc())).all()
    rows = [row for row in everything if row.state is not Asked.SPENT]
    if any(row.state is Asked.COMMITTED for row in rows):
        return Standing(Step.COMMITTED)
    if not rows:
        return Standing(Step.ASK)
    newest = rows[0]
    if newest.state is Asked.FAILED:
        failures = sum(row.failure_reason is not None for row in everything)
        return Standing(Step.FAILED, reason=newest.failure_reason, failures=failures)
    until = newest.asked_at + patience
    return Standing(Step.WAIT, until=until) if now < until else Standing(Step.OVERDUE)


def open_transaction(
    tx: Session, held: Consignment, *, transaction_uid: str, now: datetime, patience: timedelta
) -> tuple[Reference, ...]:
    """Write down that these objects are asked for now: the one that is held, and all that wait like it.

    Those others wait for the report as well, until `patience` is over. Raises LeaseLost.
    """
    mine = own_delivery(tx, held)
    others = tx.scalars(_like(mine, now)).all()
    for delivery in (mine, *others):
        tx.add(
            Commitment(
                transaction_uid=transaction_uid,
                delivery_id=delivery.id,
                sop_class_uid=delivery.sop_class_uid,
                sop_instance_uid=delivery.sop_instance_uid,
                state=Asked.ASKED,
                asked_at=now,
            )
        )
    for delivery in others:
        delivery.next_attempt_at = now + patience
    return tuple(Reference(one.sop_class_uid, one.sop_instance_uid) for one in (mine, *others))


def wait_for_report(tx: Session, held: Consignment, *, until: datetime, now: datetime) -> None:
    """The peer has the question: nothing is to be done until it reports, or `until`. Raises LeaseLost.

    To ask is no failed attempt. Those before it count on, so that who never promises is asked ever later.
    """
    delivery = own_delivery(tx, held)
    open_rows = _asked_since(delivery.id, delivery.sent_at).where(Commitment.state == Asked.ASKED)
    waits = tx.scalar(open_rows.limit(1)) is not None  # else the report was quicker than we
    delivery.claim_token, delivery.lease_until, delivery.attempts = "", None, held.attempt - 1
    delivery.next_attempt_at, delivery.last_error = until if waits else now, ""


def spend_transaction(tx: Session, transaction_uid: str, *, retry_at: datetime) -> None:
    """The peer refused the question: nothing comes of it, and what waits for it is tried again then."""
    rows = tx.scalars(select(Commitment).where(Commitment.transaction_uid == transaction_uid)).all()
    for row in rows:
        if row.state is Asked.ASKED:
            row.state = Asked.SPENT
    _wake(tx, [row.delivery_id for row in rows], retry_at)


def spend(tx: Session, held: Consignment) -> int:
    """Expect nothing more of what was asked about this delivery, so that it is asked anew. Returns how many rows."""
    rows = tx.scalars(
        select(Commitment).where(
            Commitment.delivery_id == held.delivery_id, Commitment.state.in_([Asked.ASKED, Asked.FAILED])
        )
    ).all()
    for row in rows:
        row.state = Asked.SPENT
    return len(rows)


def forget(tx: Session, before: datetime) -> int:
    """Delete what was asked before then about deliveries that wait for no proof any more; returns how many rows."""
    waiting = [DeliveryState.QUEUED, DeliveryState.SENT]
    old = (
        select(Commitment.id)
        .join(Delivery, Delivery.id == Commitment.delivery_id)
        .where(Commitment.asked_at < before, Delivery.state.not_in(waiting))
        .order_by(Commitment.id)
        .limit(_FORGET_AT_ONCE)
    )
    ids = tx.scalars(old).all()
    tx.execute(delete(Commitment).where(Commitment.id.in_(ids)), execution_options={"synchronize_session": False})
    return len(ids)


def book_report(
    tx: Session, transaction_uid: str, *, committed: Sequence[str], failed: Mapping[str, int], now: datetime
) -> bool:
    """Enter what a peer reports (PS3.4 J.3.3); False where we know no such transaction.

    committed: SOP Instance UIDs; failed: those with their reasons. What the report leaves out stays open. A promise is
    kept, whatever a later report of the same transaction says; that is audited.
    """
    rows = tx.scalars(select(Commitment).where(Commitment.transaction_uid == transaction_uid)).all()
    answered = [row for row in rows if row.sop_instance_uid in failed or row.sop_instance_uid in committed]
    for row in answered:
        reason = failed.get(row.sop_instance_uid)
        if reason is None:
            row.state, row.failure_reason, row.answered_at = Asked.COMMITTED, None, now
        elif row.state is Asked.COMMITTED:
            audit.append(tx, "commitment-contradicted", at=now, actor="send", delivery=row.delivery_id, reason=reason)
        else:
            row.state, row.failure_reason, row.answered_at = Asked.FAILED, reason, now
    if answered:
        kept = sum(row.state is Asked.COMMITTED for row in answered)
        audit.append(tx, "commitment-reported", at=now, actor="send", committed=kept, failed=len(answered) - kept)
    _wake(tx, [row.delivery_id for row in answered], now)
    return bool(rows)


def _asked_since(delivery_id: int, sent_at: datetime | None) -> Select[Commitment]:
    """What was asked about a delivery as it was sent last."""
    chosen = select(Commitment).where(Commitment.delivery_id == delivery_id)
    return chosen if sent_at is None else chosen.where(Commitment.asked_at >= sent_at)


def _like(mine: Delivery, now: datetime) -> Select[Delivery]:
    """Deliveries to the same destination that are due for the same question and in nobody's hands."""
    asked = exists().where(
        Commitment.delivery_id == Delivery.id,
        Commitment.state != Asked.SPENT,
        Commitment.asked_at >= Delivery.sent_at,
    )
    return (
        select(Delivery)
        .where(
            Delivery.destination == mine.destination,
            Delivery.id != mine.id,
            Delivery.state == DeliveryState.SENT,
            Delivery.reason != CALLED_OFF,
            Delivery.sop_class_uid != "",
            Delivery.next_attempt_at <= now,
            or_(Delivery.lease_until.is_(None), Delivery.lease_until < now),
            ~asked,
        )
        .order_by(Delivery.id)
        .limit(AT_ONCE - 1)
        .with_for_update(of=Delivery, skip_locked=True)
    )


def _wake(tx: Session, delivery_ids: Sequence[int], at: datetime) -> None:
    """Let what waits for a promise be looked at then; what somebody holds now is looked at by them."""
    tx.flush()
    tx.execute(
        update(Delivery)
        .where(Delivery.id.in_(delivery_ids), Delivery.state == DeliveryState.SENT, Delivery.claim_token == "")
        .values(next_attempt_at=at)
        .execution_options(synchronize_session=False)
    )
