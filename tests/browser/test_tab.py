"""What a tab remembers from one page to the next: words that were not saved, and reports that were just signed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from reports.web.site import static_files

SIGNED = "/study/1/report"


@pytest.fixture
def address(served: Callable[[ASGIApp], str]) -> str:
    """A page with nothing in it but who is signed in, as its query says, beside our scripts."""
    files = static_files()

    def script(request: Request) -> Response:
        found = files[request.path_params["name"]]
        return Response(found.content, media_type=found.media_type)

    def page(request: Request) -> Response:
        login = request.query_params.get("login", "")
        return HTMLResponse(f'<!doctype html><title>x</title><span data-login="{login}"></span><ul id="lately"></ul>')

    return served(Starlette(routes=[Route("/", page), Route("/static/{name}", script)]))


def test_words_that_were_not_saved_are_offered_to_who_wrote_them_alone(page: Page, address: str) -> None:
    def autosave(login: str, then: str) -> Any:
        page.goto(f"{address}/?login={login}")
        return page.evaluate(
            """async (then) => {
              const { Autosave } = await import("/static/autosave.js");
              const read = () => ({ findings: "Kim's words.", impression: "", chips: {} });
              const saving = new Autosave({ calls: { report: 7 }, version: 1, read, told: () => {} });
              return then === "touch" ? saving.touch() : saving.left();
            }""",
            then,
        )

    autosave("kim", "touch")

    assert autosave("lee", "left") is None
    assert autosave("kim", "left")["findings"] == "Kim's words."


def looks_in_ten_minutes(page: Page, address: str, arrival: dict[str, Any]) -> int:
    """How often a page asks for what was signed just before."""
    page.clock.install()
    page.goto(address)
    page.evaluate(
        """async ([signed, arrival]) => {
          sessionStorage.setItem("wetread-signed", JSON.stringify([signed]));
          window.looks = 0;
          const look = async () => { window.looks += 1; return { arrival }; };
          const { lately } = await import("/static/lately.js");
          lately(document.getElementById("lately"), { base: "/study/2/report", look });
        }""",
        [SIGNED, arrival],
    )
    for _ in range(60):
        page.clock.run_for(10_000)
    assert page.locator("#lately").inner_text() == f"Study 1: {arrival['words']}"
    return int(page.evaluate("window.looks"))


def kept(page: Page) -> list[str]:
    return list(json.loads(page.evaluate("sessionStorage.getItem('wetread-signed')")))


@pytest.mark.parametrize(
    ("to", "left"),
    [
        ([], []),  # no destination gets it
        ([{"name": "PACS", "there": True, "failed": False}, {"name": "OLD", "there": False, "failed": True}], [SIGNED]),
    ],
)
def test_what_does_not_come_by_itself_is_asked_for_once(
    page: Page, address: str, to: list[dict[str, Any]], left: list[str]
) -> None:
    assert looks_in_ten_minutes(page, address, {"there": False, "words": "Not there.", "to": to}) == 1
    assert kept(page) == left


def test_what_is_on_its_way_is_asked_for_ever_less_often(page: Page, address: str) -> None:
    to = [{"name": "PACS", "there": False, "failed": False}]

    assert 5 < looks_in_ten_minutes(page, address, {"there": False, "words": "On its way.", "to": to}) < 30
    assert kept(page) == [SIGNED]
