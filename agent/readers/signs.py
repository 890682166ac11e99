"""What the films looked like that a model learned from: fingerprints beside its weights, for copies with other pixels.

The list of digests (`learned`) knows a film by its file and its pixels; this one knows it again when it was resized,
compressed with losses, turned, mirrored, cropped a little or given other grays (`agent.imaging.likeness`). The first
line says how the others are meant; these have one fingerprint each, sorted, so that none tells whose it is.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.imaging import likeness
from agent.readers.weights.origin import LEARNED, SIGNS

_FORMAT: Final = 1
_SHAPELESS: Final = "none"


@dataclass(frozen=True, slots=True)
class Signs:
    """fingerprints: of `likeness`. whole: of all films in the list of digests; a model's start may have had none."""

    fingerprints: tuple[bytes, ...] = ()
    whole: bool = False


def read(folder: Path) -> Signs:
    """The list of a checkpoint; none where it has no such list, or one that is damaged or of another version."""
    try:
        first, *lines = (folder / SIGNS).read_text(encoding="ascii").splitlines()
        head = json.loads(first)
        found = tuple(fingerprint(line) for line in lines)
        ours = head["format"] == _FORMAT and head["bytes"] == likeness.BYTES and head["films"] == len(found)
        return Signs(found, bool(head["whole"])) if ours and all(found) else Signs()
    except (OSError, ValueError, KeyError, TypeError):
        return Signs()


def write(folder: Path, fingerprints: Iterable[bytes], start: Path | None = None) -> None:
    """The list of a checkpoint. start: the one that it began as, whose films are its own, too."""
    before = read(start) if start is not None else Signs()
    kept = sorted({*before.fingerprints, *fingerprints} - {b""})
    whole = before.whole or start is None or not (start / LEARNED).is_file()
    head = {"format": _FORMAT, "bytes": likeness.BYTES, "films": len(kept), "whole": whole}
    folder.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(head), *map(text, kept))
    (folder / SIGNS).write_text("".join(f"{line}\n" for line in lines), encoding="ascii")


def text(fingerprint: bytes) -> str:
    """One fingerprint in one word; `none` for a film without any shape, so that it can be told from an unknown one."""
    return base64.b64encode(fingerprint).decode("ascii") or _SHAPELESS


def fingerprint(text: str) -> bytes:
    """What `text` wrote; nothing for anything else."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return found if len(found) == likeness.BYTES else b""
