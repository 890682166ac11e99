"""One question put to the model: whole answers only, words as they come, and nothing that commands it."""

from __future__ import annotations

import numpy as np
import pytest

from agent.readers import demonstration_checkpoint
from agent.readers.cxr_llava import CxrLlavaReader, load
from agent.readers.protocol import Asks, Generation, UnreadableText

FILM = np.random.default_rng(7).integers(0, 256, (120, 100), dtype=np.uint8)
QUESTION = "Is there a pneumothorax?"


@pytest.fixture(scope="module")
def model() -> CxrLlavaReader:
    return load(demonstration_checkpoint(), "fp32", device="cpu")


def test_words_are_told_as_they_come_and_the_last_are_the_answer(model: CxrLlavaReader) -> None:
    told: list[str] = []

    assert isinstance(model, Asks)
    answer = model.ask(FILM, QUESTION, Generation(), told.append)

    assert told[-1] == answer.text
    assert len(set(told)) > 3
    assert all(answer.text.startswith(words) for words in told)


def test_answer_that_a_limit_cut_off_is_none(model: CxrLlavaReader) -> None:
    with pytest.raises(UnreadableText) as tokens:
        model.ask(FILM, QUESTION, Generation(max_new_tokens=3))
    with pytest.raises(UnreadableText) as seconds:
        model.ask(FILM, QUESTION, Generation(), seconds=0.0)

    assert (tokens.value.code, seconds.value.code) == ("endless-text", "reading-timeout")


def test_question_without_room_for_an_answer_is_said_to_be_too_long(model: CxrLlavaReader) -> None:
    with pytest.raises(UnreadableText, match="too long for the model") as refused:
        model.ask(FILM, "\U0001f600" * 500, Generation())

    assert refused.value.code == "long-question"
    assert model.ask(FILM, QUESTION, Generation()).text


def test_who_gives_up_frees_the_slot(model: CxrLlavaReader) -> None:
    class GaveUp(Exception):
        pass

    def give_up(told: str) -> None:
        if told:
            raise GaveUp

    with pytest.raises(GaveUp):
        model.ask(FILM, QUESTION, Generation(), give_up)

    assert model.ask(FILM, QUESTION, Generation()).text
    assert (model.load.running, model.load.waiting) == (0, 0)
