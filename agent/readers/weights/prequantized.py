"""A model whose layers were quantized once and saved: the card in its folder says of what. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from dicom_node.errors import ConfigurationError

QUANTIZED: Final = "wetread-quantized.json"
PRECISIONS: Final = ("int8", "nf4")
MEND: Final = "Make it again from the model that it was made of, with: wetread model quantize MODEL --precision"


class CardUnreadable(ConfigurationError):
    """wetread-quantized.json is not what this program writes."""


@dataclass(frozen=True, slots=True)
class Card:
    """Where the numbers came from.

    precision: int8 or nf4. library: bitsandbytes and its version. place: cpu or cuda, where it was done.
    sources: SHA-256 by name of the files that decide what the unquantized model writes; the digest is of these.
    """

    precision: str
    library: str
    place: str
    sources: Mapping[str, str]


def read(folder: Path) -> Card | None:
    """What the folder says of itself; None where it holds a model as published. Raises CardUnreadable."""
    path = folder / QUANTIZED
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        sources = {str(name): str(digest) for name, digest in content["sources"].items()}
        card = Card(
            str(content["precision"]), str(content["library"]), str(content["place"]), MappingProxyType(sources)
        )
        if card.precision not in PRECISIONS or not sources:
            raise ValueError("no precision, or no sources")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CardUnreadable(f"{path} cannot be read. {MEND} nf4") from error
    return card


def write(folder: Path, card: Card) -> None:
    """Write what `read` reads."""
    content = {
        "precision": card.precision,
        "library": card.library,
        "place": card.place,
        "sources": dict(sorted(card.sources.items())),
    }
    (folder / QUANTIZED).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
