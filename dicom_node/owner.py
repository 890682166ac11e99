"""Who holds a claim: a process, named so that its neighbors can tell whether it still lives."""

from __future__ import annotations

import os
import socket
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NUMBERS = Path("/proc/self/ns/pid")


def place(boot: Path = _BOOT, numbers: Path = _NUMBERS) -> str:
    """This machine, since it was started, and its process numbers.

    Two containers may share a host name, but not their numbers; two cloned machines may share both, but not the boot.
    """
    started = boot.read_text(encoding="ascii").replace("-", "")[:16] if boot.exists() else "0"
    return f"{socket.gethostname()[:80]}/{started}/{numbers.stat().st_ino if numbers.exists() else 0}"


def this_process() -> str:
    """How this process signs its claims."""
    return f"{place()}:{os.getpid()}"


def in_words(owner: str) -> str:
    """How people are told of an owner; other names, such as `listen` or `person:jane`, stay as they are."""
    where, _, number = owner.rpartition(":")
    parts = where.split("/")
    return f"process {number} on {parts[0]}" if len(parts) == 3 and number.isdecimal() else owner


def is_dead(owner: str) -> bool:
    """Is it certain that the owner has ended? False for owners elsewhere: only their lease can tell."""
    where, _, number = owner.rpartition(":")
    if where != place() or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
