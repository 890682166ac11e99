"""The film in the page, in a real browser: what is painted is what the standard says, and keys and mouse do it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page
from pydicom import Dataset
from pydicom.uid import JPEGLSLossless
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from agent.viewing import FilmRoom
from dicom_node.files import stored_path
from reports.web.film import FilmTrouble
from reports.web.guard import SECURITY_HEADERS
from reports.web.site import static_files
from tests.harness.node import wait_until
from tests.unit.agent.test_pixels import lut, make

PAGE = """<!doctype html><html lang="en"><head><title>film</title><link rel="stylesheet" href="/static/viewer.css">
<script type="module" src="/static/test.js"></script></head><body><div id="viewer"></div></body></html>"""
SCRIPT = """
import { FilmViewer, KEYS } from "/static/viewer.js";
const element = document.getElementById("viewer");
window.events = [];
for (const name of ["film-preview-shown", "film-shown", "film-failed"])
  element.addEventListener(name, ({ detail }) => window.events.push([name, detail.id ?? detail.code]));
element.addEventListener("film-loaded", ({ detail }) => detail.full && (window.loaded = "loaded"));
const films = window.films = await (await fetch("/films.json")).json();
window.keys = KEYS.map(({ key }) => key);
const others = films.slice(1).map((film) => ({ words: "Prior", film }));
window.start = (settings) => (window.viewer = new FilmViewer(element, { film: films[0], others, ...settings }));
"""
TALL, BROAD = 160, 130
RNG = np.random.default_rng(7)


class Hanging:
    """Films on a light box: served as the pages serve them, without a database."""

    def __init__(self, room: FilmRoom, folder: Path) -> None:
        self.room = room
        self.busy = 0  # answers that tell the viewer to ask again
        self._folder = folder
        self._digests: list[str] = []

    def hang(self, film: Dataset) -> None:
        written = BytesIO()
        film.save_as(written, enforce_file_format=True)
        digest = hashlib.sha256(written.getvalue()).hexdigest()
        path = stored_path(self._folder, digest)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(written.getvalue())
        self._digests.append(digest)

    def app(self) -> ASGIApp:
        files = {name: (one.content, one.media_type) for name, one in static_files().items()}
        files["test.js"] = (SCRIPT.encode(), "text/javascript")
        return Starlette(
            routes=[
                Route("/", lambda request: HTMLResponse(PAGE)),
                Route("/static/{name}", lambda request: _file(*files[request.path_params["name"]])),
                Route("/films.json", self.listed),
                Route("/{product}/{place:int}", self.product),
            ],
            middleware=[Middleware(_Headers)],
        )

    def listed(self, request: Request) -> Response:
        return JSONResponse([self._told(place) for place in range(len(self._digests))])

    def product(self, request: Request) -> Response:
        digest = self._digests[request.path_params["place"]]
        if self.busy:
            self.busy -= 1
            busy = {"code": "busy", "detail": "Too many films are being decoded at this moment."}
            return JSONResponse(busy, status_code=503, headers={"Retry-After": "0"})
        try:
            picture = getattr(self.room, request.path_params["product"])(digest)
        except FilmTrouble as trouble:
            return JSONResponse({"code": trouble.code, "detail": trouble.explanation}, status_code=422)
        headers = {"Content-Encoding": picture.encoding} if picture.encoding else {}
        return Response(picture.content, media_type=picture.media_type, headers=headers)

    def _told(self, place: int) -> dict[str, Any]:
        addresses = {"preview": f"/preview/{place}", "pixels": f"/pixels/{place}"}
        facts = None if self.busy else dict(self.room.describe(self._digests[place]))
        return {"id": place + 1, **addresses, "facts": facts, "words": []}


class _Headers:
    """The pages' own Content Security Policy."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def locked(message: Any) -> None:
            if message["type"] == "http.response.start":
                policy = SECURITY_HEADERS["Content-Security-Policy"].encode()
                message["headers"] = [*message["headers"], (b"content-security-policy", policy)]
            await send(message)

        await self._app(scope, receive, locked)


