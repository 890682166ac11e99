"""A draft that somebody else has or gets: it is not taken by looking at it, and shown as signed once it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.types import ASGIApp

from reports.people.rights import Role
from reports.signoff.tables import WorkingCopy
from tests.harness.patience import SLOW
from tests.harness.people import add_user, seat, signed_in
from tests.harness.reading_room import ReadingRoom


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ReadingRoom]:
    made = ReadingRoom(tmp_path)
    add_user(made.database, "rita", Role.RADIOLOGIST, name="Reader^Rita")
    yield made
    made.close()


def test_draft_that_is_handed_to_a_colleague_is_taken_by_a_press_alone(
    room: ReadingRoom, page: Page, served: Callable[[ASGIApp], str]
) -> None:
    carl = add_user(room.database, "carl", Role.RADIOLOGIST, name="Chief^Carl")
    report = room.study()
    address = f"/study/{room.number(report)}/report"
    handing = signed_in(room.app, room.database, "rita")
    assert handing.post(f"{address}/hand-over", json={"report": report.id, "to": carl}).status_code == 200
    base = served(room.app)
    seat(page.context, room.database, "rita", base)

    with page.expect_request("**/events"):  # it listens when it is done with opening
        page.goto(f"{base}{address}")
    expect(page.locator("#told")).to_contain_text("Handed to Chief Carl since")

    assert room.ask(lambda tx: tx.get_one(WorkingCopy, report.id).offered_to) == carl
    page.get_by_role("button", name="Open it all the same").click()
    expect(page.locator("#told")).not_to_contain_text("Handed to")
    expect(page.locator("#findings")).to_be_editable()
    assert room.ask(lambda tx: tx.get_one(WorkingCopy, report.id).offered_to) is None


def test_draft_that_a_colleague_signs_is_shown_as_the_signed_report(
    room: ReadingRoom, browser: Browser, page: Page, served: Callable[[ASGIApp], str]
) -> None:
    """Not as a draft with the buttons of a signed report: an addendum is written to words that one sees."""
    add_user(room.database, "carl", Role.RADIOLOGIST, name="Chief^Carl")
    base = served(room.app)
    address = f"{base}/study/{room.number(room.study())}/report"
    seat(page.context, room.database, "rita", base)
    page.goto(address)
    expect(page.locator("[data-act=accept]")).to_have_attribute("aria-disabled", "false")
    reading = browser.new_page()
    reading.set_default_timeout(SLOW)
    seat(reading.context, room.database, "carl", base)
    reading.goto(address)
    expect(reading.locator("#told")).to_contain_text("Opened by Reader Rita")

    page.keyboard.press("a")
    expect(page.locator("#sign-proof")).to_be_focused()
    page.keyboard.type("2580")
    page.keyboard.press("Enter")

    expect(reading.locator("#final")).to_contain_text("No pneumothorax.")
    expect(reading.locator(".notice.final")).to_have_text(re.compile("VERIFIED REPORT"))
    expect(reading.locator("#writing")).to_be_hidden()
    expect(reading.locator("[data-act=addendum]")).to_have_attribute("aria-disabled", "false")
    reading.context.close()
