"""`wetread model parity --images`: what another precision changes, on given films."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from agent.cli import wetread
from agent.demo import phantom
from agent.readers import demonstration_checkpoint, prompt
from agent.readers.checkpoint import Checkpoint
from agent.readers.cxr_llava import load
from agent.readers.precisions import compare, pictures
from agent.readers.protocol import Generation
from agent.readers.weights import memory, structure
from agent.readers.weights.install import free_bytes
from agent.readers.weights.quantize import save
from dicom_node.errors import ConfigurationError

FILM = np.random.default_rng(7).integers(0, 256, (120, 100), dtype=np.uint8)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One DICOM file and one PNG."""
    folder = tmp_path_factory.mktemp("films")
    numbers = count(1)
    now = datetime(2026, 1, 2, tzinfo=UTC)
    drawn = phantom.film(1, now=now, new_uid=lambda: f"2.25.{next(numbers)}", rows=160, columns=128)
    drawn.save_as(folder / "a", enforce_file_format=True)
    Image.fromarray(FILM).save(folder / "b.png")
    return folder


def parity(*arguments: object) -> Result:
    return CliRunner().invoke(wetread, ["model", "parity", *map(str, arguments)])


def test_the_report_has_a_row_for_each_film_and_precision_and_what_they_come_to(films: Path, tmp_path: Path) -> None:
    written = tmp_path / "table.md"
    result = parity("--images", films, "--precision", "fp32,bf16", "--precision", "nf4", "--markdown", written)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["a", "bf16"],
        ["b.png", "bf16"],
        ["a", "nf4"],
        ["b.png", "nf4"],
        ["all", "bf16"],
        ["all", "nf4"],
    ]
    document = written.read_text()
    assert document.count("\n| ") == 7
    assert "| all | nf4 |" in document


def test_the_figures_are_those_of_the_two_models(films: Path) -> None:
    result = parity("--images", films / "b.png", "--precision", "fp32,int8", "--tokens", 20, "--json")
    assert result.stderr.splitlines()[:2] == ["fp32: 1 image", "int8: 1 image"]
    said = json.loads(result.stdout)
    (row,) = said["rows"]
    first, other = (load(demonstration_checkpoint(), one, device="cpu") for one in ("fp32", "int8"))
    ids = first.token_ids(FILM, prompt.REPORT, Generation(max_new_tokens=20))
    theirs = other.token_ids(FILM, prompt.REPORT, Generation(max_new_tokens=20))
    a, b = (reader.next_logits(FILM, prompt.REPORT).astype(np.float64) for reader in (first, other))

    assert (said["first"], row["precision"], row["tokens"]) == ("fp32", "int8", len(ids))
    assert ids[: row["same"]] == theirs[: row["same"]]
    assert ids[row["same"] : row["same"] + 1] != theirs[row["same"] : row["same"] + 1] or row["same"] == len(ids)
    assert row["lowest"] <= row["cosine"] <= 1
    assert row["lowest"] - 1e-6 <= a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert row["alike"] + len(row["differing"]) == row["findings"]


def test_logits_along_an_answer_choose_that_answer() -> None:
    reader = load(demonstration_checkpoint(), "fp32", device="cpu")
    ids = reader.token_ids(FILM, prompt.REPORT, Generation(max_new_tokens=12))
    logits = reader.answer_logits(FILM, ids)
    assert logits.shape == (len(ids), 700)
    assert logits.argmax(axis=1).tolist() == ids
    np.testing.assert_allclose(logits[0], reader.next_logits(FILM, prompt.REPORT), atol=1e-4)


def test_a_model_beside_itself_changes_nothing_and_another_is_seen() -> None:
    """The reference's weights are random: what precision does to them shows at once."""
    folder = Path(__file__).parents[2] / "reference" / "cxr_llava" / "ckpt"
    rows = {
        row.precision: row for row in compare(folder, {"x": FILM}, ["fp32", "nf4", "bf16"], device="cpu", tokens=40)
    }
    assert rows["nf4"].chosen < rows["nf4"].tokens
    assert rows["nf4"].cosine < rows["bf16"].cosine < 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--precision", "fp32"], "at least two precisions"),
        (["--precision", "fp32,fp8"], "'fp8' is not one of"),
        (["--precision", "fp32,fp32"], "at least two precisions"),
    ],
)
def test_what_cannot_be_compared_is_said(films: Path, arguments: Sequence[str], words: str) -> None:
    result = parity("--images", films, *arguments)
    assert result.exit_code != 0
    assert words in result.output + str(result.exception)


def test_films_of_one_name_in_two_folders_are_two_films(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        Image.fromarray(FILM).save(tmp_path / folder / "a.png")
    found = pictures([tmp_path / "one", tmp_path / "two", tmp_path / "one" / "a.png"])
    assert set(found.values()) == {tmp_path / "one" / "a.png", tmp_path / "two" / "a.png"}
    assert set(found) == {str(path) for path in found.values()}


def test_without_films_or_reference_values_nothing_is_guessed(tmp_path: Path) -> None:
    assert parity().exit_code == 2
    assert isinstance(parity("--images", tmp_path).exception, ConfigurationError)
    (tmp_path / "deep.png").write_bytes(b"no picture")
    assert "cannot be read as PNG" in str(parity("--images", tmp_path).exception)
    Image.fromarray(FILM.astype(np.uint16) * 16).save(tmp_path / "deep.png")
    assert "no 8-bit picture" in str(parity("--images", tmp_path).exception)


def test_a_file_that_is_no_film_is_named_with_what_to_do(films: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(films, tmp_path / "films")
    (folder / "notes.txt").write_text("of these films")
    result = parity("--images", folder)
    assert isinstance(result.exception, ConfigurationError)
    assert f"{folder / 'notes.txt'} is no film that can be read as DICOM or PNG: " in str(result.exception)
    assert "Take it out of the folder, or name the films one by one" in str(result.exception)


def test_the_largest_precision_that_fits_is_taken() -> None:
    """The demonstration has 0.6 million numbers; a gigabyte is kept free beside them."""
    checkpoint = Checkpoint.open(demonstration_checkpoint(), "bf16")
    found = structure.read(checkpoint.folder, checkpoint.shards)

    def taken(room: int, positions: int = 1000) -> str:
        return memory.largest(found, checkpoint.config, ("bf16", "int8", "nf4"), positions, (1 << 30) + room)

    kept = memory.cache(checkpoint.config, "bf16", 1000)
    sizes = {precision: memory.weights(found, precision) for precision in ("bf16", "int8", "nf4")}
    assert taken(kept + sizes["bf16"]) == "bf16"
    assert taken(kept + sizes["bf16"] - 1) == "int8"
    assert taken(kept + sizes["int8"] - 1) == "nf4"
    assert taken(kept + sizes["bf16"], positions=2000) != "bf16"
    assert taken(0) == "nf4"


def test_auto_is_decided_when_the_model_is_loaded(tmp_path: Path) -> None:
    reader = load(demonstration_checkpoint(), "auto", device="cpu", limits=1)
    assert reader.identity.precision == "bf16"
    save(demonstration_checkpoint(), tmp_path / "q", "int8", torch.device("cpu"), say=lambda _: None, free=free_bytes)
    assert load(tmp_path / "q", "auto", device="cpu").identity.precision == "int8"
