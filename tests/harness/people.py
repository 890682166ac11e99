"""People for tests: accounts without the cost of a real hash, and clients that are signed in."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from starlette.testclient import TestClient
from starlette.types import ASGIApp

from dicom_node.database import Database, clock
from reports.people import accounts, sessions
from reports.people.accounts import Particulars
from reports.people.passwords import Hasher, Profile
from reports.people.rights import Role
from reports.people.sessions import Limits

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

CHEAP: Final = Profile(rounds=1, memory_kibibytes=64, lanes=1)
PASSWORD: Final = "violet tractor under glass"
BROWSER: Final = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html,*/*;q=0.8"}


def add_user(
    database: Database,
    login: str,
    *roles: Role,
    name: str = "",
    password: str = PASSWORD,
    pin: str = "2580",
    organization: str = "Example Hospital",
) -> int:
    """An account that can sign in; returns its number."""
    hasher = Hasher(CHEAP)
    who = Particulars(name or f"{login.capitalize()}^Test", frozenset(roles), organization)
    with database.write() as tx:
        account = accounts.add(tx, login, who, now=clock(tx), actor="person:test")
        account.password, account.pin = hasher.hash(password), hasher.hash(pin) if pin else ""
        return account.id


def cookie_for(database: Database, login: str, *, secure: bool = False) -> tuple[str, str]:
    """Name and value of the cookie of a new session."""
    token = secrets.token_urlsafe(32)
    with database.write() as tx:
        sessions.begin(tx, accounts.find(tx, login), token, Limits(), now=clock(tx))
    return "__Host-wetread" if secure else "wetread", token


def seat(context: BrowserContext, database: Database, login: str, base: str) -> None:
    """This person has signed in at `base`, in this browser. A session that the browser had there is replaced."""
    name, value = cookie_for(database, login)
    context.add_cookies([{"name": name, "value": value, "url": base, "httpOnly": True, "sameSite": "Strict"}])


def browser(app: ASGIApp, *, base_url: str = "http://localhost:8080") -> TestClient:
    """A client whose requests look like those of our own pages; follows no redirect."""
    return TestClient(app, base_url=base_url, headers=BROWSER, follow_redirects=False)


def signed_in(app: ASGIApp, database: Database, login: str) -> TestClient:
    """A browser in which this person has signed in."""
    client = browser(app)
    client.cookies.set(*cookie_for(database, login))
    return client
