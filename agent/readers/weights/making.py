"""With what a model was made, as its card tells: versions, machine, stages; and the same of the models it began as.

`wetread train` writes it (`agent.training.provenance`). The published model has no card, and older ones say nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from agent.readers.weights.origin import CARD

MADE_WITH: Final = "made_with"
ADAPTED_FROM: Final = "adapted_from"
ABSENT: Final = "not noted: the card of this model does not say it"
_UNREADABLE: Final = f"noted in a way that nobody can read: see {CARD}"
_VERSIONS: Final = ("wetread", "python", "torch", "transformers", "numpy")


def read(folder: Path) -> dict[str, Any]:
    """`made_with`, a list of parts, empty where nothing is noted; `adapted_from`, the same of its start, else None."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        card = {}
    return {MADE_WITH: card.get(MADE_WITH, []), ADAPTED_FROM: card.get(ADAPTED_FROM)}


def lines(noted: Mapping[str, Any]) -> list[str]:
    """In words, a line for each part, those of the start after its own."""
    found = list(_lines(noted))
    return found or [ABSENT]


def _lines(noted: Mapping[str, Any]) -> Iterator[str]:
    parts, start = noted.get(MADE_WITH, []), noted.get(ADAPTED_FROM)
    for part in parts if isinstance(parts, list) else [parts]:
        yield _words(part) if isinstance(part, dict) else _UNREADABLE
    if isinstance(start, dict):
        name = f"{start.get('name', '')} {start.get('version', '')}".strip() or "a model without a name"
        if not parts:
            yield ABSENT
        yield from (f"start, {name}: {line}" for line in lines(start))
    elif start is not None:
        yield _UNREADABLE


def _words(part: Mapping[str, Any]) -> str:
    """The last words of a part that went on say from which step on."""
    given = part.get("versions")
    versions = given if isinstance(given, dict) else {}
    known = ", ".join(f"{name} {versions[name]}" for name in _VERSIONS if name in versions)
    commit = f", commit {part['commit']}" if part.get("commit") else ""
    machine = "; ".join(f"{part[key]}" for key in ("device", "processor") if part.get(key))
    step = f" from step {part['from_step']}" if part.get("from_step") else ""
    return f"{part.get('stage', '?')}{step}: {known}{commit}; {machine}, threads: {part.get('threads', '?')}"
