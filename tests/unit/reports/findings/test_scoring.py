"""Counts, the map of what uncertain counts as, and that only the scorer applies it."""

from __future__ import annotations

import pytest

from reports.findings import LABELS, State, extract
from reports.findings.labels import CHEXPERT, NEGBIO
from reports.findings.scoring import SCORED, Score, counts_as_present, fit, micro, score, uncertain_map

PNEUMONIA = frozenset({"Pneumonia"})


def test_both_label_sets_are_whole() -> None:
    assert len(CHEXPERT) == len(NEGBIO) == 14
    assert set(LABELS) == set(CHEXPERT) | set(NEGBIO) | {"normal"}


def test_the_score_is_what_its_definition_says() -> None:
    one = Score(true_positives=6, false_positives=2, false_negatives=4)

    assert (one.precision, one.recall) == (0.75, 0.6)
    assert one.f1 == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6))
    assert Score(0, 0, 0).f1 == 0


def test_reports_are_counted_a_label_at_a_time_and_added_up() -> None:
    reports = [
        (extract("Pneumonia."), PNEUMONIA),
        (extract("Pneumonia. Edema."), frozenset[str]()),
        (extract("No pneumonia."), PNEUMONIA),
        (extract("Edema."), frozenset({"Edema"})),
    ]

    scores = score(reports, ("Pneumonia", "Edema"))

    assert scores == {"Pneumonia": Score(1, 1, 1), "Edema": Score(1, 1, 0)}
    assert micro(scores) == Score(2, 2, 1)


def test_uncertain_counts_as_the_map_says_and_stays_uncertain_in_the_findings() -> None:
    found = extract("Possible pneumonia.")

    assert not counts_as_present(found, "Pneumonia")
    assert counts_as_present(found, "Pneumonia", {"Pneumonia": State.PRESENT})
    assert not counts_as_present(found, "Pneumonia", {"Pneumonia": State.ABSENT})
    assert not counts_as_present(found, "Edema", {"Edema": State.PRESENT})
    assert found.by_label["Pneumonia"].state is State.UNCERTAIN


def test_a_map_is_fitted_to_what_people_called_the_uncertain_ones() -> None:
    reports = [
        (extract("Possible pneumonia. Possible edema."), PNEUMONIA),
        (extract("Possible pneumonia. Edema."), frozenset({"Pneumonia", "Edema"})),
        (extract("Possible edema."), frozenset[str]()),
    ]

    assert fit(reports, ("Pneumonia", "Edema", "Mass")) == {
        "Pneumonia": State.PRESENT,
        "Edema": State.ABSENT,
        "Mass": State.ABSENT,
    }


def test_the_published_map_answers_for_every_label_with_present_or_absent() -> None:
    published = uncertain_map()

    assert tuple(published) == LABELS
    assert set(published.values()) == {State.PRESENT, State.ABSENT}
    assert set(SCORED) < set(published)
