"""Signing in, proving it again, signing out: what pages and the API ask. Hashes are made outside of transactions."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.database import Database, clock
from reports.people import accounts, delays, sessions, tokens
from reports.people.errors import PasswordNeeded, ProofRefused, SignInRefused
from reports.people.passwords import Hasher
from reports.people.rights import Right, Role, Visitor, rights_of
from reports.people.sessions import Limits
from reports.people.tables import Account, ApiToken, Attendance

MOST_PINS: Final = 5  # wrong ones, until the password is asked
_SKEW: Final = timedelta(minutes=1)  # between our clock and a provider's
_LONG_AGO: Final = timedelta(days=1)  # longer than any proof holds
new_token: Final = partial(secrets.token_urlsafe, 32)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What the browser keeps as a cookie, and whose it is."""

    token: str
    user: Visitor


@dataclass(frozen=True, slots=True)
class Identity:
    """What an OpenID provider says of a person; issuer and subject are who it is, the rest is told about them."""

    issuer: str
    subject: str
    login: str
    who: accounts.Particulars
    proven_at: datetime | None = None  # when it asked for the password (auth_time); None where it does not say


@dataclass(frozen=True, slots=True)
class Colleague:
    """A person to whom something can be handed over."""

    user_id: int
    login: str
    name: str
    roles: frozenset[Role]


