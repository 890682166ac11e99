"""Shares, differences and kappas against values that others have published or that were reckoned by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agent.evaluation.acceptability import (
    POOLED,
    Graded,
    agreement,
    differences,
    kappa_of,
    proportion,
    rows,
    wilson,
)
from reports.grading.tables import Grade


def table(first: list[int], second: list[int], size: int) -> np.ndarray:
    found = np.zeros((size, size))
    for one, other in zip(first, second, strict=True):
        found[one, other] += 1
    return found


def graded(rater: str, source: str, grades: str, *, cluster: str = "") -> list[Graded]:
    """A film a letter; - has no grade. cluster: of all; empty: each film its own."""
    return [
        Graded(
            rater=rater,
            item=f"{source} {number}",
            film=f"film {number}",
            cluster=cluster or f"patient {number}",
            source=source,
            grade=None if letter == "-" else Grade(letter),
            again=False,
            seconds=10.0 + number,
        )
        for number, letter in enumerate(grades)
    ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("unweighted", 0.9315), ("linear", 0.9412), ("quadratic", 0.9541)],
)
def test_weighted_kappas_are_those_of_the_example_of_scikit_learn(kind: str, expected: float) -> None:
    first = [0] * 46 + [1] * 44 + [2] * 10
    second = [0] * 50 + [1] * 40 + [2] * 10
    assert float(kappa_of(table(first, second, 3), kind)) == pytest.approx(expected, abs=5e-5)


def test_kappa_is_that_of_artstein_and_poesio_and_is_0_by_chance() -> None:
    first = [0] * 40 + [1] * 60
    second = [0] * 20 + [1] * 20 + [0] * 10 + [1] * 50
    assert float(kappa_of(table(first, second, 2), "unweighted")) == pytest.approx(0.348, abs=5e-4)
    assert float(kappa_of(np.array([[25.0, 25], [25, 25]]), "unweighted")) == pytest.approx(0)
    assert math.isnan(float(kappa_of(np.array([[9.0, 0], [0, 0]]), "quadratic")))


@pytest.mark.parametrize(
    ("count", "of", "low", "high"), [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (81, 263, 0.2553, 0.3662)]
)
def test_shares_have_the_interval_of_wilson(count: int, of: int, low: float, high: float) -> None:
    """81 of 263: Newcombe 1998, table I."""
    found = wilson(count, of)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    clusters = [str(number) for number in range(of)]
    assert proportion([number < count for number in range(of)], clusters, seed=1) == found


def test_grades_of_one_patient_count_as_one_cluster() -> None:
    hits = [True, True, True, True, False, False, False, False] * 5
    apart = proportion(hits, [str(number) for number in range(40)], seed=1)
    together = proportion(hits, [str(number // 4) for number in range(40)], seed=1)

    assert apart.value == together.value == 0.5
    assert together.high - together.low > 1.5 * (apart.high - apart.low)
    assert proportion(hits, [str(number // 4) for number in range(40)], seed=1) == together


def test_where_all_are_alike_the_interval_is_not_a_point() -> None:
    found = proportion([True] * 20, [str(number // 2) for number in range(20)], seed=1)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(wilson(10, 10).low)
    assert math.isnan(proportion([], [], seed=1).value)


def test_rows_count_grades_missing_ones_and_successes() -> None:
    both = graded("ann", "ai", "AABCD-") + graded("ann", "original", "ABBBBA") + graded("ben", "ai", "DDDDDD")
    found = {(row.rater, row.source): row for row in rows(both, ("ai", "original"), seed=1)}

    ann = found["ann", "ai"]
    assert (ann.graded, ann.missing) == (5, 1)
    assert dict(ann.counts) == {Grade.A: 2, Grade.B: 1, Grade.C: 1, Grade.D: 1}
    assert ann.success.value == 0.6
    assert ann.shares[Grade.A] == wilson(2, 5)
    assert ann.median_seconds == 12.0
    assert found["ann", "original"].success.value == 1.0
    pooled = found[POOLED, "ai"]
    assert (pooled.graded, pooled.success.value) == (11, pytest.approx(3 / 11))
    assert found["ben", "original"].graded == 0
    assert math.isnan(found["ben", "original"].success.value)


def test_one_rater_is_not_pooled_with_nobody() -> None:
    assert {row.rater for row in rows(graded("ann", "ai", "AB"), ("ai",), seed=1)} == {"ann"}


def test_the_difference_is_of_films_with_both_grades() -> None:
    both = graded("ann", "ai", "AC-DB" * 8) + graded("ann", "original", "AAAAC" * 8)
    (found,) = differences(both, "ai", "original", seed=1)

    assert (found.films, found.pairs) == (32, 32)
    assert found.figure.value == pytest.approx((0 - 1 - 1 + 1) / 4)
    assert -0.6 < found.figure.low < found.figure.value < found.figure.high < 0.1


def test_films_are_counted_once_however_many_grade_them() -> None:
    both = [one for name in ("ann", "ben") for source in ("ai", "original") for one in graded(name, source, "ABC")]
    of_ann, _, together = differences(both, "ai", "original", seed=1)
    assert (of_ann.films, of_ann.pairs) == (3, 3)
    assert (together.films, together.pairs) == (3, 6)


def test_a_difference_without_spread_still_has_an_interval() -> None:
    both = graded("ann", "ai", "AAAAAAAAAA") + graded("ann", "original", "BBBBBBBBBB")
    (found,) = differences(both, "ai", "original", seed=1)
    assert found.figure.value == 0
    assert (found.figure.low, found.figure.high) == (pytest.approx(-0.2775, abs=5e-5), pytest.approx(0.2775, abs=5e-5))


def test_agreement_is_of_what_both_graded() -> None:
    ann, ben = "AABBCCDDA-", "ABBBCDDDCA"
    both = graded("ann", "ai", ann) + graded("ben", "ai", ben)
    overall, ai = agreement(both, ("ai",), seed=1)

    assert (overall.raters, overall.source, ai.source) == ("ann and ben", "all", "ai")
    assert overall.items == ai.items == 9
    assert overall.same.value == pytest.approx(6 / 9)
    # by hand: rows ann, columns ben; chance: A 3*1, B 2*3, C 2*2, D 2*3 of 81
    assert overall.unweighted.value == pytest.approx((6 / 9 - 19 / 81) / (1 - 19 / 81))
    # success: both yes 4, both no 4, ann alone 1; chance (5*4 + 4*5) of 81
    assert overall.success.value == pytest.approx((8 / 9 - 40 / 81) / (1 - 40 / 81))
    assert overall.unweighted.low < overall.unweighted.value < overall.unweighted.high
    assert overall.quadratic.value > overall.linear.value > 0


def test_of_three_raters_there_are_pairs_and_their_mean() -> None:
    grades = {"ann": "ABCDABCD", "ben": "ABCDABCD", "cem": "BADCBADC"}
    found = agreement([one for name, some in grades.items() for one in graded(name, "ai", some)], ("ai",), seed=1)
    overall = {one.raters: one for one in found if one.source == "all"}

    assert set(overall) == {"ann and ben", "ann and cem", "ben and cem", "mean of the pairs"}
    assert overall["ann and ben"].unweighted.value == 1
    assert overall["ann and cem"].unweighted.value == pytest.approx(-1 / 3)
    assert overall["mean of the pairs"].unweighted.value == pytest.approx((1 - 2 / 3) / 3)
    assert overall["mean of the pairs"].items == 24
    assert overall["ann and cem"].success.value == 1  # they differ in the letter alone
