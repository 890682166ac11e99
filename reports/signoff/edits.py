"""How much a person changed, in words and in findings; and where chips or sentences contradict the text.

deploy/docs/signoff.md has the rule: accepted (not a word), minor (the same findings and at most a fifth of the words),
major (everything else).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reports.findings import Finding, Findings, Span, State, extract
from reports.findings.labels import LABELS_OF
from reports.findings.opposed import opposed
from reports.signoff.tables import Verdict
from reports.text import DraftText

MINOR_SHARE: Final = 0.20  # of the words of the longer text
_WORD: Final = re.compile(r"\w+")
_MOST_COMPARED: Final = 4_000_000  # pairs of words: a second or two
_OPPOSITES: Final = (State.PRESENT, State.ABSENT)
_OWN: Final = frozenset(labels[0] for labels in LABELS_OF.values() if labels)  # the rest are other names of the same
_OFTEN_BOTH: Final = frozenset({"Lung Opacity"})  # "no focal opacity; streaky opacities" is ordinary English


@dataclass(frozen=True, slots=True)
class Edit:
    """What was made of a draft. words_changed: inserted, deleted or replaced. drafted, signed: label to state."""

    verdict: Verdict
    words_drafted: int
    words_signed: int
    words_changed: int
    drafted: Mapping[str, str]
    signed: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A chip that the text does not bear out, or a text that says of a finding that it is there and that it is not.

    chip: what a person has set; None: nothing, and the text contradicts itself. said: what the text says of the label;
    None: nothing. sentences: those that say so, as spans of the `narrative`: where it says both one of each, the one
    that states the finding first. alone: the first of them speaks of nothing else that is known.
    """

    label: str
    chip: State | None
    said: State | None
    sentences: tuple[Span, ...]
    alone: bool = False

    @property
    def sentence(self) -> str:
        """For people."""
        if self.chip is None:
            return f"{self.label}: the text says that it is present, and that it is absent."
        says = f"says {self.said.value}" if self.said is not None else "does not mention it"
        return f"{self.label} is set to {self.chip.value}, the text {says}."


def narrative(text: DraftText) -> str:
    """Findings and Impression as one text, as documents are read."""
    return f"{text.findings}\n\n{text.impression}"


def findings_of(text: DraftText) -> tuple[Finding, ...]:
    """Of all labels that the text mentions."""
    return tuple(extract(narrative(text)).by_label.values())


def states(text: DraftText) -> Mapping[str, str]:
    """Label to state, of all labels that the text mentions."""
    return {found.label: found.state.value for found in findings_of(text)}


def compared(drafted: DraftText, signed: DraftText) -> Edit:
    """Say how much was changed."""
    before, after = _words(drafted), _words(signed)
    changed = distance(before, after)
    said = states(drafted)
    says = said if drafted == signed else states(signed)
    if drafted == signed:
        verdict = Verdict.ACCEPTED
    elif said == says and changed <= MINOR_SHARE * max(len(before), len(after), 1):
        verdict = Verdict.MINOR
    else:
        verdict = Verdict.MAJOR
    return Edit(verdict, len(before), len(after), changed, said, says)


def refused(drafted: DraftText) -> Edit:
    """Of a draft that was rejected."""
    return Edit(Verdict.REJECTED, len(_words(drafted)), 0, 0, states(drafted), {})


def distance(before: Sequence[str], after: Sequence[str]) -> int:
    """Levenshtein distance on words: the least number that must be inserted, deleted or replaced.

    What both begin or end with costs no time; where the rest is longer than any report, all of it counts as changed.
    """
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    before, after = before[start : len(before) - end], after[start : len(after) - end]
    if len(before) * len(after) > _MOST_COMPARED:
        return max(len(before), len(after))
    row = list(range(len(after) + 1))
    for number, word in enumerate(before, start=1):
        diagonal, row[0] = row[0], number
        for place, other in enumerate(after, start=1):
            replaced = diagonal + (word != other)
            diagonal = row[place]
            row[place] = min(replaced, row[place] + 1, row[place - 1] + 1)
    return row[-1]


def warnings(text: DraftText, chips: Mapping[str, str]) -> tuple[Contradiction, ...]:
    """Chips that the text does not bear out, in the order of the chips: what is set must be said, also "absent". Then
    findings that the text both states and denies, in the order of the labels.
    """
    whole = narrative(text)
    found = extract(whole)
    against = (_against(found, label, State(word)) for label, word in chips.items())
    both = (_both(whole, found.by_label[label], is_set=label in chips) for label in found.by_label if label in _OWN)
    return tuple(one for one in (*against, *both) if one is not None)


def _against(found: Findings, label: str, chip: State) -> Contradiction | None:
    finding = found.by_label.get(label)
    if finding is None:
        return Contradiction(label, chip, None, ())
    if finding.state is chip:
        return None
    saying = finding.evidence or finding.mentions  # a film is normal by denials too
    if not saying:
        return Contradiction(label, chip, finding.state, ())
    sentence = saying[0].sentence
    others = [one for one in found.mentions if one.sentence == sentence and label not in one.labels]
    return Contradiction(label, chip, finding.state, (sentence,), alone=not others)


def _both(whole: str, finding: Finding, *, is_set: bool) -> Contradiction | None:
    """Where a person has set the label, every statement beside every denial: the set sentence may have been added."""
    if not finding.contradicts_itself:
        return None
    pairs = opposed(whole, finding.mentions) if finding.label not in _OFTEN_BOTH else ()
    if not pairs and is_set:
        stated, denied = ([one for one in finding.mentions if one.state is state] for state in _OPPOSITES)
        pairs = ((stated[0], denied[0]),)
    if not pairs:
        return None
    yes, no = pairs[0]
    return Contradiction(finding.label, None, State.PRESENT, (yes.sentence, no.sentence))


def _words(text: DraftText) -> list[str]:
    return _WORD.findall(narrative(text))
