"""News for open pages over a real connection: what changed, the end of the session, the end of the process."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from agent.config import WebConfig
from agent.serving import make_server
from reports.web.news import News, Newsroom, Pace, Seat, told
from reports.web.pages import events
from reports.web.rights import NOBODY, Visitor
from reports.web.site import Equipment, Premises, Site, make_templates, static_files
from tests.harness.morning import Morning
from tests.harness.node import free_port, wait_until
from tests.harness.reading_room import ReadingRoom
from tests.unit.agent.desk_of_readers import EDITED, RITA, ready, service
from tests.unit.agent.ward import now


class Attendant:
    """Lets everybody in until the house is closed."""

    closed = False

    def visitor(self, request: Request) -> Visitor | None:
        return None if self.closed else NOBODY


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ReadingRoom]:
    made = ReadingRoom(tmp_path)
    yield made
    made.close()


@contextmanager
def serving(room: ReadingRoom, attendant: Attendant, **pace: float) -> Iterator[tuple[str, Callable[[], None]]]:
    """The one address behind a real server, and what stops it."""
    premises = Premises(ae_title="WETREAD", port=11112, store_folder=room.folder, version="1")
    site = Site(
        premises,
        room.database,
        make_templates(premises, static_files()),
        lambda: (),
        Equipment(porter=attendant),
    )
    app = Starlette(routes=list(events.routes(site, Pace(looks=0.05, **{"beats": 0.3, **pace}))))
    port = free_port()
    server = make_server(app, WebConfig(port=port))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, "the server listens")

    def stop() -> None:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()

    try:
        yield f"http://127.0.0.1:{port}/events", stop
    finally:
        stop()


def lines(answer: httpx.Response) -> Iterator[str]:
    return (line for line in answer.iter_lines() if line)


def test_browser_hears_what_changed_and_that_its_session_ended(room: ReadingRoom) -> None:
    attendant = Attendant()
    with serving(room, attendant) as (url, _), httpx.stream("GET", url, timeout=60) as answer:
        heard = lines(answer)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert [next(heard), next(heard)] == ["retry: 3000", "event: well"]

        assert next(line for line in heard if line.startswith(":")) == ": still here"
        Morning(room, 0, "x").arrive()
        assert next(line for line in heard if line.startswith("event")) == "event: changed"
        assert json.loads(next(heard).partition(" ")[2]) == {"studies": [1]}
        attendant.closed = True

        assert "event: ended" in list(heard)


def test_text_that_is_being_written_is_news_of_its_own(room: ReadingRoom) -> None:
    """Rows of a worklist do not change with every word that somebody types."""
    report = room.study()
    opened = ready(room)
    with serving(room, Attendant()) as (url, _), httpx.stream("GET", url, timeout=60) as answer:
        heard = lines(answer)
        assert next(line for line in heard if line.startswith("event")) == "event: well"

        service(room).save(report.id, RITA, EDITED, {}, opened.version, now())

        assert next(line for line in heard if line.startswith("event")) == "event: written"
        assert json.loads(next(heard).partition(" ")[2]) == {"studies": [room.number(report)]}


def test_sign_of_life_comes_however_much_is_new(room: ReadingRoom) -> None:
    """At each of them the session is asked for: one that ended must not go on listening while there is news."""

    async def listen() -> News | None:
        newsroom, seat = Newsroom(room.database, Pace(beats=0.05, lasts=5)), Seat()
        news: News | None = News()
        seat.bell.set()
        async for news in told(newsroom, seat):
            if news is None:
                break
            seat.bell.set()  # there is always more
        return news

    assert asyncio.run(listen()) is None


def test_process_that_ends_hangs_up_without_a_complaint(room: ReadingRoom, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.ERROR, "uvicorn.error"),
        serving(room, Attendant()) as (url, stop),
        httpx.stream("GET", url, timeout=60, headers={"Accept": "text/event-stream"}) as answer,
    ):
        heard = lines(answer)  # as long as it lives, so does the connection
        assert next(heard)
        stop()

    assert [record.getMessage() for record in caplog.records] == []


def test_process_ends_in_order_beside_a_browser_that_has_asked_nothing_yet(
    room: ReadingRoom, caplog: pytest.LogCaptureFixture
) -> None:
    """Browsers open connections in advance."""
    with (
        caplog.at_level(logging.ERROR, "uvicorn.error"),
        serving(room, Attendant(), seats=0) as (url, stop),
        socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as silent,
    ):
        assert httpx.get(url, timeout=60).status_code == 503  # whoever came first is in by now
        stop()

        assert silent.recv(1) == b""

    assert [record.getMessage() for record in caplog.records] == []


def test_browser_beyond_the_seats_is_asked_to_come_again(room: ReadingRoom) -> None:
    with serving(room, Attendant(), seats=1) as (url, _), httpx.stream("GET", url, timeout=60) as answer:
        heard = lines(answer)  # as long as it lives, so does the connection
        assert next(heard)

        refused = httpx.get(url, timeout=60)

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "20")
