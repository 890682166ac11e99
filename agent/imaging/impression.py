"""What the pixels of a film say, in a few numbers: measured in the decoding process, judged by `picture`.

No number depends on who made the film, when, or for whom: only on the 8-bit picture that the reader would get.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agent.imaging.model import POSES, Model, shipped
from agent.imaging.thumbnail import SIDE, sampled, small, thumbnail, trimmed

SIDES: Final = 16  # rows and columns of the comparison of left and right
_STEEPNESS: Final = 1.5  # so that one white lung does not outweigh all else: finds 32 % of mirrored films, not 8 %
_FARTHEST: Final = 5  # columns of a thumbnail of 24 that the middle of a chest may lie off
_MIDDLE: Final = 0.2  # of each side that is left out where clipping counts: borders and corners are black in any film
_CONTRAST: Final = 90  # gray levels between neighbors two pixels apart: print, never anatomy (at 512 pixels)
_TEXT_SIDE: Final = 512  # pixels of the longer side on which print is looked for
_LINE: Final = (8, 96)  # rows and columns of a piece of a line of print there
_STROKES: Final = 7.0  # hard edges in each row of it; the word PORTABLE has 16, a marker 2 to 4

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Impression:
    """The numbers of one film.

    rows, columns: of the film. pose: the best of `model.POSES`. margin: score of upright less the best other one.
    sides: below 0 where left and right look exchanged. symmetry: correlation with the mirror image, -1 to 1.
    strangeness: above 1 for a thousandth of frontal chests. clipped: share of the middle that is black or white.
    lettering: bands of print, each 1/64 of the film high. components: the 20 principal components.
    """

    rows: int
    columns: int
    pose: str
    margin: float
    sides: float
    symmetry: float
    strangeness: float
    clipped: float
    lettering: int
    components: tuple[float, ...]


def as_impression(told: Mapping[str, Any]) -> Impression:
    """From its fields, as another process told them in JSON."""
    return Impression(**{**told, "components": tuple(told["components"])})


def measure(film: NDArray[np.uint8], model: Model | None = None) -> Impression:
    """Look at a film of (rows, columns) uint8, 0 is black."""
    chosen = shipped() if model is None else model
    seen = thumbnail(film)
    scores = seen.ravel() @ chosen.pose_weights + chosen.pose_bias
    symmetry, shift = _mirror_axis(seen)
    coefficients, strangeness = unlike(seen, chosen)
    sides = float(left_and_right(film, shift) @ chosen.sides_weights + chosen.sides_bias[0])
    return Impression(
        rows=film.shape[0],
        columns=film.shape[1],
        pose=POSES[int(scores.argmax())],
        margin=round(float(scores[0] - scores[1:].max()), 3),
        sides=round(sides, 3),
        symmetry=round(symmetry, 4),
        strangeness=round(strangeness, 4),
        clipped=round(_clipped(film), 4),
        lettering=_lettering(film),
        components=tuple(round(float(value), 3) for value in coefficients),
    )


def unlike(seen: Floats, model: Model) -> tuple[Floats, float]:
    """Principal components in standard deviations, and how far from any frontal chest (1: the farthest thousandth)."""
    off = seen.ravel() - model.mean
    along = model.axes @ off
    residual = float(((off - along @ model.axes) ** 2).mean())
    scaled = along / model.deviations
    distance = float((scaled**2).mean())
    return scaled, max(residual / float(model.residual[0]), distance / float(model.distance[0]))


def left_and_right(film: NDArray[np.uint8], shift: int | None = None) -> Floats:
    """(128,): what the left of the picture has more than the right, row by row, around the middle of the chest."""
    if shift is None:
        shift = _mirror_axis(thumbnail(film))[1]
    view = trimmed(sampled(film))
    cut = abs(shift) * view.shape[1] // SIDE
    part = view[:, cut:] if shift > 0 else view[:, : view.shape[1] - cut]
    if min(part.shape) < SIDES:
        return np.zeros(SIDES * SIDES // 2)
    means = small(part, SIDES)
    means = (means - means.mean()) / (means.std() + 1e-6)
    return np.asarray(np.tanh(_STEEPNESS * (means - means[:, ::-1])[:, : SIDES // 2].ravel()))


def _mirror_axis(seen: Floats) -> tuple[float, int]:
    """The best correlation with the mirror image, and by how many columns the middle lies to the right for it."""
    found = []
    for shift in range(-_FARTHEST, _FARTHEST + 1):
        part = seen[:, shift:] if shift >= 0 else seen[:, :shift]
        found.append((_correlation(part, part[:, ::-1]), -abs(shift), shift))
    best = max(found)
    return best[0], best[2]


def _correlation(one: Floats, other: Floats) -> float:
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / size if size > 0 else 0.0


def _clipped(film: NDArray[np.uint8]) -> float:
    view = sampled(film)
    rows, columns = (int(length * _MIDDLE) for length in view.shape)
    middle = view[rows : view.shape[0] - rows, columns : view.shape[1] - columns]
    return float(((middle == 0) | (middle == 255)).mean()) if middle.size else 0.0


def _lettering(film: NDArray[np.uint8]) -> int:
    """Print has many hard edges side by side, in several rows above each other; bones, tubes and a marker have few."""
    means = _means(film, max(1, round(max(film.shape) / _TEXT_SIDE)))
    height, width = _LINE
    change = means[:, 2:] - means[:, :-2]
    hard = np.abs(change) > _CONTRAST
    turned = hard[:, 1:] & (~hard[:, :-1] | (np.sign(change[:, 1:]) != np.sign(change[:, :-1])))
    bands = turned.shape[0] // height
    if bands == 0 or turned.shape[1] <= width:
        return 0
    strokes = turned[: bands * height].reshape(bands, height, -1).sum(axis=1).cumsum(axis=1)
    densest = (strokes[:, width:] - strokes[:, :-width]).max(axis=1) / height
    return int((densest > _STROKES).sum())


def _means(film: NDArray[np.uint8], step: int) -> Floats:
    """Means of squares of step x step pixels; what is left over at two borders does not count."""
    rows, columns = film.shape[0] // step, film.shape[1] // step
    whole = film[: rows * step, : columns * step]
    sums = whole.reshape(rows, step, columns * step).sum(axis=1, dtype=np.uint32)
    return np.asarray(sums.reshape(rows, columns, step).sum(axis=2) / (step * step))
