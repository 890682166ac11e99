"""How well scores rank films: the area under the ROC curve, and agreement beyond chance."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from agent.evaluation.agreement import REPLICATES, Figure, interval, resample


def area(scores: NDArray[np.float64], positive: NDArray[np.bool_], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area under the ROC curve, ties as halves (Mann and Whitney 1947).

    scores, positive: (films,). weights: (replicates, films), how often each film counts. Returns (replicates,), NaN
    where one of the two classes is empty.
    """
    _, group = np.unique(scores, return_inverse=True)
    groups = int(group.max()) + 1
    above = np.zeros((weights.shape[0], groups))
    below = np.zeros((weights.shape[0], groups))
    for into, which in ((above, positive), (below, ~positive)):
        np.add.at(into.T, group[which], weights[:, which].T)
    lower = np.cumsum(below, axis=1) - below
    with np.errstate(invalid="ignore", divide="ignore"):
        result: NDArray[np.float64] = (above * (lower + below / 2)).sum(axis=1) / (
            above.sum(axis=1) * below.sum(axis=1)
        )
    return result


def auc(
    scores: Sequence[float],
    positive: Sequence[bool],
    clusters: Sequence[Hashable],
    *,
    seed: int,
    replicates: int = REPLICATES,
) -> Figure:
    """The area and its interval by resampling clusters."""
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=np.bool_)
    at, weights = _weights(clusters, seed, replicates)
    whole = area(values, truth, np.ones((1, len(values))))[0]
    return interval(float(whole), area(values, truth, weights[:, at]))


def auc_difference(
    first: Sequence[float],
    second: Sequence[float],
    positive: Sequence[bool],
    clusters: Sequence[Hashable],
    *,
    seed: int,
    replicates: int = REPLICATES,
) -> Figure:
    """`first` less `second` on the same films, paired: both are resampled together."""
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    truth = np.asarray(positive, dtype=np.bool_)
    at, weights = _weights(clusters, seed, replicates)
    ones = np.ones((1, len(truth)))
    whole = area(one, truth, ones)[0] - area(other, truth, ones)[0]
    return interval(float(whole), area(one, truth, weights[:, at]) - area(other, truth, weights[:, at]))


def kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Cohen's kappa of two sequences of the same length; NaN where chance alone explains all (Cohen 1960)."""
    names = sorted({*first, *second}, key=str)
    at = {name: index for index, name in enumerate(names)}
    table = np.zeros((len(names), len(names)))
    for one, other in zip(first, second, strict=True):
        table[at[one], at[other]] += 1
    table /= max(1, len(first))
    observed, chance = float(np.trace(table)), float(table.sum(axis=1) @ table.sum(axis=0))
    return (observed - chance) / (1 - chance) if chance < 1 else float("nan")


def _weights(clusters: Sequence[Hashable], seed: int, replicates: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    names = sorted(set(clusters), key=str)
    index = {name: at for at, name in enumerate(names)}
    return np.asarray([index[name] for name in clusters]), resample(len(names), seed, replicates)
