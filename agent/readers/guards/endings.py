"""Texts that end where no sentence does."""

from __future__ import annotations

import re
from typing import Final

# What no sentence of a report ends with.
_OPEN_END: Final = re.compile(
    r"[,(\[:/-]$|\b(?:an?|and|are|as|at|be|been|between|but|by|cannot|due|for|from|has|have|if|in|into|is|may|might|nor|of|on|"
    r"or|over|representing|showing|than|that|the|their|there|these|this|to|was|were|which|with|without)$",
    re.IGNORECASE,
)


def is_cut_off(text: str) -> bool:
    """Whether the text ends where no sentence does: at a comma, an open bracket, or a word such as "the"."""
    return _OPEN_END.search(text.rstrip()) is not None
