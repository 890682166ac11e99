"""Destinations that nothing gets through to: since when, in whose words, how much waits, and what to type."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from dicom_node.destinations import find
from dicom_node.tables import AuditRow, Delivery, DeliveryState, Revision, Way

_WAITING: Final = (DeliveryState.QUEUED, DeliveryState.SENT)
_SUCCESS: Final = ("delivery-sent", "delivery-committed")
_FAILURE: Final = ("delivery-attempt-failed", "delivery-missing")
_INDEX_LAGS: Final = timedelta(minutes=2)  # an object that was just taken is asked for until it is found


@dataclass(frozen=True, slots=True)
class Outage:
    """Every attempt at one destination has failed since a moment.

    words: of the last failure, ours. next_at: of the next attempt, also where that is over. command: what to try.
    """

    destination: str
    since: datetime
    words: str
    waiting: int
    next_at: datetime
    command: str


def outages(tx: Session, now: datetime) -> list[Outage]:
    """By name: where something waits that failed, and nothing has succeeded since its first failure."""
    trouble = (
        select(Delivery.destination, Delivery.state, func.min(Delivery.queued_at))
        .where(Delivery.state.in_(_WAITING), Delivery.last_error != "")
        .group_by(Delivery.destination, Delivery.state)
    )
    oldest: dict[str, datetime] = {}
    unsent: set[str] = set()
    for name, state, queued_at in tx.execute(trouble):
        oldest[name] = min(queued_at, oldest.get(name, queued_at))
        unsent |= {name} if state is DeliveryState.QUEUED else set()
    found = (_outage(tx, name, oldest[name]) for name in sorted(oldest))
    return [one for one in found if one and (one.destination in unsent or now - one.since >= _INDEX_LAGS)]


def command_for(tx: Session, name: str) -> str:
    """What to type to see whether a destination answers."""
    to = find(tx, name)
    if to is None:
        return "wetread destination list"
    return f"wetread {'ae echo' if to.way is Way.DIMSE else 'destination test'} {shlex.quote(name)}"


def _outage(tx: Session, name: str, oldest: datetime) -> Outage | None:
    """None where something has succeeded after the last failure. oldest: nothing before that moment matters."""
    told = (AuditRow.at >= oldest, AuditRow.detail.contains(json.dumps(name), autoescape=True))
    success = tx.scalar(select(func.max(AuditRow.id)).where(AuditRow.event.in_(_SUCCESS), *told)) or 0
    failed = (AuditRow.event.in_(_FAILURE), AuditRow.id > success, *told)
    first = tx.scalar(select(AuditRow.at).where(*failed).order_by(AuditRow.id).limit(1))
    if first is None:
        return None
    waiting, next_at = tx.execute(
        select(func.count(), func.min(Delivery.next_attempt_at)).where(*_waits_for(name))
    ).one()
    return Outage(name, first, _last_words(tx, name, failed), waiting, next_at, command_for(tx, name))


def _last_words(tx: Session, name: str, failed: tuple[ColumnElement[bool], ...]) -> str:
    """What the last attempt said; where that study waits no more, what another one said."""
    study_id = tx.scalar(select(AuditRow.study_id).where(*failed).order_by(AuditRow.id.desc()).limit(1))
    said = (
        select(Delivery.last_error)
        .join(Revision, Revision.id == Delivery.revision_id)
        .where(*_waits_for(name), Delivery.last_error != "")
        .order_by((Revision.study_id == study_id).desc(), Delivery.id.desc())
    )
    return tx.scalar(said.limit(1)) or ""


def _waits_for(name: str) -> Iterator[ColumnElement[bool]]:
    yield Delivery.state.in_(_WAITING)
    yield Delivery.destination == name
