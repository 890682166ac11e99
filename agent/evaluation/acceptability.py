"""How acceptable reports of both sources are to raters, and how far raters agree: shares, differences, Cohen's kappa.

Everything is counted by cluster, films of one patient: whoever is drawn in a resample brings all grades along.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.evaluation.agreement import Figure, by_wilson, interval, resample
from reports.grading.tables import Grade
from reports.quality import share

GRADES: Final = tuple(Grade)
POOLED: Final = "all raters"

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Graded:
    """One report in the hands of one rater. grade: None where it has none.

    again: the film was seen before with its other report. seconds: that the page was in sight.
    """

    rater: str
    item: str
    film: str
    cluster: str
    source: str
    grade: Grade | None
    again: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Row:
    """The grades of one source by one rater, or by all."""

    rater: str
    source: str
    graded: int
    missing: int
    counts: Mapping[Grade, int]
    shares: Mapping[Grade, Figure]
    success: Figure
    median_seconds: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Success of the first source less that of the second on the same films, from -1 to 1.

    pairs: a film that a rater graded with both reports; of several raters there are more than films.
    """

    rater: str
    films: int
    pairs: int
    figure: Figure


@dataclass(frozen=True, slots=True)
class Kappas:
    """How two raters agree about the reports that both graded; raters: two names, or `mean` of all pairs.

    same: share of equal grades. success: kappa of acceptable (A or B) or not.
    """

    raters: str
    source: str
    items: int
    same: Figure
    unweighted: Figure
    linear: Figure
    quadratic: Figure
    success: Figure


def rows(graded: Sequence[Graded], sources: Sequence[str], *, seed: int) -> list[Row]:
    """Each rater, then all together; a source a row."""
    raters = _raters(graded)
    whose = [(rater, [one for one in graded if one.rater == rater]) for rater in raters]
    if len(raters) > 1:
        whose.append((POOLED, list(graded)))
    return [
        _row(rater, source, [one for one in some if one.source == source], seed)
        for rater, some in whose
        for source in sources
    ]


def differences(graded: Sequence[Graded], first: str, second: str, *, seed: int) -> list[Difference]:
    """Of films that a rater graded with both reports; each rater, then all together."""
    raters = _raters(graded)
    paired = {rater: list(_pairs(graded, rater, first, second)) for rater in raters}
    if len(raters) > 1:
        paired[POOLED] = [pair for rater in raters for pair in paired[rater]]
    return [
        Difference(rater, len({film for film, _, _ in pairs}), len(pairs), _difference([p[1:] for p in pairs], seed))
        for rater, pairs in paired.items()
    ]


def agreement(graded: Sequence[Graded], sources: Sequence[str], *, seed: int) -> list[Kappas]:
    """Every two raters, and the mean of the pairs where there are more; over all reports, then by source."""
    found = []
    for source in ("all", *sources):
        part = [one for one in graded if source in {"all", one.source} and one.grade is not None]
        clusters = sorted({one.cluster for one in part})
        pairs = list(combinations(_raters(part), 2))
        tables = [_tables(part, clusters, *pair) for pair in pairs]
        if not tables:
            continue
        weights = resample(len(clusters), seed)
        found += [
            _kappas(" and ".join(pair), source, [table], weights) for pair, table in zip(pairs, tables, strict=True)
        ]
        if len(pairs) > 1:
            found.append(_kappas("mean of the pairs", source, tables, weights))
    return found


def proportion(hits: Iterable[bool], clusters: Iterable[str], *, seed: int) -> Figure:
    """A share and its 95 % interval.

    Where every cluster has one grade, Wilson's (1927). Else percentiles of resampled clusters; and where all clusters
    say the same, so that resampling shows no spread, Wilson's of the number of clusters.
    """
    hit, who = np.asarray(list(hits), dtype=np.float64), list(clusters)
    if not who:
        return Figure(math.nan, math.nan, math.nan)
    totals = _by_cluster(np.column_stack([hit, np.ones_like(hit)]), who)
    known = float(hit.mean())
    if len(totals) == len(who):
        return wilson(int(hit.sum()), len(who))
    if np.ptp(totals[:, 0] / totals[:, 1]) == 0:
        return by_wilson(known, len(totals))
    drawn = resample(len(totals), seed) @ totals
    return interval(known, drawn[:, 0] / drawn[:, 1])


def wilson(count: int, of: int) -> Figure:
    """A share with Wilson's 95 % interval (1927); NaN of nothing."""
    found = share(count, of)
    return Figure(found.value, found.low, found.high)


