"""A whole wetread on this machine: its own folder, ports, Redis and five real processes."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, cycle
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import select

from agent.config import Config, read_config
from agent.supervisor import Supervisor
from dicom_node import peers
from dicom_node.beats import is_ready
from dicom_node.database import Database, clock
from dicom_node.tables import Mode, ProcessBeat, Proof, RemoteAE
from tests.harness import command
from tests.harness.installation import install

OWN = "WETREAD"

_CONFIG = """
[node]
ae_title = "{own}"
bind_address = "127.0.0.1"
port = {port}
data_folder = {data}
database = {database}
quiet_seconds = {quiet}
deadline_seconds = {deadline}
lease_seconds = {lease}
reserve_mebibytes = 64
retry_seconds = {retry}
{node}
[reader]
precision = "fp32"
debug_images = {images}
{reader}
[web]
port = {web_port}
[log]
format = "json"
"""


def _ports() -> Iterator[int]:
    """Ports below those that the kernel gives to whoever asks for any, from a place of chance on, round and round.

    What is asked for first and opened later must not go to somebody else in between: to a connection, to a server on
    port 0, or to another process that asks as well.
    """
    ephemeral = Path("/proc/sys/net/ipv4/ip_local_port_range")
    end = int(ephemeral.read_text().split()[0]) if ephemeral.exists() else 32_768
    end = end if end > 20_000 else 32_768
    begin = random.SystemRandom().randrange(10_000, end)
    return cycle(chain(range(begin, end), range(10_000, begin)))


_PORTS = _ports()


def free_port() -> int:
    """A port that nobody has, and that nobody else is given soon."""
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port
    raise AssertionError("there is no end of ports")


def wait_until(condition: Callable[[], Any], what: str, *, seconds: float = 60) -> Any:
    """Wait for a true value and return it; fail with what was waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:.0f} s in vain for: {what}")


class Node:
    """Starts on `with`, stops afterwards. `config_text` goes into sections [node] and [reader]."""

    def __init__(
        self,
        folder: Path,
        *,
        quiet_seconds: float = 0.5,
        deadline_seconds: float = 30,
        lease_seconds: float = 60,
        retry_seconds: Sequence[float] = (0.5, 0.5, 1, 2),
        database: str = "",
        node: str = "",
        reader: str = "",
        supervisor: type[Supervisor] = Supervisor,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.config_file = folder / "wetread.toml"
        self.config_file.write_text(
            _CONFIG.format(
                own=OWN,
                port=self.port,
                web_port=free_port(),
                data=json.dumps(str(folder / "data")),
                database=json.dumps(database),
                images=json.dumps(str(folder / "films")),
                quiet=quiet_seconds,
                deadline=deadline_seconds,
                lease=lease_seconds,
                retry=list(retry_seconds),
                node=node,
                reader=reader,
            )
        )
        self.config: Config = read_config(self.config_file)
        self.database = Database(self.config.node.database_url)
        install(self.database)
        self.supervisor = supervisor(self.config, self.config_file, folder / "logs")
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._look_after, daemon=True)

    def __enter__(self) -> Self:
        self.supervisor.start()
        self._keeper.start()
        wait_until(self._is_up, f"the node to start; logs in {self.folder / 'logs'}", seconds=300)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._keeper.join()
        self.supervisor.stop()
        self.database.close()

    def add_peer(
        self,
        title: str,
        port: int = 0,
        *,
        may_send: bool = True,
        send_to: bool = False,
        mode: Mode = Mode.DRAFT,
        proof: Proof = Proof.QUERY,
    ) -> None:
        """Register a peer on this machine."""
        with self.database.write() as tx:
            peer = RemoteAE(
                ae_title=title,
                host="127.0.0.1" if port else "",
                port=port,
                may_send=may_send,
                send_to=send_to,
                mode=mode,
                proof=proof,
            )
            peers.add(tx, peer, now=clock(tx), actor="test")

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `wetread` with this node's configuration."""
        return command.run("--config", str(self.config_file), *arguments)

    def ask(self, *arguments: str) -> Any:
        """Run `wetread ... --json` and return what it printed."""
        answer = self.cli(*arguments, "--json")
        assert answer.stdout, answer.stderr
        return json.loads(answer.stdout)

    def logs(self) -> str:
        """Everything that the processes have written."""
        return "\n".join(path.read_text(errors="replace") for path in sorted((self.folder / "logs").glob("*.log")))

    def _look_after(self) -> None:
        while not self._stop.wait(0.1):
            self.supervisor.look_after()

    def _is_up(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                return False
        with self.database.read() as tx:
            beating = {beat.name.split("@")[0] for beat in tx.scalars(select(ProcessBeat)) if is_ready(beat)}
        return beating >= {"listen", "dispatch", "work", "send", "web"}
