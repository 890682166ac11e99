"""The first matching rule decides; one that cannot be asked never stops a study."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom import Dataset

from dicom_node.rules.decision import Decision, Standing, ask, decide
from dicom_node.rules.forms import make
from tests.unit.dicom_node.films import facts, image


def rules(*forms: dict[str, Any]) -> list[Standing]:
    return [Standing(form["name"], number, make(form)) for number, form in enumerate(forms, 1)]


def test_without_rules_a_study_is_read_as_routine_and_goes_everywhere() -> None:
    assert decide([], facts()) == Decision()
    assert (Decision().priority, Decision().to, Decision().exclude, Decision().reader) == ("routine", (), "", "")


def test_the_first_rule_that_matches_decides() -> None:
    three = rules(
        {"name": "ct", "when": ["Modality = CT"], "exclude": "no CT"},
        {"name": "er", "when": ["Modality = DX", "calling_ae = ER_CR1"], "priority": "stat", "to": ["PACS=shadow"]},
        {"name": "all", "reader": "cxr_llava"},
    )
    decision = decide(three, facts())

    assert (decision.rule, decision.version, decision.priority, decision.priority_from) == ("er", 2, "stat", "rule")
    assert (decision.to, decision.reader) == (("PACS=shadow",), "")


def test_a_disabled_rule_is_not_asked() -> None:
    assert decide(rules({"name": "off", "enabled": False, "exclude": "x"}), facts()).rule == ""


def test_a_rule_that_cannot_be_asked_is_remarked_and_the_next_one_is_asked() -> None:
    two = rules(
        {"name": "view", "when": ["ViewPosition = LL"], "exclude": "lateral"},
        {"name": "rest", "priority": "backlog"},
    )
    decision = decide(two, facts())

    assert (decision.rule, decision.exclude) == ("rest", "")
    assert decision.remarks == ("rule view cannot be asked: ViewPosition is absent",)


def test_a_condition_that_is_false_needs_no_answer_from_the_others() -> None:
    asked = ask(make({"name": "a", "when": ["ViewPosition = LL", "Modality = CT"]}), facts())

    assert asked.matched is False
    assert [holds for _, holds, _ in asked.answers] == [None, False]


def test_a_stored_rule_that_can_no_longer_be_read_is_passed_over() -> None:
    decision = decide([Standing("old", 3, None, "unknown key"), *rules({"name": "new", "priority": "stat"})], facts())

    assert (decision.rule, decision.remarks) == ("new", ("rule old cannot be read: unknown key",))


@pytest.mark.parametrize(
    ("told", "expected"),
    [("STAT", "stat"), ("high ", "stat"), ("ROUTINE", "routine"), ("LOW", "routine"), ("SOON", "routine")],
)
def test_priority_comes_from_the_request_where_no_rule_chose_one(told: str, expected: str) -> None:
    assert decide([], facts(image(RequestedProcedurePriority=told))).priority == expected


def test_priority_is_found_among_the_request_attributes_and_the_most_urgent_counts() -> None:
    routine, stat = Dataset(), Dataset()
    routine.RequestedProcedurePriority, stat.RequestedProcedurePriority = "ROUTINE", "STAT"
    asked = facts(image(RequestAttributesSequence=[routine, stat]))
    decision = decide(rules({"name": "all", "to": ["PACS"]}), asked)

    assert (decision.priority, decision.priority_from) == ("stat", "header")


def test_a_broken_header_counts_as_absent() -> None:
    broken = image()
    broken.add_new("PatientAge", "AS", "??")
    decision = decide(rules({"name": "children", "when": ["age < 18Y"], "exclude": "child"}), facts(broken))

    assert (decision.rule, decision.exclude, len(decision.remarks)) == ("", "", 1)
