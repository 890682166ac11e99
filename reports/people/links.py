"""One-time links: with one of them a person sets a password that nobody else ever knew."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from dicom_node import audit
from reports.people.errors import LinkRefused
from reports.people.sessions import digest_of
from reports.people.tables import Account, OneTimeLink, Purpose

LASTS: Final = MappingProxyType(
    {Purpose.FIRST: timedelta(hours=1), Purpose.INVITE: timedelta(hours=72), Purpose.RESET: timedelta(hours=24)}
)


def make(
    tx: Session, purpose: Purpose, token: str, account: Account | None, *, now: datetime, actor: str
) -> OneTimeLink:
    """A new one; those of before for the same person, or for the first administrator, are void."""
    whose = OneTimeLink.account_id == account.id if account else OneTimeLink.account_id.is_(None)
    tx.execute(delete(OneTimeLink).where(whose))
    tx.execute(delete(OneTimeLink).where(OneTimeLink.expires_at < now))
    link = OneTimeLink(
        digest=digest_of(token),
        purpose=purpose,
        account_id=account.id if account else None,
        expires_at=now + LASTS[purpose],
    )
    tx.add(link)
    audit.append(
        tx,
        "link-made",
        at=now,
        actor=actor,
        purpose=purpose.value,
        user=account.login if account else "the first administrator",
    )
    return link


def find(tx: Session, token: str, *, now: datetime) -> OneTimeLink:
    """A link that still holds. Raises LinkRefused."""
    link = tx.get(OneTimeLink, digest_of(token))
    if link is None or link.used_at is not None or now >= link.expires_at:
        raise LinkRefused
    return link


def use(tx: Session, token: str, *, now: datetime) -> OneTimeLink:
    """Use it up: of two at once one wins. Raises LinkRefused."""
    link = find(tx, token, now=now)
    used = tx.execute(
        update(OneTimeLink)
        .where(OneTimeLink.digest == link.digest, OneTimeLink.used_at.is_(None))
        .values(used_at=now)
        .returning(OneTimeLink.digest)
    ).first()
    if used is None:
        raise LinkRefused
    return link


def void(tx: Session, account: Account) -> None:
    """Those of a person open nothing any more, as when that person sets a password."""
    tx.execute(delete(OneTimeLink).where(OneTimeLink.account_id == account.id))
