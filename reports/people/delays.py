"""What slows down guessing: each failed try makes the next one wait longer. Nobody is locked out for ever.

Three counters see each try: the name from this address, the address, and the name from anywhere. So one who guesses
somebody's password from elsewhere slows that person down by a minute at most. A try is counted before the password is
looked at, so that many at once gain nothing, and taken back when it succeeds: as if it had not been. Counts halve with
each hour without a failure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete
from sqlalchemy.orm import Session

from dicom_node.database import locked
from reports.people.errors import TooSoon
from reports.people.tables import FailedTries


@dataclass(frozen=True, slots=True)
class _Pace:
    free: int  # tries without a wait
    longest: timedelta
    forgotten: timedelta  # after the last one


_HALVED: Final = timedelta(hours=1)
_PAIR: Final = _Pace(4, timedelta(minutes=5), timedelta(hours=24))
_ADDRESS: Final = _Pace(20, timedelta(minutes=5), timedelta(hours=1))
_PROVIDER: Final = _Pace(20, timedelta(minutes=5), timedelta(hours=1))
_LOGIN: Final = _Pace(40, timedelta(minutes=1), timedelta(hours=24))


@dataclass(frozen=True, slots=True)
class Try:
    """One that is counted. before: up to when each counter, of those that `_keys` gives, had faded until then."""

    login: str
    address: str
    at: datetime
    before: tuple[datetime, ...]


def begin(tx: Session, login: str, address: str, now: datetime) -> Try:
    """Count one try. Raises TooSoon while an earlier one makes it wait; that is not counted."""
    rows = [(pace, locked(tx, FailedTries(key=key, count=0, last_at=now))) for pace, key in _keys(login, address)]
    wait = max(_wait(pace, row, now) for pace, row in rows)
    if wait > timedelta(0):
        raise TooSoon(int(wait.total_seconds()) + 1)
    before = []
    for pace, row in rows:
        faded, until = _faded(pace, row, now)
        before.append(until)
        row.count, row.last_at = faded + 1, now
    return Try(login, address, now, tuple(before))


def succeeded(tx: Session, this: Try) -> None:
    """Take the try back, and forget how often this name failed from this address.

    The others wait for the last failure, not for somebody's success.
    """
    (_, pair), *others = _keys(this.login, this.address)
    tx.execute(delete(FailedTries).where(FailedTries.key == pair))
    for (_, key), before in zip(others, this.before[1:], strict=True):
        row = tx.get(FailedTries, key, with_for_update=True)
        if row is not None:
            row.count = max(0, row.count - 1)
            row.last_at = before if row.last_at == this.at else row.last_at  # unless somebody else tried meanwhile


def refused_elsewhere(tx: Session, address: str, now: datetime) -> bool:
    """Count one that came from a provider and was not let in; False where so many did that no more is written down."""
    row = locked(tx, FailedTries(key=f"provider {address}"[:64], count=0, last_at=now))
    if _wait(_PROVIDER, row, now) > timedelta(0):
        return False
    row.count, row.last_at = _faded(_PROVIDER, row, now)[0] + 1, now
    return True


def forget(tx: Session, now: datetime) -> None:
    """Delete what no longer counts."""
    tx.execute(delete(FailedTries).where(FailedTries.last_at < now - max(_PAIR.forgotten, _LOGIN.forgotten)))


def _faded(pace: _Pace, row: FailedTries, now: datetime) -> tuple[int, datetime]:
    """What is left of a count, and the last full hour at which it was halved."""
    hours = max(0, (now - row.last_at) // _HALVED)
    if now - row.last_at > pace.forgotten:
        return 0, now
    return row.count >> hours, row.last_at + hours * _HALVED


def _wait(pace: _Pace, row: FailedTries, now: datetime) -> timedelta:
    if row.count < pace.free or now - row.last_at > pace.forgotten:
        return timedelta(0)
    doubled = timedelta(seconds=2 ** min(row.count - pace.free + 1, 10))
    return row.last_at + min(doubled, pace.longest) - now


def _keys(login: str, address: str) -> Iterator[tuple[_Pace, str]]:
    """What is typed as a name may be a password: 20 bits of a digest find its counter, and tell nobody what it was."""
    short = hashlib.sha256(login.encode("utf-8", "surrogatepass")).hexdigest()[:5]
    yield _PAIR, f"{short} {address}"[:64]
    yield _ADDRESS, f"- {address}"[:64]
    yield _LOGIN, f"{short} -"
