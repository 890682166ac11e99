"""Small copies of a film, for looking at it as a whole: trimmed, averaged, and of one brightness and contrast."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SIDE: Final = 24  # pixels; 12 and 48 told poses apart no better in the folds of `fitting`

_SAMPLED: Final = 1024  # pixels a side that are looked at; more only cost time
_EDGE_SPREAD: Final = 12  # gray levels; a border of collimator or print is flatter than any row of anatomy
_MOST_TRIMMED: Final = 0.35  # of a side, from each end; beyond that it is no border


def sampled(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every n-th row and column, so that no side is much longer than 1024 pixels; a view."""
    step = max(1, max(pixels.shape) // _SAMPLED)
    return pixels[::step, ::step]


def trimmed(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Without flat rows and columns at the borders; a view."""
    rows, columns = (_inner(_spread(pixels, axis)) for axis in (1, 0))
    return pixels[rows, columns]


def small(pixels: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.float64]:
    """The whole picture as (side, side) means, whatever its shape was."""
    rows, columns = (_bounds(length, side) for length in pixels.shape)
    sums = np.add.reduceat(np.add.reduceat(pixels, rows, axis=0, dtype=np.float64), columns, axis=1)
    areas = np.outer(np.diff(np.append(rows, pixels.shape[0])), np.diff(np.append(columns, pixels.shape[1])))
    return np.asarray(sums / areas)


def thumbnail(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(24, 24), mean 0, standard deviation 1 (0 where the film is blank)."""
    view = trimmed(sampled(pixels))
    means = small(view if min(view.shape) >= SIDE else _enlarged(view))
    return np.asarray((means - means.mean()) / (means.std() + 1e-6))


def _spread(pixels: NDArray[np.uint8], axis: int) -> NDArray[np.float64]:
    """Of every row (axis 1) or column (axis 0): gray levels between its 5th and 95th percentile."""
    thinned = pixels[:, ::4] if axis == 1 else pixels[::4, :]
    low, high = np.percentile(thinned, (5, 95), axis=axis)
    return np.asarray(high - low)


def _inner(spread: NDArray[np.float64]) -> slice:
    lively = np.flatnonzero(spread > _EDGE_SPREAD)
    if not lively.size:
        return slice(None)
    most = int(_MOST_TRIMMED * spread.size)
    first, last = min(int(lively[0]), most), max(int(lively[-1]), spread.size - 1 - most)
    return slice(first, last + 1)


def _bounds(length: int, parts: int) -> NDArray[np.intp]:
    return np.asarray(np.arange(parts) * length // parts, dtype=np.intp)


def _enlarged(pixels: NDArray[Any]) -> NDArray[Any]:
    """Each pixel several times, so that no cell of the thumbnail is empty."""
    times = -(-SIDE // min(pixels.shape))
    return np.repeat(np.repeat(pixels, times, axis=0), times, axis=1)
