"""Signing in and out in the pages: cookies, links, words, and what a session keeps."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from agent.config import Config
from agent.pages import make_pages
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.tables import AuditRow
from reports.people import accounts, links
from reports.people.accounts import Particulars
from reports.people.passwords import Hasher
from reports.people.rights import NOBODY, Role, Visitor
from reports.people.service import Identity, People
from reports.people.tables import Attendance, Purpose, StudyView
from reports.web.access import Access
from reports.web.app import make_app
from reports.web.entrance import Entrance, local_path
from reports.web.seen import REPORT_AND_FILM, seen
from reports.web.site import Equipment, Premises
from tests.harness.people import CHEAP, PASSWORD, add_user, browser, cookie_for, signed_in

NEW = "seven green umbrellas today"
TOKEN = "t" * 43
MINUTE = timedelta(minutes=1)


class Reception:
    """The app with cheap hashes; `secure` as behind TLS."""

    def __init__(self, database: Database, folder: Path, *, secure: bool = False) -> None:
        self.database = database
        self.people = People(database, Hasher(CHEAP))
        access = Access(hosts=frozenset({"wetread.example"}), has_certificate=True) if secure else Access()
        self.app = make_app(
            Premises(ae_title="WETREAD", port=11112, store_folder=folder, version="0", access=access),
            database,
            not_ready=list,
            metrics=bytes,
            equipment=Equipment(porter=Entrance(self.people, secure=secure), people=self.people),
        )
        self.browser = browser(self.app, base_url="https://wetread.example" if secure else "http://localhost:8080")

    def sign_in(self, login: str = "kim", password: str = PASSWORD, **more: str) -> str:
        """Returns the value of the cookie."""
        answer = self.browser.post("/sign-in", data={"login": login, "password": password, **more})
        assert answer.status_code == 303, answer.text
        return re.split("[=;]", answer.headers["set-cookie"])[1]


@pytest.fixture
def reception(sqlite_url: str, tmp_path: Path, open_database: Callable[[str], Database]) -> Reception:
    return Reception(open_database(sqlite_url), tmp_path)


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_as_long_as_there_are_no_users_each_page_says_how_to_make_one(reception: Reception) -> None:
    for path in ("/", "/peers"):
        assert "No users yet" in words(reception.browser.get(path).text)
        assert "wetread user first" in words(reception.browser.get(path).text)
    assert "wetread user first" in reception.browser.get("/sign-in").text
    add_user(reception.database, "kim", Role.RADIOLOGIST)

    assert "No users yet" not in reception.browser.get("/sign-in").text
    assert reception.browser.get("/").headers["location"] == "/sign-in?next=%2F"


@pytest.mark.parametrize(("role", "page"), [(Role.RADIOLOGIST, "/"), (Role.AUDITOR, "/quality")])
def test_who_asked_for_no_page_comes_out_where_the_role_may_look(reception: Reception, role: Role, page: str) -> None:
    add_user(reception.database, "kim", role)

    answer = reception.browser.post("/sign-in", data={"login": "kim", "password": PASSWORD, "next": "/"})

    assert answer.headers["location"] == page
    assert reception.browser.get(page).status_code == 200
    refused = reception.browser.get("/users")  # the way on leads where it is no second refusal
    assert (refused.status_code, f'<a href="{page}">To the page' in refused.text) == (403, True)


def test_who_is_not_signed_in_is_shown_no_way_to_pages_that_ask_for_it(reception: Reception) -> None:
    add_user(reception.database, "kim", Role.RADIOLOGIST)

    assert 'data-key="w"' not in reception.browser.get("/welcome/unknown").text
    reception.sign_in()
    assert 'data-key="w"' in reception.browser.get("/account").text


def test_the_page_that_was_wanted_comes_after_signing_in(reception: Reception) -> None:
    add_user(reception.database, "kim", Role.RADIOLOGIST)

    sent = reception.browser.get("/peers?a=1&b=2").headers["location"]
    form = reception.browser.get(sent).text
    wanted = re.search(r'name="next" value="([^"]*)"', form)
    assert wanted is not None
    answer = reception.browser.post("/sign-in", data={"login": "Kim", "password": PASSWORD, "next": "/peers?a=1&b=2"})

    assert wanted[1] == "/peers?a=1&amp;b=2"
    assert (answer.status_code, answer.headers["location"]) == (303, "/peers?a=1&b=2")
    page = reception.browser.get("/peers").text
    assert 'data-login="kim"' in page
    assert "Sign out" in page


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example/",
        "\\/evil.example",
        "javascript:alert(1)",
        "/\n/evil.example",
        "/\t/evil.example",
        "evil.example",
        "/sign-out",
        "/sign-in?next=/",
        "http:/evil.example",
        "",
        "//[",
        "//a\u2100b",
    ],
)
def test_signing_in_leads_to_our_own_places_only(reception: Reception, wanted: str) -> None:
    add_user(reception.database, "kim", Role.RADIOLOGIST)
    reception.sign_in()

    assert local_path(wanted) == "/"
    assert reception.browser.get("/sign-in", params={"next": wanted}).headers["location"] == "/"


@pytest.mark.parametrize("wanted", ["/", "/study/7/report?x=1&y=%2F", "/peers#top"])
def test_our_own_places_are_kept(wanted: str) -> None:
    assert local_path(wanted) == wanted


def test_a_refusal_keeps_the_name_and_says_no_more_than_it_must(reception: Reception) -> None:
    add_user(reception.database, "kim", Role.RADIOLOGIST)

    answers = {
        login: reception.browser.post("/sign-in", data={"login": login, "password": "wrong wrong wrong"})
        for login in ("kim", "nobody")
    }

    assert {answer.status_code for answer in answers.values()} == {403}
    assert all("set-cookie" not in answer.headers for answer in answers.values())
    assert answers["kim"].text.replace('value="kim"', "") == answers["nobody"].text.replace('value="nobody"', "")
    assert "wrong wrong wrong" not in answers["kim"].text


def test_link_that_is_no_address_does_not_keep_anybody_out(reception: Reception) -> None:
    add_user(reception.database, "kim", Role.RADIOLOGIST)

    assert reception.browser.get("/sign-in?next=//[").status_code == 200
    assert reception.sign_in(next="//[")
    assert reception.browser.get("/peers").status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("[" * 200_000, id="deep"),
        '{"login": "\\ud800", "password": "x"}',
        '{"login": "\\u0000"}',
        '{"login": 1}',
        "[]",
        "{",
    ],
)
def test_json_that_no_text_can_be_made_of_is_refused(reception: Reception, content: str) -> None:
    answer = reception.browser.post("/sign-in", content=content, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400


def test_markup_typed_as_a_name_is_shown_as_it_is(reception: Reception) -> None:
    add_user(reception.database, "kim", Role.RADIOLOGIST)

    text = reception.browser.post("/sign-in", data={"login": '"><script>alert(1)</script>', "password": "x"}).text

    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_who_guesses_is_told_how_long_to_wait(reception: Reception) -> None:
    add_user(reception.database, "kim", Role.RADIOLOGIST)
    for _ in range(4):
        reception.browser.post("/sign-in", data={"login": "kim", "password": "wrong wrong wrong"})

    answer = reception.browser.post(
        "/sign-in", data={"login": "kim", "password": PASSWORD}, headers={"Accept": "application/json"}
    )

    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 3
    assert "Wait" in answer.json()["detail"]


def test_in_the_clear_the_cookie_is_for_our_pages_and_no_script(reception: Reception) -> None:
    add_user(reception.database, "kim", Role.RADIOLOGIST)

    answer = reception.browser.post("/sign-in", data={"login": "kim", "password": PASSWORD})

    name, *rest = answer.headers["set-cookie"].split("; ")
    assert name.startswith("wetread=")
    assert {part.lower() for part in rest} == {"httponly", "path=/", "samesite=strict"}


def test_over_tls_the_cookie_never_leaves_it(
    sqlite_url: str, tmp_path: Path, open_database: Callable[[str], Database]
) -> None:
    secure = Reception(open_database(sqlite_url), tmp_path, secure=True)
    add_user(secure.database, "kim", Role.RADIOLOGIST)

    answer = secure.browser.post("/sign-in", data={"login": "kim", "password": PASSWORD})

    name, *rest = answer.headers["set-cookie"].split("; ")
    assert name.startswith("__Host-wetread=")
    assert {part.lower() for part in rest} == {"httponly", "path=/", "samesite=strict", "secure"}
    assert secure.browser.get("/").status_code == 200
    secure.browser.cookies.clear()
    secure.browser.cookies.set(*cookie_for(secure.database, "kim"))  # the name that it has in the clear
    assert secure.browser.get("/").status_code == 303


def test_a_session_is_new_at_each_sign_in_and_the_one_before_ends(reception: Reception) -> None:
    """Nobody can plant a session in somebody's browser, and wait until that person signs in (fixation)."""
    add_user(reception.database, "kim", Role.RADIOLOGIST)
    add_user(reception.database, "eve", Role.RADIOLOGIST)
    name, planted = cookie_for(reception.database, "eve")
    reception.browser.cookies.set(name, planted)

    taken = reception.sign_in()

    assert taken != planted
    reception.browser.cookies.clear()
    reception.browser.cookies.set(name, planted)
    assert reception.browser.get("/").status_code == 303
    reception.browser.cookies.clear()
    reception.browser.cookies.set(name, "made-up-by-somebody")
    assert reception.sign_in() != "made-up-by-somebody"


