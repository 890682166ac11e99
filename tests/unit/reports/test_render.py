"""The draft for a terminal."""

from __future__ import annotations

from reports.render import as_text
from tests.unit.reports.films import draft, in_charset


def test_flags_come_first_then_the_notice_then_the_sections_in_order() -> None:
    shown = as_text(draft(in_charset("korean")))

    assert shown.splitlines()[0] == "Diagnostic Imaging Report | PARTIAL | UNVERIFIED | PRELIMINARY | RESEARCH"
    words = (
        "홍^길동",
        "DOES NOT SEE THE FILM",
        "NOT VERIFIED\n",
        "FINDINGS",
        "IMPRESSIONS",
        "KEY IMAGES",
        "Drafted by",
    )
    positions = [shown.index(word) for word in words]
    assert positions == sorted(positions)


def test_long_lines_are_wrapped() -> None:
    assert max(len(line) for line in as_text(draft(), width=60).splitlines()[4:]) <= 60
