"""Where the sentences of a report are, and which sections say nothing about the film."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

# One heading: at the start of a line or after a sentence, in capitals or as a title, then a colon.
_SILENT: Final = (
    "indications?|clinical (?:history|information|indications?|data|statement)|history|"
    "patient history|reason for (?:the |this )?exam(?:ination)?|"
    "comparisons?|comparison (?:study|studies|exam|film)|techniques?|procedure|examination|exam|study|"
    "type of exam(?:ination)?|reason|"
    "recommendations?|signed by|dictated by"
)
_SPEAKING: Final = (
    "findings?|impressions?|conclusions?|findings and impression|report|opinion|interpretation|wet read|result|"
    "comments?|addendum"
)
_NAME: Final = rf"(?:(?P<silent>{_SILENT})|(?P<speaking>{_SPEAKING}))"
_SHOUTED: Final = rf"(?:(?P<loud_silent>{_SILENT.upper()})|(?P<loud_speaking>{_SPEAKING.upper()}))"
_HEADING: Final = re.compile(
    rf"(?:^|(?<=\n)|(?<=[.!?]\s))[ \t]*[*#_\[]{{0,4}}(?i:{_NAME})[*_\]]{{0,4}}[ \t]?:|(?<=\s){_SHOUTED}:"
)
# The end of a sentence: a full stop before a blank or a capital, an empty line, a line that starts with a bullet, or a
# line break before a capitalized word, unless the line before it cannot end there.
_END: Final = re.compile(
    r"(?<!\bvs)(?<!\bdr)(?<!\bmr)[.!]+(?=[\s\"')\]]|$|[A-Z][a-z])"
    r"|(?<!,)(?<!\b[Nn][Oo])(?<!\b[Oo][FfRr])(?<![Tt][Hh][Ee])(?<!\b[Aa][Nn][Dd])(?<![Hh][Oo][Uu][Tt])(?<![Ww][Ii][Tt][Hh])"
    r"\n(?=[ \t]*(?:\n|[-*\u2022]|\d{1,2}[.)]|[A-Z][a-z]))|;",
)


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence that may speak of the film, in order."""
    if ":" not in text:
        yield from _within(text, 0, len(text))
        return
    start = 0
    silent = False
    for heading in _HEADING.finditer(text):
        if not silent:
            yield from _within(text, start, heading.start())
        start = heading.end()
        silent = (heading["silent"] or heading["loud_silent"]) is not None
    if not silent:
        yield from _within(text, start, len(text))


def _within(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for stop in _END.finditer(text, start, end):
        if stop.start() > start:
            yield start, stop.start()
        start = stop.end()
    if start < end:
        yield start, end
