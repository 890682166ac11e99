"""What a GPU would be asked to do, seen on tensors without values: published shapes, no GPU, no weights.

torch's meta device computes shapes, types and devices by the operators' own rules and holds nothing. Asking it for a
value fails, as it does while a CUDA graph is captured.
"""

from __future__ import annotations

import json
import weakref
from collections import Counter
from typing import Any

import pytest
import torch
from bitsandbytes.functional import QuantState
from bitsandbytes.nn import Linear4bit, Params4bit
from bitsandbytes.nn.modules import Int8Params
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from agent.readers import demonstration_checkpoint, prompt, quantized
from agent.readers.engine.llama import Cache, NativeLlama
from agent.readers.engine.steps import Stepper
from agent.readers.network import CxrLlavaModel
from agent.readers.weights import memory
from agent.readers.weights.structure import Stored, Structure, expected
from deploy.benchmarks.random_checkpoint import SHAPES

META = torch.device("meta")
GIB = 2**30
POSITIONS = 1792  # what a worker keeps for a study, 1,762 with the published tokenizer, in whole blocks
LIBRARIES = 0.5 * GIB  # what no tensor shows: workspaces of cuBLAS, unpacked matrices, gaps of the allocator


class Watched(TorchDispatchMode):
    """Every operation meanwhile: how often, where its tensors lie, and how much memory those take at once."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()
        self.elsewhere: list[str] = []
        self.peak = self.held = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.operations[str(func).rpartition(".")[0].removeprefix("aten.")] += 1
        if {x.device.type for x in tree_leaves((args, kwargs, out)) if isinstance(x, Tensor)} - {"meta"}:
            self.elsewhere.append(str(func))
        for x in tree_leaves(out):
            if isinstance(x, Tensor):
                self.hold(x)
        return out

    def hold(self, tensor: Tensor) -> None:
        """Count what it stands on until nobody has it."""
        storage = tensor.untyped_storage()
        if storage._cdata in self._known:
            return
        self._known.add(storage._cdata)
        self.held += storage.nbytes()
        self.peak = max(self.peak, self.held)
        weakref.finalize(storage, self._let_go, storage._cdata, storage.nbytes())

    def _let_go(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.held -= size


def published() -> dict[str, Any]:
    """config.json with the shapes of the published model."""
    tower, llama = SHAPES["real"]
    config: dict[str, Any] = json.loads((demonstration_checkpoint() / "config.json").read_text())
    config["clip_vision_cfg"] = dict(zip(("width", "layers", "image_size", "patch_size"), tower, strict=True))
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
    config["llama"] |= dict(zip(names, llama, strict=True))
    config["llama"] |= {"num_key_value_heads": llama[3], "max_position_embeddings": 4096}
    return config


def in_nf4(weight: Tensor) -> Linear4bit:
    """A layer as `quantize` makes it, without its numbers."""

    def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=META)

    rows, columns = weight.shape
    blocks = weight.numel() // 64
    scales = QuantState(absmax=empty(-(-blocks // 256)), blocksize=256, code=empty(256), dtype=torch.float32)
    state = QuantState(
        absmax=empty(blocks, dtype=torch.uint8),
        shape=torch.Size((rows, columns)),
        code=empty(16),
        blocksize=64,
        quant_type="nf4",
        dtype=torch.bfloat16,
        offset=empty(),
        state2=scales,
    )
    layer = quantized._empty("nf4", (rows, columns))
    layer.weight = Params4bit(
        empty(weight.numel() // 2, 1, dtype=torch.uint8),
        requires_grad=False,
        quant_state=state,
        blocksize=64,
        compress_statistics=True,
        quant_type="nf4",
        module=layer,
        bnb_quantized=True,
    )
    return layer


def in_int8(weight: Tensor) -> nn.Module:
    layer = quantized._empty("int8", tuple(weight.shape))
    numbers, scales = torch.empty_like(weight, dtype=torch.int8), torch.empty(weight.shape[0], device=META)
    layer.weight = Int8Params(numbers, requires_grad=False, has_fp16_weights=False, CB=numbers, SCB=scales)
    return layer


def model_in(precision: str) -> CxrLlavaModel:
    with META:
        model = CxrLlavaModel(published()).to(torch.bfloat16)
    model.compute_buffers(META)
    make = {"nf4": in_nf4, "int8": in_int8}.get(precision)
    for name, module in list(model.llama.layers.named_modules()) if make else ():
        if make and isinstance(module, nn.Linear):
            parent, _, child = name.rpartition(".")
            setattr(model.llama.layers.get_submodule(parent), child, make(module.weight))
    return model.eval()


def step(native: NativeLlama, cache: Cache, rows: int) -> Tensor:
    """What a graph holds: one token for each row."""
    chosen, _ = Stepper(native, cache, graphs=False)._compute(
        torch.empty((3, rows), dtype=torch.int64, device=META), POSITIONS, None
    )
    return chosen


@pytest.mark.parametrize("rows", [1, 16])
@pytest.mark.parametrize("precision", ["bf16", "nf4"])
def test_a_step_that_a_graph_holds_stays_on_the_device_and_asks_for_no_value(precision: str, rows: int) -> None:
    model = model_in(precision)
    native = NativeLlama(model.llama, model.lm_head)
    cache = Cache(native, rows, POSITIONS)
    with torch.no_grad(), Watched() as watched:
        assert step(native, cache, rows).shape == (rows,)
    assert watched.elsewhere == []
    products = sum(n for name, n in watched.operations.items() if name in {"mm", "bitsandbytes.gemm_4bit"})
    assert products == {"bf16": 4, "nf4": 5}[precision] * 32 + 1, "queries, keys and values are one"


def test_what_copies_from_the_host_or_asks_for_a_value_is_seen() -> None:
    x = torch.empty(3, device=META)
    with Watched() as watched:
        torch.where(x > 0, torch.tensor(0.0), x)
    assert watched.elsewhere
    with pytest.raises(RuntimeError, match=r"meta"):
        x.tolist()


def test_int8_asks_for_values_so_no_graph_can_hold_it() -> None:
    model = model_in("int8")
    native = NativeLlama(model.llama, model.lm_head)
    with torch.no_grad(), pytest.raises(RuntimeError, match="data-dependent"):
        step(native, Cache(native, 1, POSITIONS), 1)


def tensors_of(model: CxrLlavaModel) -> list[Tensor]:
    """All that the loaded model stands on; lists nothing twice that shares memory."""
    found: list[Tensor] = [*model.parameters(), *model.buffers()]
    for module in model.modules():
        if isinstance(module, Linear4bit):
            state = module.weight.quant_state
            found += [state.absmax, state.state2.absmax]
    return found


@pytest.mark.parametrize("precision", ["bf16", "nf4"])
def test_one_reading_takes_no_more_memory_than_is_said_and_nf4_less_than_6_gib(precision: str) -> None:
    config = published()
    model = model_in(precision)
    watched = Watched()
    for tensor in tensors_of(model):
        watched.hold(tensor)
    of_weights = watched.held
    del tensor
    with watched:
        native = NativeLlama(model.llama, model.lm_head)
    with watched, torch.inference_mode():  # attention is one operation then: a GPU's kernels keep no scores
        pixels = torch.empty((1, 1, 512, 512), dtype=torch.bfloat16, device=META)
        embedded = model.splice([1, prompt.IMAGE_ID, *range(2, 100)], model.features(pixels))[0]
        cache = Cache(native, 1, POSITIONS)
        native.logits(native.prefill(cache, 0, embedded, 0))
        step(native, cache, 1)
    assert watched.elsewhere == []
    whole = Structure({name: Stored("", "BF16", shape) for name, shape in expected(config).items()})
    reckoned = memory.weights(whole, precision)
    assert of_weights == pytest.approx(reckoned, rel=0.001)
    print(f"{precision}: weights {of_weights / GIB:.2f} GiB, at most {watched.peak / GIB:.2f} GiB")
    assert watched.peak < reckoned + memory.cache(config, precision, POSITIONS) + memory._BESIDE
    if precision == "nf4":
        assert watched.peak + LIBRARIES < 6 * GIB
