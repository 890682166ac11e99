"""The gate's look at pixels, on the drawn chest: what is done to it is found, and what it is passes."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.demo import phantom
from agent.imaging import transforms
from agent.imaging.impression import Impression, as_impression, measure
from agent.imaging.model import FILE, from_text, shipped
from agent.imaging.picture import THRESHOLDS, judge_picture


def drawn(seed: int = 1, rows: int = 512, columns: int = 448) -> NDArray[np.uint8]:
    return (phantom.pixels(seed, rows=rows, columns=columns, inverted=False) >> 4).astype(np.uint8)


def code_of(film: NDArray[np.uint8]) -> str:
    verdict = judge_picture(measure(film))
    return verdict.code if verdict else ""


@pytest.fixture(scope="module")
def chest() -> NDArray[np.uint8]:
    return drawn()


@pytest.mark.parametrize(("rows", "columns"), [(96, 80), (128, 112), (512, 448), (2048, 1800)])
def test_a_chest_of_any_size_passes(rows: int, columns: int) -> None:
    assert code_of(drawn(7, rows, columns)) == ""


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("inverted", "looks-inverted"),
        ("rotated by 90", "looks-rotated"),
        ("rotated by 180", "looks-rotated"),
        ("rotated by 270", "looks-rotated"),
        ("clipped", "clipped-image"),
        ("burnt-in text", "burnt-in-text"),
        ("too small", "too-small"),
        ("blank", "not-a-whole-chest"),
    ],
)
def test_what_was_done_to_a_film_is_named(chest: NDArray[np.uint8], name: str, code: str) -> None:
    assert code_of(transforms.TRANSFORMS[name](chest)) == code


def test_noise_is_no_chest() -> None:
    assert code_of(np.random.default_rng(1).integers(0, 255, (600, 500), dtype=np.uint8)) == "not-a-whole-chest"


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (3, 3), (23, 25)])
def test_a_film_of_any_shape_is_measured(shape: tuple[int, int]) -> None:
    assert code_of(np.arange(shape[0] * shape[1]).reshape(shape).astype(np.uint8)) == "too-small"


def test_a_border_of_collimator_changes_nothing(chest: NDArray[np.uint8]) -> None:
    framed = np.zeros((700, 600), dtype=np.uint8)
    framed[90:602, 60:508] = chest
    bare, bordered = measure(chest), measure(framed)
    assert bordered.margin == pytest.approx(bare.margin, abs=2)
    assert judge_picture(bordered) is None


def test_left_and_right_change_sides_with_the_film(chest: NDArray[np.uint8]) -> None:
    as_it_is, mirrored = measure(chest), measure(transforms.mirrored(chest))
    assert as_it_is.sides > 1
    assert mirrored.sides == pytest.approx(-as_it_is.sides, abs=0.3)
    assert mirrored.symmetry == pytest.approx(as_it_is.symmetry, abs=0.02)


def sound() -> Impression:
    return measure(drawn())


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ({"sides": -9.0}, "looks-mirrored"),
        ({"symmetry": -0.5}, "looks-lateral"),
        ({"strangeness": 3.0}, "unlike-a-chest"),
        ({"margin": -20.0, "pose": "part"}, "not-a-whole-chest"),
        ({"margin": -20.0, "pose": "rotated by 90"}, "looks-rotated"),
        ({"margin": -20.0, "pose": "inverted"}, "looks-inverted"),
        ({"clipped": 0.5}, "clipped-image"),
        ({"lettering": 9}, "burnt-in-text"),
        ({"rows": 32}, "too-small"),
    ],
)
def test_each_number_raises_its_own_doubt(numbers: dict[str, Any], code: str) -> None:
    verdict = judge_picture(replace(sound(), **numbers))
    assert verdict is not None
    assert (verdict.decision, verdict.code) == ("confirm", code)
    assert verdict.notes


def test_pixels_never_exclude_and_several_doubts_are_all_said() -> None:
    verdict = judge_picture(replace(sound(), sides=-9.0, symmetry=-0.5, clipped=0.5))
    assert verdict is not None
    assert verdict.decision == "confirm"
    assert verdict.code == "clipped-image"
    assert len(verdict.notes) == 3


def test_an_impression_survives_json() -> None:
    seen = sound()
    assert as_impression(json.loads(json.dumps(asdict(seen)))) == seen


def test_what_was_measured_in_the_folds_was_measured_with_these_thresholds() -> None:
    origin = json.loads(FILE.read_text(encoding="utf-8"))["origin"]
    assert origin["thresholds"] == dict(THRESHOLDS)


def test_the_shipped_numbers_are_whole() -> None:
    model = shipped()
    assert model.pose_weights.shape == (576, 6)
    assert model.axes.shape == (20, 576)
    assert all(np.isfinite(getattr(model, name)).all() for name in ("pose_weights", "axes", "sides_weights", "mean"))
    assert from_text(FILE.read_text(encoding="utf-8")).pose_bias.tolist() == model.pose_bias.tolist()


def test_the_shipped_file_names_no_film_and_no_folder() -> None:
    text = Path(FILE).read_text(encoding="utf-8")
    assert ".png" not in text
    assert "/" not in json.dumps(json.loads(text)["origin"])