def test_signing_out_ends_the_session_and_not_only_the_cookie(reception: Reception) -> None:
    add_user(reception.database, "kim", Role.RADIOLOGIST)
    token = reception.sign_in()

    answer = reception.browser.post("/sign-out")
    assert answer.headers["clear-site-data"] == '"cache"'  # films

    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    reception.browser.cookies.set("wetread", token)
    assert reception.browser.get("/").status_code == 303
    assert reception.browser.get("/sign-out").status_code == 405  # a link cannot sign anybody out


def test_a_form_of_another_site_signs_nobody_in(reception: Reception) -> None:
    add_user(reception.database, "kim", Role.RADIOLOGIST)

    answer = reception.browser.post(
        "/sign-in", data={"login": "kim", "password": PASSWORD}, headers={"Sec-Fetch-Site": "cross-site"}
    )

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_link_from_another_site_is_followed_by_who_is_signed_in(reception: Reception) -> None:
    """The browser keeps the cookie back (SameSite=Strict), until a page of ours goes on."""
    add_user(reception.database, "kim", Role.RADIOLOGIST)
    reception.sign_in()
    cookies = dict(reception.browser.cookies)
    reception.browser.cookies.clear()

    first = reception.browser.get("/sign-in?next=%2Fstudy%2F7", headers={"Sec-Fetch-Site": "cross-site"})
    on = re.search(r'url=([^"]+)"', first.text)
    assert on is not None
    for name, value in cookies.items():
        reception.browser.cookies.set(name, value)
    second = reception.browser.get(on[1])

    assert first.status_code == 200
    assert (second.status_code, second.headers["location"]) == (303, "/study/7")


