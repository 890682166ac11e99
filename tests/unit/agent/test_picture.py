"""The picture shows the notice, the film and all of the text that it claims to show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from agent.demo import picture

FILM = np.tile(np.linspace(0, 255, 300, dtype=np.uint8), (400, 1))


def drawn(folder: Path, text: str, caption: str = "caption") -> np.ndarray:
    target = folder / "picture.png"
    picture.draw(FILM, text, caption, target)
    with Image.open(target) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def text_part(sheet: np.ndarray) -> np.ndarray:
    return sheet[picture.BANNER + 4 : -150, picture.FILM_WIDTH + 4 :]


def test_the_notice_stands_in_white_on_red_on_top(tmp_path: Path) -> None:
    banner = drawn(tmp_path, "text")[: picture.BANNER]
    assert tuple(banner[2, 2]) == picture.RED
    assert (banner.min(axis=2) > 240).sum() > 1000


def test_the_film_keeps_its_greys_and_its_proportions(tmp_path: Path) -> None:
    part = drawn(tmp_path, "text")[picture.BANNER :, : picture.FILM_WIDTH]
    row = part[500, :, 0]
    lit = np.flatnonzero(row)
    assert abs((lit[-1] - lit[0]) - picture.HEIGHT * 300 / 400) < 8
    assert row.max() > 250
    assert (part[:, :, 0] == part[:, :, 1]).all()


def test_the_text_is_drawn_on_the_right(tmp_path: Path) -> None:
    empty, full = text_part(drawn(tmp_path, "")), text_part(drawn(tmp_path, "The lungs are clear."))
    assert (empty < 100).sum() == 0
    assert (full < 100).sum() > 300


@pytest.mark.parametrize(
    "text", ["한국어 소견", "日本語の所見" * 200, "نص عربي", "\x00\x07", "\ud800", "a" * 5000, "\n" * 500]
)
def test_no_text_stops_the_picture(tmp_path: Path, text: str) -> None:
    assert drawn(tmp_path, text, caption=text[:40]).shape == (1064, 1640, 3)


def test_wrapping_keeps_every_word_and_no_line_is_too_wide() -> None:
    font = ImageFont.load_default(20)
    text = "one two three " * 60 + "x" * 200
    lines = picture._wrapped(text, font, 400)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(font.getlength(line) <= 402 for line in lines)


def test_text_that_cannot_fit_says_where_the_rest_is() -> None:
    lines, size = picture._fitted("word " * 1550, 600, 800)
    assert size == 12
    assert "rest" in lines[-1]
    assert len(lines) * picture._leading(size) <= 800


def test_endless_text_is_cut_in_reasonable_time() -> None:
    lines, size = picture._fitted("word " * 100_000, 600, 800)
    assert size == 12
    assert "rest" in lines[-1]
