"""From an 8-bit film to what CXR-LLaVA's vision tower takes: Pillow and numpy only, so that no backend changes it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agent.readers.protocol import Framing

# The published code passes resample=True, which Pillow reads as its enumeration value 1: LANCZOS.
RESAMPLE = Image.Resampling.LANCZOS
_LONGEST_STRIP: Final = 20  # longer side over shorter one


def to_pixels(
    film: NDArray[np.uint8], *, size: int, mean: float, std: float, framing: Framing = "crop"
) -> NDArray[np.float32]:
    """Make the film a square and normalize it.

    film: (rows, columns) uint8, 0 is black. Returns (1, 1, size, size) float32, about -1.5 to 1.2.
    crop: the shorter side becomes `size` and the middle square is cut out, as in the training of the model; a film that
    is not square loses both ends of its longer side. pad: the longer side becomes `size`, and black margins fill up.

    Raises ValueError: no film, or a strip, of which next to nothing would be left.
    """
    if film.ndim != 2 or film.dtype != np.uint8:
        raise ValueError(f"a film is a two-dimensional array of uint8, not {film.ndim}-dimensional {film.dtype}")
    if max(film.shape) > _LONGEST_STRIP * min(film.shape):
        rows, columns = film.shape
        raise ValueError(f"{rows} x {columns} pixels are no film: a side is more than {_LONGEST_STRIP} times the other")
    image = Image.fromarray(film)
    square = np.asarray(_middle(image, size) if framing == "crop" else _whole(image, size), dtype=np.float32)
    return np.asarray((square / np.float32(255) - np.float32(mean)) / np.float32(std), dtype=np.float32)[None, None]


def _middle(image: Image.Image, size: int) -> Image.Image:
    short, long = sorted(image.size)
    longer = int(size * long / short)  # truncated, not rounded
    portrait = image.height >= image.width
    image = image.resize((size, longer) if portrait else (longer, size), RESAMPLE)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


def _whole(image: Image.Image, size: int) -> Image.Image:
    short, long = sorted(image.size)
    shorter = max(1, int(size * short / long))
    portrait = image.height >= image.width
    image = image.resize((shorter, size) if portrait else (size, shorter), RESAMPLE)
    square = Image.new("L", (size, size))  # black, as what the tube did not light
    square.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    return square
