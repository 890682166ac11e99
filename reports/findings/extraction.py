"""Findings in the text of a report, with the words that say so. Pure: no files, no network, no state."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Final

from reports.findings import cues, kept, lexicon
from reports.findings.attributes import Neighbors
from reports.findings.days import NOW_ONE, PAST, RECURS, SEEN_BEFORE
from reports.findings.holders import holders
from reports.findings.labels import LABELS_OF
from reports.findings.languages import Language, language_of
from reports.findings.lines import bound, statements
from reports.findings.mentions import NORMALITY, Findings, Mention, Span, findings_of
from reports.findings.phrases import END, Item, build, expand, items, words_in
from reports.findings.reading import read
from reports.findings.replies import Sentence, with_replies
from reports.findings.said import Around, Tokens
from reports.findings.sentences import sentences
from reports.findings.strangers import strangers
from reports.findings.words import vocabulary, words_of


def _entries() -> Iterator[tuple[str, str, str]]:
    """Kind, value and patterns of everything that is known. A cue that reaches both ways reaches back first."""
    yield from _restarts()
    yield from (("finding", concept, patterns) for concept, patterns in lexicon.FINDINGS)
    yield "nothing", "", lexicon.NO_FINDINGS
    yield "nothing", "kept", kept.NO_CUES
    yield "nothing", "unchanged", kept.UNCHANGED
    yield "nothing", "none", kept.NONE_OF_A_SIDE
    yield "nothing", "now_one", NOW_ONE
    yield "nothing", "recurs", RECURS
    yield "nothing", "past", PAST
    yield "nothing", "seen_before", SEEN_BEFORE
    yield from (("subject", subject, patterns) for subject, patterns in lexicon.SUBJECTS)
    yield from (("predicate", predicate, patterns) for predicate, patterns in lexicon.PREDICATES)
    yield NORMALITY, NORMALITY, lexicon.NORMALITY
    yield from (("severity", severity, patterns) for severity, patterns in cues.SEVERITIES)
    yield from (("side", side, patterns) for side, patterns in cues.SIDES)
    yield from cues.CUES
    yield "either", "or", "or, and or"
    yield "either", "versus", "versus/vs, /is/are less/more likely than, is/are favored/preferred over"


def _restarts() -> Iterator[tuple[str, str, str]]:
    """Findings whose first word begins a statement: "no effusion, enlarged heart"."""
    words = words_in(cues.RESTARTS)
    for _, patterns in lexicon.FINDINGS:
        for phrase in expand(patterns):
            if len(phrase) > 1 and phrase[0] in words:
                yield "restart", "", " ".join(phrase)


_TRIE: Final = MappingProxyType(build(_entries()) | {",": {END: (("join", ","),)}, "/": {END: (("join", "/"),)}})
_VOCABULARY: Final = vocabulary(
    frozenset(word for _, _, patterns in _entries() for word in words_in(patterns)),
    lexicon.STEMS,
    frozenset(
        word
        for _, patterns in (*lexicon.FINDINGS, *lexicon.SUBJECTS, *lexicon.PREDICATES)
        for word in words_in(patterns)
    ),
)
_ENTITY: Final = re.compile(r"&(?:[a-z]{2,6}|#\d{1,6}|#x[0-9a-f]{1,5});", re.IGNORECASE)
_STOPS: Final = frozenset(".!")


def extract(text: str) -> Findings:
    """Read `text`, of any kind and length, in time linear in it.

    Raises nothing. Where `text` is no English report, nothing is found.
    """
    text = _without_entities(text)
    lowered = _lower(text)
    said = []
    foreign = 0
    for start, end in sentences(text):
        words, spans = words_of(lowered, start, end, _VOCABULARY)
        language = language_of(words, spans, lowered)
        if language is Language.FOREIGN:
            foreign += 1
        elif words:
            stopped = text[end : end + 1] in _STOPS
            said.append(Sentence(words, spans, language, stopped))
    doubtful = sum(one.language is Language.DOUBTFUL for one in said) if foreign else 0
    if foreign + doubtful > len(said) - doubtful:
        return findings_of(())
    mentions: list[Mention] = []
    for one in with_replies(said, lowered, _TRIE):
        if not foreign or one.language is Language.ENGLISH:
            mentions += _mentions(one.words, one.spans, lowered, stopped=one.stopped)
    return findings_of(mentions, whole=not foreign)


def _without_entities(text: str) -> str:
    """Blanks for "&nbsp;" and its like, every other character at its place; "&amp;" keeps its sign."""
    if "&" not in text:
        return text
    return _ENTITY.sub(lambda one: ("&" if one[0].lower() == "&amp;" else "").ljust(len(one[0])), text)


def _lower(text: str) -> str:
    """In lower case, every character at its place."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(small if len(small) == 1 else one for one in text for small in (one.lower(),))


def _mentions(words: Sequence[str], spans: Sequence[Span], lowered: str, *, stopped: bool) -> Iterator[Mention]:
    found = items(_TRIE, words)
    if not found:
        return
    lines = lowered.find("\n", spans[0][0], spans[-1][1]) >= 0
    parts = statements(found, words, spans, lowered, stopped=stopped) if lines else ()
    if not parts:
        yield from _said(found, words, spans, lowered)
    for first, last in parts:
        yield from _said(items(_TRIE, words[first:last]), words[first:last], spans[first:last], lowered)


def _said(found: list[Item], words: Sequence[str], spans: Sequence[Span], lowered: str) -> Iterator[Mention]:
    neighbors = Neighbors(found)
    around = Around(bound(found, words, spans, lowered), holders(found, words), strangers(found, words))
    for said in read(found, len(words), around):
        if said.state is not None:
            yield Mention(
                concept=said.concept,
                labels=LABELS_OF.get(said.concept, ()),
                state=said.state,
                words=_characters(spans, said.words),
                cues=_characters(spans, said.cues),
                sentence=(spans[0][0], spans[-1][1]),
                laterality=neighbors.laterality(said),
                severity=neighbors.severity(said),
            )


def _characters(spans: Sequence[Span], tokens: Sequence[Tokens]) -> tuple[Span, ...]:
    return tuple((spans[first][0], spans[last][1]) for first, last in tokens)
