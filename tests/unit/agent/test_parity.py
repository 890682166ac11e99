"""The native reader against values that the authors' own code computed on a tiny checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file as load_torch
from safetensors.torch import save_file as save_torch

from agent.readers.parity import compare
from dicom_node.errors import ConfigurationError

REFERENCE = Path(__file__).parents[2] / "reference" / "cxr_llava"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy that a test may disturb."""
    return Path(shutil.copytree(REFERENCE, tmp_path / "parity"))


def disturb(folder: Path, key: str, factor: float) -> None:
    for shard in sorted((folder / "ckpt").glob("*.safetensors")):
        weights = load_torch(shard)
        if key in weights:
            weights[key] = weights[key] * factor
            save_torch(weights, shard)
            return
    raise AssertionError(key)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_agrees_with_the_published_code(precision: str) -> None:
    report = compare(REFERENCE, precision, device="cpu")
    assert [row for row in report.rows if not row.holds] == []
    assert report.holds
    assert len(report.rows) == 3 + 3 * (2 + 3 * 2)


def test_bf16_pixels_and_features_are_equal_to_the_last_digit() -> None:
    rows = {row.what: row.measured for row in compare(REFERENCE, device="cpu").rows}
    assert {rows[f"pixels {image}"] for image in ("portrait", "landscape", "small")} == {"0.0e+00"}
    assert {rows[f"features {image}"] for image in ("portrait", "landscape", "small")} == {"1.000000"}


@pytest.mark.parametrize(
    ("key", "factor", "broken"),
    [
        ("vision_tower.ln_post.weight", 0.0, "features"),
        ("llama.layers.1.self_attn.o_proj.weight", -1.0, "logits"),
        ("lm_head.weight", -1.0, "greedy"),
    ],
)
def test_a_disturbed_checkpoint_does_not_hold(folder: Path, key: str, factor: float, broken: str) -> None:
    disturb(folder, key, factor)
    report = compare(folder, device="cpu")
    assert not report.holds
    assert any(row.what.startswith(broken) for row in report.rows if not row.holds)


def test_other_preprocessing_constants_do_not_hold(folder: Path) -> None:
    config = folder / "ckpt" / "config.json"
    config.write_text(config.read_text().replace("0.5518136078431373", "0.55"))
    failed = {row.what for row in compare(folder, device="cpu").rows if not row.holds}
    assert {"pixels portrait", "pixels landscape", "pixels small"} <= failed


def test_the_other_tokenizer_setting_gives_other_ids(folder: Path) -> None:
    config = folder / "ckpt" / "tokenizer_config.json"
    config.write_text(config.read_text().replace('"legacy": false', '"legacy": true'))
    failed = {row.what for row in compare(folder, device="cpu").rows if not row.holds}
    assert {"ids report", "ids ddx", "ids vqa"} <= failed


def test_eight_bits_are_measured_as_a_rounding_and_not_hidden() -> None:
    rows = {row.what: row for row in compare(REFERENCE, "int8", device="cpu").rows}
    assert rows["features portrait"].holds  # the tower is not quantized
    assert float(rows["logits portrait_report"].measured) > 0.995


def test_a_folder_without_values_is_an_error_that_says_what_is_missing(folder: Path) -> None:
    (folder / "reference.npz").unlink()
    with pytest.raises(ConfigurationError, match=r"reference\.npz is missing"):
        compare(folder, device="cpu")


def cut(values: dict[str, Any]) -> None:
    values["greedy_small_ddx"] = values["greedy_small_ddx"][:-1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values.pop("logits_portrait_ddx"), "lacks the numbers logits_portrait_ddx; each picture"),
        (lambda values: values.pop("features_small"), "lacks the numbers features_small; each"),
        (lambda values: values.update(pixels_small=np.array("x")), "lacks the numbers pixels_small; each"),
        (lambda values: [values.pop(f"ids_{name}") for name in ("report", "ddx", "vqa")], "holds no prompt"),
        (cut, "greedy_small_ddx and margin_small_ddx are no two lists of one length"),
    ],
)
def test_values_that_lack_are_named_before_a_model_is_loaded(
    folder: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    with np.load(folder / "reference.npz") as arrays:
        values = {name: arrays[name] for name in arrays.files}
    change(values)
    np.savez(folder / "reference.npz", **values)
    shutil.rmtree(folder / "ckpt")
    with pytest.raises(ConfigurationError) as caught:
        compare(folder, device="cpu")
    assert str(folder / "reference.npz") in str(caught.value)
    assert words in str(caught.value)


def no_archive(path: Path) -> None:
    path.write_bytes(b"no archive")


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def single(path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))


def pickled(path: Path) -> None:
    np.savez(path, ids_report=np.array([object()], dtype=object))


@pytest.mark.parametrize("change", [no_archive, half, flipped, single, pickled, lambda path: path.write_bytes(b"")])
def test_a_damaged_file_of_values_is_named(folder: Path, change: Callable[[Path], object]) -> None:
    change(folder / "reference.npz")
    with pytest.raises(ConfigurationError, match=rf"{folder}/reference\.npz cannot be read .* Copy it again"):
        compare(folder, device="cpu")


def test_a_damaged_picture_is_named(folder: Path) -> None:
    half(folder / "images" / "small.png")
    with pytest.raises(ConfigurationError, match=rf"{folder}/images/small\.png cannot be read as PNG"):
        compare(folder, device="cpu")


def test_a_prompt_that_nobody_knows_is_an_error(folder: Path) -> None:
    with np.load(folder / "reference.npz") as arrays:
        values = {name: arrays[name] for name in arrays.files}
    np.savez(folder / "reference.npz", **values, ids_haiku=values["ids_vqa"])
    with pytest.raises(ConfigurationError, match="haiku"):
        compare(folder, device="cpu")
