"""Requests of a page that a test holds, answers or loses."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, Route

_PROBE = "/is-it-intercepted"
_YES = 299  # a status that nobody else gives


def intercept(page: Page, address: str | re.Pattern[str], handler: Callable[[Route], object]) -> None:
    """`Page.route`, from the next request of the page on.

    The browser tells a page that is there already without waiting for it: what the page asks for in the very next
    moment may slip by, and then nobody hears of it, `expect_request` neither. So the page asks until it is heard.
    """
    page.route(address, handler)
    if not page.url.startswith("http"):
        return  # it has asked for nothing yet
    page.route(f"**{_PROBE}", lambda route: route.fulfill(status=_YES))
    while page.evaluate("async (probe) => (await fetch(probe)).status", _PROBE) != _YES:
        pass
    page.unroute(f"**{_PROBE}")
