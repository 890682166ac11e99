"""`wetread model quantize`: what a worker reads back is, to the last bit, what it would have computed itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bitsandbytes.nn import Linear4bit, Linear8bitLt
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file

from agent.cli import wetread
from agent.readers import demonstration_checkpoint, prompt, quantized
from agent.readers.checkpoint import Checkpoint, CheckpointError
from agent.readers.cxr_llava import CxrLlavaReader, load
from agent.readers.protocol import Generation
from agent.readers.weights import origin, structure
from agent.readers.weights.errors import NotEnoughSpace
from agent.readers.weights.prequantized import QUANTIZED, CardUnreadable
from agent.readers.weights.quantize import save

FILM = np.random.default_rng(7).integers(0, 256, (120, 100), dtype=np.uint8)
PRECISIONS = ("nf4", "int8")
GREEDY = Generation(max_new_tokens=24)
SHARD = "model-00001-of-00001.safetensors"

BESIDE = shutil.ignore_patterns("*.py*", "*.md", "films.txt", "__*")  # what lies beside the model itself


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The demonstration, quantized."""
    folders = {}
    for precision in PRECISIONS:
        folders[precision] = tmp_path_factory.mktemp("quantized") / precision
        result = model("quantize", demonstration_checkpoint(), "--precision", precision, "--output", folders[precision])
        assert result.exit_code == 0, result.output
    return folders


@pytest.fixture
def folder(made: dict[str, Path], tmp_path: Path) -> Path:
    """A copy in nf4 that a test may disturb."""
    return Path(shutil.copytree(made["nf4"], tmp_path / "model"))


def model(*arguments: object) -> Result:
    return CliRunner().invoke(wetread, ["model", *map(str, arguments)])


def pieces(reader: CxrLlavaReader) -> dict[str, torch.Tensor]:
    found = {}
    for name, module in reader.parts.named_modules():
        if isinstance(module, Linear4bit | Linear8bitLt):
            found |= quantized.pieces(f"{name}.weight", module)
    return found


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_numbers_are_those_of_quantizing_at_load_to_the_last_bit(made: dict[str, Path], precision: str) -> None:
    saved = load(made[precision], precision, device="cpu")
    fresh = load(demonstration_checkpoint(), precision, device="cpu")
    ours, theirs = pieces(saved), pieces(fresh)

    assert ours.keys() == theirs.keys()
    assert len(ours) == 2 * 7 * {"nf4": 6, "int8": 2}[precision]
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert np.array_equal(saved.next_logits(FILM, prompt.REPORT), fresh.next_logits(FILM, prompt.REPORT))
    words = (saved.token_ids(FILM, prompt.REPORT, GREEDY), fresh.token_ids(FILM, prompt.REPORT, GREEDY))
    assert words[0] == words[1]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_digest_is_that_of_the_model_that_it_was_made_of(made: dict[str, Path], precision: str) -> None:
    of_source = Checkpoint.open(demonstration_checkpoint(), precision).identity()
    assert Checkpoint.open(made[precision], precision).identity() == of_source


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_proof_and_the_description_know_it(made: dict[str, Path], precision: str) -> None:
    verified = model("verify", "--model", made[precision], "--json")
    rows = {row["subject"]: row for row in json.loads(verified.stdout)["rows"]}
    assert verified.exit_code == 0
    assert (rows["quantization"]["verdict"], rows["tensors"]["verdict"]) == ("ok", "ok")
    assert f"{precision} by bitsandbytes " in rows["quantization"]["words"]

    said = json.loads(model("info", "--model", made[precision], "--json").stdout)
    expected = json.loads(
        model("info", "--model", demonstration_checkpoint(), "--precision", precision, "--json").stdout
    )
    assert (said["precision"], said["digest"]) == (precision, expected["digest"])
    assert said["parameters"] == expected["parameters"]
    assert said["memory_weights_bytes"] == pytest.approx(expected["memory_weights_bytes"], rel=0.05)
    assert "on cpu" in said["quantized"]


def test_it_is_smaller_and_holds_the_other_files_unchanged(made: dict[str, Path]) -> None:
    source = demonstration_checkpoint()
    assert (
        (made["nf4"] / SHARD).stat().st_size < (made["int8"] / SHARD).stat().st_size < (source / SHARD).stat().st_size
    )
    for name in ("config.json", "tokenizer.model", "tokenizer_config.json", "wetread.json"):
        assert (made["nf4"] / name).read_bytes() == (source / name).read_bytes()


