"""How long a radiologist waits for a film in the page: for the small picture on the screen, and for every pixel.

    python deploy/benchmarks/viewer.py

A film of 2,500 x 2,000 with 12 bits (10 MB), uncompressed and in JPEG-LS, through the real addresses into Debian's
Chromium, from the moment in which the page begins to load the viewer. Three cases: the first film after the start of
the web process, whose decoding process starts as well; a film that nobody has opened yet; one that somebody has. No
limit: it says more about the machine than about the program; 500 ms is what was meant.
"""

from __future__ import annotations

import shutil
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import uvicorn
from playwright.sync_api import Browser, sync_playwright
from pydicom.uid import JPEGLSLossless

from agent import schema
from agent.demo import phantom
from agent.viewing import FilmRoom
from dicom_node import worklist
from dicom_node.database import Database, clock
from dicom_node.files import stored_path
from dicom_node.headers import Header
from reports.web.app import make_app
from reports.web.site import Equipment, Premises

ROUNDS = 5
DIGESTS = ("a" * 64, "b" * 64)
SYNTAXES = (None, JPEGLSLossless)
OPEN = """async (study) => {
    const begun = performance.now();
    const sheet = Object.assign(document.createElement("link"), { rel: "stylesheet", href: "/static/viewer.css" });
    document.head.append(sheet);
    const box = document.createElement("div");
    document.body.replaceChildren(box);
    const after = () => performance.now() - begun;
    const shown = (name) => new Promise((resolve) => box.addEventListener(name, () => resolve(after())));
    const [preview, film] = [shown("film-preview-shown"), shown("film-shown")];
    const { openStudy } = await import("/static/viewer.js");
    await openStudy(box, study);
    return [await preview, await film];
}"""


def write(store: Path) -> None:
    """The film in each transfer syntax."""
    numbers = count(1)
    for number, (digest, syntax) in enumerate(zip(DIGESTS, SYNTAXES, strict=True), start=1):
        film = phantom.film(
            number,
            now=datetime(2026, 1, 2, tzinfo=UTC),
            new_uid=lambda: f"2.25.{next(numbers)}",
            rows=2500,
            columns=2000,
        )
        if syntax:
            film.compress(syntax)
        path = stored_path(store, digest)
        path.parent.mkdir(parents=True)
        film.save_as(path, enforce_file_format=True)
        print(f"film {number}: {syntax.name if syntax else 'uncompressed'}, {path.stat().st_size / 1e6:.1f} MB")


def enter(database: Database) -> None:
    """The films in the books, a study each."""
    for number, digest in enumerate(DIGESTS, start=1):
        uid = f"1.2.{number}"
        header = Header("1.2.840.10008.5.1.4.1.1.1.1", f"{uid}.1", uid, f"{uid}.0", f"P{number}", "", "", "")
        with database.write() as tx:
            arrival = worklist.Arrival(header, "1.2.840.10008.1.2.1", digest, 10_000_000, "CR1")
            worklist.record_instance(tx, arrival, clock(tx))


@contextmanager
def pages(database: Database, store: Path, room: FilmRoom) -> Iterator[str]:
    """The web process with this room, as an address."""
    premises = Premises("WETREAD", 104, store, "0")
    app = make_app(premises, database, not_ready=list, metrics=bytes, equipment=Equipment(films=room))
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # else asyncio keeps Nagle's delay
    door.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        door.close()


def waited(browser: Browser, address: str, study: int) -> tuple[float, float]:
    """Milliseconds to the small picture and to every pixel, in a browser that remembers nothing."""
    context = browser.new_context(viewport={"width": 1920, "height": 1080})
    page = context.new_page()
    page.goto(f"{address}/")
    preview, film = page.evaluate(OPEN, study)
    context.close()
    return preview, film


def measured(browser: Browser, database: Database, store: Path, study: int) -> dict[str, list[tuple[float, float]]]:
    """All three cases, some rounds each."""
    found: dict[str, list[tuple[float, float]]] = {"first film of the process": [], "not yet opened": [], "known": []}
    for _ in range(ROUNDS):
        room = FilmRoom(store)
        with pages(database, store, room) as address:
            found["first film of the process"].append(waited(browser, address, study))
            found["known"].append(waited(browser, address, study))
        room.close()
        room = FilmRoom(store)
        room.describe(DIGESTS[-study])  # of the other film: its process runs
        with pages(database, store, room) as address:
            found["not yet opened"].append(waited(browser, address, study))
        room.close()
    return found


def main() -> None:
    """Print a row for each film and case."""
    chromium = shutil.which("chromium")
    assert chromium, "install Debian's package chromium"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        store = Path(folder) / "store"
        database = Database(f"sqlite:///{folder}/wetread.db")
        schema.upgrade(database)
        write(store)
        enter(database)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        print("| film | case | small picture, ms (best, median) | every pixel, ms |\n|---|---|---|---|")
        for study, syntax in enumerate(SYNTAXES, start=1):
            for case, rounds in measured(browser, database, store, study).items():
                cells = " | ".join(f"{min(one):.0f}, {statistics.median(one):.0f}" for one in zip(*rounds, strict=True))
                print(f"| {syntax.name if syntax else 'uncompressed'} | {case} | {cells} |", flush=True)
        browser.close()
        database.close()


if __name__ == "__main__":
    main()
