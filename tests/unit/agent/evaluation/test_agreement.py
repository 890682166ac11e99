"""Counts, measures and intervals, against figures worked out by hand or by counting pairs one by one."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.evaluation.agreement import Judged, Protocol, tabulate
from agent.evaluation.ranking import area, auc, auc_difference, kappa
from reports.findings import State

P, A, U = State.PRESENT, State.ABSENT, State.UNCERTAIN
LABEL = "Edema"


def judged(number: int, reference: State | None, predicted: State | None, cluster: str = "") -> Judged:
    return Judged(
        str(number),
        cluster or str(number),
        {LABEL: reference} if reference else {},
        {LABEL: predicted} if predicted else {},
    )


# One film for each pair of what is known and what is said.
PAIRS = [judged(number, *pair) for number, pair in enumerate(product((P, A, U, None), repeat=2))]


def row(films: list[Judged], protocol: Protocol, **settings: object) -> dict[str, float]:
    table = tabulate(films, [LABEL], protocol, seed=1, replicates=50, **settings)  # type: ignore[arg-type]
    found = {name: figure.value for name, figure in table.rows[0].figures.items()}
    return {**found, "positives": table.rows[0].positives, "negatives": table.rows[0].negatives}


def test_definite_protocol_counts_only_what_both_sides_say() -> None:
    found = row(PAIRS, Protocol.DEFINITE)
    assert (found["positives"], found["negatives"]) == (2, 2)
    assert (found["sensitivity"], found["specificity"], found["f1"], found["accuracy"]) == (0.5, 0.5, 0.5, 0.5)


def test_all_films_count_and_silence_is_negative() -> None:
    found = row(PAIRS, Protocol.ALL)
    assert (found["positives"], found["negatives"]) == (4, 12)
    assert found["sensitivity"] == 1 / 4
    assert found["specificity"] == 9 / 12
    assert found["f1"] == pytest.approx(2 * 1 / (2 * 1 + 3 + 3))


def test_uncertain_may_count_as_present() -> None:
    found = row(PAIRS, Protocol.ALL, uncertain_counts_as=P)
    assert (found["positives"], found["negatives"]) == (8, 8)
    assert found["sensitivity"] == 4 / 8


def test_a_finding_that_never_occurs_has_no_f1_and_does_not_pull_the_mean_down() -> None:
    films = [Judged(str(n), str(n), {"Edema": P, "Mass": A}, {"Edema": P, "Mass": A}) for n in range(4)]
    table = tabulate(films, ["Edema", "Mass"], Protocol.ALL, seed=1, replicates=50)
    assert math.isnan(table.rows[1].figures["f1"].value)
    assert (table.macro["f1"].value, table.pooled["f1"].value) == (1, 1)


def test_a_finding_that_never_occurs_has_no_f1_where_it_was_said_either() -> None:
    films = [Judged(str(n), str(n), {"Edema": P, "Mass": A}, {"Edema": P, "Mass": P if n else A}) for n in range(4)]
    table = tabulate(films, ["Edema", "Mass"], Protocol.ALL, seed=1, replicates=50)
    assert math.isnan(table.rows[1].figures["f1"].value)
    assert table.rows[1].figures["specificity"].value == 0.25
    assert table.macro["f1"].value == 1
    alone = tabulate(films, ["Mass"], Protocol.ALL, seed=1, replicates=50)
    assert math.isnan(alone.macro["f1"].value)
    assert math.isnan(alone.pooled["f1"].value)


def test_proportions_that_are_alike_in_every_sample_have_the_interval_of_wilson() -> None:
    """Four of four positive films found, and all of six others: 1.00, of which little is known."""
    films = [judged(n, P if n < 4 else A, P if n < 4 else A) for n in range(10)]
    table = tabulate(films, [LABEL], Protocol.ALL, seed=1)
    for figures in (table.rows[0].figures, table.pooled):
        found = {name: (figure.low, figure.high) for name, figure in figures.items()}
        # Wilson's lower bound of n of n is n / (n + z * z)
        assert found["sensitivity"] == (pytest.approx(4 / (4 + 1.959964**2)), 1)
        assert found["specificity"] == (pytest.approx(6 / (6 + 1.959964**2)), 1)
        assert found["accuracy"] == (pytest.approx(10 / (10 + 1.959964**2)), 1)
        assert np.isnan(found["f1"]).all()
    assert (table.macro["sensitivity"].value, math.isnan(table.macro["sensitivity"].low)) == (1, True)


def test_patients_and_not_films_count_where_every_sample_is_alike() -> None:
    """Two films of each of three patients, one of them found: 0.50 in every sample."""
    films = [judged(n, P, P if n % 2 else A, str(n // 2)) for n in range(6)]
    found = tabulate(films, [LABEL], Protocol.ALL, seed=1).rows[0].figures["sensitivity"]
    assert found.value == 0.5
    assert found.low < 0.25
    assert found.low + found.high == pytest.approx(1)


def test_macro_and_pooled_are_two_things() -> None:
    films = [Judged(str(n), str(n), {"Edema": P, "Mass": P if n == 0 else A}, {"Edema": P}) for n in range(4)]
    table = tabulate(films, ["Edema", "Mass"], Protocol.ALL, seed=1, replicates=50)
    assert table.macro["f1"].value == 0.5
    assert table.pooled["f1"].value == pytest.approx(2 * 4 / (2 * 4 + 1))


def test_films_of_one_patient_are_drawn_together() -> None:
    """Ten right and ten wrong films: of twenty patients the interval is wide, of two it reaches both ends."""
    many = [judged(n, P, P if n < 10 else A) for n in range(20)]
    two = [judged(n, P, P if n < 10 else A, "a" if n < 10 else "b") for n in range(20)]
    wide, ends = (
        tabulate(films, [LABEL], Protocol.ALL, seed=7).rows[0].figures["sensitivity"] for films in (many, two)
    )
    assert (ends.low, ends.high) == (0, 1)
    assert 0.2 < wide.low < 0.4
    assert 0.6 < wide.high < 0.8


def test_the_same_seed_gives_the_same_interval_and_another_one_another() -> None:
    films = [judged(n, P if n % 7 else A, P if n % 3 else A, str(n // (1 + n % 4))) for n in range(400)]
    one, same, other = (tabulate(films, [LABEL], Protocol.ALL, seed=seed).pooled for seed in (1, 1, 2))
    assert one == same
    assert one != other


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40).filter(
        lambda films: {positive for _, positive in films} == {True, False}
    )
)
def test_area_is_the_share_of_pairs_in_the_right_order(films: list[tuple[int, bool]]) -> None:
    pairs = [(p, n) for p, positive in films if positive for n, negative in films if not negative]
    expected = sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)
    scores, truth = (np.array(column) for column in zip(*films, strict=True))
    assert area(scores.astype(float), truth, np.ones((1, len(films))))[0] == pytest.approx(expected)


def test_weights_count_films_several_times() -> None:
    scores, truth = np.array([1.0, 2.0, 3.0]), np.array([False, True, False])
    repeated = area(np.array([1.0, 1.0, 2.0, 3.0]), np.array([False, False, True, False]), np.ones((1, 4)))[0]
    assert area(scores, truth, np.array([[2.0, 1.0, 1.0]]))[0] == pytest.approx(repeated)


def test_a_better_score_differs_from_a_worse_one_and_not_from_itself() -> None:
    random = np.random.default_rng(3)
    truth = random.random(300) < 0.5
    good, bad = truth + random.normal(0, 0.5, 300), random.normal(0, 1, 300)
    patients = [number // 2 for number in range(300)]
    better = auc_difference(good, bad, truth, patients, seed=1)
    assert better.low > 0.2
    assert auc_difference(good, good, truth, patients, seed=1).high == 0
    assert auc(good, truth, patients, seed=1).value > 0.9


def test_kappa() -> None:
    assert kappa("yyynnn", "yyynnn") == 1
    assert kappa("yyynnn", "nnnyyy") == -1
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: observed 0.7, by chance 0.5
    assert kappa("y" * 25 + "n" * 25, "y" * 20 + "n" * 5 + "y" * 10 + "n" * 15) == pytest.approx(0.4)
    assert math.isnan(kappa("yyy", "yyy"))