def test_without_a_name_it_comes_to_lie_beside_the_model(tmp_path: Path) -> None:
    source = shutil.copytree(demonstration_checkpoint(), tmp_path / "ours", ignore=BESIDE)
    result = model("quantize", source, "--precision", "int8")
    assert (tmp_path / "ours-int8" / QUANTIZED).is_file()
    assert 'precision = "int8"' in result.stdout
    assert model("quantize", source, "--precision", "int8").exit_code == 0, "again, over what is there"


def test_a_copy_of_the_folder_can_be_imported(made: dict[str, Path], tmp_path: Path) -> None:
    assert model("import", made["nf4"], "--to", tmp_path / "there").exit_code == 0
    assert model("import", made["nf4"], "--to", tmp_path / "there").exit_code == 0
    there, here = (Checkpoint.open(place, "nf4").identity() for place in (tmp_path / "there", made["nf4"]))
    assert there == here


def test_another_precision_than_the_folders_is_refused(folder: Path) -> None:
    for precision in ("bf16", "int8"):
        with pytest.raises(CheckpointError, match=r'Set reader\.precision = "nf4"'):
            load(folder, precision, device="cpu")


def test_what_is_quantized_is_not_quantized_again(folder: Path, tmp_path: Path) -> None:
    result = model("quantize", folder, "--precision", "int8", "--output", tmp_path / "again")
    assert "is quantized already" in str(result.exception)


def test_the_model_is_not_overwritten_by_itself_and_nothing_else_is_replaced(folder: Path, tmp_path: Path) -> None:
    source = shutil.copytree(demonstration_checkpoint(), tmp_path / "ours", ignore=BESIDE)
    assert "is the model itself" in str(model("quantize", source, "--precision", "nf4", "--output", source).exception)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").write_text("dear")
    refused = model("quantize", source, "--precision", "nf4", "--output", tmp_path / "letters")
    assert "holds other things than a model" in str(refused.exception)


def test_what_a_fetch_has_brought_so_far_is_left_to_it(tmp_path: Path) -> None:
    """Both make a folder of the same name, but neither is the half of the other."""
    half = tmp_path / "model.partial" / f"{SHARD}.part"
    half.parent.mkdir()
    half.write_bytes(b"13 of 14 GB")
    result = model("quantize", demonstration_checkpoint(), "--precision", "nf4", "--output", tmp_path / "model")
    assert result.exit_code == 0, result.output
    assert half.read_bytes() == b"13 of 14 GB"
    assert (tmp_path / "model" / QUANTIZED).exists()


def test_without_room_nothing_is_begun(tmp_path: Path) -> None:
    def none(_: Path) -> int:
        return 0

    place = torch.device("cpu")
    with pytest.raises(NotEnoughSpace, match="are free"):
        save(demonstration_checkpoint(), tmp_path / "there", "nf4", place, say=lambda _: None, free=none)
    assert not (tmp_path / "there").exists()


def flip(folder: Path) -> None:
    path = folder / SHARD
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def lose_origin(folder: Path) -> None:
    (folder / origin.ORIGIN).unlink()


def another_source(folder: Path) -> None:
    path = folder / QUANTIZED
    path.write_text(path.read_text().replace('"config.json": "', '"config.json": "0'))


@pytest.mark.parametrize("change", [flip, lose_origin, another_source])
def test_what_is_not_as_it_was_made_is_not_read_with(folder: Path, change: Callable[[Path], None]) -> None:
    change(folder)
    with pytest.raises(CheckpointError, match="wetread model quantize"):
        load(folder, "nf4", device="cpu")
    assert model("verify", "--model", folder).exit_code == 1


def test_a_quantized_model_that_lost_a_file_is_made_again_and_not_fetched(folder: Path, tmp_path: Path) -> None:
    (folder / SHARD).unlink()
    before = {path.name for path in folder.iterdir()}
    said = model("verify", "--model", folder).output + str(model("info", "--model", folder).exception)
    assert f"wetread model quantize MODEL --precision nf4 or int8 --output {folder}" in said
    assert "wetread model pull" not in said
    source = shutil.copytree(demonstration_checkpoint(), tmp_path / "ours", ignore=BESIDE)
    for arguments in (("pull", "--endpoint", "http://127.0.0.1:9"), ("import", source)):
        refused = model(*arguments, "--to", folder, "--accept-licence")
        assert f"{folder} holds a model of your own (wetread-quantized.json, wetread.json), and would lose" in str(
            refused.exception
        )
    assert {path.name for path in folder.iterdir()} == before
    assert model("quantize", source, "--precision", "nf4", "--output", folder).exit_code == 0, "what it said helps"
    refused = model("quantize", source, "--precision", "nf4", "--output", shutil.copytree(source, tmp_path / "other"))
    assert "would lose it to a model of another kind. Name another folder with --output, or" in str(refused.exception)


