"""With what a run was made: versions, processor, threads; so that a later one with other weights can be explained.

A run that was broken off may go on elsewhere, so it has a list of parts, each with the step from which it was made so.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import torch

from agent import __version__
from agent.training import layout

FILE: Final = "made_with.json"
KEY: Final = "made_with"  # in the card of the model
_PARTS: Final = "parts"
_STEP: Final = "from_step"
_PLACE: Final = ("stage", _STEP)  # which part it is; everything else is with what it was made
_PACKAGES: Final = (
    "torch", "transformers", "peft", "accelerate", "tokenizers", "sentencepiece", "safetensors", "bitsandbytes",
    "numpy", "pillow", "pydicom", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pyjpegls", "python-gdcm",
)  # fmt: skip


def part(stage: str, step: int) -> dict[str, Any]:
    """What is known of this process. step: how many of the run's steps others had done before it."""
    versions = {"wetread": __version__, "python": platform.python_version()}
    versions |= {name: found for name in _PACKAGES if (found := _version(name))}
    return {
        "stage": stage,
        _STEP: step,
        "versions": versions,
        "commit": _commit(),
        "device": _device(),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),  # as `accelerate launch` says
    }


def note(out: Path, stage: str, step: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Write down, before anything is learned, that the run goes on from this step here. Returns its whole list.

    Warns where it was begun with something else. Parts from which no step was kept are no part of the result.
    """
    now = part(stage, step)
    kept = [one for one in read(out) if one[_STEP] < step]
    if step and not kept:
        say(f"warning: {out}: nobody wrote down with what this run was begun")
    changed = differences(kept[-1], now) if kept else []
    if changed:
        say(
            f"warning: {out}: begun with another setup than it goes on with ({'; '.join(changed)}): "
            "it may end elsewhere than a run that was never broken off"
        )
    parts = kept if kept and not changed else [*kept, now]
    layout.write_json(out / FILE, {_PARTS: parts})
    return parts


def read(out: Path) -> list[dict[str, Any]]:
    """The list of a run; empty where it has none, as that of an older version."""
    path = out / FILE
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))[_PARTS] if path.is_file() else []
    return found


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What changed, in words such as `torch 2.12.0, now 2.13.0`."""
    old, new = _flat(before), _flat(now)
    return [
        f"{name} {old.get(name) or 'unknown'}, now {new.get(name) or 'unknown'}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]


def words(parts: Sequence[Mapping[str, Any]]) -> str:
    """The last part in one line, for whoever looks at the run."""
    known = _flat(parts[-1])
    versions = ", ".join(f"{name} {known[name]}" for name in ("wetread", "python", "torch", "transformers", "numpy"))
    commit = f" (commit {known['commit']})" if known["commit"] else ""
    return f"made with {versions}{commit}; {known['device']}, threads: {known['threads']}; all of it in {FILE}"


def _flat(one: Mapping[str, Any]) -> dict[str, Any]:
    return {**one["versions"], **{name: value for name, value in one.items() if name not in {*_PLACE, "versions"}}}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _device() -> str:
    if not torch.cuda.is_available():
        return "cpu"
    names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return f"{names} (CUDA {torch.version.cuda}, cuDNN {cudnn})"


def _processor() -> str:
    """As Linux names it; elsewhere its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str | None:
    """Of the clone that this program runs from, and whether its files were changed since; None where it is no clone."""
    root, git = Path(__file__).parents[2], shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    told = []
    for asked in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no")):
        done = subprocess.run(  # noqa: S603 -- our own arguments
            [git, "--no-optional-locks", "-C", str(root), *asked],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            return None
        told.append(done.stdout.strip())
    return f"{told[0]}, with changes" if told[1] else told[0]
