"""The JSON that a script of ours sent, read within a page that runs in a thread."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from anyio import from_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request


def json_of(request: Request) -> Mapping[str, Any]:
    """Wait for the object. Raises HTTPException as `object_in`."""
    return object_in(from_thread.run(request.body))


def object_in(content: bytes) -> dict[str, Any]:
    """Read a JSON object. Raises HTTPException: it is none, or holds half a character, which cannot be kept."""
    try:
        body = json.loads(content)
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "This is no JSON.") from error
    if not isinstance(body, dict):
        raise HTTPException(400, "This is no JSON object.")
    return body
