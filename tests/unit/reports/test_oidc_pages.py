"""The way to a provider and back, as anybody can ask for it: the button, and what a refusal leaves behind."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from dicom_node.database import Database
from dicom_node.tables import AuditRow
from reports.people.config import OidcConfig
from reports.people.passwords import Hasher
from reports.people.provider import Provider
from reports.people.rights import Role
from reports.people.service import People
from reports.web.app import make_app
from reports.web.entrance import Entrance
from reports.web.site import Equipment, Premises
from tests.harness.liar import Liar
from tests.harness.people import CHEAP, add_user, browser

NOW = 1_790_000_000.0
SETTINGS = {"client_id": "wetread", "roles": {"rads": "radiologist"}, "organization": "Hospital"}


class Gate:
    """The pages with a provider beside them."""

    def __init__(self, database: Database, folder: Path, liar: Liar) -> None:
        self.database = database
        self.liar = liar
        people = People(database, Hasher(CHEAP))
        provider = Provider(OidcConfig.model_validate(SETTINGS | {"issuer": liar.issuer}), now=lambda: NOW)
        self.app = make_app(
            Premises(ae_title="WETREAD", port=11112, store_folder=folder, version="0"),
            database,
            not_ready=list,
            metrics=bytes,
            equipment=Equipment(porter=Entrance(people, secure=False), people=people, oidc=provider),
        )
        self.browser = browser(self.app)

    def come_back(self, client: TestClient, **answer: str) -> int:
        """Away and back at once; the status of what stands at the end."""
        assert client.get("/oidc/begin?next=/account").status_code == 303
        kept = json.loads(base64.urlsafe_b64decode(client.cookies["wetread-oidc"].strip('"')))
        self.liar.nonce = kept["nonce"]
        return client.get("/oidc/finish", params={"state": kept["state"], **answer}).status_code

    def refusals(self) -> int:
        """Rows in the audit trail."""
        with self.database.read() as tx:
            return len(tx.scalars(select(AuditRow).where(AuditRow.event == "sign-in-refused")).all())


@pytest.fixture
def gate(sqlite_url: str, tmp_path: Path, open_database: Callable[[str], Database]) -> Iterator[Gate]:
    with Liar(NOW) as liar:
        yield Gate(open_database(sqlite_url), tmp_path, liar)


def test_first_user_of_a_new_installation_comes_in_by_the_provider(gate: Gate) -> None:
    page = gate.browser.get("/sign-in?next=%2Faccount").text

    assert 'href="/oidc/begin?next=%2Faccount"' in page
    assert 'type="password"' not in page  # nobody has one
    assert gate.come_back(gate.browser, code="code") == 303
    assert gate.browser.get("/account").status_code == 200


def test_both_ways_are_open_once_there_are_users(gate: Gate) -> None:
    add_user(gate.database, "kim", Role.RADIOLOGIST)

    page = gate.browser.get("/sign-in").text

    assert 'href="/oidc/begin?next=%2F"' in page
    assert 'type="password"' in page


def test_whoever_was_on_no_errand_leaves_nothing_in_the_audit_trail(gate: Gate) -> None:
    gate.browser.get("/oidc/begin")
    for query in ("", "?error=x", "?state=another&code=x", "?state="):
        assert gate.browser.get(f"/oidc/finish{query}").status_code == 403

    assert gate.refusals() == 0


def test_a_provider_that_is_away_leaves_nothing_in_the_audit_trail(gate: Gate) -> None:
    gate.liar.about = {"issuer": "https://evil.example"}

    assert gate.browser.get("/oidc/begin").status_code == 403
    assert gate.refusals() == 0


def test_refusals_of_one_address_are_written_down_until_they_are_too_many(gate: Gate) -> None:
    for _ in range(40):
        assert gate.come_back(gate.browser, error="access_denied") == 403

    assert 20 <= gate.refusals() <= 26  # twenty at once, then after 2, 4, 8 seconds and so on
    elsewhere = browser(gate.app)
    assert gate.come_back(elsewhere, code="code") == 303  # nobody is kept out by it
