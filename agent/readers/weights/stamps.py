"""Whether the files of a model are still those that were looked at: who replaces a folder asks none of its readers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from agent.readers.weights.origin import CARD, ORIGIN, is_data
from agent.readers.weights.prequantized import QUANTIZED

# Size, and the nanosecond of the last change of its content. Not the inode: network file systems number files anew.
Stamps: TypeAlias = Mapping[str, tuple[int, int]]


def read(folder: Path) -> Stamps:
    """Of each file by which the numbers or the name of the model are decided; of those that are there."""
    found = {}
    with suppress(OSError):  # a folder that is going away: what lacks is a difference
        for path in folder.iterdir():
            if is_data(path.name) or path.name in {CARD, ORIGIN, QUANTIZED}:
                seen = path.stat()
                found[path.name] = (seen.st_size, seen.st_mtime_ns)
    return MappingProxyType(found)


def differing(before: Stamps, now: Stamps) -> list[str]:
    """Names of the files that came, went, or are others."""
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
