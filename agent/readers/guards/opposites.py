"""Texts that say of one finding that it is there, and that it is not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from agent.readers.guards import normality
from agent.readers.guards.claims import Span
from reports.findings import Laterality, Mention, State, extract
from reports.findings.opposed import opposed

# Findings that one film either shows or not. An opacity is not one of them: "no focal opacity. Streaky opacities" is
# ordinary English; nor is a fracture, here and not there.
_DECIDABLE: Final = frozenset(
    {
        "atelectasis",
        "cardiomegaly",
        "consolidation",
        "edema",
        "effusion",
        "emphysema",
        "fibrosis",
        "hernia",
        "infiltrate",
        "mass",
        "nodule",
        "pleural_thickening",
        "pneumonia",
        "pneumothorax",
    }
)

# What makes a denial one of less than the finding, where the statement does not say the same word.
_LESSER: Final = re.compile(
    r"\b(?:suspicious|non-?calcified|concerning|worrisome|free|interstitial|bullous)\b", re.IGNORECASE
)
_ACUTE: Final = re.compile(r"\bacute\b", re.IGNORECASE)
_OLD: Final = re.compile(r"\b(?:chronic|old|known|long-?standing|scar\w*|stable|unchanged)\b", re.IGNORECASE)
_DEGREE: Final = re.compile(r"\b(large|massive)\s+(?:(?:left|right|bilateral|pleural)\W+)*$", re.IGNORECASE)
_PAST: Final = re.compile(
    r"\b(?:prior|previous\w*|earlier|resolv\w*|resolution|clear(?:ed|ing)|no longer|was|were|ago)\b", re.IGNORECASE
)
_BEFORE: Final = 24  # characters in front of a denied finding that may qualify it
# Behind a denied finding: it is denied of a part. An effusion is looked for at the bases, so these are no part for it.
_PLACE: Final = re.compile(
    r"\s*(?:(?:is|are) (?:seen|noted|present|identified) )?(?:at|in|within|of|over|along) (?:the |either )?"
    r"(?:(?:right|left|lung) )?(api[cx]|bas[ei]|upper|lower|middle|mid|lingula|fissur|perihilar|peripher|retrocardiac)",
    re.IGNORECASE,
)
_SIDE: Final = re.compile(
    r"\b(right|left)(?:-sided)? (?:lung|hemithorax|chest|base|apex|side|pleura|costophrenic|upper|lower|mid|"
    r"hemidiaphragm)",
    re.IGNORECASE,
)
_CLAUSE_ENDS: Final = re.compile(r"[,;:]|\b(?:and|with|but)\b", re.IGNORECASE)
_HALF_ENDS: Final = re.compile(r"[,;:]|\band (?:there|no)\b|\bbut\b", re.IGNORECASE)
# Before a stated finding: it is supposed, or looked for.
_SUPPOSED: Final = re.compile(
    r"\b(?:if|whether|to (?:identify|exclude|evaluate|assess|document|detect|rule out)|rule out|concern for|"
    r"evaluat\w+ (?:of|for))\b",
    re.IGNORECASE,
)
_CONTRAST: Final = re.compile(
    r"\b(?:but|though|although|however|except|other|otherwise|apart|aside|besides|while|whereas|only|yet|rather|if)\b",
    re.IGNORECASE,
)


def contradictions(text: str) -> tuple[tuple[Span, Span], ...]:
    """Pairs of places of which one says that a finding is present and the other that it is absent, as `opposed`.

    Absent are also the findings that a normal film, clear lungs, or sharp costophrenic angles have not.
    """
    mentions = extract(text).mentions
    stated = [one for one in mentions if one.state is State.PRESENT and not _is_supposed(one, text)]
    certain = frozenset(stated)
    named = [one for one in mentions if one.concept in _DECIDABLE]
    pairs = chain(opposed(text, named), _within_a_sentence(text, named), _of_one_degree(text, named))
    found = [_places(yes, no, text) for yes, no in pairs if yes in certain and not _may_both_hold(yes, no, text)]
    return (*found, *normality.denied_by_normality(text, mentions, stated))


def _places(yes: Mention, no: Mention, text: str) -> tuple[Span, Span]:
    if yes.sentence != no.sentence:
        return yes.sentence, no.sentence
    return _clause_of(yes, text), _clause_of(no, text)


def _within_a_sentence(text: str, named: Sequence[Mention]) -> Iterator[tuple[Mention, Mention]]:
    """What `opposed` says of two clauses of one sentence, unless the sentence itself sets one against the other."""
    for sentence in dict.fromkeys(one.sentence for one in named):
        inside = [one for one in named if one.sentence == sentence]
        if {State.PRESENT, State.ABSENT} <= {one.state for one in inside} and not _CONTRAST.search(text, *sentence):
            whole = {replace(one, sentence=_clause_of(one, text)): one for one in inside}
            yield from ((whole[yes], whole[no]) for yes, no in opposed(text, tuple(whole)))


def _of_one_degree(text: str, named: Sequence[Mention]) -> Iterator[tuple[Mention, Mention]]:
    """ "No large effusion. Large left effusion.": less than the finding is denied, and just that is stated."""
    denied = [(one, degree) for one in named if one.state is State.ABSENT and (degree := _degree(one, text))]
    for yes in named:
        if denied and yes.state is State.PRESENT and not _PAST.search(text, *yes.sentence):
            degree = _degree(yes, text)
            for no, other in denied:
                if degree == other and yes.concept == no.concept and no.laterality in {None, yes.laterality}:
                    yield yes, no


def _degree(one: Mention, text: str) -> str | None:
    first = one.words[0][0]
    found = _DEGREE.search(text, max(one.sentence[0], first - _BEFORE), first)
    return found[1].lower() if found else None


def _clause_of(one: Mention, text: str, ends: re.Pattern[str] = _CLAUSE_ENDS) -> Span:
    """Where the clause of the words of a finding begins and ends."""
    first, last = one.words[0][0], one.words[-1][1]
    start, end = one.sentence
    for stop in ends.finditer(text, start, end):
        if stop.end() <= first:
            start = stop.end()
        elif stop.start() >= last:
            end = stop.start()
            break
    return start, end


def _is_supposed(one: Mention, text: str) -> bool:
    return _SUPPOSED.search(text, one.sentence[0], one.words[0][0]) is not None


def _may_both_hold(yes: Mention, no: Mention, text: str) -> bool:
    """Whether a denial is of a kind, a place or a side of the finding that the statement is not about."""
    stated = text[slice(*yes.sentence)]
    if yes.concept == "effusion" and re.search(r"fissur|loculated", stated, re.IGNORECASE):
        return True
    if yes.concept == "nodule" and _of_no_weight(stated, text[slice(*no.sentence)]):
        return True
    return _is_of_a_kind(no, text, stated) or _is_of_a_part(no, text, stated) or _is_of_the_other_side(yes, no, text)


def _of_no_weight(stated: str, denied: str) -> bool:
    """ "No nodules or masses" after calcified ones: none that matters."""
    calcified = re.search(r"calcif|granuloma", stated, re.IGNORECASE)
    return calcified is not None and re.search(r"\bmass", denied, re.IGNORECASE) is not None


def _is_of_a_kind(no: Mention, text: str, stated: str) -> bool:
    first, last = _reach(no)
    start = max(no.sentence[0], first - _BEFORE)
    kinds = {kind.lower() for kind in _LESSER.findall(text, start, last)}
    if any(not re.search(rf"\b{kind}\b", stated, re.IGNORECASE) for kind in kinds):
        return True
    return _ACUTE.search(text, start, last) is not None and _OLD.search(stated) is not None


def _is_of_a_part(no: Mention, text: str, stated: str) -> bool:
    place = _PLACE.match(text, _reach(no)[1], no.sentence[1])
    if place is None or (no.concept == "effusion" and place[1].lower().startswith("bas")):
        return False
    return place[1].lower() not in stated.lower()


def _is_of_the_other_side(yes: Mention, no: Mention, text: str) -> bool:
    if no.laterality is not None or yes.laterality not in {Laterality.LEFT, Laterality.RIGHT}:
        return False
    sides = {side.lower() for side in _SIDE.findall(text, *_clause_of(no, text, _HALF_ENDS))}
    return len(sides) == 1 and yes.laterality.value not in sides


def _reach(one: Mention) -> Span:
    spans = (*one.words, *one.cues)
    return min(start for start, _ in spans), max(end for _, end in spans)
