"""What a report says once its addenda are read in their order: the one rule of every coded form of it.

A document that was signed once is read as a whole, and the strongest word counts. An addendum was written by somebody
who had that before them: where it takes a finding back, the finding is taken back. Not every denial does. "No left
pneumothorax" leaves the right one, "no tension pneumothorax" leaves the pneumothorax, "there was no effusion at that
time" is about another film; and what is taken over from another draft is a second report, which corrects nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import Final

from reports.findings import Finding, Laterality, Mention, State, extract
from reports.findings.labels import LABELS_OF
from reports.findings.mentions import findings_of
from reports.objects.content import Content

_BETWEEN: Final = 2  # characters between two parts of `Content.narrative`
_A_REPORT: Final = 3  # concepts; who names as many writes about a film
_HAS_PARTS: Final = MappingProxyType({"hydropneumothorax": frozenset({"pneumothorax", "effusion"})})
_CORRECTS: Final = re.compile(
    r"\b(?:correct(?:ion|ions|ed|s)?|corrigend\w+|errat(?:um|a)|errors?|erroneous(?:ly)?|in error|mistak\w+|amend\w*|"
    r"revis\w+|retract\w*|disregard|instead|in fact|in retrospect|should (?:read|be|have)|mis(?:read|interpret\w*)|"
    r"wrong(?:ly)?|(?:second|further|repeat|careful) review|on review|re-?review\w*|skin ?folds?)\b",
    re.IGNORECASE,
)
_PAST: Final = re.compile(
    r"\b(?:(?:prior|previous|earlier|former)(?! (?:report|dictation|statement|impression|findings?|wording|version))|"
    r"at (?:that|the) time|then|yesterday)\b",
    re.IGNORECASE,
)
_OTHER: Final = re.compile(
    r"\b(?:compar\w+|ct|computed tomogra\w+|mri|ultrasound|sonogra\w+|follow[- ]?up|subsequent\w*|meanwhile|since|"
    r"after|resolved|drain\w*|removal)\b",
    re.IGNORECASE,
)
_NARROWED: Final = re.compile(
    r"\b(?:acute|additional|another|apical|basal|basilar|displaced|enlarging|further|gross|healing|increasing|large|"
    r"loculated|lower|marked|massive|middle|new|other|recurrent|second|severe|significant|sizable|tension|upper|"
    r"worsening)\s+(?:(?!(?:and|no|nor|of|or)\b)[\w-]+\s+){0,2}$",
    re.IGNORECASE,
)
_STRENGTH: Final = (State.ABSENT, State.UNCERTAIN, State.PRESENT)


def findings_in_all(content: Content) -> tuple[Finding, ...]:
    """What a report says of each label: its own text, and what each addendum makes of that."""
    own = [part for part in (content.findings, content.impression) if part]
    added = [part for part in content.addenda if part]
    found = extract(content.narrative)
    if not added:
        return tuple(found.by_label.values())
    starts = [0, *accumulate(len(part) + _BETWEEN for part in (*own, *added))]
    said = [one for one in found.mentions if _place(one) < starts[len(own)]]
    for number, words in enumerate(added, len(own)):
        here = [one for one in found.mentions if starts[number] <= _place(one) < starts[number + 1]]
        said = [*_left(said, here, words, content.narrative), *here]
    return tuple(findings_of(said).by_label.values())


def _left(said: Sequence[Mention], here: Sequence[Mention], words: str, text: str) -> list[Mention]:
    """What stands of what was said, after an addendum. words: its own; text: of the whole report."""
    corrects = _CORRECTS.search(words) is not None
    concepts = {one.concept for one in here}
    second_report = len(concepts) >= _A_REPORT or _OTHER.search(words) or _PAST.search(words)
    if second_report and not corrects:
        return list(said)
    taken = {one for one in concepts if _takes_back(one, said, here, text, corrects=corrects)}
    return [rest for one in said if (rest := _without(one, taken)) is not None]


def _takes_back(concept: str, said: Sequence[Mention], here: Sequence[Mention], text: str, *, corrects: bool) -> bool:
    """Does the addendum say something else of it, and all of it?"""
    new = [one for one in here if one.concept == concept]
    old = [one for one in said if concept in _concepts(one) and one.state is not State.ABSENT]
    state = max((one.state for one in new), key=_STRENGTH.index)
    if state is State.PRESENT:  # a correction of the side; without such words a second place
        return corrects and any(one.laterality is not None for one in new)
    return all(_is_whole(one, old, text) for one in new)


def _is_whole(denial: Mention, old: Sequence[Mention], text: str) -> bool:
    """Is it about all that was said, of this film?"""
    start, end = denial.sentence
    if _PAST.search(text[start:end]) or _NARROWED.search(text[start : _place(denial)]):
        return False
    one_side = denial.laterality in {Laterality.LEFT, Laterality.RIGHT}
    return not one_side or all(one.laterality is denial.laterality for one in old)


def _without(mention: Mention, taken: set[str]) -> Mention | None:
    """What a mention still says; None: nothing."""
    gone = {label for concept in _concepts(mention) & taken for label in LABELS_OF.get(concept, ())}
    if mention.concept in taken or (gone and gone >= set(mention.labels)):
        return None
    if not gone:
        return mention
    return Mention(
        concept=mention.concept,
        labels=tuple(label for label in mention.labels if label not in gone),
        state=mention.state,
        words=mention.words,
        cues=mention.cues,
        sentence=mention.sentence,
        laterality=mention.laterality,
        severity=mention.severity,
    )


def _concepts(mention: Mention) -> frozenset[str]:
    return _HAS_PARTS.get(mention.concept, frozenset()) | {mention.concept}


def _place(mention: Mention) -> int:
    return mention.words[0][0]
