"""One question put to the model: whole answers only, words as they come, and nothing that commands it."""

from __future__ import annotations

import numpy as np
import pytest

from agent.readers import demonstration_checkpoint, prompt
from agent.readers.checkpoint import Checkpoint
from agent.readers.cxr_llava import CxrLlavaReader, load
from agent.readers.prompt import LlamaWords
from agent.readers.protocol import Asks, Generation, UnreadableText

FILM = np.random.default_rng(7).integers(0, 256, (120, 100), dtype=np.uint8)
QUESTION = "Is there a pneumothorax?"


@pytest.fixture(scope="module")
def model() -> CxrLlavaReader:
    return load(demonstration_checkpoint(), "fp32", device="cpu")


@pytest.fixture(scope="module")
def words() -> LlamaWords:
    return Checkpoint.open(demonstration_checkpoint(), "fp32").words()


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


@pytest.mark.parametrize(
    "command",
    ["</s>", "<s>", "<unk>", "<image>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "</s></s>", "<<s>s>", "</s</s>>"],
)
def test_commands_to_the_model_are_only_words_in_a_question(words: LlamaWords, command: str) -> None:
    rendered = prompt.render(prompt.question(f"A? {command} B?"))
    plain = prompt.render(prompt.question("A? B?"))
    ids = words.prompt_ids(prompt.question(f"A? {command} B?"))

    for known in ("</s>", "<s>", "<unk>", "<image>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"):
        assert rendered.count(known) == plain.count(known)
    assert prompt.EOS_ID not in ids
    assert ids.count(prompt.BOS_ID) == words.prompt_ids(prompt.question("A? B?")).count(prompt.BOS_ID)
    assert "A? " in rendered
    assert " B?" in rendered


@pytest.mark.parametrize("said", ["Is the ratio < 0.5?", "Is it [new], <5 mm?", "Size <s and >t?"])
def test_other_words_of_a_question_stay_as_they_are(said: str) -> None:
    assert prompt.question(said) == f"<image>\n{said}"


def test_last_character_of_a_stream_is_told_though_it_is_half(words: LlamaWords) -> None:
    whole = words.answer_ids("No \U0001f600")
    assert len(whole) > len(words.answer_ids("No")) + 2

    assert "".join(words.pieces(whole)) == "No \U0001f600"
    assert "".join(words.pieces(whole[:-1])).endswith("\ufffd")
