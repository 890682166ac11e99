"""A reader study in a real browser, by keyboard alone: two raters, a restart in between, and nothing that is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from starlette.types import ASGIApp

from agent.cli import wetread
from reports.grading.tables import Given, Turn
from tests.harness.axe import violations
from tests.harness.grading_room import Study, add_rater, grading_app, make_study
from tests.harness.intercepting import intercept
from tests.harness.node import wait_until
from tests.harness.patience import SLOW


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path, 2)


def tab(browser: Browser, kept: object = None) -> tuple[BrowserContext, Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, storage_state=kept)  # type: ignore[arg-type]
    context.set_default_timeout(SLOW)
    return context, context.new_page()


def onward(page: Page) -> None:
    """Press Enter once the page has given its button the focus: a browser may do so after the page has loaded."""
    expect(page.locator(":focus")).to_contain_text("Enter")
    page.keyboard.press("Enter")


def graded(page: Page, letter: str, position: int, onward: str) -> None:
    """Wait until the film is there, press a key, wait for the next page."""
    expect(page).to_have_title(f"{position} of 4 - Reader study")
    expect(page.locator("button.grade-A")).to_have_attribute("aria-disabled", "false")
    page.keyboard.press(letter)
    page.wait_for_url(f"**{onward}")


def test_two_raters_grade_by_keyboard_and_go_on_after_a_restart(
    browser: Browser, served: Callable[[ASGIApp], str], study: Study
) -> None:
    with grading_app(study) as (app, database):
        links = {name: add_rater(database, study.package, name) for name in ("ann", "ben")}
        base = served(app)
        context, page = tab(browser)
        page.goto(f"{base}{links['ann']}")
        onward(page)
        page.wait_for_url(f"{base}/")
        assert violations(page) == []
        onward(page)
        graded(page, "a", 1, "/item/2")
        assert violations(page) == []
        expect(page.locator("button.grade-A")).to_have_attribute("aria-disabled", "false")
        page.keyboard.press("e")
        page.keyboard.type("abcd: heart too large")  # letters are no grades while somebody writes
        page.keyboard.press("Escape")
        graded(page, "d", 2, "/item/3")
        page.keyboard.press("u")  # back
        page.wait_for_url("**/item/2")
        expect(page.locator("#comment")).to_have_value("abcd: heart too large")
        expect(page.locator("button.grade-D")).to_have_attribute("aria-pressed", "true")
        graded(page, "c", 2, "/item/3")
        kept = context.storage_state()
        context.close()

    with grading_app(study) as (app, database):  # the program was started anew, the browser as well
        base = served(app)
        for cookie in kept["cookies"]:
            cookie["domain"] = "127.0.0.1"
        context, page = tab(browser, kept)
        page.goto(base)
        expect(page.get_by_text("2 of 4 graded.")).to_be_visible()
        onward(page)
        graded(page, "b", 3, "/item/4")
        graded(page, "B", 4, "/finish")
        onward(page)
        expect(page.get_by_text("Finished. Thank you.")).to_be_visible()
        context.close()

        context, page = tab(browser)
        page.goto(f"{base}{links['ben']}")
        onward(page)
        page.wait_for_url(f"{base}/")
        onward(page)
        for position in range(1, 5):
            graded(page, "a", position, f"/item/{position + 1}" if position < 4 else "/finish")
        onward(page)
        expect(page.get_by_text("Finished. Thank you.")).to_be_visible()
        context.close()

        with database.read() as tx:
            turns = [(turn.rater_id, turn.grade) for turn in tx.query(Turn).order_by(Turn.rater_id, Turn.position)]
            assert turns == [(1, "A"), (1, "C"), (1, "B"), (1, "B"), *(4 * [(2, "A")])]
            assert all(turn.seconds > 0 for turn in tx.query(Turn))
            assert tx.query(Given).count() == 9  # the changed one twice

    result = CliRunner().invoke(wetread, ["eval", "reader-study", "result", str(study.folder), "--json"])
    told = json.loads(result.stdout)
    assert sum(row["graded"] for row in told["rows"] if row["rater"] == "all raters") == 8
    assert told["unfinished"] == {}


def test_two_tabs_and_a_server_that_is_away_lose_nothing(
    browser: Browser, served: Callable[[ASGIApp], str], study: Study
) -> None:
    with grading_app(study) as (app, database):
        link = add_rater(database, study.package, "ann")
        base = served(app)
        context, page = tab(browser)
        page.goto(f"{base}{link}")
        onward(page)
        page.wait_for_url(f"{base}/")
        page.goto(f"{base}/item/1")
        other = context.new_page()
        other.goto(f"{base}/item/1")
        graded(other, "a", 1, "/item/2")
        page.bring_to_front()
        expect(page.locator("button.grade-A")).to_have_attribute("aria-disabled", "false")
        page.keyboard.press("d")
        expect(page.locator("#fault")).to_contain_text("graded A in another tab")

        page.clock.install()
        page.goto(f"{base}/item/2")
        expect(page.locator("button.grade-A")).to_have_attribute("aria-disabled", "false")
        context.set_offline(True)
        page.keyboard.press("c")
        expect(page.locator("#fault")).to_contain_text("it is not known whether the grade was saved")
        context.set_offline(False)
        lost: list[int] = []
        intercept(page, "**/item/2", lambda route: lost.append(route.fetch().status))
        with page.expect_request("**/item/2"):
            page.keyboard.press("c")
        wait_until(lambda: page.evaluate("true") and lost == [200], "the grade is saved, and the page not told")
        expect(page.locator("#fault")).to_be_hidden()
        page.clock.run_for(SLOW + 1000)
        expect(page.locator("#fault")).to_contain_text("it is not known whether the grade was saved")
        page.unroute("**/item/2")
        grades: list[Route] = []
        intercept(page, "**/item/2", lambda route: grades.append(route))  # noqa: PLW0108 - no method of a builtin
        with page.expect_request("**/item/2"):
            page.keyboard.press("c")
        page.keyboard.press("n")  # in a hurry
        expect(page.locator("#fault")).to_contain_text("The grade is being saved")
        expect(page.locator("#comment")).not_to_be_editable()
        grades[0].continue_()
        page.wait_for_url("**/item/3")
        expect(page.locator("button.grade-A")).to_have_attribute("aria-disabled", "false")
        with page.expect_navigation():
            page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
        context.close()
        with database.read() as tx:
            assert [one.grade for one in tx.query(Given).order_by(Given.id)] == ["A", "C"]
