"""Linear layers with quantized weights (bitsandbytes): made from numbers, taken apart for a file, put together again.

A quantized tensor lies in a file as transformers writes it: the packed numbers under the name of the weight, what
belongs to them beside it (`...weight.absmax`, `...SCB`).
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

import torch
from bitsandbytes import matmul_4bit  # type: ignore[attr-defined]
from bitsandbytes.functional import QuantState, dequantize_4bit, dequantize_blockwise, quantize_4bit
from bitsandbytes.nn.modules import Int8Params, Linear4bit, Linear8bitLt, Params4bit
from torch import Tensor, nn
from torch.nn import functional

_PIECE: Final = re.compile(r"(.+\.weight)\.(?:absmax|quant_map|nested_absmax|nested_quant_map|quant_state\..+)")
_BLOCK: Final = 64  # numbers that share a scale, bitsandbytes' default
_ROW_SCALES: Final = "SCB"  # of an int8 matrix, beside its weight


def quantize(tensor: Tensor, precision: str, device: torch.device) -> nn.Module:
    """A linear layer whose weight is quantized: moving it to its device is what does that.

    tensor: (rows, columns). precision: int8, or nf4 with QLoRA's double quantization.
    """
    layer = _empty(precision, (int(tensor.shape[0]), int(tensor.shape[1])))
    if precision == "int8":
        weight: Any = Int8Params(tensor.contiguous(), requires_grad=False, has_fp16_weights=False)
    else:
        values = tensor.to(torch.bfloat16).contiguous()
        weight = Params4bit(values, requires_grad=False, compress_statistics=True, quant_type="nf4", module=layer)
    layer.weight = weight.to(device)
    return cast("nn.Module", layer)


def rounded(tensor: Tensor) -> Tensor:
    """What nf4 leaves of a matrix, in its own type: for whoever learns to bear that."""
    values = tensor.detach().to(torch.bfloat16).contiguous()
    numbers, state = quantize_4bit(values, compress_statistics=True, quant_type="nf4")
    return whole(numbers, state).to(tensor)


def whole(numbers: Tensor, state: QuantState) -> Tensor:
    """The matrix that nf4 numbers stand for.

    Taken as one row: on a processor bitsandbytes (0.50.2) reads wrong scales where a block goes on in the next row.
    """
    row = copy.copy(state)
    row.shape = torch.Size((1, math.prod(state.shape)))
    values: Tensor = dequantize_4bit(numbers, row)
    return values.view(state.shape)


class Narrow(Linear4bit):
    """A layer whose rows are no whole blocks; bitsandbytes has no kernel of its own for such on any device."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., columns). Returns (..., rows)."""
        packed: Any = self.weight
        weight = whole(packed.data, packed.quant_state)
        return functional.linear(x.to(weight), weight).to(x)


def joinable(layers: Sequence[nn.Module]) -> bool:
    """Whether `joined` can be had: all in nf4 with rows of whole blocks, and not on a processor, whose kernel repacks
    each matrix for itself."""
    return all(type(layer) is Linear4bit and layer.weight.device.type != "cpu" for layer in layers)


def joined(layers: Sequence[Any]) -> Callable[[Tensor], Tensor]:
    """Several nf4 layers of one input as one product, outputs side by side.

    The layers then look into the joined numbers. Their scales are held once more, as float32 (4 bytes for 64
    numbers): those that are quantized themselves have an offset of their own in each matrix.
    """
    states = [layer.weight.quant_state for layer in layers]
    numbers = torch.cat([layer.weight.data.view(-1, 1) for layer in layers])
    begin = 0
    for layer in layers:
        count = layer.weight.data.numel()
        layer.weight.data = numbers[begin : begin + count].view(layer.weight.data.shape)
        begin += count
    first = states[0]
    state = QuantState(  # type: ignore[no-untyped-call]
        absmax=torch.cat([_scales(one) for one in states]),
        shape=torch.Size((sum(int(one.shape[0]) for one in states), int(first.shape[1]))),
        code=first.code,
        blocksize=first.blocksize,
        quant_type=first.quant_type,
        dtype=first.dtype,
    )
    return partial(_times, numbers, state)


