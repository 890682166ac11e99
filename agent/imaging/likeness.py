"""Which films are nearly the same picture: one film resized, compressed, with other grays, turned, mirrored or cropped.

A fingerprint is the signs of the lowest frequencies of a small picture (after the perceptual hashes of Zauner, 2010,
with nine times their bits: chest films resemble each other), and the same of the picture without its margins, so that a
cropped film is found by the crop that comes nearest. Stretched to a square first, so that a size is no matter.
What it finds and misses, and how near different films come, is measured in deploy/docs/train.md.

A mirrored picture has the same frequencies, every second with the other sign, and a turned one those with rows and
columns exchanged. So the signs are counted in four classes, of even and odd frequencies down and across: from their
agreements those of all mirrored and upside down pictures follow, and two products of matrices give all eight.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_MIDDLE: Final = 256  # pixels of the picture from which the small ones are made, so that a film is gone through once
_SIDE: Final = 64  # pixels of the small picture
_MARGINS: Final = (0.0, 0.02, 0.04)  # shares of a side, on each of the four; none first
_FREQUENCIES: Final = 24  # in each direction; without the first, the mean
_BITS: Final = _FREQUENCIES**2 - 1
_BYTES: Final = (_BITS + 7) // 8
BYTES: Final = _BYTES * len(_MARGINS)
_LEAST: Final = (0.5, 0.55, 0.55)  # agreement, by margin: different films came to 0.39 without, and 0.42 with one
_FLAT: Final = 1.0  # gray levels of deviation: what has less has no shape, only noise
_ROWS: Final = 512  # compared with _COLUMNS others at once: 100 MB
_COLUMNS: Final = 4096
_WORDS: Final = (  # as they stand, and with rows and columns exchanged; each by _OVER
    ("", "mirrored", "mirrored and turned by 180°", "turned by 180°"),
    ("mirrored and turned by 90°", "turned by 90°", "turned by 90°", "mirrored and turned by 90°"),
)
_OVER: Final = ((1, 1, 1, 1), (1, -1, 1, -1), (1, 1, -1, -1), (1, -1, -1, 1))  # what turning over does to the classes


@dataclass(frozen=True, slots=True)
class Alike:
    """Two films that are nearly one picture. one, other: their places. how: `mirrored, cropped`, empty for neither."""

    one: int
    other: int
    how: str = ""


def fingerprint(pixels: NDArray[np.uint8]) -> bytes:
    """BYTES bytes of a gray film (rows, columns); none for a picture without any shape, such as an empty one."""
    middle = Image.fromarray(pixels).resize((_MIDDLE, _MIDDLE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    if np.asarray(_small(middle, 0.0)).std() < _FLAT:
        return b""
    return b"".join(_bits(_small(middle, margin)) for margin in _MARGINS)


def agreement(fingerprints: Sequence[bytes], others: Sequence[bytes]) -> NDArray[np.float32]:
    """(fingerprints, others), of whole pictures as they stand: 1 the same, 0 unlike, -1 black and white exchanged."""
    these, those = _Signs(fingerprints), _Signs(others)
    agreeing = (a @ b.T for a, b in zip(these.straight[0], those.straight[0], strict=True))
    counted: NDArray[np.float32] = np.add.reduce(list(agreeing)) / np.float32(_BITS)
    return counted


def nearest(fingerprints: Sequence[bytes], others: Sequence[bytes]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(fingerprints, others) from 0 to 1, the most of all eight ways to turn and mirror: whole, and one cropped."""
    whole, *cropped = (most / np.float32(_BITS) for most in _strongest(_Signs(fingerprints), _Signs(others)))
    return whole, np.maximum.reduce(cropped)


def pairs(fingerprints: Sequence[bytes], parts: Sequence[str]) -> list[Alike]:
    """Films that are nearly the same and lie in different parts, such as splits; the earlier place is `one`.

    Empty fingerprints are like nothing. Black and white exchanged makes no difference.
    """
    order = sorted((place for place, one in enumerate(fingerprints) if one), key=lambda place: (parts[place], place))
    found, first = [], 0
    while first < len(order):
        part = parts[order[first]]
        behind = next((at for at in range(first, len(order)) if parts[order[at]] != part), len(order))
        here, later = order[first:behind], order[behind:]
        alike = between([fingerprints[place] for place in here], [fingerprints[place] for place in later])
        placed = [(here[two.one], later[two.other], two.how) for two in alike]
        found += [Alike(min(one, other), max(one, other), how) for one, other, how in placed]
        first = behind
    return sorted(found, key=lambda two: (two.one, two.other))


