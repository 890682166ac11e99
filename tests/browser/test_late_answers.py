"""Answers that come late: what the report page shows is never older than what it has shown before."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect
from starlette.types import ASGIApp

from reports.tables import Report
from tests.harness.node import wait_until
from tests.harness.people import seat
from tests.harness.reading_room import ReadingRoom

SLOW = 60_000  # ms; a busy machine
NOBODY = "There is no PACS to ask"
WATCHED = """
window.barred = [];
window.hid = [];
addEventListener("DOMContentLoaded", () => {
  const sign = document.querySelector("[data-act=sign]");
  const look = () => { window.barred.push(sign.getAttribute("aria-disabled")); window.hid.push(sign.hidden); };
  new MutationObserver(look).observe(sign, { attributes: true });
});
"""


class Late:
    """Answers of an address: the server gives them at once, the page gets each when the test says so."""

    def __init__(self, page: Page, address: str) -> None:
        self._held: list[tuple[Route, APIResponse]] = []
        self._is_over = False
        page.route(re.compile(address), self._meet)

    @property
    def count(self) -> int:
        """How many answers wait."""
        return len(self._held)

    def let_come(self) -> None:
        """Those that wait, and from now on all."""
        self._is_over = True
        for route, answer in self._held:
            route.fulfill(response=answer)

    def _meet(self, route: Route) -> None:
        if self._is_over:
            route.continue_()
        else:
            self._held.append((route, route.fetch()))


@pytest.fixture
def base(room: ReadingRoom, served: Callable[[ASGIApp], str], page: Page) -> str:
    """Where the room is served; Rita sits at `page`."""
    room.end_all()
    address = served(room.app)
    seat(page.context, room.database, "rita", address)
    page.context.set_default_timeout(SLOW)
    expect.set_options(timeout=SLOW)
    return address


def address(base: str, room: ReadingRoom, report: Report) -> str:
    return f"{base}/study/{room.number(report)}/report"


def wait_for(page: Page, late: Late) -> None:
    def has_come() -> bool:
        page.evaluate("1")  # lets the route be called
        return late.count > 0

    wait_until(has_come, "the server to answer")


def test_answer_about_the_pacs_from_before_the_film_was_shown_bars_nothing(
    room: ReadingRoom, base: str, page: Page
) -> None:
    report = room.study()
    page.add_init_script(WATCHED)
    film, pacs = Late(page, r"/pixels$"), Late(page, r"/report/identity$")
    page.goto(address(base, room, report))
    wait_for(page, pacs)  # it says that no film was shown
    wait_for(page, film)
    expect(page.locator("#pacs")).to_have_text("Asking the PACS whose study this is")
    film.let_come()
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")

    pacs.let_come()
    expect(page.locator("#pacs")).to_contain_text(NOBODY)
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")
    told = page.evaluate("window.barred")
    assert "true" not in told[told.index("false") :]  # it stays open


def test_pacs_is_asked_once_however_many_wait_for_its_answer(room: ReadingRoom, base: str, page: Page) -> None:
    report = room.study()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page.route("**/report/identity", lambda route: route.abort())  # the first time
    page.goto(address(base, room, report))
    expect(page.locator("#pacs")).to_contain_text("The PACS was not asked: The server cannot be reached.")
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")  # whoever signs asks it
    page.unroute("**/report/identity")

    pacs = Late(page, r"/report/identity$")
    page.keyboard.press("a")
    wait_for(page, pacs)
    expect(page.locator("#pacs")).to_have_text("Asking the PACS whose study this is")
    page.keyboard.press("Escape")
    expect(page.locator("#ask-sign")).to_be_hidden()
    page.keyboard.press("a")
    page.keyboard.type("2580")
    page.keyboard.press("Enter")
    pacs.let_come()

    expect(page.locator("#final")).to_be_visible()
    assert asked.count("identity") == 2


def test_look_from_before_an_act_does_not_bring_back_what_was(room: ReadingRoom, base: str, page: Page) -> None:
    report = room.study()
    page.add_init_script(WATCHED)
    page.goto(address(base, room, report))
    expect(page.locator("#pacs")).to_contain_text(NOBODY)
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")
    looked = Late(page, r"/report/desk")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    wait_for(page, looked)  # it says that this is a draft

    page.keyboard.press("x")
    page.locator("#ask-reject [value=missed-finding]").check()
    page.keyboard.press("Enter")
    expect(page.locator("[data-act=sign]")).to_be_hidden()
    come: list[str] = []
    page.on("response", lambda response: come.append(response.url))
    looked.let_come()
    wait_until(lambda: page.evaluate("1") and len([one for one in come if "/report/desk" in one]) > 1, "a newer look")

    expect(page.locator("#happened")).to_contain_text("A person has rejected this AI draft")
    expect(page.locator("[data-act=sign]")).to_be_hidden()
    hid = page.evaluate("window.hid")
    assert False not in hid[hid.index(True) :]
