"""Sessions: a token in a cookie is somebody while that person does something, and for a day's work at most."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import Select, bindparam, delete, select
from sqlalchemy.orm import Session

from reports.people.tables import Account, Attendance, StudyView

_GRAIN = timedelta(seconds=30)  # of "last seen": not every request needs to write


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a session lasts: without anything done, and at all."""

    idle: timedelta = timedelta(minutes=30)
    lasts: timedelta = timedelta(hours=12)


def begin(
    tx: Session,
    account: Account,
    token: str,
    limits: Limits,
    *,
    now: datetime,
    proven_at: datetime | None = None,
    provider: bool = False,
) -> Attendance:
    """Open one. token: new and random; a session never takes one that came from a browser.

    proven_at: when the person proved who it is, where that is not now.
    """
    tx.execute(delete(Attendance).where(Attendance.ends_at < now - limits.lasts))
    made = Attendance(
        digest=digest_of(token),
        account_id=account.id,
        began_at=now,
        ends_at=now + limits.lasts,
        seen_at=now,
        proven_at=proven_at or now,
        provider=provider,
    )
    tx.add(made)
    tx.flush()
    return made


def find(tx: Session, token: str, limits: Limits, *, now: datetime) -> tuple[Attendance, Account] | None:
    """Whose session it is; None where it is none, is over, was idle too long, or the person is disabled."""
    found = tx.execute(_whose(), {"digest": digest_of(token)}).first()
    if found is None:
        return None
    attendance, account = found
    return (attendance, account) if is_alive(attendance, limits, now) and not account.disabled else None


@cache
def _whose() -> Select[Attendance, Account]:
    joined = select(Attendance, Account).join(Account, Account.id == Attendance.account_id)
    return joined.where(Attendance.digest == bindparam("digest"))


def is_alive(attendance: Attendance, limits: Limits, now: datetime) -> bool:
    """Neither over nor idle for too long?"""
    return now < attendance.ends_at and now - attendance.seen_at < limits.idle


def should_note(attendance: Attendance, now: datetime) -> bool:
    """Is it long enough since something was written down?"""
    return now - attendance.seen_at >= _GRAIN


def of(tx: Session, account_id: int) -> list[Attendance]:
    """The sessions of one person, the newest first; those that are over may be among them."""
    wanted = select(Attendance).where(Attendance.account_id == account_id).order_by(Attendance.id.desc())
    return list(tx.scalars(wanted))


def end(tx: Session, attendance: Attendance) -> None:
    """Sign out."""
    tx.execute(delete(StudyView).where(StudyView.viewer == f"session:{attendance.id}"))
    tx.delete(attendance)


def end_all(tx: Session, account_id: int, *, but: int | None = None) -> int:
    """Sign out everywhere, or everywhere else; returns how many sessions ended."""
    ended = [one for one in of(tx, account_id) if one.id != but]
    for one in ended:
        end(tx, one)
    return len(ended)


def digest_of(token: str) -> str:
    """As a token is kept: 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()
