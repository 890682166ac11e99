"""`wetread model import`, `verify` and `info`, and what must never be taken for a model."""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import struct
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file

from agent import health
from agent.cli import Surroundings, wetread
from agent.config import Config, ReaderConfig
from agent.readers import demonstration_checkpoint
from agent.readers.checkpoint import NAME, REVISION, Checkpoint, CheckpointError, digest_of
from agent.readers.protocol import Generation
from agent.readers.weights import memory, origin, structure
from agent.readers.weights.errors import NotEnoughSpace
from agent.readers.weights.install import Folder, contents, install
from agent.readers.weights.structure import PUBLISHED

CHECKPOINT = Path(__file__).parents[2] / "reference" / "cxr_llava" / "ckpt"
SHARD = "model-00001-of-00002.safetensors"
SMALL = (55, 775_808)  # tensors and bytes of CHECKPOINT
CARD = {"name": "ours", "version": "1", "manufacturer": "us", "notice": "TEST"}

PUBLISHED_SHAPE = {
    "clip_embed_dim": 128,
    "clip_vision_cfg": {"image_size": 512, "layers": 24, "patch_size": 16, "width": 1024},
    "llama": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 32,
        "vocab_size": 32000,
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of our own, so that its size need not be the published one's."""
    copy = Path(shutil.copytree(CHECKPOINT, tmp_path / "usb"))
    (copy / "wetread.json").write_text(json.dumps(CARD))
    return copy


def model(*arguments: object, published: tuple[int, int] | None = None) -> Result:
    """published: tensors and bytes of what is to pass for the published model."""
    return CliRunner().invoke(wetread, ["model", *map(str, arguments)], obj=Surroundings(None, published))


def verdicts(result: Result) -> dict[str, tuple[str, str]]:
    return {row["subject"]: (row["verdict"], row["words"]) for row in json.loads(result.stdout)["rows"]}


def fails(*arguments: object) -> str:
    result = model(*arguments)
    assert isinstance(result.exception, CheckpointError), result.output
    return str(result.exception)


# --- what the tests break


def rewrite(folder: Path, change: Callable[[str, dict], object]) -> None:
    for shard in folder.glob("*.safetensors"):
        weights = load_file(shard)
        change(shard.name, weights)
        save_file(weights, shard, {"format": "pt"})


def drop(name: str, folder: Path) -> None:
    rewrite(folder, lambda _, weights: weights.pop(name, None))


def add(name: str, folder: Path) -> None:
    rewrite(folder, lambda shard, weights: shard == SHARD and weights.update({name: weights[min(weights)].clone()}))


def move(name: str, folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"][name] = next(
        one for one in content["weight_map"].values() if one != content["weight_map"][name]
    )
    index.write_text(json.dumps(content))


def sparse(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Path, ...]:
    """Three shards of these tensors in bfloat16, without their numbers."""
    names = sorted(shapes)
    shards = []
    for number in range(3):
        header, reached = {}, 0
        for name in names[number::3]:
            end = reached + 2 * math.prod(shapes[name])
            header[name] = {"dtype": "BF16", "shape": list(shapes[name]), "data_offsets": [reached, end]}
            reached = end
        raw = json.dumps(header).encode()
        shards.append(folder / f"model-{number + 1:05d}-of-00003.safetensors")
        with shards[-1].open("wb") as stream:
            stream.write(struct.pack("<Q", len(raw)) + raw)
            stream.truncate(8 + len(raw) + reached)
    return tuple(shards)


def elsewhere(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text().replace(SHARD, "../../etc/passwd"))


def cut(folder: Path) -> None:
    (folder / SHARD).write_bytes((folder / SHARD).read_bytes()[:-10])


def retype(folder: Path) -> None:
    path = folder / SHARD
    path.write_bytes(path.read_bytes().replace(b'"BF16"', b'"I16" ', 1))


def gap(folder: Path) -> None:
    """The second tensor starts where the first does, and both have as many bytes as before."""
    path = folder / SHARD
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    ends = sorted(one["data_offsets"] for name, one in header.items() if name != "__metadata__")
    (last,) = [name for name, one in header.items() if name != "__metadata__" and one["data_offsets"] == ends[-1]]
    start, end = header[last]["data_offsets"]
    header[last]["data_offsets"] = [start + 2, end + 2]
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + content[8 + length :])


