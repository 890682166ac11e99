"""The model's text becomes two sections without losing a word."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.objects.frame import encode
from reports.text import MAXIMUM_BYTES, NO_FINDINGS, NO_IMPRESSION, DraftText, TextRefused, clean, sections
from tests.unit.reports.films import draft


@pytest.mark.parametrize(
    "written",
    [
        "FINDINGS: Clear lungs.\nIMPRESSION: Normal.",
        "Findings: Clear lungs. Impression: Normal.",
        "FINDINGS:\r\nClear lungs.\r\n\r\nIMPRESSION:\r\nNormal.\r\n",
        "**Findings:** Clear lungs.\n**Impression:** Normal.",
        "[FINDINGS] Clear lungs. [IMPRESSION] Normal.",
        "FINDINGS\nClear lungs.\nCONCLUSION\nNormal.",
        "Clear lungs.\nImpression : Normal.",
        "Impression: Normal.\nFindings: Clear lungs.",
    ],
)
def test_headings_of_the_model_are_followed(written: str) -> None:
    assert sections(written) == DraftText("Clear lungs.", "Normal.")


@pytest.mark.parametrize(
    "written",
    [
        "The lungs show no acute findings: they are clear.",
        "There is no acute\nfindings: clear",
        "Stable. Findings\nare normal.",
        "The overall impression is normal.",
        "My Impression: normal",
    ],
)
def test_words_inside_a_sentence_are_no_headings(written: str) -> None:
    assert sections(written) == DraftText(written, NO_IMPRESSION)


def test_section_that_the_model_did_not_write_says_so() -> None:
    assert sections("Clear.").impression == NO_IMPRESSION
    assert sections("IMPRESSION: Clear.").findings == NO_FINDINGS
    assert sections("FINDINGS: Clear.\nIMPRESSION:  ").impression == NO_IMPRESSION


@pytest.mark.parametrize("written", ["", " \r\n\t", "\0\0", "...", "FINDINGS:\nIMPRESSION:", "\u00a0", "—"])
def test_nothing_to_read_is_refused(written: str) -> None:
    with pytest.raises(TextRefused) as refused:
        sections(written)

    assert refused.value.code == "empty-text"


def test_limit_counts_bytes_and_not_characters() -> None:
    assert sections("a" * MAXIMUM_BYTES).findings
    with pytest.raises(TextRefused) as refused:
        sections("é" * (MAXIMUM_BYTES // 2 + 1))

    assert refused.value.code == "endless-text"


def test_lost_bytes_are_refused() -> None:
    with pytest.raises(TextRefused) as refused:
        sections("The lungs are \ufffd.")

    assert refused.value.code == "undecodable-text"


def test_characters_are_kept_composed_and_free_of_controls() -> None:
    assert clean("a\u0301\tb\x0b\x1b[31m\r\n≥ 3 µm “x”\u202e\x00 \U0001fac1") == "á b[31m\n≥ 3 µm “x” \U0001fac1"


_HEADING_WORD = re.compile(r"(?i)findings?|impressions?|conclusions?")
_PIECES = st.sampled_from(
    [
        "FINDINGS:",
        "Impression:",
        "[IMPRESSION]",
        "Conclusion",
        "no findings: clear",
        "The heart is big.",
        "\n",
        "\r\n",
        " ",
    ]
)


def _words(text: str) -> list[str]:
    return sorted(word for word in re.findall(r"\w+", text) if not _HEADING_WORD.fullmatch(word))


@given(st.one_of(st.text(max_size=300), st.lists(st.one_of(_PIECES, st.text(max_size=9)), max_size=12).map("".join)))
def test_no_word_is_lost_or_added(written: str) -> None:
    try:
        split = sections(written)
    except TextRefused:
        return

    kept = [part for part in (split.findings, split.impression) if part not in {NO_FINDINGS, NO_IMPRESSION}]
    assert _words("\n".join(kept)) == _words(clean(written))


@given(st.text(min_size=1, max_size=200))
def test_text_survives_the_document(written: str) -> None:
    try:
        split = sections(written)
    except TextRefused:
        return

    document = draft(text=split)

    assert encode(document)
    findings, impression = (document.ContentSequence[index].ContentSequence[0].TextValue for index in (6, 7))
    assert DraftText(findings.replace("\r\n", "\n"), impression.replace("\r\n", "\n")) == split
