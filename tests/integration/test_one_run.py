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


def said_of(node: Node, process: str) -> health.Finding:
    with node.database.read() as tx:
        return next(one for one in health._processes(tx) if one.subject == process)


def test_a_process_whose_port_is_taken_is_not_started_without_limit(tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    supervisor = OnlyOne(node.config, node.config_file, tmp_path / "logs")
    with socket.socket() as taken, structlog.testing.capture_logs() as told:
        taken.bind(("127.0.0.1", node.port))
        taken.listen()
        supervisor.start()

        checked: list[health.Finding] = []

        def ended() -> list[float]:
            supervisor.look_after()
            if told:
                checked.append(said_of(node, "listen"))
            return [line["again_in_seconds"] for line in told if line["event"] == "process_ended"]

        wait_until(lambda: len(ended()) == 2, "the listener to end twice", seconds=90)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            pauses = ended()
        supervisor.stop()

    assert pauses == [1.0, 5.0]
    assert {line["exit_code"] for line in told} == {2}
    assert all(str(node.port) in line["words"] for line in told)
    assert {one.verdict for one in checked} == {"wrong"}
    assert all(f" cannot start: cannot open port {node.port} on " in one.words for one in checked)
    assert "; wetread run tries again at " in checked[-1].words


class OnlyWeb(Supervisor):
    """Starts `web` and nothing else."""

    def start(self) -> None:
        self._start("web")


def test_web_whose_port_is_taken_says_so(tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    supervisor = OnlyWeb(node.config, node.config_file, tmp_path / "logs")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", node.config.web.port))
        taken.listen()
        supervisor.start()

        def said() -> str:
            supervisor.look_after()
            return said_of(node, "web").words

        wait_until(lambda: "; wetread run tries again at " in said(), "the reason of web", seconds=90)
        words = said()
        supervisor.stop()

    assert f" cannot start: cannot serve on port {node.config.web.port} of 127.0.0.1: " in words


def test_listener_whose_port_for_hl7_is_taken_says_so(tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with node.config_file.open("a", encoding="utf-8") as file:
            file.write(f'\n[hl7]\nsenders = ["127.0.0.1"]\nbind_address = "127.0.0.1"\nport = {port}\n')
        told = node.cli("listen")

    assert (told.returncode, "choose another with hl7.port" in told.stderr) == (2, True)
    assert f" cannot start: cannot open port {port} on 127.0.0.1 " in said_of(node, "listen").words


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
