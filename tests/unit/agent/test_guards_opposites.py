"""Texts that say of one finding that it is there and that it is not, and texts that only sound so."""

from __future__ import annotations

import pytest

from agent.readers.guards import check, contradictions
from agent.readers.protocol import UnreadableText


def code_of(text: str) -> str:
    with pytest.raises(UnreadableText) as caught:
        check(text, ended=True)
    return caught.value.code


@pytest.mark.parametrize(
    "text",
    [
        "Normal chest radiograph. Large left pneumothorax.",
        "The chest is normal. Moderate right pleural effusion.",
        "Normal chest. Mild cardiomegaly.",
        "No acute cardiopulmonary process. Large right pleural effusion with consolidation.",
        "No acute cardiopulmonary abnormality. Small left apical pneumothorax.",
        "No active disease. Right lower lobe pneumonia.",
    ],
)
def test_a_finding_beside_a_normal_film_is_a_contradiction(text: str) -> None:
    assert code_of(text) == "contradicting-text"


@pytest.mark.parametrize(
    "text",
    [
        "Lungs are clear. Bilateral pulmonary edema.",
        "The lungs are clear. There is consolidation in the right lower lobe.",
        "Clear lungs. A mass is seen in the left upper lobe.",
        "The left lung is clear. Left lower lobe consolidation.",
    ],
)
def test_a_finding_in_clear_lungs_is_a_contradiction(text: str) -> None:
    assert code_of(text) == "contradicting-text"


@pytest.mark.parametrize(
    "text",
    [
        "Costophrenic angles are sharp. Bilateral pleural effusions.",
        "The right costophrenic angle is sharp. Small right pleural effusion.",
        "The left costophrenic angle is clear. Moderate bilateral pleural effusions.",
        "Sharp costophrenic angles. There is a moderate left pleural effusion.",
    ],
)
def test_an_effusion_beside_sharp_angles_is_a_contradiction(text: str) -> None:
    assert code_of(text) == "contradicting-text"


@pytest.mark.parametrize(
    "text",
    [
        "Pleural effusion is seen and no pleural effusion is seen.",
        "There is mild pulmonary edema, no pulmonary edema.",
        "Cardiomegaly is present, the heart is normal in size.",
        "The lungs are well expanded without consolidation, effusion or pneumothorax, with a large left effusion.",
    ],
)
def test_a_sentence_against_itself_is_a_contradiction(text: str) -> None:
    assert code_of(text) == "contradicting-text"
    for yes, no in contradictions(text):
        assert yes != no


@pytest.mark.parametrize(
    "text",
    [
        "Otherwise normal chest. Cardiomegaly.",
        "No other acute cardiopulmonary process. Large right effusion.",
        "No acute cardiopulmonary disease. Stable large right effusion.",
        "No acute cardiopulmonary disease. Small right effusion.",
        "No acute cardiopulmonary disease. Mild cardiomegaly and emphysema.",
        "The right lung is clear. Left lower lobe consolidation.",
        "The left lung is clear except for the base. Left lower lobe consolidation.",
        "Lungs are clear except for mild pulmonary edema. Normal heart size.",
        "Lungs are clear. Bibasilar atelectasis. Small left effusion.",
        "Lungs are clear. Possible pneumonia at the left base. No evidence of pulmonary edema.",
        "Lungs are clear. Right paratracheal mass.",
        "The left costophrenic angle is sharp. Small right effusion.",
        "The rest of the lungs are clear. Left lower lobe consolidation.",
        "Elsewhere, the lungs are clear. Left lower lobe consolidation.",
        "The upper lungs are clear. There is consolidation in the lower lobes.",
        "The lungs are clear at the bases. There is a right upper lobe mass.",
        "The lungs are clear above. There is consolidation in the left base.",
        "Aerated portions of the lungs are clear. Left lower lobe consolidation.",
        "Lungs are clear. A mass projects over the liver.",
        "Costophrenic angles are sharp. There is fluid in the minor fissure, a loculated effusion.",
    ],
)
def test_a_reserve_another_side_or_another_place_is_no_contradiction(text: str) -> None:
    assert contradictions(text) == ()
    assert check(text, ended=True) == text


@pytest.mark.parametrize(
    "text",
    [
        "Calcified nodule in the right apex. No suspicious pulmonary nodules.",
        "Small effusion or pleural thickening. No free effusion.",
        "No interstitial edema. Alveolar edema.",
        "Emphysema. No bullous emphysema at the bases.",
        "Left lower lobe atelectasis. The right lung is clear without atelectasis.",
        "Edema is improved. No edema at the apices.",
        "No acute consolidation; chronic consolidation in the left upper lobe.",
        "If there is effusion, ultrasound is recommended. No effusion.",
        "No large right pleural effusion. Large left pleural effusion.",
        "No large pneumothorax. The large right pneumothorax has resolved.",
        "Minimal fluid in the right minor fissure. No pleural effusion.",
        "CT can be performed to identify a small nodule. No nodule is seen on this film.",
    ],
)
def test_a_kind_a_place_or_a_supposed_finding_is_no_contradiction(text: str) -> None:
    assert contradictions(text) == ()
    assert check(text, ended=True) == text


@pytest.mark.parametrize(
    "text",
    [
        "No acute consolidation. Right lower lobe consolidation.",
        "No interstitial edema. Mild interstitial edema.",
        "No edema at the apices. Edema at the apices.",
        "No suspicious nodule. Suspicious nodule in the left upper lobe.",
        "Left lower lobe atelectasis. The left lung is clear without atelectasis.",
        "No pleural effusion at the bases. Small left pleural effusion.",
        "No large pleural effusion. Large left pleural effusion.",
        "No massive effusion. Massive right effusion.",
    ],
)
def test_the_same_kind_and_place_is_a_contradiction(text: str) -> None:
    assert code_of(text) == "contradicting-text"
