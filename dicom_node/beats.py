"""What a process says of itself with its signs of life: that it starts, why it cannot, that it ended, what it holds."""

from __future__ import annotations

import socket
from datetime import datetime, timedelta
from typing import Final

from dicom_node.tables import ProcessBeat

STARTING: Final = "starting"  # first word of the detail until the process can work
STOPPED: Final = "stopped"  # first word of a process that ends in order; after a semicolon, what it waits for
CANNOT_START: Final = "cannot start: "  # then why
AGAIN: Final = "; wetread run tries again "  # behind that: when
FEWER: Final = "fewer slots"  # behind a semicolon in the detail of a worker whose device lacks memory
SILENT: Final = timedelta(seconds=30)  # six beats
_MOST = 500  # characters of a reason


def name_here(process: str) -> str:
    """How a process of this machine signs its beats."""
    return f"{process}@{socket.gethostname()}"[:128]


def is_starting(detail: str) -> bool:
    """Not ready for work yet."""
    return detail.startswith(STARTING)


def cannot_start(why: str, again: str = "") -> str:
    """The detail of a process that gave up. again: when `wetread run` starts it once more, where it does."""
    return f"{CANNOT_START}{' '.join(why.split())[:_MOST]}{AGAIN if again else ''}{again}"


def why_not(detail: str) -> str:
    """Why it could not start, in its own words; empty where it did, or has not tried."""
    return detail.removeprefix(CANNOT_START).partition(AGAIN)[0] if detail.startswith(CANNOT_START) else ""


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
    return not (is_starting(beat.detail) or is_stopped(beat.detail) or why_not(beat.detail))


def seconds_since(moment: datetime, now: datetime) -> int:
    """Whole seconds, never below 0: two clocks may differ."""
    return max(0, int((now - moment).total_seconds()))
