"""Which sentences are in another language: they are not read, since their negations would not be understood."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from reports.findings.lexicon import FOREIGN, FOREIGN_PAIRS, PERHAPS_FOREIGN, TITLES
from reports.findings.mentions import Span

_SIGNS: Final = FOREIGN | PERHAPS_FOREIGN
_ACCENTED: Final = re.compile("[\u00df-\u00f6\u00f8-\u024f]")  # Latin letters; those of other scripts are names here


class Language(IntEnum):
    """ENGLISH also where a word may be an abbreviation or a name: a grave finding that is not read is worse than a
    foreign negation that is not understood. DOUBTFUL is read where nothing else of the report is foreign.
    """

    ENGLISH = 0
    DOUBTFUL = 1
    FOREIGN = 2


def language_of(words: Sequence[str], spans: Sequence[Span], lowered: str) -> Language:
    """The language of the words of one sentence, and the places in the `lowered` text where they stand."""
    if _SIGNS.isdisjoint(words):
        return Language.ENGLISH
    signs = {word for title, word in zip(("", *words), words, strict=False) if word in _SIGNS and title not in TITLES}
    if not signs:
        return Language.ENGLISH
    accent = _ACCENTED.search(lowered, spans[0][0], spans[-1][1]) is not None
    pair = any(two in FOREIGN_PAIRS for two in itertools.pairwise(words))
    if pair or len(signs) + accent > 1 or not signs.isdisjoint(FOREIGN):
        return Language.FOREIGN
    return Language.DOUBTFUL