@pytest.mark.parametrize("path", ["/", "/peers", "/study/1", "/account"])
def test_scripts_hear_that_the_session_is_over(reception: Reception, path: str) -> None:
    add_user(reception.database, "kim", Role.RADIOLOGIST)

    answer = reception.browser.get(path, headers={"Accept": "application/json"})

    assert answer.status_code == 401
    assert answer.json() == {"detail": "Sign in first."}


def test_a_form_sent_too_late_is_answered_in_words(reception: Reception) -> None:
    add_user(reception.database, "kim", Role.RADIOLOGIST)

    answer = reception.browser.post("/account/pin", data={"pin": "9630"})

    assert answer.status_code == 401
    assert "Sign in again in another tab" in words(answer.text)


def test_who_has_no_right_still_sees_who_is_signed_in(reception: Reception) -> None:
    add_user(reception.database, "kim", Role.RADIOLOGIST)
    client = signed_in(reception.app, reception.database, "kim")

    answer = client.get("/users")

    assert answer.status_code == 403
    assert 'data-login="kim"' in answer.text


def make_link(database: Database, purpose: Purpose, login: str = "") -> str:
    with database.write() as tx:
        account = accounts.find(tx, login) if login else None
        links.make(tx, purpose, TOKEN, account, now=clock(tx), actor="person:test")
    return f"/welcome/{TOKEN}"


