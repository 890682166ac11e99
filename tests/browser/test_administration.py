"""The administrator's pages and that of quality in a real browser: without scripts, without overflow, in both themes.

WETREAD_WRITE_DOCS=1 writes the pictures of deploy/docs anew.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page
from starlette.types import ASGIApp

from dicom_node.rules import book
from dicom_node.worklist import pauses
from tests.harness import axe
from tests.unit.reports.busy_office import BusyOffice

PAGES = {
    "peers": "/peers",
    "peer": "/peers/edit?title=PACS",
    "service": "/peers/service?name=RIS",
    "rules": "/rules",
    "rule": "/rules/edit?name=er-first",
    "queues": "/queues",
    "dead-letters": "/dead-letters",
    "models": "/models",
    "audit": "/audit",
    "check": "/check",
    "quarantine": "/quarantine",
    "sheet": "/sheet",
    "quality": "/quality",
}
SHOWN = {"peers": "dark", "rules": "light", "queues": "light", "dead-letters": "dark", "quality": "light"}
PICTURES = Path(__file__).parents[2] / "deploy" / "docs" / "pictures"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusyOffice]:
    made = BusyOffice(tmp_path_factory.mktemp("office"))
    yield made
    made.database.close()


def test_forms_work_without_scripts(office: BusyOffice, browser: Browser, served: Callable[[ASGIApp], str]) -> None:
    address = served(office.app)
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{address}/rules/edit")
    page.get_by_label("Name").fill("night")
    page.get_by_label("All of these hold").fill("time in 22:00..06:00")
    page.get_by_label("Priority").select_option("backlog")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_text("night is added").wait_for()
    page.get_by_role("button", name="Up night").click()
    page.get_by_text("night is moved").wait_for()
    page.set_input_files("#file", office.film())
    page.get_by_role("button", name="Try on the film").click()
    page.get_by_text("the file", exact=True).wait_for()
    page.goto(f"{address}/queues")
    page.get_by_label("type STOP").fill("STOP")
    page.get_by_role("button", name="Stop everything").click()
    page.get_by_text("Everything is stopped").wait_for()
    page.get_by_role("button", name="Let everything go on").click()
    page.get_by_text("It goes on.").wait_for()
    context.close()

    with office.database.read() as tx:
        assert [one.name for one in book.everyone(tx)][-2:] == ["night", "research"]
        assert pauses.pauses(tx) == []


def test_no_page_is_too_wide_or_hard_to_use(office: BusyOffice, page: Page, served: Callable[[ASGIApp], str]) -> None:
    address = served(office.app)
    wide, stumbled = {}, {}
    for name, path in PAGES.items():
        page.goto(address + path)
        page.get_by_role("heading", level=1).wait_for()
        if found := axe.violations(page):
            stumbled[name] = found
        for width in (1280, 2560):
            page.set_viewport_size({"width": width, "height": 900})
            over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if over > 0:
                wide[name, width] = over
    if os.environ.get("WETREAD_WRITE_DOCS") == "1":
        write_pictures(page, address)

    assert wide == {}
    assert stumbled == {}


def write_pictures(page: Page, address: str) -> None:
    for name, theme in SHOWN.items():
        page.set_viewport_size({"width": 1280, "height": 1240 if name == "quality" else 900})
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        page.goto(address + PAGES[name])
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        target = PICTURES / f"admin-{name}-{theme}.png"
        PICTURES.mkdir(exist_ok=True)
        picture.quantize(48, dither=Image.Dither.NONE).save(target, optimize=True)
        assert target.stat().st_size <= 80 * 1024, (target, target.stat().st_size)
