"""Takes the manual's pictures of the report page: python -m tests.harness.report_pictures deploy/docs/pictures."""

from __future__ import annotations

import io
import shutil
import socket
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from agent.demo import phantom
from dicom_node.tables import Proof
from reports.people.rights import Role
from tests.harness.node import wait_until
from tests.harness.people import add_user, cookie_for
from tests.harness.reading_room import ReadingRoom

LARGEST = 120_000  # bytes of a picture
TEXT = (
    "FINDINGS: The heart is mildly enlarged. No pneumothorax. There is a small left pleural effusion, unchanged "
    "compared to the prior radiograph. No focal consolidation.\nIMPRESSION: Small left pleural effusion."
)


def keep(page: Page, path: Path) -> None:
    """A picture of the page, as good as fits."""
    taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for quality in (85, 75, 60, 45):
        taken.save(path, quality=quality, method=6)
        if path.stat().st_size <= LARGEST:
            return


def sit_down(browser: Browser, room: ReadingRoom, base: str, size: tuple[int, int], scheme: str) -> Page:
    """Rita at a screen of this size."""
    name, value = cookie_for(room.database, "rita")
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    context.add_cookies([{"name": name, "value": value, "url": base}])
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
    keep(page, folder / "report-sign.webp")
    page.keyboard.type("2580")
    page.keyboard.press("Enter")
    expect(page.locator("#final")).to_be_visible(timeout=60_000)
    expect(page.locator("canvas").first).to_be_visible(timeout=60_000)
    room.deliver()
    expect(page.locator("#arrival")).to_contain_text("In PACS", timeout=60_000)
    keep(page, folder / "report-signed.webp")


def main(folder: Path) -> None:
    """Serve a room, look at it, go."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as data, sync_playwright() as playwright:
        room = ReadingRoom(Path(data))
        room.peer("PACS", proof=Proof.ACKNOWLEDGEMENT)
        add_user(room.database, "rita", Role.RADIOLOGIST, name="Reader^Rita")
        door = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(room.app, log_level="warning", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started, "the pages are served")
        switches = ["--no-sandbox", "--disable-dev-shm-usage", "--enable-unsafe-swiftshader"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=switches)
        take(browser, room, f"http://127.0.0.1:{door.getsockname()[1]}", folder)
        browser.close()
        server.should_exit = True
        thread.join(30)
        room.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
