"""Questions about films beside the readings: answered in a quiet moment, given up for a study, never tried twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.company import Company
from agent.imaging.decoder import DecoderProcess
from agent.imaging.pixels import Film
from agent.questions import Answerer
from agent.readers import demonstration_checkpoint, guards
from agent.readers.cxr_llava import CxrLlavaReader, load
from agent.readers.protocol import Generation, ReaderBroken, ReaderIdentity, Reading, UnreadableText
from agent.reading import Room
from dicom_node.errors import StoreAway, WetreadError
from reports import questions
from reports.questions import AnswerState, Question, QuestionRefused
from reports.web.timeline import WORDS
from tests.harness.reading_room import ReadingRoom
from tests.unit.agent.ward import now


class Parrot:
    """Answers every question in the same pieces. between: called before each."""

    identity = ReaderIdentity("parrot", "1", "wetread", "fp32", "0" * 64, "")

    def __init__(self, *pieces: str, between: Callable[[], None] = lambda: None) -> None:
        self.pieces = pieces
        self.between = between
        self.asked: list[str] = []
        self.shapes: list[tuple[int, ...]] = []

    def report(self, *_: object, **__: object) -> None:
        raise AssertionError("no report was wanted")

    def ask(
        self,
        film: NDArray[np.uint8],
        question: str,
        generation: Generation,
        progress: Callable[[str], None] = lambda _words: None,
        *,
        seconds: float | None = None,
    ) -> Reading:
        self.asked.append(question)
        self.shapes.append(film.shape)
        words = ""
        for piece in self.pieces:
            self.between()
            words += piece
            progress(words)
        return Reading(guards.check_answer(words, ended=True), generation, len(self.pieces), 0.0)


class Desk:
    """A room with one draft, a question about its film, and who may answer it."""

    def __init__(self, folder: Path) -> None:
        self.room = ReadingRoom(folder)
        self.report = self.room.study()
        self.company = Company()
        self.decoder = DecoderProcess()

    def close(self) -> None:
        self.decoder.close()
        self.room.close()

    def ask(self, words: str = "Is there a pneumothorax?") -> int:
        study = self.room.number(self.report)
        film = self.report.film_digest
        return self.room.do(lambda tx: questions.put(tx, study, film, 1, "rita", words, now()).id)

    def answer(self, reader: Parrot | CxrLlavaReader, stopping: Callable[[], bool] = lambda: False) -> bool:
        room = Room(self.room.desk.config, self.room.database, self.decoder, reader, stopping)  # type: ignore[arg-type]
        return Answerer(room, self.company, self.decoder).step()

    def beside(self, reader: Parrot) -> None:
        """Another worker answers meanwhile."""
        decoder = DecoderProcess()
        room = Room(self.room.desk.config, self.room.database, decoder, reader)  # type: ignore[arg-type]
        assert Answerer(room, Company(), decoder).step()
        decoder.close()

    def found(self, number: int) -> Question:
        return self.room.ask(lambda tx: tx.get_one(Question, number))


@pytest.fixture(scope="module")
def model() -> CxrLlavaReader:
    return load(demonstration_checkpoint(), "fp32", device="cpu")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


def test_question_is_answered_about_the_film_that_was_read(desk: Desk) -> None:
    number, reader = desk.ask("  Is there\na pneumothorax? "), Parrot("No ", "pneumothorax ", "is seen.")

    assert desk.answer(reader)
    assert not desk.answer(reader)

    found = desk.found(number)
    assert (found.state, found.answer, found.reader) == (AnswerState.ANSWERED, "No pneumothorax is seen.", "parrot 1")
    assert reader.asked == ["Is there a pneumothorax?"]
    assert reader.shapes == [(160, 128)]


def test_answer_can_be_read_while_it_is_written(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.questions._TURN", 0.0)
    number, seen = desk.ask(), []

    desk.answer(Parrot("No ", "pneumothorax.", between=lambda: seen.append(desk.found(number).answer)))

    assert seen == ["", "No "]


def test_question_waits_while_a_study_is_due(desk: Desk) -> None:
    number = desk.ask()
    desk.room.receive_film()
    desk.room.complete()

    assert not desk.answer(Parrot("No."))
    assert desk.found(number).state is AnswerState.WAITING

    desk.room.draft()
    assert desk.answer(Parrot("No."))


def test_question_waits_while_somebody_reads(desk: Desk) -> None:
    number = desk.ask()

    with desk.company.reading(lambda: None, alone=False):
        assert not desk.answer(Parrot("No."))

    assert desk.found(number).state is AnswerState.WAITING


def test_study_that_comes_ends_an_answer_which_begins_anew_later(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.questions._TURN", 0.0)
    number = desk.ask()

    def arrive() -> None:
        desk.room.receive_film()
        desk.room.complete()

    assert not desk.answer(Parrot("No ", "pneumothorax.", between=arrive))
    assert (desk.found(number).state, desk.found(number).answer) == (AnswerState.WAITING, "")

    while claim := desk.room.take_reading():
        desk.room.draft(claim)
    assert desk.answer(Parrot("No ", "pneumothorax."))
    assert desk.found(number).answer == "No pneumothorax."


def test_answer_that_is_none_is_said_to_be_none(desk: Desk) -> None:
    number = desk.ask()

    assert desk.answer(Parrot("no " * 60))

    found = desk.found(number)
    assert (found.state, found.answer) == (AnswerState.FAILED, "")
    assert found.trouble == "The model's text repeats itself."


@pytest.mark.parametrize(
    ("limit", "said"), [("_TOKENS", "became too long, and is not shown"), ("SECONDS", "seconds, and is not shown")]
)
def test_answer_that_a_limit_cut_off_is_none(
    desk: Desk, model: CxrLlavaReader, monkeypatch: pytest.MonkeyPatch, limit: str, said: str
) -> None:
    monkeypatch.setattr("agent.questions._TURN", 0.0)
    monkeypatch.setattr(f"agent.questions.{limit}", {"_TOKENS": 3, "SECONDS": 0.0}[limit])
    number = desk.ask()

    assert desk.answer(model)

    found = desk.found(number)
    assert (found.state, found.answer) == (AnswerState.FAILED, "")
    assert said in found.trouble


def test_answer_of_the_model_that_ended_is_one(desk: Desk, model: CxrLlavaReader) -> None:
    number = desk.ask()

    assert desk.answer(model)

    assert desk.found(number).state is AnswerState.ANSWERED
    assert "Not for clinical use" in desk.found(number).answer


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UnreadableText("long-question", "The question is too long."), "The question is too long."),
        (WetreadError("There is no room for it."), "There is no room for it."),
    ],
)
def test_question_that_cannot_be_answered_is_over_at_once_and_says_why(
    desk: Desk, error: WetreadError, said: str
) -> None:
    number = desk.ask()

    def refuse() -> None:
        raise error

    assert desk.answer(Parrot("x", between=refuse))

    assert (desk.found(number).state, desk.found(number).trouble) == (AnswerState.FAILED, said)


def test_fault_of_the_reader_ends_the_question_at_once_and_is_heard_of(desk: Desk) -> None:
    number = desk.ask()

    def stumble() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        desk.answer(Parrot("x", between=stumble))

    assert desk.found(number).state is AnswerState.FAILED
    assert "the log of `work`" in desk.found(number).trouble


def test_question_whose_answer_a_worker_that_stops_has_ended_waits_again(desk: Desk) -> None:
    number, stopping = desk.ask(), threading.Event()

    def stop() -> None:
        stopping.set()
        raise WetreadError("The engine was stopped before the reading ended.")

    assert not desk.answer(Parrot("x", between=stop), stopping.is_set)
    assert desk.found(number).state is AnswerState.WAITING

    assert desk.answer(Parrot("No."))
    assert desk.found(number).state is AnswerState.ANSWERED


def test_store_that_goes_away_while_the_film_is_opened_costs_no_question(desk: Desk) -> None:
    number = desk.ask()
    store = desk.room.desk.config.node.store_folder
    away = store.with_name("away")

    class Unplugged(DecoderProcess):
        def render(self, path: Path) -> Film:
            store.rename(away)
            return super().render(path)

    desk.decoder.close()
    desk.decoder = Unplugged()
    with pytest.raises(StoreAway):
        desk.answer(Parrot("No."))

    assert desk.found(number).state is AnswerState.WAITING


def test_two_who_answer_take_two_questions(desk: Desk) -> None:
    first, second = desk.ask("Is there a fracture?"), desk.ask("Is there a mass?")
    reader = Parrot("No.")
    neighbor = Parrot("Yes.")
    reader.between = lambda: None if neighbor.asked else desk.beside(neighbor)

    assert desk.answer(reader)

    assert (reader.asked, neighbor.asked) == (["Is there a fracture?"], ["Is there a mass?"])
    assert (desk.found(first).answer, desk.found(second).answer) == ("No.", "Yes.")


def test_film_that_is_gone_is_no_reason_to_stop(desk: Desk) -> None:
    study = desk.room.number(desk.report)
    number = desk.room.do(lambda tx: questions.put(tx, study, "0" * 64, 1, "rita", "Why?", now()).id)

    assert desk.answer(Parrot("Because."))

    assert desk.found(number).state is AnswerState.FAILED


def test_question_waits_for_a_store_that_is_away(desk: Desk) -> None:
    number = desk.ask()
    store = desk.room.desk.config.node.store_folder
    store.rename(store.with_name("away"))
    with pytest.raises(StoreAway):
        desk.answer(Parrot("Because."))
    assert desk.found(number).state is AnswerState.WAITING
    store.with_name("away").rename(store)
    assert desk.answer(Parrot("Because."))
    assert desk.found(number).state is AnswerState.ANSWERED


def test_reader_that_breaks_down_is_reported_and_the_question_is_over(desk: Desk) -> None:
    number = desk.ask()

    def break_down() -> None:
        raise ReaderBroken("out of order")

    with pytest.raises(ReaderBroken):
        desk.answer(Parrot("x", between=break_down))

    assert desk.found(number).state is AnswerState.FAILED


def test_question_of_a_process_that_died_is_not_tried_again(desk: Desk) -> None:
    number = desk.ask()
    long_ago = now() - timedelta(minutes=5)
    desk.room.do(lambda tx: questions.claim(tx, token="dead", reader="parrot", now=long_ago))

    reader = Parrot("No.")
    assert not desk.answer(reader)

    assert desk.found(number).state is AnswerState.FAILED
    assert "not tried again" in desk.found(number).trouble
    assert reader.asked == []
    assert not desk.room.do(lambda tx: questions.write(tx, number, "dead", "late words", now()))


@pytest.mark.parametrize("words", ["", " ?! ", "x" * 501, "\U0001f600" * 499 + "a"])
def test_what_is_no_question_is_refused(desk: Desk, words: str) -> None:
    with pytest.raises(QuestionRefused):
        desk.ask(words)


@pytest.mark.parametrize("words", ["x" * 500, "\U0001f600" * 124 + "abc?"])
def test_question_that_is_taken_leaves_room_for_an_answer(desk: Desk, model: CxrLlavaReader, words: str) -> None:
    number = desk.ask(words)

    assert desk.answer(model)

    assert "long" not in desk.found(number).trouble


def test_few_questions_wait_at_once(desk: Desk) -> None:
    for _ in range(questions.MOST_WAITING):
        desk.ask()

    with pytest.raises(QuestionRefused, match="wait"):
        desk.ask()


def test_trail_tells_that_it_was_asked_and_no_word_of_it(desk: Desk) -> None:
    desk.ask("Is there a SECRET?")
    desk.answer(Parrot("The SECRET is here."))

    events = desk.room.events()
    assert events[-2:] == ["question-asked", "question-answered"]
    assert {"question-asked", "question-answered", "question-failed"} <= set(WORDS)
    assert "SECRET" not in str(desk.room.details())
