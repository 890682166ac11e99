"""What the folder of a model is called where nobody says it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from agent.readers.checkpoint import Checkpoint
from agent.readers.weights import origin

PUBLISHED: Final = "CXR-LLAVA-v2"
_LONGEST: Final = 50  # characters, which in every script leave room in the 255 bytes of a name


def folder_name(folder: Path) -> str:
    """After the model in `folder`: the card of somebody's own names it; with the precision if it is quantized.

    Empty where no name can be made of it, or only that of the published model. Raises CheckpointError.
    """
    checkpoint = Checkpoint.open(folder, None)
    name = PUBLISHED
    if origin.CARD in origin.kind_of(folder):
        name = re.sub(r"[^\w.-]+", "-", checkpoint.name())[:_LONGEST].strip("-._")
        if name.casefold() in {"", PUBLISHED.casefold()}:
            return ""
    return f"{name}-{checkpoint.quantized.precision}" if checkpoint.quantized else name
