"""A draft of late images beside a signed report, at the report page: taken over as an addendum, or closed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from starlette.types import ASGIApp

from dicom_node.rules.tables import Late
from reports.tables import Report, ReportState
from tests.harness.people import seat
from tests.harness.reading_room import ReadingRoom
from tests.unit.agent.desk_of_readers import CARL, EDITED, ready, service
from tests.unit.agent.ward import now


@pytest.fixture
def beside(room: ReadingRoom) -> tuple[Report, Report]:
    """Carl has signed the first; the second is a draft of an image that came after it was delivered."""
    room.end_all()
    first = room.study()
    room.deliver()
    room.late_film(Late.ADD)
    second = room.draft()
    service(room).sign(first.id, CARL, EDITED, ready(room, CARL, first.id).version, now())
    room.deliver()
    return first, second


@pytest.fixture
def opened(room: ReadingRoom, beside: tuple[Report, Report], served: Callable[[ASGIApp], str], page: Page) -> Page:
    """Rita has the draft before her, the film was shown, the PACS was asked."""
    base = served(room.app)
    seat(page.context, room.database, "rita", base)
    second = beside[1]
    page.goto(f"{base}/study/{room.number(second)}/report?report={second.id}")
    expect(page.locator("[data-act=take-over]")).to_have_attribute("aria-disabled", "false")
    return page


def state(room: ReadingRoom, report: Report) -> ReportState:
    return room.ask(lambda tx: tx.get_one(Report, report.id).state)


def test_it_is_taken_over_as_an_addendum_by_keyboard(
    room: ReadingRoom, beside: tuple[Report, Report], opened: Page
) -> None:
    expect(opened.locator(".said.beside")).to_contain_text("There is one report of a study")
    assert opened.locator("[data-act=sign]").is_hidden()

    opened.get_by_label("Pneumothorax: what it is").select_option("present")
    expect(opened.locator("#against li")).to_have_count(1)
    opened.keyboard.press("d")
    dialog = opened.locator("#ask-words")
    expect(dialog.locator("h2")).to_have_text("Take over as addendum")
    expect(dialog.locator(".against li")).to_contain_text("Pneumothorax is set to present, the text says absent.")
    expect(dialog.locator("textarea")).to_be_focused()
    expect(dialog.locator(".by-reader")).to_contain_text("The draft is by parrot 1.")
    opened.keyboard.press("Control+a")
    opened.keyboard.type("The late film shows the same.")
    opened.keyboard.press("Tab")
    opened.keyboard.type("2580")
    opened.keyboard.press("Enter")

    expect(opened.locator("#final")).to_contain_text("The late film shows the same.")
    expect(opened.locator("#final")).to_contain_text(EDITED.impression)
    first, second = beside
    assert (state(room, first), state(room, second)) == (ReportState.VERIFIED, ReportState.WITHDRAWN)


def test_it_is_closed_and_the_signed_report_stands(
    room: ReadingRoom, beside: tuple[Report, Report], opened: Page
) -> None:
    opened.locator("#onward").uncheck()
    opened.keyboard.press("f")
    expect(opened.locator("#ask-close")).to_be_visible()
    opened.keyboard.press("Enter")

    expect(opened.locator("body")).to_contain_text("the signed report of the study stands")
    first, second = beside
    assert (state(room, first), state(room, second)) == (ReportState.VERIFIED, ReportState.WITHDRAWN)
