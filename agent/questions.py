"""Answering questions about films, in the worker's child beside the readings, when no study wants the reader.

A question never delays a study: it is taken only while nothing is read and nothing is due, and given up for the first
study that comes. It never uses up a study's attempt with one of its own: it is tried once, and nobody reads beside it
as it begins.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import structlog

from agent.company import Company, Occupied
from agent.imaging.decoder import DecoderProcess
from agent.imaging.pixels import UndecodableImage
from agent.readers.protocol import Asks, Generation, ReaderBroken, UnreadableText
from agent.reading import Room
from dicom_node import worklist
from dicom_node.database import clock
from dicom_node.errors import StoreAway, WetreadError
from dicom_node.files import require, stored_path
from reports import questions
from reports.questions import Question

log = structlog.get_logger("work")

SECONDS: Final = 120.0  # for one answer; a person waits
_TOKENS: Final = 256
_TURN: Final = 0.3  # seconds between two looks at whether a study is due, and two pieces for the page
# "There is no" may be the beginning of anything: nothing of an answer without its end stays on the page.
_CUT_OFF: Final = MappingProxyType(
    {
        "endless-text": "The answer was cut off because it became too long, and is not shown. Ask for less.",
        "reading-timeout": f"The answer was cut off after {SECONDS:.0f} seconds, and is not shown. Ask for less.",
    }
)


class GaveWay(WetreadError):
    """A study is due, the worker stops, or the question is not ours any more."""


class Answerer:
    """Answers one question after the other. decoder: of its own, so that no film waits for one. For one thread."""

    def __init__(
        self,
        room: Room,
        company: Company,
        decoder: DecoderProcess,
        new_token: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._room = room
        self._company = company
        self._decoder = decoder
        self._new_token = new_token

    def step(self) -> bool:
        """Answer one question; False where there is none, or it has to wait. Raises ReaderBroken, StoreAway."""
        reader = self._room.reader
        if not isinstance(reader, Asks) or not self._is_wanted() or not self._is_calm():
            return False
        require(self._room.config.node.store_folder)
        token, identity = self._new_token(), reader.identity
        with self._room.database.write() as tx:
            asked = questions.claim(tx, token=token, reader=f"{identity.name} {identity.version}", now=clock(tx))
        if asked is None:
            return False
        try:
            with self._company.reading(lambda: None, alone=False):
                answer = self._answer(reader, asked, token)
        except (GaveWay, Occupied):
            self._give_back(asked, token)
            return False
        except StoreAway:
            self._give_back(asked, token)
            raise
        except ReaderBroken:
            self._fail(asked, token, "The reader broke down while it answered.")
            raise
        except WetreadError as error:
            return self._is_over(asked, token, error)
        except Exception:
            self._fail(asked, token, "The reader failed while it answered; the log of `work` says where.")
            raise
        with self._room.database.write() as tx:
            questions.finish(tx, asked.id, token, answer, clock(tx))
        log.info("question_answered", question=asked.id, characters=len(answer))
        return True

    def _answer(self, reader: Asks, asked: Question, token: str) -> str:
        store = self._room.config.node.store_folder
        try:
            film = self._decoder.render(stored_path(store, asked.film_digest))
        except UndecodableImage:
            require(store)
            raise
        self._look(asked, token, "")
        looked = time.monotonic()

        def progress(words: str) -> None:
            nonlocal looked
            if time.monotonic() - looked >= _TURN:
                self._look(asked, token, words)
                looked = time.monotonic()

        generation = Generation(max_new_tokens=_TOKENS)
        return reader.ask(film.pixels, asked.words, generation, progress, seconds=SECONDS).text

    def _look(self, asked: Question, token: str, answer: str) -> None:
        """Show what there is by now, and go on only while no study is due. Raises GaveWay."""
        self._room.pulse()
        with self._room.database.write() as tx:
            ours = questions.write(tx, asked.id, token, answer, clock(tx))
        if not ours or self._room.stopping() or not self._company.is_open or self._is_due():
            raise GaveWay("a study comes first")

    def _is_over(self, asked: Question, token: str, error: WetreadError) -> bool:
        """It is none that can be answered. A worker that stops ends what is being written: that is to begin anew."""
        if self._room.stopping():
            self._give_back(asked, token)
            return False
        code = error.code if isinstance(error, UnreadableText) else ""
        self._fail(asked, token, _CUT_OFF.get(code, str(error)))
        return True

    def _give_back(self, asked: Question, token: str) -> None:
        with self._room.database.write() as tx:
            questions.give_back(tx, asked.id, token, clock(tx))

    def _fail(self, asked: Question, token: str, trouble: str) -> None:
        log.warning("question_failed", question=asked.id, explanation=trouble)
        with self._room.database.write() as tx:
            questions.fail(tx, asked.id, token, trouble, clock(tx))

    def _is_wanted(self) -> bool:
        with self._room.database.read() as tx:
            return questions.is_waiting(tx)

    def _is_calm(self) -> bool:
        return self._company.is_empty and not self._is_due()

    def _is_due(self) -> bool:
        with self._room.database.read() as tx:
            return worklist.is_due(tx, clock(tx), reader=self._room.config.reader.name)
