"""What a process says of itself with its signs of life: that it starts, that it was stopped, or what it holds."""

from __future__ import annotations

import socket
from datetime import datetime, timedelta
from typing import Final

from dicom_node.tables import ProcessBeat

STARTING: Final = "starting"  # first word of the detail until the process can work
STOPPED: Final = "stopped"  # first word of a process that ends in order; after a semicolon, what it waits for
FEWER: Final = "fewer slots"  # behind a semicolon in the detail of a worker whose device lacks memory
SILENT: Final = timedelta(seconds=30)  # six beats


def name_here(process: str) -> str:
    """How a process of this machine signs its beats."""
    return f"{process}@{socket.gethostname()}"[:128]


def is_starting(detail: str) -> bool:
    """Not ready for work yet."""
    return detail.startswith(STARTING)


def has_fewer_slots(detail: str) -> bool:
    """It works, but on fewer studies at once than it was configured for."""
    return f"; {FEWER}" in detail


def is_stopped(detail: str) -> bool:
    """Ended in order: it need not be waited for."""
    return detail.startswith(STOPPED)


def last_words(detail: str) -> str:
    """What a process that was told to stop still waits for; empty where it has said nothing of it."""
    return detail.partition("; ")[2] if is_stopped(detail) else ""


def is_ready(beat: ProcessBeat) -> bool:
    """Does it say that it can work? Whether it still lives is a question of its age."""
    return not (is_starting(beat.detail) or is_stopped(beat.detail))


def seconds_since(moment: datetime, now: datetime) -> int:
    """Whole seconds, never below 0: two clocks may differ."""
    return max(0, int((now - moment).total_seconds()))
