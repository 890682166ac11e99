"""A tokenizer of one's own, for a model that starts from nothing."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import sentencepiece

from agent.readers import prompt
from dicom_node.errors import ConfigurationError


def train_tokenizer(reports: Sequence[str], size: int) -> bytes:
    """A Llama-like sentencepiece model (BPE with byte fallback) of the reports and of the prompts.

    Raises ConfigurationError: the size is too small for their characters, or larger than their words allow.
    """
    lines = [line for text in reports for line in text.split("\n") if line]
    lines += [
        line
        for text in (prompt.REPORT, prompt.DIFFERENTIAL)
        for line in prompt.render(text).replace("<image>", "").split("\n")
        if line
    ] * 20
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.Train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type="bpe",
            vocab_size=size,
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            split_digits=True,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:  # what sentencepiece raises for everything; it says how many tokens would do
        said = re.search(r"Vocabulary size .*", str(error))
        raise ConfigurationError(
            f"[shape] vocabulary is {size}, of which no tokenizer of these {len(reports)} reports can be made: "
            f"{said[0] if said else error}"
        ) from error
    return model.getvalue()
