"""How a person gets a password and a PIN, and changes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from dicom_node import audit
from reports.people import accounts, links, sessions
from reports.people.accounts import Particulars
from reports.people.errors import LinkRefused, ProofRefused
from reports.people.passwords import check_password, check_pin
from reports.people.rights import Role, Visitor
from reports.people.service import People, SignedIn
from reports.people.tables import Account, Purpose

FRESH: Final = timedelta(minutes=5)  # since a provider has asked who it is


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a one-time link says to the person who opens it."""

    purpose: Purpose
    login: str = ""
    name: str = ""
    has_pin: bool = False


@dataclass(frozen=True, slots=True)
class Enrollment:
    """What a person typed there. pin: may be empty. login, name, organization: only the first administrator's."""

    password: str
    pin: str = ""
    login: str = ""
    name: str = ""
    organization: str = ""


def invitation(people: People, token: str) -> Invitation:
    """Look at a link without using it. Raises LinkRefused."""
    with people.database.read() as tx:
        link = links.find(tx, token, now=people.now(tx))
        account = tx.get(Account, link.account_id) if link.account_id else None
        if account is None:
            return Invitation(link.purpose)
        if account.disabled:
            raise LinkRefused
        return Invitation(link.purpose, account.login, account.name, bool(account.pin))


def enroll(people: People, token: str, typed: Enrollment, *, address: str) -> SignedIn:
    """Use a link: set password and PIN, sign in. Raises LinkRefused, WeakPassword, ConfigurationError."""
    known = invitation(people, token)
    check_password(typed.password, login=known.login or accounts.as_login(typed.login), name=known.name or typed.name)
    if typed.pin:
        check_pin(typed.pin)
    password, pin = people.hasher.hash(typed.password), people.hasher.hash(typed.pin) if typed.pin else ""
    with people.database.write() as tx:
        now = people.now(tx)
        link = links.use(tx, token, now=now)
        way = f"link-{link.purpose.value}"
        if link.account_id is None:
            who = Particulars(typed.name, frozenset({Role.ADMINISTRATOR}), typed.organization)
            account = accounts.add(tx, typed.login, who, now=now, actor="person:first")
        else:
            account = tx.get_one(Account, link.account_id, with_for_update=True)
        account.password, account.pin, account.changed_at = password, pin or account.pin, now
        sessions.end_all(tx, account.id)
        links.void(tx, account)
        audit.append(tx, "password-set", at=now, actor=f"person:{account.login}", by=way)
        return people.open(tx, account, address)


def change_password(people: People, who: Visitor, old: str, new: str, *, address: str) -> None:
    """Every other session ends, and no link holds any more. Raises ProofRefused, TooSoon, WeakPassword."""
    check_password(new, login=who.login, name=who.name)
    people.prove_password(who, old, address=address)
    kept = people.hasher.hash(new)
    with people.database.write() as tx:
        now, account = people.now(tx), tx.get_one(Account, who.user_id, with_for_update=True)
        account.password, account.changed_at = kept, now
        sessions.end_all(tx, account.id, but=int(who.session))
        links.void(tx, account)
        audit.append(tx, "password-set", at=now, actor=who.actor, by="password")


def change_pin(people: People, who: Visitor, password: str, pin: str, *, address: str) -> None:
    """Who has no password here has signed in at the provider just now. Raises ProofRefused, TooSoon, WeakPassword."""
    check_pin(pin)
    if has_password(people, who):
        people.prove_password(who, password, address=address)
    elif not people.proven_recently(who, FRESH):
        raise ProofRefused("Sign in once more where you signed in, then set the PIN within five minutes.")
    kept = people.hasher.hash(pin)
    with people.database.write() as tx:
        now, account = people.now(tx), tx.get_one(Account, who.user_id, with_for_update=True)
        account.pin, account.changed_at = kept, now
        audit.append(tx, "pin-set", at=now, actor=who.actor)


def has_password(people: People, who: Visitor) -> bool:
    """Has this person a password here, and not only at a provider?"""
    with people.database.read() as tx:
        account = tx.get(Account, who.user_id)
        return account is not None and account.password != ""


def set_password(people: People, login: str, password: str, *, actor: str) -> None:
    """For scripts: an administrator gives a password. Sessions and links end. Raises NotFound, WeakPassword."""
    with people.database.read() as tx:
        account = accounts.find(tx, login)
    check_password(password, login=account.login, name=account.name)
    kept = people.hasher.hash(password)
    with people.database.write() as tx:
        now, row = people.now(tx), tx.get_one(Account, account.id, with_for_update=True)
        row.password, row.changed_at = kept, now
        sessions.end_all(tx, row.id)
        links.void(tx, row)
        audit.append(tx, "password-set", at=now, actor=actor, by="administrator", user=row.login)
