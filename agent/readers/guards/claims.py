"""What a text claims though the model cannot know it: a change, a history, another view, a person."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from operator import itemgetter
from types import MappingProxyType
from typing import Final, TypeAlias

from agent.readers.guards import phrases

Span: TypeAlias = tuple[int, int]  # start and end of characters, as in text[start:end]

# What a draft has to say of each kind, and how claims of that kind read: always, and where nobody asks for them.
_CLAIMS: Final = MappingProxyType(
    {
        "the text mentions a comparison or a change; no prior image was seen": (
            phrases.COMPARISON_SAID,
            phrases.COMPARISON_ASKED,
        ),
        "the text mentions history or symptoms; none were given": (phrases.HISTORY_SAID, phrases.HISTORY_ASKED),
        "the text mentions another view or modality; one frontal film was seen": (
            phrases.OTHER_VIEW_SAID,
            phrases.OTHER_VIEW_ASKED,
        ),
        "the text mentions a person, a call or a signature; none is known": (phrases.PERSON_SAID, None),
    }
)
_SENTENCE: Final = re.compile(r"[^.!?;\n]+(?:\.(?=\d)[^.!?;\n]+)*")


def unsupported_claims(text: str) -> tuple[Span, ...]:
    """Where a text claims what the model cannot know, as `notes`. In order, none twice."""
    found = sorted(span for note in _CLAIMS for span in _claims(note, text))
    kept: list[Span] = []
    for start, end in found:
        if kept and start < kept[-1][1]:
            kept[-1] = (kept[-1][0], max(end, kept[-1][1]))
        else:
            kept.append((start, end))
    return tuple(kept)


def notes(text: str) -> tuple[str, ...]:
    """What a draft has to say of the kinds of `unsupported_claims` in it, one phrase each; none quotes the text."""
    return tuple(note for note in _CLAIMS if any(_claims(note, text)))


def _claims(note: str, text: str) -> Iterator[Span]:
    said, asked = _CLAIMS[note]
    for sentence in _SENTENCE.finditer(text):
        found = [match.span() for match in said.finditer(text, *sentence.span())]
        wanted = [match.span() for match in asked.finditer(text, *sentence.span())] if asked else []
        if found or wanted:
            clauses = _Clauses(text, sentence.span())
            yield from (span for span in found if not clauses.is_harmless(span))
            yield from (span for span in wanted if not clauses.is_harmless(span) and not clauses.is_requested(span))


class _Clauses:
    """The clauses of one sentence, and what in them is no claim."""

    def __init__(self, text: str, sentence: Span) -> None:
        self._starts = [sentence[0], *(stop.start() for stop in phrases.CLAUSE.finditer(text, *sentence))]
        ends = (*self._starts[1:], sentence[1])
        clauses = list(zip(self._starts, ends, strict=True))
        supposed = [phrases.SUPPOSED.search(text, *clause) for clause in clauses]
        self._supposed = [found.end() if found else end for found, (_, end) in zip(supposed, clauses, strict=True)]
        self._requested = [phrases.REQUEST.search(text, *clause) is not None for clause in clauses]
        self._harmless = [match.span() for match in phrases.NO_CLAIM.finditer(text, *sentence)]

    def is_harmless(self, span: Span) -> bool:
        """Whether a claim only reads like one, or is supposed."""
        place = bisect_left(self._harmless, span[1], key=itemgetter(1))
        if place < len(self._harmless) and self._harmless[place][0] < span[1]:
            return True
        return self._supposed[self._clause(span)] <= span[0]

    def is_requested(self, span: Span) -> bool:
        """Whether it is asked for in the clause in which it begins, or said to be missing there."""
        return self._requested[self._clause(span)]

    def _clause(self, span: Span) -> int:
        return bisect_right(self._starts, span[0]) - 1
