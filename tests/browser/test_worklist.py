"""The worklist in a browser: by keyboard alone, kept new without a jump, in every theme."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from starlette.types import ASGIApp

from reports.people.rights import Role
from reports.tables import Event
from tests.harness.intercepting import intercept
from tests.harness.morning import CLEAR, DEVICES, PNEUMOTHORAX, Morning
from tests.harness.people import add_user, seat
from tests.harness.reading_room import ReadingRoom
from tests.unit.agent.desk_of_readers import service
from tests.unit.agent.ward import now

OBSERVE = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts.push(entry.value);
}).observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ReadingRoom]:
    made = ReadingRoom(tmp_path)
    made.peer()
    yield made
    made.close()


@pytest.fixture
def morning(room: ReadingRoom) -> Morning:
    return Morning(room, add_user(room.database, "rita", Role.RADIOLOGIST, Role.ADMINISTRATOR), "rita")


@pytest.fixture
def address(room: ReadingRoom, morning: Morning, page: Page, served: Callable[[ASGIApp], str]) -> str:
    """Of the pages; `page` is signed in there."""
    url = served(room.app)
    seat(page.context, room.database, "rita", url)
    return url


def picked(page: Page) -> str | None:
    return page.locator("tr.picked").get_attribute("id")


def heard(page: Page, address: str, query: str = "show=all") -> None:
    """Open the worklist and wait until it listens."""
    with page.expect_response("**/worklist/rows?**"):
        page.goto(f"{address}/?{query}")


def test_worklist_by_keyboard_alone(room: ReadingRoom, morning: Morning, page: Page, address: str) -> None:
    for words in (CLEAR, DEVICES, PNEUMOTHORAX):
        room.study(words)
    heard(page, address, "")

    page.keyboard.press("j")
    assert picked(page) == "study-3"  # what is critical stands first
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert picked(page) == "study-2"
    page.keyboard.press("/")
    page.keyboard.type("ACC0002j")
    expect(page.locator("#q")).to_have_value("ACC0002j")
    page.keyboard.press("Backspace")
    with page.expect_response("**/worklist/rows?**"):
        page.keyboard.press("Enter")
    expect(page.locator("#studies tr")).to_have_count(1)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("Next draft to read")
    page.keyboard.press("j")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_have_count(0)
    page.keyboard.press("i")
    page.wait_for_url(f"{address}/study/2")
    expect(page.locator("#theme")).to_have_text("Theme: auto")  # the scripts run
    with page.expect_response("**/worklist/rows?**"):
        page.keyboard.press("g")
        page.keyboard.press("w")
    page.keyboard.press("n")
    page.wait_for_url(f"{address}/study/3/report")


def test_keys_work_where_the_keyboard_has_no_latin_letters(room: ReadingRoom, page: Page, address: str) -> None:
    room.study(CLEAR)
    heard(page, address)

    pressed = {"key": "ㅓ", "code": "KeyJ", "bubbles": True, "cancelable": True}
    page.evaluate("(key) => document.body.dispatchEvent(new KeyboardEvent('keydown', key))", pressed)

    assert picked(page) == "study-1"


def test_patients_whose_long_ids_differ_at_the_end_do_not_look_alike(
    room: ReadingRoom, page: Page, address: str
) -> None:
    numbers = ("HOSPITAL-OF-THE-CITY-2026-00000001", "HOSPITAL-OF-THE-CITY-2026-00000002")
    for number in numbers:
        room.study(CLEAR, PatientID=number)
    page.goto(f"{address}/?show=all")

    shown = page.locator("[title='Patient ID']")

    expect(shown).to_have_text(list(reversed(numbers)))
    assert shown.evaluate_all("(all) => all.map((one) => one.scrollWidth - one.clientWidth)") == [0, 0]
    bottom = "getBoundingClientRect().bottom"
    below = f"(all) => all.map((one) => one.closest('td').{bottom} - one.{bottom})"
    assert min(shown.evaluate_all(below)) >= 0


def test_kept_view_opens_with_its_digit(room: ReadingRoom, page: Page, address: str) -> None:
    room.study(CLEAR)
    room.study(PNEUMOTHORAX)
    heard(page, address, "show=all&finding=Pneumothorax")

    page.get_by_text("Keep this view").click()
    page.get_by_label("Name").fill("Air leaks")
    page.get_by_role("button", name="Keep", exact=True).click()
    page.wait_for_url("**/?show=all&finding=Pneumothorax")
    heard(page, address)
    expect(page.locator("#studies tr")).to_have_count(2)
    page.keyboard.press("1")

    page.wait_for_url("**/?show=all&finding=Pneumothorax")
    expect(page.locator("#studies tr")).to_have_count(1)


def test_rows_change_in_place_while_studies_arrive_and_nothing_jumps(
    room: ReadingRoom, morning: Morning, page: Page, address: str
) -> None:
    report = room.study(PNEUMOTHORAX)
    for _ in range(3):
        room.study(CLEAR)
    page.add_init_script(OBSERVE)
    heard(page, address)
    page.keyboard.press("j")
    page.keyboard.press("j")
    before = picked(page)
    page.evaluate("window.shifts = []")
    place = page.locator("#study-1").bounding_box()

    for _ in range(5):
        morning.arrive()
    service(room).open_(report.id, morning.reader, now())
    expect(page.locator("#study-1")).to_contain_text("opened by rita")
    expect(page.locator("#news")).to_contain_text("5 new studies")
    morning.end(report, Event.EXPIRED)
    expect(page.locator("#study-1 .chip")).to_have_text("expired")

    assert page.locator("#study-1").bounding_box() == place
    assert picked(page) == before
    assert page.evaluate("document.activeElement.closest('tr').id") == before
    assert page.evaluate("window.shifts.reduce((sum, value) => sum + value, 0)") == 0
    page.keyboard.press("r")
    expect(page.locator("#studies tr")).to_have_count(9)
    assert picked(page) == before


def test_news_that_could_not_be_fetched_is_fetched_later(
    room: ReadingRoom, morning: Morning, page: Page, address: str
) -> None:
    report = room.study(CLEAR)
    heard(page, address)
    intercept(page, "**/worklist/rows?**", lambda route: route.fulfill(status=503, body="later"))

    morning.end(report, Event.EXPIRED)
    expect(page.locator("#news")).to_contain_text("What stands here may be old")
    page.unroute("**/worklist/rows?**")

    expect(page.locator("#study-1 .chip")).to_have_text("expired")
    expect(page.locator("#news")).to_be_empty()


def test_theme_follows_the_system_until_it_is_chosen_and_stays(
    room: ReadingRoom, page: Page, address: str, browser: Browser
) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(address)
    expect(page.locator("#theme")).to_have_text("Theme: auto")
    dark = background(page)
    page.keyboard.press("t")
    light = background(page)

    page.reload()

    assert sum(dark) < 150
    assert sum(light) > 600
    assert background(page) == light
    expect(page.locator("#theme")).to_have_text("Theme: light")


def background(page: Page) -> tuple[int, ...]:
    """The color of the page beside everything."""
    corner = page.screenshot(clip={"x": 2, "y": 880, "width": 4, "height": 4})
    pixel = Image.open(io.BytesIO(corner)).convert("RGB").getpixel((1, 1))
    assert isinstance(pixel, tuple)
    return tuple(int(part) for part in pixel)


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("dark", 2560)])
def test_every_state_fits_the_screen(
    room: ReadingRoom, morning: Morning, browser: Browser, served: Callable[[ASGIApp], str], theme: str, width: int
) -> None:
    morning.fill()
    url = served(room.app)
    context = browser.new_context(viewport={"width": width, "height": width * 9 // 16})
    page = context.new_page()
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    seat(page.context, room.database, "rita", url)

    for path in ("/?show=drafts", "/?show=all", "/study/1"):
        page.goto(url + path)
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()
