"""What config.json may say: everything by which nothing, or another model, would be computed is named by its key."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agent.cli import wetread
from agent.readers import demonstration_checkpoint, hyperparameters
from agent.readers.checkpoint import Checkpoint, CheckpointError
from agent.readers.weights.proof import examine

CHECKPOINT = Path(__file__).parents[2] / "reference" / "cxr_llava" / "ckpt"
CARD = {"name": "ours", "version": "1", "manufacturer": "us", "notice": "TEST"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = Path(shutil.copytree(CHECKPOINT, tmp_path / "model"))
    (copy / "wetread.json").write_text(json.dumps(CARD))
    return copy


def model(*arguments: object) -> Result:
    return CliRunner().invoke(wetread, ["model", *map(str, arguments)])


def write(folder: Path, file: str, key: str, value: object) -> None:
    content = json.loads((folder / file).read_text())
    *parents, last = key.split(".")
    within: dict[str, Any] = content
    for parent in parents:
        within = within[parent]
    within[last] = value
    (folder / file).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("llama.num_attention_heads", 0, "is 0, not a whole number from 1"),
        ("llama.num_attention_heads", 7, "llama.hidden_size is 96, not an even multiple of the 7"),
        ("llama.num_attention_heads", 96, "llama.hidden_size is 96, not an even multiple of the 96"),
        ("llama.num_key_value_heads", 2, "is 2, not a divisor of the 3 heads"),
        ("llama.head_dim", 16, "is 16, not 32"),
        ("llama.hidden_size", "x", "is 'x', not a whole number from 1"),
        ("llama.hidden_size", True, "is True, not a whole number"),
        ("llama.hidden_size", 96.5, "is 96.5, not a whole number"),
        ("llama.num_hidden_layers", 10**9, "is 1000000000, not a whole number from 1 to 1000"),
        ("llama.rms_norm_eps", "abc", "is 'abc', not a number above 0 and below 1"),
        ("llama.rms_norm_eps", -1, "is -1, not"),
        ("llama.rms_norm_eps", 0, "is 0, not"),
        ("llama.rms_norm_eps", float("nan"), "is nan, not"),
        ("llama.rope_theta", 0, "is 0, not a number above 0"),
        ("llama.hidden_act", "gelu", "is 'gelu', not silu"),
        ("llama.hidden_act", None, "is None, not silu"),
        ("llama.max_position_embeddings", 10, "is 10, not more than the 36 positions of a film"),
        ("llama.max_position_embeddings", 100, "is 100, not more than the "),
        ("clip_vision_cfg.patch_size", 0, "is 0, not a whole number from 1"),
        ("clip_vision_cfg.patch_size", 97, "clip_vision_cfg.image_size is 96, not at least the patch_size 97"),
        ("clip_vision_cfg.width", 65, "is 65, not a multiple of the width of a head"),
        ("clip_vision_cfg.head_width", 0, "is 0, not a whole number from 1"),
        ("clip_vision_cfg.mlp_ratio", "wide", "is 'wide', not a number above 0"),
        ("clip_embed_dim", -1, "is -1, not a whole number from 0"),
        ("clip_quick_gelu", "false", "is 'false', not true or false"),
        ("image_preprocess_cfg.std", 0, "is 0, not a number above 0"),
        ("image_preprocess_cfg.std", "a", "is 'a', not a number above 0"),
        ("image_preprocess_cfg.mean", [0.5], "is [0.5], not a number"),
    ],
)
def test_a_value_that_makes_no_model_is_named_by_both_commands(
    folder: Path, key: str, value: object, words: str
) -> None:
    write(folder, "config.json", key, value)
    verified = model("verify", "--model", folder, "--json")
    assert verified.exit_code == 1
    (wrong,) = [row["words"] for row in json.loads(verified.stdout)["rows"] if row["verdict"] == "wrong"]
    assert f"{folder / 'config.json'}: " in wrong
    assert words in wrong
    assert key in wrong or not words.startswith("is ")
    info = model("info", "--model", folder, "--precision", "bf16")
    assert isinstance(info.exception, CheckpointError)
    assert str(info.exception) == wrong


def test_several_are_named_at_once(folder: Path) -> None:
    write(folder, "config.json", "llama.hidden_act", "relu")
    write(folder, "config.json", "image_preprocess_cfg.std", -1)
    with pytest.raises(CheckpointError, match=r"std is -1, .*; llama\.hidden_act is 'relu'"):
        Checkpoint.open(folder, "bf16")


@pytest.mark.parametrize("key", ["legacy", "add_bos_token"])
def test_a_word_is_no_switch(folder: Path, key: str) -> None:
    """Python would take "false" for true."""
    write(folder, "tokenizer_config.json", key, "false")
    with pytest.raises(CheckpointError, match=rf"tokenizer_config\.json: {key} is no true or false"):
        Checkpoint.open(folder, "bf16")


def test_what_is_published_and_what_ships_is_accepted() -> None:
    published = json.loads((CHECKPOINT / "config.json").read_text())
    published["clip_vision_cfg"] = {"image_size": 512, "layers": 24, "patch_size": 16, "width": 1024}
    sizes = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "vocab_size": 32000}
    published["llama"].update(sizes, num_attention_heads=32, num_key_value_heads=32, max_position_embeddings=2048)
    demonstration = json.loads((demonstration_checkpoint() / "config.json").read_text())
    assert [*hyperparameters.faults(published), *hyperparameters.faults(demonstration)] == []


@pytest.mark.parametrize("rows", [0, 1, 3, 9])
def test_a_folder_that_goes_away_while_it_is_verified_is_wrong(folder: Path, rows: int) -> None:
    found = examine(folder)
    seen = [next(found) for _ in range(rows)]
    if rows:
        folder.rename(folder.with_name("away"))
        seen += found
        assert seen[-1].subject == "folder"
        assert "it changed meanwhile (config.json)" in seen[-1].words
    else:
        folder.rename(folder.with_name("away"))
        seen += found
        assert "does not exist" in seen[-1].words
    assert seen[-1].verdict == "wrong"


def test_a_folder_that_another_takes_the_place_of_is_not_called_whole(folder: Path) -> None:
    """All files as good as before, so that only their being newer tells it."""
    found = examine(folder)
    seen = [next(found)]
    shutil.copytree(folder, folder.with_name("other"), copy_function=shutil.copy)  # not their times
    folder.rename(folder.with_name("away"))
    folder.with_name("other").rename(folder)
    seen += found
    assert [(row.subject, row.verdict) for row in seen if row.verdict == "wrong"] == [("folder", "wrong")]
