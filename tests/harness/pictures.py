"""Takes the manual's pictures: python -m tests.harness.pictures deploy/docs/pictures [NAME ...].

Without names all of them. A name is that of a scene (tests/harness/gallery.py), or report for a radiologist at work.
"""

from __future__ import annotations

import io
import shutil
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import uvicorn
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright
from starlette.types import ASGIApp

from agent.demo import phantom
from dicom_node.tables import Proof
from reports.people.rights import Role
from tests.harness.gallery import SCENES, Gallery, Scene
from tests.harness.node import wait_until
from tests.harness.people import add_user, seat
from tests.harness.reading_room import ReadingRoom

LARGEST = 120_000  # bytes of a picture
COLORS: Final = 24  # of a theme where there is no film: text, lines and a few chips
WITHOUT: Final = frozenset(
    {
        "worklist-nothing",
        "report-none",
        "badge",
        "provider-refused",
        "provider-done",
        "conformance",
        *(one.name for one in SCENES if one.name.startswith("fresh-") and one.name != "fresh-worklist"),
    }
)
"""Scenes that tests look at, and the manual does not show."""
PAIRS: Final = frozenset({"worklist", "study", "sign-in"})  # a picture for each theme; of the others one in two halves
TEXT = (
    "FINDINGS: The heart is mildly enlarged. No pneumothorax. There is a small left pleural effusion, unchanged "
    "compared to the prior radiograph. No focal consolidation.\nIMPRESSION: Small left pleural effusion."
)


def keep(page: Page, path: Path, largest: int = LARGEST) -> None:
    """A picture of a page with a film, as good as fits."""
    taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for quality in (85, 75, 60, 45):
        taken.save(path, quality=quality, method=6)
        if path.stat().st_size <= largest:
            return


def seen(page: Page) -> Image.Image:
    """What stands on a page, and nothing of the emptiness below."""
    end = page.evaluate("document.querySelector('dialog[open]') ? innerHeight : document.body.scrollHeight - scrollY")
    taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return taken.crop((0, 0, taken.width, min(taken.height, int(end))))


def sharp(taken: Image.Image) -> Image.Image:
    """In few colors, each that of the page or near to it."""
    return taken.quantize(COLORS, dither=Image.Dither.NONE).convert("RGB")


def halves(light: Image.Image, dark: Image.Image) -> Image.Image:
    """The left half of the one beside the right half of the other."""
    both = light.copy()
    both.paste(dark.crop((both.width // 2, 0, both.width, both.height)), (both.width // 2, 0))
    return both


def sit_down(browser: Browser, room: ReadingRoom, base: str, size: tuple[int, int], scheme: str) -> Page:
    """Rita at a screen of this size."""
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    seat(context, room.database, "rita", base)
    return context.new_page()


def take(browser: Browser, room: ReadingRoom, base: str, folder: Path) -> None:
    """A draft as it is opened, as it is edited, and as it is signed."""
    drawn = phantom.pixels(4711, rows=1250, columns=1050)
    first, second = (room.study(text=TEXT, pixels=drawn, StudyDescription="Chest PA (drawn phantom)") for _ in range(2))
    dark = sit_down(browser, room, base, (1920, 1080), "dark")
    dark.goto(f"{base}/study/{room.number(first)}/report")
    expect(dark.locator("[data-act=accept]")).to_have_attribute("aria-disabled", "false", timeout=60_000)
    keep(dark, folder / "report-dark.webp")
    page = sit_down(browser, room, base, (1280, 800), "light")
    page.goto(f"{base}/study/{room.number(second)}/report")
    expect(page.locator("[data-act=accept]")).to_have_attribute("aria-disabled", "false", timeout=60_000)
    page.keyboard.press("e")
    page.keyboard.press("Control+End")
    page.keyboard.type(" Fracture of the left sixth rib.")
    page.get_by_label("Pneumothorax: what it is").select_option("present")
    expect(page.locator("#against li")).to_have_count(1, timeout=60_000)
    expect(page.locator("#saved")).to_have_text("Saved", timeout=60_000)
    keep(page, folder / "report-edited.webp")
    page.get_by_role("button", name="As the text says").click()
    page.keyboard.press("Control+Enter")
    expect(page.locator("#ask-sign")).to_be_visible(timeout=60_000)
    expect(page.locator("#ask-sign .checking")).to_be_empty(timeout=60_000)
    keep(page, folder / "report-sign.webp")
    page.keyboard.type("2580")
    page.keyboard.press("Enter")
    expect(page.locator("#final")).to_be_visible(timeout=60_000)
    expect(page.locator("canvas").first).to_be_visible(timeout=60_000)
    room.deliver()
    expect(page.locator("#arrival")).to_contain_text("In PACS", timeout=60_000)
    keep(page, folder / "report-signed.webp")


def show(browser: Browser, gallery: Gallery, scene: Scene, base: str, scheme: str) -> Page:
    """The scene, as who belongs there sees it."""
    context = browser.new_context(viewport={"width": 1280, "height": scene.height}, color_scheme=scheme)  # type: ignore[arg-type]
    context.set_default_timeout(60_000)
    if scene.whose:
        seat(context, gallery.database(scene.node), scene.whose, base)
    gallery.beat()
    page = context.new_page()
    page.goto(base + gallery.path(scene))
    if scene.do is not None:
        scene.do(page)
    return page


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Its address, on this machine alone."""
    door = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
    thread.start()
    wait_until(lambda: server.started, "the pages are served")
    yield f"http://127.0.0.1:{door.getsockname()[1]}"
    server.should_exit = server.force_exit = True  # a page that listens for news would keep it
    thread.join(30)
    door.close()


def take_report(browser: Browser, folder: Path) -> None:
    """A radiologist at the report page."""
    with TemporaryDirectory() as data:
        room = ReadingRoom(Path(data))
        room.peer("PACS", proof=Proof.ACKNOWLEDGEMENT)
        add_user(room.database, "rita", Role.RADIOLOGIST, name="Reader^Rita")
        with served(room.app) as base:
            take(browser, room, base, folder)
        room.close()


def take_scenes(browser: Browser, folder: Path, scenes: Sequence[Scene]) -> None:
    """Each of them in both themes."""
    with TemporaryDirectory() as data, ExitStack() as stack:
        gallery = Gallery(Path(data))
        bases = {node: stack.enter_context(served(app)) for node, app in gallery.apps.items()}
        for scene in scenes:
            taken = {}
            for scheme in ("dark", "light"):
                page = show(browser, gallery, scene, bases[scene.node], scheme)
                taken[scheme] = sharp(seen(page))
                if scene.has_film and scheme == "dark":
                    keep(page, folder / f"{scene.name}.webp", LARGEST // 2)
                page.context.close()
            if scene.name in PAIRS:
                for scheme, picture in taken.items():
                    picture.save(folder / f"{scene.name}-{scheme}.webp", lossless=True, quality=100, method=6)
            elif not scene.has_film:
                both = halves(taken["light"], taken["dark"])
                both.save(folder / f"{scene.name}.webp", lossless=True, quality=100, method=6)
        gallery.close()


def main(folder: Path, names: Sequence[str]) -> None:
    """Serve, look, go."""
    folder.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=60_000)
    scenes = [one for one in SCENES if one.name not in WITHOUT and (not names or one.name in names)]
    with sync_playwright() as playwright:
        switches = ["--no-sandbox", "--disable-dev-shm-usage", "--enable-unsafe-swiftshader"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=switches)
        if not names or "report" in names:
            take_report(browser, folder)
        take_scenes(browser, folder, scenes)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
