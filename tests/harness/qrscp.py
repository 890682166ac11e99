"""pynetdicom's own qrscp as a PACS: stores, can be asked, and sends to us when told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.dcmtk import listens
from tests.harness.node import free_port, wait_until

TITLE = "QRSCP"


@contextmanager
def qrscp(folder: Path, *, our_port: int) -> Iterator[int]:
    """It knows us as WETREAD at `our_port`; gives its port."""
    folder.mkdir(parents=True)
    port = free_port()
    config = folder / "qrscp.ini"
    config.write_text(
        f"[DEFAULT]\nae_title: {TITLE}\nport: {port}\nmax_pdu: 16382\nacse_timeout: 30\ndimse_timeout: 30\n"
        f"network_timeout: 30\nbind_address: 127.0.0.1\ninstance_location: {folder / 'instances'}\n"
        f"database_location: {folder / 'instances.sqlite'}\nlog_identifier: False\n"
        f"[WETREAD]\naddress: 127.0.0.1\nport: {our_port}\n"
    )
    with (folder / "qrscp.log").open("w") as log:
        command = [sys.executable, "-m", "pynetdicom", "qrscp", "--config", str(config)]
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            wait_until(lambda: process.poll() is not None or listens(port), "qrscp to open its port", seconds=60)
            assert process.poll() is None, (folder / "qrscp.log").read_text()
            yield port
        finally:
            process.kill()
            process.wait()
