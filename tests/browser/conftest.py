"""A browser, and apps that it can reach: Debian's Chromium, moved by Playwright, and uvicorn in a thread."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from agent.serving import Patience
from dicom_node.tables import Proof
from reports.people.rights import Role
from reports.web.site import static_files
from tests.harness.node import wait_until
from tests.harness.patience import SLOW
from tests.harness.people import add_user
from tests.harness.reading_room import ReadingRoom

SWITCHES = (
    "--no-sandbox",  # tests run as root in containers
    "--disable-dev-shm-usage",
    "--enable-unsafe-swiftshader",  # WebGL2 without a graphics card
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of a file; no longer, since Playwright leaves its event loop in the thread."""
    chromium = shutil.which("chromium")
    assert chromium is not None, "install Debian's package chromium"
    expect.set_options(timeout=SLOW)  # for the whole process
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=list(SWITCHES))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadingRoom]:
    """Where Rita and Carl read and Tom learns. One for a file: what decodes its films takes long to start."""
    made = ReadingRoom(tmp_path_factory.mktemp("room"))
    made.peer("PACS", proof=Proof.ACKNOWLEDGEMENT)
    add_user(made.database, "rita", Role.RADIOLOGIST, name="Reader^Rita")
    add_user(made.database, "carl", Role.RADIOLOGIST, name="Chief^Carl")
    add_user(made.database, "tom", Role.TRAINEE, name="Trainee^Tom")
    yield made
    made.close()


@pytest.fixture
def complaints() -> list[str]:
    """What broke in the scripts of `page`, or offended the Content Security Policy."""
    return []


@pytest.fixture
def page(browser: Browser, complaints: list[str]) -> Iterator[Page]:
    """An empty tab of 1440 x 900, without cookies of other tests. Fails the test that leaves complaints in it."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(SLOW)
    opened = context.new_page()

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            complaints.append(message.text)

    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", listen)
    yield opened
    opened.unroute_all(behavior="ignoreErrors")  # a request that still waits in a route would fail the next test
    context.close()
    assert complaints == []


@pytest.fixture
def served() -> Iterator[Callable[[ASGIApp], str]]:
    """Serves apps on free ports of 127.0.0.1 until the test ends; gives the address of each, without a slash."""
    running: list[tuple[uvicorn.Server, threading.Thread, socket.socket]] = []

    def serve(app: ASGIApp) -> str:
        door = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # else asyncio keeps Nagle's delay
        door.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(app, http=Patience, log_level="warning", ws="none", timeout_graceful_shutdown=5)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        running.append((server, thread, door))
        thread.start()
        wait_until(lambda: server.started, "the app is served")
        return f"http://127.0.0.1:{door.getsockname()[1]}"

    yield serve
    for server, thread, door in running:
        server.should_exit = True
        thread.join(30)
        door.close()
        assert not thread.is_alive()


@pytest.fixture
def address(served: Callable[[ASGIApp], str]) -> str:
    """A page with nothing in it but who is signed in, as its query says, beside our scripts."""
    files = static_files()

    def script(request: Request) -> Response:
        found = files[request.path_params["name"]]
        return Response(found.content, media_type=found.media_type)

    def page(request: Request) -> Response:
        login = request.query_params.get("login", "")
        return HTMLResponse(f'<!doctype html><title>x</title><span data-login="{login}"></span><ul id="lately"></ul>')

    return served(Starlette(routes=[Route("/", page), Route("/static/{name}", script)]))
