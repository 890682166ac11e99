"""Words are spelled as the lexicon spells them, and other words stay what they are."""

from __future__ import annotations

import pytest

from reports.findings import State, extract
from reports.findings.words import vocabulary, words_of

WORDS = vocabulary(
    frozenset({"effusion", "pneumothorax", "edema", "nodule", "visualized", "tumor", "left", "infection", "fusion"}),
    [("pneumothor", "pneumothorax")],
    frozenset({"effusion", "pneumothorax", "infection", "edema"}),
)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("effusion", "effusion"),
        ("oedema", "edema"),
        ("visualised", "visualized"),
        ("tumour", "tumor"),
        ("nodules", "nodule"),
        ("pneumothoraces", "pneumothorax"),
        ("effussion", "effusion"),
        ("efusion", "efusion"),
        ("effusoin", "effusion"),
        ("effusiun", "effusion"),
        ("pnuemothorax", "pneumothorax"),
        ("injection", "injection"),
        ("effxsxon", "effxsxon"),
        ("edemo", "edemo"),
        ("lefts", "left"),
        ("gas", "gas"),
        ("e" * 300_000, "e" * 300_000),
    ],
)
def test_a_word_is_spelled_as_it_is_known(written: str, read: str) -> None:
    assert WORDS.spelled(written) == read


@pytest.mark.parametrize(
    ("text", "words", "spans"),
    [
        ("effu-\n  sion left", ["effusion", "left"], [(0, 12), (13, 17)]),
        ("pneumo-thorax", ["pneumothorax"], [(0, 13)]),
        ("left-effusion", ["left", "effusion"], [(0, 4), (5, 13)]),
        ("effu sion", ["effu", "sion"], [(0, 4), (5, 9)]),
        ("a-b-effu-sion, left", ["a", "b", "effusion", ",", "left"], [(0, 1), (2, 3), (4, 13), (13, 14), (15, 19)]),
    ],
)
def test_a_hyphen_breaks_no_word_that_is_known_only_as_a_whole(
    text: str, words: list[str], spans: list[tuple[int, int]]
) -> None:
    assert words_of(text, 0, len(text), WORDS) == (words, spans)


@pytest.mark.parametrize("word", ["hemithorax", "lobulated", "injection", "completed", "traction", "inflection"])
def test_a_word_of_its_own_is_no_slip(word: str) -> None:
    assert extract(f"Right {word}.").mentions == ()


def test_a_word_with_a_slip_is_evidence_as_it_is_written() -> None:
    text = "Small plueral effussion &amp; atelac-\ntasis."

    found = extract(text)

    assert [text[slice(*span)] for mention in found.mentions for span in mention.words] == [
        "effussion",
        "atelac-\ntasis",
    ]
    assert {found.by_label[label].state for label in ("Effusion", "Atelectasis")} == {State.PRESENT}
