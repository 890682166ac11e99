"""Signing in at a provider that others wrote: who is let in as whom, and who is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from agent.config import Config
from agent.pages import make_pages
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.tables import AuditRow
from reports.people.config import OidcConfig
from reports.people.rights import Role
from reports.people.tables import Account, Attendance
from tests.harness.oidc import CLIENT, SECRET, provider, sign_in_there
from tests.harness.people import add_user

PAGES = "http://127.0.0.1"
PEOPLE = {
    "kim-17": {
        "preferred_username": "M.Kim",
        "family_name": "Kim",
        "given_name": "Min^jun",
        "groups": ["staff", "rads"],
        "number": "4711",
    },
    "lee-18": {"preferred_username": "lee", "name": "Lee", "groups": ["staff"]},
    "park-19": {"preferred_username": "taken", "name": "Park", "groups": ["admins"]},
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with provider(PEOPLE, pages=PAGES) as address:
        yield address


class Hospital:
    """The pages, with people who sign in elsewhere."""

    def __init__(self, folder: Path, url: str, issuer: str) -> None:
        oidc = OidcConfig.model_validate(
            {
                "issuer": issuer,
                "client_id": CLIENT,
                "client_secret": SECRET,
                "roles": {"rads": "radiologist", "admins": "administrator"},
                "organization": "Hospital",
                "identifier_claim": "number",
                "scheme": "99HOSPITAL",
            }
        )
        config = Config(node=NodeConfig(data_folder=folder, reserve_mebibytes=1), oidc=oidc)
        self.database = Database(url)
        self.app = make_pages(config, self.database)

    def browser(self) -> TestClient:
        return TestClient(self.app, base_url=PAGES, follow_redirects=False)

    def accounts(self) -> list[Account]:
        with self.database.read() as tx:
            return list(tx.scalars(select(Account)))

    def sessions(self) -> list[Attendance]:
        with self.database.read() as tx:
            return list(tx.scalars(select(Attendance)))

    def events(self) -> list[tuple[str, str, str]]:
        with self.database.read() as tx:
            return [(row.event, row.actor, row.detail) for row in tx.scalars(select(AuditRow))]


@pytest.fixture
def hospital(tmp_path: Path, sqlite_url: str, issuer: str) -> Iterator[Hospital]:
    made = Hospital(tmp_path, sqlite_url, issuer)
    yield made
    made.database.close()


@pytest.fixture
def elsewhere() -> Iterator[httpx.Client]:
    """What the same browser is to the provider."""
    with httpx.Client(timeout=60) as client:
        yield client


def sign_in(
    ours: TestClient, elsewhere: httpx.Client, login: str, *, begin: str = "/oidc/begin?next=/account"
) -> httpx.Response:
    """As a browser does: away, back, and on to the page that sees our cookies."""
    away = ours.get(begin)
    assert away.status_code == 303, away.text
    back = sign_in_there(elsewhere, away.headers["Location"], login)
    sent_on = ours.get(back.raw_path.decode())
    assert 'content="0; url=/oidc/finish?' in sent_on.text
    return ours.get(f"/oidc/finish?{back.query.decode()}")


def test_a_person_signs_in_there_and_is_known_here(hospital: Hospital, elsewhere: httpx.Client) -> None:
    ours = hospital.browser()

    arrived = sign_in(ours, elsewhere, "kim-17")

    assert (arrived.status_code, arrived.headers["Location"]) == (303, "/account")
    page = ours.get("/account")
    assert page.status_code == 200
    assert "m.kim" in page.text
    (account,) = hospital.accounts()
    assert (account.login, account.name, account.roles) == ("m.kim", "Kim^Min jun", "radiologist")
    assert (account.organization, account.identifier, account.scheme) == ("Hospital", "4711", "99HOSPITAL")
    assert (account.subject, account.password) == ("kim-17", "")
    assert [session.provider for session in hospital.sessions()] == [True]
    assert "Kim" not in "".join(detail for _, _, detail in hospital.events())


def test_signing_in_again_is_the_same_account_and_ends_the_session_before(
    hospital: Hospital, elsewhere: httpx.Client
) -> None:
    ours = hospital.browser()
    sign_in(ours, elsewhere, "kim-17")
    first = ours.cookies["wetread"]

    sign_in(ours, elsewhere, "kim-17")

    assert len(hospital.accounts()) == 1
    assert len(hospital.sessions()) == 1
    assert ours.cookies["wetread"] != first


def test_whoever_has_no_role_is_refused_in_words_and_no_account_is_made(
    hospital: Hospital, elsewhere: httpx.Client
) -> None:
    ours = hospital.browser()

    refused = sign_in(ours, elsewhere, "lee-18")

    assert refused.status_code == 403
    assert "has no role in these pages" in refused.text
    assert "wetread" not in ours.cookies
    assert hospital.accounts() == []
    assert [(event, actor) for event, actor, _ in hospital.events()] == [("sign-in-refused", "nobody")]


def test_a_local_account_is_never_taken_over(hospital: Hospital, elsewhere: httpx.Client) -> None:
    add_user(hospital.database, "taken", Role.AUDITOR)
    ours = hospital.browser()

    refused = sign_in(ours, elsewhere, "park-19")

    assert refused.status_code == 403
    assert "A local account has the same login" in refused.text
    assert [account.roles for account in hospital.accounts()] == ["auditor"]


def test_answers_of_another_browser_or_an_older_errand_are_refused(hospital: Hospital, elsewhere: httpx.Client) -> None:
    ours = hospital.browser()
    away = ours.get("/oidc/begin")
    back = sign_in_there(elsewhere, away.headers["Location"], "kim-17")
    finish = f"/oidc/finish?{back.query.decode()}"

    other = hospital.browser()
    without_errand = other.get(finish)
    other.get("/oidc/begin")
    with_another = other.get(finish)
    accepted = ours.get(finish)
    twice = ours.get(finish)

    assert without_errand.status_code == 403
    assert with_another.status_code == 403
    assert "wetread" not in other.cookies
    assert accepted.status_code == 303
    assert twice.status_code == 403


def test_the_way_to_the_provider_carries_what_protects_it(hospital: Hospital) -> None:
    ours = hospital.browser()

    first, second = (httpx.URL(ours.get("/oidc/begin").headers["Location"]).params for _ in range(2))

    assert (first["response_type"], first["code_challenge_method"]) == ("code", "S256")
    assert first["redirect_uri"] == f"{PAGES}/oidc/callback"
    for secret in ("state", "nonce", "code_challenge"):
        assert len(first[secret]) >= 43
        assert first[secret] != second[secret]
    assert "prompt" not in first


def test_a_person_proves_again_who_it_is_and_nobody_else_can(hospital: Hospital, elsewhere: httpx.Client) -> None:
    ours = hospital.browser()
    sign_in(ours, elsewhere, "kim-17")
    (before,) = hospital.sessions()
    again = "/oidc/begin?again=1&next=/oidc/done"
    asked = httpx.URL(ours.get(again).headers["Location"]).params

    proven = sign_in(ours, elsewhere, "kim-17", begin=again)
    with httpx.Client(timeout=60) as stranger:
        refused = sign_in(ours, stranger, "park-19", begin=again)

    (after,) = hospital.sessions()
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    assert (proven.status_code, proven.headers["Location"]) == (303, "/oidc/done")
    assert ours.get("/oidc/done").status_code == 200
    assert (after.id, after.proven_at > before.proven_at) == (before.id, True)
    assert refused.status_code == 403
    assert "That was somebody else" in refused.text


def test_signing_out_goes_on_to_the_provider(hospital: Hospital, elsewhere: httpx.Client, issuer: str) -> None:
    ours = hospital.browser()
    sign_in(ours, elsewhere, "kim-17")

    answer = ours.post("/sign-out", headers={"Sec-Fetch-Site": "same-origin"})

    assert hospital.sessions() == []
    assert answer.status_code == 200
    assert f'content="0; url={issuer}/session/end?client_id=wetread&amp;post_logout_redirect_uri=' in answer.text
    shown = elsewhere.get(
        f"{issuer}/session/end", params={"client_id": CLIENT, "post_logout_redirect_uri": f"{PAGES}/sign-in"}
    )
    assert shown.status_code == 200  # the provider takes both, and asks


def test_provider_that_is_away_is_said_and_passwords_still_work(tmp_path: Path, sqlite_url: str) -> None:
    alone = Hospital(tmp_path, sqlite_url, "http://127.0.0.1:9")  # discard: nobody listens

    answer = alone.browser().get("/oidc/begin", headers={"Accept": "text/html"})

    assert answer.status_code == 403
    assert "The provider does not answer" in answer.text
    alone.database.close()
