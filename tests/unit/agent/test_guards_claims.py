"""Where a text claims what a model with one film cannot know, and where it only sounds so."""

from __future__ import annotations

import pytest

from agent.readers.guards import notes, unsupported_claims

PERSON = "the text mentions a person, a call or a signature; none is known"


def claims(text: str) -> list[str]:
    return [text[start:end] for start, end in unsupported_claims(text)]


@pytest.mark.parametrize(
    ("text", "claimed"),
    [
        ("Unchanged effusion, CT recommended.", ["Unchanged"]),
        ("Follow-up radiograph shows an unchanged effusion.", ["Follow-up radiograph shows", "unchanged"]),
        ("Patient presents with fever, follow-up recommended.", ["Patient presents", "fever"]),
        ("No prior studies available, but effusion has increased since last week.", ["has increased", "since last"]),
        ("Recommend follow-up of the unchanged effusion.", ["unchanged"]),
        ("CT is recommended given the history of lymphoma.", ["given the history of"]),
        ("History of cancer, correlate with prior CT.", ["History of"]),
        ("Interval increase in the effusion, for which CT is recommended.", ["Interval increase"]),
        ("CT is recommended in this patient with history of lymphoma.", ["history of"]),
    ],
)
def test_a_request_spares_only_what_its_own_clause_asks_for(text: str, claimed: list[str]) -> None:
    assert claims(text) == claimed


@pytest.mark.parametrize(
    "text",
    [
        "Follow up study shows increased edema.",
        "COMPARISON: Chest radiograph 2020-01-02.",
        "COMPARISON: ___.",
        "Comparison study: 3 days before.",
        "The effusions have both decreased.",
        "The effusion is slightly larger.",
        "Effusion slightly larger.",
        "Continued edema.",
        "Ongoing edema.",
        "Unaltered effusion.",
        "The effusion has not changed.",
        "Recurrence of the effusion.",
        "The effusion has reaccumulated.",
        "The effusion is similar.",
        "Similar effusion.",
        "Similar appearance of the lungs.",
        "Edema is worse.",
        "Worse edema.",
        "The edema is better.",
        "The nodule has grown.",
        "Effusion is less than before.",
        "Less edema than before.",
        "The opacity is less conspicuous.",
        "There is no difference from before.",
        "Clearing of the right base.",
        "Evolving consolidation.",
        "The left lung has re-expanded.",
        "Re-expansion of the left lung.",
        "The lungs are better aerated.",
        "The endotracheal tube was pulled back.",
        "The catheter migrated.",
        "The catheter has migrated.",
        "Prior CABG.",
        "Prior sternotomy.",
        "Previous rib fractures.",
        "Postoperative day 2.",
        "Post-sternotomy wires.",
        "Post sternotomy.",
        "Post-lobectomy changes.",
        "The patient underwent lobectomy.",
        "Known effusion.",
        "Chronic effusion.",
        "INDICATION: Chest pain.",
        "Indication: 54M with dyspnea.",
        "The patient has chest pain.",
        "Intubated and sedated.",
        "Leukocytosis.",
        "The patient is immunocompromised.",
        "CT of the chest shows a mass.",
        "As seen on lateral.",
        "NG tube removed.",
        "Stable cardiomegaly and CT recommended.",
        "Effusion, worse.",
    ],
)
def test_words_of_a_change_a_history_or_another_view_are_marked(text: str) -> None:
    assert claims(text)
    assert notes(text)
    assert PERSON not in notes(text)


@pytest.mark.parametrize(
    "text",
    [
        "The findings were discussed with Dr. ___ by telephone at 3 pm.",
        "Findings communicated to the ICU team.",
        "Dr. Smith signed electronically.",
        "Report dictated by Dr. John Smith at 5:30 PM.",
        "The critical result was called to the ordering physician.",
        "The result was discussed with the team over the phone.",
    ],
)
def test_people_calls_and_signatures_are_marked(text: str) -> None:
    assert claims(text)
    assert PERSON in notes(text)


@pytest.mark.parametrize(
    "text",
    [
        "Compared to the right, the left hemidiaphragm is elevated.",
        "The right hemidiaphragm is higher compared to the left.",
        "Low resolution of the image.",
        "Low image resolution.",
        "Opacity in the lateral chest wall.",
        "Left lateral chest tube.",
        "Two views are needed.",
        "Persistent left superior vena cava.",
        "No evidence of trauma.",
        "No evidence of acute thoracic trauma.",
        "No history was provided.",
        "History is not available.",
        "History: none.",
        "HISTORY: Not provided.",
        "Residual contrast in the colon.",
        "Residual barium.",
        "Findings remain indeterminate.",
        "Comparison with prior radiographs is recommended.",
        "Comparison with prior radiographs, if available, is recommended.",
        "No prior studies are available for comparison.",
        "No prior studies.",
        "COMPARISON: None.",
        "COMPARISON: None available.",
        "Comparison: No prior.",
        "Clinical correlation and follow-up are recommended.",
        "Correlate with history and prior films.",
        "PA and lateral views are recommended.",
        "Consider lateral view.",
        "Lateral radiograph would be helpful.",
        "Right effusion larger than left.",
        "The right effusion is larger than the left.",
        "Opacities, worse on the right.",
        "Right worse than left.",
        "More prominent on the left.",
        "Could be better evaluated by CT.",
        "This is better seen on the left.",
        "Follow-up to resolution is recommended.",
        "If symptoms persist, follow-up is recommended.",
        "Follow-up chest CT is recommended to document resolution.",
        "CT of the chest is recommended.",
        "INDICATION: None.",
        "Sequelae of prior granulomatous disease.",
        "The cardiac silhouette is larger than normal.",
        "The heart is at the upper limits of normal size.",
        "Chronic interstitial changes.",
        "There is increased density in the right lower lobe.",
        "Pneumonia is more likely than edema.",
        "The trachea is midline. The aorta is tortuous.",
        "Opacity in the lateral right lung base.",
        "If clinically there is fever, pneumonia should be considered.",
        "Sternotomy wires are intact.",
        "Prominent pulmonary vasculature. Increased interstitial markings.",
        "DR chest.",
        "Septic emboli are possible.",
        "The film has to be read by a radiologist.",
    ],
)
def test_words_that_only_sound_like_a_claim_are_not_marked(text: str) -> None:
    assert claims(text) == []
    assert notes(text) == ()


@pytest.mark.parametrize(
    ("text", "claimed"),
    [
        ("No significant changes from prior study.", ["No significant changes", "from prior study"]),
        ("Changes of prior CABG again noted.", ["again noted"]),
        ("The effusion is larger than the left one, and worse.", ["worse"]),
    ],
)
def test_what_is_harmless_hides_nothing_beside_it(text: str, claimed: list[str]) -> None:
    assert claims(text) == claimed
