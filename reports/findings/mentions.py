"""What was found: mentions in the order of the text, and what they come to for each label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from reports.findings.labels import LABELS, NO_FINDING, NORMAL, Laterality, Severity, State

Span: TypeAlias = tuple[int, int]  # start and end of characters in the text, as in text[start:end]

NORMALITY: Final = "normality"  # the concept of a sentence that calls the whole film normal
_NOT_ABNORMAL: Final = frozenset({NORMALITY, "device"})
_DENIED_IN_A_NORMAL_FILM: Final = 3
_SEVERITIES: Final = tuple(Severity)


@dataclass(frozen=True, slots=True)
class Mention:
    """One place that speaks of a finding.

    concept: what is named, finer than a label. labels: those it speaks for; none for what is abnormal without a label.
    words: where the finding is named. cues: what negates it or makes it uncertain. sentence: where both stand. Spans
    are of characters: text[start:end].
    """

    concept: str
    labels: tuple[str, ...]
    state: State
    words: tuple[Span, ...]
    cues: tuple[Span, ...]
    sentence: Span
    laterality: Laterality | None
    severity: Severity | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a text says about one label: the strongest of its mentions, where present > uncertain > absent.

    laterality and severity come from the mentions that share the state: both sides make bilateral, the greatest
    severity counts. `mentions` holds all, also those that contradict.
    """

    label: str
    state: State
    laterality: Laterality | None
    severity: Severity | None
    mentions: tuple[Mention, ...]

    @property
    def evidence(self) -> tuple[Mention, ...]:
        """The mentions that say what `state` says."""
        return tuple(mention for mention in self.mentions if mention.state is self.state)

    @property
    def contradicts_itself(self) -> bool:
        """Is the label both present and absent in one text?"""
        return {State.PRESENT, State.ABSENT} <= {mention.state for mention in self.mentions}


@dataclass(frozen=True, slots=True)
class Findings:
    """All mentions in the order of the text, and the labels that are mentioned, in the order of `LABELS`."""

    mentions: tuple[Mention, ...]
    by_label: Mapping[str, Finding]


def findings_of(mentions: Sequence[Mention], *, whole: bool = True) -> Findings:
    """Sum the mentions of one text up. whole: every sentence was read; else the rest of the film is not known."""
    grouped: dict[str, list[Mention]] = {}
    for mention in mentions:
        for label in mention.labels:
            grouped.setdefault(label, []).append(mention)
    found = {label: _summed_up(label, grouped[label]) for label in LABELS if label in grouped}
    if whole:
        found |= _no_finding(mentions)
    return Findings(tuple(mentions), MappingProxyType(found))


def _summed_up(label: str, mentions: Sequence[Mention]) -> Finding:
    states = {mention.state for mention in mentions}
    state = next(state for state in (State.PRESENT, State.UNCERTAIN, State.ABSENT) if state in states)
    saying = [mention for mention in mentions if mention.state is state]
    return Finding(label, state, _side(saying), _greatest(saying), tuple(mentions))


def _side(mentions: Iterable[Mention]) -> Laterality | None:
    sides = {mention.laterality for mention in mentions if mention.laterality is not None}
    return Laterality.BILATERAL if len(sides) > 1 else next(iter(sides), None)


def _greatest(mentions: Iterable[Mention]) -> Severity | None:
    said = [mention.severity for mention in mentions if mention.severity is not None]
    return max(said, key=_SEVERITIES.index, default=None)


def _no_finding(mentions: Sequence[Mention]) -> dict[str, Finding]:
    """Present where nothing abnormal is named, and the text calls the film normal or denies three findings or more.

    Otherwise there is no entry, as in the published labeler: silence is not normality. Devices are no abnormality.
    """
    if any(one.concept not in _NOT_ABNORMAL and one.state is not State.ABSENT for one in mentions):
        return {}
    saying = [one for one in mentions if one.concept == NORMALITY]
    if not saying:
        saying = [one for one in mentions if one.state is State.ABSENT]
        if len({one.concept for one in saying}) < _DENIED_IN_A_NORMAL_FILM:
            return {}
    return {label: Finding(label, State.PRESENT, None, None, tuple(saying)) for label in (NO_FINDING, NORMAL)}
