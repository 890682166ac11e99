"""Do the books balance? Read-only questions that `wetread check`, the metrics and the pages ask."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from dicom_node.tables import (
    Book,
    Delivery,
    DeliveryState,
    Instance,
    Outcome,
    Reception,
    Revision,
    Study,
    StudyState,
    Workitem,
    WorkitemState,
)
from dicom_node.worklist.holds import HOLDS
from dicom_node.worklist.moves import Standing, book_of

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Balance:
    """Counts, and what does not add up; `problems` is empty when the books balance."""

    revisions: dict[Book, int]
    receptions: dict[Outcome, int]
    held: int
    conflicts: int  # studies with newer bytes under a SOP Instance UID than those that are used
    problems: tuple[str, ...]


def balance(tx: Session) -> Balance:
    """Prove that each revision is in exactly one book and that every answered object is accounted for."""
    revisions = dict.fromkeys(Book, 0) | _counts(tx, Revision.book)
    receptions = dict.fromkeys(Outcome, 0) | _counts(tx, Reception.outcome)
    problems = [*_instances_without_reception(tx, receptions), *_revisions_adrift(tx)]
    return Balance(revisions, receptions, _number(tx, held()), _number(tx, conflicts()), tuple(problems))


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits where, and since when."""

    receiving: int
    scheduled: int
    in_progress: int
    held: int
    conflicts: int  # studies with newer bytes under a SOP Instance UID than those that are used
    queued: int
    sent: int
    dead_letters: int
    oldest_scheduled: datetime | None
    oldest_queued: datetime | None


def backlog(tx: Session) -> Backlog:
    """What waits now."""
    return Backlog(**tx.execute(_waiting()).one()._mapping)


@cache
def _waiting() -> Select[Any]:
    """The columns of a `Backlog`, as one question: every page asks it."""
    readable = Workitem.hold_reason == ""
    scheduled = (Workitem.state == WorkitemState.SCHEDULED, readable)
    queued = Delivery.state == DeliveryState.QUEUED
    of_current = (Revision.study_id == Study.id) & (Revision.number == Study.revision)
    dead = select(func.count(Revision.id)).join(Study, of_current).where(Revision.book == Book.DEAD_LETTERED)
    opened = select(func.min(Revision.opened_at)).join(Workitem, Workitem.revision_id == Revision.id)
    asked: dict[str, Select[Any]] = {
        "receiving": select(func.count(Study.id)).where(Study.state == StudyState.RECEIVING),
        "scheduled": select(func.count(Workitem.id)).where(*scheduled),
        "in_progress": select(func.count(Workitem.id)).where(Workitem.state == WorkitemState.IN_PROGRESS, readable),
        "held": select(func.count()).select_from(held().subquery()),
        "conflicts": select(func.count()).select_from(conflicts().subquery()),
        "queued": select(func.count(Delivery.id)).where(queued),
        "sent": select(func.count(Delivery.id)).where(Delivery.state == DeliveryState.SENT),
        "dead_letters": dead,
        "oldest_scheduled": opened.where(*scheduled),
        "oldest_queued": select(func.min(Delivery.queued_at)).where(queued),
    }
    return select(*(question.scalar_subquery().label(name) for name, question in asked.items()))


def held() -> Select[int]:
    """Ids of the newest revisions that wait for a person: in flight, and the study or its workitem is held."""
    waits = select(Workitem.id).where(Workitem.revision_id == Revision.id, Workitem.hold_reason != "")
    return (
        select(Revision.id)
        .join(Study, (Study.id == Revision.study_id) & (Study.revision == Revision.number))
        .where(Revision.book == Book.IN_FLIGHT, or_(Study.hold_reason != "", waits.exists()))
    )


