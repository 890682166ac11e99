"""A node that stops says what it waits for, and whoever waits no longer ends it."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from pathlib import Path

import pytest
import structlog

from agent import loop, parting
from agent.config import Config
from agent.supervisor import Supervisor
from dicom_node.beats import STOPPED, name_here
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.tables import ProcessBeat
from tests.harness.node import wait_until
from tests.unit.agent.ward import Ward, now
from tests.unit.reports import films

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_the_processes_are_busy_with_is_counted_and_the_others_are_named(ward: Ward, sqlite_url: str) -> None:
    ward.peer()
    ward.study_with_draft()
    ward.must_take()
    ward.receive(films.film(StudyInstanceUID="1.2.3.77", SOPInstanceUID="1.2.3.78"))
    ward.claim()
    beat = ProcessBeat(
        name=name_here("listen"), pid=1, started_at=now(), beat_at=now(), detail=f"{STOPPED}; 2 associations"
    )
    ward.do(lambda tx: tx.add(beat))

    words = parting.waited_for(sqlite_url, ["listen", "work", "send", "web"])

    assert words == "2 associations, 1 study being read, 1 object being sent, web"


def test_without_an_answer_of_the_database_the_names_say_enough(tmp_path: Path) -> None:
    assert parting.waited_for(f"sqlite:///{tmp_path}/absent/x.db", ["listen", "work"]) == "listen, work"


def test_a_database_that_does_not_answer_keeps_nobody_waiting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        asking = parting.Asking(f"postgresql+psycopg://wetread@127.0.0.1:{port}/wetread?sslmode=disable")

        assert asking.waited_for(["listen", "work"]) == "listen, work"

        thread = asking._thread
        assert thread is not None
        assert thread.is_alive(), "it is asked still"
        assert asking.waited_for(["work"]) == "work"
        assert asking._thread is thread, "one question at a time"
        silent.accept()[0].close()
    thread.join(60)
    assert asking.waited_for(["listen"]) == "listen"


class Deaf(Supervisor):
    """Its only process does not listen to SIGTERM."""

    def start(self) -> None:
        self._start("work")

    def command(self, name: str) -> list[str]:
        return [sys.executable, "-c", DEAF]


def test_a_second_signal_waits_no_longer(tmp_path: Path) -> None:
    supervisor = Deaf(Config(node=NodeConfig(data_folder=tmp_path)), None, tmp_path / "logs")
    said = tmp_path / "logs" / "work.log"
    stop, at_once = threading.Event(), threading.Event()
    with structlog.testing.capture_logs() as told:
        running = threading.Thread(target=supervisor.run, args=(stop, at_once), daemon=True)
        running.start()
        wait_until(lambda: said.exists() and "deaf" in said.read_text(), "the process to run", seconds=60)
        wait_until(lambda: "work" in supervisor._children, "it to be known here as well", seconds=60)
        child = supervisor._children["work"]
        stop.set()
        wait_until(lambda: any(line["event"] == "stopping" for line in told), "a word", seconds=60)
        assert child.poll() is None
        at_once.set()
        running.join(30)
    assert child.returncode == -signal.SIGKILL
    (first, *_) = [line for line in told if line["event"] == "stopping"]
    assert first["waiting_for"] == "work"
    assert first["hint"].startswith("Ctrl-C again ends everything at once; nothing is lost")
    assert 0 < first["at_most_seconds"] <= 45


def test_the_second_signal_is_told_from_the_first() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    at_once = threading.Event()
    try:
        stop = loop.stop_on_signals(at_once)
        signal.raise_signal(signal.SIGINT)
        assert (stop.is_set(), at_once.is_set()) == (True, False)
        signal.raise_signal(signal.SIGTERM)
        assert at_once.is_set()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_last_words_are_those_of_a_stopped_process(database: Database) -> None:
    stop = threading.Event()
    heart = loop.Heart("listen", database, stop)
    heart.start()
    try:
        heart.end()
        heart.say_last("1 association")
        with database.read() as tx:
            assert tx.get_one(ProcessBeat, name_here("listen")).detail == f"{STOPPED}; 1 association"
        heart.say_last("")
        with database.read() as tx:
            assert tx.get_one(ProcessBeat, name_here("listen")).detail == STOPPED
    finally:
        stop.set()
