"""Copies of a film with other pixels are known again, and other films are not."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from types import MappingProxyType

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from agent.imaging import likeness
from agent.imaging.likeness import Alike

Picture = Image.Image


def film(seed: int, side: int = 256) -> Picture:
    """Noise as smooth as a chest: each octave half as strong as the one before."""
    random, grays = np.random.default_rng(seed), np.zeros((side, side))
    for octave in range(1, 7):
        coarse = Image.fromarray(random.normal(size=(2**octave, 2**octave)).astype(np.float32))
        grays += np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)) / 2**octave
    low, high = grays.min(), grays.max()
    return Image.fromarray(np.rint(25 + 205 * (grays - low) / (high - low)).astype(np.uint8))


def printed(picture: Picture) -> bytes:
    return likeness.fingerprint(np.asarray(picture))


def compressed(picture: Picture, quality: int) -> Picture:
    coded = io.BytesIO()
    picture.save(coded, "JPEG", quality=quality)
    return Image.open(coded)


def grays(change: Callable[[float], float]) -> Callable[[Picture], Picture]:
    return lambda picture: picture.point([round(min(255.0, max(0.0, change(gray)))) for gray in range(256)])


@pytest.mark.parametrize(
    "change",
    [
        *(lambda picture, quality=quality: compressed(picture, quality) for quality in (30, 50, 70, 90)),
        lambda picture: picture.resize((128, 128)),
        lambda picture: compressed(picture.resize((64, 64)), 50),
        lambda picture: picture.resize((200, 300)),
        grays(lambda gray: gray + 25),
        grays(lambda gray: 0.8 * gray),
        grays(lambda gray: 255 * (gray / 255) ** 1.4),
        grays(lambda gray: 255 - gray),
    ],
)
def test_a_copy_is_known_again(change: Callable[[Picture], Picture]) -> None:
    one = film(1)
    assert likeness.pairs([printed(one), printed(change(one))], ["train", "test"]) == [Alike(0, 1)]


TURNS = MappingProxyType(
    {
        Image.Transpose.FLIP_LEFT_RIGHT: "mirrored",
        Image.Transpose.FLIP_TOP_BOTTOM: "mirrored and turned by 180°",
        Image.Transpose.ROTATE_180: "turned by 180°",
        Image.Transpose.ROTATE_90: "turned by 90°",
        Image.Transpose.ROTATE_270: "turned by 90°",
        Image.Transpose.TRANSPOSE: "mirrored and turned by 90°",
        Image.Transpose.TRANSVERSE: "mirrored and turned by 90°",
    }
)


@pytest.mark.parametrize("turn", TURNS)
def test_so_is_one_that_was_turned_or_mirrored_which_is_said(turn: Image.Transpose) -> None:
    """Resized, of other proportions, compressed and with other grays as well; whichever of the two comes first."""
    one = film(2).resize((300, 210))
    copy = compressed(grays(lambda gray: 230 - 0.7 * gray)(one.resize((151, 107)).transpose(turn)), 50)
    for prints in ((printed(one), printed(copy)), (printed(copy), printed(one))):
        assert likeness.pairs(prints, ["train", "test"]) == [Alike(0, 1, TURNS[turn])]


@pytest.mark.parametrize(
    ("margin", "turn", "how"),
    [
        (0.03, None, "cropped"),
        (0.04, None, "cropped"),
        (0.03, Image.Transpose.FLIP_LEFT_RIGHT, "mirrored, cropped"),
        (0.04, Image.Transpose.ROTATE_180, "turned by 180°, cropped"),
    ],
)
def test_so_is_one_without_its_margins(margin: float, turn: Image.Transpose | None, how: str) -> None:
    one = film(3)
    edge = margin * one.width
    copy = one.resize((200, 200), box=(edge, edge, one.width - edge, one.height - edge))
    copy = copy.transpose(turn) if turn is not None else copy
    for prints in ((printed(one), printed(copy)), (printed(copy), printed(one))):
        assert likeness.pairs(prints, ["train", "test"]) == [Alike(0, 1, how)]


def test_other_films_are_not_and_nor_is_a_part_compared_with_itself() -> None:
    prints = [printed(film(seed)) for seed in range(12)]
    assert likeness.pairs(prints, ["train", "test"] * 6) == []
    assert likeness.pairs([*prints, *prints], ["train"] * 24) == []
    assert np.abs(likeness.agreement(prints[:6], prints[6:])).max() < 0.5
    assert max(found.max() for found in likeness.nearest(prints[:6], prints[6:])) < 0.5


def test_pictures_without_shape_are_like_nothing() -> None:
    empty: list[NDArray[np.uint8]] = [np.full((rows, 40), 7, np.uint8) for rows in (1, 40)]
    prints = [likeness.fingerprint(picture) for picture in empty]
    assert prints == [b"", b""]
    assert likeness.pairs([*prints, printed(film(1))], ["train", "test", "test"]) == []
    assert likeness.pairs([], []) == []


def test_thousands_of_films_are_compared_in_seconds() -> None:
    """Each with each of another split: the copies lie in different blocks of rows and columns, in both directions."""
    source = np.random.default_rng(3)
    prints = [source.bytes(likeness.BYTES) for _ in range(4_800)]
    prints[4_799], prints[4_000] = prints[3], prints[4_600]
    parts = ["test"] * 20 + ["train"] * 4_180 + ["validation"] * 600
    begun = time.process_time()
    assert likeness.pairs(prints, parts) == [Alike(3, 4_799), Alike(4_000, 4_600)]
    assert time.process_time() - begun < 60  # 0.3 s of 2 processors together
