"""Texts that must never become a draft, and ordinary reports that must not be stopped."""

from __future__ import annotations

import pytest

from agent.readers.guards import check, check_answer, contradictions, notes, repeats, unsupported_claims
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
        "No active disease.",
        "FINDINGS: Clear lungs\nIMPRESSION: Normal chest",
        "Right lower lobe opacity, which may represent pneumonia (see above)",
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


@pytest.mark.parametrize(
    "end",
    [" There is a", " The heart is", " and", ",", " The lungs are (", " Findings:", " consistent with", " with\n"],
)
def test_a_text_that_stops_in_a_sentence_is_cut_off(end: str) -> None:
    text = f"The lungs are clear without effusion. There is cardiomegaly{end}"
    assert code_of(text) == "cut-off-text"


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I cannot interpret medical images.",
        "As an AI language model I am unable to see the chest radiograph, but the lungs may be clear.",
        "Sure, here is a report on the chest radiograph. The lungs are clear.",
        "Paris is the capital of France, and its museums are open on most days of the week.",
        "[INST] Write a radiologic report on the given chest radiograph. [/INST] The lungs are clear.",
        "심장 크기는 정상이며 폐에 활동성 병변은 보이지 않습니다.",
        "import os\nfor lung in lungs: print(lung)",
        "The chest of drawers stood by the window. " + "She opened it and took out her old letters one by one, read "
        "each of them slowly, and put them back as the light of the afternoon went over the garden and the wall.",
    ],
)
def test_what_is_no_report_never_becomes_one(text: str) -> None:
    assert code_of(text) == "no-report"


@pytest.mark.parametrize(
    "text",
    [
        "There is no pleural effusion. The heart is normal. Small left pleural effusion.",
        "FINDINGS: No pneumothorax.\nIMPRESSION: Right apical pneumothorax.",
        "The heart is normal in size. There is cardiomegaly.",
        "There is consolidation in the right lower lobe. No focal consolidation is seen.",
        "Mild pulmonary edema is present. No pulmonary edema.",
        "No left pleural effusion. There is a moderate left pleural effusion.",
        "No pleural effusion on either side. Bilateral pleural effusions are present.",
    ],
)
def test_a_text_against_itself_is_no_draft(text: str) -> None:
    assert code_of(text) == "contradicting-text"
    for yes, no in contradictions(text):
        assert yes != no
        assert text[slice(*yes)]
        assert text[slice(*no)]


@pytest.mark.parametrize(
    "text",
    [
        "No large pleural effusion. There is a small left pleural effusion.",
        "No right pleural effusion. There is a moderate left pleural effusion.",
        "The right effusion has resolved. There is a new left pleural effusion.",
        "There is a pleural effusion. It is possible that there is no pneumothorax.",
        "No new consolidation. There is consolidation in the right lower lobe.",
        "No other pulmonary nodule. There is a nodule in the right upper lobe.",
        "No focal airspace opacity. There are streaky opacities in the lung bases.",
        "Small right apical pneumothorax. No tension pneumothorax.",
        "Possible small pleural effusion. No pleural effusion is definitely seen.",
        "No upper lobe consolidation. There is consolidation in the lower lobe.",
        "There is interstitial edema without alveolar edema. No alveolar edema.",
        "There was an effusion on the prior study. No pleural effusion.",
        "There is mild cardiomegaly, though the heart is normal in size for this projection.",
    ],
)
def test_a_size_a_side_or_another_day_is_no_contradiction(text: str) -> None:
    assert contradictions(text) == ()
    assert check(text, ended=True) == text


def test_an_answer_may_be_short_and_about_anything() -> None:
    assert check_answer(" No. ", ended=True) == "No."
    assert check_answer("It was taken in the upright position", ended=True)
    for text, code in (("...", "empty-text"), ("the the the the", "repeating-text"), ("yes\x00", "unprintable-text")):
        with pytest.raises(UnreadableText) as caught:
            check_answer(text, ended=True)
        assert caught.value.code == code
    with pytest.raises(UnreadableText):
        check_answer("It was", ended=False)


@pytest.mark.parametrize(
    ("text", "claimed"),
    [
        ("Compared to the prior exam, the effusion is larger.", ["Compared to the prior exam", "is larger"]),
        ("The heart size is unchanged.", ["unchanged"]),
        ("Stable cardiomegaly. Interval improvement of edema.", ["Stable", "Interval improvement"]),
        ("There is a new opacity since the previous radiograph.", ["new", "since the previous radiograph"]),
        ("Effusion persists. The catheter has been removed.", ["persists", "has been removed"]),
        ("There is little change in the effusion.", ["little change"]),
        ("No relevant change of the heart or otherwise: no relevant change.", ["no relevant change"]),
        ("The patient has been extubated. The tube has been withdrawn.", ["has been extubated", "has been withdrawn"]),
        ("The effusion, larger than yesterday, now reaches the hilum.", ["than yesterday", "now"]),
        ("On the film of 3 days ago the edema was milder.", ["days ago"]),
        ("As per history, the patient has lymphoma.", ["As per history"]),
        ("Patient with known lung cancer.", ["Patient with known"]),
        ("Status post sternotomy. Given the patient's history of COPD, edema.", None),
        ("A 54-year-old with cough and fever.", ["year-old", "cough", "fever"]),
        ("On the lateral view there is blunting.", ["On the lateral view"]),
        ("PA and lateral views of the chest.", ["PA and lateral"]),
    ],
)
def test_what_the_model_cannot_know_is_marked(text: str, claimed: list[str] | None) -> None:
    spans = unsupported_claims(text)
    words = [text[start:end] for start, end in spans]
    assert words
    assert list(spans) == sorted(spans)
    if claimed is not None:
        assert words == claimed
    assert notes(text)
    assert check(f"The lungs are clear. {text}", ended=True)


@pytest.mark.parametrize(
    "text",
    [
        REPORT,
        "Degenerative changes of the thoracic spine. Chronic interstitial changes.",
        "Comparison with prior radiographs is recommended.",
        "No prior studies are available for comparison.",
        "COMPARISON: None.",
        "Clinical correlation and follow-up are recommended.",
        "Opacity in the lateral right lung base. Bilateral effusions.",
        "There is increased density in the right lower lobe.",
        "Sequelae of granulomatous disease. Sternotomy wires are intact.",
        "The renewed lungs.",
    ],
)
def test_ordinary_words_are_not_marked(text: str) -> None:
    assert unsupported_claims(text) == ()
    assert notes(text) == ()


def test_notes_name_each_kind_once_and_quote_nothing() -> None:
    text = "Unchanged heart. Stable effusion. History of sarcoidosis. Lateral view."
    assert notes(text) == (
        "the text mentions a comparison or a change; no prior image was seen",
        "the text mentions history or symptoms; none were given",
        "the text mentions another view or modality; one frontal film was seen",
    )
