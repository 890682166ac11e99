"""How the next token is taken from the logits of one study."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from agent.readers.protocol import Generation

_COLDEST: Final = 0.01  # below it logits that are divided by it may be no numbers; it is as good as greedy


class Chooser:
    """Greedy, or sampled with a generator of its own: beside others a study draws what it draws alone."""

    def __init__(self, generation: Generation) -> None:
        """Raises ValueError: settings by which no token could be chosen."""
        if generation.max_new_tokens < 1:
            raise ValueError("an answer has at least one token: max_new_tokens is 1 or more")
        self._generation = generation
        self._source: torch.Generator | None = None
        if generation.mode == "sampled":
            if generation.seed is None:
                raise ValueError("sampling needs a seed, or a reading could not be repeated")
            warm = _COLDEST <= generation.temperature < float("inf")
            if not (warm and 0 < generation.top_p <= 1 and generation.top_k >= 1):
                raise ValueError(
                    f"sampling needs a temperature from {_COLDEST}, top_p above 0 and at most 1, top_k of 1 or more"
                )
            # on the processor: one seed, one sequence, on any device
            self._source = torch.Generator().manual_seed(generation.seed)

    @property
    def greedy(self) -> bool:
        """Whether the most likely token is taken, for which nobody needs the logits."""
        return self._source is None

    def choose(self, logits: Tensor) -> int:
        """The next token. logits: (vocabulary,) float32."""
        if self._source is None:
            return int(logits.argmax())
        return sample(logits.cpu(), self._generation, self._source)


def sample(logits: Tensor, generation: Generation, source: torch.Generator) -> int:
    """Temperature, then top-k, then top-p: the order of transformers. logits: (vocabulary,) on the processor."""
    values, tokens = (logits / generation.temperature).sort(descending=True)
    values, tokens = values[: generation.top_k], tokens[: generation.top_k]
    probabilities = values.softmax(dim=0)
    before = probabilities.cumsum(dim=0) - probabilities
    probabilities = probabilities.masked_fill(before >= generation.top_p, 0.0)
    return int(tokens[torch.multinomial(probabilities, 1, generator=source)])
