"""Counts of agreement between two sources of findings, under two protocols, with intervals by resampling patients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from reports.findings.labels import NO_FINDING, State
from reports.quality import share

# Those of the paper's tables, then those that other data sets have.
PAPER: Final = (
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Lung Opacity",
    "Pleural Effusion",
    "Pneumonia",
    "Pneumothorax",
)
REPLICATES: Final = 1000
LEVEL: Final = 95  # percent
_TP, _FP, _FN, _TN = range(4)
_WIDTH: Final = 1e-9  # what is narrower has no width: samples differ by rounding alone

Counts: TypeAlias = NDArray[np.float64]  # (..., 4): true and false positives, false and true negatives


class Protocol(StrEnum):
    """What an uncertain or missing statement counts as.

    definite: a film counts for a label only where both sides say present or absent, as in the paper (Lee et al. 2025).
    all: every film counts; not mentioned is negative, and uncertain is what `uncertain_counts_as` says.
    """

    DEFINITE = "definite"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Judged:
    """One film: what is known of it and what the reader's text says. A label without an entry is not mentioned.

    cluster: films of one patient have the same; they are resampled together.
    """

    id: str
    cluster: str
    reference: Mapping[str, State]
    predicted: Mapping[str, State]
    groups: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Figure:
    """A proportion from 0 to 1 and its interval; NaN where there is nothing to divide by."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """One finding, or all of them together."""

    label: str
    positives: int  # of the reference
    negatives: int
    figures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Table:
    """All findings under one protocol. macro: the mean over the findings; pooled: all their counts as one.

    `No Finding` has a row but counts in neither: it says the others again.
    """

    protocol: Protocol
    films: int
    patients: int
    rows: tuple[Row, ...]
    macro: Mapping[str, Figure]
    pooled: Mapping[str, Figure]


MEASURES: Final = ("f1", "sensitivity", "specificity", "precision", "accuracy")


def measure(counts: Counts, name: str) -> NDArray[np.float64]:
    """A measure of counts (..., 4), without the last axis; NaN where it divides by nothing."""
    tp, fp, fn, tn = (counts[..., cell] for cell in (_TP, _FP, _FN, _TN))
    above, below = {
        "f1": (2 * tp, 2 * tp + fp + fn),
        "sensitivity": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "precision": (tp, tp + fp),
        "accuracy": (tp + tn, tp + fp + fn + tn),
    }[name]
    with np.errstate(invalid="ignore", divide="ignore"):
        result: NDArray[np.float64] = above / below
    return result


def tabulate(
    films: Sequence[Judged],
    labels: Sequence[str],
    protocol: Protocol,
    *,
    seed: int,
    uncertain_counts_as: State = State.ABSENT,
    replicates: int = REPLICATES,
) -> Table:
    """Compare text and labels of all films.

    Intervals are percentiles of `replicates` samples of the patients with replacement; the same seed gives the same.
    Where these have no width, proportions have Wilson's interval of as many as there are patients that count for them,
    and F1 and means none. Without a positive film there is no F1, whatever was said.
    """
    cells = _cells(films, labels, protocol, uncertain_counts_as)
    clusters, by_cluster = _by_cluster(films, cells)
    totals = by_cluster.sum(axis=0)
    resampled = np.tensordot(resample(len(clusters), seed, replicates), by_cluster, axes=1)
    rows = tuple(
        Row(
            label,
            int(totals[at, _TP] + totals[at, _FN]),
            int(totals[at, _FP] + totals[at, _TN]),
            _figures(totals[at], resampled[:, at], by_cluster[:, at]),
        )
        for at, label in enumerate(labels)
    )
    findings = [at for at, label in enumerate(labels) if label != NO_FINDING]
    totals, resampled = totals[findings], resampled[:, findings]
    macro = {name: _macro(totals, resampled, name) for name in MEASURES}
    pooled = _figures(totals.sum(axis=0), resampled.sum(axis=1), by_cluster[:, findings].sum(axis=1))
    return Table(protocol, len(films), len(clusters), rows, MappingProxyType(macro), pooled)


def resample(clusters: int, seed: int, replicates: int = REPLICATES) -> NDArray[np.float64]:
    """How often each cluster is drawn: (replicates, clusters), each row sums to `clusters`."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(clusters, np.full(clusters, 1 / clusters), size=replicates).astype(np.float64)


