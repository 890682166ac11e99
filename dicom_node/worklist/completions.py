"""No more images are expected: who says so, and what follows. A peer's word is kept until all it names is here."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.errors import WrongState
from dicom_node.rules.decision import ROUTINE
from dicom_node.rules.tables import PerformedStep, RuleRow, Signal, Trigger
from dicom_node.tables import Book, Instance, Revision, Study, StudyState, Workitem, WorkitemState
from dicom_node.uids import derived_uid
from dicom_node.worklist.holds import what_to_do
from dicom_node.worklist.moves import (
    Ending,
    close,
    current_revision,
    has_image,
    move_study,
    must_not_be_signed,
    next_revision,
)
from dicom_node.worklist.routings import routing_of
from dicom_node.worklist.sweeps import Swept, alone

NO_TRIGGERS: frozenset[Trigger] = frozenset()
_OF_A_PART = (Trigger.IAN.value, Trigger.MPPS.value)  # one of several notifications, the first of several steps
_OLD = timedelta(days=7)  # what was said of a study that never came, and procedure steps, are forgotten


@dataclass(frozen=True, slots=True)
class Event:
    """A peer says that a study is whole.

    sop_instance_uids: what belongs to it; the study is complete once all of them are here. Never empty: words without
    instances cannot be held against what came, and count for nothing.
    """

    trigger: Trigger
    study_instance_uid: str
    sop_instance_uids: frozenset[str]
    peer: str


def completed_by(tx: Session, event: Event, now: datetime) -> None:
    """Keep a peer's word, also before the study's first object came. The next `complete_studies` acts on it.

    Of a study that is complete with all that is named, it is no news: it must not speak for a late image.
    """
    if not event.sop_instance_uids or not event.study_instance_uid or _is_known(tx, event):
        return
    tx.add(
        Signal(
            study_instance_uid=event.study_instance_uid,
            trigger=event.trigger,
            peer=event.peer[:64],
            at=now,
            instances=json.dumps(sorted(event.sop_instance_uids)),
        )
    )


def unsay(tx: Session, study_instance_uid: str, trigger: Trigger) -> None:
    """What peers said of a study by `trigger` holds no longer."""
    said = delete(Signal).where(Signal.study_instance_uid == study_instance_uid, Signal.trigger == trigger.value)
    tx.execute(said.where(Signal.used_at.is_(None)), execution_options={"synchronize_session": False})


def committed_by(tx: Session, study_ids: Iterable[int], calling_ae_title: str, now: datetime) -> None:
    """A sender asked for storage commitment of objects of these studies: all that it sent so far is all there is."""
    for study in tx.scalars(select(Study).where(Study.id.in_(sorted(study_ids)))).all():
        event = Event(Trigger.COMMITMENT, study.study_instance_uid, _here(tx, study.id), calling_ae_title)
        completed_by(tx, event, now)


def complete_studies(
    tx: Session,
    now: datetime,
    *,
    quiet: timedelta,
    deadline: timedelta,
    triggers: Collection[Trigger] = NO_TRIGGERS,
    settle: timedelta = timedelta(),
    ask: bool = False,
    after: int = 0,
    most: int = 100,
) -> Swept:
    """Close the studies for which nothing came for `quiet`, that are open for `deadline`, or that a peer calls whole.

    At most so many of those with higher numbers than `after`: each takes some milliseconds, and on SQLite nobody else
    writes meanwhile, also no C-STORE.

    triggers: which of the peers' words count; settle: those that may be about a part only, once nothing came for so
    long. ask: the rules are asked in any case, also where there are none, since the headers may say a priority.
    """
    told = _told(tx, now, triggers, settle) if triggers else {}
    waited = or_(Study.last_received_at <= now - quiet, Study.first_received_at <= now - deadline)
    due = select(Study).where(Study.state == StudyState.RECEIVING, or_(waited, Study.id.in_(told)))
    page = due.where(Study.id > after).order_by(Study.id).limit(most)
    studies = tx.scalars(page.with_for_update(of=Study, skip_locked=True)).all()
    swept = Swept(last=studies[-1].id if len(studies) == most else 0)
    for study in studies:
        by = told.get(study.id) or _clock(study, now, quiet)
        swept += alone(tx, study.id, partial(complete, tx, study, now, actor="dispatch", by=by, ask=ask))
    return swept


def complete(
    tx: Session, study: Study, now: datetime, *, actor: str, by: Trigger = Trigger.PERSON, ask: bool = False
) -> None:
    """No more images are expected: schedule the reading, or say why there is nothing to read.

    Where there are rules, or `ask`, the reading cannot be claimed before `decided`: also without any rule the headers
    may say a priority. Where nobody is asked, a study that is read anew stays as urgent as it was.
    """
    move_study(study, StudyState.COMPLETE)
    study.completed_at = now
    revision = current_revision(tx, study)
    routing = routing_of(tx, revision.id)
    routing.completed_by = by
    audit.append(tx, "study-complete", at=now, actor=actor, study_id=study.id, revision=revision.number, by=by.value)
    _use_up(tx, study, now)
    if not has_image(tx, study.id):
        routing.decided_at = now
        close(tx, revision, Ending(Book.EXCLUDED, "no-image", "the study has no image"), now, actor=actor)
        return
    routing.decided_at = None if ask or _has_rules(tx) else now
    uid = derived_uid(study.study_instance_uid, str(revision.number), "workitem")
    tx.add(
        Workitem(
            uid=uid,
            revision_id=revision.id,
            state=WorkitemState.SCHEDULED,
            priority=_urgency(tx, study),
            next_attempt_at=now,
            hold_reason=study.hold_reason,
        )
    )


def _urgency(tx: Session, study: Study) -> int:
    """Until somebody decides: that of the reading before, where it was more urgent than routine."""
    before = (
        select(Workitem.priority)
        .join(Revision, Revision.id == Workitem.revision_id)
        .where(Revision.study_id == study.id)
        .order_by(Revision.number.desc())
    )
    rank = tx.scalar(before.limit(1))
    return ROUTINE if rank is None else min(ROUTINE, rank)


def complete_now(tx: Session, study: Study, now: datetime, *, actor: str) -> str:
    """A person waits for no more images. Returns what was done, in words. Raises WrongState."""
    if study.state is not StudyState.RECEIVING:
        raise WrongState(f"the study is complete already; to read it again: wetread study reprocess '#{study.id}'")
    complete(tx, study, now, actor=actor, ask=True)
    return f"revision {study.revision} is complete"


def reprocess(tx: Session, study: Study, now: datetime, *, actor: str, no_rules: bool = False) -> str:
    """A person wants a complete study read again, as the next revision. The rules are asked anew, unless `no_rules`.

    Returns what was done, in words. Raises WrongState.
    """
    if study.hold_reason:
        raise WrongState(f"the study is held ({study.hold_reason}). {what_to_do(study.hold_reason)}")
    if study.state is StudyState.RECEIVING:
        raise WrongState(f"the study is not complete yet; to wait no longer: wetread study complete '#{study.id}'")
    must_not_be_signed(tx, study)
    old = current_revision(tx, study)
    waits = select(Workitem.id).where(
        Workitem.revision_id == old.id, Workitem.state.in_([WorkitemState.SCHEDULED, WorkitemState.IN_PROGRESS])
    )
    if tx.scalar(waits.limit(1)) is not None:
        raise WrongState("the study is being read, or waits for that")
    revision = next_revision(tx, study, now, actor=actor)
    tx.flush()
    routing_of(tx, revision.id).no_rules = no_rules
    audit.append(tx, "study-reprocessed", at=now, actor=actor, study_id=study.id, no_rules=int(no_rules))
    complete(tx, study, now, actor=actor, ask=True)
    return f"revision {study.revision} is complete"


def forget_signals(tx: Session, now: datetime) -> None:
    """Delete what was said and is used up, or is old; and old procedure steps, also those that never ended."""
    plainly = {"synchronize_session": False}
    tx.execute(
        delete(Signal).where(or_(Signal.used_at.is_not(None), Signal.at < now - _OLD)), execution_options=plainly
    )
    tx.execute(delete(PerformedStep).where(PerformedStep.changed_at < now - _OLD), execution_options=plainly)


def _clock(study: Study, now: datetime, quiet: timedelta) -> Trigger:
    return Trigger.QUIET if study.last_received_at <= now - quiet else Trigger.DEADLINE


def _told(tx: Session, now: datetime, triggers: Collection[Trigger], settle: timedelta) -> Mapping[int, Trigger]:
    """The studies whose peers called them whole, and of which all that they named is here.

    Who names only images of older revisions says nothing of the late ones, whenever that is said.
    """
    chosen = (
        select(Study.id, Study.revision, Signal.trigger, Signal.instances)
        .join(Signal, Signal.study_instance_uid == Study.study_instance_uid)
        .where(
            Study.state == StudyState.RECEIVING,
            Signal.used_at.is_(None),
            Signal.at <= now,
            Signal.trigger.in_([trigger.value for trigger in triggers]),
            or_(Signal.trigger.not_in(_OF_A_PART), Study.last_received_at <= now - settle),
        )
        .order_by(Signal.id)
    )
    rows = tx.execute(chosen).all()
    found: dict[int, Trigger] = {}
    for study_id, revision, trigger, instances in rows:
        if study_id not in found and _speaks_of(tx, study_id, revision, json.loads(instances)):
            found[study_id] = Trigger(trigger)
    return MappingProxyType(found)


def _here(tx: Session, study_id: int) -> frozenset[str]:
    return frozenset(tx.scalars(select(Instance.sop_instance_uid).where(Instance.study_id == study_id)))


def _is_known(tx: Session, event: Event) -> bool:
    study = tx.scalar(select(Study).where(Study.study_instance_uid == event.study_instance_uid))
    if study is None or study.state is not StudyState.COMPLETE:
        return False
    return event.sop_instance_uids <= _here(tx, study.id)


def _speaks_of(tx: Session, study_id: int, revision: int, uids: Collection[str]) -> bool:
    """Is all here that is named, and did any of it come with this revision?"""
    chosen = select(Instance.sop_instance_uid, Instance.revision).where(Instance.study_id == study_id)
    rows = tx.execute(chosen).all()
    came_with_it = {uid for uid, number in rows if number == revision}
    return {uid for uid, _ in rows}.issuperset(uids) and not came_with_it.isdisjoint(uids)


def _use_up(tx: Session, study: Study, now: datetime) -> None:
    """What was said of a study holds for one revision: a late image waits for its own quiet time."""
    open_ones = update(Signal).where(Signal.study_instance_uid == study.study_instance_uid, Signal.used_at.is_(None))
    tx.execute(open_ones.values(used_at=now), execution_options={"synchronize_session": False})


def _has_rules(tx: Session) -> bool:
    return bool(tx.scalar(select(func.count(RuleRow.id)).where(RuleRow.enabled)))
