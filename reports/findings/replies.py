"""A side, a place or a day in a sentence alone: "Effusions: Right: none. Left: small", "apical PTX gone; basal small".

It names no finding. Read alone it would say nothing, and the sentence before would stand for both sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from reports.findings.cues import SIDES
from reports.findings.labels import State
from reports.findings.languages import Language
from reports.findings.mentions import Span
from reports.findings.phrases import Item, Node, items, words_in

_FILMS: Final = frozenset({"this", "film", "study", "exam", "examination", "image", "radiograph"})
_PRONOUNS: Final = frozenset({"it", "this", "these", "they"})
_OF_IT: Final = frozenset({"absent_before", "absent_after", "restart", "goes_on"})
_STAYS: Final = frozenset({("goes_on", ""), ("affirm", "")})
_OTHERS: Final = frozenset({"finding", "subject", "absent_before", "absent_after", "absent_about", "nothing"})
_LENGTH: Final = 10  # tokens of a reply
_REPLIES: Final = 4  # to one sentence
_TELLS: Final = frozenset({"severity", "goes_on", "affirm", "begins", "participle"})
_DENIES: Final = frozenset({"absent_before", "absent_after", "absent_about", "nothing"})
_DOUBTS: Final = frozenset({"uncertain_about", "uncertain_before", "uncertain_after"})
_KINDS: Final = frozenset(
    {
        *("side", "restart", "perhaps_begins", "restriction", "predicate", "colon", "join", "inside"),
        *(*_DOUBTS, *_TELLS, *_DENIES),
    }
)
_FILLERS: Final = frozenset({"on", "the", "in", "at", "of", "one", "side", "size", "is"})
_PLACES: Final = frozenset(
    {*("apical", "basal", "apex", "base", "upper", "lower", "part", "component"), "lobe", "zone"}
)
_TIMES: Final = frozenset({"today", "now", "current", "currently"})
_KNOWN: Final = frozenset({*_FILLERS, *_PLACES, *_TIMES})
_PAST: Final = frozenset({"yesterday", "prior", "previous", "previously", "earlier", "was", "were", "had"})
_NAMED: Final = frozenset({*_PLACES, *_TIMES, *(word for _, patterns in SIDES for word in words_in(patterns))})
_BETWEEN: Final = re.compile(r"[ \t.;!]*(?:\r?\n)?[ \t]*[-*\u2022]?[ \t]*")


class Sentence(NamedTuple):
    """The words of a sentence and the place of each. stopped: a full stop ends it."""

    words: list[str]
    spans: list[Span]
    language: Language
    stopped: bool


def with_replies(sentences: Iterable[Sentence], lowered: str, trie: Mapping[str, Node]) -> list[Sentence]:
    """`sentences`, each with the replies that follow it.

    One that denies a side joins only a heading that another follows, or where it is of today and the heading is not: it
    would else deny what stands before. One that leaves a side open joins only what denies.
    """
    found: list[Sentence] = []
    replies: list[tuple[Sentence, State]] = []
    for sentence in sentences:
        if not replies and found and _refers(found[-1], sentence, lowered, trie):
            found[-1] = _joined(found[-1], sentence)
            continue
        says = _says(sentence.words, trie) if len(replies) < _REPLIES else None
        if says is not None and found and _follows(replies[-1][0] if replies else found[-1], sentence, lowered):
            replies.append((sentence, says))
        else:
            _join(found, replies, trie)
            replies = []
            found.append(sentence)
    _join(found, replies, trie)
    return found


def _refers(before: Sentence, sentence: Sentence, lowered: str, trie: Mapping[str, Node]) -> bool:
    """Does "it has resolved" follow a sentence that names one finding, and denies none?"""
    words = sentence.words
    if len(words) > _LENGTH or words[0] not in _PRONOUNS or not _follows(before, sentence, lowered):
        return False
    said = items(trie, words[1:])
    if not any(one.kind == "absent_before" for one in said) or not all(one.kind in _OF_IT for one in said):
        return False
    if not all(word in _KNOWN | _FILMS or _is_known(place, said) for place, word in enumerate(words[1:])):
        return False
    named = [one.kind for one in items(trie, before.words) if one.kind in _OTHERS or one[:2] in _STAYS]
    return named == ["finding"]  # what "persists" has not gone


def _joined(before: Sentence, sentence: Sentence) -> Sentence:
    words, spans = ["which", *sentence.words[1:]], sentence.spans
    return Sentence([*before.words, *words], [*before.spans, *spans], before.language, sentence.stopped)


def _join(found: list[Sentence], replies: Sequence[tuple[Sentence, State]], trie: Mapping[str, Node]) -> None:
    both = bool(replies) and _is_bare(found[-1].words, trie) and _is_of_both(replies[0][0].words, trie)
    if not both and (not replies or not _asks(found[-1].words, replies[0][0].words, trie)):
        found += [one for one, _ in replies]
        return
    heads = found[-1].words[-1] == ":" and len(replies) > 1
    for reply, says in replies:
        last = found[-1]
        today = says is State.ABSENT and _is_of_today(last.words, reply.words)
        if (says is State.ABSENT and not (heads or today or (both and reply is replies[0][0]))) or (
            says is State.UNCERTAIN and not any(one.kind in _DENIES for one in items(trie, last.words))
        ):
            found.append(reply)
            return
        comma = (
            []
            if last.words[-1] == ":" or (says is State.ABSENT and not today)
            else [(last.spans[-1][1], reply.spans[0][0])]
        )
        found[-1] = Sentence(
            [*last.words, *("," for _ in comma), *reply.words],
            [*last.spans, *comma, *reply.spans],
            last.language,
            reply.stopped,
        )


def _is_of_today(words: Sequence[str], reply: Sequence[str]) -> bool:
    return not _TIMES.isdisjoint(reply) and not _PAST.isdisjoint(words)


def _is_bare(words: Sequence[str], trie: Mapping[str, Node]) -> bool:
    """Is a finding all that is named?"""
    said = items(trie, words)
    return [(one.kind, one.first, one.last) for one in said] == [("finding", 0, len(words) - 1)]


def _is_of_both(words: Sequence[str], trie: Mapping[str, Node]) -> bool:
    """ "None on the left, none on the right"."""
    said = items(trie, words)
    kinds = [one.kind for one in said]
    return kinds == ["nothing", "join", "nothing"] and {"left", "right"} <= set(words)


def _asks(words: Sequence[str], reply: Sequence[str], trie: Mapping[str, Node]) -> bool:
    """Does what names a finding leave a side open: not "no pneumothorax. Left base stable"?"""
    kinds = {one.kind for one in items(trie, words)}
    told = {one.kind for one in items(trie, reply)}
    if not told & (_TELLS | _DENIES | _DOUBTS):  # "heart was normal. Now enlarged"
        return "finding" not in kinds and {"subject", "predicate"} <= kinds and _is_of_today(words, reply)
    if "finding" not in kinds:
        return {"subject", "predicate"} <= kinds and _is_of_today(words, reply)
    parted = ":" in words or not _NAMED.isdisjoint(words) or "prior" in words
    return parted or _is_of_today(words, reply) or any(one.kind in {"severity", "affirm"} for one in items(trie, reply))


def _says(words: Sequence[str], trie: Mapping[str, Node]) -> State | None:
    """Does this reply deny a side, leave it open, or say of it that it has the finding? None: it is no reply."""
    if len(words) > _LENGTH or _NAMED.isdisjoint(words):
        return None
    said = items(trie, words)
    kinds = {one.kind for one in said if one.value != "seen"}  # "right base is clear" tells nothing
    tells = kinds & (_TELLS | _DENIES | _DOUBTS) or ("predicate" in kinds and not _TIMES.isdisjoint(words))
    if not kinds <= _KINDS or not tells:
        return None
    if not all(word in _KNOWN or _is_known(place, said) for place, word in enumerate(words)):
        return None
    if kinds & _DENIES and words[-1] != "not":  # "the right has not" cleared
        return State.ABSENT
    return State.UNCERTAIN if kinds & _DOUBTS and not kinds & (_TELLS | _DENIES) else State.PRESENT


def _is_known(place: int, said: Sequence[Item]) -> bool:
    return any(one.first <= place <= one.last for one in said)


def _follows(before: Sentence, sentence: Sentence, lowered: str) -> bool:
    """Does nothing but a full stop or a line break part the two?"""
    return _BETWEEN.fullmatch(lowered, before.spans[-1][1], sentence.spans[0][0]) is not None
