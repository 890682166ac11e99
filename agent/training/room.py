"""Whether question, film and report fit into the positions of a language model, and what is cut off where not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from transformers import LlamaConfig

from agent.manifest import Case
from agent.readers import prompt
from agent.training.choosing import Name, Prepared
from agent.training.modules import answer_array
from agent.training.settings import Training
from dicom_node.errors import ConfigurationError

_SPARE: Final = 16  # positions that are left free behind question, film and report


def answers(
    stage: Name, settings: Training, prepared: Prepared, words: prompt.LlamaWords, config: Mapping[str, Any]
) -> tuple[dict[str, list[list[int]]], tuple[str, ...]]:
    """The tokens of each split's reports, as `answer_array` has them, and what to tell of those that are cut.

    Raises ConfigurationError: no report that is learned from fits whole, so nothing would teach the model to end. A
    model from nothing is refused before its tower has learned: the stages after `encoder` could do nothing with it.
    """
    taken = len(words.prompt_ids(prompt.REPORT)) + _patches(config) + _SPARE
    longest = int(LlamaConfig(**config["llama"]).max_position_embeddings) - taken
    texts = {"train": _reports(prepared.train), "validation": _reports(prepared.validation)}
    if stage != "encoder" or settings.start is None:
        _refuse(settings, [len(words.answer_ids(text)) + 1 for text in texts["train"]], taken, longest)
    if stage == "encoder":
        return {}, ()
    arrays = {name: answer_array(words, of, longest) for name, of in texts.items()}
    cut = sum(prompt.EOS_ID not in answer for array in arrays.values() for answer in array)
    told = f"{cut} of {sum(map(len, arrays.values()))} reports have more than {longest} tokens: their ends are cut off"
    return arrays, (told,) if cut else ()


def _reports(cases: Sequence[Case]) -> list[str]:
    return [case.report for case in cases if case.report]


def _refuse(settings: Training, lengths: Sequence[int], taken: int, longest: int) -> None:
    if longest > 0 and min(lengths, default=1) <= longest:
        return
    where = "[shape] positions" if settings.start is None else f"max_position_embeddings of {settings.start}"
    needed = taken + max(lengths, default=1)
    raise ConfigurationError(
        f"{where} is {taken + longest}, of which question and film take {taken}: no report fits. "
        f"{needed} are enough for all" + ("" if settings.start is None else ", so begin with another model")
    )


def _patches(config: Mapping[str, Any]) -> int:
    tower = config["clip_vision_cfg"]
    return int(int(tower["image_size"]) // int(tower["patch_size"])) ** 2
