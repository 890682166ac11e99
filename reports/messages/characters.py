"""Text as messages carry it."""

from __future__ import annotations

import unicodedata


def readable(text: str) -> str:
    """Without the characters that neither HL7 v2 nor XML carries; tabs become blanks, line ends LF."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    return "".join(one for one in lines if one == "\n" or unicodedata.category(one) not in {"Cc", "Cs"})