def _file(content: bytes, media_type: str) -> Response:
    return Response(content, media_type=media_type)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FilmRoom, Path]]:
    folder = tmp_path_factory.mktemp("films")
    made = FilmRoom(folder, mebibytes=1024, children=1)
    yield made, folder
    made.close()


@pytest.fixture
def hanging(room: tuple[FilmRoom, Path]) -> Hanging:
    return Hanging(*room)


@pytest.fixture
def open_viewer(hanging: Hanging, served: Callable[[ASGIApp], str], page: Page) -> Callable[..., Page]:
    """Opens a page with a viewer of these films, and waits until the first one was shown."""

    def open_one(*films: Dataset, shown: str = "film-shown", **settings: Any) -> Page:
        for film in films:
            hanging.hang(film)
        page.goto(served(hanging.app()))
        wait_until(lambda: page.evaluate("window.start !== undefined"), "the script is loaded")
        page.evaluate("(settings) => void window.start(settings)", settings)
        wait_until(lambda: shown in [*names(page), page.evaluate("window.loaded")], f"the viewer tells {shown}")
        return page

    return open_one


def names(page: Page) -> list[str]:
    """What the viewer told so far."""
    return [name for name, _ in page.evaluate("window.events")]


def noise(bits: int = 12, *, signed: bool = False) -> NDArray[Any]:
    values = RNG.integers(0, 1 << bits, (TALL, BROAD))
    return (values - (1 << bits - 1)).astype(np.int16) if signed else values.astype(np.uint16)


def grays(page: Page) -> NDArray[np.uint8]:
    """The middle of the film as it is on the canvas, one film pixel on one of the screen."""
    page.evaluate("viewer.main.actual()")
    read = page.evaluate(
        f"""() => {{
        const {{ canvas, view }} = viewer.main;
        const [x, y] = [Math.round(canvas.width / 2 - view.x), Math.round(canvas.height / 2 - view.y)];
        return [...viewer.main.read(x, y, {BROAD}, {TALL})];
    }}"""
    )
    return np.array(read, dtype=np.uint8).reshape(TALL, BROAD)


