"""How much was changed, and where chips contradict the text."""

from __future__ import annotations

import random

import pytest

from reports.findings import State
from reports.signoff.edits import Contradiction, compared, distance, narrative, refused, warnings
from reports.signoff.tables import Verdict
from reports.text import DraftText

DRAFT = DraftText(
    "The lungs are clear. There is no pneumothorax. The heart is of normal size, and the bones are intact.",
    "No acute process in the chest.",
)


@pytest.mark.parametrize(
    ("before", "after", "steps"),
    [
        ("", "", 0),
        ("a b c", "a b c", 0),
        ("a b c", "a x c", 1),
        ("a b c", "a c", 1),
        ("a c", "a b c", 1),
        ("a b", "c d e", 3),
        ("", "a b", 2),
        ("kitten sitting on", "on sitting kitten", 2),
    ],
)
def test_the_distance_is_the_least_number_of_words(before: str, after: str, steps: int) -> None:
    assert distance(before.split(), after.split()) == steps


def test_the_distance_is_a_metric() -> None:
    """Against the plain table of Wagner and Fischer, on texts made by chance."""
    chance = random.Random(7)
    for _ in range(200):
        one, two = ([chance.choice("abcd") for _ in range(chance.randrange(9))] for _ in range(2))
        rows = [[max(i, j) if not (i and j) else 0 for j in range(len(two) + 1)] for i in range(len(one) + 1)]
        for i, first in enumerate(one, 1):
            for j, second in enumerate(two, 1):
                rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (first != second))
        assert distance(one, two) == distance(two, one) == rows[-1][-1]


def test_two_long_texts_take_no_time() -> None:
    assert distance(["a"] * 20000, ["b"] * 20000) == 20000
    assert distance(["a"] * 20000 + ["b"], ["a"] * 20000 + ["c"]) == 1


@pytest.mark.parametrize(
    ("findings", "impression", "verdict"),
    [
        (DRAFT.findings, DRAFT.impression, Verdict.ACCEPTED),
        (DRAFT.findings.replace("intact", "unremarkable"), DRAFT.impression, Verdict.MINOR),
        (DRAFT.findings.replace("no pneumothorax", "a pneumothorax"), DRAFT.impression, Verdict.MAJOR),
        (DRAFT.findings + " There is a small pleural effusion.", DRAFT.impression, Verdict.MAJOR),
        (f"{DRAFT.findings} {'Nothing else is to be said. ' * 9}", DRAFT.impression, Verdict.MAJOR),
    ],
    ids=["nothing", "a word", "a finding", "one more finding", "many words"],
)
def test_the_verdict_follows_the_rule(findings: str, impression: str, verdict: Verdict) -> None:
    edit = compared(DRAFT, DraftText(findings, impression))
    assert edit.verdict is verdict
    assert edit.drafted["Pneumothorax"] == "absent"


def test_a_rejected_draft_has_no_words_of_a_person() -> None:
    edit = refused(DRAFT)
    assert (edit.verdict, edit.words_signed, edit.words_changed, dict(edit.signed)) == (Verdict.REJECTED, 0, 0, {})
    assert edit.words_drafted > 10


def test_chips_that_contradict_the_text_are_named_with_the_sentence() -> None:
    chips = {"Pneumothorax": "present", "Cardiomegaly": "absent", "Fracture": "present", "Pleural Effusion": "absent"}
    found = {one.label: one for one in warnings(DRAFT, chips)}
    assert found["Pneumothorax"].said is State.ABSENT
    assert quoted(DRAFT, found["Pneumothorax"]) == ["There is no pneumothorax"]
    assert found["Pneumothorax"].sentence == "Pneumothorax is set to present, the text says absent."
    assert found["Pleural Effusion"].sentence == "Pleural Effusion is set to absent, the text does not mention it."


@pytest.mark.parametrize("state", list(State))
def test_what_is_set_must_be_said(state: State) -> None:
    (one,) = warnings(DRAFT, {"Edema": state.value})
    assert (one.said, one.sentences) == (None, ())
    assert one.sentence == f"Edema is set to {state.value}, the text does not mention it."


def quoted(text: DraftText, one: Contradiction) -> list[str]:
    return [narrative(text)[slice(*span)] for span in one.sentences]


@pytest.mark.parametrize(
    ("findings", "impression", "chips", "told"),
    [
        ("Large right pneumothorax.", "No pneumothorax.", {}, ["Large right pneumothorax", "No pneumothorax"]),
        ("No pleural effusion.", "Small left effusion.", {}, ["Small left effusion", "No pleural effusion"]),
        ("No fracture.", "Fracture of the left sixth rib.", {}, ["Fracture of the left sixth rib", "No fracture"]),
        # what the button of a chip inserts, beside the sentence that denies it
        ("No edema. Edema is present.", "", {"Edema": "present"}, ["Edema is present", "No edema"]),
        ("Edema is present. No edema.", "", {"Edema": "absent"}, ["Edema is present", "No edema"]),
        ("No focal opacity.", "Opacity.", {"Lung Opacity": "present"}, ["Opacity", "No focal opacity"]),
        ("No large effusion. Effusion.", "", {"Pleural Effusion": "present"}, ["Effusion", "No large effusion"]),
    ],
)
def test_a_text_that_says_both_is_named_with_both_sentences(
    findings: str, impression: str, chips: dict[str, str], told: list[str]
) -> None:
    text = DraftText(findings, impression)
    both = [one for one in warnings(text, chips) if one.chip is None]
    assert [quoted(text, one) for one in both] == [told]
    assert both[0].sentence == f"{both[0].label}: the text says that it is present, and that it is absent."


@pytest.mark.parametrize(
    "findings",
    [
        DRAFT.findings,
        "No large effusion. There is a small left effusion.",
        "No right effusion. There is a left effusion.",
        "No focal opacity. Streaky opacities in the bases.",
        "No nodule. There is a mass.",
        "The nasogastric tube was removed. A left PICC is seen.",
    ],
)
def test_ordinary_english_is_no_contradiction(findings: str) -> None:
    assert warnings(DraftText(findings, ""), {}) == ()


@pytest.mark.parametrize(("findings", "alone"), [("No pneumothorax.", True), ("No pneumothorax or effusion.", False)])
def test_a_sentence_of_other_findings_is_not_offered_for_replacement(findings: str, *, alone: bool) -> None:
    (one,) = warnings(DraftText(findings, ""), {"Pneumothorax": "present"})
    assert one.alone is alone


@pytest.mark.parametrize("label", ["No Finding", "normal"])
def test_a_chip_against_a_film_that_only_denies_is_told_of(label: str) -> None:
    """The labels of a normal film may stand on denials alone: no mention says what their state says."""
    text = DraftText("No pneumothorax. No effusion. No consolidation. No edema.", "No fracture.")
    (one,) = warnings(text, {label: "absent"})
    assert (one.chip, one.said, one.alone) == (State.ABSENT, State.PRESENT, False)
    assert quoted(text, one) == ["No pneumothorax"]
    assert warnings(text, {label: "present"}) == ()
