"""Texts that end where no sentence does, and good texts without a full stop."""

from __future__ import annotations

import pytest

from agent.readers.guards import is_cut_off

BEFORE = "The lungs are clear. There is no pleural effusion or pneumothorax. "


@pytest.mark.parametrize(
    "text",
    [
        "The heart is normal. No focal",
        "The heart is normal. There are minor degenerative",
        "The heart is normal. No evidence of acute bony",
        "The heart is normal. This could",
        BEFORE + "The heart is mildly",
        BEFORE + "There is a small left",
        BEFORE + "Mild",
        BEFORE + "Mild cardiom",
        BEFORE + "The heart size",
        BEFORE + "The cardiomediastinal silhouette is within normal",
        BEFORE + "No evidence",
        BEFORE + "The trachea is midl",
        "Lungs are clear without focal consolidation. No pleural effus",
        "No pleural effus",
        "Heart size is mildly enl",
        "There is moderate cardiomegaly with bilateral pleural",
        "There is no",
        "The opacity is not",
        "A nodule measures",
        "The findings demonstrate a small right",
        "1. No acute disease.\n2. Cardiomegaly.\n3.",
        "1. No acute disease. 2. Cardiomegaly. 3)",
    ],
)
def test_a_word_that_cannot_end_a_sentence_ends_a_cut_text(text: str) -> None:
    assert is_cut_off(text)


@pytest.mark.parametrize(
    "text",
    [
        "No acute findings",
        "The heart is normal. The nodule is not suspicious",
        "No pneumothorax. The effusion is free",
        "The heart is normal. The opacity is more anterior",
        "Heart size is normal. Small aneurysm",
        "No pneumothorax. History of cancer",
        "Severe degenerative change of the shoulder joint",
        "The opacity is better seen on CT",
        "The chest is normal. Calcified granuloma of the liver",
        "No sign of injury",
        "The heart is normal. There is a left chest wall ICD",
        "The heart is normal. There is pneumomediastinum",
        "No acute findings. The nodule measures 5 mm",
        "No acute cardiopulmonary disease",
        "Normal chest",
        "Cardiomegaly, mild",
        "Cardiomegaly: mild",
        "The effusion is small",
        "The effusion has decreased slightly",
        "Atelectasis on the left",
        "Effusions, greater on the right",
        "The opacity is less likely",
        "The cardiothoracic ratio is 0.55",
        "The heart is not enlarged. The cardiothoracic ratio is 0.5",
        BEFORE + "Heart size normal",
        BEFORE + "Stable",
        BEFORE + "Bony thorax is grossly unremarkable",
        BEFORE + "Degenerative changes of the spine",
        BEFORE + "No displaced rib fractures",
        BEFORE + "Right lower lobe pneumonia",
        BEFORE + "Osteophytes at T10.",
        "1. No acute disease.\n2. Cardiomegaly.",
    ],
)
def test_a_good_text_may_lack_its_full_stop(text: str) -> None:
    assert not is_cut_off(text)
