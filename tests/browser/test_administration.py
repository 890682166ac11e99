"""Forms of the administrator's pages in a real browser without scripts; of every page: test_every_page.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser
from starlette.types import ASGIApp

from dicom_node.rules import book
from dicom_node.worklist import pauses
from tests.harness.patience import SLOW
from tests.unit.reports.busy_office import BusyOffice


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusyOffice]:
    made = BusyOffice(tmp_path_factory.mktemp("office"))
    yield made
    made.database.close()


def test_forms_work_without_scripts(office: BusyOffice, browser: Browser, served: Callable[[ASGIApp], str]) -> None:
    address = served(office.app)
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(SLOW)
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
