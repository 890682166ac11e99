"""Findings in the text of a report, with the words that say so. Pure: no files, no network, no state."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Final

from reports.findings import cues, lexicon
from reports.findings.attributes import Neighbors
from reports.findings.labels import LABELS_OF
from reports.findings.mentions import NORMALITY, Findings, Mention, Span, findings_of
from reports.findings.phrases import END, build, items
from reports.findings.scope import Tokens, read
from reports.findings.sentences import sentences


def _entries() -> Iterator[tuple[str, str, str]]:
    """Kind, value and patterns of everything that is known. A cue that reaches both ways reaches back first."""
    yield from (("finding", concept, patterns) for concept, patterns in lexicon.FINDINGS)
    yield "nothing", "", lexicon.NO_FINDINGS
    yield "nothing", "", cues.NO_CUES
    yield from (("subject", subject, patterns) for subject, patterns in lexicon.SUBJECTS)
    yield from (("predicate", predicate, patterns) for predicate, patterns in lexicon.PREDICATES)
    yield NORMALITY, NORMALITY, lexicon.NORMALITY
    yield from (("severity", severity, patterns) for severity, patterns in cues.SEVERITIES)
    yield from (("side", side, patterns) for side, patterns in cues.SIDES)
    yield from ((kind, "", patterns) for kind, patterns in cues.CUES)
    yield "either", "or", "or, and or"
    yield "either", "versus", "versus/vs"


_TRIE: Final = MappingProxyType(build(_entries()) | {",": {END: (("join", ","),)}})
_LENGTH_OF_A_STEM: Final = 6  # letters that tell the stems apart
_STEMS: Final = MappingProxyType({stem[:_LENGTH_OF_A_STEM]: (stem, word) for stem, word in lexicon.STEMS})
_TOKEN: Final = re.compile(r"[^\W_]+|[,;:?]")


def extract(text: str) -> Findings:
    """Read `text`, of any kind and length, in time linear in it.

    Raises nothing. Where `text` is no English report, nothing is found.
    """
    lowered = _lower(text)
    mentions: list[Mention] = []
    foreign = read_sentences = 0
    for start, end in sentences(text):
        tokens = list(_TOKEN.finditer(lowered, start, end))
        words = [token[0] for token in tokens]
        if not lexicon.FOREIGN.isdisjoint(words):
            foreign += 1
        elif words:
            read_sentences += 1
            mentions += _mentions(tokens, words)
    return findings_of(mentions if foreign <= read_sentences else ())


def _lower(text: str) -> str:
    """In lower case, every character at its place."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(small if len(small) == 1 else one for one in text for small in (one.lower(),))


def _mentions(tokens: Sequence[re.Match[str]], words: Sequence[str]) -> Iterator[Mention]:
    found = items(_TRIE, [_spelled(word) for word in words])
    if not found:
        return
    neighbors = Neighbors(found)
    for said in read(found):
        if said.state is not None:
            yield Mention(
                concept=said.concept,
                labels=LABELS_OF.get(said.concept, ()),
                state=said.state,
                words=_characters(tokens, said.words),
                cues=_characters(tokens, said.cues),
                sentence=(tokens[0].start(), tokens[-1].end()),
                laterality=neighbors.laterality(said),
                severity=neighbors.severity(said),
            )


def _spelled(word: str) -> str:
    """A word that is not known, as the known one that begins like it."""
    if len(word) <= _LENGTH_OF_A_STEM or word in _TRIE:
        return word
    stem, known = _STEMS.get(word[:_LENGTH_OF_A_STEM], ("", ""))
    return known if stem and word.startswith(stem) else word


def _characters(tokens: Sequence[re.Match[str]], spans: Sequence[Tokens]) -> tuple[Span, ...]:
    return tuple((tokens[first].start(), tokens[last].end()) for first, last in spans)
