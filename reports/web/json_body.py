"""The JSON that a script of ours sent, read within a page that runs in a thread."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from anyio import from_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request

from reports.web.bodies import NOTHING_HAS_NUL

_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # as JSON writes it (RFC 8259 7); not behind another backslash


def json_of(request: Request) -> Mapping[str, Any]:
    """Wait for the object. Raises HTTPException as `object_in`."""
    return object_in(from_thread.run(request.body))


def object_in(content: bytes) -> dict[str, Any]:
    """Read a JSON object. Raises HTTPException: it is none, or holds what cannot be kept: half a character, U+0000."""
    try:
        body = json.loads(content)
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "This is no JSON.") from error
    if not isinstance(body, dict):
        raise HTTPException(400, "This is no JSON object.")
    if has_nul(body):
        raise HTTPException(400, NOTHING_HAS_NUL)
    return body


def has_nul(told: object) -> bool:
    """Is U+0000 anywhere in what JSON said? PostgreSQL keeps it in no column."""
    return _NUL.search(json.dumps(told)) is not None
