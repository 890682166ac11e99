"""Sentences as they are dictated: shorthand, slips of spelling, lists without verbs, blanks of an anonymized text."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from reports.findings import LABELS, extract

STATES = {"+": "present", "-": "absent", "?": "uncertain", "!": None}
LINES = [
    line
    for line in Path(__file__).with_name("dictation.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("line", LINES)
def test_a_dictated_sentence_says_what_a_radiologist_reads_in_it(line: str) -> None:
    text, expected = line.rsplit(" => ", 1)
    said = states(text.replace("\\r", "\r").replace("\\n", "\n"))

    wanted = {name.strip(): STATES[sign] for sign, name in re.findall(r"([+?!-])([A-Za-z_ ]+)", expected)}
    assert wanted
    assert set(wanted) <= set(LABELS)
    assert {label: said.get(label) for label in wanted} == wanted


def test_no_sentence_stands_twice() -> None:
    assert len(LINES) == len(set(LINES))


def states(text: str) -> dict[str, str]:
    return {label: finding.state.value for label, finding in extract(text).by_label.items()}


def wrapped(text: str) -> str:
    """Each blank between words in small letters is a line break."""
    return re.sub(r"(?<=[a-z,]) (?=[a-z])", "\n", text)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(str.upper, id="shouted"),
        pytest.param(wrapped, id="wrapped"),
        pytest.param(lambda text: text.replace(" ", "&nbsp;"), id="html"),
        pytest.param(lambda text: text.replace(" ", "  \t"), id="blanks"),
        pytest.param(lambda text: f"Indication: pneumothorax, r/o edema. Findings: {text}", id="indication-in-front"),
        pytest.param(
            lambda text: f"HISTORY: 55M with CHF, nodule COMPARISON: None. FINDINGS: {text}", id="in-one-line"
        ),
        pytest.param(lambda text: f"Indication:\nKnown mass.\n\n{text}", id="no-heading-of-its-own"),
    ],
)
def test_how_a_sentence_is_set_changes_nothing(changed: Callable[[str], str]) -> None:
    """Left out: headings, line breaks, boxes and entities of its own; capitals that alone begin a sentence."""
    texts = [line.rsplit(" => ", 1)[0] for line in LINES]
    plain = [
        text
        for text in texts
        if re.search(r"\\n|&|^\w[\w ]+:|: |[a-z] (?:The|There|No|Heart)\b|^- |\[|^1\.|^1\)", text) is None
    ]

    assert len(plain) > 700
    assert {text: states(changed(text)) for text in plain} == {text: states(text) for text in plain}
