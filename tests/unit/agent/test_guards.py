"""Texts that must never become a draft, and ordinary reports that must not be stopped."""

from __future__ import annotations

import pytest

from agent.readers.guards import check, repeats
from agent.readers.protocol import UnreadableText

REPORT = (
    "FINDINGS: The lungs are clear. There is no pleural effusion. There is no pneumothorax. There is no focal "
    "consolidation. The cardiomediastinal silhouette is within normal limits. No acute osseous abnormality.\n"
    "IMPRESSION: No acute cardiopulmonary process. No pleural effusion. No pneumothorax."
)


def code_of(text: str, *, ended: bool = True) -> str:
    with pytest.raises(UnreadableText) as caught:
        check(text, ended=ended)
    assert len(text) < 12 or text not in str(caught.value)
    return caught.value.code


def test_an_ordinary_report_passes_without_outer_blanks() -> None:
    assert check(f"  {REPORT}\n", ended=True) == REPORT


@pytest.mark.parametrize(
    "text",
    [
        "No evidence of acute cardiopulmonary disease.",
        "심장 크기는 정상이며 폐에 활동성 병변은 보이지 않습니다.",
        "Mild, mild to moderate cardiomegaly; no no-focal consolidation.",
        "Lines and tubes: endotracheal tube, enteric tube and right internal jugular line in standard position.\n" * 2,
    ],
)
def test_reports_of_other_shapes_pass(text: str) -> None:
    assert check(text, ended=True) == text.strip()


@pytest.mark.parametrize("text", ["", " \n", ".", "- - -", "No.", "123 456 789 000"])
def test_nothing_said_is_empty(text: str) -> None:
    assert code_of(text) == "empty-text"


def test_a_text_that_was_cut_off_is_endless() -> None:
    assert code_of(REPORT, ended=False) == "endless-text"


@pytest.mark.parametrize("bad", ["\x00", "\x1b", "\ufffd", "\ue000", "\x85"])
def test_control_and_replacement_characters_are_unprintable(bad: str) -> None:
    assert code_of(f"The lungs are clear{bad} and the heart is normal.") == "unprintable-text"


@pytest.mark.parametrize(
    "text",
    [
        "the the the the heart is of normal size",
        "There is edema and edema and edema and edema and edema in the lungs",
        "The heart is large. The lungs are clear. " * 3,
        "No effusion is seen. Heart is normal. No effusion is seen! Bones are intact. No effusion is seen.",
        " ".join(f"opacity in the {side} upper lung zone" for side in ["left", "right", "left", "right"] * 3),
    ],
)
def test_loops_are_found(text: str) -> None:
    assert code_of(text) == "repeating-text"


def test_saying_a_word_three_times_is_no_loop() -> None:
    assert not repeats("no no no effusion")
