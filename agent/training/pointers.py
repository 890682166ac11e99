"""A language model that begins by looking at the film where it has named a finding.

A few thousand short reports are too few for attention to find out by itself which of the patches speaks of which word.
So the projection begins with each name's patches beside the word's own embedding, and the first layer's heads with
queries and keys that match what is alike. All of it learns afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import nn

from agent.readers.network import CxrLlavaModel
from agent.training import closed_form

_EMBEDDING: Final = 0.2  # deviation of the words' numbers: so large that steps of the optimizer leave them alike
_NAME: Final = 0.65  # length of a patch's name, in lengths of a word
_TOLD: Final = 0.3  # the same of what it tells
_MATCH: Final = 1.0
_CARRY: Final = 0.5


@torch.no_grad()
def point(model: CxrLlavaModel, names: Sequence[int], *, seed: int) -> None:
    """names: for each answer of a solved tower the token behind which it is said or denied; no token twice."""
    if len(set(names)) != len(names):
        raise ValueError("two findings end with the same token")
    source = torch.Generator().manual_seed(seed)
    embed = model.llama.embed_tokens.weight
    embed.copy_(torch.randn(embed.shape, generator=source) * _EMBEDDING)
    width = embed.shape[1]
    words = nn.functional.normalize(embed[list(names)], dim=1)
    carried = torch.randn(width, generator=source)
    carried -= words.T @ torch.linalg.lstsq(words.T, carried[:, None]).solution[:, 0]  # at right angles to all words
    carried /= carried.norm()
    length = _EMBEDDING * width**0.5
    project = model.mm_projector
    project.weight.mul_(0.05)
    project.bias.zero_()
    first = closed_form.first_name(model)
    project.weight[:, first : first + len(names)] = words.T * (_NAME * length)
    project.weight[:, closed_form.TOLD] = carried * (_TOLD * length)
    _heads(model, words, carried, source)


def _heads(model: CxrLlavaModel, words: torch.Tensor, carried: torch.Tensor, source: torch.Generator) -> None:
    attention: Any = model.llama.layers[0].self_attn
    heads = int(model.llama.config.num_attention_heads)
    size = words.shape[1] // heads
    slowest = [size // 2 - 1, size - 1, size // 2 - 2, size - 2]  # numbers that the rotary embedding hardly turns
    for parameter in (attention.q_proj.weight, attention.k_proj.weight):
        parameter.mul_(0.1)
    for number, word in enumerate(words):
        at = (number % heads) * size + slowest[number // heads]
        attention.q_proj.weight[at] = word * _MATCH
        attention.k_proj.weight[at] = word * _MATCH
    for head in range(heads):
        out = torch.randn(words.shape[1], generator=source)
        attention.v_proj.weight[head * size] = carried
        attention.o_proj.weight[:, head * size] = out / out.norm() * _CARRY
