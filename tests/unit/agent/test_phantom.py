"""The drawn film is a valid DX image of an adult chest, the same for the same seed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from agent.demo.phantom import film, pixels

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def numbered() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"2.25.{next(numbers)}"


def written(folder: Path, *, inverted: bool = False) -> Path:
    path = folder / "film.dcm"
    film(7, now=NOON, new_uid=numbered(), inverted=inverted).save_as(path, enforce_file_format=True)
    return path


def dciodvfy_errors(path: Path) -> list[str]:
    output = subprocess.run(["/usr/bin/dciodvfy", path], capture_output=True, text=True, check=False)
    return [line for line in (output.stdout + output.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.parametrize("inverted", [False, True])
def test_a_film_has_no_errors_in_dciodvfy(tmp_path: Path, inverted: bool) -> None:
    path = written(tmp_path, inverted=inverted)
    assert dciodvfy_errors(path) == []
    broken: Dataset = dcmread(path)
    del broken.PresentationIntentType
    broken.save_as(path)
    assert dciodvfy_errors(path), "dciodvfy must see a missing type 1 attribute, or its silence proves nothing"


def test_a_film_says_that_it_is_an_adult_chest_of_nobody(tmp_path: Path) -> None:
    image = dcmread(written(tmp_path))
    assert (image.PatientName, image.PatientID) == ("PHANTOM^CHEST", "PHANTOM-1")
    assert (image.BodyPartExamined, image.ViewPosition, image.PatientAge) == ("CHEST", "PA", "055Y")
    assert image.AccessionNumber
    assert len({image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID}) == 3


def test_the_same_seed_gives_the_same_pixels_and_another_seed_others() -> None:
    first, again, other = (pixels(seed, rows=256, columns=225) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_lungs_are_darker_than_the_heart_and_the_air_around_is_darkest() -> None:
    picture = pixels(7, rows=1138, columns=1000).astype(float)
    air = picture[20:60, 100:200].mean()
    lung = picture[400:700, 180:350].mean()
    heart = picture[650:780, 560:640].mean()
    assert air < lung / 3
    assert lung < heart / 2
    assert heart < 4095


def test_twelve_bits_are_used_and_not_clipped_over_large_areas() -> None:
    picture = pixels(7)
    assert picture.shape == (2048, 1800)
    assert 3500 < picture.max() <= 4095
    assert (picture == 4095).mean() < 0.01


def test_an_inverted_film_is_the_complement() -> None:
    plain, inverted = (pixels(7, rows=256, columns=225, inverted=kind) for kind in (False, True))
    np.testing.assert_array_equal(plain, 4095 - inverted)