def between(fingerprints: Sequence[bytes], others: Sequence[bytes]) -> list[Alike]:
    """Films of one list that are nearly the same as one of the other list. Empty fingerprints are like nothing."""
    here, there = ([place for place, one in enumerate(given) if one] for given in (fingerprints, others))
    found = []
    for columns in _blocks(there, _COLUMNS):
        signs = _Signs([others[place] for place in columns])
        for rows in _blocks(here, _ROWS):
            every = _strongest(_Signs([fingerprints[place] for place in rows]), signs)
            near = np.logical_or.reduce([most >= least * _BITS for most, least in zip(every, _LEAST, strict=True)])
            found += [(rows[row], columns[column]) for row, column in np.argwhere(near)]
    return [Alike(one, other, _how(fingerprints[one], others[other])) for one, other in sorted(found)]


def _blocks(places: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (places[first : first + size] for first in range(0, len(places), size))


class _Signs:
    """Of many films, by margin and class: 1 and -1, so that a product of matrices counts what agrees.

    exchanged: those of the whole pictures with rows as columns. Of cropped ones they would nearly double the time.
    """

    def __init__(self, fingerprints: Sequence[bytes]) -> None:
        packed = np.frombuffer(b"".join(fingerprints), np.uint8).reshape(len(fingerprints), len(_MARGINS), _BYTES)
        bits = np.unpackbits(packed, axis=2, count=_BITS)
        self.straight = [self._classes(bits[:, margin]) for margin in range(len(_MARGINS))]
        self.exchanged = self._classes(bits[:, 0][:, _exchanged()])
        self.films = len(fingerprints)

    def ways(self, margin: int, *, cropped: bool) -> list[list[NDArray[np.float32]]]:
        """As they stand, and exchanged where neither of two films is cropped."""
        return [self.straight[margin], *([] if cropped else [self.exchanged])]

    @staticmethod
    def _classes(bits: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        return [bits[:, places].astype(np.float32) * 2 - 1 for places in _classes()]


def _strongest(these: _Signs, those: _Signs) -> Iterator[NDArray[np.float32]]:
    """(these, those), by margin: agreeing less differing bits, the most of all ways to turn, and to crop either."""
    for margin in range(len(_MARGINS)):
        most = np.zeros((these.films, those.films), np.float32)
        for one, other in {(0, margin), (margin, 0)}:
            for columns in those.ways(other, cropped=margin > 0):
                even, across, down, both = (a @ b.T for a, b in zip(these.straight[one], columns, strict=True))
                # the most of _OVER, black and white exchanged or not
                np.maximum(most, np.abs(even + both) + np.abs(across + down), out=most)
                np.maximum(most, np.abs(even - both) + np.abs(across - down), out=most)
        yield most


def _how(one: bytes, other: bytes) -> str:
    """In words, how two that are alike differ: whole where that is near enough, and of all ways to turn the nearest."""
    these, those = _Signs([one]), _Signs([other])
    for margin, least in enumerate(_LEAST):
        ways: list[tuple[float, str]] = []
        for mine, its in {(0, margin), (margin, 0)}:
            for columns, words in zip(those.ways(its, cropped=margin > 0), _WORDS, strict=False):
                counts = [float(a[0] @ b[0]) for a, b in zip(these.straight[mine], columns, strict=True)]
                ways += zip(np.abs(np.array(_OVER) @ counts).tolist(), words, strict=True)
        most, way = max(ways, key=itemgetter(0))
        if most >= least * _BITS:
            return ", ".join(filter(None, (way, "cropped" if margin else "")))
    return ""


def _small(middle: Image.Image, margin: float) -> NDArray[np.float32]:
    edge = margin * _MIDDLE
    box = (edge, edge, _MIDDLE - edge, _MIDDLE - edge)
    return np.asarray(middle.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, box=box), dtype=np.float32)


def _bits(grays: NDArray[np.float32]) -> bytes:
    waves = _waves()
    strengths = waves @ (grays - grays.mean()) @ waves.T
    return np.packbits(strengths.ravel()[1:] > 0).tobytes()


@cache
def _classes() -> tuple[NDArray[np.intp], ...]:
    """Places of the signs of frequencies that are even both ways, odd across, odd down, odd both ways."""
    down, across = np.indices((_FREQUENCIES, _FREQUENCIES)).reshape(2, -1)[:, 1:] % 2
    return tuple(np.flatnonzero((down == odd // 2) & (across == odd % 2)) for odd in range(4))


@cache
def _exchanged() -> NDArray[np.intp]:
    """Where the signs of a picture come from whose rows are the columns of another."""
    return np.arange(_FREQUENCIES**2).reshape(_FREQUENCIES, _FREQUENCIES).T.ravel()[1:] - 1


@cache
def _waves() -> NDArray[np.float32]:
    """The lowest cosines of the discrete cosine transform (DCT-II), one a row."""
    places = (np.arange(_SIDE) + 0.5) / _SIDE
    waves: NDArray[np.float64] = np.cos(np.pi * np.outer(np.arange(_FREQUENCIES), places))
    return waves.astype(np.float32)
