"""The report as HTML: whole, self-contained, and nothing in it but text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from reports.html import as_html
from reports.objects.content import read_content
from reports.page.sheet import compose
from reports.text import DraftText
from tests.unit.reports.films import CHARSETS, draft, film, in_charset
from tests.unit.reports.page.narratives import every_stage, signed

STAGES = every_stage()


class Reader(HTMLParser):
    """Text and tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] != "style":
            self.words.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def words_of(page: str) -> str:
    return re.sub(r"\s+", " ", " ".join(read(page).words))


@pytest.mark.parametrize("stage", STAGES)
def test_page_holds_every_word_in_the_order_of_the_narrative(stage: str) -> None:
    content = read_content(STAGES[stage])
    words = words_of(as_html(compose(STAGES[stage])))

    parts = [content.warning, content.title, content.findings, content.impression, *content.addenda]
    places = [words.rfind(" ".join(part.split())) for part in parts if part]
    assert -1 not in places
    assert places == sorted(places)


def test_draft_has_its_banner_first_and_a_verified_report_has_none() -> None:
    body = as_html(compose(draft())).partition("<body>")[2]

    assert body.lstrip().startswith('<div class="banner"')
    assert '<div class="banner"' not in as_html(compose(signed()))
    assert "Verified by" in as_html(compose(signed()))


def test_hostile_name_and_text_are_only_words() -> None:
    hostile = '<script>alert(1)</script>"><img src=x onerror=alert(2)>&amp;'
    header = film(PatientName=hostile, StudyDescription="</dl><b>x", SpecificCharacterSet="ISO_IR 192")
    page = as_html(compose(draft(header, text=DraftText(hostile, "</style><script>x</script>"))))

    tags = {tag for tag, _ in read(page).tags}
    assert tags <= {
        *("html", "head", "meta", "title", "style", "body", "div", "p", "main", "h1", "h2", "dl", "dt", "dd"),
        *("section", "footer", "br"),
    }
    assert "onerror=alert(2)" in words_of(page)
    assert page.count("</style>") == 1


def test_page_loads_nothing_and_allows_nothing() -> None:
    page = as_html(compose(draft()))
    attributes = {name for _, found in read(page).tags for name in found}

    assert not attributes & {"src", "href", "action", "srcset", "onload", "style"}
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_page_has_light_dark_and_print() -> None:
    page = as_html(compose(draft()))

    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


@pytest.mark.parametrize("charset", CHARSETS)
def test_name_of_every_character_set_stands_in_the_page(charset: str) -> None:
    master = draft(in_charset(charset))

    assert f'<dd dir="auto">{compose(master).key[0].value}</dd>' in as_html(compose(master))
