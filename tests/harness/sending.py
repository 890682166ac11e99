"""A sender in a process of its own, which may be killed: python -m tests.harness.sending DATABASE_URL DATA_FOLDER."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from dicom_node.commitment_proof import CommitmentProof
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.dimse import DimseTransport
from dicom_node.sender import Sender
from dicom_node.tables import Way


@contextmanager
def sending(database_url: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Such a process; killed at the end."""
    process = subprocess.Popen([sys.executable, "-m", "tests.harness.sending", database_url, str(folder)])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Send what is due until somebody kills us."""
    database = Database(sys.argv[1])
    new_token = partial(secrets.token_hex, 16)
    transport = DimseTransport("WETREAD", connect_seconds=5, answer_seconds=5)
    sender = Sender(
        NodeConfig(data_folder=Path(sys.argv[2]), dimse_timeout_seconds=5),
        database,
        {Way.DIMSE: transport},
        lambda _payload, _held: None,
        new_token,
        commitment=CommitmentProof(database, transport, new_token, patience=timedelta(minutes=10)),
    )
    while True:
        if not sender.deliver_one():
            time.sleep(0.1)


if __name__ == "__main__":
    main()
