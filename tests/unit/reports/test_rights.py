"""Every address and everybody: who has the right is let in, who has not is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from agent.config import Config
from agent.pages import make_pages
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from reports.people import tokens
from reports.people.config import OidcConfig
from reports.people.rights import HELD_BY, NOBODY, Right, Role, Visitor, rights_of
from reports.web.doors import Door
from tests.harness.people import add_user, browser, signed_in

ROOT = Path(__file__).parents[3]
PEOPLE = (Role.RADIOLOGIST, Role.TRAINEE, Role.ADMINISTRATOR, Role.AUDITOR)
SAFE = frozenset({"GET", "HEAD"})

# Which rights may stand at an address, by its first part. Written down here a second time,
# so that an address whose right is changed by mistake is seen.
BELONGS = {
    "/": {Right.SEE},
    "/account": {Right.ACCOUNT},
    "/api": {Right.STATUS, Right.SEE, Right.QUALITY, Right.AUDIT, Right.QUEUES, Right.ADMINISTER, Right.OPEN},
    "/audit": {Right.AUDIT},
    "/badge": {Right.STATUS},
    "/check": {Right.ADMINISTER},
    "/conformance": {Right.ADMINISTER},
    "/dead-letters": {Right.ADMINISTER},
    "/events": {Right.SEE},
    "/film": {Right.SEE},
    "/go": {Right.SEE},
    "/healthz": {Right.OPEN},
    "/metrics": {Right.OPEN},
    "/models": {Right.ADMINISTER},
    "/oidc": {Right.OPEN, Right.ACCOUNT},
    "/peers": {Right.SEE, Right.ADMINISTER},
    "/quality": {Right.QUALITY},
    "/quarantine": {Right.ADMINISTER},
    "/queues": {Right.ADMINISTER},
    "/readyz": {Right.OPEN},
    "/report": {Right.SEE},
    "/rules": {Right.ADMINISTER},
    "/sheet": {Right.ADMINISTER},
    "/sign-in": {Right.OPEN},
    "/sign-out": {Right.OPEN},
    "/static": {Right.OPEN},
    "/study": {Right.SEE, Right.EDIT, Right.SIGN, Right.HANDLE, Right.OVERRULE, Right.ASK, Right.ADMINISTER},
    "/users": {Right.PEOPLE},
    "/welcome": {Right.OPEN},
    "/worklist": {Right.SEE},
}
PARTS = {Right.SEE: {Right.STATUS}, Right.ADMINISTER: {Right.QUEUES}}  # who has the one has the others
CHANGED_BY_SEERS = frozenset(
    {"/worklist/views", "/worklist/views/default", "/worklist/views/remove"}
)  # one's own views
LOOKING = {Right.STATUS, Right.SEE, Right.QUALITY, Right.AUDIT, Right.QUEUES}
CHANGED_BY_AUDITORS = frozenset({"/audit/export"})  # it writes an audit row


@dataclass(frozen=True)
class Address:
    path: str
    methods: frozenset[str]
    door: Door

    @property
    def sample(self) -> str:
        """The path with something in its places."""
        return re.sub(r"\{\w+(?::(\w+))?\}", lambda found: "1" if found[1] in {"int", "float"} else "x", self.path)


def addresses(routes: Sequence[BaseRoute], before: str = "") -> Iterator[Address]:
    """All addresses of an app. Fails where one has no door."""
    for route in routes:
        if isinstance(route, Mount):
            yield from addresses(route.routes, before + route.path)
            continue
        assert isinstance(route, Route), f"{route} is an address of an unknown kind"
        assert isinstance(route.endpoint, Door), f"{before}{route.path} has no door: use site.route"
        yield Address(before + route.path, frozenset(route.methods or ()), route.endpoint)


async def let_in(scope: Scope, receive: Receive, send: Send) -> None:
    """What stands behind each door here: nothing is done."""
    await Response(status_code=204)(scope, receive, send)


@pytest.fixture
def house(sqlite_url: str, tmp_path: Path, open_database: Callable[[str], Database]) -> tuple[Starlette, Database]:
    """The whole app as it is served, with empty rooms behind its doors."""
    database = open_database(sqlite_url)
    oidc = OidcConfig.model_validate(
        {
            "issuer": "https://login.example",
            "client_id": "wetread",
            "roles": {"rads": "radiologist"},
            "organization": "Hospital",
        }
    )
    app = make_pages(Config(node=NodeConfig(data_folder=tmp_path, reserve_mebibytes=1), oidc=oidc), database)
    for address in addresses(app.routes):
        address.door._app = let_in
    return app, database


def reach(rights: Iterable[Right]) -> set[Right]:
    """Rights with their parts, and what is open to all."""
    held = set(rights)
    return held.union({Right.OPEN}, *(PARTS.get(right, set()) for right in held))


def asked(client: TestClient, address: Address) -> dict[str, int]:
    """Status for each method."""
    return {method: client.request(method, address.sample).status_code for method in sorted(address.methods)}


def test_there_are_addresses_and_each_is_where_it_belongs(house: tuple[Starlette, Database]) -> None:
    found = list(addresses(house[0].routes))

    assert len(found) > 40
    for address in found:
        parts = address.path.split("/")
        beginning = "/" + re.split(r"[.{]", parts[1])[0]
        assert beginning in BELONGS, f"{address.path}: write into BELONGS which right it may need"
        assert address.door.right in BELONGS[beginning], address.path
    assert BELONGS.keys() == {"/" + re.split(r"[.{]", address.path.split("/")[1])[0] for address in found}


def test_who_only_looks_changes_nothing(house: tuple[Starlette, Database]) -> None:
    exceptions = {Right.SEE: CHANGED_BY_SEERS, Right.AUDIT: CHANGED_BY_AUDITORS}
    for address in addresses(house[0].routes):
        if address.methods - SAFE and address.door.right in LOOKING:
            assert address.path in exceptions.get(address.door.right, ()), f"{address.path} changes something"


@pytest.mark.parametrize("role", PEOPLE)
def test_each_role_comes_in_where_it_has_the_right(house: tuple[Starlette, Database], role: Role) -> None:
    app, database = house
    add_user(database, "kim", role)
    client = signed_in(app, database, "kim")
    held = reach(HELD_BY[role])

    wrong = {
        (address.path, method, status)
        for address in addresses(app.routes)
        for method, status in asked(client, address).items()
        if status != (204 if address.door.right in held else 403)
    }

    assert wrong == set()


def test_somebody_with_two_roles_has_the_rights_of_both(house: tuple[Starlette, Database]) -> None:
    app, database = house
    add_user(database, "kim", Role.RADIOLOGIST, Role.AUDITOR)
    client = signed_in(app, database, "kim")

    assert client.get("/audit").status_code == 204
    assert client.get("/").status_code == 204
    assert client.get("/users").status_code == 403


def test_nobody_comes_in_anywhere_once_there_are_users(house: tuple[Starlette, Database]) -> None:
    app, database = house
    add_user(database, "kim", Role.ADMINISTRATOR)
    client = browser(app)

    for address in addresses(app.routes):
        for method, status in asked(client, address).items():
            refused = 303 if method == "GET" else 401
            assert status == (204 if address.door.right is Right.OPEN else refused), (address.path, method)


def test_an_account_without_roles_comes_in_nowhere(house: tuple[Starlette, Database]) -> None:
    app, database = house
    add_user(database, "kim")
    client = signed_in(app, database, "kim")

    for address in addresses(app.routes):
        expected = {204} if address.door.right is Right.OPEN else {403}
        assert set(asked(client, address).values()) == expected, address.path


def test_in_an_open_house_everybody_sees_and_nobody_changes(house: tuple[Starlette, Database]) -> None:
    app, _ = house
    client = browser(app)

    for address in addresses(app.routes):
        expected = 204 if address.door.right in reach(NOBODY.rights) else 403
        assert set(asked(client, address).values()) == {expected}, address.path


@pytest.mark.parametrize("scope", tokens.SCOPES)
@pytest.mark.parametrize("users", [True, False])
def test_a_program_comes_in_where_its_scope_reaches(
    house: tuple[Starlette, Database], scope: Right, users: bool
) -> None:
    app, database = house
    if users:
        add_user(database, "kim", Role.ADMINISTRATOR)
    with database.write() as tx:
        tokens.add(tx, "ris", "t" * 43, [scope], expires_at=None, now=clock(tx), actor="person:test")
    headers = {"Authorization": f"Bearer {'t' * 43}", "Accept": "application/json"}
    client = TestClient(app, base_url="http://localhost:8080", headers=headers, follow_redirects=False)

    for address in addresses(app.routes):
        reaches = address.door.right in reach({scope})
        assert set(asked(client, address).values()) == {204 if reaches else 403}, address.path


def test_no_program_lets_anybody_in(house: tuple[Starlette, Database]) -> None:
    """Whoever makes a link for a radiologist can sign as one."""
    app, database = house
    with database.write() as tx:
        tokens.add(tx, "ris", "t" * 43, tokens.SCOPES, expires_at=None, now=clock(tx), actor="person:test")
    headers = {"Authorization": f"Bearer {'t' * 43}", "Accept": "application/json"}
    client = TestClient(app, base_url="http://localhost:8080", headers=headers, follow_redirects=False)

    users = [address for address in addresses(app.routes) if address.path.startswith("/users")]

    assert {status for address in users for status in asked(client, address).values()} == {403}
    assert not set(tokens.SCOPES) & {Right.EDIT, Right.SIGN, Right.PEOPLE}


@pytest.mark.parametrize("shown", ["Bearer wrong", "Bearer ", "Bearer", "Basic a2ltOnB3", "Digest x"])
def test_a_wrong_token_opens_nothing_even_beside_a_good_cookie(house: tuple[Starlette, Database], shown: str) -> None:
    app, database = house
    add_user(database, "kim", Role.ADMINISTRATOR)
    client = signed_in(app, database, "kim")

    headers = {"Authorization": shown, "Accept": "application/json"}

    assert client.get("/", headers=headers).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {},
    ],
)
def test_no_other_site_changes_anything_with_our_cookie(
    house: tuple[Starlette, Database], headers: dict[str, str]
) -> None:
    app, database = house
    add_user(database, "kim", *PEOPLE)
    client = signed_in(app, database, "kim")
    del client.headers["Sec-Fetch-Site"]

    for address in addresses(app.routes):
        for method in sorted(address.methods - SAFE):
            assert client.request(method, address.sample, headers=headers).status_code == 403, address.path


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost:8080"}])
def test_our_own_pages_change_things(house: tuple[Starlette, Database], headers: dict[str, str]) -> None:
    app, database = house
    add_user(database, "kim", *PEOPLE)
    client = signed_in(app, database, "kim")
    del client.headers["Sec-Fetch-Site"]

    assert client.post("/users", headers=headers).status_code == 204


def test_an_address_without_a_door_would_be_found() -> None:
    def page(request: Request) -> Response:
        return Response()

    with pytest.raises(AssertionError, match="/open has no door"):
        list(addresses([Mount("/in", routes=[Route("/open", page)])]))


def test_the_manual_says_who_may_do_what() -> None:
    text = (ROOT / "deploy" / "docs" / "people.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| [a-z]+: ", line)]
    said = {
        (cells[0].partition(":")[0], role)
        for cells in rows
        for role, cell in zip(PEOPLE, cells[1:], strict=True)
        if cell == "yes"
    }

    may = {role: Visitor(1, "x", rights_of([role])).may for role in PEOPLE}
    assert said == {(right.value, role) for role in PEOPLE for right in set(Right) - {Right.OPEN} if may[role](right)}
    assert "| right | radiologist | trainee | administrator | auditor |" in text
