"""How well findings agree with labels that people gave, and what `uncertain` counts as while scoring.

The extractor never turns an uncertain finding into a certain one. A gold standard without "uncertain" needs an answer
all the same; it is given here, a label at a time, fitted on the development half of the human labels of Open-i.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from reports.findings.labels import NEGBIO, State
from reports.findings.mentions import Findings

# Hernia is 0 in every row of the gold, also where the report describes one: it measures nothing.
SCORED: Final = tuple(label for label in NEGBIO if label != "Hernia")
NOT_PRESENT: Final[Mapping[str, State]] = MappingProxyType({})  # an uncertain finding is not a present one
_ROUNDS: Final = 2


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of one label, or of all added up. A score of nothing is 0."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def precision(self) -> float:
        """Of what was found, how much the gold has."""
        return self.true_positives / max(1, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Of what the gold has, how much was found."""
        return self.true_positives / max(1, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        both = 2 * self.true_positives
        return both / max(1, both + self.false_positives + self.false_negatives)

    def __add__(self, other: Score) -> Score:
        return Score(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )


def uncertain_map() -> Mapping[str, State]:
    """What uncertain counts as while scoring, for every label; read from the package."""
    text = files("reports.findings").joinpath("uncertain_map.json").read_text(encoding="utf-8")
    return MappingProxyType({label: State(value) for label, value in json.loads(text).items()})


def counts_as_present(found: Findings, label: str, uncertain: Mapping[str, State] = NOT_PRESENT) -> bool:
    """Would a scorer that knows only present and not present call the label present?"""
    finding = found.by_label.get(label)
    if finding is None:
        return False
    state = uncertain.get(label) if finding.state is State.UNCERTAIN else finding.state
    return state is State.PRESENT


def score(
    reports: Sequence[tuple[Findings, frozenset[str]]],
    labels: Iterable[str] = SCORED,
    uncertain: Mapping[str, State] = NOT_PRESENT,
) -> dict[str, Score]:
    """Score each label. reports: what was found, and the labels that the gold calls present."""
    return {label: _score_one(reports, label, uncertain) for label in labels}


def micro(scores: Mapping[str, Score]) -> Score:
    """All labels added up."""
    return sum(scores.values(), start=Score(0, 0, 0))


def _score_one(reports: Sequence[tuple[Findings, frozenset[str]]], label: str, uncertain: Mapping[str, State]) -> Score:
    pairs = [(counts_as_present(found, label, uncertain), label in gold) for found, gold in reports]
    return Score(pairs.count((True, True)), pairs.count((True, False)), pairs.count((False, True)))


def fit(reports: Sequence[tuple[Findings, frozenset[str]]], labels: Sequence[str] = SCORED) -> dict[str, State]:
    """The map with the best micro F1 on `reports`, found a label at a time; absent where it makes no difference."""
    chosen = dict.fromkeys(labels, State.ABSENT)
    known = {
        (label, state): _score_one(reports, label, {label: state})
        for label in labels
        for state in (State.ABSENT, State.PRESENT)
    }
    for _ in range(_ROUNDS):
        for label in labels:
            others = micro({other: known[other, chosen[other]] for other in labels if other != label})
            gain = (others + known[label, State.PRESENT]).f1 - (others + known[label, State.ABSENT]).f1
            chosen[label] = State.PRESENT if gain > 0 else State.ABSENT
    return chosen