def _times(numbers: Tensor, state: QuantState, x: Tensor) -> Tensor:
    # as bitsandbytes' own layers pass them: older versions tell from that which way the matrix lies
    return cast("Tensor", matmul_4bit(x, numbers.t(), state))


def _scales(state: QuantState) -> Tensor:
    """The scale of each block, float32."""
    if not state.nested:
        return cast("Tensor", state.absmax)
    return cast("Tensor", dequantize_blockwise(state.absmax, state.state2) + state.offset)


def pieces(name: str, layer: Any) -> dict[str, Tensor]:
    """What a file has to hold of a layer that `quantize` made and that was never used (use may repack its weight).

    name: of its weight, such as `llama.layers.0.mlp.down_proj.weight`.
    """
    weight = layer.weight
    if isinstance(layer, Linear8bitLt):
        beside = {f"{name.removesuffix('weight')}{_ROW_SCALES}": weight.SCB}
    else:
        beside = {f"{name}.{key}": piece for key, piece in weight.quant_state.as_dict(packed=True).items()}
    return {key: piece.detach().cpu().contiguous() for key, piece in {name: weight.data, **beside}.items()}


def restore(found: Mapping[str, Tensor], name: str, shape: tuple[int, int], device: torch.device) -> nn.Module:
    """The layer that `pieces` took apart, to the last bit. shape: (rows, columns).

    Raises ValueError, KeyError: pieces lack, or belong to another shape.
    """
    own = {key.removeprefix(f"{name}."): piece.to(device, copy=True) for key, piece in found.items() if key != name}
    numbers = found[name].to(device, copy=True)  # a tensor that still maps the file would fail with it
    if numbers.dtype == torch.int8:
        scales = own[f"{name.removesuffix('weight')}{_ROW_SCALES}"]
        if tuple(numbers.shape) != shape or scales.numel() != shape[0]:
            raise ValueError("the pieces of an int8 matrix have other shapes")
        layer = _empty("int8", shape)
        layer.weight = Int8Params(numbers, requires_grad=False, has_fp16_weights=False, CB=numbers, SCB=scales)
        return cast("nn.Module", layer)
    layer = _empty("nf4", shape)
    state = QuantState.from_dict(own, device=device)
    if tuple(state.shape) != shape or numbers.numel() * 2 != shape[0] * shape[1]:
        raise ValueError("the pieces of an nf4 matrix have other shapes")
    layer.weight = Params4bit(
        numbers,
        requires_grad=False,
        quant_state=state,
        blocksize=state.blocksize,
        compress_statistics=state.nested,
        quant_type=state.quant_type,
        module=layer,
        bnb_quantized=True,
    )
    layer.quant_state = state
    return cast("nn.Module", layer)


def gathered(keys: Iterable[str], get: Callable[[str], Tensor]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """The tensors of a file weight by weight: its name, and all pieces of it under their names in the file."""
    keys = list(keys)
    belongs: dict[str, list[str]] = {}
    for key in keys:
        belongs.setdefault(_weight_of(key), []).append(key)
    for name, of_it in belongs.items():
        yield name, {key: get(key) for key in of_it}


def _weight_of(key: str) -> str:
    if key.endswith(f".{_ROW_SCALES}"):
        return f"{key.removesuffix(_ROW_SCALES)}weight"
    beside = _PIECE.fullmatch(key)
    return beside[1] if beside else key


def _empty(precision: str, shape: tuple[int, int]) -> Any:
    rows, columns = shape
    with torch.device("meta"):
        if precision == "int8":
            return Linear8bitLt(columns, rows, bias=False, has_fp16_weights=False, threshold=6.0)
        kind = Narrow if columns % _BLOCK else Linear4bit
        layer: Any = kind(  # type: ignore[no-untyped-call]
            columns, rows, bias=False, compute_dtype=torch.bfloat16, compress_statistics=True, quant_type="nf4"
        )
    # bitsandbytes repacks weights for such processors and fails on shapes that its blocks do not fill
    layer.support_avx512bf16_for_cpu &= rows % 32 == 0 and columns % layer.weight.blocksize == 0
    return layer
