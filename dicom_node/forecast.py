"""When the queues will be empty, if they go on as they did: counted from the audit trail, so true after a restart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from dicom_node.books import Backlog
from dicom_node.tables import AuditRow
from dicom_node.worklist.pauses import What, pauses

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

    The moments are None where nothing waits, where nothing was done lately, so that nobody can say, or where a person
    has paused it. That studies of priority backlog may have to wait for their hours is not foreseen.
    """

    read_per_hour: float
    sent_per_hour: float
    read_by: datetime | None
    sent_by: datetime | None


def forecast(tx: Session, waiting: Backlog, now: datetime) -> Forecast:
    """Held studies and those still coming in are left out. New arrivals are not foreseen."""
    read, sent = _per_hour(tx, now, _READ, _SENT)
    still = {one.what for one in pauses(tx) if not one.peer} if read or sent else set()
    return Forecast(
        read_per_hour=read,
        sent_per_hour=sent,
        read_by=None if What.WORK in still else _end(waiting.scheduled + waiting.in_progress, read, now),
        sent_by=None if What.SEND in still else _end(waiting.queued, sent, now),
    )


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


def _end(waiting: int, per_hour: float, now: datetime) -> datetime | None:
    return now + timedelta(hours=waiting / per_hour) if waiting and per_hour else None
