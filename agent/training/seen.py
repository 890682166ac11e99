"""What films show, and a list of it in the folder of a run, so that films that are only compared are decoded once.

The list knows a film by the digest of its file: a changed file is another film. It is left unread where other versions
made it, which may decode otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.imaging import likeness
from agent.training import layout, provenance

FILE: Final = "films_seen.json"
_FORMAT: Final = 2


@dataclass(frozen=True, slots=True)
class Seen:
    """file: `learned.digest` of the file, empty where nobody asked. digest: `Film.digest`. fingerprint: of `likeness`.

    The last two are empty where the film could not be decoded.
    """

    file: str = ""
    digest: str = ""
    fingerprint: bytes = b""


def read(*folders: Path) -> dict[str, Seen]:
    """The lists of runs, by the digest of the file; of a list that is damaged, or of other versions, nothing."""
    found: dict[str, Seen] = {}
    for folder in folders:
        try:
            kept = json.loads((folder / FILE).read_text(encoding="utf-8"))
            if kept["made_by"] == _makers():
                found |= {file: _seen(file, *one) for file, one in kept["films"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # nothing is lost: they are decoded again
            continue
    return found


def write(folder: Path, films: Iterable[Seen]) -> None:
    """Films that could not be decoded are not in it: the next time they may be."""
    kept = {film.file: [film.digest, film.fingerprint.hex()] for film in films if film.file and film.digest}
    layout.write_json(folder / FILE, {"made_by": _makers(), "films": kept})


def _seen(file: str, digest: str, fingerprint: str) -> Seen:
    """Raises ValueError where they cannot be what `write` wrote."""
    bits = bytes.fromhex(fingerprint)
    if not digest or len(bits) not in {0, likeness.BYTES}:
        raise ValueError(file)
    return Seen(file, digest, bits)


def _makers() -> Mapping[str, Any]:
    part = provenance.part("", 0)
    return {"format": _FORMAT, "versions": part["versions"], "commit": part["commit"]}
