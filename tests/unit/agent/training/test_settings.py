"""Settings are read whole or refused with every mistake; the commented file says the defaults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.training.settings import read_settings
from dicom_node.errors import ConfigurationError

LORA = "[finetune.lora]\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[encoder]\nepoch = 3\n", "encoder.epoch: there is no such setting"),
        ("[encoder]\nepochs = 0\n", "encoder.epochs: Input should be greater than 0"),
        ("[shape]\nimage_size = 70\n", "shape: image_size has to be a multiple of patch_size"),
        ("[shape]\ntower_width = 40\n", "shape: tower_width has to be a multiple of tower_head_width"),
        ("[shape]\nllama_heads = 3\n", "shape: llama_width has to be a multiple of twice llama_heads"),
        ('start = "C:\\Users\\model"\n', "write paths with / in place of"),
        ('[finetune]\nprecision = "fp32"\n[finetune.lora]\nquantize = "nf4"\n', "quantized layers compute in bf16"),
        ('[finetune]\nbear = "nf4"\n[finetune.lora]\nrank = 2\n', "leave out one of the two"),
        ("[data]\n", "data.manifest: Field required"),
        ("[data\n", "no TOML file"),
    ],
)
def test_settings_that_are_wrong_are_told_with_their_place(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "wrong.toml"
    data = "" if line.startswith("[data") else '[data]\nmanifest = "films.csv"\n'
    path.write_text(line + data if line.startswith("start") else data + line, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=words):
        read_settings(path)


def test_settings_that_a_windows_editor_saved_are_read(tmp_path: Path) -> None:
    path = tmp_path / "training.toml"
    path.write_bytes(b'\xef\xbb\xbf[data]\r\nmanifest = "films.csv"\r\n')
    assert read_settings(path).data.manifest == tmp_path / "films.csv"


@pytest.mark.parametrize("section", ["", LORA])
def test_the_commented_file_has_the_defaults(tmp_path: Path, section: str) -> None:
    """As it ships all of the language model learns; the commented section, switched on, says its defaults too."""
    text = (Path(__file__).parents[4] / "deploy" / "training.toml").read_text("utf-8")
    before, head, after = text.partition(f"# {LORA}")
    assert head
    commented = tmp_path / "commented.toml"
    after = re.sub(r"(?m)^# ", "", after) if section else after
    commented.write_text(before + (section or head) + after, encoding="utf-8")
    bare = tmp_path / "bare.toml"
    bare.write_text(f'[data]\nmanifest = "films.csv"\n{section}', encoding="utf-8")
    settings = read_settings(commented)
    expected = read_settings(bare)
    assert settings.model_dump(exclude={"data"}) == expected.model_dump(exclude={"data"})
    assert settings.data.model_dump(exclude={"manifest"}) == expected.data.model_dump(exclude={"manifest"})