def interval(value: float, replicates: NDArray[np.float64]) -> Figure:
    """The percentiles that enclose `LEVEL` percent of the replicates; those without a value do not count."""
    known = replicates[~np.isnan(replicates)]
    if not known.size:
        return Figure(value, float("nan"), float("nan"))
    low, high = np.percentile(known, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return Figure(value, float(low), float(high))


def spread(figure: Figure) -> bool:
    """Whether the interval has a width. Without one it looks like certainty, where only the samples are alike."""
    return figure.high - figure.low > _WIDTH


def with_spread(figure: Figure) -> Figure:
    """The same, without the interval where that has no width."""
    return figure if spread(figure) else Figure(figure.value, float("nan"), float("nan"))


def by_wilson(value: float, clusters: int) -> Figure:
    """A share that is the same in each of so many clusters, with Wilson's 95 % interval of their number (1927).

    Where it is no whole number of clusters, as half of one, from that of the number below to that of the one above.
    """
    count = value * clusters
    low, high = share(math.floor(count + _WIDTH), clusters).low, share(math.ceil(count - _WIDTH), clusters).high
    return Figure(value, min(value, low), max(value, high))


def _cells(films: Sequence[Judged], labels: Sequence[str], protocol: Protocol, uncertain: State) -> NDArray[np.float64]:
    """(films, labels, 4): a one where the film stands for the label, or nothing where it does not count."""
    cells = np.zeros((len(films), len(labels), 4))
    for row, film in enumerate(films):
        for column, label in enumerate(labels):
            truth = _positive(film.reference.get(label), protocol, uncertain)
            said = _positive(film.predicted.get(label), protocol, uncertain)
            if truth is not None and said is not None:
                cells[row, column, {(1, 1): _TP, (0, 1): _FP, (1, 0): _FN, (0, 0): _TN}[truth, said]] = 1
    return cells


def _positive(state: State | None, protocol: Protocol, uncertain: State) -> bool | None:
    if protocol is Protocol.DEFINITE:
        return None if state in {None, State.UNCERTAIN} else state is State.PRESENT
    return (uncertain if state is State.UNCERTAIN else state) is State.PRESENT


def _by_cluster(films: Sequence[Judged], cells: NDArray[np.float64]) -> tuple[list[str], NDArray[np.float64]]:
    names = sorted({film.cluster for film in films})
    at = {name: index for index, name in enumerate(names)}
    summed = np.zeros((len(names), *cells.shape[1:]))
    np.add.at(summed, [at[film.cluster] for film in films], cells)
    return names, summed


def _figures(counts: Counts, resampled: Counts, by_cluster: Counts) -> Mapping[str, Figure]:
    """counts: (4,), resampled: (replicates, 4), by_cluster: (clusters, 4)."""
    return MappingProxyType({name: _figure(counts, resampled, by_cluster, name) for name in MEASURES})


def _figure(counts: Counts, resampled: Counts, by_cluster: Counts, name: str) -> Figure:
    found = interval(float(measure(counts, name)), measure(resampled, name))
    if np.isnan(found.value) or (name == "f1" and not _occurs(counts)):
        return Figure(float("nan"), float("nan"), float("nan"))
    if spread(found):
        return found
    if name == "f1":  # no proportion: it counts true positives twice
        return with_spread(found)
    return by_wilson(found.value, int((~np.isnan(measure(by_cluster, name))).sum()))


def _macro(counts: Counts, resampled: Counts, name: str) -> Figure:
    if name == "f1":
        counts, resampled = counts[_occurs(counts)], resampled[:, _occurs(counts)]
    return with_spread(interval(float(_mean(measure(counts, name))), _mean(measure(resampled, name))))


def _occurs(counts: Counts) -> NDArray[np.bool_]:
    """Whether there is a positive film: without one F1 is 0 of any text that names the finding, and says nothing."""
    return np.asarray(counts[..., _TP] + counts[..., _FN] > 0)


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the labels that have a value; NaN where none has one."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: NDArray[np.float64] = np.where(known, values, 0).sum(axis=-1) / known.sum(axis=-1)
    return mean
