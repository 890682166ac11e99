"""Which films are nearly the same picture: one film resized, compressed with losses, or exported with other grays.

A fingerprint is the signs of the lowest frequencies of a small picture (after the perceptual hashes of Zauner, 2010,
with nine times their bits: chest films resemble each other). Stretched to a square first, so that a size is no matter.
What it finds and misses, and how near different films come, is measured in deploy/docs/train.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE: Final = 64  # pixels of the small picture
_FREQUENCIES: Final = 24  # in each direction; without the first, the mean
_BITS: Final = _FREQUENCIES**2 - 1
BYTES: Final = (_BITS + 7) // 8
_LEAST: Final = _BITS / 2  # agreeing less differing bits: three of four agree; different films came to 0.41
_FLAT: Final = 1.0  # gray levels of deviation: what has less has no shape, only noise
_ROWS: Final = 512  # compared with all others at once: 20 MB for 10,000 films


def fingerprint(pixels: NDArray[np.uint8]) -> bytes:
    """BYTES bytes of a gray film (rows, columns); none for a picture without any shape, such as an empty one."""
    small = Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    grays = np.asarray(small, dtype=np.float32)
    if grays.std() < _FLAT:
        return b""
    waves = _waves()
    strengths = waves @ (grays - grays.mean()) @ waves.T
    return np.packbits(strengths.ravel()[1:] > 0).tobytes()


def agreement(fingerprints: Sequence[bytes], others: Sequence[bytes]) -> NDArray[np.float32]:
    """(fingerprints, others): 1 the same, 0 unlike, -1 black and white exchanged."""
    return _signs(fingerprints) @ _signs(others).T / np.float32(_BITS)


def pairs(fingerprints: Sequence[bytes], parts: Sequence[str]) -> list[tuple[int, int]]:
    """The places of films that are nearly the same and lie in different parts, such as splits; the earlier first.

    Empty fingerprints are like nothing. Black and white exchanged makes no difference.
    """
    places = np.array([place for place, one in enumerate(fingerprints) if one], dtype=np.int64)
    signs = _signs([fingerprints[place] for place in places])
    _, part = np.unique([parts[place] for place in places], return_inverse=True)
    found = []
    for first in range(0, len(places), _ROWS):
        rows = slice(first, first + _ROWS)
        near = np.abs(signs[rows] @ signs[first:].T) >= _LEAST
        near &= part[rows, None] != part[None, first:]
        found += [(first + row, first + other) for row, other in np.argwhere(near) if row < other]
    return [(int(places[one]), int(places[other])) for one, other in found]


def _signs(fingerprints: Sequence[bytes]) -> NDArray[np.float32]:
    """(films, bits): 1 and -1, so that a product of matrices counts what agrees."""
    packed = np.frombuffer(b"".join(fingerprints), np.uint8).reshape(len(fingerprints), BYTES)
    return np.unpackbits(packed, axis=1, count=_BITS).astype(np.float32) * 2 - 1


@cache
def _waves() -> NDArray[np.float32]:
    """The lowest cosines of the discrete cosine transform (DCT-II), one a row."""
    places = (np.arange(_SIDE) + 0.5) / _SIDE
    waves: NDArray[np.float64] = np.cos(np.pi * np.outer(np.arange(_FREQUENCIES), places))
    return waves.astype(np.float32)
