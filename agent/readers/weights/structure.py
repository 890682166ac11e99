"""Which tensors a checkpoint must hold, of which shape and type, and what the headers of its files say.

A safetensors file is 8 bytes of length (little endian), that many bytes of JSON, then the numbers
(https://github.com/huggingface/safetensors#format). Only the headers are read: a few hundred kilobytes of 14 GB.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from agent.readers.checkpoint import REVISION, CheckpointError
from agent.readers.weights.origin import mend

Shape: TypeAlias = tuple[int, ...]

_LONGEST_HEADER: Final = 100_000_000  # bytes; what the format's own library accepts
_BYTES: Final = MappingProxyType({"BF16": 2, "F16": 2, "F32": 4, "U8": 1, "I8": 1})
_QUANTIZED: Final = "llama.layers."  # only matrices of the language model's layers are
_BLOCK, _NESTED_BLOCK = 64, 256  # numbers that share a scale, and scales that share one
PUBLISHED_DTYPE: Final = "BF16"


class Size(NamedTuple):
    """How much a model is, without headers, before anything of it is quantized."""

    tensors: int
    bytes: int


PUBLISHED: Final = Size(589, 14_092_742_656)  # of the published revision; the bytes as its index says


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor as a header describes it."""

    shard: str
    dtype: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Structure:
    """What all headers of a checkpoint say together."""

    tensors: Mapping[str, Stored]

    @property
    def parameters(self) -> int:
        """How many numbers."""
        return sum(math.prod(one.shape) for one in self.tensors.values())

    @property
    def bytes(self) -> int:
        """Size of the numbers, without headers."""
        return sum(math.prod(one.shape) * _BYTES[one.dtype] for one in self.tensors.values())


def expected(config: Mapping[str, Any]) -> dict[str, Shape]:
    """Name and shape of each tensor that config.json calls for; 589 of them for the published one.

    config: config.json, its required keys checked (see checkpoint.Checkpoint.open).
    """
    tower, llama = config["clip_vision_cfg"], config["llama"]
    width, hidden = int(tower["width"]), int(llama["hidden_size"])
    shapes = dict(_tower(tower, int(config.get("clip_embed_dim", 0))))
    shapes |= {"mm_projector.weight": (hidden, width), "mm_projector.bias": (hidden,)}
    shapes |= dict(_llama(llama))
    shapes["lm_head.weight"] = (int(llama["vocab_size"]), hidden)
    return shapes


def size(config: Mapping[str, Any]) -> Size:
    """What config.json calls for, stored as published."""
    shapes = expected(config)
    return Size(len(shapes), parameters(config) * _BYTES[PUBLISHED_DTYPE])


def check_size(folder: Path, config: Mapping[str, Any], published: Size) -> None:
    """A model that is said to be the published one is as large as that. Raises CheckpointError."""
    found = size(config)
    if found != published:
        raise _broken(
            folder,
            f"it claims the revision {REVISION} of the published model, which has {published.tensors} tensors of "
            f"{published.bytes} bytes, and config.json makes {found.tensors} of {found.bytes}",
        )


def parameters(config: Mapping[str, Any]) -> int:
    """How many numbers the model has by its configuration, however they are stored."""
    return sum(math.prod(shape) for shape in expected(config).values())


def is_quantized(name: str, shape: Shape) -> bool:
    """Whether int8 and nf4 quantize a tensor: a matrix in a layer of the language model."""
    return name.startswith(_QUANTIZED) and len(shape) == 2


