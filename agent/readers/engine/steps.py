"""One step of decoding for the rows of the cache: eager, or replayed as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from agent.readers.engine.llama import BLOCK, Cache, NativeLlama

NO_NUMBER: Final = -1  # chosen where a row's logits are not finite
_WARM_UPS: Final = 2
_GRAPH_BLOCK: Final = 256  # positions: one graph for each, so fewer than in eager steps


@dataclass(frozen=True, slots=True)
class Rows:
    """What goes into a step, one entry a row: see NativeLlama.step. The first `active` rows belong to studies."""

    active: int

    tokens: list[int]
    last: list[int]
    write: list[int]


@dataclass(frozen=True, slots=True)
class Stepped:
    """What comes out: the most likely token of each row, or NO_NUMBER; and the logits (rows, vocabulary)."""

    greedy: list[int]
    logits: Tensor


class Stepper:
    """Runs steps over one cache; a new cache needs a new stepper, since graphs hold its addresses."""

    def __init__(self, llama: NativeLlama, cache: Cache, *, graphs: bool) -> None:
        self._llama = llama
        self._cache = cache
        self._block = _GRAPH_BLOCK if graphs else BLOCK
        self._graphs: dict[tuple[int, int], Graph] | None = {} if graphs else None
        self._pool = torch.cuda.graph_pool_handle() if graphs else None

    def run(self, rows: Rows) -> Stepped:
        """Decode one token for every row."""
        length = min(-(-(max(rows.last) + 1) // self._block) * self._block, self._cache.capacity)
        inputs = torch.tensor([rows.tokens, rows.last, rows.write])
        if self._graphs is None:
            chosen, logits = self._compute(inputs.to(self._llama.device), length, rows.active)
        else:
            key = (inputs.shape[1], length)
            if key not in self._graphs:
                self._graphs[key] = self._capture(inputs, length)
            chosen, logits = self._graphs[key].replay(inputs)
        return Stepped(chosen.tolist(), logits)

    def _capture(self, inputs: Tensor, length: int) -> Graph:
        assert self._llama.stream is not None
        return Graph(
            lambda x: self._compute(x, length, None), inputs.to(self._llama.device), self._llama.stream, self._pool
        )

    def _compute(self, inputs: Tensor, length: int, active: int | None) -> tuple[Tensor, Tensor]:
        tokens, last, write = inputs.unbind()
        logits = self._llama.step(self._cache, tokens, last, write, length, active)
        # a sum is finite only if every part is; cheaper than a look at each
        broken = logits.sum(dim=-1).isfinite().logical_not_()
        return logits.argmax(dim=-1).masked_fill_(broken, NO_NUMBER), logits


class Graph:
    """A captured step: hundreds of kernels for the price of one launch."""

    def __init__(
        self, compute: Callable[[Tensor], tuple[Tensor, Tensor]], inputs: Tensor, stream: torch.cuda.Stream, pool: Any
    ) -> None:
        """stream: another one than the usual; the same for all graphs, since libraries keep a workspace for each."""
        self._inputs = inputs
        self._graph = torch.cuda.CUDAGraph()
        usual = torch.cuda.current_stream(inputs.device)
        stream.wait_stream(usual)
        # around both: a capture that cannot be ended does not give the usual stream back
        with torch.cuda.stream(stream):
            try:
                for _ in range(_WARM_UPS):  # libraries allocate and choose kernels at their first calls
                    compute(self._inputs)
            finally:  # also after a lack of memory: what was begun still writes to the cache
                usual.wait_stream(stream)
            # other threads may use the device meanwhile
            with (
                workspaces_of_its_own(),
                torch.cuda.graph(self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"),
            ):
                self._outputs = compute(self._inputs)

    def replay(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Compute with other inputs; the outputs are overwritten by the next replay."""
        self._inputs.copy_(inputs)
        self._graph.replay()
        return self._outputs


@contextmanager
def workspaces_of_its_own() -> Iterator[None]:
    """Let a capture take cuBLAS' workspace from the memory of its graph, as torch's own graph trees do.

    The one that cuBLAS keeps for the stream is given back when any graph that was made there ends (in newer versions
    of torch, pytorch/pytorch#193402), and a graph that lives on would write to it.
    """
    torch._C._cuda_clearCublasWorkspaces()
    try:
        yield
    finally:
        torch._C._cuda_clearCublasWorkspaces()
