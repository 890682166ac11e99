"""A run goes on with what it was asked; another one, or none, is not written over."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agent.training import asked
from agent.training.choosing import Prepared
from agent.training.settings import Data, Encoder, Training
from dicom_node.errors import ConfigurationError


def note(out: Path, *, gray: int = 0, labels: tuple[str, ...] = ("Edema",), epochs: float = 10) -> None:
    settings = Training(data=Data(manifest=Path("films.csv")), encoder=Encoder(epochs=epochs))
    asked.must_be_a_run(out)
    asked.note(out, settings, Prepared([], [], labels), {"train": np.full((1, 2, 2), gray, np.uint8)})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 12}, r"other films or settings: encoder.epochs 10.0, now 12.0\. Name another folder, or go on"),
        ({"gray": 7}, r"other films or settings: other pixels, labels, views or texts, or another order\. Name"),
        ({"labels": ("Mass",)}, r"""other films or settings: labels \["Edema"\], now \["Mass"\]\."""),
    ],
)
def test_what_is_other_is_said_and_nothing_is_written(tmp_path: Path, change: dict[str, float], words: str) -> None:
    note(tmp_path)
    note(tmp_path)
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(kept) == ["data.json", "settings.json"]
    with pytest.raises(ConfigurationError, match=words):
        note(tmp_path, **change)  # type: ignore[arg-type]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept


def test_settings_of_an_older_version_are_told_as_not_set(tmp_path: Path) -> None:
    note(tmp_path)
    settings = json.loads((tmp_path / "settings.json").read_text("utf-8"))
    del settings["encoder"]["solved"]
    (tmp_path / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"encoder.solved not set, now false\."):
        note(tmp_path)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("settings.json", "settings.json is damaged .*; name another folder, or delete this one"),
        ("model/config.json", "has model, which a run would write over, and is no folder of a run"),
        ("checkpoint-7/x", "has checkpoint-7, which a run"),
    ],
)
def test_a_folder_that_is_no_whole_run_is_refused(tmp_path: Path, file: str, words: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"half', encoding="utf-8")
    with pytest.raises(ConfigurationError, match=words):
        note(tmp_path)
    assert path.read_text("utf-8") == '{"half'
