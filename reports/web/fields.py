"""What a form or a script of ours sends, read before the page that needs it runs in its thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from reports.web.bodies import NOTHING_HAS_NUL
from reports.web.json_body import object_in

Fields = Mapping[str, str]


def typed(answer: Callable[[Request, Fields], Response]) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint of a function that takes what was typed as well. Passwords come as they are, with their spaces."""

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(answer, request, await _fields(request))

    return endpoint


def wants_json(request: Request) -> bool:
    """Does a script ask, and not a form?"""
    return "application/json" in request.headers.get("accept", "")


async def _fields(request: Request) -> Fields:
    if request.headers.get("content-type", "").startswith("application/json"):
        found = _object(await request.body())
    else:
        form = await request.form(max_files=0, max_fields=50)
        found = {name: value for name, value in form.items() if isinstance(value, str)}
    if any("\0" in value for value in found.values()):
        raise HTTPException(400, NOTHING_HAS_NUL)
    return MappingProxyType(found)


def _object(body: bytes) -> dict[str, str]:
    found = object_in(body)
    if not all(isinstance(value, str) for value in found.values()):
        raise HTTPException(400, "That is no JSON object of texts.")
    return found