def edit(folder: Path, name: str, key: str, value: object) -> None:
    path = folder / name
    written = re.sub(rf'"{key}": [^,}}]+', f'"{key}": {json.dumps(value)}', path.read_text(), count=1)
    path.write_text(written)


# --- import


def test_an_imported_model_is_the_same_and_says_where_it_came_from(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "srv" / "model"
    for name in (origin.LEARNED, origin.SIGNS):
        (folder / name).write_text("0123456789abcdef\n")
    result = model("import", folder, "--to", target, "--json")
    assert result.exit_code == 0, result.output
    names = {path.name for path in folder.iterdir()}
    assert {path.name for path in target.iterdir()} == names | {origin.ORIGIN}
    for name, digest in json.loads(result.stdout)["files"].items():
        assert hashlib.sha256((target / name).read_bytes()).hexdigest() == digest
    assert {path.name for path in target.parent.iterdir()} == {"model"}
    for name in (origin.LEARNED, origin.SIGNS):
        (folder / name).unlink()
    assert model("import", folder, "--to", target).exit_code == 0  # one that learned from nothing replaces it
    assert not {origin.LEARNED, origin.SIGNS} & {path.name for path in target.iterdir()}


def test_the_published_model_may_be_read_by_whoever_carries_it_on(tmp_path: Path) -> None:
    """Fetched by one user onto a disk that remembers owners, imported by another."""
    before = os.umask(0o077)  # as the command line sets it
    try:
        assert model("import", CHECKPOINT, "--to", tmp_path / "model", "--accept-licence").exit_code == 0
        own = shutil.copytree(CHECKPOINT, tmp_path / "usb")
        (own / "wetread.json").write_text(json.dumps(CARD))
        assert model("import", own, "--to", tmp_path / "own").exit_code == 0
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "model").iterdir()}
    assert (modes, (tmp_path / "model").stat().st_mode & 0o777) == ({0o644}, 0o755)
    assert (tmp_path / "own").stat().st_mode & 0o077 == 0  # whose it is decides who sees it


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda usb: edit(usb, "config.json", "hidden_act", "gelu"), "config.json: llama.hidden_act is 'gelu'"),
        (lambda usb: (usb / "config.json").write_text("{"), "config.json is no JSON file"),
        (lambda usb: (usb / "tokenizer.model").write_bytes(b"x"), "tokenizer.model is no sentencepiece model"),
        (lambda usb: drop("lm_head.weight", usb), "model.safetensors.index.json: lm_head.weight is not in"),
        (cut, f"{SHARD}: it is cut off"),
    ],
)
def test_what_cannot_be_installed_is_not_copied_first(
    tmp_path: Path, change: Callable[[Path], object], words: str
) -> None:
    """Of 14 GB on a slow disk; and the file that is named is there, and nothing is left behind."""
    usb = Path(shutil.copytree(CHECKPOINT, tmp_path / "usb"))
    change(usb)
    said = fails("import", usb, "--to", tmp_path / "srv" / "model", "--accept-licence")
    assert said.startswith(f"{usb}/{words}")
    assert f"wetread model pull --to {usb}; without a network: wetread model import FOLDER --to {usb}" in said
    assert [path.name for path in tmp_path.iterdir()] == ["usb"]


def test_a_small_file_that_its_origin_does_not_know_is_told_before_the_shards_are_copied(
    folder: Path, tmp_path: Path
) -> None:
    assert model("import", folder, "--to", tmp_path / "first").exit_code == 0
    name = tmp_path / "first" / "generation_config.json"
    name.write_text(name.read_text() + " ")
    result = model("import", tmp_path / "first", "--to", tmp_path / "second")
    assert f"{name} is not the file that it should be: it has" in str(result.exception)
    assert "1 of " not in result.stderr
    assert not list(tmp_path.glob("*second*"))


def test_what_was_fetched_in_vain_is_not_called_by_the_name_of_its_draft(tmp_path: Path) -> None:
    wanted = contents(CHECKPOINT)
    with pytest.raises(CheckpointError) as caught:
        install(tmp_path / "model", Folder(CHECKPOINT), replace(wanted, revision=REVISION), say=print)
    said = str(caught.value)
    assert f"wetread model pull --to {tmp_path / 'model'}; without a network: wetread model import FOLDER" in said


