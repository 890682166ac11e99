"""The engine: a running batch that studies join and leave at every step of decoding.

A step of `Engine.step`: who is canceled or out of time leaves; one study that waits is put in (its film, then its
prompt, in chunks); one token is decoded for everybody. Film and prompt are computed for each study alone, so only
decoding is shared, and there every row is computed independently of the others.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from agent.readers.engine.answer import Answer, Ending, Pixels, Request, prepared
from agent.readers.engine.errors import (
    OF_ONE_STUDY,
    Canceled,
    EngineBroken,
    device_full,
    is_out_of_memory,
    no_number,
    prompt_too_long,
    raise_if_of_all,
)
from agent.readers.engine.limits import Limits, Load, Slots
from agent.readers.engine.line import Line
from agent.readers.engine.llama import BLOCK, Cache, NativeLlama, attention, threads
from agent.readers.engine.steps import NO_NUMBER, Rows, Stepper
from agent.readers.prompt import EOS_ID

Embed = Callable[[Sequence[int], Pixels], Tensor]

_IDLE_SECONDS: Final = 0.05
_SLOTS_SECONDS: Final = 1.0  # how often who has nothing to do looks whether it has all slots again
_CHUNK: Final = 512  # positions
_CHUNK_OF_A_GPU: Final = 2048


@dataclass(slots=True)
class _Study:
    """A study in a slot."""

    answer: Answer
    row: int
    embedded: Tensor | None = None  # positions that are still to be put in: (positions, hidden size)
    limit: int = 0  # tokens
    filled: int = 0  # positions in the slot
    token: int = 0  # the latest, not yet in the slot


class Engine:
    """One model on one device. `submit` from any thread; `step` in one thread: the caller's, or the engine's own.

    embed: ids and pixels to embedded positions (positions, hidden size). end: the token that ends an answer.
    """

    def __init__(
        self,
        llama: NativeLlama,
        embed: Embed,
        limits: Limits,
        *,
        end: int = EOS_ID,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._llama = llama
        self._embed = embed
        self._seconds = limits.seconds
        self._end = end
        self._now = now
        self._slots = Slots(limits.slots)
        self._chunk = limits.chunk or (_CHUNK_OF_A_GPU if llama.device.type == "cuda" else _CHUNK)
        self._least = llama.rows
        self._graphs = llama.capturable
        self._positions = min(limits.positions, llama.positions)
        self._capacity = -(-(self._positions + 1) // BLOCK) * BLOCK  # one position is nobody's
        self._cache: Cache | None = None
        self._stepper: Stepper | None = None
        self._numbers = itertools.count()
        self._line = Line()
        self._running: list[_Study] = []  # in the order of their rows
        self._entering: _Study | None = None
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._broken: EngineBroken | None = None

    @property
    def load(self) -> Load:
        """How busy it is."""
        running = len(self._running) + (self._entering is not None)
        return Load(running, len(self._line), self._slots.count)

    def submit(self, request: Request) -> Answer:
        """Put a reading in line; returns at once. Raises EngineBroken after a step that failed for all."""
        answer = Answer(request, next(self._numbers), self._drive)
        self._line.come(answer)
        if self._broken is not None:  # asked after the line is joined, for it may break at any moment
            raise self._broken
        if isinstance(request.pixels, Future):
            request.pixels.add_done_callback(lambda _: self._wake.set())
        self._wake.set()
        return answer

    def start(self) -> None:
        """Step in a thread of its own from now on, so that callers only wait. Raises RuntimeError: it does already."""
        if self._thread is not None:
            raise RuntimeError("the engine has a thread already")
        self._stop.clear()
        self._thread = threading.Thread(target=self._serve, daemon=True, name="engine-steps")
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and every reading with Canceled."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._lock:
            self._fail_all(Canceled("The engine was stopped before the reading ended."))

    @contextmanager
    def pause(self) -> Iterator[None]:
        """No step is made meanwhile: for other work with the same model, with its number of threads."""
        with self._lock, torch.inference_mode(), threads(self._llama.threads), attention(self._llama.device):
            yield

    def step(self) -> bool:
        """Put one study in, or a chunk of it, and decode one token for all. False where there was nothing to do.

        Raises EngineBroken: the device no longer computes; every reading has failed.
        """
        with self._lock, torch.inference_mode(), threads(self._llama.threads), attention(self._llama.device):
            self._sweep()
            try:
                entered = self._enter()
                return self._decode() or entered
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise self._break(error) from error
            self._make_do_with_less()
            return True

    def _serve(self) -> None:
        with ExitStack() as end:
            end.push(self._tell_of)  # nobody would ever hear of a thread that ended
            while not self._stop.is_set():
                try:
                    if not self.step():
                        self._rest()
                except EngineBroken:  # every answer says so
                    return

    def _tell_of(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None:
            self._break(error)

    def _rest(self) -> None:
        at_most = _IDLE_SECONDS if len(self._line) else _SLOTS_SECONDS if self._slots.fewer else None
        self._wake.wait(at_most)
        self._wake.clear()

    def _drive(self, answer: Answer, seconds: float) -> None:
        """What a caller does who waits: step, or, where a thread steps, wait."""
        if self._thread is not None:
            answer.wait_fresh(seconds)
        elif not self.step() and not answer.done:
            self._wake.wait(_IDLE_SECONDS)
            self._wake.clear()

    def _sweep(self) -> None:
        """Let go of whom nobody waits for, and of whose time is up; have more slots again where it is time."""
        if self._slots.fewer:
            self._slots.grow(self._now())
        for answer in self._line.sorted():
            if answer.canceled:
                self._line.leave(answer)
                answer.fail(_canceled())
        for study in self._in_slots():
            answer = study.answer
            if answer.canceled:
                self._leave(study, _canceled())
            elif self._is_late(answer):
                self._leave(study, "seconds")

    def _is_late(self, answer: Answer) -> bool:
        limit = self._seconds if answer.request.seconds is None else answer.request.seconds
        if limit is None or answer.entered is None:
            return False
        return answer.spent + self._now() - answer.entered > limit

    def _in_slots(self) -> list[_Study]:
        return [*self._running, *([self._entering] if self._entering else [])]

    def _enter(self) -> bool:
        """Begin with a study or go on with the one that is entering; false where none is."""
        first = self._line.first()
        if self._entering and first and first.request.urgent and not self._entering.answer.request.urgent:
            self._set_aside(self._entering)
        if self._entering is None:
            self._entering = self._begin()
        study = self._entering
        if study is None:
            return False
        try:
            if study.embedded is None:
                self._prepare(study)
            self._put_in(study)
        except OF_ONE_STUDY as error:
            raise_if_of_all(error)
            self._leave(study, error)
        return True

    def _begin(self) -> _Study | None:
        """Who is to enter: the first in line; where all slots are taken, an urgent one turns another out."""
        answer = self._line.first()
        if answer is None:
            return None
        if len(self._running) >= self._slots.count:
            others = [study for study in self._running if not study.answer.request.urgent]
            if not answer.request.urgent or not others:
                return None
            self._set_aside(min(others, key=lambda study: study.answer.count))
        self._line.leave(answer)
        answer.entered = self._now()
        return _Study(answer, len(self._running))

    def _prepare(self, study: _Study) -> None:
        """Compute the film, embed the words, have a row in the cache."""
        answer = study.answer
        embedded = self._embed(answer.request.ids, prepared(answer.request))
        study.limit = self._room(answer, embedded.shape[0])
        if answer.count:  # it was set aside: what it has written is put in with the prompt
            embedded = torch.cat([embedded, self._llama.embed(answer.ids)])
        study.embedded = embedded
        self._make_room(study.row + 1)

    def _room(self, answer: Answer, prompt: int) -> int:
        """How many tokens it may write. Raises PromptTooLong."""
        if prompt >= self._positions:
            raise prompt_too_long(prompt, self._positions)
        return min(answer.request.generation.max_new_tokens, self._positions - prompt)

    def _make_room(self, rows: int) -> None:
        """Have a cache of so many rows. It grows as studies come: one reading takes the memory of one."""
        size = max(self._least, 1 << (rows - 1).bit_length())
        size = min(size, -(-self._slots.count // self._least) * self._least)
        if self._cache is None:
            self._cache = Cache(self._llama, size, self._capacity)
        elif self._cache.slots < size:
            self._stepper = None  # its graphs hold the addresses of the smaller one
            self._cache.grow(size)
        if self._stepper is None:
            self._stepper = Stepper(self._llama, self._cache, graphs=self._graphs)

    def _put_in(self, study: _Study) -> None:
        """One chunk of the prompt; behind the last one the first token is written and the study joins the batch."""
        assert self._cache is not None
        assert study.embedded is not None
        chunk, study.embedded = study.embedded[: self._chunk], study.embedded[self._chunk :]
        hidden = self._llama.prefill(self._cache, study.row, chunk, study.filled)
        study.filled += chunk.shape[0]
        if study.embedded.shape[0]:
            return
        logits = self._llama.logits(hidden)[0]
        if not bool(logits.isfinite().all()):
            self._leave(study, no_number())
            return
        row = len(self._running)
        if row != study.row:  # somebody left meanwhile
            self._cache.move(study.row, row)
            study.row = row
        self._running.append(study)
        self._entering = None
        self._write(study, study.answer.chooser.choose(logits))

    def _decode(self) -> bool:
        """One token for every running study; false where there is none."""
        if not self._running:
            return False
        assert self._cache is not None
        assert self._stepper is not None
        studies = list(self._running)
        idle = min(max(self._least, 1 << (len(studies) - 1).bit_length()), self._cache.slots) - len(studies)
        stepped = self._stepper.run(
            Rows(
                len(studies),
                [study.token for study in studies] + [0] * idle,
                [study.filled for study in studies] + [0] * idle,
                [study.filled for study in studies] + [self._capacity - 1] * idle,
            )
        )
        chosen = [self._chosen(study, stepped.greedy[i], stepped.logits[i]) for i, study in enumerate(studies)]
        for study, token in zip(studies, chosen, strict=True):
            study.filled += 1
            if isinstance(token, int):
                self._write(study, token)
            else:
                self._leave(study, token)
        return True

    def _chosen(self, study: _Study, greedy: int, logits: Tensor) -> int | Exception:
        """Its next token, or why it has none, which is nobody else's fault."""
        chooser = study.answer.chooser
        if greedy == NO_NUMBER:
            return no_number()
        try:
            return greedy if chooser.greedy else chooser.choose(logits)
        except OF_ONE_STUDY as error:
            raise_if_of_all(error)
            return error

    def _write(self, study: _Study, token: int) -> None:
        study.token = token
        study.answer.write(token)
        if token == self._end:
            self._leave(study, "eos")
        elif study.answer.count >= study.limit:
            self._leave(study, "tokens")

    def _leave(self, study: _Study, why: Ending | BaseException) -> None:
        self._free(study, wipe=isinstance(why, BaseException))
        if isinstance(why, BaseException):
            study.answer.fail(why)
        else:
            study.answer.finish(why)

    def _set_aside(self, study: _Study) -> None:
        """Let it wait and go on later; what it has written stays written."""
        self._free(study, wipe=False)
        self._put_back(study.answer)

    def _put_back(self, answer: Answer) -> None:
        """To the line; its time stands still there."""
        if answer.entered is not None:
            answer.spent += self._now() - answer.entered
            answer.entered = None
        self._line.put_back(answer)

    def _free(self, study: _Study, *, wipe: bool) -> None:
        """Give the row back; the last running study moves into it, so that rows stay without gaps."""
        empty = study.row
        if study is self._entering:
            self._entering, wipe = None, True  # nobody has looked yet whether it put in numbers
        else:
            last = self._running.pop()
            if last is not study:
                assert self._cache is not None
                self._cache.move(last.row, study.row)
                self._running[study.row], empty, last.row = last, last.row, study.row
        if wipe and self._cache is not None and empty < self._cache.slots:  # its row may not be there yet
            self._cache.clear(empty)

    def _make_do_with_less(self) -> None:
        """After a lack of memory: half the slots, and who had one enters again. Alone, a study fails."""
        studies = self._in_slots()
        self._running, self._entering, self._cache, self._stepper = [], None, None, None
        if self._llama.device.type == "cuda":
            torch.cuda.empty_cache()
        if len(studies) == 1:
            studies[0].answer.fail(device_full())
            return
        self._slots.halve(len(studies), self._now())
        for study in studies:
            self._put_back(study.answer)

    def _break(self, error: BaseException) -> EngineBroken:
        words = f"A step of the model failed for all readings ({type(error).__name__}); start the worker again."
        self._broken = EngineBroken(words)
        self._fail_all(self._broken)
        return self._broken

    def _fail_all(self, error: BaseException) -> None:
        answers = [*(study.answer for study in self._in_slots()), *self._line.dissolve()]
        self._running, self._entering = [], None
        for answer in answers:
            answer.fail(error)


def _canceled() -> Canceled:
    return Canceled("The reading was canceled.")
