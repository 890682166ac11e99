"""News for pages that are open: server-sent events (HTML Living Standard, 9.2)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from reports.web.news import Full, News, Newsroom, Pace, told
from reports.web.rights import Right
from reports.web.site import Site

_COME_AGAIN_SECONDS = 20


def routes(site: Site, pace: Pace | None = None) -> list[Route]:
    """Addresses of this module."""
    return [site.route("/events", _Events(site, pace or Pace()).events, Right.SEE)]


class _Events:
    def __init__(self, site: Site, pace: Pace) -> None:
        self._site = site
        self._room = Newsroom(site.database, pace)

    async def events(self, request: Request) -> Response:
        """Which studies changed, as it happens: `changed` with their numbers, null for all; `written` with those whose
        text somebody changes; `silent` and `well` for the database; `ended` where the session has.
        """
        if self._room.is_full:
            headers = {"Retry-After": str(_COME_AGAIN_SECONDS)}
            return PlainTextResponse("Too many browsers listen; ask again later.\n", status_code=503, headers=headers)
        headers = {"X-Accel-Buffering": "no"}  # nginx would keep it back
        return StreamingResponse(self._stream(request), media_type="text/event-stream", headers=headers)

    async def _stream(self, request: Request) -> AsyncIterator[str]:
        try:
            with self._room.seat() as seat:
                yield "retry: 3000\n\n"
                await self._room.ready()  # the browser asks for all once more: no change falls between
                yield "event: well\ndata: {}\n\n"
                async for news in told(self._room, seat):
                    if news is not None:
                        yield _written(news)
                        continue
                    visitor = await run_in_threadpool(self._site.equipment.porter.visitor, request)
                    if visitor is None or not visitor.may(Right.SEE):
                        yield "event: ended\ndata: {}\n\n"
                        return
                    yield ": still here\n\n"
        except Full:
            return


def _written(news: News) -> str:
    if news.silent:
        return "event: silent\ndata: {}\n\n"
    told = []
    if news.studies is None or news.studies or not news.written:
        told.append(("changed", None if news.studies is None else sorted(news.studies)))
    if news.written:
        told.append(("written", sorted(news.written)))
    return "".join(f"event: {name}\ndata: {json.dumps({'studies': studies})}\n\n" for name, studies in told)
