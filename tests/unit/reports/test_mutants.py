"""Sixty-four kinds of broken document, each caught by our own checks: most peers and some validators take them."""

from __future__ import annotations

import pytest

from reports.checks import check_document, check_draft
from tests.unit.reports.coded import coded
from tests.unit.reports.films import CONFIG, draft, ordered_cr
from tests.unit.reports.mutants import MUTANTS, Mutant, problems
from tests.unit.reports.test_signed import signed


def test_there_are_sixty_four_of_them_with_a_name_each() -> None:
    assert len(MUTANTS) == len({mutant.name for mutant in MUTANTS}) == 64


def test_what_they_are_made_from_passes() -> None:
    source = ordered_cr()

    check_draft(draft(source), [source], CONFIG)
    check_document(signed(draft(source)), draft(source), CONFIG)
    check_document(coded(draft(source)), draft(source), CONFIG)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_broken_document_is_refused_for_what_is_broken(mutant: Mutant) -> None:
    assert any(mutant.problem in problem for problem in problems(mutant))
