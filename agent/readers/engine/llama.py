"""Llama's forward pass over the weights that the reader loaded: few, fixed-shape operations and a cache of slots.

transformers spends milliseconds of Python on every token (masks, cache objects, output classes). Here a step is about
twenty tensor operations a layer, has no shape that depends on content, and so can be captured as a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import Any, Final

import torch
import torch.nn.functional as F  # noqa: N812 -- its name everywhere
from bitsandbytes.nn.modules import Linear4bit, Linear8bitLt
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import LlamaModel

from agent.readers.quantized import joinable, joined

BLOCK: Final = 64  # positions: the cache is attended to in whole blocks, which keeps shapes few and aligned
_SMALL_BYTES: Final = 1 << 24  # of the layers' weights: the demonstration has 1.6 MB, the published model 13 GB
_NEVER: Final = float("-inf")
# All but cuDNN's, which torch prefers on some GPUs: it makes a plan of tens to hundreds of milliseconds for each new
# length, and each question has a length of its own.
_KERNELS: Final = (SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH)

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
Linear = Callable[[Tensor], Tensor]


def _apply(linear: Linear, x: Tensor) -> Tensor:
    return linear(x)


def _alike(last: Sequence[int]) -> list[tuple[slice, int]]:
    """Rows side by side that attend to as many blocks, and to how many positions."""
    found, begin = [], 0
    for blocks, rows in groupby(last, lambda at: at // BLOCK + 1):
        end = begin + len(list(rows))
        found.append((slice(begin, end), blocks * BLOCK))
        begin = end
    return found


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Compute with so many threads; None for as many as torch has been told."""
    before = torch.get_num_threads()
    if count is None or count >= before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def attention(device: torch.device) -> Iterator[None]:
    """Let a GPU attend by kernels that take any length as it comes; for the whole process meanwhile."""
    if device.type != "cuda":
        yield
        return
    with sdpa_kernel(list(_KERNELS)):
        yield


class NativeLayer:
    """One layer's weights, those that share an input joined into one matrix where they can be."""

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        of_attention = [attention.q_proj, attention.k_proj, attention.v_proj]
        # bitsandbytes multiplies eight and more rows by packed numbers only where a matrix has enough rows for the card
        # (on an H200 8,448), and unpacks others into bf16 first: one of 12,288 is enough, three of 4,096 are not. Gate
        # and up have 11,008 each; their scales would take memory for nothing.
        self.qkv = joined(of_attention) if joinable(of_attention) else join(of_attention)
        self.out = join([attention.o_proj])
        self.gate_up = join([mlp.gate_proj, mlp.up_proj])
        self.down = join([mlp.down_proj])
        self.before_attention: Tensor = layer.input_layernorm.weight
        self.before_mlp: Tensor = layer.post_attention_layernorm.weight


def join(layers: Sequence[nn.Module]) -> Linear:
    """Several linear layers of one input as one call; outputs side by side.

    Dense weights are copied into one matrix and the layers then look into it: no second copy stays. Quantized layers
    keep their own.
    """
    dense = [layer for layer in layers if type(layer) is nn.Linear]
    if len(dense) < len(layers):
        return layers[0] if len(layers) == 1 else lambda x: torch.cat([layer(x) for layer in layers], dim=-1)
    weight = torch.cat([layer.weight.data for layer in dense])
    biases = [layer.bias.data for layer in dense if layer.bias is not None]
    begin = 0
    for layer in dense:
        layer.weight = nn.Parameter(weight[begin : begin + layer.out_features], requires_grad=False)
        begin += layer.out_features
    return partial(F.linear, weight=weight, bias=torch.cat(biases) if biases else None)


class Cache:
    """Keys and values of `slots` studies, each (slots, key-value heads, capacity, head width) for every layer.

    The last position of a slot is never attended to: rows of a step that belong to no study write there.
    """

    def __init__(self, llama: NativeLlama, slots: int, capacity: int) -> None:
        self.slots = slots
        self.capacity = capacity
        shape = (slots, llama.kv_heads, capacity, llama.head_width)
        # zeros, not garbage: a masked position counts with weight 0, and 0 times NaN would be NaN
        make = partial(torch.zeros, shape, dtype=llama.dtype, device=llama.device)
        self.keys = [make() for _ in llama.layers]
        self.values = [make() for _ in llama.layers]

    def grow(self, slots: int) -> None:
        """Make room for more studies; layer by layer, so that little is there twice."""
        for tensors in (self.keys, self.values):
            for i, old in enumerate(tensors):
                tensors[i] = torch.zeros((slots, *old.shape[1:]), dtype=old.dtype, device=old.device)
                tensors[i][: self.slots] = old[: self.slots]  # more, where a lack of memory stopped it midway
        self.slots = slots

    def move(self, source: int, target: int) -> None:
        """Copy one slot over another."""
        for tensor in (*self.keys, *self.values):
            tensor[target] = tensor[source]

    def clear(self, slot: int) -> None:
        """Wipe a slot: what a study left there that is not a number would reach the next one."""
        for tensor in (*self.keys, *self.values):
            tensor[slot].zero_()


