"""What a request may carry, and how long it may take to do so."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

LARGEST_FORM: Final = 1 << 20  # bytes
LARGEST_UPLOAD: Final = 64 << 20  # bytes, of a film that rules are tried on
NOTHING_HAS_NUL: Final = "There is a character in it that no text has (U+0000)."  # PostgreSQL keeps none

_PART_SECONDS = 30.0  # between two parts of a body
_BODY_SECONDS = 300.0  # for all of it


def measured(headers: Headers, receive: Receive, largest: int) -> Receive:
    """`receive` with the limits of this address; what is beyond them ends the connection.

    Raises HTTPException: 413 too large, at once where the header says so; 408 too slow.
    """
    told = headers.get("content-length", "")
    if told.isdecimal() and int(told) > largest:
        raise _too_large(largest)
    return _Meter(receive, largest).receive


class _Meter:
    def __init__(self, receive: Receive, largest: int) -> None:
        self._receive = receive
        self._largest = largest
        self._seen = 0
        self._is_over = False
        self._deadline = time.monotonic() + _BODY_SECONDS

    async def receive(self) -> Message:
        """The next message. After the last part there is only the end of the connection, which may take for ever."""
        if self._is_over:
            return await self._receive()
        patience = min(_PART_SECONDS, self._deadline - time.monotonic())
        try:
            async with asyncio.timeout(patience):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, "It came too slowly.", {"Connection": "close"}) from None
        self._seen += len(message.get("body", b""))
        self._is_over = not message.get("more_body", False)
        if self._seen > self._largest:
            raise _too_large(self._largest)
        return message


def _too_large(largest: int) -> HTTPException:
    return HTTPException(413, f"At most {largest >> 20} MiB are taken here.", {"Connection": "close"})
