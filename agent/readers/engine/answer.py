"""What is asked of the engine, and the answer as it is written: for one caller, from any thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.readers.engine.choice import Chooser
from agent.readers.engine.errors import Canceled, PreparationFailed
from agent.readers.protocol import Generation
from dicom_node.errors import WetreadError

Ending: TypeAlias = Literal["eos", "tokens", "seconds"]
Pixels: TypeAlias = NDArray[np.float32]

_TURN_SECONDS: Final = 0.05  # how long a caller waits before it looks again
_SILENCE_SECONDS: Final = 0.5  # progress is told at least so often, also while nothing is written


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One reading.

    ids: the prompt, IMAGE_ID at the film. pixels: (1, 1, size, size) float32, or the promise of it from a thread that
    still prepares the film. seconds: limit of its time in slots, from its first step on; None for none. urgent: it
    enters at the next step, if need be in place of a reading that is not, which then continues later.
    """

    ids: tuple[int, ...]
    pixels: Pixels | Future[Pixels]
    generation: Generation
    seconds: float | None = None
    urgent: bool = False


def prepared(request: Request) -> Pixels:
    """The film of a request whose preparation has ended. Raises Canceled, or PreparationFailed with its cause."""
    if not isinstance(request.pixels, Future):
        return request.pixels
    if request.pixels.cancelled():
        raise Canceled("The preparation of the film was canceled.")
    if (error := request.pixels.exception()) is not None:
        if isinstance(error, WetreadError):
            raise error
        raise PreparationFailed(f"The film could not be prepared ({type(error).__name__}).") from error
    return request.pixels.result()


class Answer:
    """Tokens of one reading. The engine writes, the caller reads; `result` and `stream` drive an engine at rest."""

    def __init__(self, request: Request, number: int, drive: Callable[[Answer, float], None]) -> None:
        self.request = request
        self.number = number
        self.chooser = Chooser(request.generation)
        self.ending: Ending | None = None
        self.entered: float | None = None  # when it took the slot that it has, in the engine's clock
        self.spent = 0.0  # seconds in slots before that one
        self.canceled = False
        self._drive = drive
        self._ids: list[int] = []
        self._error: BaseException | None = None
        self._done = threading.Event()
        self._fresh = threading.Event()
        self._streaming = False

    @property
    def ids(self) -> list[int]:
        """The tokens so far, EOS_ID at the end where the model ended by itself."""
        return list(self._ids)

    @property
    def count(self) -> int:
        """How many tokens there are so far."""
        return len(self._ids)

    @property
    def done(self) -> bool:
        """Whether nothing will follow."""
        return self._done.is_set()

    def cancel(self) -> None:
        """Want no more: the slot is free at the next step."""
        self.canceled = True

    def wait(self, seconds: float) -> bool:
        """Wait until nothing will follow, at most so long; drives nothing. Returns `done`."""
        return self._done.wait(seconds)

    def wait_fresh(self, seconds: float) -> None:
        """Wait for the next token of a stream, at most so long."""
        event = self._fresh if self._streaming else self._done
        event.wait(seconds)
        self._fresh.clear()

    def result(self, progress: Callable[[int], None] = lambda _tokens: None) -> list[int]:
        """All tokens. `progress` is told of each, and twice a second while there are none; what it raises cancels.

        Raises what befell this reading: EngineError, UnreadableText, or what the model raised for this film.
        """
        told, spoken = 0, time.monotonic()
        try:
            while not self.done or told < self.count:
                if told == self.count:
                    self._drive(self, _TURN_SECONDS)
                for told in range(told + 1, self.count + 1):  # noqa: B020 -- continues where it stopped
                    progress(told)
                    spoken = time.monotonic()
                if time.monotonic() - spoken > _SILENCE_SECONDS:
                    progress(told)
                    spoken = time.monotonic()
        finally:
            if not self.done:
                self.cancel()
        self._check()
        return self.ids

    def stream(self) -> Generator[int]:
        """Token after token as they are written; closing the iterator cancels. Raises as `result` does."""
        self._streaming = True
        told = 0
        try:
            while not self.done or told < self.count:
                if told == self.count:
                    self._drive(self, _TURN_SECONDS)
                for token in self._ids[told:]:
                    told += 1
                    yield token
        finally:
            if not self.done:
                self.cancel()
        self._check()

    def write(self, token: int) -> None:
        """For the engine: one more token."""
        self._ids.append(token)
        if self._streaming:
            self._fresh.set()

    def finish(self, ending: Ending) -> None:
        """For the engine: nothing follows."""
        self.ending = ending
        self._close()

    def fail(self, error: BaseException) -> None:
        """For the engine: this reading came to nothing."""
        self._error = error
        self._close()

    def _close(self) -> None:
        self._done.set()
        self._fresh.set()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