def test_the_first_administrator_comes_in_by_the_link(reception: Reception) -> None:
    link = make_link(reception.database, Purpose.FIRST)
    assert "first administrator" in reception.browser.get(link).text

    typed = {"login": "Kim", "name": "Kim^Minjun", "password": NEW, "password_again": NEW, "pin": "", "pin_again": ""}
    wrong = reception.browser.post(link, data={**typed, "password_again": "another"})
    right = reception.browser.post(link, data=typed)

    assert (wrong.status_code, "differ" in wrong.text) == (422, True)
    assert NEW not in wrong.text
    assert right.status_code == 303
    assert reception.browser.get("/users").status_code == 200
    assert reception.browser.post(link, data=typed).status_code == 410
    assert reception.browser.get(link).status_code == 410


def test_a_name_in_an_invitation_is_shown_as_it_is(reception: Reception) -> None:
    add_user(reception.database, "kim", Role.RADIOLOGIST, name="<b>Kim</b>^'\"&")
    link = make_link(reception.database, Purpose.INVITE, "kim")

    text = reception.browser.get(link).text

    assert "&lt;b&gt;Kim&lt;/b&gt;^&#39;&#34;&amp;" in text


@pytest.mark.parametrize("token", ["x", "x" * 5000, "%00", "%2e%2e", "%ED%A0%80"])
def test_links_that_never_were_are_void(reception: Reception, token: str) -> None:
    assert reception.browser.get(f"/welcome/{token}").status_code in {400, 404, 410}


@pytest.fixture
def office(reception: Reception) -> TestClient:
    """The browser of an administrator."""
    add_user(reception.database, "boss", Role.ADMINISTRATOR)
    return signed_in(reception.app, reception.database, "boss")


def test_an_administrator_lets_somebody_in(reception: Reception, office: TestClient) -> None:
    form = {"login": "Lee", "name": "Lee^Sora", "role_radiologist": "yes", "organization": "Example Hospital"}

    answer = office.post("/users", data=form)

    link = re.search(r"http://localhost:8080(/welcome/[\w-]{43})", answer.text)
    assert link is not None
    typed = {"password": NEW, "password_again": NEW, "pin": "2580", "pin_again": "2580"}
    assert reception.browser.post(link[1], data=typed).status_code == 303
    assert 'data-login="lee"' in reception.browser.get("/").text
    assert link[1] not in office.get("/users").text
    assert "Lee^Sora" in office.get("/users").text


def test_what_was_typed_stays_when_it_is_refused(office: TestClient) -> None:
    answer = office.post("/users", data={"login": "lee", "name": "Lee^Sora", "role_trainee": "yes", "organization": ""})

    assert answer.status_code == 422
    assert "organization" in answer.text
    assert 'value="Lee^Sora"' in answer.text
    assert re.search(r'name="role_trainee" value="yes" checked', answer.text)


def test_an_administrator_changes_switches_off_and_resets(reception: Reception, office: TestClient) -> None:
    number = add_user(reception.database, "lee", Role.TRAINEE)
    theirs = signed_in(reception.app, reception.database, "lee")
    page = f"/users/{number}"
    form = {"name": "Lee^Sora", "role_radiologist": "yes", "organization": "Example Hospital"}

    assert office.post(page, data=form).headers["location"] == f"{page}?done=edited"
    assert "radiologist" in words(theirs.get("/account").text)
    assert office.post(f"{page}/reset").text.count("/welcome/") == 1
    assert office.post(f"{page}/sign-out").status_code == 303
    assert theirs.get("/account").status_code == 303
    assert office.post(f"{page}/disable").status_code == 303
    assert "switched off" in office.get(page).text
    assert office.post(f"{page}/enable").status_code == 303
    with reception.database.read() as tx:
        rows = tx.scalars(select(AuditRow).where(AuditRow.actor == "person:boss")).all()
    assert [row.event for row in rows] == [
        "user-edited",
        "roles-changed",
        "link-made",
        "sessions-ended",
        "user-disabled",
        "user-enabled",
    ]


