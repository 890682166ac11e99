"""Writing a model with quantized layers, so that no worker has to quantize it again. The one module here with torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Final

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from agent.readers import quantized
from agent.readers.checkpoint import Checkpoint, CheckpointError
from agent.readers.weights import install, origin, prequantized, structure
from agent.readers.weights.origin import Expected, Origin
from agent.readers.weights.prequantized import QUANTIZED, Card

_INDEX: Final = "model.safetensors.index.json"


def save(
    source: Path, target: Path, precision: str, device: torch.device, *, say: install.Say, free: install.Free
) -> Origin:
    """Quantize the model in `source` and put it into the folder `target`, or leave that as it was.

    Every tensor is quantized as a worker would do it, so that what is read back has the same bits; each shard is read
    again and compared. Memory: one shard.

    Raises CheckpointError: the source is quantized already, damaged, not whole, or becomes another one meanwhile;
    NotEnoughSpace; OSError.
    """
    if prequantized.read(source) is not None:
        raise CheckpointError(f"{source} is quantized already. Name the folder of the published model.")
    checkpoint = Checkpoint.open(source, precision)
    found = structure.read(source, checkpoint.shards)
    structure.compare(source, found, checkpoint.config, published=False)
    target = target.resolve()
    if target == source.resolve():
        raise CheckpointError(f"{target} is the model itself. Name another folder with --output")
    install.check_target(target, {QUANTIZED, *origin.kind_of(source)}, "--output")
    with install.staged(target, "quantizing") as stage:
        install.check_room(stage, sum(shard.stat().st_size for shard in checkpoint.shards), free)
        _sweep(stage)
        say(f"reading {source}")
        try:
            with checkpoint.unchanged():
                made = _make(stage, checkpoint, device, say)
        except (CheckpointError, OSError):
            _sweep(stage)  # nothing of it would be used again
            raise
        install.swap(stage, target)
    return made


def _make(stage: Path, checkpoint: Checkpoint, device: torch.device, say: install.Say) -> Origin:
    source, precision = checkpoint.folder, checkpoint.precision
    sources = checkpoint.measure()
    for path in source.iterdir():
        if origin.belongs(path.name) and path.suffix != ".safetensors" and path.name != _INDEX:
            shutil.copyfile(path, stage / path.name)
    index: dict[str, str] = {}
    for number, shard in enumerate(checkpoint.shards, 1):
        say(f"{number} of {len(checkpoint.shards)}: {shard.name}")
        tensors = dict(_tensors(shard, precision, device))
        save_file(tensors, stage / shard.name, {"format": "pt"})
        _compare(stage / shard.name, tensors)
        index |= dict.fromkeys(tensors, shard.name)
    (stage / _INDEX).write_text(json.dumps({"metadata": {}, "weight_map": index}, indent=1))
    library = f"bitsandbytes {version('bitsandbytes')}"
    prequantized.write(stage, Card(precision, library, device.type, MappingProxyType(dict(sources))))
    return _origin(stage, origin.read(source))


def _tensors(shard: Path, precision: str, device: torch.device) -> Iterator[tuple[str, Tensor]]:
    with safe_open(shard, framework="pt") as opened:
        for key in opened.keys():  # noqa: SIM118 -- not a mapping
            tensor = opened.get_tensor(key)
            if structure.is_quantized(key, tuple(tensor.shape)):
                yield from quantized.pieces(key, quantized.quantize(tensor, precision, device)).items()
            else:
                yield key, tensor.to(torch.bfloat16)


def _compare(path: Path, tensors: dict[str, Tensor]) -> None:
    """Raises CheckpointError: the disk gives back other numbers than were written."""
    with safe_open(path, framework="pt") as opened:
        for name, tensor in tensors.items():
            if not torch.equal(opened.get_tensor(name), tensor):
                raise CheckpointError(f"{path}: {name} was not written as it is. Is the disk sound? Try another one.")


def _sweep(stage: Path) -> None:
    """What an earlier attempt left is begun again."""
    for path in stage.iterdir():
        if path.is_file():
            path.unlink()


def _origin(stage: Path, source: Origin | None) -> Origin:
    files = {}
    for path in sorted(stage.iterdir()):
        measured = origin.measure(path)
        files[path.name] = Expected(path.name, measured.size, measured.sha256)
    made = Origin(source.repository if source else "", source.revision if source else "", MappingProxyType(files))
    origin.write(stage, made)
    return made
