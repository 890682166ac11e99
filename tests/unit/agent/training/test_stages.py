"""Training: what learns in each stage, what comes out, and that a killed run ends where an unbroken one does."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from agent.imaging import likeness
from agent.manifest import ManifestError
from agent.readers import learned, signs
from agent.readers.cxr_llava import load
from agent.readers.protocol import Generation
from agent.readers.signs import Signs
from agent.training import lineage, stages
from agent.training.settings import Data, Training, read_settings
from dicom_node.errors import ConfigurationError
from tests.harness.node import wait_until
from tests.unit.agent.training.shape import SHAPE

COURSE = """
epochs = 2
batch = 4
precision = "fp32"
save_steps = 2
log_steps = 1
"""


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve films, one a patient; the bright ones have an effusion."""
    folder = tmp_path_factory.mktemp("films")
    random = np.random.default_rng(5)
    rows = [("image", "patient", "age", "split", "Pleural Effusion", "Edema", "report")]
    for number in range(12):
        bright = number % 2
        pixels = np.clip(random.normal(80 + 100 * bright, 20, (40, 40)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        split = "validation" if number > 9 else "train"
        text = "There is a pleural effusion." if bright else "There is no pleural effusion."
        rows.append((f"{number}.png", str(number), "50", split, str(bright), "" if number else "1", text))
    with (folder / "films.csv").open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows(rows)
    return folder


def settings_file(films: Path, name: str, text: str = "", **sections: str) -> Path:
    courses = [f"[{stage}]\n{COURSE}{sections.get(stage, '')}" for stage in ("encoder", "align", "finetune")]
    path = films / name
    parts = [f'{text}\n[data]\nmanifest = "films.csv"\n', SHAPE, *courses, sections.get("lora", "")]
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


def say(_line: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def encoded(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("encoder")
    stages.run("encoder", read_settings(settings_file(films, "encoder.toml")), out, say)
    return out


@pytest.fixture(scope="module")
def finetuned(films: Path, encoded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finetune")
    text = f'start = "{encoded / "model"}"'
    stages.run("finetune", read_settings(settings_file(films, "finetune.toml", text)), out, say)
    return out


def weights(model: Path) -> dict[str, torch.Tensor]:
    return load_file(model / "model-00001-of-00001.safetensors")


def changed(before: Path, after: Path) -> set[str]:
    one, other = weights(before), weights(after)
    assert one.keys() == other.keys()
    return {name.split(".")[0] for name in one if not torch.equal(one[name], other[name])}


def test_a_run_leaves_a_model_that_the_reader_loads_and_says_what_it_was_made_from(encoded: Path) -> None:
    reader = load(encoded / "model", "fp32", device="cpu")
    assert reader.identity.notice == "LANGUAGE MODEL NOT TRAINED - ADAPTED MODEL - NOT VALIDATED"
    data = json.loads((encoded / "data.json").read_text(encoding="utf-8"))
    assert (data["films"], data["patients"]) == ({"train": 10, "validation": 2}, 10)
    assert data["labels"] == ["Pleural Effusion"]  # of edema only one kind is known
    assert len(data["digest"]) == 64
    metrics = json.loads((encoded / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["steps"] == 6
    assert {"loss", "eval_loss"} <= metrics.keys()
    with Image.open(encoded / "loss.png") as picture:
        assert picture.width > 500
    (part,) = json.loads((encoded / "made_with.json").read_text(encoding="utf-8"))["parts"]
    assert (part["stage"], part["from_step"], part["threads"]) == ("encoder", 0, torch.get_num_threads())
    card = json.loads((encoded / "model" / "wetread.json").read_text(encoding="utf-8"))
    assert card["made_with"] == [part]


def test_what_was_learned_survives_the_published_names(encoded: Path, films: Path) -> None:
    """Bytes that were written and loaded are those that the trainer kept, in bf16."""
    kept = load_file(encoded / "checkpoint-6" / "model.safetensors")
    model = load(encoded / "model", "fp32", device="cpu").parts.state_dict()
    for name, value in model.items():
        if not name.endswith("position_ids"):
            assert torch.equal(kept[f"model.{name}"].to(torch.bfloat16).float(), value), name


def test_a_tower_that_learns_on_is_not_left_without_a_word(films: Path, encoded: Path, tmp_path: Path) -> None:
    said: list[str] = []
    path = settings_file(films, "tower.toml", f'start = "{encoded / "model"}"')
    stages.run("encoder", read_settings(path), tmp_path / "run", said.append)
    assert [line for line in said if "let align and finetune follow" in line]
    settings = json.loads((tmp_path / "run" / "settings.json").read_text(encoding="utf-8"))
    assert settings["encoder"]["learning_rate"] == 1e-6


def test_align_moves_the_projection_alone_and_keeps_the_warning(films: Path, encoded: Path, tmp_path: Path) -> None:
    text = f'start = "{encoded / "model"}"'
    stages.run("align", read_settings(settings_file(films, "align.toml", text)), tmp_path / "run", say)
    model = tmp_path / "run" / "model"
    assert changed(encoded / "model", model) == {"mm_projector"}
    notice = "LANGUAGE MODEL NOT TRAINED - ADAPTED MODEL - NOT VALIDATED"
    assert load(model, "fp32", device="cpu").identity.notice == notice


def test_a_model_whose_language_model_learned_says_no_longer_that_it_did_not(finetuned: Path) -> None:
    assert load(finetuned / "model", "fp32", device="cpu").identity.notice == "ADAPTED MODEL - NOT VALIDATED"


def test_a_report_writer_from_nothing_says_that_it_sees_nothing(films: Path, tmp_path: Path) -> None:
    """While it learns, and in each draft; an encoder that goes on from it learns as fast as one from nothing."""
    said: list[str] = []
    path = settings_file(films, "unseeing.toml")
    path.write_text(path.read_text("utf-8").replace("epochs = 2", "epochs = 0.4"), encoding="utf-8")
    stages.run("finetune", read_settings(path), tmp_path / "run", said.append)
    assert [line for line in said if line.startswith("warning: the vision tower of this model never learned anything")]
    model = tmp_path / "run" / "model"
    assert (
        load(model, "fp32", device="cpu").identity.notice == "VISION TOWER NOT TRAINED - ADAPTED MODEL - NOT VALIDATED"
    )

    path.write_text(f'start = "{model}"\n{path.read_text("utf-8")}', encoding="utf-8")
    stages.run("encoder", read_settings(path), tmp_path / "seeing", said.append)
    settings = json.loads((tmp_path / "seeing" / "settings.json").read_text(encoding="utf-8"))
    assert settings["encoder"]["learning_rate"] == 5e-4


def test_finetuning_leaves_the_tower_alone(encoded: Path, finetuned: Path) -> None:
    assert changed(encoded / "model", finetuned / "model") == {"llama", "lm_head", "mm_projector"}


@pytest.mark.parametrize(("quantize", "precision"), [("", "fp32"), ("nf4", "bf16")])
def test_adapters_become_part_of_the_weights(
    films: Path, finetuned: Path, tmp_path: Path, quantize: str, precision: str
) -> None:
    lora = f'[finetune.lora]\nrank = 2\nalpha = 64\ndropout = 0.0\nquantize = "{quantize}"\n'
    path = settings_file(films, f"lora{quantize}.toml", f'start = "{finetuned / "model"}"', lora=lora)
    path.write_text(path.read_text("utf-8").replace('"fp32"', f'"{precision}"'), encoding="utf-8")
    stages.run("finetune", read_settings(path), tmp_path / "run", say)

    before, after = weights(finetuned / "model"), weights(tmp_path / "run" / "model")
    kept = load_file(tmp_path / "run" / "checkpoint-6" / "model.safetensors")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[0] for name in moved} == {"llama", "mm_projector"}
    assert all(".layers." in name for name in moved if name.startswith("llama."))
    layer = "layers.0.mlp.up_proj"
    down, up = (kept[f"model.llama.{layer}.lora_{side}.default.weight"].float() for side in "AB")
    expected = before[f"llama.{layer}.weight"].float() + 32 * (up @ down)
    assert torch.equal(after[f"llama.{layer}.weight"], expected.to(torch.bfloat16))
    load(tmp_path / "run" / "model", "fp32", device="cpu").token_ids(
        np.zeros((40, 40), np.uint8), "<image>\n", Generation(max_new_tokens=2)
    )


def test_what_learns_on_keeps_what_it_is_scored_by_and_says_where_it_comes_from(
    films: Path, encoded: Path, tmp_path: Path
) -> None:
    start = tmp_path / "start"
    shutil.copytree(encoded / "model", start)
    pairs = {"Pleural Effusion": ["Effusion present.", "Effusion absent."]}
    notice = "DEMONSTRATION MODEL - NOT FOR CLINICAL USE"
    card = {"name": "small", "version": "7", "manufacturer": "", "notice": notice, "score_pairs": pairs}
    (start / "wetread.json").write_text(json.dumps(card), encoding="utf-8")
    (start / "learned-from.txt").write_text("0123456789abcdef\n", encoding="ascii")
    stages.run("align", read_settings(settings_file(films, "on.toml", f'start = "{start}"')), tmp_path / "run", say)

    model = tmp_path / "run" / "model"
    reader = load(model, "fp32", device="cpu")
    assert reader.score_pairs == {"Pleural Effusion": ("Effusion present.", "Effusion absent.")}
    assert reader.identity.name == "small, adapted"
    assert reader.identity.notice == f"{notice} - ADAPTED MODEL - NOT VALIDATED"
    written = json.loads((model / "wetread.json").read_text(encoding="utf-8"))
    assert written["adapted_from"] == {"name": "small", "version": "7"}
    again = Training(data=Data(manifest=films), start=model)
    assert lineage.inherit("align", again)[1]["adapted_from"]["adapted_from"] == {"name": "small", "version": "7"}
    assert "0123456789abcdef" in learned.read(model)


def test_the_tower_can_learn_with_layers_that_are_computed_again(films: Path, tmp_path: Path) -> None:
    path = settings_file(films, "saving.toml", encoder="activation_checkpointing = true\n")
    path.write_text(path.read_text("utf-8").replace("epochs = 2", "epochs = 0.4"), encoding="utf-8")
    assert stages.run("encoder", read_settings(path), tmp_path / "run", say)["steps"] == 2


def test_a_view_that_was_exchanged_makes_another_run(films: Path, tmp_path: Path) -> None:
    """The view is a label: `AP`."""
    path = settings_file(films, "views.toml")
    text = (
        path.read_text("utf-8")
        .replace('"films.csv"', '"views.csv"\nlabels = ["AP"]')
        .replace("epochs = 2", "epochs = 0.4")
    )
    path.write_text(text, encoding="utf-8")
    rows = (films / "films.csv").read_text("utf-8").splitlines()
    for first, second in (("AP", "PA"), ("PA", "AP")):
        views = ["view", *([first, second] * 6)]
        lines = [f"{row},{view}" for row, view in zip(rows, views, strict=True)]
        (films / "views.csv").write_text("\n".join(lines), encoding="utf-8")
        if first == "AP":
            stages.run("encoder", read_settings(path), tmp_path / "run", say)
    with pytest.raises(ConfigurationError, match="other films or settings"):
        stages.run("encoder", read_settings(path), tmp_path / "run", say)


@pytest.mark.parametrize(
    ("reserved", "words"), [(None, ""), (12 << 30, "; 12.0 GiB of the GPU were reserved at the most")]
)
def test_the_last_line_tells_the_memory_of_the_gpu(
    films: Path, encoded: Path, tmp_path: Path, reserved: int | None, words: str
) -> None:
    """Of a run whose process ended before it wrote its model, so that its figures are those that it kept."""
    run = tmp_path / "run"
    shutil.copytree(encoded, run)
    shutil.rmtree(run / "model")
    kept = json.loads((run / "metrics.json").read_text(encoding="utf-8")) | {"gpu_bytes_reserved": reserved}
    (run / "metrics.json").write_text(json.dumps(kept), encoding="utf-8")
    said: list[str] = []
    stages.run("encoder", read_settings(films / "encoder.toml"), run, said.append)
    assert said[-1] == f"{run / 'model'}: a checkpoint in the published layout{words}"


def test_a_model_lists_the_films_that_it_learned_from(films: Path, encoded: Path) -> None:
    shown = [films / f"{number}.png" for number in range(12)]
    assert learned.known(encoded / "model", shown) == (10, 0)  # two are of the validation
    assert learned.known(films, shown) is None


def test_it_lists_what_they_look_like_and_what_those_of_its_start_did(encoded: Path, tmp_path: Path) -> None:
    model, start = encoded / "model", tmp_path / "start"
    listed = signs.read(model)
    assert (len(listed.fingerprints), listed.whole) == (10, True)
    signs.write(tmp_path / "on", [b"", bytes(likeness.BYTES), *listed.fingerprints[:3]], model)
    assert signs.read(tmp_path / "on") == Signs((bytes(likeness.BYTES), *listed.fingerprints), whole=True)
    shutil.copytree(model, start)
    (start / "learned-signs.txt").unlink()  # of an earlier version
    assert signs.read(start) == Signs()
    signs.write(tmp_path / "later", listed.fingerprints[:3], start)
    assert signs.read(tmp_path / "later") == Signs(listed.fingerprints[:3], whole=False)


@pytest.mark.parametrize(
    ("before", "now"), [('"format": 1', '"format": 2'), ("\n", "\n\n"), ('"whole"', '"some"'), ("{", "")]
)
def test_a_damaged_list_of_fingerprints_is_none(encoded: Path, tmp_path: Path, before: str, now: str) -> None:
    text = (encoded / "model" / "learned-signs.txt").read_text(encoding="ascii")
    (tmp_path / "learned-signs.txt").write_text(text.replace(before, now, 1), encoding="ascii")
    assert before in text
    assert signs.read(tmp_path) == Signs()


def test_a_run_that_has_ended_is_left_as_it_is(films: Path, encoded: Path) -> None:
    kept = {path: path.read_bytes() for path in encoded.rglob("*") if path.is_file()}
    said: list[str] = []
    metrics = stages.run("encoder", read_settings(films / "encoder.toml"), encoded, said.append)
    assert metrics == json.loads((encoded / "metrics.json").read_text(encoding="utf-8"))
    assert [line for line in said if "ended before" in line]
    assert {path: path.read_bytes() for path in encoded.rglob("*") if path.is_file()} == kept


@pytest.fixture
def broken_off(films: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A run whose process was killed after its first checkpoint."""
    path = settings_file(films, "long.toml")
    path.write_text(path.read_text("utf-8").replace("epochs = 2", "epochs = 12"), encoding="utf-8")
    out = tmp_path / "broken"
    command = [sys.executable, "-m", "agent", "train", "encoder", str(path), "--output", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: list(out.glob("checkpoint-*/trainer_state.json")), "a checkpoint", seconds=120)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    return path, out


def test_a_killed_run_goes_on_to_the_same_end(broken_off: tuple[Path, Path], tmp_path: Path) -> None:
    path, out = broken_off
    assert not (out / "metrics.json").exists()
    (out / "checkpoint-30").mkdir()  # as a full disk leaves it
    (out / "checkpoint-30" / "model.safetensors").write_bytes(b"half")
    settings = read_settings(path)
    made_with = out / "made_with.json"
    made_with.write_text(made_with.read_text("utf-8").replace(torch.__version__, "1.0"), encoding="utf-8")
    said: list[str] = []
    resumed = stages.run("encoder", settings, out, said.append)
    assert [line for line in said if "goes on from checkpoint-" in line]
    assert [line for line in said if f"torch 1.0, now {torch.__version__}" in line]
    card = json.loads((out / "model" / "wetread.json").read_text(encoding="utf-8"))
    assert [part["versions"]["torch"] for part in card["made_with"]] == ["1.0", torch.__version__]
    unbroken = stages.run("encoder", settings, tmp_path / "unbroken", say)
    assert resumed["steps"] == unbroken["steps"] == 36
    assert resumed["loss"] == pytest.approx(unbroken["loss"], rel=1e-3)
    assert resumed["eval_loss"] == pytest.approx(unbroken["eval_loss"], rel=1e-3)


def test_a_folder_with_another_run_is_refused_and_says_what_is_other(films: Path, encoded: Path) -> None:
    path = settings_file(films, "other.toml")
    path.write_text(path.read_text("utf-8").replace("batch = 4", "batch = 2"), encoding="utf-8")
    with pytest.raises(
        ConfigurationError, match=r"other films or settings: align.batch 4, now 2; encoder.batch 4, now 2; "
    ):
        stages.run("encoder", read_settings(path), encoded, say)


def test_films_that_may_have_been_decoded_otherwise_say_so(films: Path, encoded: Path, tmp_path: Path) -> None:
    shutil.copytree(encoded, tmp_path / "run")
    for name, old, new in (
        ("made_with.json", '"pillow": "', '"pillow": "1.'),
        ("data.json", '"digest": "', '"digest": "0'),
    ):
        path = tmp_path / "run" / name
        path.write_text(path.read_text("utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"or films that other versions decoded otherwise \(pillow 1\."):
        stages.run("encoder", read_settings(films / "encoder.toml"), tmp_path / "run", say)


def test_a_patient_in_two_splits_is_refused_before_anything_is_written(films: Path, tmp_path: Path) -> None:
    text = (films / "films.csv").read_text("utf-8").replace("11.png,11,", "11.png,0,")
    (films / "leak.csv").write_text(text, encoding="utf-8")
    path = settings_file(films, "leak.toml")
    path.write_text(path.read_text("utf-8").replace("films.csv", "leak.csv"), encoding="utf-8")
    with pytest.raises(ManifestError, match="one patient is in the splits"):
        stages.run("encoder", read_settings(path), tmp_path / "run", say)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("nothing", r"nothing, which is not there: name the folder `model` of a run"),
        ("encoded", r"which is a run, whose model is .*/model: name"),
        ("films", r"which is no model: it has no config.json"),
    ],
)
def test_a_start_that_is_no_model_is_named(films: Path, encoded: Path, tmp_path: Path, start: str, words: str) -> None:
    folder = {"encoded": encoded, "films": films}.get(start, tmp_path / start)
    with pytest.raises(ConfigurationError, match=words):
        stages.run(
            "align", read_settings(settings_file(films, "start.toml", f'start = "{folder}"')), tmp_path / "r", say
        )


@pytest.mark.parametrize(("size", "words"), [(100, "smaller than required_chars. 100 vs"), (9000, "too high")])
def test_a_vocabulary_that_the_reports_do_not_allow_is_named(
    films: Path, tmp_path: Path, size: int, words: str
) -> None:
    path = settings_file(films, "words.toml")
    path.write_text(path.read_text("utf-8").replace("vocabulary = 420", f"vocabulary = {size}"), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=rf"\[shape\] vocabulary is {size}, .* these 10 reports .*{words}"):
        stages.run("align", read_settings(path), tmp_path / "run", say)


def test_films_that_cannot_be_decoded_are_told_with_file_lines_and_why(films: Path, tmp_path: Path) -> None:
    (films / "bad.png").write_bytes(b"no film")
    text = (films / "films.csv").read_text("utf-8").replace("\n3.png", "\nbad.png")
    (films / "bad.csv").write_text(text, encoding="utf-8")
    path = settings_file(films, "bad.toml")
    path.write_text(path.read_text("utf-8").replace("films.csv", "bad.csv"), encoding="utf-8")
    words = r"/bad.csv: 1 of 10 films cannot be decoded: lines 5: The picture cannot be decoded. Mend these films"
    with pytest.raises(ManifestError, match=words):
        stages.run("encoder", read_settings(path), tmp_path / "run", say)


def test_the_published_size_without_room_for_words_is_refused_before_films_are_read(
    films: Path, tmp_path: Path
) -> None:
    path = settings_file(films, "large.toml")
    path.write_text(path.read_text("utf-8").replace("image_size = 32", "image_size = 512"), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"\[shape\] positions is 1024, of which question and film take 1[01]"):
        stages.run("align", read_settings(path), tmp_path / "run", say)
    assert not (tmp_path / "run").exists()


LORA = "[finetune.lora]\n"


def test_adapters_without_a_start_are_refused_before_films_are_read(films: Path, tmp_path: Path) -> None:
    path = settings_file(films, "no_start.toml", lora=LORA)
    with pytest.raises(ConfigurationError, match=r"\[finetune.lora\] adapts a model, and there is none to begin with"):
        stages.run("finetune", read_settings(path), tmp_path / "run", say)
    assert not (tmp_path / "run").exists()


def test_adapters_on_a_language_model_that_never_learned_are_refused(
    films: Path, encoded: Path, tmp_path: Path
) -> None:
    path = settings_file(films, "untaught.toml", f'start = "{encoded / "model"}"', lora=LORA)
    with pytest.raises(ConfigurationError, match=r"leave out \[finetune.lora\], so that all of it learns"):
        stages.run("finetune", read_settings(path), tmp_path / "run", say)
    assert not (tmp_path / "run").exists()
