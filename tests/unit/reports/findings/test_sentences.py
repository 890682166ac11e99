"""Where sentences end, and which sections are about the film."""

from __future__ import annotations

import pytest

from reports.findings.sentences import sentences


def split(text: str) -> list[str]:
    return [text[start:end].strip() for start, end in sentences(text) if text[start:end].strip()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two.", ["One", "Two"]),
        ("One.Two", ["One", "Two"]),
        ("A 2.5 cm nodule.", ["A 2.5 cm nodule"]),
        ("atelectasis vs. pneumonia", ["atelectasis vs. pneumonia"]),
        ("wrapped at\nthe margin", ["wrapped at\nthe margin"]),
        ("no effusion or\nPneumothorax", ["no effusion or\nPneumothorax"]),
        ("One\n\ntwo", ["One", "two"]),
        ("- one\n- two", ["- one", "- two"]),
        ("1. One\n2. Two", ["1", "One", "2", "Two"]),
        ("one; two", ["one", "two"]),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_sees_it(text: str, expected: list[str]) -> None:
    assert split(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "INDICATION: cough. FINDINGS: Clear. IMPRESSION: Normal.",
        "Indication: cough.\nFindings: Clear.\nImpression: Normal.",
        "**Indication:** cough.\n**Findings:** Clear.\n**Impression:** Normal.",
        "COMPARISON: None INDICATION: cough FINDINGS: Clear. IMPRESSION: Normal.",
        "TECHNIQUE: PA and lateral.\n\nFINDINGS: Clear.\n\nCLINICAL HISTORY: cough\n\nCONCLUSION: Normal.",
    ],
)
def test_only_sections_about_the_film_are_read(text: str) -> None:
    assert [sentence.strip("* ") for sentence in split(text)] == ["Clear", "Normal"]


def test_the_word_of_a_heading_inside_a_sentence_is_a_word() -> None:
    assert split("No acute findings: clear. In comparison: unchanged.") == [
        "No acute findings: clear",
        "In comparison: unchanged",
    ]
