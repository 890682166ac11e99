"""The loop of a process: a step, again and again, until told to stop. What a step raises is logged and outlived."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime

import structlog

from dicom_node.database import Database, clock
from dicom_node.tables import ProcessBeat

_BEAT_SECONDS = 5.0
_AFTER_TROUBLE_SECONDS = 1.0


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set. For the main thread of a process."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
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
    while not stop.is_set():
        try:
            more = step()
        except Exception:
            log.exception("step_failed")
            stop.wait(_AFTER_TROUBLE_SECONDS)
            continue
        if pulse is not None:
            pulse.beat()
        if not more:
            waiting.wait(idle_seconds)
            if bell is not None:
                bell.clear()


class Heart:
    """Leaves a sign of life in the database every few seconds, from a thread of its own, while a pulse is felt."""

    def __init__(self, name: str, database: Database, stop: threading.Event, pulse: Pulse | None = None) -> None:
        self._pulse = pulse
        self._name = f"{name}@{socket.gethostname()}"[:128]
        self._database = database
        self._stop = stop
        self._started: datetime | None = None

    def start(self, detail: str = "") -> None:
        """Beat until the stop event is set."""
        beat = threading.Thread(target=self._run, args=(detail,), daemon=True, name="heart")
        beat.start()

    def _run(self, detail: str) -> None:
        run("heart", lambda: self._beat(detail), self._stop, idle_seconds=_BEAT_SECONDS)

    def _beat(self, detail: str) -> bool:
        if self._pulse is not None and not self._pulse.is_felt():
            return False
        with self._database.write() as tx:
            now = clock(tx)
            self._started = self._started or now
            tx.merge(
                ProcessBeat(name=self._name, pid=os.getpid(), started_at=self._started, beat_at=now, detail=detail)
            )
        return False