def kappa_of(tables: _Floats, kind: str) -> _Floats:
    """Cohen's kappa of tables (..., k, k), rows one rater, columns the other (Cohen 1960, weighted 1968).

    kind: unweighted, linear or quadratic, by the distance of the categories; NaN where chance alone explains all.
    """
    size = tables.shape[-1]
    apart = np.abs(np.subtract.outer(np.arange(size), np.arange(size))).astype(np.float64)
    penalty = {"unweighted": (apart > 0).astype(np.float64), "linear": apart, "quadratic": apart**2}[kind]
    number = tables.sum(axis=(-1, -2))
    by_chance = tables.sum(axis=-1)[..., :, None] * tables.sum(axis=-2)[..., None, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        seen = (penalty * tables).sum(axis=(-1, -2)) / number
        chance = (penalty * by_chance).sum(axis=(-1, -2)) / number**2
        found: _Floats = np.where(chance > 0, 1 - seen / chance, np.nan)
    return found


def _raters(graded: Iterable[Graded]) -> list[str]:
    return list(dict.fromkeys(one.rater for one in graded))


def _row(rater: str, source: str, some: Sequence[Graded], seed: int) -> Row:
    known = [one for one in some if one.grade is not None]
    clusters = [one.cluster for one in known]
    counts = Counter(one.grade for one in known)
    seconds = [one.seconds for one in known]
    return Row(
        rater=rater,
        source=source,
        graded=len(known),
        missing=len(some) - len(known),
        counts={grade: counts[grade] for grade in GRADES},
        shares={grade: proportion((one.grade is grade for one in known), clusters, seed=seed) for grade in GRADES},
        success=proportion((_is_success(one) for one in known), clusters, seed=seed),
        median_seconds=float(np.median(seconds)) if seconds else math.nan,
    )


def _is_success(one: Graded) -> bool:
    return one.grade is not None and one.grade.is_success


def _pairs(graded: Iterable[Graded], rater: str, first: str, second: str) -> Iterable[tuple[str, str, float]]:
    """Name, cluster and difference of success of each film with both grades."""
    by_film: dict[str, dict[str, Graded]] = {}
    for one in graded:
        if one.rater == rater and one.grade is not None:
            by_film.setdefault(one.film, {})[one.source] = one
    for film, both in by_film.items():
        if first in both and second in both:
            yield film, both[first].cluster, float(_is_success(both[first])) - float(_is_success(both[second]))


def _difference(pairs: Sequence[tuple[str, float]], seed: int) -> Figure:
    """The mean with percentiles of resampled clusters.

    Where all clusters differ by the same, resampling shows no spread: then as far as a share of films could be hidden
    that differ otherwise (Wilson's bound for none of so many).
    """
    if not pairs:
        return Figure(math.nan, math.nan, math.nan)
    clusters = [cluster for cluster, _ in pairs]
    totals = _by_cluster(np.array([(difference, 1.0) for _, difference in pairs]), clusters)
    known = float(totals[:, 0].sum() / totals[:, 1].sum())
    if np.ptp(totals[:, 0] / totals[:, 1]) == 0:
        hidden = wilson(0, len(totals)).high
        return Figure(known, max(known - hidden, -1.0), min(known + hidden, 1.0))
    drawn = resample(len(totals), seed) @ totals
    return interval(known, drawn[:, 0] / drawn[:, 1])


def _by_cluster(values: _Floats, clusters: Sequence[str]) -> _Floats:
    """Sums of the rows, one row a cluster."""
    at = {name: place for place, name in enumerate(sorted(set(clusters)))}
    summed = np.zeros((len(at), values.shape[1]))
    np.add.at(summed, [at[name] for name in clusters], values)
    return summed


def _tables(part: Sequence[Graded], clusters: Sequence[str], first: str, second: str) -> _Floats:
    """(clusters, 4, 4): how often one said this and the other that."""
    at = {name: place for place, name in enumerate(clusters)}
    said: dict[str, dict[str, Graded]] = {}
    for one in part:
        said.setdefault(one.item, {})[one.rater] = one
    tables = np.zeros((len(clusters), len(GRADES), len(GRADES)))
    for both in said.values():
        if first in both and second in both:
            one, other = both[first], both[second]
            assert one.grade is not None
            assert other.grade is not None
            tables[at[one.cluster], GRADES.index(one.grade), GRADES.index(other.grade)] += 1
    return tables


def _kappas(raters: str, source: str, tables: Sequence[_Floats], weights: _Floats) -> Kappas:
    """Of one pair, or the mean of several: all resampled together. A pair without a kappa does not count in a mean."""
    whole = np.stack([table.sum(axis=0) for table in tables])
    drawn = np.stack([np.tensordot(weights, table, axes=1) for table in tables])
    halves, drawn_halves = _in_two(whole), _in_two(drawn)
    return Kappas(
        raters=raters,
        source=source,
        items=int(whole.sum()),
        same=_mean(_equal(whole), _equal(drawn)),
        unweighted=_mean(kappa_of(whole, "unweighted"), kappa_of(drawn, "unweighted")),
        linear=_mean(kappa_of(whole, "linear"), kappa_of(drawn, "linear")),
        quadratic=_mean(kappa_of(whole, "quadratic"), kappa_of(drawn, "quadratic")),
        success=_mean(kappa_of(halves, "unweighted"), kappa_of(drawn_halves, "unweighted")),
    )


def _in_two(tables: _Floats) -> _Floats:
    """(..., 2, 2): success or not."""
    middle = sum(grade.is_success for grade in GRADES)
    halves = np.add.reduceat(np.add.reduceat(tables, [0, middle], axis=-1), [0, middle], axis=-2)
    return np.asarray(halves, dtype=np.float64)


def _equal(tables: _Floats) -> _Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        found: _Floats = np.trace(tables, axis1=-2, axis2=-1) / tables.sum(axis=(-1, -2))
    return found


def _mean(whole: _Floats, drawn: _Floats) -> Figure:
    """whole: (pairs,); drawn: (pairs, replicates)."""
    known = ~np.isnan(whole)
    if not known.any():
        return Figure(math.nan, math.nan, math.nan)
    return interval(float(whole[known].mean()), drawn[known].mean(axis=0))
