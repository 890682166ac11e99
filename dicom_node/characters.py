"""Text of others, made fit to be shown: nothing in it steers a terminal or turns and hides what stands beside it."""

from __future__ import annotations

import unicodedata
from typing import Final

JOINERS: Final = "\u200c\u200d"  # they change how letters look, as Persian and Indian names need it
# Together with what is always taken, everything that str.isprintable is not true of, and the blank.
UNPRINTABLE: Final = frozenset({"Cf", "Cn", "Co", "Zl", "Zp", "Zs"})
_ALWAYS: Final = frozenset({"Cc", "Cs"})
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # UAX 9, 2: they turn the order


def disarm(text: str, *, instead: str = "", also: frozenset[str] = frozenset(), keep: str = "") -> str:
    """Put `instead` in the place of controls, surrogates, and marks that turn the order of what follows.

    also: further general categories of Unicode that the place cannot show. keep: characters that stay all the same.
    """
    taken = _ALWAYS | also
    return "".join(
        instead
        if (unicodedata.category(character) in taken or character in _TURNING) and character not in keep
        else character
        for character in text
    )
