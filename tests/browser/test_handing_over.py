"""A draft that is handed to a colleague, at the page of somebody else: it is not taken by looking at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from starlette.types import ASGIApp

from reports.people.rights import Role
from reports.signoff.tables import WorkingCopy
from tests.harness.people import add_user, seat, signed_in
from tests.harness.reading_room import ReadingRoom

SLOW = 60_000  # ms; a busy machine


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
    page.set_default_timeout(SLOW)
    expect.set_options(timeout=SLOW)

    with page.expect_request("**/events"):  # it listens when it is done with opening
        page.goto(f"{base}{address}")
    expect(page.locator("#told")).to_contain_text("Handed to Chief Carl since")

    assert room.ask(lambda tx: tx.get_one(WorkingCopy, report.id).offered_to) == carl
    page.get_by_role("button", name="Open it all the same").click()
    expect(page.locator("#told")).not_to_contain_text("Handed to")
    expect(page.locator("#findings")).to_be_editable()
    assert room.ask(lambda tx: tx.get_one(WorkingCopy, report.id).offered_to) is None
