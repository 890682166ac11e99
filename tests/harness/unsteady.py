"""Waits at random where a busy machine does, and so shows the tests that hold on a quick one only.

    python -m pytest -p tests.harness.unsteady -n 6 --dist loadfile tests/browser

It waits in the calls of a test to its browser, before a page gets an answer or news, where threads begin, in fsync, at
sockets, and where a transaction begins and is committed; in the process of the tests, not in programs that they start.
A test that fails so either takes one cause for another (news that come late, a timer) or has a limit that is too short.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from playwright._impl._sync_base import SyncBase
from sqlalchemy import event
from sqlalchemy.engine import Engine

_OPTION = "longest_wait"
_OFTEN, _SELDOM = 0.2, 0.03  # of all times: where little happens, and where much does
_AT_SOCKETS = ("accept", "connect", "recv", "recv_into", "send", "sendall")


class Waits:
    """How long, each time that it is asked: mostly no time, at most `longest` seconds."""

    def __init__(self, longest: float) -> None:
        self._longest = longest

    def often(self) -> float:
        return self._one(_OFTEN)

    def seldom(self) -> float:
        return self._one(_SELDOM)

    def _one(self, share: float) -> float:
        return random.random() * self._longest if random.random() < share else 0.0


class LateAnswers:
    """An app whose answers, and each piece of news in them, come late; scripts and style sheets do not."""

    def __init__(self, app: Any, waits: Waits) -> None:
        self._app = app
        self._waits = waits

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/static"):
            await self._app(scope, receive, send)
            return

        async def later(message: Any) -> None:
            await asyncio.sleep(self._waits.often())
            await send(message)

        await asyncio.sleep(self._waits.often())
        await self._app(scope, receive, later)


def _around(patch: pytest.MonkeyPatch, owner: Any, name: str, wait: Callable[[], float]) -> None:
    """Wait before and after each call of `owner`'s function."""
    function = getattr(owner, name)

    def late(*arguments: Any, **settings: Any) -> Any:
        time.sleep(wait())
        given = function(*arguments, **settings)
        time.sleep(wait())
        return given

    patch.setattr(owner, name, late)


def _answer_late(patch: pytest.MonkeyPatch, waits: Waits) -> None:
    make = uvicorn.Config.__init__

    def made(config: uvicorn.Config, app: Any, *arguments: Any, **settings: Any) -> None:
        make(config, LateAnswers(app, waits), *arguments, **settings)

    patch.setattr(uvicorn.Config, "__init__", made)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say how long, with the same number of seconds for every place."""
    parser.addoption("--longest-wait", type=float, default=0.5, dest=_OPTION, help="seconds (default 0.5)")


def pytest_configure(config: pytest.Config) -> None:
    """Before any test is imported: what a test takes hold of is late already."""
    waits = Waits(config.getoption(_OPTION))
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    _around(patch, SyncBase, "_sync", waits.often)
    _around(patch, os, "fsync", waits.often)
    _around(patch, threading.Thread, "start", waits.often)
    _around(patch, threading.Thread, "run", waits.often)
    for name in _AT_SOCKETS:
        _around(patch, socket.socket, name, waits.seldom)
    _answer_late(patch, waits)
    for name in ("begin", "commit"):
        event.listen(Engine, name, lambda *_: time.sleep(waits.seldom()))
