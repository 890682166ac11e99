"""Stock sentences: most texts of one source have them, and few of the other. Who reads some knows whose they are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from agent.evaluation.blinding import Dressed, dress

MOST: Final = 0.6  # of the texts of one source
FEW: Final = 0.1  # of those of the other
_LEAST: Final = 3  # texts with it; of less it is no habit
_END: Final = re.compile(r"(?<=[.!?])\s+")
_LETTERS: Final = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Stock:
    """A sentence, and the share of each source's texts that have it."""

    sentence: str
    shares: Mapping[str, float]


def stock(texts: Mapping[str, Iterable[Dressed]]) -> list[Stock]:
    """texts: of each of two sources. The sentences as they stand first, the most telling ones first."""
    wording: dict[str, str] = {}
    counts: dict[str, Counter[str]] = {}
    numbers: dict[str, int] = {}
    for source, some in texts.items():
        counts[source], numbers[source] = Counter(), 0
        for text in some:
            said = {_folded(sentence): sentence for sentence in _END.split(text.text)}
            wording = {**said, **wording}
            counts[source].update(said.keys())
            numbers[source] += 1
    found = []
    for folded, sentence in wording.items():
        shares = {source: counts[source][folded] / max(numbers[source], 1) for source in counts}
        times = max(counted[folded] for counted in counts.values())
        if folded and times >= _LEAST and max(shares.values()) >= MOST and min(shares.values()) <= FEW:
            found.append(Stock(sentence, shares))
    return sorted(found, key=lambda one: (min(one.shares.values()) - max(one.shares.values()), one.sentence))


def without(text: Dressed, sentences: Collection[str]) -> Dressed:
    """The text without these sentences, however their capitals and stops are."""
    if not sentences:
        return text
    unwanted = _each(sentences)
    kept = [sentence for sentence in _END.split(text.text) if _folded(sentence) not in unwanted]
    return replace(dress(" ".join(kept)), lost=text.lost)


def unsaid(texts: Iterable[Dressed], sentences: Collection[str]) -> list[str]:
    """Which of these sentences no text has."""
    said = {_folded(sentence) for text in texts for sentence in _END.split(text.text)}
    return [one for one in sentences if not _each([one]) <= said]


def _each(sentences: Iterable[str]) -> set[str]:
    return {_folded(one) for several in sentences for one in _END.split(several)} - {""}


def _folded(sentence: str) -> str:
    return _LETTERS.sub(" ", sentence.casefold()).strip()
