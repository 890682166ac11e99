"""From an 8-bit film to what CXR-LLaVA's vision tower takes: Pillow and numpy only, so that no backend changes it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# The published code passes resample=True, which Pillow reads as its enumeration value 1: LANCZOS.
RESAMPLE = Image.Resampling.LANCZOS


def to_pixels(film: NDArray[np.uint8], *, size: int, mean: float, std: float) -> NDArray[np.float32]:
    """Scale the shorter side to `size`, cut the middle square out, normalize.

    film: (rows, columns) uint8, 0 is black. Returns (1, 1, size, size) float32, about -1.5 to 1.2.
    A film that is not square loses both ends of its longer side, as in the training of the model.
    """
    if film.ndim != 2 or film.dtype != np.uint8:
        raise ValueError(f"a film is a two-dimensional array of uint8, not {film.ndim}-dimensional {film.dtype}")
    image = Image.fromarray(film)
    short, long = sorted(image.size)
    longer = int(size * long / short)  # truncated, not rounded
    portrait = image.height >= image.width
    image = image.resize((size, longer) if portrait else (longer, size), RESAMPLE)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    square = np.asarray(image, dtype=np.float32)[top : top + size, left : left + size]
    return np.asarray((square / np.float32(255) - np.float32(mean)) / np.float32(std), dtype=np.float32)[None, None]