def packed(shapes: Mapping[str, Shape], precision: str) -> dict[str, Stored]:
    """What a folder holds of the tensors of `expected`, by name; an empty shape where any length will do.

    precision: int8 or nf4; empty for a folder as published.
    """
    stored = {}
    for name, shape in shapes.items():
        if not precision or not is_quantized(name, shape):
            stored[name] = Stored("", PUBLISHED_DTYPE, shape)
        elif precision == "int8":
            stored[name] = Stored("", "I8", shape)
            stored[f"{name.removesuffix('weight')}SCB"] = Stored("", "F32", shape[:1])
        else:
            count = math.prod(shape)
            blocks = -(-count // _BLOCK)
            stored[name] = Stored("", "U8", ((count + 1) // 2, 1))
            stored[f"{name}.absmax"] = Stored("", "U8", (blocks,))
            stored[f"{name}.quant_map"] = Stored("", "F32", (16,))
            stored[f"{name}.nested_absmax"] = Stored("", "F32", (-(-blocks // _NESTED_BLOCK),))
            stored[f"{name}.nested_quant_map"] = Stored("", "F32", (256,))
            stored[f"{name}.quant_state.bitsandbytes__nf4"] = Stored("", "U8", ())
    return stored


def read(folder: Path, shards: tuple[Path, ...]) -> Structure:
    """Read the headers of the shards and hold them against the index.

    Raises CheckpointError: cut off, damaged, an unknown type, a tensor twice, or another place than the index says.
    """
    tensors: dict[str, Stored] = {}
    for shard in shards:
        for name, stored in _header(shard):
            if name in tensors:
                raise _broken(shard, f"{name} is also in {tensors[name].shard}")
            tensors[name] = stored
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        _compare_with_index(index, tensors)
    return Structure(MappingProxyType(tensors))


def compare(
    folder: Path, structure: Structure, config: Mapping[str, Any], *, published: bool, quantized: str = ""
) -> None:
    """Every tensor that the configuration calls for is there with its shape, and no other one is.

    published: it must hold the numbers as published, all in bfloat16. quantized: int8 or nf4 where the layers are.

    Raises CheckpointError.
    """
    wanted = packed(expected(config), quantized)
    for name, one in wanted.items():
        stored = structure.tensors.get(name)
        if stored is None:
            if name == "vision_tower.proj" and not published:  # feeds a vector that nothing uses
                continue
            raise _broken(folder, f"{name} {list(one.shape)} is in none of the shards")
        if one.shape and stored.shape != one.shape:
            raise _broken(
                folder / stored.shard,
                f"{name} has the shape {list(stored.shape)}, not {list(one.shape)} as config.json says",
            )
        if (published or quantized) and stored.dtype != one.dtype:
            raise _broken(folder / stored.shard, f"{name} is stored as {stored.dtype}, not as {one.dtype}")
    surplus = sorted(structure.tensors.keys() - wanted.keys())
    if surplus:
        shard = folder / structure.tensors[surplus[0]].shard
        raise _broken(shard, f"{surplus[0]} is no weight of CXR-LLaVA-v2 ({len(surplus)} such)")


def _tower(tower: Mapping[str, Any], pooled: int) -> Iterator[tuple[str, Shape]]:
    """OpenCLIP's names; `proj` only where the configuration gives its width."""
    width, patch = int(tower["width"]), int(tower["patch_size"])
    inner = int(width * tower.get("mlp_ratio", 4.0))
    positions = (int(tower["image_size"]) // patch) ** 2 + 1
    yield "vision_tower.class_embedding", (width,)
    yield "vision_tower.positional_embedding", (positions, width)
    yield "vision_tower.conv1.weight", (width, 1, patch, patch)
    if pooled:
        yield "vision_tower.proj", (width, pooled)
    for norm in ("ln_pre", "ln_post"):
        yield from _norm(f"vision_tower.{norm}", width)
    for layer in range(int(tower["layers"])):
        block = f"vision_tower.transformer.resblocks.{layer}"
        yield from _norm(f"{block}.ln_1", width)
        yield from _norm(f"{block}.ln_2", width)
        yield f"{block}.attn.in_proj_weight", (3 * width, width)
        yield f"{block}.attn.in_proj_bias", (3 * width,)
        for name, rows, columns in (
            ("attn.out_proj", width, width),
            ("mlp.c_fc", inner, width),
            ("mlp.c_proj", width, inner),
        ):
            yield f"{block}.{name}.weight", (rows, columns)
            yield f"{block}.{name}.bias", (rows,)


def _norm(name: str, width: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _llama(llama: Mapping[str, Any]) -> Iterator[tuple[str, Shape]]:
    hidden, inner = int(llama["hidden_size"]), int(llama["intermediate_size"])
    heads = int(llama["num_attention_heads"])
    keys = int(llama["num_key_value_heads"]) * (hidden // heads)
    yield "llama.embed_tokens.weight", (int(llama["vocab_size"]), hidden)
    yield "llama.norm.weight", (hidden,)
    for layer in range(int(llama["num_hidden_layers"])):
        block = f"llama.layers.{layer}"
        yield f"{block}.input_layernorm.weight", (hidden,)
        yield f"{block}.post_attention_layernorm.weight", (hidden,)
        for name, rows in (("q_proj", hidden), ("k_proj", keys), ("v_proj", keys), ("o_proj", hidden)):
            yield f"{block}.self_attn.{name}.weight", (rows, hidden)
        yield f"{block}.mlp.gate_proj.weight", (inner, hidden)
        yield f"{block}.mlp.up_proj.weight", (inner, hidden)
        yield f"{block}.mlp.down_proj.weight", (hidden, inner)


def _header(shard: Path) -> Iterator[tuple[str, Stored]]:
    size = shard.stat().st_size
    with shard.open("rb") as stream:
        first = stream.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
        if not 2 <= length <= min(size - 8, _LONGEST_HEADER):
            raise _broken(shard, "it is cut off or no safetensors file")
        raw = stream.read(length)
    try:
        header = json.loads(raw)
        entries = [(name, entry) for name, entry in header.items() if name != "__metadata__"]
        ends = sorted((int(one["data_offsets"][0]), int(one["data_offsets"][1])) for _, one in entries)
        found = [(name, Stored(shard.name, str(one["dtype"]), tuple(map(int, one["shape"])))) for name, one in entries]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise _broken(shard, "its header cannot be read") from error
    _check_places(shard, found, header, ends, size - 8 - length)
    yield from found


def _check_places(
    shard: Path, found: list[tuple[str, Stored]], header: Mapping[str, Any], ends: list[tuple[int, int]], room: int
) -> None:
    """Each tensor has the bytes of its shape, one after the other, up to the end of the file."""
    for name, stored in found:
        if stored.dtype not in _BYTES:
            raise _broken(shard, f"{name} is stored as {stored.dtype}; known are {', '.join(_BYTES)}")
        start, end = header[name]["data_offsets"]
        if end - start != math.prod(stored.shape) * _BYTES[stored.dtype]:
            raise _broken(shard, f"{name} has {end - start} bytes, which is not its shape {list(stored.shape)}")
    reached = 0
    for start, end in ends:
        if start != reached:
            raise _broken(shard, "its header leaves gaps between the tensors")
        reached = end
    if reached != room:
        raise _broken(shard, f"it is cut off or damaged: {room} bytes of numbers, its header says {reached}")


def _compare_with_index(index: Path, tensors: Mapping[str, Stored]) -> None:
    places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    for name, shard in places.items():
        if name not in tensors:
            raise _broken(index, f"{name} is not in {shard}, nor in another shard")
        if tensors[name].shard != shard:
            raise _broken(index, f"it says that {name} is in {shard}, but it is in {tensors[name].shard}")
    unnamed = sorted(tensors.keys() - places.keys())
    if unnamed:
        raise _broken(index, f"it lacks {unnamed[0]}, which is in {tensors[unnamed[0]].shard}")


def _broken(path: Path, what: str) -> CheckpointError:
    folder = path if path.is_dir() else path.parent
    return CheckpointError(f"{path}: {what}. {mend(folder)}")
