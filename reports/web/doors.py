"""A door stands before every address: it asks who comes, and opens to those who have the right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol
from urllib.parse import quote, unquote_to_bytes, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route, request_response
from starlette.types import Receive, Scope, Send

from reports.web.api.problems import PREFIX, problem
from reports.web.bodies import LARGEST_FORM, NOTHING_HAS_NUL, measured
from reports.web.rights import NOBODY, Right, Visitor

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OVER = (
    "Your session is over, and nothing was changed. Sign in again in another tab, come back here, and reload this "
    "page: the browser sends what you typed once more."
)


class Porter(Protocol):
    """Knows who comes."""

    def visitor(self, request: Request) -> Visitor | None:
        """Who asks; None where that is not known: the person must sign in first. Called in a thread."""


class OpenHouse:
    """Lets everybody see and nobody change: what the pages are as long as there are no users."""

    def visitor(self, request: Request) -> Visitor | None:  # noqa: ARG002
        """Nobody."""
        return NOBODY


class OnlyKnown:
    """Nobody sees anything before signing in: what the pages are where others than this machine reach them."""

    def __init__(self, porter: Porter) -> None:
        self._porter = porter

    def visitor(self, request: Request) -> Visitor | None:
        """Who asks, or None; an open house is closed."""
        visitor = self._porter.visitor(request)
        return None if visitor == NOBODY else visitor


class Door:
    """An ASGI endpoint behind a right. `visitor_of(request)` tells the endpoint who came."""

    def __init__(
        self, endpoint: Callable[[Request], Any], right: Right, porter: Porter, *, largest: int = LARGEST_FORM
    ) -> None:
        self.right = right
        self.largest = largest
        self._app = request_response(endpoint)
        self._porter = porter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        request = Request(scope, receive)
        if "\0" in scope["path"] or "\0" in unquote_to_bytes(scope["query_string"]).decode("latin-1"):
            raise HTTPException(400, NOTHING_HAS_NUL)
        visitor = NOBODY if self.right is Right.OPEN else await run_in_threadpool(self._porter.visitor, request)
        if visitor is None:
            await _sign_in_first(request)(scope, receive, send)
            return
        scope.setdefault("state", {})["visitor"] = visitor
        if not visitor.may(self.right):
            raise HTTPException(403)
        if request.method not in _SAFE and not is_from_our_pages(request):
            raise HTTPException(403, "This did not come from a page of this site.")
        await self._app(scope, measured(request.headers, receive, self.largest), send)


def door(
    porter: Porter,
    path: str,
    endpoint: Callable[[Request], Any],
    right: Right,
    *,
    methods: Sequence[str] = ("GET",),
    largest: int = LARGEST_FORM,
) -> Route:
    """A route behind its right. endpoint: a function of the request, async or run in a thread.

    largest: bytes that a request may carry.
    """
    return Route(path, Door(endpoint, right, porter, largest=largest), methods=list(methods))


def visitor_of(request: Request) -> Visitor:
    """Who came through the door."""
    visitor = request.scope.get("state", {}).get("visitor", NOBODY)
    assert isinstance(visitor, Visitor)
    return visitor


def is_from_our_pages(request: Request) -> bool:
    """Was it a page of ours that made the browser send this? The cookie alone does not say so.

    A browser says whose page asks in Sec-Fetch-Site (Fetch Metadata), and older ones in Origin; a form of another site
    cannot change either. A program that sends neither brings a token and no cookie.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    if origin is not None:
        try:
            return urlsplit(origin).netloc == request.headers.get("host")
        except ValueError:  # "http://["
            return False
    return "cookie" not in request.headers and "authorization" in request.headers


def _sign_in_first(request: Request) -> Response:
    for_people = "text/html" in request.headers.get("accept", "")
    if for_people and request.method == "GET":
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?next={quote(wanted, safe='')}", status_code=303)
    if request.url.path.startswith(PREFIX):
        return problem(401, "Bring a token (Authorization: Bearer ...), or sign in.")
    if for_people:
        raise HTTPException(401, _OVER)
    return JSONResponse({"detail": "Sign in first."}, status_code=401)
