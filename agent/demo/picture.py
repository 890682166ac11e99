"""A picture of the film beside the draft, for a person who wants to see what came back."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

NOTICE = "DEMONSTRATION - AI DRAFT - NOT REVIEWED BY A RADIOLOGIST - NOT FOR DIAGNOSIS"
HEIGHT, FILM_WIDTH, TEXT_WIDTH = 1000, 880, 760  # pixels; the film is fitted into its part
BANNER, MARGIN = 64, 32
SIZES = (22, 20, 18, 16, 14, 12)  # of the font
LONGEST = 8000  # characters: more than a page of the smallest font holds, and measuring text is slow
RED, PAPER, INK, FAINT = (176, 16, 28), (250, 249, 246), (28, 28, 30), (110, 110, 115)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw(film: NDArray[np.uint8], report_text: str, caption: str, target: Path) -> None:
    """Write a PNG: a red notice on top, the film (shape (rows, columns)) on the left, the text on the right.

    A character that the built-in font lacks becomes a box. Text that is too long is set smaller, and below
    12 pixels cut with a line that says so.
    """
    sheet = Image.new("RGB", (FILM_WIDTH + TEXT_WIDTH, BANNER + HEIGHT), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.rectangle((0, BANNER, FILM_WIDTH - 1, BANNER + HEIGHT), fill=(0, 0, 0))
    _place_film(sheet, film)
    _write_banner(pen, sheet.width)
    _write_text(pen, _drawable(report_text), _drawable(caption))
    sheet.save(target, format="PNG")


def _drawable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be drawn


def _place_film(sheet: Image.Image, film: NDArray[np.uint8]) -> None:
    picture = Image.fromarray(film)
    scale = min(FILM_WIDTH / picture.width, HEIGHT / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    corner = ((FILM_WIDTH - size[0]) // 2, BANNER + (HEIGHT - size[1]) // 2)
    sheet.paste(picture.resize(size, Image.Resampling.LANCZOS).convert("RGB"), corner)


def _write_banner(pen: ImageDraw.ImageDraw, width: int) -> None:
    pen.rectangle((0, 0, width, BANNER - 1), fill=RED)
    pen.text((width / 2, BANNER / 2), NOTICE, fill="white", font=ImageFont.load_default(30), anchor="mm")


def _write_text(pen: ImageDraw.ImageDraw, report_text: str, caption: str) -> None:
    left, width = FILM_WIDTH + MARGIN, TEXT_WIDTH - 2 * MARGIN
    small = ImageFont.load_default(15)
    foot = _wrapped(caption, small, width)
    foot_top = BANNER + HEIGHT - MARGIN - 20 * len(foot)
    room = foot_top - BANNER - 2 * MARGIN
    lines, size = _fitted(report_text, width, room)
    font = ImageFont.load_default(size)
    for number, line in enumerate(lines):
        pen.text((left, BANNER + MARGIN + number * _leading(size)), line, fill=INK, font=font)
    for number, line in enumerate(foot):
        pen.text((left, foot_top + 20 * number), line, fill=FAINT, font=small)


def _leading(size: int) -> int:
    return round(size * 1.4)


def _fitted(text: str, width: int, room: int) -> tuple[list[str], int]:
    """Return the lines and the largest font size at which they fit into `room` pixels."""
    for size in SIZES if len(text) <= LONGEST else SIZES[-1:]:
        lines = _wrapped(text[:LONGEST], ImageFont.load_default(size), width)
        if len(lines) * _leading(size) <= room and len(text) <= LONGEST:
            return lines, size
    return [*lines[: room // _leading(size) - 1], "[the rest stands in the Structured Report]"], size


def _wrapped(text: str, font: Font, width: int) -> list[str]:
    """Break into lines at blanks, and within what is wider than a line by itself. Each word is measured once."""
    length = cache(font.getlength)
    lines: list[str] = []
    for paragraph in text.splitlines():
        line, used = "", 0.0
        for word in paragraph.split():
            *full, rest = _cut(word, length, width)
            gap = length(" ") if line else 0.0
            if line and (full or used + gap + length(rest) > width):
                lines.append(line)
                line, used, gap = "", 0.0, 0.0
            lines += full
            line, used = f"{line} {rest}" if line else rest, used + gap + length(rest)
        lines.append(line)
    return lines


def _cut(word: str, length: Callable[[str], float], width: int) -> list[str]:
    """Break a word that is wider than a line: scripts without blanks, long identifiers."""
    if length(word) <= width:
        return [word]
    pieces, piece, used = [], "", 0.0
    for character in word:
        if piece and used + length(character) > width:
            pieces.append(piece)
            piece, used = "", 0.0
        piece, used = piece + character, used + length(character)
    return [*pieces, piece]
