"""dcmtk's programs as peers: senders by subprocess, storescp as a receiver with bad habits."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.node import free_port, wait_until

FOLDER = Path("/usr/bin")  # Debian's package; a virtual environment may hold programs of the same names


def run(tool: str, *arguments: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end; its words are in stdout."""
    return subprocess.run(
        [str(FOLDER / tool), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )


def echo(port: int, *, calling: str = "PACS", called: str = "WETREAD") -> subprocess.CompletedProcess[str]:
    return run("echoscu", "-v", "-aet", calling, "-aec", called, "127.0.0.1", str(port))


def store(
    port: int, *files: Path, calling: str = "PACS", called: str = "WETREAD", options: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Send with storescu; `options` such as `-xs` (propose JPEG lossless)."""
    return run("storescu", "-v", *options, "-aet", calling, "-aec", called, "127.0.0.1", str(port), *files)


def send(port: int, *files: Path, calling: str = "PACS", called: str = "WETREAD") -> subprocess.CompletedProcess[str]:
    """Send with dcmsend, each file in its own transfer syntax."""
    return run("dcmsend", "-v", "-aet", calling, "-aec", called, "127.0.0.1", str(port), *files)


@contextmanager
def receiver(folder: Path, *options: str, title: str = "STORESCP") -> Iterator[int]:
    """storescp with `options` such as `--refuse`; gives its port."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    with (folder / "storescp.log").open("w") as log:
        command = [str(FOLDER / "storescp"), "-v", "-aet", title, "-od", str(folder), "-uf", *options, str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            time.sleep(0.05)
            wait_until(lambda: listens(port), "storescp to open its port", seconds=10)
            yield port
        finally:
            process.kill()
            process.wait()


def listens(port: int) -> bool:
    """Does somebody listen there? Asked of the kernel: a connection would disturb what is being tested."""
    wanted = f":{port:04X}"
    rows = Path("/proc/net/tcp").read_text().splitlines() + Path("/proc/net/tcp6").read_text().splitlines()
    return any(row.split()[1].endswith(wanted) and row.split()[3] == "0A" for row in rows[1:] if ":" in row)
