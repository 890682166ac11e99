"""What waits where, for the page of queues: readings by priority, deliveries by destination, senders of a day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicom_node import destinations, peers
from dicom_node.rules.decision import PRIORITIES
from dicom_node.tables import (
    Delivery,
    DeliveryState,
    Instance,
    Outcome,
    Reception,
    Study,
    StudyState,
    Workitem,
    WorkitemState,
)

DAY: Final = timedelta(hours=24)
MOST_OBJECTS: Final = 100_000  # of the last day that are counted
_NEXT: Final = 20  # attempts that are shown
_WAITING: Final = (DeliveryState.QUEUED, DeliveryState.SENT, DeliveryState.FAILED)


@dataclass(frozen=True, slots=True)
class Readings:
    """Workitems of one priority that wait or are being read."""

    priority: str
    scheduled: int
    in_progress: int
    held: int
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class Outbound:
    """One destination. oldest: queued since. next_at: the next attempt, also where that is over."""

    name: str
    registered: bool
    queued: int
    sent: int
    failed: int
    oldest: datetime | None
    next_at: datetime | None
    last_error: str
    paused: bool


@dataclass(frozen=True, slots=True)
class Inbound:
    """One AE title that sent something in the last day, or may."""

    ae_title: str
    outcomes: dict[Outcome, int]
    last_at: datetime | None
    open_studies: int
    paused: bool

    @property
    def received(self) -> int:
        """All C-STORE requests that were answered."""
        return sum(self.outcomes.values())


def readings(tx: Session) -> list[Readings]:
    """By priority, the most urgent first; nothing where nothing waits."""
    held = (Workitem.hold_reason != "").label("is_held")
    rows = tx.execute(
        select(Workitem.priority, Workitem.state, held, func.count(), func.min(Workitem.next_attempt_at))
        .where(Workitem.state.in_((WorkitemState.SCHEDULED, WorkitemState.IN_PROGRESS)))
        .group_by(Workitem.priority, Workitem.state, "is_held")
    ).all()
    counts: dict[int, dict[str, int]] = defaultdict(lambda: {"scheduled": 0, "in_progress": 0, "held": 0})
    soonest: dict[int, datetime] = {}
    for priority, state, is_held, count, first in rows:
        kind = "held" if is_held else "scheduled" if state is WorkitemState.SCHEDULED else "in_progress"
        counts[priority][kind] += count
        if kind == "scheduled":
            soonest[priority] = min(first, soonest.get(priority, first))
    return [
        Readings(PRIORITIES.get(priority, str(priority)), **counts[priority], next_at=soonest.get(priority))
        for priority in sorted(counts)
    ]


def outbound(tx: Session, paused: Sequence[str]) -> list[Outbound]:
    """Every destination that is registered, and those that are not and still have something waiting."""
    rows = tx.execute(
        select(
            Delivery.destination,
            Delivery.state,
            func.count(),
            func.min(Delivery.queued_at),
            func.min(Delivery.next_attempt_at),
        )
        .where(Delivery.state.in_(_WAITING))
        .group_by(Delivery.destination, Delivery.state)
    ).all()
    registered = {to.name for to in destinations.destinations(tx)}
    found = {(name, state): (count, oldest, soonest) for name, state, count, oldest, soonest in rows}
    nothing = (0, None, None)
    errors = _last_errors(tx)
    made = []
    for name in sorted(registered | {row[0] for row in rows}):
        queued, oldest, soonest = found.get((name, DeliveryState.QUEUED), nothing)
        made.append(
            Outbound(
                name=name,
                registered=name in registered,
                queued=queued,
                sent=found.get((name, DeliveryState.SENT), nothing)[0],
                failed=found.get((name, DeliveryState.FAILED), nothing)[0],
                oldest=oldest,
                next_at=soonest,
                last_error=errors.get(name, ""),
                paused=name in paused,
            )
        )
    return made


def inbound(tx: Session, now: datetime, paused: Sequence[str]) -> list[Inbound]:
    """Who sent in the last day, and who may send, by AE title; of the newest 100,000 objects."""
    newest = tx.scalar(select(func.max(Reception.id))) or 0  # by number: the table has years, and no index of times
    rows = tx.execute(
        select(Reception.calling_ae_title, Reception.outcome, func.count(), func.max(Reception.at))
        .where(Reception.id > newest - MOST_OBJECTS, Reception.at >= now - DAY)
        .group_by(Reception.calling_ae_title, Reception.outcome)
    ).all()
    outcomes: dict[str, dict[Outcome, int]] = defaultdict(dict)
    last: dict[str, datetime] = {}
    for title, outcome, count, at in rows:
        outcomes[title][outcome] = count
        last[title] = max(at, last.get(title, at))
    arriving = _open_studies(tx)
    titles = sorted({*outcomes, *arriving, *peers.titles(tx, senders=True)})
    return [
        Inbound(title, outcomes.get(title, {}), last.get(title), arriving.get(title, 0), title in paused)
        for title in titles
    ]


def next_attempts(tx: Session) -> Sequence[Delivery]:
    """The deliveries whose turn comes next."""
    waiting = select(Delivery).where(Delivery.state == DeliveryState.QUEUED)
    return tx.scalars(waiting.order_by(Delivery.next_attempt_at, Delivery.id).limit(_NEXT)).all()


def _last_errors(tx: Session) -> dict[str, str]:
    """What was said last at each destination where something waits for another attempt."""
    newest = (
        select(func.max(Delivery.id))
        .where(Delivery.state == DeliveryState.QUEUED, Delivery.last_error != "")
        .group_by(Delivery.destination)
    )
    rows = tx.execute(select(Delivery.destination, Delivery.last_error).where(Delivery.id.in_(newest)))
    return {name: error for name, error in rows}  # noqa: C416  dict() loses the types


def _open_studies(tx: Session) -> dict[str, int]:
    """Studies that are still coming in, by sender."""
    rows = tx.execute(
        select(Instance.calling_ae_title, func.count(Study.id.distinct()))
        .join(Study, Study.id == Instance.study_id)
        .where(Study.state == StudyState.RECEIVING, Instance.revision == Study.revision)
        .group_by(Instance.calling_ae_title)
    )
    return {title: count for title, count in rows}  # noqa: C416
