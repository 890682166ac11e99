"""Where the sentences of a report are, and which sections say nothing about the film."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

# Headings, also as they are misspelled. What follows a silent one says nothing about this film.
_SILENT: Final = (
    "(?:additional )?(?:clinical|clinic|patient|medical|interval|chest) (?:history|information|indications?|data|"
    "statement|condition)(?: provided)?|history(?: of present illness)?|i?n?di?cations?|"
    "reason (?:for|of) (?:the |this )?(?:exam(?:ination)?|study|indication)|questions? to be answered|"
    "com[a-z]{0,2}a[a-z]{0,3}s[a-z]{1,3}s?|compare|"
    "(?:comparison|reference|prior|previous) (?:study|studies|exams?|examination|films?|chest)|"
    "tec[a-z]{0,2}niques?|procedure(?: details)?|examination|exam|study|type of (?:the )?exam(?:ination)?|reason|"
    "date of exam|accession number|medications?|notifications?|(?:iv )?contrast|"
    "recomm?m?end?ations?|signed by|dictated by"
)
_VIEW: Final = (
    "single|one|two|three|four|[1-4]|portable|frontal|lateral|lat|pa|ap|upright|erect|supine|semi|semierect|"
    "semiupright|views?|of|the|and|chest|radiographs?|films?|x[ -]?rays?|cxr|images?|bedside"
)
_SPEAKING: Final = (
    "f[a-z]{0,2}in[a-z]{1,6}s?|i?im?[a-z]{0,2}r[a-z]{1,3}ss?i?o[a-z]?n?s?|conclusions?|findings and impression|"
    "(?:preliminary |final |corrected )?report|opinion|interpretation|wet ?read|results?|comments?|addendum|amendment|"
    rf"(?:(?:{_VIEW}) ){{0,11}}(?:views?|chest|radiographs?|films?|images?|portable|lateral|upright|supine|cxr)"
)
# They end a silent section and belong to what is said: "Heart: enlarged."
_ORGAN: Final = (
    "heart(?: size)?|lungs?|pleura|pleural spaces?|mediastinum|bones|osseous structures|soft tissues|"
    "(?:heart|lungs|bones) and (?:mediastinum|pleura|soft tissues)|cardiac(?: silhouette)?|"
    "cardiomediastinal silhouette|lines|tubes|lines and tubes|support devices"
)
_GROUPS: Final = (("silent", _SILENT), ("organ", _ORGAN), ("speaking", _SPEAKING))
_NAME: Final = "|".join(f"(?P<{name}>{pattern})" for name, pattern in _GROUPS)
_SHOUTED: Final = "|".join(f"(?P<loud_{name}>{pattern.upper()})" for name, pattern in _GROUPS)
# At the start of a line or after a sentence, or anywhere in capitals; then a colon.
_HEADING: Final = re.compile(
    rf"(?:^|(?<=\n)|(?<=[.!?]\s))[ \t]*[*#_\[]{{0,4}}(?i:{_NAME})[*_\]]{{0,4}}[ \t]?:|(?<=\s)(?:{_SHOUTED}):"
)
_EMPTY_LINE: Final = re.compile(r"\n[ \t\r]*\n")
_FIRST_STOP: Final = re.compile(r"\n[ \t\r]*\n|[.!?](?=\s)")
# The end of a sentence: a full stop before a blank or a capital, an empty line, a line that starts with a bullet, or a
# line break before a capitalized word, unless the line before it cannot end there.
_BULLETS: Final = "\u2022\u2023\u2043\u25aa\u25ab\u25cf\u25cb\u25e6\u00b7\u27a2\u2713"
_END: Final = re.compile(
    r"(?<!\b[Vv][Ss])(?<!\b[Dd][Rr])(?<!\b[Mm][Rr])[.!\u2026]+(?=[\s\"')\]]|$|[A-Z][a-z])|(?<=[A-Za-z]{3})[.!]+(?=[A-Za-z]{2})"
    r"|(?<!,)(?<!\b[Nn][Oo])(?<!\b[Oo][FfRr])(?<![Tt][Hh][Ee])(?<!\b[Aa][Nn][Dd])(?<![Hh][Oo][Uu][Tt])(?<![Ww][Ii][Tt][Hh])"
    rf"\n(?=[ \t]*(?:\n|[-*{_BULLETS}]|\d{{1,2}}[.)]|[A-Z][a-z]))|;"
    rf"|\n(?=[ \t]*(?:[A-Za-z]+[ \t/&,]{{1,3}}){{0,4}}[A-Za-z]+[ \t]?[:?][ \t])|(?<=\s)[{_BULLETS}](?=\s)"
    r"|(?<=\s)(?:\d{1,2}|[a-fA-F])\)(?=[ \t]+[A-Za-z])"
    r"|\((?<!\S\()\d{1,2}\)"
    r"(?=[ \t]+(?!(?i:is|are|was|were|in|on|of|at|or|and|have|has|to|which|that|not|seen)\b)[A-Za-z])"
    r"|(?<=[a-z]{2})[ \t]+(?=(?:The|There|This|No|Lungs|Mild)[ \t][a-z]|Heart (?:size|is|enlarged|normal|mildly)\b)",
)


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence that may speak of the film, in order."""
    if ":" not in text:
        yield from _within(text, 0, len(text))
        return
    headings = list(_HEADING.finditer(text))
    spoken = any(_kind(heading) != "silent" for heading in headings)
    start, silent = 0, False
    for heading in headings:
        kind = _kind(heading)
        if kind == "organ" and not silent:
            continue
        yield from _section(text, start, heading.start(), silent=silent, spoken=spoken)
        start, silent = heading.start() if kind == "organ" else heading.end(), kind == "silent"
    yield from _section(text, start, len(text), silent=silent, spoken=spoken)


def _kind(heading: re.Match[str]) -> str:
    return (heading.lastgroup or "").removeprefix("loud_")


def _section(text: str, start: int, end: int, *, silent: bool, spoken: bool) -> Iterator[tuple[int, int]]:
    """What follows a silent heading ends at an empty line; where no other heading stands, at its first full stop."""
    if silent:
        while start < end and text[start].isspace():
            start += 1
        stop = (_EMPTY_LINE if spoken else _FIRST_STOP).search(text, start, end)
        if stop is None:
            return
        start = stop.end()
    yield from _within(text, start, end)


def _within(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for stop in _END.finditer(text, start, end):
        if stop.start() > start:
            yield start, stop.start()
        start = stop.end()
    if start < end:
        yield start, end
