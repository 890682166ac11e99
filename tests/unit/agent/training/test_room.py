"""Whether question, film and report fit into the positions of a model; what is cut off is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.manifest import Case
from agent.readers import prompt
from agent.training import layout, room
from agent.training.choosing import Name, Prepared
from agent.training.settings import Data, Shape, Training
from agent.training.words import train_tokenizer
from dicom_node.errors import ConfigurationError

SHORT, LONG = "There is edema.", "There is edema and a large pleural effusion of the left side."


@pytest.fixture(scope="module")
def words() -> prompt.LlamaWords:
    return prompt.LlamaWords(train_tokenizer([SHORT, LONG] * 5, 420), legacy=False, add_bos_token=True)


def tokens(words: prompt.LlamaWords, text: str) -> int:
    """With the one that ends it."""
    return len(words.answer_ids(text)) + 1


def asked(
    words: prompt.LlamaWords, left: int, *reports: str, stage: Name = "finetune", start: Path | None = None
) -> tuple[dict[str, list[list[int]]], tuple[str, ...]]:
    """The answers of a model with so many positions left behind the question and a film of four patches."""
    positions = len(words.prompt_ids(prompt.REPORT)) + 4 + 16 + left
    shape = Shape(image_size=32, patch_size=16, positions=positions)
    settings = Training(data=Data(manifest=Path("films.csv")), shape=shape, start=start)
    cases = [Case(str(number), number, Path("x.png"), report=text) for number, text in enumerate(reports)]
    return room.answers(stage, settings, Prepared(cases, cases[:1], ()), words, layout.configuration(shape))


def test_reports_that_fit_are_taken_whole_without_a_word(words: prompt.LlamaWords) -> None:
    arrays, told = asked(words, tokens(words, LONG), SHORT, LONG)
    assert told == ()
    assert all(prompt.EOS_ID in answer for array in arrays.values() for answer in array)


def test_reports_that_are_cut_are_counted(words: prompt.LlamaWords) -> None:
    left = tokens(words, LONG) - 1
    arrays, told = asked(words, left, LONG, SHORT, LONG)
    assert told == (f"3 of 4 reports have more than {left} tokens: their ends are cut off",)  # the first is in both
    assert [prompt.EOS_ID in answer for answer in arrays["train"]] == [False, True, False]


@pytest.mark.parametrize("left", [-500, 0, 3])
@pytest.mark.parametrize("stage", ["encoder", "align", "finetune"])
def test_a_model_that_has_room_for_no_report_is_refused_with_the_number_that_it_needs(
    words: prompt.LlamaWords, left: int, stage: Name
) -> None:
    enough = len(words.prompt_ids(prompt.REPORT)) + 20 + tokens(words, LONG)
    with pytest.raises(ConfigurationError, match=rf"\[shape\] positions is .*no report fits. {enough} are enough"):
        asked(words, max(left, 1 - enough + tokens(words, LONG)), SHORT, LONG, stage=stage)


def test_a_tower_may_learn_labels_alone(words: prompt.LlamaWords) -> None:
    assert asked(words, 1, stage="encoder") == ({}, ())
    assert asked(words, 1, LONG, stage="encoder", start=Path("begun")) == ({}, ())
    with pytest.raises(ConfigurationError, match="no report fits"):
        asked(words, 0, stage="encoder")


def test_a_start_without_room_is_named(words: prompt.LlamaWords) -> None:
    with pytest.raises(ConfigurationError, match=r"max_position_embeddings of begun is .* begin with another model"):
        asked(words, 1, LONG, start=Path("begun"))
