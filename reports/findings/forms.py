"""What is ticked and asked in a form: "[ ] effusion [x] PTX", "effusion: yes ☒ no ☐", "PTX (y/n): n".

A box stands in front of what it is of where a line begins with one, behind it where a line ends with one. An empty box
denies where another near it is ticked; a form that nobody filled in leaves all open, and so does a line of which it
cannot be told where its boxes stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from reports.findings.choices import DEGREES, NO, SHAPES, SIZES, YES, take_out
from reports.findings.cues import (
    EMPTY_BEFORE,
    EMPTY_BEHIND,
    OPEN_BEFORE,
    OPEN_BEHIND,
    OPEN_BOX,
    TICKED_BEFORE,
    TICKED_BEHIND,
)
from reports.findings.mentions import Span

_TICK: Final = r"[\[(][ \t]{0,8}[x\u2713\u2714\u221a][ \t]{0,8}[\])]|[\u2611\u2612]"
BOX: Final = rf"{_TICK}|\[[ \t_]{{0,8}}\]|\([ \t_]{{1,8}}\)|[\u2610\u25a1]"  # of a text in small letters
_IS_BOX: Final = re.compile(BOX)
_MAY_BE_A_BOX: Final = re.compile(r"[\[(\u2610-\u2612\u25a1]")
_TICKED: Final = re.compile(_TICK)
_CHECKED, _CROSSED = "\u2611", "\u2612"  # beside a check mark a cross may mean "no"
_WINDOW: Final = 400  # characters around a sentence in which one ticked box tells that the form is filled in
_OPTIONS: Final = YES | NO | SIZES
_OF_A_SHAPE: Final = frozenset(
    {
        *SHAPES,
        *DEGREES,
        *("not", "top", "upper", "within", "limits", "limit", "of", "in", "size"),
    }
)
# Of what may be counted or graded with a nought: "effusion 0", not "POD 0" and not "chest tube output 0".
COUNTED: Final = frozenset(
    {
        *("effusion", "effusions", "pneumothorax", "pneumothoraces", "ptx", "atelectasis", "edema", "pneumonia"),
        *("consolidation", "consolidations", "nodule", "nodules", "mass", "masses", "opacity", "opacities"),
        *("infiltrate", "infiltrates", "fracture", "fractures", "cardiomegaly"),
    }
)
_COUNTS: Final = frozenset({"=", "stage", "staging", "status"})  # behind an "n" that is no answer
_SHORT: Final = MappingProxyType({"y": "yes", "n": "(n)"})
_ASKED: Final = (frozenset({"y", "n"}), frozenset({"yes", "no"}))
_ASKED_OF_A_SHAPE: Final = tuple(
    {one, other} for one in ("normal", "unremarkable") for other in ("borderline", "enlarged", "widened")
)
_PARTS: Final = frozenset({",", ";"})
_OPENS: Final = frozenset({*_PARTS, ":"})
_SIGNS: Final = MappingProxyType(
    {
        (-1, True): TICKED_BEFORE,
        (-1, False): EMPTY_BEFORE,
        (-1, None): OPEN_BEFORE,
        (1, True): TICKED_BEHIND,
        (1, False): EMPTY_BEHIND,
        (1, None): OPEN_BEHIND,
    }
)


def fill_in(lowered: str, words: list[str], spans: list[Span]) -> None:
    """Turn the boxes of a sentence, and the "y/n" of its questions, into words of cues.py, in place."""
    boxes = _MAY_BE_A_BOX.search(lowered, spans[0][0], spans[-1][1]) is not None
    if boxes:
        take_out(lowered, words, spans)
    if lowered.find("/", spans[0][0], spans[-1][1]) >= 0:
        _ask(lowered, words, spans)
    if boxes and any(map(_is_box, words)):
        _tick(lowered, words, spans)
    elif "y" in words or "n" in words:
        _answer(words)


def _ask(lowered: str, words: list[str], spans: list[Span]) -> None:
    """ "Effusion (y/n): y" is "effusion: y"; one without an answer asks, and so does "no/minimal"."""
    kept: list[tuple[str, Span]] = []
    place = 0
    while place < len(words):
        word, span = words[place], spans[place]
        pair = words[place : place + (3 if words[place + 1 : place + 2] == ["/"] else 2)]
        place += 1
        between = lowered[span[1] : spans[place + len(pair) - 2][0]]
        if _is_choice(pair[0], pair[-1]) and (between if SIZES & set(pair) else between.strip()) == "/":
            place += len(pair) - 1
            while place < len(words) and lowered[spans[place - 1][1] : spans[place][0]].strip() == "/":
                place += 1  # "y/n/u"
            place += words[place : place + 1] in ([":"], ["?"])
            answer = words[place] if place < len(words) else ""
            shape = not SHAPES.isdisjoint(pair)
            word = ":" if answer in (_OF_A_SHAPE if shape else YES | NO) else "borderline" if shape else "?"
            if answer in _SHORT:
                words[place] = _SHORT[answer]
        kept.append((word, span))
    words[:], spans[:] = [word for word, _ in kept], [span for _, span in kept]


def _is_choice(one: str, other: str) -> bool:
    return (
        {one, other} in _ASKED
        or {one, other} in _ASKED_OF_A_SHAPE
        or (one in NO and other in SIZES)
        or (one in SIZES and other in NO)
    )


def _answer(words: list[str]) -> None:
    """ "Effusion: y", "effusion y PTX n", "y effusion n PTX" and "y: effusion, n: PTX"."""
    denies, answered = "n" in words, "y" in words or words.count("n") > 1
    leads = denies and answered and words[0] in _SHORT and words[-1] not in _SHORT and words[1] in COUNTED | SIZES
    for place, word in enumerate(words):
        if word in {"y", "n"} and words[place + 1 : place + 2] == [":"]:
            if place == 0 or words[place - 1] in _PARTS:
                words[place] = "yes" if word == "y" else "no"
        elif leads and word in {"y", "n"}:
            words[place] = "(+)" if word == "y" else "(n)"
        elif word == "y" and place and words[place - 1] == "?":
            words[place] = "(+)"
        elif word == "y" and place and (words[place - 1] == ":" or denies):
            words[place] = "yes"
        elif word == "n" and answered and _is_of(words[max(0, place - 1) : place], words[place + 1 : place + 2]):
            words[place] = "(n)"  # "effusion: y PTX: n edema: y"


def _is_of(before: Sequence[str], behind: Sequence[str]) -> bool:
    """Does this "n" answer the word before: not that of "group N", "nodules n=3" and "mass, N stage"?"""
    if before[-1:] in ([":"], ["?"]):
        return True
    counts = any(word in _COUNTS or word.isdigit() for word in behind)
    return not counts and not COUNTED.isdisjoint(before[-1:])


def _tick(lowered: str, words: list[str], spans: list[Span]) -> None:
    start, end = max(0, spans[0][0] - _WINDOW), spans[-1][1] + _WINDOW
    filled = _TICKED.search(lowered, start, end) is not None
    checked = lowered.find(_CHECKED, start, end) >= 0
    kept: list[tuple[str, Span]] = []
    for first, last in _lines(lowered, spans):
        line = words[first:last]
        boxes = {
            place: _state(word, filled=filled, checked=checked) for place, word in enumerate(line) if _is_box(word)
        }
        behind = _stand_behind(line) if boxes else None
        if boxes and behind is None:
            line = [OPEN_BOX if place in boxes else word for place, word in enumerate(line)]
        elif boxes:
            side = 1 if behind else -1
            _mark(line, _without_shapes(line, boxes, side), side)
        kept += [(word, span) for word, span in zip(line, spans[first:last], strict=True) if word]
    words[:], spans[:] = [word for word, _ in kept], [span for _, span in kept]


def _lines(lowered: str, spans: Sequence[Span]) -> Iterator[tuple[int, int]]:
    first = 0
    for place in range(1, len(spans)):
        if lowered.find("\n", spans[place - 1][1], spans[place][0]) >= 0:
            yield first, place
            first = place
    yield first, len(spans)


def _state(box: str, *, filled: bool, checked: bool) -> bool | None:
    """Is it ticked? None: nobody can tell."""
    if box == _CROSSED and checked:
        return None
    return True if _TICKED.fullmatch(box) else False if filled else None


def _stand_behind(line: Sequence[str]) -> bool | None:
    """Do the boxes of this line stand behind what they are of? None: that cannot be told."""
    begins, ends = _is_box(line[0]), _is_box(line[-1])
    if begins is not ends:
        return ends
    first = next(place for place, word in enumerate(line) if _is_box(word))
    return False if not begins and (line[first - 1] == ":" or line[first + 1] in _OPTIONS | SHAPES) else None


def _without_shapes(line: list[str], boxes: Mapping[int, bool | None], side: int) -> Mapping[int, bool | None]:
    """Leave of "heart size: normal [ ] enlarged [x]" the shape that is ticked; the other boxes are given back."""
    left = dict(boxes)
    for place, ticked in boxes.items():
        shape = _shape(line, place, side)
        if ticked is False and shape:
            for at in (place, *shape):
                line[at] = ""
        elif ticked and shape and side < 0:
            line[place] = ""
        else:
            continue
        del left[place]
    return left


def _shape(line: Sequence[str], place: int, side: int) -> range:
    """The words that this box is of, where they name a shape alone and what has it stands before the boxes."""
    at = place - side
    while 0 <= at < len(line) and line[at] in _OF_A_SHAPE:
        at -= side
    shape = range(place + 1, at) if side < 0 else range(at + 1, place)
    if SHAPES.isdisjoint(line[shape.start : shape.stop]):
        return range(0)
    if not 0 <= at < len(line) or not line[at] or _is_box(line[at]) or line[at] in _OPENS:
        return shape
    if side < 0:
        return shape if not _is_box(line[0]) else range(0)
    behind = next((n for n in range(place + 1, len(line)) if line[n] not in _OF_A_SHAPE), place + 1)
    return shape if behind > place + 1 and behind < len(line) and _is_box(line[behind]) else range(0)


def _mark(line: list[str], boxes: Mapping[int, bool | None], side: int) -> None:
    """side: 1 where the boxes stand behind, -1 where they stand in front of what they are of."""
    sized = side < 0 or any(_is_bare(line, boxes, place) for place in boxes)
    options = {place for place in boxes if _is_option(line, place - side, sized=sized)}
    unanswered = not any(boxes[place] for place in options)
    leads = 0 in boxes
    said = frozenset(word for place, ticked in boxes.items() if ticked for word in _behind(line, place))
    for place, ticked in boxes.items():
        if place in options:
            _choose(line, place, None if unanswered and not leads else ticked, side, said if leads else None)
        else:
            line[place] = _SIGNS[side, ticked]


def _is_option(line: Sequence[str], near: int, *, sized: bool) -> bool:
    """Is this an answer, and no finding: "effusion: ☒ yes ☐ no", not "effusion left ☐"? sized: so may a size be."""
    return 0 <= near < len(line) and line[near] in _OPTIONS and (sized or line[near] not in SIZES)


def _is_bare(line: Sequence[str], boxes: Mapping[int, bool | None], place: int) -> bool:
    """Is a size or a side all that stands before this box: "small ☐"?"""
    return place > 1 and line[place - 1] in SIZES and (place - 2 in boxes or line[place - 2] in _OPENS)


def _choose(line: list[str], place: int, ticked: bool | None, side: int, said: frozenset[str] | None) -> None:
    """Leave of an answer what its box says. said: words behind ticked boxes; None: what is asked stands before them."""
    leads = said is not None
    near = place - side
    word, line[place] = line[near], ""
    more = side < 0 and near + 1 < len(line) and not _is_box(line[near + 1]) and line[near + 1] not in _PARTS
    if ticked:
        if word not in SIZES and not leads:
            line[near] = "+" if word in YES else "(n)"
        return
    line[near] = ""
    if ticked is None:
        line[place] = OPEN_BOX
    elif more and word in SIZES and (said is None or said.issuperset(_behind(line, near))):
        for at in range(near + 1, near + 1 + len(_behind(line, near))):
            line[at] = ""  # "[ ] small effusion [x] no effusion"
    elif more:
        line[place] = OPEN_BEFORE


def _behind(line: Sequence[str], place: int) -> list[str]:
    """The words from here to the next box, or to where another is meant."""
    following = range(place + 1, len(line))
    end = next((at for at in following if _is_box(line[at]) or line[at] in _PARTS), len(line))
    return list(line[place + 1 : end])


def _is_box(word: str) -> bool:
    return _IS_BOX.fullmatch(word) is not None