class People:
    """One for the web process; safe to use from several threads. Its methods open their own transactions."""

    def __init__(
        self,
        database: Database,
        hasher: Hasher,
        limits: Limits = Limits(),  # noqa: B008  frozen
        *,
        now: Callable[[Session], datetime] = clock,
        token: Callable[[], str] = new_token,
    ) -> None:
        self.database = database
        self.hasher = hasher
        self.limits = limits
        self.now = now
        self._token = token
        self._anybody = False

    def anybody(self) -> bool:
        """Are there users? As accounts are never deleted, once is for ever."""
        if not self._anybody:
            with self.database.read() as tx:
                self._anybody = accounts.are_there_any(tx)
        return self._anybody

    def by_session(self, token: str, *, attended: bool = True) -> Visitor | None:
        """Who has this cookie. attended: a person does something now, which keeps the session awake."""
        with self.database.read() as tx:
            now = self.now(tx)
            found = sessions.find(tx, token, self.limits, now=now)
            if found is None:
                return None
            attendance, account = found
            late = attended and sessions.should_note(attendance, now)
        if late:
            with self.database.write() as tx:
                row = tx.get(Attendance, attendance.id, with_for_update=True)
                if row is not None and sessions.is_alive(row, self.limits, now):
                    row.seen_at = max(row.seen_at, now)
        return visitor(account, attendance)

    def by_token(self, token: str) -> Visitor | None:
        """Which program has this token."""
        with self.database.read() as tx:
            now = self.now(tx)
            found = tokens.find(tx, token, now=now)
        if found is None:
            return None
        if tokens.should_note(found, now):
            with self.database.write() as tx:
                row = tx.get(ApiToken, found.id)
                if row is not None:
                    row.used_at = now
        return tokens.visitor(found)

    def sign_in(self, login: str, password: str, *, address: str) -> SignedIn:
        """Open a session. Raises SignInRefused, and TooSoon where tries failed before."""
        account, kept, this = self._try(login, address)
        if not self.hasher.fits(kept, password) or account is None:
            self._refused(account, address)
            raise SignInRefused
        fresh = self.hasher.hash(password) if self.hasher.is_outdated(kept) else kept
        with self.database.write() as tx:
            row = tx.get_one(Account, account.id, with_for_update=True)
            if row.disabled or row.password != kept:
                raise SignInRefused
            row.password = fresh
            delays.succeeded(tx, this)
            return self.open(tx, row, address)

    def sign_in_elsewhere(self, identity: Identity, *, address: str) -> SignedIn:
        """Open a session for whom an OpenID provider has vouched; roles and name are what it says now.

        It may have known the browser, and asked nothing: that lets in, and proves nothing for a signature.

        Raises SignInRefused, ConfigurationError where what it says of the person cannot stand in a document.
        """
        with self.database.write() as tx:
            account = self._vouched(tx, identity)
            if account.disabled:
                raise SignInRefused("Your account here is switched off. Ask an administrator.")
            now = self.now(tx)
            proven_at = identity.proven_at
            if proven_at is None or proven_at - now > _SKEW:
                proven_at = now - _LONG_AGO
            return self.open(tx, account, address, proven_at=min(proven_at, now), provider=True)

    def open(
        self,
        tx: Session,
        account: Account,
        address: str,
        *,
        proven_at: datetime | None = None,
        provider: bool = False,
    ) -> SignedIn:
        """Open a session in a transaction at hand. proven_at: by default the person has just proven who it is."""
        now, token = self.now(tx), self._token()
        attendance = sessions.begin(tx, account, token, self.limits, now=now, proven_at=proven_at, provider=provider)
        way = "provider" if provider else "password"
        audit.append(tx, "user-signed-in", at=now, actor=f"person:{account.login}", address=address, way=way)
        return SignedIn(token, visitor(account, attendance))

    def refused_elsewhere(self, address: str) -> None:
        """Write down who came back from a provider and was not let in; from one address not without end."""
        with self.database.write() as tx:
            now = self.now(tx)
            delays.forget(tx, now)
            if delays.refused_elsewhere(tx, address, now):
                audit.append(tx, "sign-in-refused", at=now, actor="nobody", address=address, way="provider")

    def prove_password(self, who: Visitor, password: str, *, address: str) -> None:
        """The same person is still here. Raises ProofRefused, TooSoon."""
        account, kept, this = self._try(who.login, address)
        if account is None or not self.hasher.fits(kept, password):
            self._refused(account, address)
            raise ProofRefused("The password does not fit.")
        with self.database.write() as tx:
            delays.succeeded(tx, this)
            self._prove(tx, who)

    def proven_elsewhere(self, who: Visitor) -> None:
        """An OpenID provider has just asked this person again. Raises ProofRefused where the session is over."""
        with self.database.write() as tx:
            self._prove(tx, who)

    def prove_pin(self, who: Visitor, pin: str) -> None:
        """Raises ProofRefused where it is wrong; PasswordNeeded after too many, without one, or in an idle session."""
        with self.database.write() as tx:
            attendance = self._attendance(tx, who)
            kept = tx.get_one(Account, attendance.account_id).pin
            if not kept:
                raise PasswordNeeded("You have no PIN yet: use your password, or set a PIN on the page Account.")
            if attendance.wrong_pins >= MOST_PINS:
                raise PasswordNeeded("The PIN was wrong too often: use your password.")
            attendance.wrong_pins += 1  # before the look, so that many at once gain nothing
            left = MOST_PINS - attendance.wrong_pins
        if not self.hasher.fits(kept, pin):
            with self.database.write() as tx:
                audit.append(tx, "pin-refused", at=self.now(tx), actor=who.actor)
            raise ProofRefused(f"The PIN does not fit. Tries left: {left}.")
        with self.database.write() as tx:
            self._attendance(tx, who).wrong_pins = 0

    def proven_recently(self, who: Visitor, within: timedelta) -> bool:
        """Was the password asked, or the person sent to the provider, not longer ago than this?"""
        with self.database.read() as tx:
            attendance = tx.get(Attendance, int(who.session or 0))
            return attendance is not None and self.now(tx) - attendance.proven_at <= within

    def has_pin(self, who: Visitor) -> bool:
        """Has this person set a PIN?"""
        with self.database.read() as tx:
            account = tx.get(Account, who.user_id)
            return account is not None and account.pin != ""

    def sign_out(self, token: str) -> bool:
        """End the session of this cookie, where it is one. Did it begin at an OpenID provider?"""
        with self.database.write() as tx:
            found = sessions.find(tx, token, self.limits, now=self.now(tx))
            if found is not None:
                sessions.end(tx, found[0])
                audit.append(tx, "user-signed-out", at=self.now(tx), actor=f"person:{found[1].login}")
            return found is not None and found[0].provider

    def sign_out_everywhere(self, user_id: int, *, actor: str, but: int | None = None) -> int:
        """End every session of a person, or all but one; returns how many."""
        with self.database.write() as tx:
            account = tx.get_one(Account, user_id)
            return accounts.sign_out(tx, account, now=self.now(tx), actor=actor, but=but)

    def colleagues(self, right: Right) -> list[Colleague]:
        """Who may do this."""
        with self.database.read() as tx:
            found = accounts.holders(tx, right)
        return [Colleague(one.id, one.login, one.name, accounts.as_roles(one.roles)) for one in found]

    def _try(self, login: str, address: str) -> tuple[Account | None, str, delays.Try]:
        """Count the try; who it may be, and the hash to hold the password against, empty for nobody. Raises TooSoon."""
        typed = accounts.as_login(login)
        with self.database.write() as tx:
            now = self.now(tx)
            this = delays.begin(tx, typed, address, now)
            delays.forget(tx, now)
            account = accounts.known(tx, typed)
        able = account if account is not None and not account.disabled else None
        return able, able.password if able is not None else "", this

    def _refused(self, account: Account | None, address: str) -> None:
        """What was typed as a name stays out of the books: it may be a password."""
        actor = f"person:{account.login}" if account is not None else "nobody"
        with self.database.write() as tx:
            audit.append(tx, "sign-in-refused", at=self.now(tx), actor=actor, address=address)

    def _attendance(self, tx: Session, who: Visitor) -> Attendance:
        """The session of a visitor, locked. Raises PasswordNeeded where it is over."""
        attendance = tx.get(Attendance, int(who.session or 0), with_for_update=True)
        if attendance is None or not sessions.is_alive(attendance, self.limits, self.now(tx)):
            raise PasswordNeeded("Your session is over. Sign in again.")
        return attendance

    def _prove(self, tx: Session, who: Visitor) -> None:
        attendance = self._attendance(tx, who)
        attendance.proven_at, attendance.wrong_pins = self.now(tx), 0

    def _vouched(self, tx: Session, identity: Identity) -> Account:
        """The account of a person whom a provider knows; a new one where there is none. Raises SignInRefused."""
        now, known = self.now(tx), accounts.by_subject(tx, identity.issuer, identity.subject)
        if known is not None:
            accounts.told(tx, known, identity.who, now=now)
            return known
        if accounts.known(tx, identity.login) is not None:
            raise SignInRefused(
                "A local account has the same login; an administrator must rename or disable one of the two."
            )
        made = accounts.add(tx, identity.login, identity.who, now=now, actor="provider")
        made.issuer, made.subject = identity.issuer, identity.subject
        return made


def visitor(account: Account, attendance: Attendance) -> Visitor:
    """Who asks, as the pages know people."""
    roles = accounts.as_roles(account.roles)
    return Visitor(
        account.id,
        account.login,
        rights_of(roles),
        roles,
        account.name,
        account.organization,
        account.identifier,
        account.scheme,
        str(attendance.id),
        attendance.provider,
    )
