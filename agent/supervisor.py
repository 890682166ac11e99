"""`wetread run`: Redis and the five processes on one machine, each restarted when it ends, all stopped together."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from agent import broker, parting
from agent.children import die_with
from agent.config import Config
from dicom_node import beats
from dicom_node.database import Database, clock
from dicom_node.errors import WrongState
from dicom_node.tables import ProcessBeat

log = structlog.get_logger("run")

PROCESSES = ("listen", "dispatch", "work", "send", "web")
_STOP_SECONDS = 45.0
_TELL_SECONDS = 2.0  # between two lines about what is waited for
_RESTART_SECONDS = (0.2, 1.0, 5.0, 15.0)
_HOPELESS = frozenset({2, 3})  # configuration, or a taken port; the second is uvicorn's number for a port
_HOPELESS_SECONDS = (1.0, 5.0, 15.0, 30.0, 60.0)
_STEADY_SECONDS = 60.0
_LAST_BYTES = 8192  # of a log, in which the last sentence is looked for
_NUMBER_SECONDS = 1.0  # a holder writes its number right after it has the lock


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only `wetread run` on this data folder. The kernel takes the lock back when the process dies (flock(2)).

    Raises WrongState: another one is at work; the sentence has its process number.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # never deleted: whoever waits for a deleted file would hold another lock than the next one
    lock = os.open(folder / "run.lock", os.O_RDWR | os.O_CREAT, 0o600)  # Python's are not inherited by programs
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sentence = f"wetread run is at work on {folder} already, as process {_number_in(lock)}; stop that first"
            raise WrongState(sentence) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield
        os.ftruncate(lock, 0)
    finally:
        os.close(lock)


def _number_in(lock: int) -> str:
    deadline = time.monotonic() + _NUMBER_SECONDS
    while not (number := os.pread(lock, 20, 0)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return number.decode("ascii", "replace") or "(unknown)"


class Supervisor:
    """Keeps the processes alive. They are separate programs: one that is killed takes nothing with it."""

    def __init__(self, config: Config, config_file: Path | None, log_folder: Path | None = None) -> None:
        self._config = config
        self._options = ["--config", str(config_file)] if config_file else []
        self._log_folder = log_folder
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._due: dict[str, float] = {}  # of those that have ended: when to start them again

    def run(self, stop: threading.Event, at_once: threading.Event | None = None) -> None:
        """Start everything, restart what ends, stop everything when told to; `at_once`: without waiting any longer."""
        try:
            self.start()
            while not stop.wait(0.1):
                self.look_after()
        finally:
            self.stop(at_once)

    def start(self) -> None:
        """Start Redis, where it is ours, and the five processes. Raises ConfigurationError."""
        if not self._config.broker.url.get_secret_value():
            self._children["redis"] = broker.start(self._config)
            self._started["redis"] = time.monotonic()
        for name in PROCESSES:
            self._start(name)

    def look_after(self) -> None:
        """Start again what has ended, after a pause that grows while it does not stay up.

        What ended because of its configuration or a taken port waits up to a minute: nothing but a person helps.
        """
        for name, child in list(self._children.items()):
            if child.poll() is None:
                continue
            if name not in self._due:
                self._due[name] = self._when_again(name, child.returncode)
            if time.monotonic() < self._due[name]:
                continue
            del self._due[name]
            if name == "redis":
                self._children[name] = broker.start(self._config)
                self._started[name] = time.monotonic()
            else:
                self._start(name)

    def _when_again(self, name: str, exit_code: int) -> float:
        """Book the end of a process and say it, once; returns the moment of the next start, as time.monotonic()."""
        now, started = time.monotonic(), self._started[name]
        failures = 0 if now - started > _STEADY_SECONDS else self._failures.get(name, 0)
        self._failures[name] = failures + 1
        hopeless = exit_code in _HOPELESS
        pauses = _HOPELESS_SECONDS if hopeless else _RESTART_SECONDS
        pause = pauses[min(failures, len(pauses) - 1)]
        due = now + pause if hopeless else max(now, started + pause)
        words = {"words": self._last_words(name)} if hopeless and self._log_folder else {}
        log.warning("process_ended", process=name, exit_code=exit_code, again_in_seconds=round(due - now, 1), **words)
        if name != "redis" and exit_code > 0:
            self._say_when_again(name, due - now, exit_code if hopeless else None)
        return due

    def _say_when_again(self, name: str, seconds: float, hopeless: int | None) -> None:
        """Beside the reason that a process left. hopeless: the exit code of one that may have left none."""

        def words(last: ProcessBeat | None, now: datetime) -> str | None:
            why = beats.why_not(last.detail) if last else ""
            if not why and hopeless is not None and last is not None and beats.is_starting(last.detail):
                why = f"exit code {hopeless}; its log says why"
            return beats.cannot_start(why, f"at {now + timedelta(seconds=seconds):%H:%M:%S}Z") if why else None

        self._leave(name, words)

    def _last_words(self, name: str) -> str:
        """Why it gave up. Without a folder for logs it has said so on the same stream as we, a line above."""
        assert self._log_folder is not None
        file = self._log_folder / f"{name}.log"
        lines = file.read_bytes()[-_LAST_BYTES:].decode(errors="replace").splitlines() if file.exists() else []
        told = [line.removeprefix("wetread: ") for line in lines if line.startswith("wetread: ")]
        return (told or lines or [""])[-1]

    def stop(self, at_once: threading.Event | None = None) -> None:
        """Ask all to stop, the listener first and Redis last; kill what does not.

        at_once: set by whoever waits no longer; who gives it is told what is waited for.
        """
        deadline = time.monotonic() + _STOP_SECONDS
        for group in (PROCESSES, ("redis",)):
            for child in self._alive(group).values():
                child.terminate()
            self._wait_for(group, deadline, at_once or threading.Event(), told=at_once is not None)
            for child in self._alive(group).values():
                child.kill()
        for child in self._children.values():
            child.wait()
        self._children.clear()

    def _alive(self, names: Sequence[str]) -> dict[str, subprocess.Popen[bytes]]:
        found = {name: self._children[name] for name in names if name in self._children}
        return {name: child for name, child in found.items() if child.poll() is None}

    def _wait_for(self, names: Sequence[str], deadline: float, at_once: threading.Event, *, told: bool) -> None:
        """Until they have ended, or it is time; says at once, and then every few seconds, what is waited for."""
        due, asking = 0.0, parting.Asking(self._config.node.database_url)
        while (alive := self._alive(names)) and (now := time.monotonic()) < deadline and not at_once.is_set():
            if told and now >= due:
                words = asking.waited_for([*alive])
                log.info("stopping", waiting_for=words, at_most_seconds=round(deadline - now), hint=parting.AGAIN)
                due = now + _TELL_SECONDS
            at_once.wait(0.05)

    def process_ids(self) -> dict[str, int]:
        """Which process runs under which number now."""
        return {name: child.pid for name, child in self._children.items()}

    def command(self, name: str) -> list[str]:
        """The command line of a process."""
        return [sys.executable, "-m", "agent", *self._options, name]

    def _start(self, name: str) -> None:
        self._say_starting(name)
        log_file = self._log(name)
        try:
            # preexec_fn is safe: the supervisor has no other thread
            self._children[name] = subprocess.Popen(  # noqa: S603
                self.command(name),
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                preexec_fn=die_with(os.getpid()),  # noqa: PLW1509
            )
        finally:
            if log_file is not None:
                os.close(log_file)
        self._started[name] = time.monotonic()

    def _say_starting(self, name: str) -> None:
        """Loading its libraries takes seconds, in which it must not look as if it had never run."""

        def words(last: ProcessBeat | None, _now: datetime) -> str:
            # the reason stays until the process is there, or it would be seen for a moment only
            why = beats.why_not(last.detail) if last is not None and self._failures.get(name) else ""
            return beats.cannot_start(why, "now") if why else beats.STARTING

        self._leave(name, words)

    def _leave(self, name: str, words: Callable[[ProcessBeat | None, datetime], str | None]) -> None:
        """Beat in the place of a process that does not run; words: after its last beat, None to leave that as it is."""
        database = Database(self._config.node.database_url)
        try:
            with database.write() as tx:
                signed, now = beats.name_here(name), clock(tx)
                detail = words(tx.get(ProcessBeat, signed, with_for_update=True), now)
                if detail is not None:
                    tx.merge(ProcessBeat(name=signed, pid=0, started_at=now, beat_at=now, detail=detail))
        except (SQLAlchemyError, OSError) as error:  # the process itself says what is wrong with it
            log.warning("no_beat", process=name, error=type(error).__name__)
        finally:
            database.close()

    def _log(self, name: str) -> int | None:
        if self._log_folder is None:
            return None
        self._log_folder.mkdir(parents=True, exist_ok=True)
        return os.open(self._log_folder / f"{name}.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
