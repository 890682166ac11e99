"""When the queues will be empty, if they go on as they did: counted from the audit trail, so true after a restart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, case, func, select
from sqlalchemy.orm import Session

from dicom_node.books import Backlog
from dicom_node.hours import Hours
from dicom_node.outages import outages
from dicom_node.rules.decision import ROUTINE
from dicom_node.tables import AuditRow, Workitem, WorkitemState
from dicom_node.worklist.pauses import What, pauses
from dicom_node.worklist.urgency import AGING

_FARTHEST: Final = timedelta(days=366)
WINDOW: Final = timedelta(minutes=15)
_READ: Final = ("draft-recorded", "revision-excluded", "revision-dead-lettered")  # what ends a reading
_SENT: Final = ("delivery-sent", "delivery-failed")
_LATELY: Final = (
    select(AuditRow.event, func.count(AuditRow.id), func.min(AuditRow.at))
    .where(AuditRow.event.in_(bindparam("events", expanding=True)), AuditRow.at >= bindparam("since"))
    .group_by(AuditRow.event)
)


@dataclass(frozen=True, slots=True)
class Forecast:
    """Studies and documents an hour, over the last quarter of one; and when their queues end at that rate.

    The moments are None where nothing waits, where nothing was done lately, so that nobody can say, where a person has
    paused it, where it would take longer than a year, and for documents while nothing gets through to one of their
    destinations. backlog_waiting: studies of priority backlog for which this is
    none of their hours; backlog_from: when those begin.
    """

    read_per_hour: float
    sent_per_hour: float
    read_by: datetime | None
    sent_by: datetime | None
    backlog_waiting: int = 0
    backlog_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Queue:
    """Studies to be read: those of any hour, and backlog, of which the aged count as routine and are older."""

    always: int
    aged: int = 0
    young: int = 0


def forecast(tx: Session, waiting: Backlog, now: datetime, hours: Hours | None = None) -> Forecast:
    """hours: in which studies of priority backlog are read; None: always.

    Held studies and those still coming in are left out. New arrivals are not foreseen.
    """
    read, sent = _per_hour(tx, now, _READ, _SENT)
    still = {one.what for one in pauses(tx) if not one.peer} if read or sent else set()
    begins = None if hours is None or hours.hold(now) else hours.next_change(now)
    queue = _Queue(waiting.scheduled + waiting.in_progress)
    if hours is not None and waiting.scheduled:
        queue = _apart(tx, queue.always, aged_by=(begins or now) - AGING)
    backlog = queue.aged + queue.young if begins is not None else 0
    by = _end(waiting.queued, sent, now)
    return Forecast(
        read_per_hour=read,
        sent_per_hour=sent,
        read_by=None if What.WORK in still else _read_by(queue, read, now, hours),
        sent_by=None if What.SEND in still or _is_stuck(tx, by, now) else by,
        backlog_waiting=backlog,
        backlog_from=begins if backlog else None,
    )


def _is_stuck(tx: Session, by: datetime | None, now: datetime) -> bool:
    """Is there a destination that takes nothing? Asked only where an end is foreseen."""
    return by is not None and bool(outages(tx, now))


def readings_per_hour(tx: Session, now: datetime) -> float:
    """How many studies an hour were read lately; 0 where none was."""
    return _per_hour(tx, now, _READ)[0]


def _per_hour(tx: Session, now: datetime, *kinds: tuple[str, ...]) -> list[float]:
    """Events an hour, of each kind; asked together."""
    asked = {"events": [event for kind in kinds for event in kind], "since": now - WINDOW}
    done = {event: (number, first) for event, number, first in tx.execute(_LATELY, asked)}
    return [_rate([done[event] for event in kind if event in done], now) for kind in kinds]


def _rate(done: Sequence[tuple[int, datetime]], now: datetime) -> float:
    if not done:
        return 0.0
    lasted = max(now - min(first for _, first in done), timedelta(minutes=1))  # a burst that began just now says little
    return float(round(sum(number for number, _ in done) / (lasted / timedelta(hours=1)), 1))


def _apart(tx: Session, everything: int, *, aged_by: datetime) -> _Queue:
    """Backlog by itself, with the same conditions as in `books`."""
    aged = func.count(case((Workitem.next_attempt_at <= aged_by, Workitem.id)))
    chosen = select(aged, func.count(Workitem.id)).where(
        Workitem.state == WorkitemState.SCHEDULED, Workitem.hold_reason == "", Workitem.priority > ROUTINE
    )
    old, backlog = tx.execute(chosen).one()
    return _Queue(max(0, everything - backlog), old, backlog - old)


def _read_by(queue: _Queue, per_hour: float, now: datetime, hours: Hours | None) -> datetime | None:
    """When all is read. In their hours aged backlog comes first, then what may be read always, then the rest."""
    if hours is None or not (queue.aged or queue.young):
        return _end(queue.always, per_hour, now)
    if not per_hour:
        return None
    aged, always, young = (timedelta(hours=number / per_hour) for number in (queue.aged, queue.always, queue.young))
    begin = now
    while begin < now + _FARTHEST:
        end = hours.next_change(begin)
        at = begin
        if hours.hold(begin):
            aged, at = _worked(aged, at, end)
        always, at = _worked(always, at, end)
        if hours.hold(begin):
            young, at = _worked(young, at, end)
        if not (aged or always or young):
            return at
        begin = end
    return None


def _worked(left: timedelta, begin: datetime, end: datetime) -> tuple[timedelta, datetime]:
    """What is left of the work at `end`, and when it stopped."""
    done = min(left, end - begin)
    return left - done, begin + done


def _end(waiting: int, per_hour: float, now: datetime) -> datetime | None:
    return now + timedelta(hours=waiting / per_hour) if waiting and per_hour else None