class NativeLlama:
    """The language model as tensors and functions. Not for several threads at once."""

    def __init__(self, llama: LlamaModel, lm_head: nn.Linear) -> None:
        config: Any = llama.config
        attention: Any = llama.layers[0].self_attn
        self.heads = int(config.num_attention_heads)
        self.kv_heads = int(config.num_key_value_heads)
        self.head_width = int(attention.head_dim)
        self.positions = int(config.max_position_embeddings)
        self.vocabulary = int(config.vocab_size)
        self.embedding: Tensor = llama.embed_tokens.weight
        self.dtype = self.embedding.dtype
        self.device = self.embedding.device
        self.layers = tuple(NativeLayer(layer) for layer in llama.layers)
        self._scale = self.head_width**-0.5
        self._epsilon = float(config.rms_norm_eps)
        self._norm: Tensor = llama.norm.weight
        self._head: Tensor = lm_head.weight
        self._cosine, self._sine = self._angles(llama)
        # LLM.int8 looks for outliers on the host, which no CUDA graph can hold.
        self.capturable = self.device.type == "cuda" and not any(isinstance(m, Linear8bitLt) for m in llama.modules())
        self.stream: torch.cuda.Stream | None = None  # on which they are made
        if self.capturable:
            self.stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        small = self._weigh() < _SMALL_BYTES
        # On a busy machine the threads of a small product wait milliseconds for each other (measured: 40 times).
        self.threads = 1 if self.device.type == "cpu" and small else None
        # A study's text must not depend on its company. SDPA rounds differently from thread to thread on a processor
        # (measured); batched products do not.
        self.exact = self.device.type == "cpu" and self.dtype == torch.float32
        # Nor do plain products of always as many rows. MKL rounds a row otherwise among more of them on AVX-512 (also
        # measured), though not on every processor. Large weights are read once for more rows.
        self.rows = (4 if small else 8) if self.exact else 1
        self._apart = self.exact and not any(isinstance(m, (Linear4bit, Linear8bitLt)) for m in llama.modules())

    def embed(self, tokens: Sequence[int]) -> Tensor:
        """Embedded words: (tokens, hidden size)."""
        return F.embedding(torch.tensor(tokens, device=self.device), self.embedding)

    def prefill(self, cache: Cache, slot: int, embedded: Tensor, start: int, wanted: int = 1) -> Tensor:
        """Put positions into a slot behind the `start` that it holds.

        embedded: (positions, hidden size). Returns the hidden states of the last `wanted` of them.
        """
        count = embedded.shape[0]
        end = start + count
        mask = self._causal(start, count) if start else None

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            keys, values = cache.keys[layer][slot], cache.values[layer][slot]
            keys[:, start:end] = k.transpose(0, 1)
            values[:, start:end] = v.transpose(0, 1)
            mixed = F.scaled_dot_product_attention(
                q.transpose(0, 1)[None],
                keys[None, :, :end],
                values[None, :, :end],
                attn_mask=mask,
                is_causal=mask is None,
                enable_gqa=self.kv_heads != self.heads,
            )
            return mixed[0].transpose(0, 1)

        return self._through(embedded, self._cosine[start:end], self._sine[start:end], attend, wanted)

    def step(
        self, cache: Cache, tokens: Tensor, last: Tensor, write: Tensor, length: int, active: int | None = None
    ) -> Tensor:
        """One token for each of the first rows of the cache; returns logits (rows, vocabulary) float32.

        tokens, last, write: (rows,) int64. The token stands at position `last` of its study, its keys go to `write`
        (the same, or the unused last position for a row without a study). `length` positions are attended to; it
        exceeds every `last`. Rows from `active` on belong to no study; what they give is of no use.
        """
        rows = tokens.shape[0]
        active = active if self.exact and active is not None else rows
        alike = _alike(last[:active].tolist()) if self.exact else []
        heads = torch.arange(rows * self.kv_heads, device=self.device).view(rows, -1)
        at = (heads * cache.capacity + write[:, None]).view(-1)
        hidden = torch.arange(length, device=self.device) > last[:, None]
        # filled, not chosen with `where`: its scalar would be copied from the host, which a capture forbids
        mask = torch.zeros(hidden.shape, dtype=self.dtype, device=self.device).masked_fill_(hidden, _NEVER)
        mask = mask[:, None, None]

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            keys, values = cache.keys[layer], cache.values[layer]
            keys.view(-1, self.head_width).index_copy_(0, at, k.reshape(-1, self.head_width))
            values.view(-1, self.head_width).index_copy_(0, at, v.reshape(-1, self.head_width))
            # heads that share keys become queries of one head: they see the same positions
            q = q.reshape(rows, self.kv_heads, -1, self.head_width)
            if not self.exact:
                keys, values = keys[:rows, :, :length], values[:rows, :, :length]
                return F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
            mixed = [
                self._mix(q[of], keys[of, :, :seen], values[of, :, :seen], mask[of, :, :, :seen]) for of, seen in alike
            ]
            return mixed[0] if len(mixed) == 1 and active == rows else torch.cat((*mixed, q[active:]))

        embedded = F.embedding(tokens, self.embedding)
        hidden = self._through(embedded, self._cosine[last], self._sine[last], attend, rows, self._few)
        return self._few(self.logits, hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (rows, hidden size) to logits (rows, vocabulary) float32."""
        return F.linear(self._normalized(hidden, self._norm), self._head).float()

    def _through(
        self,
        x: Tensor,
        cosine: Tensor,
        sine: Tensor,
        attend: Attend,
        wanted: int,
        apply: Callable[[Linear, Tensor], Tensor] = _apply,
    ) -> Tensor:
        """All layers. x: (rows, hidden size); cosine, sine: (rows, 1, head width). Returns the last `wanted` rows."""
        rows, rotated = x.shape[0], self.heads + self.kv_heads
        for i, layer in enumerate(self.layers):
            qkv = apply(layer.qkv, self._normalized(x, layer.before_attention)).view(rows, -1, self.head_width)
            qk = self._rotate(qkv[:, :rotated], cosine, sine)
            mixed = attend(i, qk[:, : self.heads], qk[:, self.heads :], qkv[:, rotated:])
            if i == len(self.layers) - 1:  # of the others only keys and values are needed
                mixed, x = mixed[-wanted:], x[-wanted:]
            x = x + apply(layer.out, mixed.reshape(x.shape[0], -1))
            gate, up = apply(layer.gate_up, self._normalized(x, layer.before_mlp)).chunk(2, dim=-1)
            x = x + apply(layer.down, F.silu(gate) * up)
        return x

    def _few(self, linear: Linear, x: Tensor) -> Tensor:
        """As many rows as every product has where that matters; quantized weights would be unpacked each time."""
        if not self._apart or x.shape[0] == self.rows:
            return linear(x)
        return torch.cat([linear(few) for few in torch.split(x, self.rows)])

    def _mix(self, q: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Attention of one position a row: q (rows, kv heads, queries, width), mask (rows, 1, 1, length)."""
        scores = torch.matmul(q * self._scale, keys.transpose(-1, -2)).add_(mask)
        return torch.matmul(scores.softmax(dim=-1), values)

    def _normalized(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, weight.shape, weight, self._epsilon)

    def _rotate(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        half = self.head_width // 2
        swapped = torch.cat((x[..., half:], x[..., :half]), dim=-1)
        return torch.addcmul(x * cosine, swapped, sine)

    def _angles(self, llama: LlamaModel) -> tuple[Tensor, Tensor]:
        """Cosines and signed sines of every position, (positions, 1, head width), from the model's own embedding."""
        at = torch.arange(self.positions, device=self.device)[None]
        cosine, sine = llama.rotary_emb(self.embedding[:1, None], at)
        sine = sine[0].clone()
        sine[:, : self.head_width // 2].neg_()
        return cosine[0][:, None].contiguous(), sine[:, None].contiguous()

    def _weigh(self) -> int:
        return sum(layer.before_mlp.numel() ** 2 * 12 for layer in self.layers) * self.dtype.itemsize

    def _causal(self, start: int, count: int) -> Tensor:
        rows = torch.arange(start, start + count, device=self.device)[:, None]
        return torch.arange(start + count, device=self.device) <= rows