def test_an_import_of_an_imported_model_compares_every_file(folder: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert model("import", folder, "--to", first).exit_code == 0
    assert model("import", first, "--to", second).exit_code == 0
    shutil.rmtree(second)
    content = bytearray((first / SHARD).read_bytes())
    content[-7] ^= 1
    (first / SHARD).write_bytes(content)
    said = fails("import", first, "--to", second)
    assert said.startswith(f"{first / SHARD} is not the file that it should be, also when copied twice: its SHA-256 is")
    assert f"The copy was thrown away. The file there is damaged: copy it anew to {first}" in said
    assert "--endpoint" not in said
    assert "fetched" not in said
    assert not second.exists()
    assert not list(second.with_name("second.partial").glob(f"{SHARD}*"))
    content[-7] ^= 1
    (first / SHARD).write_bytes(content)
    assert model("import", first, "--to", second).exit_code == 0, "what it said helps"


def test_a_folder_that_lost_a_file_is_not_imported(folder: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    assert model("import", folder, "--to", first).exit_code == 0
    (first / SHARD).unlink()
    assert f"{SHARD} is missing" in fails("import", first, "--to", tmp_path / "second")


def test_a_folder_that_names_files_elsewhere_is_not_imported(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    files = {"config.json": {"size": 1, "sha256": "0" * 64}, "../secret": {"size": 1, "sha256": "0" * 64}}
    content = {"repository": "", "revision": "", "files": files}
    (folder / origin.ORIGIN).write_text(json.dumps(content))
    result = model("import", folder, "--to", tmp_path / "model")
    assert isinstance(result.exception, origin.OriginUnreadable)
    assert not (tmp_path / "model").exists()


def test_the_published_model_wants_its_licences_accepted(tmp_path: Path) -> None:
    refused = model("import", CHECKPOINT, "--to", tmp_path / "model")
    assert refused.exit_code == 2
    assert "--accept-licence" in refused.stderr
    assert not (tmp_path / "model").exists()
    accepted = model("import", CHECKPOINT, "--to", tmp_path / "model", "--accept-licence")
    assert accepted.exit_code == 0
    assert "No digests came with the files" in accepted.stderr


def test_the_notes_of_the_hubs_own_download_prove_a_copy(folder: Path, tmp_path: Path) -> None:
    notes = folder / ".cache" / "huggingface" / "download"
    notes.mkdir(parents=True)
    for name in (SHARD, "config.json"):
        content = (folder / name).read_bytes()
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        etag = hashlib.sha256(content).hexdigest() if name == SHARD else git
        (notes / f"{name}.metadata").write_text(f"{REVISION}\n{etag}\n1700000000.0\n")
    found = origin.known(folder).files
    assert (found[SHARD].sha256, found[SHARD].blob) == (hashlib.sha256((folder / SHARD).read_bytes()).hexdigest(), None)
    assert found["config.json"].blob is not None
    assert model("import", folder, "--to", tmp_path / "good").exit_code == 0
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    assert "config.json is not the file" in fails("import", folder, "--to", tmp_path / "bad")


def test_a_snapshot_in_the_hubs_cache_proves_itself_by_its_links(tmp_path: Path) -> None:
    cache = tmp_path / "models--ECOFRI--CXR-LLAVA-v2"
    snapshot, blobs = cache / "snapshots" / REVISION, cache / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for path in CHECKPOINT.iterdir():
        content = path.read_bytes()
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        name = hashlib.sha256(content).hexdigest() if path.suffix == ".safetensors" else git
        (blobs / name).write_bytes(content)
        (snapshot / path.name).symlink_to(Path("..", "..", "blobs", name))
    assert origin.known(snapshot).revision == REVISION
    target = tmp_path / "model"
    arguments = ("import", snapshot, "--to", target, "--accept-licence")
    assert "has 589 tensors of 14092742656 bytes, and config.json makes 55 of 775808" in fails(*arguments)
    assert not target.exists()
    assert model(*arguments, published=SMALL).exit_code == 0
    assert not any(path.is_symlink() for path in target.iterdir())
    result = model("verify", "--model", target, "--json", published=SMALL)
    assert result.exit_code == 0
    assert {verdict for verdict, _ in verdicts(result).values()} == {"ok"}
    (blobs / (snapshot / "tokenizer.model").readlink().name).write_bytes(b"changed")
    assert "tokenizer.model is not the file" in fails(
        "import", snapshot, "--to", tmp_path / "other", "--accept-licence"
    )


def test_no_model_in_the_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "usb").mkdir()
    (tmp_path / "usb" / "pytorch_model.bin").write_bytes(b"\x80")
    assert "holds no model" in fails("import", tmp_path / "usb", "--to", tmp_path / "model")


def test_no_disk_is_told_in_gib_before_a_byte_is_copied(folder: Path, tmp_path: Path) -> None:
    huge = replace(contents(folder), files=(origin.Expected("config.json", 14_092_742_656),))
    with pytest.raises(
        NotEnoughSpace, match=r"13\.4 GiB are needed on the disk of .*model\.partial, 4\.0 GiB are free"
    ):
        install(tmp_path / "model", Folder(folder), huge, say=print, free=lambda _: 4 << 30)
    assert [path.name for path in tmp_path.iterdir()] == ["usb"], "no lock, no empty folder"


def test_a_file_system_that_takes_no_large_files_is_named(folder: Path, tmp_path: Path) -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "from agent.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "model", "import", str(folder), "--to", str(tmp_path / "model")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "takes no files of this size" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "model").exists()


def test_what_has_come_counts_when_the_disk_is_looked_at(folder: Path, tmp_path: Path) -> None:
    wanted = contents(folder)
    (tmp_path / "model.partial").mkdir()
    for file in wanted.files:
        shutil.copy(folder / file.name, tmp_path / "model.partial" / file.name)
    install(tmp_path / "model", Folder(folder), wanted, say=print, free=lambda _: 0)
    assert (tmp_path / "model" / SHARD).exists()


def test_a_folder_with_other_things_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.odt").write_text("mine")
    assert "thesis.odt" in fails("import", folder, "--to", tmp_path / "model")
    assert (tmp_path / "model" / "thesis.odt").read_text() == "mine"


def test_two_at_once_do_not_meet(folder: Path, tmp_path: Path) -> None:
    with (tmp_path / ".model.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "Another wetread" in fails("import", folder, "--to", tmp_path / "model")
    assert model("import", folder, "--to", tmp_path / "model").exit_code == 0


def test_a_lock_that_was_taken_away_meanwhile_holds_nobody_off_and_does_not_count(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was before us ends between our opening of the file and our locking of it; a third one makes a new file."""
    real = fcntl.flock

    def late(file: IO[str], how: int) -> None:
        (tmp_path / ".model.lock").unlink()
        real(file, how)

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", late)
        assert "Another wetread was" in fails("import", folder, "--to", tmp_path / "model")
    assert not (tmp_path / "model").exists()
    assert model("import", folder, "--to", tmp_path / "model").exit_code == 0


def test_an_older_model_is_replaced_and_a_link_to_it_stays(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "disk" / "model").mkdir(parents=True)
    (tmp_path / "disk" / "model" / "config.json").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "model")
    assert model("import", folder, "--to", tmp_path / "link").exit_code == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "model" / SHARD).exists()
    assert {path.name for path in (tmp_path / "disk").iterdir()} == {"model"}


def test_weights_that_do_not_fit_leave_the_older_model_in_place(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "model"
    assert model("import", folder, "--to", target).exit_code == 0
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    drop("lm_head.weight", folder)
    index = folder / "model.safetensors.index.json"
    places = json.loads(index.read_text())
    del places["weight_map"]["lm_head.weight"]
    index.write_text(json.dumps(places))
    assert "lm_head.weight [400, 96] is in none of the shards" in fails("import", folder, "--to", target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before


def lose(name: str, folder: Path) -> None:
    (folder / name).unlink()


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: lose("tokenizer.model", folder),
        lambda folder: lose(SHARD, folder),
        lambda folder: lose("config.json", folder),
        lambda folder: lose("wetread.json", folder),
        lambda folder: (folder / origin.ORIGIN).write_text("{"),
    ],
)
def test_what_a_damaged_model_of_our_own_is_mended_with_does_not_take_it_away(
    folder: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    """Everything that is printed about it sends nobody to the hub, which has another one."""
    target = tmp_path / "model"
    assert model("import", folder, "--to", target).exit_code == 0
    change(target)
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    verified = model("verify", "--model", target)
    info = model("info", "--model", target, "--precision", "bf16")
    said = verified.output + str(info.exception)
    assert verified.exit_code == 1
    assert f"wetread model import FOLDER --to {target}" in said
    assert "wetread model pull" not in said
    refused = fails("pull", "--to", target, "--endpoint", "http://127.0.0.1:9", "--accept-licence")
    assert f"{target} holds a model of your own (wetread.json), and would lose it" in refused
    assert (
        f"To mend what is there: Bring it again from where it was made, with: wetread model import FOLDER --to {target}"
        in refused
    )
    assert "Name another folder with --to, or move this one away." in refused
    assert "holds a model of your own" in fails("import", CHECKPOINT, "--to", target, "--accept-licence")
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert model("import", folder, "--to", target).exit_code == 0, "what it said helps"


# --- where it goes


def at(data: Path, *arguments: object) -> Result:
    """A node of this data folder that is told no checkpoint."""
    config = data.with_suffix(".toml")
    config.write_text(f"[node]\ndata_folder = {json.dumps(str(data))}\n")
    words = ["--config", str(config), "model", *map(str, arguments)]
    return CliRunner().invoke(wetread, words, obj=Surroundings(None, SMALL))


def test_a_model_of_our_own_goes_where_its_name_says(folder: Path, tmp_path: Path) -> None:
    models = tmp_path / "data" / "models"
    assert at(tmp_path / "data", "import", demonstration_checkpoint()).exit_code == 0
    assert at(tmp_path / "data", "import", CHECKPOINT, "--accept-licence").exit_code == 0
    (folder / "wetread.json").write_text(json.dumps(CARD | {"name": "../흉부 X-ray/7."}))
    assert at(tmp_path / "data", "import", folder).exit_code == 0
    assert {path.name for path in models.iterdir()} == {
        "wetread-demonstration-model",
        "CXR-LLAVA-v2",
        "흉부-X-ray-7",
    }


@pytest.mark.parametrize("name", ["..", "/", "cxr-llava-V2"])
def test_a_name_that_no_folder_can_have_is_asked_for(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / "wetread.json").write_text(json.dumps(CARD | {"name": name}))
    refused = at(tmp_path / "data", "import", folder)
    assert refused.exit_code == 2
    assert "name its folder with --to" in refused.stderr
    assert not (tmp_path / "data" / "models").exists()
    assert at(tmp_path / "data", "import", folder, "--to", tmp_path / "there").exit_code == 0


def test_the_lines_for_the_configuration_can_be_copied(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / 'a "disk"' / "model"
    printed = model("import", folder, "--to", target).stdout
    assert tomllib.loads(printed[printed.index("\n[reader]") :]) == {"reader": {"checkpoint": str(target)}}
    printed = model("quantize", target, "--precision", "int8", "--device", "cpu").stdout
    quantized = {"checkpoint": f"{target}-int8", "precision": "int8"}
    assert tomllib.loads(printed[printed.index("\n[reader]") :]) == {"reader": quantized}


# --- verify


def test_a_whole_model_is_verified(folder: Path, tmp_path: Path) -> None:
    assert model("import", folder, "--to", tmp_path / "model").exit_code == 0
    result = model("verify", "--model", tmp_path / "model", "--json")
    rows = verdicts(result)
    assert result.exit_code == 0
    assert {verdict for verdict, _ in rows.values()} == {"ok", "warning"}
    assert [subject for subject, (verdict, _) in rows.items() if verdict == "warning"] == ["origin"]
    assert rows["configuration"][1] == "rms_norm_eps 1e-05, max_position_embeddings 1024, num_key_value_heads 3"
    assert rows["tokenizer"][1] == "400 tokens, legacy false, add_bos_token true"
    assert rows["tensors"][1].startswith("55 tensors, 387904 numbers, 775808 bytes")


def test_the_model_that_ships_is_proved_without_a_warning(tmp_path: Path) -> None:
    result = model("verify", "--model", demonstration_checkpoint(), "--json")
    rows = verdicts(result)
    assert result.exit_code == 0
    assert [name for name, (verdict, _) in rows.items() if verdict != "ok"] == []
    assert {"model-00001-of-00001.safetensors", "tokenizer.model", "wetread.json", "origin"} <= rows.keys()
    copy = Path(shutil.copytree(demonstration_checkpoint(), tmp_path / "model"))
    (copy / "config.json").write_text((copy / "config.json").read_text() + "\n")
    changed = model("verify", "--model", copy, "--json")
    assert changed.exit_code == 1
    assert verdicts(changed)["config.json"][0] == "wrong"


def test_a_changed_byte_and_a_missing_file_are_named_together(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "model"
    assert model("import", folder, "--to", target).exit_code == 0
    content = bytearray((target / SHARD).read_bytes())
    content[-1] ^= 1
    (target / SHARD).write_bytes(content)
    (target / "tokenizer.model").unlink()
    result = model("verify", "--model", target, "--json")
    rows = verdicts(result)
    assert result.exit_code == 1
    assert rows[SHARD][0] == rows["tokenizer.model"][0] == "wrong"
    assert f"wetread model import FOLDER --to {target}" in rows[SHARD][1]
    assert "it is missing" in rows["tokenizer.model"][1]
    with pytest.raises(CheckpointError, match=r"tokenizer\.model is missing"):
        Checkpoint.open(target, "bf16")


def test_programs_and_pickles_beside_a_model_are_pointed_out(folder: Path) -> None:
    (folder / "modeling_cxr.py").write_text("raise SystemExit")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
    (folder / "README.md").write_text("# card")
    result = model("verify", "--model", folder, "--json")
    rows = verdicts(result)
    assert result.exit_code == 0
    assert {rows[name][0] for name in ("modeling_cxr.py", "pytorch_model.bin")} == {"warning"}
    assert "README.md" not in rows


def test_a_worker_does_not_start_with_a_changed_file(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "model"
    assert model("import", folder, "--to", target).exit_code == 0
    assert Checkpoint.open(target, "bf16").identity().name == "ours"
    (target / "config.json").write_text((target / "config.json").read_text() + "\n")
    checkpoint = Checkpoint.open(target, "bf16")
    with pytest.raises(CheckpointError, match=r"config\.json is not the file that was installed.*wetread model import"):
        checkpoint.identity()


def test_a_model_of_another_size_is_not_the_published_one() -> None:
    result = model("verify", "--model", CHECKPOINT, "--json")
    assert result.exit_code == 1
    verdict, words = verdicts(result)["tensors"]
    assert verdict == "wrong"
    assert "the published model has 589 tensors of 14092742656 bytes, and config.json makes 55 of 775808." in words
    assert model("verify", "--model", CHECKPOINT, published=SMALL).exit_code == 0
    assert model("verify", "--model", CHECKPOINT, published=(SMALL[0] + 1, SMALL[1])).exit_code == 1
    assert model("verify", "--model", CHECKPOINT, published=(SMALL[0], SMALL[1] + 2)).exit_code == 1


@pytest.mark.parametrize("card", [True, False])
def test_who_claims_to_be_the_published_model_is_asked_for_its_size(tmp_path: Path, card: bool) -> None:
    """The digests beside the files prove them whole, not that they are those of the authors: anyone can write them."""
    folder = Path(shutil.copytree(CHECKPOINT, tmp_path / "model"))
    if card:
        (folder / "wetread.json").write_text(json.dumps(CARD))
    origin.seal(folder)
    found = origin.read(folder)
    assert found is not None
    origin.write(folder, replace(found, repository=NAME, revision=REVISION))
    result = model("verify", "--model", folder, "--json")
    assert result.exit_code == 1
    assert [name for name, (verdict, _) in verdicts(result).items() if verdict == "wrong"] == ["tensors"]
    assert "has 589 tensors" in fails("import", folder, "--to", tmp_path / "copy", "--accept-licence")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: drop("llama.norm.weight", folder), "llama.norm.weight is not in"),
        (lambda folder: add("surprise", folder), "it lacks surprise"),
        (lambda folder: move("lm_head.weight", folder), "it says that lm_head.weight is in"),
        (cut, "cut off or damaged"),
        (lambda folder: (folder / SHARD).write_bytes(b"PK\x03\x04"), "cut off or no safetensors file"),
        (retype, "stored as I16"),
        (gap, "gaps"),
        (lambda folder: edit(folder, "config.json", "intermediate_size", 193), "has the shape"),
        (lambda folder: edit(folder, "config.json", "rms_norm_eps", None), "lacks the key llama.rms_norm_eps"),
        (lambda folder: (folder / "config.json").write_text("{"), "is no JSON file"),
        (lambda folder: (folder / "config.json").write_text("[" * 100_000), "is no JSON file"),
        (lambda folder: (folder / "tokenizer.model").write_bytes(b"garbage"), "no sentencepiece model"),
        (elsewhere, "names no shards"),
    ],
)
def test_layouts_that_do_not_fit_are_named(folder: Path, change: Callable[[Path], object], words: str) -> None:
    change(folder)
    result = model("verify", "--model", folder, "--json")
    assert result.exit_code == 1
    wrong = [said for verdict, said in verdicts(result).values() if verdict == "wrong"]
    assert len(wrong) == 1
    assert words in wrong[0]


def test_the_published_configuration_calls_for_the_589_tensors() -> None:
    shapes = structure.expected(PUBLISHED_SHAPE)
    assert len(shapes) == PUBLISHED.tensors == 589
    assert sum(map(math.prod, shapes.values())) * 2 == PUBLISHED.bytes == 14_092_742_656
    assert structure.size(PUBLISHED_SHAPE) == PUBLISHED
    assert len([name for name in shapes if name.startswith("vision_tower.")]) == 296
    assert len([name for name in shapes if name.startswith("llama.")]) == 290


def test_files_of_the_published_shape_are_accepted_and_one_wrong_shape_is_not(tmp_path: Path) -> None:
    """14 GB of holes: the headers are real, the numbers take no space on the disk."""
    shapes = structure.expected(PUBLISHED_SHAPE)
    shards = sparse(tmp_path, shapes)
    found = structure.read(tmp_path, shards)
    structure.compare(tmp_path, found, PUBLISHED_SHAPE, published=True)
    assert (len(found.tensors), found.bytes, found.parameters) == (589, 14_092_742_656, 7_046_371_328)
    shards = sparse(tmp_path, {**shapes, "lm_head.weight": (4096, 32000)})
    with pytest.raises(CheckpointError, match=r"lm_head\.weight has the shape \[4096, 32000\], not \[32000, 4096\]"):
        structure.compare(tmp_path, structure.read(tmp_path, shards), PUBLISHED_SHAPE, published=True)


def test_numbers_of_another_type_are_not_the_published_ones(tmp_path: Path) -> None:
    shapes = structure.expected(PUBLISHED_SHAPE)
    found = structure.Structure({name: structure.Stored("shard", "F16", shape) for name, shape in shapes.items()})
    structure.compare(tmp_path, found, PUBLISHED_SHAPE, published=False)
    with pytest.raises(CheckpointError, match="stored as F16, not as BF16"):
        structure.compare(tmp_path, found, PUBLISHED_SHAPE, published=True)


def test_the_folder_is_taken_with_and_without_the_option(folder: Path) -> None:
    for command in ("verify", "info"):
        said = model(command, folder, "--json")
        assert (said.exit_code, said.stdout) == (0, model(command, "--model", folder, "--json").stdout)
        twice = model(command, folder, "--model", folder)
        assert twice.exit_code == 2
        assert "name the model once: as FOLDER, or with --model" in twice.stderr


def test_check_and_info_say_the_same_of_a_folder_that_lacks(folder: Path, tmp_path: Path) -> None:
    for where in (folder, tmp_path / "nowhere"):
        (folder / "tokenizer.model").unlink(missing_ok=True)
        config = Config(reader=ReaderConfig(checkpoint=where))
        found, said = health._model(config), fails("info", where)
        cure = said[said.index(" does not exist.") if not where.exists() else said.index(" Bring it again") :]
        assert found.verdict == "wrong"
        assert found.words.endswith(cure)
        assert f"wetread model import FOLDER --to {where}" in cure
    assert found.words == said


def test_no_folder_is_one_sentence(tmp_path: Path) -> None:
    result = model("verify", "--model", tmp_path / "nowhere")
    assert result.exit_code == 1
    assert "does not exist" in result.stdout


# --- info


def test_info_says_which_model_it_is(folder: Path) -> None:
    said = json.loads(model("info", "--model", folder, "--precision", "bf16", "--json").stdout)
    assert said["digest"] == Checkpoint.open(folder, "bf16").identity().digest
    assert (said["name"], said["notice"], said["licence"]) == ("ours", "TEST", [])
    assert said["memory_weights_bytes"] == 775_808
    assert said["folder"] == str(folder)
    published = json.loads(model("info", "--model", CHECKPOINT, "--json").stdout)
    assert published["licence"] == ["CC-BY-NC-4.0", "Llama 2 Community License"]
    assert "CC-BY-NC-4.0" in model("info", "--model", CHECKPOINT).stdout


PART = {
    "stage": "finetune",
    "from_step": 0,
    "versions": {"torch": "2.12.0"},
    "commit": "abc",
    "device": "cpu",
    "threads": 2,
}
NOT_NOTED = "not noted: the card of this model does not say it"


@pytest.mark.parametrize(
    ("noted", "words"),
    [
        ({"made_with": [PART]}, ["finetune: torch 2.12.0, commit abc; cpu, threads: 2"]),
        (
            {"made_with": [PART, PART | {"from_step": 40, "commit": None}]},
            [
                "finetune: torch 2.12.0, commit abc; cpu, threads: 2",
                "finetune from step 40: torch 2.12.0; cpu, threads: 2",
            ],
        ),
        (
            {"adapted_from": {"name": "small", "version": "7", "made_with": [PART]}},
            [NOT_NOTED, "start, small 7: finetune: torch 2.12.0, commit abc; cpu, threads: 2"],
        ),
        (
            {"made_with": [PART], "adapted_from": {"adapted_from": {"name": "older"}}},
            [
                "finetune: torch 2.12.0, commit abc; cpu, threads: 2",
                f"start, a model without a name: {NOT_NOTED}",
                f"start, a model without a name: start, older: {NOT_NOTED}",
            ],
        ),
        ({}, [NOT_NOTED]),
        ({"made_with": "by hand"}, ["noted in a way that nobody can read: see wetread.json"]),
        ({"made_with": [7], "adapted_from": 7}, ["noted in a way that nobody can read: see wetread.json"] * 2),
    ],
)
def test_info_says_with_what_a_model_was_made(folder: Path, noted: dict[str, object], words: list[str]) -> None:
    (folder / "wetread.json").write_text(json.dumps(CARD | noted))
    said = json.loads(model("info", "--model", folder, "--precision", "bf16", "--json").stdout)
    assert said["made_with"] == noted.get("made_with", [])
    assert said["adapted_from"] == noted.get("adapted_from")
    shown = model("info", "--model", folder, "--precision", "bf16").stdout
    assert re.findall(r"(?m)^made with +(.*)$", shown) == words
    (folder / "wetread.json").unlink()
    assert f"made with        {NOT_NOTED}" in model("info", "--model", folder, "--precision", "bf16").stdout


def test_the_folder_of_a_run_is_told_from_its_model(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "run" / "model")
    result = model("info", "--model", tmp_path / "run")
    assert (
        str(result.exception)
        == f"{tmp_path / 'run'} is the folder of a training run; its model is {tmp_path / 'run/model'}"
    )


def test_without_options_it_is_the_demonstration_model() -> None:
    assert str(demonstration_checkpoint()) in model("info").stdout


def test_expected_memory_of_the_published_shape() -> None:
    shapes = structure.expected(PUBLISHED_SHAPE)
    whole = structure.Structure({name: structure.Stored("shard", "BF16", shape) for name, shape in shapes.items()})
    gib = {precision: memory.weights(whole, precision) / 2**30 for precision in ("fp32", "bf16", "int8", "nf4")}
    assert {key: round(value, 1) for key, value in gib.items()} == {"fp32": 26.2, "bf16": 13.1, "int8": 7.1, "nf4": 4.2}
    assert memory.cache(PUBLISHED_SHAPE, "nf4", 1633) == 1633 << 19  # half a MiB a token


# --- the digest


def test_the_digest_changes_with_everything_that_decides_the_text() -> None:
    files = {"a": "1", "b": "2"}
    first = digest_of(files, "nf4", "prompt", "LANCZOS", Generation())
    others = [
        digest_of({**files, "b": "3"}, "nf4", "prompt", "LANCZOS", Generation()),
        digest_of(files, "int8", "prompt", "LANCZOS", Generation()),
        digest_of(files, "nf4", "prompt.", "LANCZOS", Generation()),
        digest_of(files, "nf4", "prompt", "BICUBIC", Generation()),
        digest_of(files, "nf4", "prompt", "LANCZOS", Generation(max_new_tokens=256)),
        digest_of(files, "nf4", "prompt", "LANCZOS", Generation(temperature=0.3)),
        digest_of(files, "nf4", "prompt", "LANCZOS", Generation(top_p=0.9)),
        digest_of(files, "nf4", "prompt", "LANCZOS", Generation(top_k=1)),
    ]
    assert len({first, *others}) == 1 + len(others)
    assert first == digest_of(files, "nf4", "prompt", "LANCZOS", Generation("sampled", seed=7))


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "tokenizer.model", SHARD])
def test_each_file_is_in_the_digest(folder: Path, name: str) -> None:
    """Of config.json: size, mean and deviation of the preprocessing are in it."""
    before = Checkpoint.open(folder, "bf16").identity().digest
    (folder / name).write_bytes((folder / name).read_bytes() + b"\n")
    assert Checkpoint.open(folder, "bf16").identity().digest != before
