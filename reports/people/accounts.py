"""Accounts: who there is, with which roles. Every change is audited, by logins and roles, never by names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.errors import ConfigurationError, NotFound, WrongState
from reports.people import sessions
from reports.people.rights import Right, Role, rights_of
from reports.people.tables import Account

_LOGIN: Final = re.compile(r"\w[\w.@+-]{0,55}")
_NAME_LENGTH: Final = 64  # of each component group of a Person Name (PS3.5 6.2, PN)


@dataclass(frozen=True, slots=True)
class Particulars:
    """What is known of a person. name: DICOM Person Name (`Family^Given`).

    organization: needed of whoever signs; it stands beside the signature. identifier, scheme: both or neither.
    """

    name: str
    roles: frozenset[Role]
    organization: str = ""
    identifier: str = ""
    scheme: str = ""


def add(tx: Session, login: str, who: Particulars, *, now: datetime, actor: str) -> Account:
    """Make an account that has no password yet. Raises ConfigurationError."""
    typed = as_login(login)
    if not _LOGIN.fullmatch(typed):
        raise ConfigurationError(
            "a login has 1 to 56 characters: letters, digits, and . @ + - _ after the first; no spaces"
        )
    if tx.scalar(select(Account.id).where(Account.login == typed)) is not None:
        raise ConfigurationError(f"there is a user {typed} already; see: wetread user list")
    checked = _checked(who)
    account = Account(login=typed, roles="", created_at=now, changed_at=now, name="")
    _write(account, checked, now)
    tx.add(account)
    tx.flush()
    audit.append(tx, "user-added", at=now, actor=actor, user=account.login, roles=account.roles)
    return account


def edit(tx: Session, account: Account, who: Particulars, *, now: datetime, actor: str) -> None:
    """Write down what is known now. Sessions go on, with the new roles. Raises ConfigurationError, WrongState."""
    checked, before = _checked(who), account.roles
    if Role.ADMINISTRATOR not in checked.roles:
        _must_not_be_the_last(tx, account)
    _write(account, checked, now)
    audit.append(tx, "user-edited", at=now, actor=actor, user=account.login)
    if account.roles != before:
        audit.append(tx, "roles-changed", at=now, actor=actor, user=account.login, before=before, after=account.roles)


def disable(tx: Session, account: Account, *, now: datetime, actor: str) -> None:
    """Let a person in no more; every session ends. Raises WrongState for the last administrator."""
    _must_not_be_the_last(tx, account)
    account.disabled, account.changed_at = True, now
    sessions.end_all(tx, account.id)
    audit.append(tx, "user-disabled", at=now, actor=actor, user=account.login)


def enable(tx: Session, account: Account, *, now: datetime, actor: str) -> None:
    """Let a person in again, with the password of before."""
    account.disabled, account.changed_at = False, now
    audit.append(tx, "user-enabled", at=now, actor=actor, user=account.login)


def sign_out(tx: Session, account: Account, *, now: datetime, actor: str, but: int | None = None) -> int:
    """End every session of a person, or all but one; returns how many."""
    ended = sessions.end_all(tx, account.id, but=but)
    if ended:
        audit.append(tx, "sessions-ended", at=now, actor=actor, user=account.login, count=ended)
    return ended


def find(tx: Session, login: str) -> Account:
    """By login. Raises NotFound."""
    account = known(tx, login)
    if account is None:
        raise NotFound("there is no such user; see who there is with: wetread user list")
    return account


def known(tx: Session, login: str) -> Account | None:
    """By login, however it is typed."""
    typed = as_login(login)
    return tx.scalar(select(Account).where(Account.login == typed)) if _LOGIN.fullmatch(typed) else None


def by_subject(tx: Session, issuer: str, subject: str) -> Account | None:
    """Whom an OpenID provider means."""
    return tx.scalar(select(Account).where(Account.issuer == issuer, Account.subject == subject))


def told(tx: Session, account: Account, who: Particulars, *, now: datetime) -> None:
    """Write down what a provider says now; what it does not say stays. Raises ConfigurationError.

    It may also take the last administrator's role: whom it lets in is its own business.
    """
    before = account.roles
    organization, identifier, scheme = who.organization or account.organization, who.identifier, who.scheme
    if not identifier:
        identifier, scheme = account.identifier, account.scheme
    found = _checked(Particulars(who.name, who.roles, organization, identifier, scheme))
    if found == particulars(account):
        return
    _write(account, found, now)
    if account.roles != before:
        audit.append(
            tx, "roles-changed", at=now, actor="provider", user=account.login, before=before, after=account.roles
        )


def everyone(tx: Session) -> list[Account]:
    """By login."""
    return list(tx.scalars(select(Account).order_by(Account.login)))


def are_there_any(tx: Session) -> bool:
    """Is there an account, whatever it may do?"""
    return tx.scalar(select(Account.id).limit(1)) is not None


def administrators(tx: Session) -> int:
    """How many may let others in, and can come in themselves."""
    able = Account.disabled.is_(False) & ((Account.password != "") | Account.subject.is_not(None))
    rows = tx.scalars(select(Account.roles).where(able))
    return sum(Role.ADMINISTRATOR in as_roles(row) for row in rows)


def holders(tx: Session, right: Right) -> list[Account]:
    """Who may do this, and is not disabled; by name."""
    able = tx.scalars(select(Account).where(Account.disabled.is_(False)).order_by(func.lower(Account.name)))
    return [account for account in able if right in rights_of(as_roles(account.roles))]


def particulars(account: Account) -> Particulars:
    """What is known of a person now."""
    return Particulars(account.name, as_roles(account.roles), account.organization, account.identifier, account.scheme)


def as_login(typed: str) -> str:
    """One way to write a login: people do not see capitals in their own name."""
    return unicodedata.normalize("NFKC", typed).strip().casefold()


def as_roles(kept: str) -> frozenset[Role]:
    """As they are kept: words with commas."""
    return frozenset(Role(word) for word in kept.split(",") if word)


def in_words(values: Iterable[str]) -> str:
    """As they are kept."""
    return ",".join(sorted(values))


def _write(account: Account, who: Particulars, now: datetime) -> None:
    account.name, account.roles, account.changed_at = who.name, in_words(who.roles), now
    account.organization, account.identifier, account.scheme = who.organization, who.identifier, who.scheme


def _checked(who: Particulars) -> Particulars:
    """Without spaces around. Raises ConfigurationError where it could not stand in a document."""
    found = Particulars(
        who.name.strip(), who.roles, who.organization.strip(), who.identifier.strip(), who.scheme.strip()
    )
    groups = found.name.split("=")
    if not found.name or len(groups) > 3 or any(len(one) > _NAME_LENGTH or one.count("^") > 4 for one in groups):
        raise ConfigurationError(
            "a name is a DICOM Person Name such as Kim^Minjun: at most 64 characters, no empty one"
        )
    written = (found.name, found.organization, found.identifier, found.scheme)
    if any(sign == "\\" or not sign.isprintable() for text in written for sign in text):
        raise ConfigurationError("a name, organization or staff number holds no backslash and no control character")
    if len(found.organization) > 64 or len(found.identifier) > 64 or len(found.scheme) > 16:
        raise ConfigurationError("organization and staff number have at most 64 characters, their scheme 16")
    if bool(found.identifier) != bool(found.scheme):
        raise ConfigurationError("a staff number needs the scheme that it belongs to, such as 99HOSPITAL, and back")
    if Role.SERVICE in found.roles:
        raise ConfigurationError("service is the role of programs; give one a token: wetread token add")
    if found.roles & {Role.RADIOLOGIST, Role.TRAINEE} and not found.organization:
        raise ConfigurationError("who signs needs an organization: it stands beside the signature")
    return found


def _must_not_be_the_last(tx: Session, account: Account) -> None:
    if Role.ADMINISTRATOR in as_roles(account.roles) and not account.disabled and administrators(tx) < 2:
        raise WrongState("this is the last administrator: make another one first, or nobody could let people in")