def conflicts() -> Select[int]:
    """Numbers of studies with newer bytes under a SOP Instance UID than those that are used, until a person decides."""
    newer, used = aliased(Instance), aliased(Instance)
    return (
        select(newer.study_id)
        .distinct()
        .join(used, used.sop_instance_uid == newer.sop_instance_uid)
        .join(Study, Study.id == newer.study_id)
        .join(Revision, (Revision.study_id == Study.id) & (Revision.number == Study.revision))
        .where(newer.conflict, ~used.conflict, used.id < newer.id)
        .where(Revision.purged_at.is_(None), Revision.reason != "excluded-by-person")
    )


def _number(tx: Session, chosen: Select[int]) -> int:
    return tx.scalar(select(func.count()).select_from(chosen.subquery())) or 0


def _instances_without_reception(tx: Session, receptions: dict[Outcome, int]) -> list[str]:
    """received = stored + duplicate + conflict + quarantined, and each kept object was received."""
    problems = []
    kept = _counts(tx, Instance.conflict)
    for outcome, conflict in ((Outcome.STORED, False), (Outcome.CONFLICT, True)):
        if receptions[outcome] != kept.get(conflict, 0):
            problems.append(
                f"{receptions[outcome]} objects were answered as {outcome} but {kept.get(conflict, 0)} are in the books"
            )
    return problems


def _revisions_adrift(tx: Session) -> list[str]:
    """Revisions whose book is not what their workitem and deliveries say. Two queries, however many there are."""
    standings: dict[int, list[Standing]] = defaultdict(list)
    found = select(Delivery.revision_id, Delivery.state, Delivery.stage, Delivery.reason).distinct()
    for revision_id, state, stage, reason in tx.execute(found):
        standings[revision_id].append(Standing(state, stage, reason))
    current = (Study.state == StudyState.RECEIVING) & (Study.revision == Revision.number)
    rows = tx.execute(
        select(Revision.id, Revision.study_id, Revision.number, Revision.book, Revision.reason, Workitem.state, current)
        .join(Study, Study.id == Revision.study_id)
        .outerjoin(Workitem, Workitem.revision_id == Revision.id)
    )
    problems = []
    for revision_id, study_id, number, book, reason, workitem, is_open in rows:
        expected = _expected(standings.get(revision_id, []), workitem, is_open=bool(is_open))
        if expected == {Book.DELIVERED} and reason in HOLDS:  # delivered although it was held: a person is told
            expected = frozenset({Book.DEAD_LETTERED})
        elif expected == {Book.DELIVERED} and reason:  # taken back later, with nothing to send for it
            expected = expected | {Book.CLOSED}
        if book not in expected:
            names = " or ".join(sorted(expected))
            problems.append(
                f"study {study_id} revision {number} is booked as {book}, its workitem and deliveries say {names}"
            )
    lonely = select(Study.id).where(~select(Revision.id).where(Revision.study_id == Study.id).exists())
    return problems + [f"study {study_id} has no revision" for study_id in tx.scalars(lonely)]


_ENDED_BY_HAND = frozenset({Book.EXCLUDED, Book.DEAD_LETTERED, Book.CLOSED})


def _expected(standings: list[Standing], workitem: WorkitemState | None, *, is_open: bool) -> frozenset[Book]:
    """The books that fit the states of a revision's deliveries and workitem. `is_open`: images may still come."""
    book = book_of(standings)
    if book is not None and book is not Book.CLOSED:
        return frozenset({book})
    if book is Book.CLOSED:
        return _ENDED_BY_HAND
    if workitem is None:
        return frozenset({Book.IN_FLIGHT}) if is_open else _ENDED_BY_HAND
    if workitem in {WorkitemState.SCHEDULED, WorkitemState.IN_PROGRESS}:
        return frozenset({Book.IN_FLIGHT})
    if workitem is WorkitemState.CANCELED:
        return _ENDED_BY_HAND
    return frozenset({Book.AWAITING_SIGNOFF, Book.CLOSED, Book.DEAD_LETTERED})


def _counts(tx: Session, column: InstrumentedAttribute[State], *conditions: ColumnElement[bool]) -> dict[State, int]:
    rows = tx.execute(select(column, func.count()).where(*conditions).group_by(column))
    return {state: count for state, count in rows}  # noqa: C416  dict() loses the types
