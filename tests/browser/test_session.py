"""What only a browser shows: whose cookies it sends along, and a session that ends while somebody works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import delete, func, select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from dicom_node.database import Database
from reports.people.passwords import Hasher
from reports.people.rights import Role
from reports.people.service import People
from reports.people.tables import Account, Attendance
from reports.web.app import make_app
from reports.web.entrance import Entrance
from reports.web.site import Equipment, Premises
from tests.harness.axe import violations
from tests.harness.patience import SLOW
from tests.harness.people import CHEAP, PASSWORD, add_user, seat


class Practice:
    """Pages with one person, and where they are served."""

    def __init__(self, database: Database, folder: Path, serve: Callable[[ASGIApp], str]) -> None:
        self.database = database
        people = People(database, Hasher(CHEAP))
        premises = Premises(ae_title="WETREAD", port=11112, store_folder=folder, version="0")
        equipment = Equipment(porter=Entrance(people, secure=False), people=people)
        self.base = serve(make_app(premises, database, not_ready=list, metrics=bytes, equipment=equipment))
        add_user(database, "kim", Role.RADIOLOGIST, Role.ADMINISTRATOR)

    def sit_down(self, page: Page) -> None:
        page.set_default_timeout(SLOW)
        seat(page.context, self.database, "kim", self.base)

    def end_sessions(self) -> None:
        with self.database.write() as tx:
            tx.execute(delete(Attendance))

    def users(self) -> int:
        with self.database.read() as tx:
            return tx.scalar(select(func.count()).select_from(Account)) or 0


@pytest.fixture
def practice(
    sqlite_url: str,
    tmp_path: Path,
    served: Callable[[ASGIApp], str],
    open_database: Callable[[str], Database],
) -> Practice:
    return Practice(open_database(sqlite_url), tmp_path, served)


def other_site(body: str) -> Starlette:
    """A page of somebody else."""

    def answer(request: Request) -> Response:
        return HTMLResponse(f"<!doctype html><title>free prizes</title>{body}")

    return Starlette(routes=[Route("/", answer)])


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_form_of_another_site_changes_nothing(
    page: Page, practice: Practice, served: Callable[[ASGIApp], str], name: str
) -> None:
    """From 127.0.0.1 it is another origin of the same site, and the cookie comes along; from localhost it does not."""
    fields = "".join(
        f'<input name="{field}" value="{value}">'
        for field, value in {"login": "eve", "name": "Eve^E", "role_administrator": "yes"}.items()
    )
    form = f'<form method="post" action="{practice.base}/users">{fields}<button>Win</button></form>'
    practice.sit_down(page)
    page.goto(served(other_site(form)).replace("127.0.0.1", name))

    with page.expect_response(f"{practice.base}/users") as refused:
        page.get_by_role("button", name="Win").click()

    assert refused.value.status == (403 if name == "127.0.0.1" else 401)
    assert practice.users() == 1
    page.goto(f"{practice.base}/users")  # while our own form works
    page.get_by_label("User name").fill("lee")
    page.get_by_label("Name in signed reports").fill("Lee^Sora")
    page.get_by_label("auditor").check()
    page.get_by_role("button", name="Add, and show the link").click()
    expect(page.locator(".link-once")).to_contain_text("/welcome/")
    assert practice.users() == 2


def test_a_link_from_another_site_leads_who_is_signed_in_to_the_page(
    page: Page, practice: Practice, served: Callable[[ASGIApp], str]
) -> None:
    practice.sit_down(page)
    page.goto(served(other_site(f'<a href="{practice.base}/account?x=1">look</a>')).replace("127.0.0.1", "localhost"))

    page.get_by_role("link", name="look").click()

    page.wait_for_url(f"{practice.base}/account?x=1")
    expect(page.locator("[data-login]")).to_have_attribute("data-login", "kim")


def test_a_session_that_ends_while_somebody_types_loses_nothing(page: Page, practice: Practice) -> None:
    practice.sit_down(page)
    page.goto(f"{practice.base}/users")
    page.get_by_label("Staff number").fill("typed before it ended")
    practice.end_sessions()
    page.evaluate(
        """() => {
          document.body.dataset.told = "nothing yet";
          import("/static/session.js").then((session) => session.ask("/account/who"))
            .then((answer) => answer.json()).then((who) => { document.body.dataset.told = who.login; });
        }"""
    )
    dialog = page.get_by_role("dialog", name="Your session is over")
    expect(dialog).to_be_visible()
    for _ in range(3):  # a browser closes a dialog at the second press, whatever was said at the first
        page.keyboard.press("Escape")  # would leave the page without a session
    expect(dialog).to_be_visible()

    page.keyboard.type("wrong wrong wrong")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("do not fit")
    expect(page.locator("body")).to_have_attribute("data-told", "nothing yet")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")

    expect(page.locator("body")).to_have_attribute("data-told", "kim")
    expect(dialog).to_have_count(0)
    expect(page.get_by_label("Staff number")).to_have_value("typed before it ended")
    expect(page.get_by_label("Staff number")).to_be_focused()  # else the letters that follow are keys
    assert page.evaluate("fetch('/account/who').then((answer) => answer.status)") == 200


def test_what_a_page_does_by_itself_opens_no_dialog(page: Page, practice: Practice) -> None:
    practice.sit_down(page)
    page.goto(f"{practice.base}/account")
    practice.end_sessions()

    status = page.evaluate(
        """() => import("/static/session.js")
          .then((session) => session.ask("/account/who", { unattended: true })).then((answer) => answer.status)"""
    )

    assert status == 401
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_password_is_asked_again_for_what_is_grave(page: Page, practice: Practice) -> None:
    practice.sit_down(page)
    page.goto(f"{practice.base}/account")

    def ask(options: str) -> None:
        page.evaluate(
            """(options) => {
              document.body.dataset.proven = "asked";
              import("/static/session.js").then((session) => session.askPassword("Withdraw the report", options))
                .then((given) => { document.body.dataset.proven = given; });
            }""",
            {"pin": options == "pin"},
        )
        expect(page.get_by_role("dialog", name="Withdraw the report")).to_be_visible()

    ask("password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("body")).to_have_attribute("data-proven", "true")
    ask("pin")
    page.keyboard.type("2580")
    page.keyboard.press("Enter")
    expect(page.locator("body")).to_have_attribute("data-proven", "true")
    ask("pin")
    page.keyboard.press("Escape")
    expect(page.locator("body")).to_have_attribute("data-proven", "false")
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("path", ["/sign-in", "/account", "/users", "/users/1"])
def test_pages_of_people_are_accessible(page: Page, practice: Practice, path: str) -> None:
    if path != "/sign-in":
        practice.sit_down(page)
    page.goto(practice.base + path)

    assert violations(page) == []
