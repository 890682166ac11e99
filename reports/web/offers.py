"""To whom a draft is handed over, while it is kept for that one: everybody sees it, and nobody waits for ever."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BindParameter, ColumnElement, and_, select
from sqlalchemy.orm import Session

from reports.people.tables import Account
from reports.signoff.copies import OFFERED
from reports.signoff.tables import WorkingCopy
from reports.web import choice


@dataclass(frozen=True, slots=True)
class Offer:
    """Who has it next. name: DICOM Person Name; since: UTC."""

    user_id: int
    login: str
    name: str
    since: datetime


def offer_of(copy: WorkingCopy | None, login: str | None, name: str | None, now: datetime) -> Offer | None:
    """The offer that holds now. login, name: of the account that `is_able` joins; None where it joins none."""
    if copy is None or copy.offered_to is None or copy.held_since is None or login is None:
        return None
    if copy.holder_id is not None or now - copy.held_since >= OFFERED:
        return None
    return Offer(copy.offered_to, login, name or "", copy.held_since)


def is_able() -> ColumnElement[bool]:
    """Joins the account of the one to whom a working copy is offered, if that one can come."""
    return and_(Account.id == WorkingCopy.offered_to, Account.disabled.is_(False))


def offer_on(tx: Session, report_id: int, now: datetime) -> Offer | None:
    """The offer of one report."""
    chosen = select(WorkingCopy, Account.login, Account.name).join(Account, is_able())
    found = tx.execute(chosen.where(WorkingCopy.report_id == report_id)).first()
    return offer_of(found[0], found[1], found[2], now) if found is not None else None


def kept_for_another(offered_since: BindParameter[datetime]) -> ColumnElement[bool]:
    """Is a working copy offered to somebody else than whoever asks? offered_since: later offers hold."""
    another = and_(WorkingCopy.offered_to.is_not(None), WorkingCopy.offered_to != choice.user())
    able = select(Account.id).where(is_able()).correlate(WorkingCopy).exists()
    holds = and_(WorkingCopy.held_since.is_not(None), WorkingCopy.held_since > offered_since)  # never unknown
    return and_(another, holds, able)