def eight(gray: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Rounded as the script rounds."""
    return np.floor(np.clip(gray, 0, 1) * 255 + 0.5).astype(np.uint8)


def by_the_standard(x: NDArray[Any], function: str, c: float, w: float) -> NDArray[np.uint8]:
    """PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2, ymin 0, ymax 1, as it stands there."""
    x = x.astype(np.float64)
    if function == "SIGMOID":
        return eight(1 / (1 + np.exp(-4 * (x - c) / w)))
    if function == "LINEAR_EXACT":
        return eight(np.where(x <= c - w / 2, 0, np.where(x > c + w / 2, 1, (x - c) / w + 0.5)))
    low, high = c - 0.5 - (w - 1) / 2, c - 0.5 + (w - 1) / 2
    return eight(np.where(x <= low, 0, np.where(x > high, 1, (x - (c - 0.5)) / (w - 1) + 0.5)))


@pytest.mark.parametrize("painter", ["webgl2", "2d"])
def test_every_pixel_has_the_gray_of_the_standards_formula(open_viewer: Callable[..., Page], painter: str) -> None:
    values = noise()
    functions = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
    films = [make(values, WindowCenter=[2048, 100], WindowWidth=[1999, 6], VOILUTFunction=one) for one in functions]
    page = open_viewer(*films, painter=painter)
    assert page.evaluate("viewer.main.painter.name") == painter

    for place, function in enumerate(functions):
        page.evaluate("(place) => viewer.show(films[place])", place)
        assert np.array_equal(grays(page), by_the_standard(values, function, 2048, 1999)), function
        page.evaluate("viewer.own()")  # narrow enough that half a value counts
        assert np.array_equal(grays(page), by_the_standard(values, function, 100, 6)), function


@pytest.mark.parametrize("painter", ["webgl2", "2d"])
def test_sixteen_signed_bits_with_rescale_and_low_values_bright(open_viewer: Callable[..., Page], painter: str) -> None:
    values = noise(16, signed=True)
    film = make(
        values,
        BitsStored=16,
        HighBit=15,
        PhotometricInterpretation="MONOCHROME1",
        RescaleSlope="0.25",
        RescaleIntercept="-1000",
        WindowCenter=-900,
        WindowWidth=12000,
    )
    page = open_viewer(film, painter=painter)

    shown = by_the_standard(values * 0.25 - 1000, "LINEAR", -900, 12000)
    assert np.abs(grays(page).astype(int) - (255 - shown.astype(int))).max() <= 1  # 127.5 is rounded either way
    page.locator("#viewer").get_by_role("button", name="Invert").click()
    assert np.array_equal(grays(page), shown)


def test_a_voi_lut_of_a_compressed_film_is_looked_up(open_viewer: Callable[..., Page]) -> None:
    values = noise()
    table = [int(65535 * (index / 4095) ** 2) for index in range(4096)]
    film = make(values, VOILUTSequence=[lut(0, table)])
    film.compress(JPEGLSLossless)
    page = open_viewer(film)

    assert np.abs(grays(page).astype(int) - eight((values / 4095.0) ** 2)).max() <= 1
    assert "VOI LUT" in page.inner_text(".viewer-below-start")


def test_the_small_picture_comes_first_and_nothing_moves(open_viewer: Callable[..., Page]) -> None:
    large = np.linspace(0, 4095, 1400 * 1800).astype(np.uint16).reshape(1400, 1800)
    page = open_viewer(make(large, WindowCenter=2048, WindowWidth=4096), shown="film-preview-shown")
    box = page.locator(".viewer-canvas").bounding_box()
    view = page.evaluate("viewer.main.view")
    wait_until(lambda: "film-shown" in names(page), "the whole film")

    assert names(page) == ["film-preview-shown", "film-shown"]
    assert page.locator(".viewer-canvas").bounding_box() == box
    assert page.evaluate("viewer.main.view") == view
    seen = np.asarray(Image.open(BytesIO(page.locator(".viewer-canvas").screenshot())).convert("L"), dtype=int)
    middle = seen[:, seen.shape[1] // 2]
    lit = middle[middle > 0]
    assert lit.size > 0.9 * min(seen.shape)  # on the screen, from dark above to bright below
    assert (lit[5], lit[-5]) == (pytest.approx(5, abs=8), pytest.approx(250, abs=8))


def test_mouse_and_wheel_change_window_zoom_and_place(open_viewer: Callable[..., Page]) -> None:
    page = open_viewer(make(noise(), WindowCenter=2048, WindowWidth=2000))
    box = page.locator(".viewer-canvas").bounding_box()
    assert box is not None
    x, y = round(box["x"] + box["width"] * 0.6), round(box["y"] + box["height"] * 0.4)

    for button in ("left", "right"):
        before = page.evaluate("viewer.main.look")
        drag(page, (x, y), (x + 60, y + 30), button=button)
        after = page.evaluate("viewer.main.look")
        assert after["width"] > before["width"]
        assert after["center"] > before["center"]  # down is darker

    point = "(at) => viewer.main.under(...at)"
    under = page.evaluate(point, [x, y])
    page.mouse.move(x, y)
    page.mouse.wheel(0, -300)
    wait_until(lambda: page.evaluate("viewer.main.view.scale > viewer.main.fitScale"), "the wheel")
    assert page.evaluate(point, [x, y]) == pytest.approx(under, abs=0.01)

    drag(page, (x, y), (x + 40, y + 20), button="middle")
    assert page.evaluate(point, [x + 40, y + 20]) == pytest.approx(under, abs=0.01)
    page.keyboard.down(" ")
    drag(page, (x + 40, y + 20), (x, y))
    page.keyboard.up(" ")
    assert page.evaluate(point, [x, y]) == pytest.approx(under, abs=0.01)
    assert page.evaluate("viewer.main.look") == after


def test_keys_turn_mirror_and_reset_and_every_mirrored_view_says_so(open_viewer: Callable[..., Page]) -> None:
    values = noise()
    page = open_viewer(make(values, WindowCenter=2048, WindowWidth=2000, PatientOrientation=["L", "F"]))
    upright = grays(page)
    edges = page.locator(".viewer-edge")
    assert edges.all_inner_texts() == ["L", "F", "R", "H"]  # right, below, left, above
    assert not page.locator(".viewer-mirrored").is_visible()
    page.locator(".viewer-pane").focus()

    page.keyboard.press("m")
    assert page.locator(".viewer-mirrored").is_visible()
    assert np.array_equal(grays(page), upright[:, ::-1])
    assert edges.all_inner_texts() == ["R", "F", "L", "H"]
    page.get_by_role("button", name="Flip back").click()
    assert not page.locator(".viewer-mirrored").is_visible()
    assert np.array_equal(grays(page), upright)

    page.locator(".viewer-pane").focus()
    page.keyboard.press("t")
    wait_until(lambda: edges.all_inner_texts() == ["H", "L", "F", "R"], "the letters turn with the film")
    page.keyboard.press("i")
    page.keyboard.press("]")
    assert "inverted" in page.inner_text(".viewer-below-start")
    page.keyboard.press(".")
    assert np.array_equal(grays(page), upright)
    page.keyboard.press("3")
    assert page.evaluate("[viewer.main.look.center, viewer.main.look.width]") == [2047.5, 4095]


def test_a_prior_beside_it_is_linked_until_it_is_freed(open_viewer: Callable[..., Page]) -> None:
    small = make(noise()[:80, :65], WindowCenter=1000, WindowWidth=900)
    page = open_viewer(make(noise(), WindowCenter=2048, WindowWidth=2000), small)
    page.locator(".viewer-pane").focus()
    page.keyboard.press("p")
    wait_until(lambda: ["film-shown", 2] in page.evaluate("window.events"), "the prior")

    page.keyboard.press("+")
    assert page.evaluate("viewer.second.view.scale / viewer.second.fitScale") == pytest.approx(1.25)
    page.keyboard.press("]")
    assert page.evaluate("viewer.second.look.width") > 900
    page.keyboard.press("l")
    width = page.evaluate("viewer.second.look.width")
    page.keyboard.press("]")
    assert page.evaluate("viewer.second.look.width") == width
    page.keyboard.press("p")
    assert page.locator(".viewer-pane").count() == 1


def test_a_film_that_cannot_be_shown_says_why_and_never_counts_as_shown(open_viewer: Callable[..., Page]) -> None:
    page = open_viewer(make(noise(), NumberOfFrames=3), shown="film-failed")

    assert page.get_by_role("alert").inner_text() == "The object has 3 frames; a radiograph has one."
    assert page.evaluate("window.events") == [["film-failed", "multi-frame"]]


def test_picture_that_comes_late_is_not_shown_as_the_film_that_was_chosen_since(
    open_viewer: Callable[..., Page],
) -> None:
    page = open_viewer(make(noise(), WindowCenter=2048, WindowWidth=2000), make(noise(), ViewPosition="LL"))
    page.evaluate(
        """() => {
        const make = window.createImageBitmap;
        const late = new Promise((resolve) => (window.letCome = resolve));
        window.made = new Promise((resolve) => {
          window.createImageBitmap = async (...what) => { resolve(); await late; return make(...what); };
        });
        const refused = { ...films[1], trouble: { sentence: "It cannot be shown." } };
        window.late = window.viewer.show(films[0]);
        window.chosen = () => viewer.show(refused);
    }"""
    )
    page.evaluate("window.made")  # the picture of the first one has come, and is not painted yet
    page.evaluate("window.chosen()")
    page.evaluate("(window.letCome(), window.late)")

    assert page.evaluate("[viewer.main.asked.id, viewer.main.film]") == [2, None]
    assert page.get_by_role("alert").inner_text() == "It cannot be shown."


def test_a_film_that_nobody_is_free_to_decode_is_asked_for_until_it_comes(
    open_viewer: Callable[..., Page], hanging: Hanging
) -> None:
    hanging.busy = 8

    page = open_viewer(make(noise(), ViewPosition="PA"))

    assert "film-failed" not in names(page)
    name = page.locator(".viewer-pane").get_attribute("aria-label")
    assert name is not None
    assert "PA" in name  # the list knew nothing of it
    assert hanging.busy == 0


def test_a_film_out_of_sight_is_not_shown_until_somebody_can_see_it(
    open_viewer: Callable[..., Page], page: Page
) -> None:
    page.add_init_script(
        "document.addEventListener('DOMContentLoaded', () => (document.body.style.paddingTop = '3000px'))"
    )
    open_viewer(make(noise(), WindowCenter=2048, WindowWidth=2000), shown="loaded")
    page.evaluate("viewer.ready")
    assert "film-shown" not in names(page)

    page.locator("#viewer").scroll_into_view_if_needed()
    wait_until(lambda: "film-shown" in names(page), "it is shown once it is in sight")


def test_words_for_those_who_do_not_see_it_and_marks_for_those_who_do(open_viewer: Callable[..., Page]) -> None:
    film = make(
        noise(),
        Modality="DX",
        ViewPosition="PA",
        ImageLaterality="R",
        LossyImageCompression="01",
        LossyImageCompressionRatio=10,
        WindowCenter=2048,
        WindowWidth=2000,
    )
    page = open_viewer(film)

    assert page.get_by_text("Not a diagnostic display").is_visible()
    assert page.get_by_text("Lossy compression 10:1").is_visible()
    picture = page.get_by_role("img")
    assert "DX, PA, side by the tags: R" in (picture.get_attribute("aria-label") or "")
    wait_until(lambda: "C 2048 W 2000" in page.locator("[aria-live]").inner_text(), "the state is said")
    page.locator(".viewer-pane").focus()
    page.keyboard.press("i")
    wait_until(lambda: "inverted" in page.locator("[aria-live]").inner_text(), "the change is said")
    bound = page.evaluate("() => { const all = []; viewer.bindKeys((key) => all.push(key)); return all; }")
    assert bound == page.evaluate("keys")
    assert len(set(bound)) == len(bound) > 15


def test_a_dense_screen_gets_its_own_pixels(
    browser: Browser, hanging: Hanging, served: Callable[[ASGIApp], str]
) -> None:
    values = noise()
    hanging.hang(make(values, WindowCenter=2048, WindowWidth=2000))
    context = browser.new_context(viewport={"width": 1280, "height": 720}, device_scale_factor=2)
    page = context.new_page()
    page.goto(served(hanging.app()))
    wait_until(lambda: page.evaluate("window.start !== undefined"), "the script is loaded")
    page.evaluate("void window.start()")
    wait_until(lambda: "film-shown" in names(page), "the film")

    assert page.evaluate("viewer.main.canvas.width === 2 * viewer.main.canvas.clientWidth")
    assert np.array_equal(grays(page), by_the_standard(values, "LINEAR", 2048, 2000))
    context.close()


def test_the_film_comes_back_after_the_graphics_were_lost_or_are_too_small(open_viewer: Callable[..., Page]) -> None:
    values = noise()
    page = open_viewer(make(values, WindowCenter=2048, WindowWidth=2000), painter="webgl2")
    expected = by_the_standard(values, "LINEAR", 2048, 2000)
    page.evaluate(
        """async () => {
        const { canvas, painter } = viewer.main;
        const extension = painter.gl.getExtension("WEBGL_lose_context");
        const told = (name) => new Promise((resolve) => canvas.addEventListener(name, resolve, { once: true }));
        const lost = told("webglcontextlost");
        extension.loseContext();
        await lost;
        const restored = told("webglcontextrestored");
        setTimeout(() => extension.restoreContext());
        await restored;
    }"""
    )
    assert np.array_equal(grays(page), expected)

    page.evaluate("(viewer.main.painter.largest = 100, viewer.show(films[0]))")
    assert page.evaluate("viewer.main.painter.name") == "2d"
    assert np.array_equal(grays(page), expected)


def drag(page: Page, begin: tuple[float, float], end: tuple[float, float], button: Any = "left") -> None:
    page.mouse.move(*begin)
    page.mouse.down(button=button)
    page.mouse.move(*end, steps=3)
    page.mouse.up(button=button)
