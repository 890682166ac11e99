"""The loop of a process: a step, again and again, until told to stop. What a step raises is logged and outlived."""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.beats import SILENT, STOPPED, cannot_start, is_ready, name_here
from dicom_node.database import Database, clock
from dicom_node.errors import StoreAway, WetreadError
from dicom_node.tables import ProcessBeat

_BEAT_SECONDS = 5.0
_NOTICE_SECONDS = 0.2  # at the latest then it is seen that the process is to stop
_LAST_BEAT_SECONDS = 5.0
_AFTER_TROUBLE_SECONDS = 1.0
_PARTING_SECONDS = 5.0


def stop_on_signals(at_once: threading.Event | None = None) -> threading.Event:
    """An event that SIGTERM and SIGINT set; the second of them sets `at_once`. For the main thread of a process."""
    stop = threading.Event()

    def heard(*_: object) -> None:
        if stop.is_set() and at_once is not None:
            at_once.set()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, heard)
    return stop


class Pulse:
    """When something last went well. A process whose every step fails must not look alive."""

    def __init__(self, *, patience_seconds: float = 60) -> None:
        self._patience = patience_seconds
        self._last = time.monotonic()

    def beat(self) -> None:
        """Something went well just now."""
        self._last = time.monotonic()

    def is_felt(self) -> bool:
        """Did anything go well lately?"""
        return time.monotonic() - self._last < self._patience


def run(
    name: str,
    step: Callable[[], bool],
    stop: threading.Event,
    *,
    idle_seconds: float,
    bell: threading.Event | None = None,
    pulse: Pulse | None = None,
) -> None:
    """Call `step` until `stop`; it says whether there may be more to do at once. Else wait for the bell, or idle."""
    log = structlog.get_logger(name)
    waiting = bell or stop
    is_away = False
    while not stop.is_set():
        try:
            more = step()
        except StoreAway as away:
            if not is_away:  # once, and not at every step
                log.error("store_away", explanation=str(away))
            is_away = True
            if pulse is not None:
                pulse.beat()  # it lives and waits; that the store is away is told of the store
            stop.wait(max(idle_seconds, _AFTER_TROUBLE_SECONDS))
            continue
        except Exception:
            log.exception("step_failed")
            stop.wait(_AFTER_TROUBLE_SECONDS)
            continue
        if is_away:
            log.info("store_back")
        is_away = False
        if pulse is not None:
            pulse.beat()
        if not more:
            waiting.wait(idle_seconds)
            if bell is not None:
                bell.clear()


@contextmanager
def beside(
    name: str, step: Callable[[], bool], stop: threading.Event, *, thread: str, idle_seconds: float
) -> Iterator[None]:
    """Run a step in a thread of its own until `stop`, and wait for it a moment at the end.

    It may hang in a peer that is silent: that never keeps the process from ending.
    """
    arguments, settings = (name, step, stop), {"idle_seconds": idle_seconds}
    running = threading.Thread(target=run, args=arguments, kwargs=settings, name=thread, daemon=True)
    running.start()
    try:
        yield
    finally:
        running.join(_PARTING_SECONDS)


class Heart:
    """Leaves a sign of life in the database every few seconds, from a thread of its own, while a pulse is felt.

    The last one, when the stop event is set or the program ends in order, says that it was stopped.
    """

    def __init__(self, name: str, database: Database, stop: threading.Event, pulse: Pulse | None = None) -> None:
        self._pulse = pulse
        self._name = name_here(name)
        self._database = database
        self._stop = stop
        self._started: datetime | None = None
        self._detail = ""
        self._last_words: str | None = None
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="heart")

    def start(self, detail: str = "") -> None:
        """Beat until the stop event is set."""
        self._detail = detail
        self._thread.start()
        atexit.register(self.end)

    def say(self, detail: str) -> None:
        """Beat with other words from now on, and at once."""
        self._detail = detail
        self._changed.set()

    def say_last(self, words: str) -> None:
        """What the process still waits for, though it was told to stop; the same again is not written again."""
        if words == self._last_words:
            return
        self._last_words = words
        try:
            self._say_stopped()
        except (SQLAlchemyError, OSError):
            self._last_words = None  # it was not said

    def end(self) -> None:
        """Stop beating and wait a moment for the last one, which says so. Calling it again does nothing."""
        self._stop.set()
        self._changed.set()
        atexit.unregister(self.end)
        if self._thread.is_alive():
            self._thread.join(_LAST_BEAT_SECONDS)

    @contextmanager
    def starting(self) -> Iterator[None]:
        """What the body raises is why the process cannot start: it is left as the last sign of life, and goes on."""
        try:
            yield
        except WetreadError as error:
            self.give_up(str(error))
            raise
        except OSError as error:
            self.give_up(f"{type(error).__name__}: {error.strerror or 'see its log'}")  # no path: it may be a secret
            raise

    def give_up(self, why: str) -> None:
        """End, and leave the reason, unless another process works under this name."""
        self.end()
        with suppress(SQLAlchemyError, OSError), self._database.write() as tx:
            beat, now = tx.get(ProcessBeat, self._name, with_for_update=True), clock(tx)
            if beat is not None and beat.pid != os.getpid() and is_ready(beat) and now - beat.beat_at <= SILENT:
                return
            detail, began = cannot_start(why), self._started or now
            tx.merge(ProcessBeat(name=self._name, pid=os.getpid(), started_at=began, beat_at=now, detail=detail))

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._beat(self._detail)
            except (SQLAlchemyError, OSError) as error:
                structlog.get_logger("heart").warning("no_beat", error=type(error).__name__)
            self._wait()
        with suppress(SQLAlchemyError, OSError):
            self._say_stopped()

    def _wait(self) -> None:
        """Until the next beat is due, there is something to say, or it is time to stop."""
        due = time.monotonic() + _BEAT_SECONDS
        while time.monotonic() < due and not self._stop.is_set() and not self._changed.wait(_NOTICE_SECONDS):
            pass
        self._changed.clear()

    def _beat(self, detail: str) -> None:
        if self._pulse is not None and not self._pulse.is_felt():
            return
        with self._database.write() as tx:
            now = clock(tx)
            self._started = self._started or now
            tx.merge(
                ProcessBeat(name=self._name, pid=os.getpid(), started_at=self._started, beat_at=now, detail=detail)
            )

    def _say_stopped(self) -> None:
        """With the last words, unless another process beats under this name by now."""
        with self._database.write() as tx:
            beat = tx.get(ProcessBeat, self._name, with_for_update=True)
            words = self._last_words  # as of now: the thread of the heart says it as well
            if beat is not None and beat.pid == os.getpid():
                beat.beat_at, beat.detail = clock(tx), f"{STOPPED}; {words}" if words else STOPPED
