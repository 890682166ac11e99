"""`wetread run`: Redis and the five processes on one machine, each restarted when it ends, all stopped together."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from agent import broker
from agent.children import die_with
from agent.config import Config
from dicom_node import beats
from dicom_node.database import Database, clock
from dicom_node.tables import ProcessBeat

log = structlog.get_logger("run")

PROCESSES = ("listen", "dispatch", "work", "send", "web")
_STOP_SECONDS = 45.0
_RESTART_SECONDS = (0.2, 1.0, 5.0, 15.0)
_STEADY_SECONDS = 60.0


class Supervisor:
    """Keeps the processes alive. They are separate programs: one that is killed takes nothing with it."""

    def __init__(self, config: Config, config_file: Path | None, log_folder: Path | None = None) -> None:
        self._config = config
        self._options = ["--config", str(config_file)] if config_file else []
        self._log_folder = log_folder
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    def run(self, stop: threading.Event) -> None:
        """Start everything, restart what ends, stop everything when told to."""
        try:
            self.start()
            while not stop.wait(0.1):
                self.look_after()
        finally:
            self.stop()

    def start(self) -> None:
        """Start Redis, where it is ours, and the five processes. Raises ConfigurationError."""
        if not self._config.broker.url.get_secret_value():
            self._children["redis"] = broker.start(self._config)
            self._started["redis"] = time.monotonic()
        for name in PROCESSES:
            self._start(name)

    def look_after(self) -> None:
        """Start again what has ended, after a pause that grows while it does not stay up."""
        for name, child in list(self._children.items()):
            if child.poll() is None:
                continue
            lived = time.monotonic() - self._started[name]
            if lived > _STEADY_SECONDS:
                self._failures[name] = 0
            failures = self._failures.get(name, 0)
            if lived < _RESTART_SECONDS[min(failures, len(_RESTART_SECONDS) - 1)]:
                continue
            self._failures[name] = failures + 1
            log.warning("process_ended", process=name, exit_code=child.returncode)
            if name == "redis":
                self._children[name] = broker.start(self._config)
                self._started[name] = time.monotonic()
            else:
                self._start(name)

    def stop(self) -> None:
        """Ask all to stop, the listener first and Redis last; kill what does not."""
        deadline = time.monotonic() + _STOP_SECONDS
        for group in (PROCESSES, ("redis",)):
            asked = [self._children[name] for name in group if name in self._children]
            for child in asked:
                if child.poll() is None:
                    child.terminate()
            for child in asked:
                try:
                    child.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
        self._children.clear()

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
        database = Database(self._config.node.database_url)
        try:
            with database.write() as tx:
                now = clock(tx)
                beat = ProcessBeat(
                    name=beats.name_here(name), pid=0, started_at=now, beat_at=now, detail=beats.STARTING
                )
                tx.merge(beat)
        except (SQLAlchemyError, OSError) as error:  # the process itself says what is wrong with it
            log.warning("no_beat", process=name, error=type(error).__name__)
        finally:
            database.close()

    def _log(self, name: str) -> int | None:
        if self._log_folder is None:
            return None
        self._log_folder.mkdir(parents=True, exist_ok=True)
        return os.open(self._log_folder / f"{name}.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
