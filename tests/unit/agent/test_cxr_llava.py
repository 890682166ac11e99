"""Loading the published layout, and what the reader does with a film."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bitsandbytes.nn import Linear4bit, Linear8bitLt
from safetensors.torch import load_file, save_file

from agent.readers import load_reader, network, prompt
from agent.readers.checkpoint import REVISION, Checkpoint, CheckpointError
from agent.readers.cxr_llava import load, place
from agent.readers.network import CxrLlavaModel
from agent.readers.preprocess import to_pixels
from agent.readers.protocol import Generation, Reader, UnreadableText
from agent.readers.weights.quantize import save
from dicom_node.errors import ConfigurationError

CHECKPOINT = Path(__file__).parents[2] / "reference" / "cxr_llava" / "ckpt"
EMBEDDED = "llama.embed_tokens.weight"
FILM = np.random.default_rng(7).integers(0, 256, (120, 100), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CHECKPOINT, tmp_path / "ckpt"))


def edit(path: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_importing_the_readers_loads_no_torch() -> None:
    code = "import sys, agent.readers, agent.readers.guards, agent.readers.checkpoint; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_an_unknown_reader_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="cxr_llava"):
        load_reader("gpt", CHECKPOINT, "bf16")


def test_the_reader_is_a_reader_and_names_itself() -> None:
    reader = load_reader("cxr_llava", CHECKPOINT, "bf16")
    assert isinstance(reader, Reader)
    identity = reader.identity
    assert (identity.name, identity.version, identity.manufacturer) == ("CXR-LLaVA-v2", REVISION, "ECOFRI")
    assert (identity.precision, identity.notice, len(identity.digest)) == ("bf16", "", 64)


def test_a_card_in_the_folder_names_another_model(folder: Path) -> None:
    card = {"name": "other", "version": "2", "manufacturer": "someone", "notice": "NOT FOR USE"}
    (folder / "wetread.json").write_text(json.dumps(card))
    identity = load(folder, "bf16", device="cpu").identity
    assert (identity.name, identity.notice) == ("other", "NOT FOR USE")
    assert identity.digest != load(CHECKPOINT, "bf16", device="cpu").identity.digest


def test_the_digest_follows_weights_precision_and_settings(folder: Path) -> None:
    first = load(folder, "bf16", device="cpu").identity.digest
    assert first == load(CHECKPOINT, "bf16", device="cpu").identity.digest
    assert first != load(folder, "fp32", device="cpu").identity.digest
    shard = folder / "model-00002-of-00002.safetensors"
    weights = load_file(shard)
    name = min(weights)
    weights[name].view(-1)[0] += 1
    save_file(weights, shard)
    assert first != load(folder, "bf16", device="cpu").identity.digest


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer_config.json", "tokenizer.model", "model-00001-of-00002.safetensors"]
)
def test_a_missing_file_is_named_with_its_source(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing.*wetread model pull --to {folder};"):
        load(folder, "bf16", device="cpu")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("config.json", "llama.rms_norm_eps"),
        ("config.json", "llama.max_position_embeddings"),
        ("config.json", "llama.num_key_value_heads"),
        ("config.json", "image_preprocess_cfg.mean"),
        ("tokenizer_config.json", "legacy"),
        ("tokenizer_config.json", "add_bos_token"),
    ],
)
def test_a_key_that_would_be_guessed_is_an_error(folder: Path, name: str, key: str) -> None:
    def remove(content: dict) -> None:
        *parents, last = key.split(".")
        for parent in parents:
            content = content[parent]
        del content[last]

    edit(folder / name, remove)
    with pytest.raises(CheckpointError, match=f"{name} lacks the key {key}"):
        load(folder, "bf16", device="cpu")


def another(folder: Path) -> Path:
    """The same layout with other numbers, beside it."""
    made = Path(shutil.copytree(folder, folder.with_name("another")))
    for shard in made.glob("*.safetensors"):
        save_file({name: tensor * 1.5 for name, tensor in load_file(shard).items()}, shard, {"format": "pt"})
    return made


def take_the_place_of(folder: Path) -> None:
    folder.rename(folder.with_name("old"))
    folder.with_name("another").rename(folder)


def write_over(folder: Path) -> None:
    for path in folder.with_name("another").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())


@pytest.mark.parametrize("change", [take_the_place_of, write_over])
@pytest.mark.parametrize("opened", [1, 2])
def test_no_model_is_made_of_two(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], opened: int
) -> None:
    """Somebody brings another model while a shard is read: its digest must not name what was read before."""
    another(folder)
    real, count = network.safe_open, iter(range(1, 9))

    def late(*arguments: Any, **named: Any) -> Any:
        found = real(*arguments, **named)
        if next(count) == opened:
            change(folder)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(network, "safe_open", late)
        with pytest.raises(CheckpointError, match=rf"{folder} changed while it was read .*start again"):
            load(folder, "bf16", device="cpu")
    assert load(folder, "bf16", device="cpu").identity.digest


@pytest.mark.parametrize("change", [take_the_place_of, write_over, shutil.rmtree])
def test_a_digest_is_of_the_files_that_were_looked_at(folder: Path, change: Callable[[Path], None]) -> None:
    another(folder)
    checkpoint = Checkpoint.open(folder, "bf16")
    change(folder)
    with pytest.raises(CheckpointError, match="changed while it was read"):
        checkpoint.identity()


def test_what_is_quantized_meanwhile_is_of_one_model(folder: Path, tmp_path: Path) -> None:
    another(folder)
    said: list[str] = []

    def say(words: str) -> None:
        said.append(words)
        if words.startswith("2 of 2"):
            take_the_place_of(folder)

    with pytest.raises(CheckpointError, match="changed while it was read"):
        save(folder, tmp_path / "small", "int8", torch.device("cpu"), say=say, free=lambda _: 1 << 40)
    assert len(said) == 3
    assert not list(tmp_path.glob("*small*")), "nor half of it"


def test_a_damaged_shard_is_named(folder: Path) -> None:
    shard = folder / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"model-00002-of-00002.*cut off"):
        load(folder, "bf16", device="cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("lm_head.weight"), "lacks 1 weights, the first is lm_head.weight"),
        (lambda w: w.update(surprise=w["lm_head.weight"].clone()), "surprise is no weight"),
        (lambda w: w.update({"lm_head.weight": w["lm_head.weight"][:-1].clone()}), "has the shape"),
    ],
)
def test_weights_that_do_not_fit_are_an_error(folder: Path, change: Callable[[dict], object], message: str) -> None:
    for shard in folder.glob("*.safetensors"):
        weights = load_file(shard)
        if "lm_head.weight" in weights:
            change(weights)
            save_file(weights, shard)
    with pytest.raises(CheckpointError, match=message):
        load(folder, "bf16", device="cpu")


def test_unknown_precision_and_absent_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="fp32, bf16, int8, nf4"):
        load(CHECKPOINT, "fp8", device="cpu")
    with pytest.raises(CheckpointError, match="does not exist"):
        load(tmp_path / "nowhere", "bf16", device="cpu")


def test_a_cuda_device_without_a_number_is_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch limits the memory of a device only where its number is given."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert {str(place(name)) for name in ("auto", "cuda", "cuda:0")} == {"cuda:0"}
    assert str(place("cuda:1")) == "cuda:1"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert str(place("auto")) == "cpu"
    with pytest.raises(ConfigurationError, match="'cuda' is configured"):
        place("cuda")


def test_a_tokenizer_of_another_model_is_an_error(folder: Path) -> None:
    edit(folder / "config.json", lambda c: c["llama"].update(vocab_size=401))
    with pytest.raises(CheckpointError):
        load(folder, "bf16", device="cpu")


@pytest.mark.parametrize(("precision", "kind"), [("nf4", Linear4bit), ("int8", Linear8bitLt)])
def test_only_the_layers_of_the_language_model_are_quantized(precision: str, kind: type) -> None:
    model = load(CHECKPOINT, precision, device="cpu")._model
    quantized = {name for name, module in model.named_modules() if isinstance(module, kind)}
    assert len(quantized) == 2 * 7
    assert all(name.startswith("llama.layers.") for name in quantized)
    assert not any(module.training for module in model.modules())
    if precision == "nf4":
        state = model.llama.layers[0].mlp.down_proj.weight.quant_state
        assert (state.quant_type, state.nested) == ("nf4", True)


def test_random_weights_never_give_a_draft() -> None:
    with pytest.raises(UnreadableText):
        load(CHECKPOINT, "bf16", device="cpu").report(FILM, Generation(max_new_tokens=48))


def teach(folder: Path, words: str, question: str) -> None:
    """Let the model answer so: without what layers add, the next token depends on the last one alone."""
    words_of = Checkpoint.open(folder, "fp32").words()
    chain = [words_of.prompt_ids(question)[-1], *words_of.answer_ids(words), prompt.EOS_ID]
    assert len(set(chain)) == len(chain)
    for shard in folder.glob("*.safetensors"):
        weights = load_file(shard)
        for name, weight in weights.items():
            if name.endswith(("o_proj.weight", "down_proj.weight")) or name in {"lm_head.weight", EMBEDDED}:
                weight.zero_()
            for spot, (token, following) in enumerate(pairwise(chain)):
                if name == EMBEDDED:
                    weight[token, spot] = 1
                elif name == "lm_head.weight":
                    weight[following, spot] = 1
        save_file(weights, shard)


def test_a_short_answer_to_a_question_is_an_answer_and_as_a_report_it_is_none(folder: Path) -> None:
    question = prompt.question("Is the heart enlarged?")
    teach(folder, "No.", question)
    reader = load(folder, "fp32", device="cpu")
    assert reader.ask(FILM, "Is the heart enlarged?", Generation()).text == "No."
    with pytest.raises(UnreadableText, match="almost nothing"):
        reader.report(FILM, Generation())


def test_the_command_and_the_reader_count_the_same_positions() -> None:
    reader = load(CHECKPOINT, "fp32", device="cpu", limits=3)
    checkpoint = Checkpoint.open(CHECKPOINT, "fp32")
    assert reader._engine._positions == checkpoint.positions
    assert checkpoint.positions > reader.features_count + len(reader.prompt_ids(prompt.REPORT)) + 512


def test_progress_counts_every_token_and_may_stop_the_reading() -> None:
    class Stopped(Exception):
        pass

    seen: list[int] = []

    def progress(tokens: int) -> None:
        seen.append(tokens)
        if tokens == 5:
            raise Stopped

    with pytest.raises(Stopped):
        load(CHECKPOINT, "bf16", device="cpu").report(FILM, Generation(), progress)
    assert seen == [1, 2, 3, 4, 5]


def test_the_same_seed_gives_the_same_text_and_another_seed_another() -> None:
    reader = load(CHECKPOINT, "fp32", device="cpu")

    def sampled(seed: int) -> list[int]:
        settings = Generation(mode="sampled", seed=seed, temperature=3.0, top_p=0.99, max_new_tokens=24)
        return reader.token_ids(FILM, prompt.REPORT, settings)

    assert sampled(1) == sampled(1)
    assert sampled(1) != sampled(2)


def test_sampling_from_a_tiny_nucleus_is_greedy() -> None:
    reader = load(CHECKPOINT, "fp32", device="cpu")
    greedy = reader.token_ids(FILM, prompt.REPORT, Generation(max_new_tokens=16))
    for narrow in (Generation("sampled", 3, 1.0, 1e-9, 50, 16), Generation("sampled", 3, 1.0, 1.0, 1, 16)):
        assert reader.token_ids(FILM, prompt.REPORT, narrow) == greedy


def test_sampling_without_a_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="seed"):
        load(CHECKPOINT, "bf16", device="cpu").report(FILM, Generation(mode="sampled"))


def test_the_answer_never_leaves_the_room_for_positions(folder: Path) -> None:
    reader = load(folder, "bf16", device="cpu")
    prompt_length = len(reader.prompt_ids(prompt.REPORT)) - 1 + 36
    edit(folder / "config.json", lambda c: c["llama"].update(max_position_embeddings=prompt_length + 6))
    assert len(load(folder, "bf16", device="cpu").token_ids(FILM, prompt.REPORT, Generation())) <= 6


def test_decoding_with_a_cache_equals_decoding_without() -> None:
    reader = load(CHECKPOINT, "fp32", device="cpu")
    ids = reader.token_ids(FILM, prompt.REPORT, Generation(max_new_tokens=8))
    model, words = reader._model, reader.prompt_ids(prompt.REPORT)
    features = reader._features(reader.pixels(FILM))
    for count in range(len(ids)):
        embedded = model.splice(words + ids[:count], features)
        assert int(model.next_logits(embedded).argmax()) == ids[count]


@pytest.mark.parametrize("shape", [(96, 96), (300, 100), (100, 301), (97, 96), (50, 64)])
def test_the_middle_square_is_kept_whatever_the_shape(shape: tuple[int, int]) -> None:
    pixels = to_pixels(np.full(shape, 255, np.uint8), size=96, mean=0.5, std=0.5)
    assert pixels.shape == (1, 1, 96, 96)
    assert pixels.min() == pixels.max() == 1.0


@pytest.mark.parametrize(
    ("shape", "rows", "columns"),
    [((250, 200), (0, 96), (10, 86)), ((200, 250), (10, 86), (0, 96)), ((96, 96), (0, 96), (0, 96))],
)
def test_padding_keeps_the_whole_film_in_the_middle_of_black(
    shape: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    pixels = to_pixels(np.full(shape, 255, np.uint8), size=96, mean=0.5, std=0.5, framing="pad")[0, 0]
    expected = np.full((96, 96), -1.0)
    expected[slice(*rows), slice(*columns)] = 1.0
    assert np.array_equal(pixels, expected)


def test_what_the_crop_cuts_off_the_padding_shows() -> None:
    film = np.zeros((250, 200), np.uint8)
    film[:20], film[-20:] = 255, 255  # apices and bases
    cropped, padded = (to_pixels(film, size=100, mean=0.0, std=1.0, framing=how)[0, 0] for how in ("crop", "pad"))
    assert cropped.max() < 0.1
    assert padded[:7, 15:85].min() > 0.9
    assert padded[-7:, 15:85].min() > 0.9
    assert abs(float(padded[:, :5].max())) < 1e-6


def test_a_slice_of_a_film_is_padded_as_well() -> None:
    slim = np.full((1000, 50), 255, np.uint8)
    assert to_pixels(slim, size=96, mean=0.5, std=0.5, framing="pad").shape[2:] == (96, 96)


def test_the_framing_reaches_the_model_and_its_digest() -> None:
    cropping, padding = (load(CHECKPOINT, "fp32", device="cpu", framing=how) for how in ("crop", "pad"))
    assert not np.array_equal(cropping.pixels(FILM), padding.pixels(FILM))
    assert cropping.identity.digest != padding.identity.digest


def test_a_text_that_takes_too_long_is_said_to() -> None:
    with pytest.raises(UnreadableText) as caught:
        load(CHECKPOINT, "fp32", device="cpu", seconds=1e-9).report(FILM, Generation())
    assert caught.value.code == "reading-timeout"


def test_a_film_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        to_pixels(np.zeros((8, 8), np.uint16), size=96, mean=0.5, std=0.5)  # type: ignore[arg-type]


def test_the_published_dimensions_give_the_published_number_of_weights() -> None:
    config = json.loads((CHECKPOINT / "config.json").read_text())
    config["clip_vision_cfg"] = {"image_size": 512, "layers": 24, "patch_size": 16, "width": 1024}
    sizes = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "vocab_size": 32000}
    config["llama"].update(sizes, num_attention_heads=32, num_key_value_heads=32)
    with torch.device("meta"):
        model = CxrLlavaModel(config)
    pooled_vector = 1024 * 128  # vision_tower.proj, which nothing uses
    assert sum(p.numel() for p in model.parameters()) + pooled_vector == 7_046_371_328
    # q, k and v of a tower layer lie in one tensor there and in three here
    assert len(list(model.parameters())) == 589 - 1 + 24 * 4
