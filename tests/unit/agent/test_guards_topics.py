"""Texts about other things than a chest, with words that a report has as well; names; marks that are no words."""

from __future__ import annotations

import pytest

from agent.readers import prompt
from agent.readers.guards import check, check_answer
from agent.readers.protocol import UnreadableText


def code_of(text: str) -> str:
    with pytest.raises(UnreadableText) as caught:
        check(text, ended=True)
    assert text not in str(caught.value)
    return caught.value.code


@pytest.mark.parametrize(
    "text",
    [
        "The knee joint shows a moderate effusion with medial compartment narrowing.",
        "MRI of the brain shows no acute infarct. There is no mass effect.",
        "The mammogram shows a spiculated mass in the left breast, BI-RADS 5.",
        "Bilateral screening mammography. No suspicious mass.",
        "Pelvic radiograph: no fracture of the hip. Osseous structures intact.",
        "The film was a box office success in 1999.",
        "Once upon a time there was a king who had a broken heart.",
        "The stock market rose 3 percent. Mass protests took place in the film industry.",
        "As a radiologist, I can see the heart and the lungs in this image.",
        "\u80ba\u91ce\u6e05\u6670\u3002\u5fc3\u5f71\u6b63\u5e38\u3002\u672a\u89c1\u80f8\u8154\u79ef\u6db2\u3002\u672a\u89c1\u6c14\u80f8\u3002",
    ],
)
def test_other_parts_stories_and_other_scripts_are_no_report(text: str) -> None:
    assert code_of(text) == "no-report"


@pytest.mark.parametrize("asked", [prompt.SYSTEM, prompt.REPORT, prompt.DIFFERENTIAL])
def test_the_words_it_was_asked_with_are_no_report(asked: str) -> None:
    assert code_of(asked.removeprefix("<image>\n")) == "no-report"
    assert code_of(f"{asked.removeprefix('<image>')} The lungs are clear. The heart is normal in size.") == "no-report"


@pytest.mark.parametrize(
    "text",
    [
        "No acute findings",
        "No acute abnormality.",
        "Heart size is normal.",
        "No fracture of the osseous structures is seen.",
        "Large pericardial effusion.",
        "Small hiatal hernia with bowel.",
        "Lungs are clear. Surgical clips in the abdomen. Old fracture of the lumbar spine.",
        "No atelectasis, cardiomegaly, consolidation, pulmonary edema, pleural effusion, and pneumothorax.",
    ],
)
def test_short_reports_and_what_a_chest_film_shows_beside_the_chest_pass(text: str) -> None:
    assert check(text, ended=True) == text


@pytest.mark.parametrize(
    "text",
    [
        "Name: John Doe. DOB: 01/02/1950. The lungs are clear.",
        "Patient name: Doe, John. The lungs are clear.",
        "MRN 12345. The lungs are clear.",
        "Date of birth: 1950-02-01\nThe lungs are clear.",
        "Accession number: 4711. The lungs are clear.",
        "Patient: Jane Roe\nThe lungs are clear.",
        "Mr. Doe has clear lungs and a normal heart.",
    ],
)
def test_a_text_with_a_name_a_birth_or_a_number_is_no_draft(text: str) -> None:
    assert code_of(text) == "identifying-text"


@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\u200b", "\ufeff", " \u2047 ", " <unk> ", "</s>", "<0x0A>"])
def test_marks_that_are_no_words_are_unprintable(mark: str) -> None:
    text = f"The lungs{mark}are clear and the heart is normal."
    assert code_of(text) == "unprintable-text"
    with pytest.raises(UnreadableText):
        check_answer(text, ended=True)


@pytest.mark.parametrize(
    "text",
    [
        "lunglunglunglunglunglunglunglunglung",
        "aaaaaaaaaaaaaaaaaaaa heart aaaaaaaaaaaaaaaaaaa lungs",
        "Heart. ? ? ? ? ? ? ? ? ? ? ? ? ? ? lungs clear",
        "The lungs are clear..............",
    ],
)
def test_loops_within_a_word_and_of_marks_are_found(text: str) -> None:
    assert code_of(text) == "repeating-text"


def test_blanks_for_names_are_no_loop() -> None:
    text = "Compared to XXXX XXXX XXXX the lungs are clear \u00ad and the heart is normal."
    assert check(text, ended=True) == text
