"""A file on a disk that hangs, as on NFS whose server is away: whoever reads it waits until it is answered."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.node import wait_until


def hang(path: Path) -> None:
    """Put a FIFO in its place."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@contextmanager
def answered(path: Path, content: str = "") -> Iterator[None]:
    """Wait until somebody reads the file, and answer at the end; who asks later finds `content`, or no file."""
    opened: list[int] = []

    def is_read() -> bool:
        try:
            opened.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:  # nobody reads it yet
            return False
        return True

    wait_until(is_read, "somebody to read the file")
    try:
        yield
    finally:
        path.unlink()
        if content:
            path.write_text(content)
        os.write(opened[0], content.encode())
        os.close(opened[0])
