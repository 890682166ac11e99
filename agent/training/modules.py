"""What the trainer trains: the model's parts with a loss on top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from agent.readers import prompt
from agent.readers.network import CxrLlavaModel
from agent.training.films import IGNORED, UNKNOWN

_CLEAR: Final = 10.0  # the most that one positive film of a rare label counts for


class LabelledTower(nn.Module):
    """Stage 1: the tower, and a linear head on the mean of its patches. The head is thrown away."""

    def __init__(self, model: CxrLlavaModel, labels: int, positive_weights: Tensor) -> None:
        super().__init__()
        self.model = model
        width = model.vision_tower.config.hidden_size
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, labels)
        self.positive_weights: Tensor
        self.register_buffer("positive_weights", positive_weights.clamp(1 / _CLEAR, _CLEAR), persistent=False)

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """pixel_values: (films, 1, size, size). labels: (films, labels), UNKNOWN where nothing is learned."""
        logits = self.head(self.norm(self.model.patches(pixel_values).mean(dim=1)))
        if labels is None:
            return {"logits": logits}
        known = labels != UNKNOWN
        losses = nn.functional.binary_cross_entropy_with_logits(
            logits, labels.clamp(min=0), pos_weight=self.positive_weights, reduction="none"
        )
        return {"loss": (losses * known).sum() / known.sum().clamp(min=1), "logits": logits}

    def activation_checkpointing_enable(self, **how: Any) -> None:
        """As transformers' trainer calls it: layers are computed again on the way back, to save memory."""
        self.model.vision_tower.activation_checkpointing_enable(**how)


class ReportWriter(nn.Module):
    """Stages 2 and 3: film and question in, the report's tokens out; the loss is on the report alone."""

    def __init__(self, model: CxrLlavaModel, question: Sequence[int]) -> None:
        super().__init__()
        self.model = model
        at = list(question).index(prompt.IMAGE_ID)
        self.register_buffer("before", torch.tensor([list(question[:at])]), persistent=False)
        self.register_buffer("after", torch.tensor([list(question[at + 1 :])]), persistent=False)

    def forward(self, pixel_values: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """pixel_values: (films, 1, size, size). labels: (films, tokens), IGNORED behind the end of each report."""
        films = pixel_values.shape[0]
        features = self.model.features(pixel_values)
        embed = self.model.llama.embed_tokens
        before, after = (embed(words).expand(films, -1, -1) for words in (self.before, self.after))
        answer = embed(labels[:, :-1].clamp(min=0))
        embedded = torch.cat([before, features.to(before.dtype), after, answer], dim=1)
        hidden = self.model.llama(inputs_embeds=embedded, use_cache=False).last_hidden_state
        start = embedded.shape[1] - answer.shape[1] - 1  # the position whose next token is the first of the answer
        logits = self.model.lm_head(hidden[:, start:])
        loss = nn.functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        return {"loss": loss}

    def activation_checkpointing_enable(self, **how: Any) -> None:
        """As that of `LabelledTower`."""
        for part in (self.model.llama, self.model.vision_tower):
            part.activation_checkpointing_enable(**how)


def learn_only(model: nn.Module, *parts: str) -> int:
    """Let the parameters learn whose names begin so, and no other; returns how many numbers learn."""
    count = 0
    for name, parameter in model.named_parameters():
        learns = name.startswith(parts) and parameter.is_floating_point()
        parameter.requires_grad_(learns)
        count += parameter.numel() if learns else 0
    return count


def answer_array(words: prompt.LlamaWords, reports: Sequence[str], longest: int) -> list[list[int]]:
    """Tokens of each report with the end, filled up to one length with IGNORED.

    longest: tokens that are kept of a report; one that is longer loses its end, and with it the token that ends it.
    """
    answers = [[*words.answer_ids(text), prompt.EOS_ID][:longest] for text in reports]
    width = max(map(len, answers), default=0)
    return [answer + [IGNORED] * (width - len(answer)) for answer in answers]
