"""How much memory a checkpoint will take, from shapes alone: an expectation, to choose card and precision by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent.readers.weights.structure import Structure, is_quantized

# NF4 with double quantization (Dettmers et al., 2023, section 3): 4 bits, and 8 bits + 32/256 bits for each 64 numbers.
_NF4_BITS: Final = 4 + (8 + 32 / 256) / 64
_INT8_BITS: Final = 8
_BESIDE: Final = 1 << 30  # bytes for what a step computes, and for CUDA itself
_ROW_SCALE: Final = 4  # bytes: one float32 for each row of an int8 matrix


def weights(structure: Structure, precision: str) -> int:
    """Bytes of the loaded weights. Only matrices of the language model's layers are quantized."""
    total = 0.0
    for name, stored in structure.tensors.items():
        count = math.prod(stored.shape)
        if precision not in {"int8", "nf4"} or not is_quantized(name, stored.shape):
            total += count * (4 if precision == "fp32" else 2)
        elif precision == "nf4":
            total += count * _NF4_BITS / 8
        else:
            total += count * _INT8_BITS / 8 + stored.shape[0] * _ROW_SCALE
    return math.ceil(total)


def largest(
    structure: Structure, config: Mapping[str, Any], precisions: Sequence[str], positions: int, free: float
) -> str:
    """The first of `precisions` whose weights and cache fit into `free` bytes; the last one where none does.

    positions: of all studies that are read at once.
    """
    for precision in precisions[:-1]:
        if weights(structure, precision) + cache(config, precision, positions) + _BESIDE <= free:
            return precision
    return precisions[-1]


def cache(config: Mapping[str, Any], precision: str, positions: int) -> int:
    """Bytes of keys and values of one study with so many positions (film, prompt and answer)."""
    llama = config["llama"]
    width = int(llama["hidden_size"]) // int(llama["num_attention_heads"]) * int(llama["num_key_value_heads"])
    return 2 * int(llama["num_hidden_layers"]) * width * (4 if precision == "fp32" else 2) * positions
