"""A run says with what it was made, part by part, and that it goes on with something else."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import torch

from agent import __version__
from agent.training import lineage, provenance
from agent.training.settings import Data, Training

ROOT = Path(__file__).parents[4]


def note(out: Path, step: int) -> tuple[list[dict[str, object]], list[str]]:
    said: list[str] = []
    return provenance.note(out, "encoder", step, said.append), said


def begun_with(out: Path, **versions: str) -> None:
    """As if other versions had begun the run."""
    path = out / "made_with.json"
    parts = json.loads(path.read_text("utf-8"))
    parts["parts"][-1]["versions"] |= versions
    path.write_text(json.dumps(parts), encoding="utf-8")


def test_versions_device_and_threads_are_those_of_this_process() -> None:
    found = provenance.part("align", 7)
    assert (found["stage"], found["from_step"]) == ("align", 7)
    versions = found["versions"]
    assert versions["wetread"] == __version__
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    for package in ("torch", "transformers", "peft", "accelerate", "tokenizers", "sentencepiece", "numpy", "pillow"):
        assert versions[package] == metadata.version(package)
    assert versions["pydicom"] == metadata.version("pydicom")
    assert found["threads"] == torch.get_num_threads()
    assert found["processes"] == 1
    assert found["device"].startswith("cpu") is not torch.cuda.is_available()
    assert found["processor"]


def test_the_commit_is_that_of_the_clone() -> None:
    """And none where the program was installed, or is no clone: then the version has to do."""
    head = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    commit = provenance.part("encoder", 0)["commit"]
    if (ROOT / ".git").exists() and head.returncode == 0:
        assert str(commit).removesuffix(", with changes") == head.stdout.strip()
    else:
        assert commit is None


def test_a_run_that_goes_on_with_the_same_says_nothing_more(tmp_path: Path) -> None:
    begun, said = note(tmp_path, 0)
    assert said == []
    assert note(tmp_path, 500) == (begun, [])
    assert provenance.read(tmp_path) == begun
    assert [path.name for path in tmp_path.iterdir()] == ["made_with.json"]


def test_a_run_that_goes_on_with_other_versions_warns_and_keeps_both(tmp_path: Path) -> None:
    note(tmp_path, 0)
    begun_with(tmp_path, torch="2.9.0", numpy="2.0.1")
    parts, said = note(tmp_path, 500)
    assert [part["from_step"] for part in parts] == [0, 500]
    (warning,) = said
    assert warning.startswith("warning: ")
    assert f"torch 2.9.0, now {metadata.version('torch')}" in warning
    assert f"numpy 2.0.1, now {metadata.version('numpy')}" in warning
    assert "transformers" not in warning
    assert note(tmp_path, 900) == (parts, [])


def test_what_left_no_step_is_no_part_of_the_run(tmp_path: Path) -> None:
    note(tmp_path, 0)
    begun_with(tmp_path, torch="2.9.0")
    parts, said = note(tmp_path, 0)
    assert ([part["from_step"] for part in parts], said) == ([0], [])
    assert parts[0]["versions"] == provenance.part("encoder", 0)["versions"]


def test_a_run_of_an_older_version_that_goes_on_says_that_nobody_knows(tmp_path: Path) -> None:
    parts, said = note(tmp_path, 500)
    assert [part["from_step"] for part in parts] == [500]
    assert said == [f"warning: {tmp_path}: nobody wrote down with what this run was begun"]


def test_who_learns_on_says_with_what_the_start_was_made(tmp_path: Path) -> None:
    card = {"name": "small", "version": "7", "made_with": [{"stage": "encoder"}]}
    (tmp_path / "wetread.json").write_text(json.dumps(card), encoding="utf-8")
    _, extra = lineage.inherit("align", Training(data=Data(manifest=tmp_path), start=tmp_path))
    assert extra == {"adapted_from": card}
