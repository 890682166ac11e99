"""Databases for every test that asks for one: a fresh SQLite file, and a real PostgreSQL, by turns."""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from agent import schema
from dicom_node.database import Database
from tests.harness.installation import empty_database
from tests.harness.postgres import PostgresServer, empty
from tests.harness.statements import keep_compiled
from tests.harness.templates import keep_templates


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """End the process, with the stack of every thread, where a test hangs for good.

    pytest-timeout raises once, in the main thread: a fixture that hangs while it ends after that would wait for ever,
    and so would the whole run.
    """
    end_if_it_hangs(item)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    end_if_it_hangs(item)  # once more: pytest cancels it at a failure, for a debugger's sake
    return (yield)


def end_if_it_hangs(item: pytest.Item) -> None:
    marker = item.get_closest_marker("timeout")
    named = (*marker.args, marker.kwargs.get("timeout"))[0] if marker else None
    seconds = float(named or item.config.getvalue("timeout") or 180)
    faulthandler.dump_traceback_later(seconds + 60, exit=True, file=item.config.stash[STDERR])


STDERR = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STDERR] = os.dup(2)  # what a test captures is not seen when its process ends
    keep_compiled()
    keep_templates()
    *others, _renderer = structlog.get_config()["processors"]
    short = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*others, short])  # the usual one draws every variable of every frame, for a second
    if not config.getoption("numprocesses", None):  # who only hands out tests collects none
        gc.disable()  # until all is collected, below: what is imported stays


def pytest_unconfigure(config: pytest.Config) -> None:
    os.close(config.stash[STDERR])


def pytest_collection_finish() -> None:
    """Ten thousand tests and their libraries stay until the end: who looks through them for garbage spends a fifth."""
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Name a failure when it happens: a run that is broken off never comes to its summary."""
    if report.failed and "CI" in os.environ and "PYTEST_XDIST_WORKER" not in os.environ:
        words = report.longreprtext.splitlines()[-40:]
        print("", f"FAILED while in {report.when}: {report.nodeid}", *words, sep="\n", flush=True)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """What a command of ours sets up for its whole process ends with the test that called it."""
    settings, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**settings)
    root.handlers[:], root.level = handlers, level


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresServer) -> str:
    """A database with our tables, emptied before each test that uses it."""
    url = postgres_server.create("shared")
    database = Database(url)
    schema.upgrade(database)
    database.close()
    return url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    path = tmp_path / "wetread.db"
    path.touch(mode=0o600)
    path.write_bytes(empty_database())
    return f"sqlite:///{path}"


@pytest.fixture
def empty_postgres_url(postgres_url: str) -> str:
    empty(postgres_url)
    return postgres_url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """The same test on both databases."""
    fixture = "sqlite_url" if request.param == "sqlite" else "empty_postgres_url"
    opened = Database(request.getfixturevalue(fixture), busy_seconds=10)
    yield opened
    opened.close()


@pytest.fixture
def open_database() -> Iterator[Callable[[str], Database]]:
    """Opens databases by URL and closes them afterwards."""
    opened: list[Database] = []

    def open_one(url: str) -> Database:
        opened.append(Database(url, busy_seconds=10))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()
