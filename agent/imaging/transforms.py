"""What can be wrong with a film, done to a sound one: for fitting the gate and for measuring what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]

_WORDS: Final = ("DOE JANE 01.02.1950 F", "ID 4711-0815", "WL 2048 WW 4096 ZOOM 54%")  # of nobody
_GLYPH: Final = 0.03  # height of a letter, of the film's height
_OVEREXPOSED: Final = 3.5  # times the gray values: most of the lungs' surroundings end in white


def inverted(film: Pixels) -> Pixels:
    """The wrong photometric interpretation."""
    return np.asarray(255 - film, dtype=np.uint8)


def quarter_turn(film: Pixels) -> Pixels:
    """Lying on its right side."""
    return np.ascontiguousarray(np.rot90(film))


def half_turn(film: Pixels) -> Pixels:
    """Upside down."""
    return np.ascontiguousarray(np.rot90(film, 2))


def three_quarter_turn(film: Pixels) -> Pixels:
    """Lying on its left side."""
    return np.ascontiguousarray(np.rot90(film, 3))


def mirrored(film: Pixels) -> Pixels:
    """Left and right exchanged."""
    return np.ascontiguousarray(film[:, ::-1])


def blank(film: Pixels) -> Pixels:
    """Of the same size, without a picture."""
    return np.full_like(film, 64)


def clipped(film: Pixels) -> Pixels:
    """Saturated: the window of another film."""
    return np.asarray(np.clip(film.astype(np.float64) * _OVEREXPOSED - 255, 0, 255), dtype=np.uint8)


def lettered(film: Pixels) -> Pixels:
    """Three lines of text in two corners, as in a screenshot of a viewer."""
    sheet = Image.fromarray(film)
    size = max(8.0, film.shape[0] * _GLYPH)
    font = ImageFont.load_default(size)
    pen = ImageDraw.Draw(sheet)
    for line, words in enumerate(_WORDS):
        for left, top in ((0.03, 0.03), (0.55, 0.85)):
            place = (film.shape[1] * left, film.shape[0] * top + line * size * 1.3)
            pen.text(place, words, fill=255, font=font)
    return np.asarray(sheet)


def shrunken(film: Pixels) -> Pixels:
    """An icon of the film."""
    return np.asarray(Image.fromarray(film).resize((64, 64), Image.Resampling.BOX))


def right_half(film: Pixels) -> Pixels:
    """Half of the chest alone: no lateral film, but as little symmetric."""
    return np.ascontiguousarray(film[:, : film.shape[1] // 2])


def lower_half(film: Pixels) -> Pixels:
    """Where the upper half was cut off."""
    return np.ascontiguousarray(film[film.shape[0] // 2 :])


def middle(film: Pixels) -> Pixels:
    """The middle of the film alone, as of a spine or a detail."""
    rows, columns = film.shape
    return np.ascontiguousarray(film[rows // 4 : rows * 3 // 4, columns // 4 : columns * 3 // 4])


TRANSFORMS: Final[Mapping[str, Callable[[Pixels], Pixels]]] = MappingProxyType(
    {
        "inverted": inverted,
        "rotated by 90": quarter_turn,
        "rotated by 180": half_turn,
        "rotated by 270": three_quarter_turn,
        "mirrored": mirrored,
        "blank": blank,
        "clipped": clipped,
        "burnt-in text": lettered,
        "too small": shrunken,
        "right half": right_half,
        "lower half": lower_half,
        "middle": middle,
    }
)
