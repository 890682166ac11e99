"""How long ago something was, in words: one wording for the pages and for the commands."""

from __future__ import annotations

from datetime import datetime


def age(moment: datetime | None, now: datetime) -> str:
    """How long ago, in the largest unit that says something: 40 s, 12 min, 5 h, 3 d. What is yet to come is 0 s ago."""
    if moment is None:
        return "-"
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
