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
            wait_until(lambda: listens(port), "storescp to open its port")
            yield port
        finally:
            process.kill()
            process.wait()


def listens(port: int) -> bool:
    """Does somebody listen there? Asked of the kernel: a connection would disturb what is being tested."""
    wanted = f":{port:04X}"
    rows = Path("/proc/net/tcp").read_text().splitlines() + Path("/proc/net/tcp6").read_text().splitlines()
    return any(row.split()[1].endswith(wanted) and row.split()[3] == "0A" for row in rows[1:] if ":" in row)


def profile(
    folder: Path, *sop_classes: str, syntaxes: tuple[str, ...] = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
) -> tuple[str, ...]:
    """Options that let storescp accept these classes in these syntaxes, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "profile.cfg"
    lines = ["[[TransferSyntaxes]]", "[Taken]"]
    lines += [f"TransferSyntax{number} = {uid}" for number, uid in enumerate(syntaxes, 1)]
    lines += ["[[PresentationContexts]]", "[Taken]"]
    lines += [f"PresentationContext{number} = {uid}\\Taken" for number, uid in enumerate(sop_classes, 1)]
    lines += ["[[Profiles]]", "[Taken]", "PresentationContexts = Taken"]
    path.write_text("\n".join(lines) + "\n")
    return ("-xf", str(path), "Taken")


@contextmanager
def archive(folder: Path, *options: str, title: str = "QRSCP") -> Iterator[int]:
    """dcmqrscp, which stores and can be asked; gives its port."""
    storage = folder / "storage"
    storage.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{title} {storage} RW (200, 1024mb) ANY\nAETable END\n"
    )
    with (folder / "dcmqrscp.log").open("w") as log:
        command = [str(FOLDER / "dcmqrscp"), "-v", "-c", str(config), *options, str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until(lambda: listens(port), "dcmqrscp to open its port")
            yield port
        finally:
            process.kill()
            process.wait()


@contextmanager
def archive_that_moves(folder: Path, *, our_port: int, title: str = "QRSCP") -> Iterator[int]:
    """dcmqrscp that knows us as WETREAD at `our_port`, so that it can be told by C-MOVE to send; gives its port."""
    storage = folder / "storage"
    storage.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nus = (WETREAD, 127.0.0.1, {our_port})\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{title} {storage} RW (200, 1024mb) ANY\nAETable END\n"
    )
    with (folder / "dcmqrscp.log").open("w") as log:
        process = subprocess.Popen(
            [str(FOLDER / "dcmqrscp"), "-v", "-c", str(config), str(port)], stdout=log, stderr=log
        )
        try:
            wait_until(lambda: listens(port), "dcmqrscp to open its port", seconds=30)
            yield port
        finally:
            process.kill()
            process.wait()
