"""Two `wetread run` on one data folder, and processes that cannot start: refused, told, not started without limit."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from agent import broker, health
from agent.supervisor import Supervisor, alone
from dicom_node.errors import ConfigurationError, WrongState
from tests.harness.node import Node, wait_until

HOLD = """
import sys, time
from pathlib import Path
from agent.supervisor import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "node" / "data")], stdout=subprocess.PIPE) as one:
        assert one.stdout is not None
        assert one.stdout.readline() == b"held\n"
        yield one
        one.kill()


def test_a_second_run_is_refused_and_names_the_first(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    node = Node(tmp_path / "node")

    told = node.cli("run")

    data = node.config.node.data_folder
    assert told.returncode == 4
    assert f"wetread run is at work on {data} already, as process {holder.pid}; stop that first" in told.stderr
    assert not (data / "redis").exists()


def test_the_lock_dies_with_its_process(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    data = tmp_path / "node" / "data"
    with pytest.raises(WrongState), alone(data):
        pass

    holder.send_signal(signal.SIGKILL)
    holder.wait()

    with alone(data):
        assert (data / "run.lock").read_text() == str(os.getpid())
    with alone(data):
        pass


class OnlyOne(Supervisor):
    """Starts `listen` and nothing else."""

    def start(self) -> None:
        self._start("listen")


def test_a_process_whose_port_is_taken_is_not_started_without_limit(tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    supervisor = OnlyOne(node.config, node.config_file, tmp_path / "logs")
    with socket.socket() as taken, structlog.testing.capture_logs() as told:
        taken.bind(("127.0.0.1", node.port))
        taken.listen()
        supervisor.start()

        def ended() -> list[float]:
            supervisor.look_after()
            return [line["again_in_seconds"] for line in told if line["event"] == "process_ended"]

        wait_until(lambda: len(ended()) == 2, "the listener to end twice", seconds=90)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            pauses = ended()
        supervisor.stop()

    assert pauses == [1.0, 5.0]
    assert {line["exit_code"] for line in told} == {2}
    assert all(str(node.port) in line["words"] for line in told)


def test_a_second_redis_is_not_started_beside_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(tmp_path / "node")
    monkeypatch.setattr(broker, "_PATIENCE_SECONDS", 3)
    first = broker.start(node.config)
    try:
        with pytest.raises(ConfigurationError, match="another Redis answers on"):
            broker.start(node.config)
        assert broker.answers(node.config)
    finally:
        first.terminate()
        first.wait()


def test_check_warns_of_two_of_a_kind_on_one_database(tmp_path: Path) -> None:
    database = tmp_path / "wetread.db"
    database.touch()
    opens = "import sys, time; file = open(sys.argv[1]); print(flush=True); time.sleep(60)"
    command = [sys.executable, "-c", opens, str(database), "dispatch"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as one,
        subprocess.Popen(command, stdout=subprocess.PIPE) as other,
    ):
        for process in (one, other):
            assert process.stdout is not None
            process.stdout.readline()
        (found,) = health._doubles(database)
        other.kill()
        other.wait()
        left = list(health._doubles(database))
        one.kill()

    assert (found.subject, found.verdict) == ("dispatch", "warning")
    assert f"{min(one.pid, other.pid)}, {max(one.pid, other.pid)} are all `dispatch`" in found.words
    assert left == []
