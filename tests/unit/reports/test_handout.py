"""A handout says the same as text, Markdown, HTML and PDF, and nothing in it is markup."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser

import pypdfium2
import pytest

from reports.handout import Handout, Prose, Section, Table, Typed, as_html, as_markdown, as_text
from reports.page.fonts import find_fonts
from reports.page.handout_pdf import handout_pdf

HANDOUT = Handout(
    "Beside <your> PACS",
    (
        Section("What", (Prose("word " * 60), Table(("name", "value"), (("A|B", "x " * 90), ("long name", "<b>"))))),
        Section("Type", (Typed("{\n  'a': 1\n}"),), 3),
    ),
)
NOW = datetime(2026, 11, 22, tzinfo=UTC)


class Reader(HTMLParser):
    """Text and tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


def test_text_is_no_wider_than_a_terminal_but_for_what_is_typed() -> None:
    lines = as_text(HANDOUT).splitlines()
    assert max(map(len, lines)) <= 100
    assert "      'a': 1" in lines
    assert "A|B" in "\n".join(lines)


def test_markdown_keeps_cells_apart() -> None:
    text = as_markdown(HANDOUT)
    assert "# Beside <your> PACS\n\n## What\n" in text
    assert "| A\\|B | " in text
    assert "### Type\n\n```\n{\n  'a': 1\n}\n```\n" in text


def test_html_holds_the_words_and_no_markup_of_theirs() -> None:
    page = Reader(as_html(HANDOUT))
    assert "Beside <your> PACS" in page.words
    assert "<b>" in page.words
    assert not {"b", "your", "script", "img", "a", "link"} & set(page.tags)
    assert page.tags.count("tr") == 3


def test_pdf_holds_the_words_and_the_same_moment_gives_the_same_bytes() -> None:
    made = handout_pdf(HANDOUT, fonts=find_fonts(), created=NOW)
    assert made == handout_pdf(HANDOUT, fonts=find_fonts(), created=NOW)
    document = pypdfium2.PdfDocument(made)
    try:
        found = " ".join("".join(page.get_textpage().get_text_range() for page in document).split())
    finally:
        document.close()
    for words in ("Beside <your> PACS", "A|B", "'a': 1", "Page 1 of 1"):
        assert words in found


@pytest.mark.parametrize("write", [as_text, as_markdown, as_html])
def test_empty_handout_is_only_its_title(write: object) -> None:
    assert "nothing" in write(Handout("nothing", ()))  # type: ignore[operator]
