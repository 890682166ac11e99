"""Choices of a form in parentheses, and their answer: "heart size (normal / borderline / enlarged): enlarged".

Only a list of bare answers is one, with a denial and something else among them: "effusion (none right, small left)" and
"heart (normal), mediastinum (enlarged)" are findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reports.findings.mentions import Span

YES: Final = frozenset({"yes", "y", "present", "positive", "pos"})
NO: Final = frozenset({"no", "nil", "n", "none", "absent", "negative", "neg"})
SIZES: Final = frozenset(
    {"small", "moderate", "large", "trace", "tiny", "minimal", "mild", "severe", "left", "right", "bilateral", "both"}
    | {"rul", "rml", "rll", "lul", "lll", "lingula"}
)
# Of the heart, the mediastinum and the lungs: "normal [ ] mildly enlarged [x]".
SHAPES: Final = frozenset(
    {"normal", "unremarkable", "wnl", "clear", "borderline", "enlarged", "widened", "wide", "big"}
)
DEGREES: Final = frozenset({"mildly", "slightly", "minimally", "moderately", "severely", "markedly"})
_SOUND: Final = frozenset({"normal", "unremarkable", "wnl"})
_BARE: Final = frozenset({*YES, *NO, *SIZES, *SHAPES} - {"y", "n"})  # "(y/n)" is read elsewhere
_SEPARATORS: Final = frozenset({",", "/", "|", "or", "\u2014", ";"})
_OPENS: Final = frozenset("([")
_CLOSES: Final = frozenset(")]")
_LONGEST: Final = 24  # tokens of a choice
_ANSWERED: Final = ":"
_OPEN: Final = "?"


def take_out(lowered: str, words: list[str], spans: list[Span]) -> None:
    """Leave of each choice its answer, or a question mark where it has none, in place."""
    kept: list[tuple[str, Span]] = []
    place = 0
    while place < len(words):
        start, end = spans[place]
        last = _end(lowered, words, spans, place) if lowered[max(0, start - 1) : start].strip() in _OPENS else 0
        if not last:
            kept.append((words[place], (start, end)))
            place += 1
            continue
        shape = not SHAPES.isdisjoint(words[place:last])
        place = last + (words[last : last + 1] == [_ANSWERED])
        answer = words[place] if place < len(words) else ""
        answered = answer in (SHAPES | DEGREES if shape else YES | NO | SIZES)
        kept.append((_ANSWERED if answered else "borderline" if shape else _OPEN, (start, end)))
    words[:], spans[:] = [word for word, _ in kept], [span for _, span in kept]


def _end(lowered: str, words: Sequence[str], spans: Sequence[Span], first: int) -> int:
    """The token behind the choice that begins at `first`; 0 where none does."""
    options: list[list[str]] = [[]]
    for place in range(first, min(first + _LONGEST, len(words))):
        between = lowered[spans[place - 1][1] : spans[place][0]].strip() if place > first else ""
        if between not in {"", "/"}:
            return 0
        if (between or words[place] in _SEPARATORS) and options[-1]:
            options.append([])
        if words[place] not in _SEPARATORS:
            options[-1].append(words[place])
        if lowered[spans[place][1] : spans[place][1] + 1] in _CLOSES:
            return place + 1 if _is_choice(options) else 0
    return 0


def _is_choice(options: Sequence[Sequence[str]]) -> bool:
    """Is each a bare answer, one of them a denial or a sound shape, and one the contrary?"""
    for option in options:
        bare = len(option) == 1 and option[0] in _BARE
        if not bare and not (option and option[-1] in SHAPES - _SOUND and DEGREES.issuperset(option[:-1])):
            return False
    said = {option[-1] for option in options}
    return (bool(said & _SOUND) and bool(said & SHAPES - _SOUND)) or (bool(said & NO) and bool(said & (YES | SIZES)))