def test_a_card_that_says_nothing_is_named(folder: Path) -> None:
    (folder / QUANTIZED).write_text('{"precision": "nf4"}')
    with pytest.raises(CardUnreadable, match=QUANTIZED):
        Checkpoint.open(folder, "nf4")
    assert model("verify", "--model", folder).exit_code == 1


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        ("llama.layers.1.mlp.up_proj.weight.absmax", "cannot be put together"),
        ("llama.layers.1.mlp.up_proj.weight", "belongs to"),
    ],
)
def test_a_piece_that_lacks_is_an_error_of_the_folder(folder: Path, piece: str, message: str) -> None:
    weights = load_file(folder / SHARD)
    del weights[piece]
    save_file(weights, folder / SHARD)
    with pytest.raises(CheckpointError, match=message):
        load(folder, "nf4", device="cpu")
    shards = Checkpoint.open(folder, "nf4").shards
    with pytest.raises(CheckpointError, match="is not in"):
        structure.read(folder, shards)


def test_pieces_of_another_shape_are_refused(folder: Path) -> None:
    config = folder / "config.json"
    content = json.loads(config.read_text())
    content["llama"]["intermediate_size"] *= 2
    config.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="cannot be put together"):
        load(folder, "nf4", device="cpu")


@pytest.mark.parametrize("shape", [(96, 96), (192, 96), (50, 80), (7, 100), (96, 192), (128, 256)])
def test_a_layer_of_any_width_computes_with_what_nf4_leaves_of_its_numbers(shape: tuple[int, int]) -> None:
    """A block of 64 numbers that goes on in the next row keeps its scale."""
    source = torch.Generator().manual_seed(1)
    matrix = torch.randn(shape, generator=source) * 0.05
    x = torch.randn((5, shape[1]), generator=source).to(torch.bfloat16)
    layer = quantized.quantize(matrix, "nf4", torch.device("cpu"))
    with torch.inference_mode():
        got = layer(x).float()
    near = torch.nn.functional.cosine_similarity
    assert got.shape == (5, shape[0])
    assert near(quantized.rounded(matrix).flatten(), matrix.flatten(), dim=0) > 0.99
    assert near(got.flatten(), (x.float() @ quantized.rounded(matrix).T).flatten(), dim=0) > 0.9999


def test_joined_layers_compute_what_each_computes_and_share_its_numbers() -> None:
    """What a GPU does with queries, keys and values; processors compute the same products."""
    source = torch.Generator().manual_seed(7)
    rows = (64, 32, 96)
    layers: list[Any] = [
        quantized.quantize(torch.randn((n, 1024), generator=source) * 0.02 * n, "nf4", torch.device("cpu"))
        for n in rows
    ]
    for layer in layers:
        layer.support_avx512bf16_for_cpu = False  # such processors repack at the first product
    x = torch.randn((5, 1024), generator=source).to(torch.bfloat16)
    apart = torch.cat([layer(x) for layer in layers], dim=-1)
    matrices = [quantized.whole(layer.weight.data, layer.weight.quant_state) for layer in layers]

    product = quantized.joined(layers)

    assert torch.equal(product(x), apart)
    assert torch.equal(torch.cat([layer(x) for layer in layers], dim=-1), apart), "each goes on as it was"
    assert len({layer.weight.untyped_storage().data_ptr() for layer in layers}) == 1
    state = product.args[1]  # type: ignore[attr-defined]
    assert torch.equal(quantized.whole(product.args[0], state), torch.cat(matrices))  # type: ignore[attr-defined]


def test_what_a_processor_repacks_and_what_is_not_nf4_is_not_joined() -> None:
    def made(precision: str) -> Any:
        return quantized.quantize(torch.ones((64, 64)), precision, torch.device("cpu"))

    assert not quantized.joinable([made("nf4"), made("nf4")])
    assert not quantized.joinable([made("int8"), made("int8")])