def test_the_last_administrator_is_told_why_not(reception: Reception, office: TestClient) -> None:
    answer = office.post("/users/1/disable")

    assert answer.status_code == 422
    assert "last administrator" in answer.text


@pytest.mark.parametrize("number", ["2", "99999999999999999999", "0"])
def test_users_that_are_not_there_are_not_found(office: TestClient, number: str) -> None:
    assert office.get(f"/users/{number}").status_code == 404
    assert office.post(f"/users/{number}/disable").status_code == 404


def test_password_and_pin_are_changed_on_ones_own_page(reception: Reception) -> None:
    add_user(reception.database, "kim", Role.RADIOLOGIST)
    client, other = (signed_in(reception.app, reception.database, "kim") for _ in range(2))

    def change(**fields: str) -> tuple[int, str]:
        answer = client.post("/account/password", data=fields)
        return answer.status_code, words(answer.text)

    assert change(password=PASSWORD, new=NEW, new_again="other")[0] == 422
    assert change(password=PASSWORD, new="short", new_again="short")[0] == 422
    assert change(password="wrong wrong wrong", new=NEW, new_again=NEW)[0] == 403
    assert change(password=PASSWORD, new=NEW, new_again=NEW)[0] == 303
    assert (client.get("/account").status_code, other.get("/account").status_code) == (200, 303)
    assert client.post("/account/pin", data={"password": NEW, "pin": "9630", "pin_again": "9630"}).status_code == 303
    assert client.post("/account/prove", data={"pin": "9630"}).status_code == 204
    assert client.post("/account/prove", json={"password": NEW}).status_code == 204


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"pin": 2580}', 400),
        (b'{"pin": "\\ud800"}', 400),
        (b'{"pin": "\\u0000"}', 400),
        (b"\xff", 400),
        (b"{}", 403),
    ],
)
def test_a_proof_that_is_none_is_refused_in_words(reception: Reception, content: bytes, status: int) -> None:
    add_user(reception.database, "kim", Role.RADIOLOGIST)
    client = signed_in(reception.app, reception.database, "kim")
    headers = {"Content-Type": "application/json", "Accept": "application/json"}

    answer = client.post("/account/prove", content=content, headers=headers)

    assert answer.status_code == status
    assert answer.json()["detail"].endswith(".")


def test_signing_out_everywhere_else_leaves_this_browser(reception: Reception) -> None:
    add_user(reception.database, "kim", Role.RADIOLOGIST)
    client, other = (signed_in(reception.app, reception.database, "kim") for _ in range(2))

    assert client.post("/account/sign-out").status_code == 303

    assert (client.get("/account").status_code, other.get("/account").status_code) == (200, 303)


@pytest.mark.parametrize(
    ("headers", "counts"),
    [
        ({}, True),
        ({"Sec-Fetch-Mode": "navigate", "Sec-Fetch-User": "?1"}, True),
        ({"Sec-Fetch-Mode": "navigate"}, False),  # the page refreshes itself
        ({"Wetread-Unattended": "1"}, False),
        ({"Accept": "text/event-stream"}, False),
    ],
)
def test_only_what_a_person_does_keeps_a_session_awake(
    reception: Reception, headers: dict[str, str], counts: bool
) -> None:
    add_user(reception.database, "kim", Role.RADIOLOGIST)
    client = signed_in(reception.app, reception.database, "kim")
    with reception.database.write() as tx:
        row = tx.scalars(select(Attendance)).one()
        row.seen_at = before = row.seen_at - MINUTE

    client.get("/account", headers=headers)

    with reception.database.read() as tx:
        assert (tx.scalars(select(Attendance)).one().seen_at > before) is counts


