"""Takes the manual's picture of a reader study: python -m tests.harness.grading_pictures deploy/docs/pictures."""

from __future__ import annotations

import shutil
import socket
import sys
import threading
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import uvicorn
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from agent.demo import phantom
from agent.evaluation.packing import Recipe, choose, pack
from agent.manifest import Case
from tests.harness.grading_room import SEED, Study, add_rater, grading_app
from tests.harness.node import wait_until

TEXT = (
    "The heart is mildly enlarged. There is a small left pleural effusion with adjacent basal atelectasis. No "
    "pneumothorax. No focal consolidation. The mediastinal contours are normal."
)


def draw_study(folder: Path, films: int = 40) -> Study:
    """The same drawn phantom again and again: one page is looked at."""
    values = phantom.pixels(4711, rows=1250, columns=1050).astype(np.float64)
    path = folder / "film.png"
    Image.fromarray((values * (255 / phantom.WHITE)).astype(np.uint8)).save(path)
    cases = [Case(f"film {number}", number, path, report=TEXT) for number in range(films)]
    choice = choose(cases, {case.id: TEXT for case in cases}, SEED, None)
    study, key = folder / "STUDY", folder / "key.json"
    recipe = Recipe("Reader study", SEED, "2026-11-22T12:00:00+00:00", "wetread", {})
    return Study(study, key, pack(choice, recipe, study, key, lambda _done: None))


def main(folder: Path) -> None:
    """At 1280 x 800."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as kept, sync_playwright() as playwright:
        study = draw_study(Path(kept))
        with grading_app(study) as (app, database):
            link = add_rater(database, study.package, "R2")
            door = socket.create_server(("127.0.0.1", 0))
            server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
            thread.start()
            wait_until(lambda: server.started, "the pages are served")
            base = f"http://127.0.0.1:{door.getsockname()[1]}"
            switches = ["--no-sandbox", "--disable-dev-shm-usage", "--enable-unsafe-swiftshader"]
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=switches)
            page = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light").new_page()
            page.goto(f"{base}{link}")
            page.keyboard.press("Enter")
            page.wait_for_url(f"{base}/")
            page.keyboard.press("Enter")
            for position, letter in enumerate("abacbab", start=1):
                page.wait_for_url(f"**/item/{position}")
                expect(page.locator("button.grade-A")).to_have_attribute("aria-disabled", "false", timeout=60_000)
                page.keyboard.press(letter)
            page.wait_for_url("**/item/8")
            expect(page.locator("button.grade-A")).to_have_attribute("aria-disabled", "false", timeout=60_000)
            taken = Image.open(BytesIO(page.screenshot())).convert("RGB")
            taken.save(folder / "reader-study-light.webp", quality=75, method=6)
            browser.close()
            server.should_exit = True
            thread.join(30)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
