"""The reading of a study revision: scheduled, claimed with a lease, renewed by progress, finished or given up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from itertools import islice
from typing import Final

from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, func, or_, select, update
from sqlalchemy.orm import Session, lazyload

from dicom_node import audit
from dicom_node.counted import counted
from dicom_node.errors import LeaseLost, WrongState
from dicom_node.rules.decision import ROUTINE
from dicom_node.tables import Book, Delivery, Study, StudyState, Workitem, WorkitemState
from dicom_node.worklist.completions import complete
from dicom_node.worklist.deliveries import abandon
from dicom_node.worklist.holds import what_to_do
from dicom_node.worklist.moves import (
    EXCLUDED_BY_PERSON,
    Ending,
    call_off,
    changed_one,
    close,
    current_revision,
    move_study,
    move_workitem,
    must_not_be_signed,
    next_revision,
    switched,
)
from dicom_node.worklist.outgoing import Outgoing, enqueue
from dicom_node.worklist.paging import in_pages
from dicom_node.worklist.requeues import requeue_deliveries_of
from dicom_node.worklist.routings import is_undecided, readable
from dicom_node.worklist.sweeps import Swept, alone
from dicom_node.worklist.urgency import PASSED, SIZE, Band, Waiting, by_turn, waiting

_TURNS: Final = 8  # workitems that a claim tries
_BELLS: Final = 1000  # workitems that are rung for at once
_Waits = tuple[datetime, int, int]  # since when, a workitem, its revision
WORKER_LOST = "worker-lost"  # of a revision: no attempt was ended by its worker


@dataclass(frozen=True, slots=True)
class Claim:
    """A workitem that this process may work on until its lease ends."""

    workitem_id: int
    uid: str
    token: str
    attempt: int  # 1 for the first
    revision_id: int
    revision: int
    study_id: int
    study_instance_uid: str
    patient_id: str
    issuer_of_patient_id: str
    accession_number: str
    content_at: datetime
    confirmed: bool
    confirmed_by: str = ""  # the actor who said that it may be read, such as person:name
    urgent: bool = False  # its priority is above the ordinary one


def due_workitems(tx: Session, now: datetime, *, ring_again: timedelta) -> Sequence[Workitem]:
    """Workitems whose bell should ring: scheduled, due, and not rung lately; the most urgent first. Without revisions:
    those are read when they are asked for.
    """
    silent = or_(Workitem.rung_at.is_(None), Workitem.rung_at <= now - ring_again)
    order = (Workitem.priority, Workitem.id)
    queue = select(Workitem.id, Workitem.revision_id).where(*_waits(now), silent).order_by(*order)

    def ask(size: int, passed: int) -> list[_Waits]:
        return [(now, number, revision_id) for number, revision_id in tx.execute(queue.limit(size).offset(passed))]

    numbers = [number for _, number, _ in islice(in_pages(ask, _decided(tx, "")), _BELLS)]
    due = select(Workitem).where(Workitem.id.in_(numbers)).order_by(*order)
    return tx.scalars(due.options(lazyload(Workitem.revision))).all()


def is_due(tx: Session, now: datetime, *, reader: str) -> bool:
    """Could this reader claim anything now? False also while reading is paused by a person."""
    if switched(tx, "pause-work"):
        return False
    return any(next(_due(tx, band, now, reader), None) for band in Band)


def mark_rung(tx: Session, workitem_ids: Sequence[int], now: datetime) -> None:
    """Remember when a bell was rung; a lost message costs only the time until it is rung again."""
    tx.execute(update(Workitem).where(Workitem.id.in_(workitem_ids)).values(rung_at=now))


def claim(
    tx: Session,
    *,
    worker: str,
    token: str,
    lease: timedelta,
    now: datetime,
    urgent: bool = False,
    reader: str = "",
    backlog: bool = True,
) -> Claim | None:
    """Take the workitem whose turn it is, or None. Attempts are counted here: a worker that dies has used one.

    urgent: none of ordinary priority. reader: the name of the one that asks; rules may choose another. backlog: whether
    studies of that priority may be read at this hour.
    """
    if switched(tx, "pause-work"):
        return None

    def ask(band: Band) -> Waiting:
        return [(at, number) for at, number, _ in islice(_due(tx, band, now, reader), _TURNS)]

    for workitem_id in by_turn(ask, now, token=token, urgent=urgent, backlog=backlog, limit=_TURNS):
        taken = tx.execute(
            update(Workitem)
            .where(Workitem.id == workitem_id, *_waits(now), ~is_undecided())
            .values(
                state=WorkitemState.IN_PROGRESS,
                claim_token=token,
                claimed_by=worker,
                lease_until=now + lease,
                attempts=Workitem.attempts + 1,
                content_at=func.coalesce(Workitem.content_at, now),
            )
            .execution_options(synchronize_session=False)
        )
        if changed_one(taken):
            workitem = tx.get_one(Workitem, workitem_id, populate_existing=True)
            audit.append(
                tx,
                "workitem-claimed",
                at=now,
                actor=worker,
                study_id=workitem.revision.study_id,
                attempt=workitem.attempts,
            )
            return as_claim(workitem)
    return None


def renew(tx: Session, held: Claim, *, lease: timedelta, now: datetime) -> None:
    """Prolong a lease because there was progress. Raises LeaseLost."""
    renewed = tx.execute(
        update(Workitem)
        .where(
            Workitem.id == held.workitem_id,
            Workitem.claim_token == held.token,
            Workitem.state == WorkitemState.IN_PROGRESS,
        )
        .values(lease_until=now + lease)
    )
    if not changed_one(renewed):
        raise LeaseLost("another process has this workitem, or it was called off")


def finish(tx: Session, held: Claim, outgoing: Sequence[Outgoing], *, nothing_leaves: Ending, now: datetime) -> None:
    """The reading is done: queue its objects in the same commit. `nothing_leaves` closes a revision without any.

    Raises LeaseLost.
    """
    workitem = _own_workitem(tx, held)
    move_workitem(workitem, WorkitemState.COMPLETED)
    audit.append(tx, "draft-recorded", at=now, actor=workitem.claimed_by, study_id=held.study_id)
    enqueue(tx, workitem.revision, outgoing, now, actor=workitem.claimed_by)
    if not outgoing:
        close(tx, workitem.revision, nothing_leaves, now, actor=workitem.claimed_by)


def exclude(tx: Session, held: Claim, *, reason: str, explanation: str, now: datetime) -> None:
    """The study is not for this reader. Raises LeaseLost."""
    workitem = _own_workitem(tx, held)
    move_workitem(workitem, WorkitemState.CANCELED)
    close(tx, workitem.revision, Ending(Book.EXCLUDED, reason, explanation), now, actor=workitem.claimed_by)


def hold(tx: Session, held: Claim, *, reason: str, explanation: str, now: datetime) -> None:
    """A person must decide: back to SCHEDULED, not claimable until `confirm`. Raises LeaseLost."""
    workitem = _own_workitem(tx, held)
    move_workitem(workitem, WorkitemState.SCHEDULED)
    workitem.hold_reason = reason
    workitem.attempts -= 1
    workitem.last_error = explanation
    audit.append(tx, "study-held", at=now, actor=workitem.claimed_by, study_id=held.study_id, reason=reason)


def fail(
    tx: Session, held: Claim, *, reason: str, explanation: str, attempts: int, wait: timedelta, now: datetime
) -> None:
    """An attempt failed: try again after `wait`, or dead-letter the revision after `attempts`. Raises LeaseLost."""
    workitem = _own_workitem(tx, held)
    _retry_or_bury(tx, workitem, Ending(Book.DEAD_LETTERED, reason, explanation), attempts, wait, now)


def release(tx: Session, held: Claim, now: datetime) -> None:
    """Give a claim back untouched, as on an orderly stop: the attempt does not count. Raises LeaseLost."""
    workitem = _own_workitem(tx, held)
    move_workitem(workitem, WorkitemState.SCHEDULED)
    workitem.attempts -= 1
    workitem.next_attempt_at = now


def release_lost(
    tx: Session, now: datetime, *, is_dead: Callable[[str], bool], attempts: int, wait: timedelta
) -> Swept:
    """Take back what nobody works on any more: the lease has ended, or the owner is certainly dead.

    The lease alone would do; asking for dead neighbors turns its minutes into a second on one machine.
    """
    running = select(Workitem).where(Workitem.state == WorkitemState.IN_PROGRESS)
    lost = [
        workitem
        for workitem in tx.scalars(running.with_for_update(of=Workitem, skip_locked=True))
        if workitem.lease_until is None or workitem.lease_until < now or is_dead(workitem.claimed_by)
    ]
    swept = Swept()
    ending = Ending(Book.DEAD_LETTERED, WORKER_LOST, "the worker stopped without a word")
    for workitem in lost:
        bury = partial(_retry_or_bury, tx, workitem, ending, attempts, wait, now)
        swept += alone(tx, workitem.revision.study_id, bury)
    claimed = select(Delivery).where(Delivery.claim_token != "", Delivery.lease_until >= now)
    abandoned = [
        delivery
        for delivery in tx.scalars(claimed.with_for_update(of=Delivery, skip_locked=True))
        if is_dead(delivery.claimed_by)
    ]
    for delivery in abandoned:
        abandon(delivery, now)
    return swept + Swept(len(abandoned))


def confirm(tx: Session, study: Study, now: datetime, *, actor: str, shown: int = 0) -> None:
    """A person says that the film may be read although the gate could not tell. Raises WrongState.

    shown: how many of its films were shown to that person here; by a command none is.
    """
    if study.hold_reason:
        raise WrongState(
            f"the study is held ({study.hold_reason}), confirming cannot change that. {what_to_do(study.hold_reason)}"
        )
    revision = current_revision(tx, study)
    workitem = tx.scalar(select(Workitem).where(Workitem.revision_id == revision.id))
    if workitem is None or not workitem.hold_reason:
        raise WrongState("the study does not wait for a confirmation")
    workitem.hold_reason = ""
    workitem.confirmed_by = actor
    workitem.content_at = None  # what will be written is of now: it says that it was confirmed
    workitem.next_attempt_at = now
    workitem.rung_at = None
    audit.append(tx, "study-confirmed", at=now, actor=actor, study_id=study.id, shown=shown)


def set_aside(tx: Session, study: Study, *, explanation: str, now: datetime, actor: str) -> None:
    """A person excludes a study that waits or is held."""
    revision = current_revision(tx, study)
    if revision.book is not Book.IN_FLIGHT:
        raise WrongState(f"the study is {revision.book}; only one in flight can be excluded")
    if study.state is StudyState.RECEIVING:
        move_study(study, StudyState.COMPLETE)
        study.completed_at = now
    call_off(tx, revision, Ending(Book.EXCLUDED, EXCLUDED_BY_PERSON, explanation), now, actor=actor)


def requeue(tx: Session, study: Study, now: datetime, *, actor: str) -> str:
    """A person wants it tried again: failed deliveries are queued; a study without a draft is read anew.

    Returns what was done, in words. Raises WrongState.
    """
    if study.hold_reason:
        raise WrongState(
            f"the study is held ({study.hold_reason}), nothing of it may be sent. {what_to_do(study.hold_reason)}"
        )
    revision = current_revision(tx, study)
    queued = requeue_deliveries_of(tx, study, now, actor=actor)
    if queued:
        done = f"{counted(queued, 'delivery')} queued again"
    elif study.state is StudyState.COMPLETE and revision.book is not Book.IN_FLIGHT:
        must_not_be_signed(tx, study)
        next_revision(tx, study, now, actor=actor)
        complete(tx, study, now, actor=actor)
        done = f"revision {study.revision} scheduled"
    else:
        raise WrongState(f"the study is {study.state}, {revision.book}: there is nothing to requeue")
    audit.append(tx, "study-requeued", at=now, actor=actor, study_id=study.id, done=done)
    return done


def _retry_or_bury(
    tx: Session, workitem: Workitem, ending: Ending, attempts: int, wait: timedelta, now: datetime
) -> None:
    workitem.last_error = ending.explanation
    if workitem.attempts < attempts:
        move_workitem(workitem, WorkitemState.SCHEDULED)
        workitem.next_attempt_at = now + wait
        workitem.rung_at = None
        audit.append(
            tx,
            "attempt-failed",
            at=now,
            actor=workitem.claimed_by,
            study_id=workitem.revision.study_id,
            attempt=workitem.attempts,
            reason=ending.reason,
        )
        return
    move_workitem(workitem, WorkitemState.CANCELED)
    close(tx, workitem.revision, ending, now, actor=workitem.claimed_by)


def _own_workitem(tx: Session, held: Claim) -> Workitem:
    workitem = tx.scalar(select(Workitem).where(Workitem.id == held.workitem_id).with_for_update(of=Workitem))
    if workitem is None or workitem.claim_token != held.token or workitem.state is not WorkitemState.IN_PROGRESS:
        raise LeaseLost("another process has this workitem, or it was called off")
    return workitem


def _due(tx: Session, band: Band, now: datetime, reader: str) -> Iterator[_Waits]:
    """Those of a class that may be claimed, in their order. reader: the name of the one that asks; empty for any."""

    def ask(size: int, passed: int) -> list[_Waits]:
        asked = {"now": now, SIZE: size, PASSED: passed}
        return [(at, number, revision_id) for at, number, revision_id in tx.execute(_queue(band), asked)]

    return in_pages(ask, _decided(tx, reader))


def _decided(tx: Session, reader: str) -> Callable[[Sequence[_Waits]], set[_Waits]]:
    """Those of a page that nobody has to decide about first, and that this reader may read."""

    def chosen(page: Sequence[_Waits]) -> set[_Waits]:
        may_be_read = readable(tx, [revision_id for _, _, revision_id in page], reader)
        return {one for one in page if one[2] in may_be_read}

    return chosen


@cache
def _queue(band: Band) -> Select[datetime, int, int]:
    """Made once: a claim holds SQLite's write lock."""
    return waiting(band, _waits(bindparam("now")))


def _waits(now: datetime | BindParameter[datetime]) -> tuple[ColumnElement[bool], ...]:
    """By its own columns alone."""
    return (
        Workitem.state == WorkitemState.SCHEDULED,
        Workitem.hold_reason == "",
        Workitem.next_attempt_at <= now,
    )


def as_claim(workitem: Workitem) -> Claim:
    """What a worker holds, or held last; the token is empty where nobody does. It was claimed at least once."""
    study = workitem.revision.study
    assert workitem.content_at is not None
    return Claim(
        workitem_id=workitem.id,
        uid=workitem.uid,
        token=workitem.claim_token,
        attempt=workitem.attempts,
        revision_id=workitem.revision_id,
        revision=workitem.revision.number,
        study_id=study.id,
        study_instance_uid=study.study_instance_uid,
        patient_id=study.patient_id,
        issuer_of_patient_id=study.issuer_of_patient_id,
        accession_number=study.accession_number,
        content_at=workitem.content_at,
        confirmed=bool(workitem.confirmed_by),
        confirmed_by=workitem.confirmed_by,
        urgent=workitem.priority < ROUTINE,
    )