def test_who_comes_by_a_provider_sets_a_pin_without_a_password(reception: Reception) -> None:
    who = Particulars("Park^Jiwoo", frozenset({Role.RADIOLOGIST}), "Example Hospital")
    signed = reception.people.sign_in_elsewhere(Identity("https://id.example", "1", "park", who), address="x")
    reception.browser.cookies.set("wetread", signed.token)

    page = reception.browser.get("/account").text
    silent = reception.browser.post("/account/pin", data={"pin": "9630", "pin_again": "9630"})
    reception.people.proven_elsewhere(signed.user)
    answer = reception.browser.post("/account/pin", data={"pin": "9630", "pin_again": "9630"})

    assert silent.status_code == 403
    assert "Change the password" not in page
    assert "/oidc/begin?again=1" in page
    assert answer.headers["location"] == "/account?done=pin"
    assert reception.browser.post("/account/prove", data={"pin": "9630"}).status_code == 204


def looks(database: Database) -> list[tuple[str, int | None, str]]:
    with database.read() as tx:
        rows = tx.scalars(select(AuditRow).where(AuditRow.event == "study-seen").order_by(AuditRow.id)).all()
    return [(row.actor, row.study_id, row.detail) for row in rows]


def test_a_look_at_a_study_is_written_down_once_in_ten_minutes(reception: Reception) -> None:
    visitor = Visitor(1, "kim", frozenset(), session="5")
    for _ in range(3):
        seen(reception.database, visitor, 7, "study")
    seen(reception.database, visitor, 7, "film")
    seen(reception.database, visitor, 8, "study")
    seen(reception.database, Visitor(1, "kim", frozenset(), session="6"), 7, "study")
    seen(reception.database, Visitor(0, "service:ris", frozenset()), 7, "study")
    seen(reception.database, NOBODY, 7, "study")

    assert looks(reception.database) == [
        ("person:kim", 7, '{"what": "study"}'),
        ("person:kim", 7, '{"what": "film"}'),
        ("person:kim", 8, '{"what": "study"}'),
        ("person:kim", 7, '{"what": "study"}'),
        ("service:ris", 7, '{"what": "study"}'),
    ]


def test_the_page_of_report_and_film_is_one_look(reception: Reception) -> None:
    visitor = Visitor(1, "kim", frozenset(), session="5")
    for what in (REPORT_AND_FILM, "film", "report", "study"):
        seen(reception.database, visitor, 7, what)
    seen(reception.database, visitor, 8, "film")
    seen(reception.database, visitor, 8, REPORT_AND_FILM)  # a film alone is no report

    assert looks(reception.database) == [
        ("person:kim", 7, '{"what": "report and film"}'),
        ("person:kim", 7, '{"what": "study"}'),
        ("person:kim", 8, '{"what": "film"}'),
        ("person:kim", 8, '{"what": "report and film"}'),
    ]


def test_a_look_ten_minutes_later_is_another_one(reception: Reception) -> None:
    visitor = Visitor(1, "kim", frozenset(), session="5")
    seen(reception.database, visitor, 7, "study")
    with reception.database.write() as tx:
        row = tx.scalars(select(StudyView)).one()
        row.at -= 10 * MINUTE

    seen(reception.database, visitor, 7, "study")

    assert len(looks(reception.database)) == 2


def test_the_app_as_it_is_served_lets_people_in(
    sqlite_url: str, tmp_path: Path, open_database: Callable[[str], Database]
) -> None:
    database = open_database(sqlite_url)
    app = make_pages(Config(node=NodeConfig(data_folder=tmp_path, reserve_mebibytes=1)), database)
    add_user(database, "kim", Role.RADIOLOGIST)

    client = browser(app)
    assert client.post("/sign-in", data={"login": "kim", "password": PASSWORD}).status_code == 303

    assert client.get("/").status_code == 200
    with database.read() as tx:
        assert "m=65536" in accounts.find(tx, "kim").password  # hashed anew, at the full cost
