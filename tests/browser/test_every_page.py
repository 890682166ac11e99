"""Every page of a node, as people meet it: nobody stumbles in either theme, none is too wide, each has its own title.

What is asked of all pages is asked here; what one page does stands in the file of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from starlette.applications import Starlette
from starlette.routing import Match, Route
from starlette.types import ASGIApp

from tests.harness import axe
from tests.harness.gallery import SCENES, Gallery, Scene
from tests.harness.patience import SLOW
from tests.harness.people import seat

NO_PAGE = re.compile(
    r"/(healthz|readyz|metrics|events|static/.*|go|worklist/rows|report/next|account/who|oidc/(begin|callback)"
    r"|api/v1/.+|film/.*|study/\{number:int\}/(films\.json|priors\.json|report/(desk|questions))|.*\.(csv|toml)|sheet\.\{form\})"
)
GRADING = "/grading"  # has a node of its own
ALIKE = {"badge", "worklist-all", "worklist-nothing", "study-held", "sign-in-provider", "error-500", "no-users"} | {
    "sign-in-first",
    "welcome-first",
}
LOOKED_AT = [one for one in SCENES if not one.name.startswith("fresh-")]
PARTS = 4  # of one test: each has its own time
WITH_FILM = "report-asked"
UNNAMED = """() => {
  const named = [...document.querySelectorAll("script[src], link[rel=modulepreload]")];
  const addresses = named.map(({ src, href }) => src || href);
  return performance.getEntriesByType("resource").map(({ name }) => name)
    .filter((name) => /[.]js\\b/.test(name) && !addresses.includes(name));
}"""  # scripts that were found behind others
pytestmark = pytest.mark.timeout(900)  # four nodes are filled first


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    made = Gallery(tmp_path_factory.mktemp("gallery"))
    yield made
    made.close()


class Walk:
    """People who go from page to page, each in a browser of their own."""

    def __init__(self, browser: Browser, gallery: Gallery, serve: Callable[[ASGIApp], str], **options: Any) -> None:
        self._browser = browser
        self._gallery = gallery
        self._options = options
        self._contexts: list[BrowserContext] = []
        self._serve = cache(lambda node: serve(gallery.apps[node]))
        self._sit_down = cache(self._seat)

    def _seat(self, node: str, whose: str) -> Page:
        context = self._browser.new_context(viewport={"width": 1280, "height": 900}, **self._options)
        self._contexts.append(context)
        context.set_default_timeout(SLOW)
        if whose:
            seat(context, self._gallery.database(node), whose, self._serve(node))
        return context.new_page()

    def close(self) -> None:
        """Before the servers go: a page that listens for news would keep them."""
        for context in list(self._contexts):
            context.close()

    def open(self, scene: Scene) -> Page:
        page = self._sit_down(scene.node, scene.whose)
        page.goto(self._serve(scene.node) + self._gallery.path(scene))
        return page


@pytest.fixture
def walk(gallery: Gallery, browser: Browser, served: Callable[[ASGIApp], str]) -> Iterator[Walk]:
    made = Walk(browser, gallery, served)
    yield made
    made.close()


@pytest.mark.parametrize("part", range(PARTS))
def test_nobody_stumbles_on_any_page(walk: Walk, part: int) -> None:
    """The dialogs of the report page in test_day.py."""
    stumbled, wide, without_help, late = {}, {}, [], {}
    for scene in LOOKED_AT[part::PARTS]:
        page = walk.open(scene)
        if found_late := page.evaluate(UNNAMED):
            late[scene.name] = found_late
        if scene.do is not None:
            scene.do(page)
        page.emulate_media(color_scheme="light")
        light = axe.violations(page)
        page.emulate_media(color_scheme="dark")
        if found := [*light, *axe.violations(page, only="color-contrast")]:
            stumbled[scene.name] = found
        for width in (2560, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            if (over := page.evaluate("document.documentElement.scrollWidth - innerWidth")) > 0:
                wide[scene.name, width] = over
        if scene.name != "badge" and not page.locator("dialog[open]").count() and not has_help(page):
            without_help.append(scene.name)

    assert late == {}
    assert stumbled == {}
    assert wide == {}
    assert without_help == []


def has_help(page: Page) -> bool:
    """Does a question mark show the keys?"""
    page.evaluate("() => document.activeElement.blur()")
    expect(page.locator("#theme")).to_have_text("Theme: auto")  # the scripts run
    page.keyboard.press("?")
    return page.get_by_role("dialog", name="Keys").is_visible()


def test_every_address_that_shows_a_page_is_looked_at(gallery: Gallery) -> None:
    seen = set()
    for scene in LOOKED_AT:
        app = gallery.apps[scene.node]
        assert isinstance(app, Starlette)
        seen |= {pattern for pattern, route in pages(app) if leads_to(route, gallery.path(scene))}

    app = gallery.apps["provided"]
    assert isinstance(app, Starlette)
    assert {pattern for pattern, _ in pages(app)} - seen == set()


def pages(app: Starlette) -> list[tuple[str, Route]]:
    """What answers GET, but for what programs, scripts and forms ask."""
    found = [route for route in app.routes if isinstance(route, Route) and "GET" in (route.methods or ())]
    return [(one.path, one) for one in found if not NO_PAGE.fullmatch(one.path) and not one.path.startswith(GRADING)]


def leads_to(route: Route, address: str) -> bool:
    scope = {"type": "http", "method": "GET", "path": address.partition("?")[0], "headers": []}
    return route.matches(scope)[0] is Match.FULL


def test_pages_without_scripts_are_whole_and_called_differently(
    browser: Browser, gallery: Gallery, served: Callable[[ASGIApp], str]
) -> None:
    """The film needs them, and says so; every form is one that a browser sends by itself."""
    bare, titles = [], dict[str, str]()
    walk = Walk(browser, gallery, served, java_script_enabled=False)
    for scene in (one for one in LOOKED_AT if one.do is None and one.name not in ALIKE):
        page = walk.open(scene)
        form = page.locator("main form:not([action]):not([method])")
        if not page.locator("h1").first.is_visible() or form.count() or hidden(page):
            bare.append(scene.name)
        assert titles.setdefault(page.title(), scene.name) == scene.name, page.title()
    walk.close()

    assert bare == []


def hidden(page: Page) -> list[str]:
    """Buttons that only a script would answer."""
    return [one.inner_text() for one in page.locator("main button[type=button]").all() if one.is_visible()]


def test_whoever_moves_by_keyboard_sees_where_they_are(walk: Walk) -> None:
    unseen = []
    for name in ("worklist", "rules", "users", "sign-in"):
        page = walk.open(next(one for one in SCENES if one.name == name))
        for _ in range(25):
            page.keyboard.press("Tab")
            told = page.evaluate(
                """() => { const one = document.activeElement, style = getComputedStyle(one);
                  return [one.tagName, one.textContent.slice(0, 20), one.matches(":focus-visible"),
                          style.outlineStyle, parseFloat(style.outlineWidth)]; }"""
            )
            if told[0] != "BODY" and not (told[2] and told[3] == "solid" and told[4] >= 2):
                unseen.append((name, *told))

    assert unseen == []


def test_paper_says_whose_it_is_and_that_a_machine_wrote_it(walk: Walk) -> None:
    page = walk.open(next(one for one in SCENES if one.name == WITH_FILM))
    expect(page.locator("#pacs")).not_to_be_empty()
    text = page.input_value("#findings")
    page.locator("#left").evaluate("(one) => { one.textContent = '1,000 more'; }")
    places = page.locator(".onward button").evaluate_all("(all) => all.map((one) => [one.offsetTop, one.offsetHeight])")
    assert len(set(map(tuple, places))) == 1, places  # on the screen of 1280 as well
    assert places[0][1] < 40, places
    margins = page.evaluate(
        """() => [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules])
             .filter((rule) => rule instanceof CSSPageRule).map(({ style }) => parseFloat(style.marginLeft))"""
    )
    assert margins
    assert min(margins) >= 10  # mm

    page.emulate_media(media="print", color_scheme="dark")

    for words in ("Example Film", "EX-0004", "AI-GENERATED DRAFT - NOT VERIFIED", "Research software."):
        assert page.get_by_text(words).first.is_visible(), words
    assert page.locator(".behind").first.inner_text().strip() == text
    for what in ("nav", "[data-act=sign]", "#film", "#questions form"):
        assert not page.locator(what).first.is_visible(), what
    ink = page.locator(".identity dd").first.evaluate("(one) => getComputedStyle(one).color")
    assert max(map(int, re.findall(r"\d+", ink)[:3])) < 90, ink  # on white paper, whatever the screen's theme is
