"""How often a run is saved and measured, whatever its length, and its picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from agent.training import curves, films
from agent.training.settings import Encoder
from agent.training.trainer import make_trainer


def some_films(count: int) -> films.Films:
    return films.Films(np.zeros((count, 4, 4), np.uint8), {}, mean=0, std=1, augment=False, seed=1)


@pytest.mark.parametrize(
    ("count", "epochs", "save_steps", "expected"),
    [(339, 3, None, 14), (16, 1, None, 1), (16_000, 10, None, 500), (339, 3, 7, 7), (16_000, 10, 900, 900)],
)
def test_short_runs_are_saved_and_measured_as_well(
    tmp_path: Path, count: int, epochs: float, save_steps: int | None, expected: int
) -> None:
    course = Encoder(epochs=epochs, save_steps=save_steps, learning_rate=1e-3, precision="fp32")
    sets = {"train": some_films(count), "validation": some_films(2)}
    made = make_trainer(nn.Linear(2, 2), course, tmp_path, sets, [])
    assert (made.args.save_steps, made.args.eval_steps) == (expected, expected)


def test_a_run_without_a_logged_step_has_a_picture_that_says_so(tmp_path: Path) -> None:
    curves.draw([], "encoder", tmp_path / "loss.png")
    with Image.open(tmp_path / "loss.png") as picture:
        assert picture.width > 500
