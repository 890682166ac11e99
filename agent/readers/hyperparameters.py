"""The numbers of config.json: between which bounds they make a model that is computed here as it was trained.

Whatever else they say would be found later, by an error that names no file, or not at all: a model with another
activation writes text, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_LAYERS: Final = 1000
_LARGEST: Final = 1 << 24
HEAD_WIDTH: Final = 64  # of the tower: OpenCLIP's default, which the published configuration relies on
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Fault:
    """A value that cannot be used."""

    key: str
    value: object
    wanted: str

    def __str__(self) -> str:
        return f"{self.key} is {str(self.value) if self.value is None else repr(self.value):.60}, not {self.wanted}"


_WHOLE: Final = (
    ("clip_vision_cfg.image_size", _LARGEST),
    ("clip_vision_cfg.layers", _LAYERS),
    ("clip_vision_cfg.patch_size", _LARGEST),
    ("clip_vision_cfg.width", _LARGEST),
    ("llama.hidden_size", _LARGEST),
    ("llama.intermediate_size", _LARGEST),
    ("llama.max_position_embeddings", _LARGEST),
    ("llama.num_attention_heads", _LARGEST),
    ("llama.num_hidden_layers", _LAYERS),
    ("llama.num_key_value_heads", _LARGEST),
    ("llama.vocab_size", _LARGEST),
)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST


# What each other key may say, where it is there; checkpoint asks for those that must be.
_OTHERS: Final[tuple[tuple[str, Callable[[Any], bool], str], ...]] = (
    ("clip_embed_dim", _is_count, "a whole number from 0"),
    ("clip_quick_gelu", lambda value: isinstance(value, bool), "true or false"),
    ("clip_vision_cfg.head_width", lambda value: _is_count(value) and value > 0, "a whole number from 1"),
    ("clip_vision_cfg.mlp_ratio", _is_positive, "a number above 0"),
    ("image_preprocess_cfg.mean", _is_number, "a number"),
    ("image_preprocess_cfg.std", _is_positive, "a number above 0"),
    ("llama.hidden_act", lambda value: value == "silu", "silu, the only activation that is computed here"),
    ("llama.rms_norm_eps", lambda value: _is_positive(value) and value < 1, "a number above 0 and below 1"),
    ("llama.rope_theta", _is_positive, "a number above 0"),
)


def faults(config: Mapping[str, Any]) -> Iterator[Fault]:
    """What config.json says that makes no model. config: its required keys are there."""
    found = [*_single(config)]
    yield from found or _together(config)


def patches(config: Mapping[str, Any]) -> int:
    """How many positions a film takes."""
    tower = config["clip_vision_cfg"]
    return int((tower["image_size"] // tower["patch_size"]) ** 2)


def _single(config: Mapping[str, Any]) -> Iterator[Fault]:
    for key, most in _WHOLE:
        value = _value(config, key)
        if not (_is_count(value) and 0 < value <= most):
            yield Fault(key, value, f"a whole number from 1 to {most}")
    for key, holds, wanted in _OTHERS:
        value = _value(config, key)
        if value is not _ABSENT and not holds(value):
            yield Fault(key, value, wanted)


def _together(config: Mapping[str, Any]) -> Iterator[Fault]:
    """Of numbers that are each for itself possible."""
    tower, llama = config["clip_vision_cfg"], config["llama"]
    hidden, heads = llama["hidden_size"], llama["num_attention_heads"]
    if tower["image_size"] < tower["patch_size"]:
        yield Fault("clip_vision_cfg.image_size", tower["image_size"], f"at least the patch_size {tower['patch_size']}")
    if tower["width"] % tower.get("head_width", HEAD_WIDTH):
        yield Fault("clip_vision_cfg.width", tower["width"], "a multiple of the width of a head")
    if hidden % heads or hidden // heads % 2:
        yield Fault("llama.hidden_size", hidden, f"an even multiple of the {heads} num_attention_heads")
    elif llama.get("head_dim") not in {None, hidden // heads}:
        yield Fault("llama.head_dim", llama["head_dim"], f"{hidden // heads}, as hidden_size and heads make it")
    if heads % llama["num_key_value_heads"]:
        yield Fault("llama.num_key_value_heads", llama["num_key_value_heads"], f"a divisor of the {heads} heads")
    if patches(config) >= llama["max_position_embeddings"]:
        wanted = f"more than the {patches(config)} positions of a film"
        yield Fault("llama.max_position_embeddings", llama["max_position_embeddings"], wanted)


def _value(config: Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value.get(part, _ABSENT) if isinstance(value, Mapping) else _ABSENT
    return value
