"""Where a line break ends a statement: "NO PNEUMOTHORAX" over "LARGE EFFUSION", without a full stop.

Capitals and small letters tell nothing in a text that is all of one, and the width of a line little. What tells is that
a statement is whole at the break and that another begins behind it. Else the text is wrapped and goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from reports.findings.mentions import Span
from reports.findings.phrases import Item

_STATES: Final = frozenset({"finding", "normality"})
# Behind these something has to follow before a statement is whole.
_NEEDS_MORE: Final = frozenset(
    {
        *("join", "list", "either", "companion", "change", "absent_after", "uncertain_after"),
        *("suggested_after", "silent_after"),
    }
)
_BEGINS: Final = frozenset(
    {
        *("finding", "subject", "normality", "nothing", "severity", "side", "restart", "begins", "perhaps_begins"),
        *("uncertain_after", "restriction", "predicate", "stop"),
    }
)
_IN_A_ROW: Final = frozenset({"finding", "severity", "side", "restart", "begins", "perhaps_begins", "restriction"})
_DENIALS: Final = frozenset({"no", "negative", "neither", "absence", "absent"})
# A statement ends with them, although they name no finding.
_ENDING_WORDS: Final = """
    abnormality abnormalities disease process change changes finding findings exam examination study film radiograph
    prior yesterday today carina svc stomach place position clear normal unremarkable intact unchanged stable seen
    identified spine thorax ribs lungs view views hila aorta
"""
# A statement neither ends with them nor begins with them.
_LINKING_WORDS: Final = """
    or and nor with without of in on at to from by as than which that is are was were has have had be been not may might
    can cannot could should would for into over under above below along near behind about up but due versus vs likely
    probably such although though while despite , & :
"""
_OPENING_WORDS: Final = "a an any the this these no new ?"
# Neither does it begin with them: they speak of what the line before names.
_SAYING_WORDS: Final = """
    seen identified present noted demonstrated visualized evident appreciated observed detected found visible apparent
    bilaterally again measuring extending involving overlying projecting consistent compatible suggesting suggestive
    suspicious concerning secondary related associated resolved
"""
_ENDINGS: Final = frozenset(_ENDING_WORDS.split())
_OPENINGS: Final = frozenset(_OPENING_WORDS.split())
_LINKS: Final = frozenset(_LINKING_WORDS.split())
_SAYINGS: Final = frozenset(_SAYING_WORDS.split())
_HEADS: Final = frozenset({*_DENIALS, *_OPENINGS, "there"})
_ADJECTIVES: Final = frozenset({"severity", "restart", "begins", "perhaps_begins", "restriction", "uncertain_after"})
_ENDINGS_OF_ADJECTIVES: Final = ("ive", "ic", "ous", "ary", "ed", "al", "ating")
_COMPOUNDS: Final = frozenset(
    {
        *(("mass", "lesion"), ("mass", "lesions"), ("fluid", "collection")),
        *((before, word) for before in ("spine", "compression") for word in ("fracture", "fractures")),
    }
)
_WIDTH_OF_PROSE: Final = 40  # characters of a line; shorter ones are wrapped by nobody


def statements(
    found: Sequence[Item], words: Sequence[str], spans: Sequence[Span], text: str, *, stopped: bool
) -> list[tuple[int, int]]:
    """The first token of each statement, and the one behind it; nothing where the sentence is one.

    stopped: a full stop ends the sentence, so its lines are those of prose.
    """
    breaks = list(_breaks(spans, text))
    cuts = [0]
    line, place = 0, 0
    for number, start in enumerate(breaks):
        end = breaks[number + 1] if number + 1 < len(breaks) else len(words)
        while place < len(found) and found[place].last < line:
            place += 1
        near = _until(found, place, end)
        before = [item for item in near if item.first < start]
        behind = [item for item in near if item.first >= start]
        if _is_whole(before, words[start - 1], start):
            alone = line == cuts[-1] or any(item.kind not in _IN_A_ROW for item in before)
            prose = stopped and _is_wide(text, spans[start - 1][1])
            known = not prose and (words[start - 1] in _ENDINGS or _ends_named(before, start))
            listed = stopped and (prose or any(item.kind == "list" for item in behind))
            named = alone and not listed
            wanting = words[start] not in _HEADS and _is_adjective(before, words[start - 1], start)
            wanting = wanting or (words[start - 1], words[start]) in _COMPOUNDS
            if not wanting and _follows(behind, words[start], start, named=named, known=known):
                cuts.append(start)
        line = start
    return [*zip(cuts, [*cuts[1:], len(words)], strict=True)] if len(cuts) > 1 else []


def bound(found: Sequence[Item], words: Sequence[str], spans: Sequence[Span], text: str) -> frozenset[int]:
    """Tokens where a finding or an organ begins that goes with the one before: "PTX/effusion", "cavitary lung lesion".

    Behind a line break it does where that stands alone in its line, in a row of such lines, and no "or" ended the row.
    """
    ended = words.index("or") if "or" in words else len(words)
    named = [item for item in found if item.kind in {"finding", "subject"}]
    return frozenset(
        item.first
        for before, item in pairwise(named)
        if before.last + 1 == item.first
        and _is_bound(words, spans, text, before, over=ended < item.first or item.kind == "subject")
    )


def _is_bound(words: Sequence[str], spans: Sequence[Span], text: str, before: Item, *, over: bool) -> bool:
    between = text[spans[before.last][1] : spans[before.last + 1][0]]
    if between.strip() or words[before.last].endswith(_ENDINGS_OF_ADJECTIVES):
        return True
    pair = (words[before.last], words[before.last + 1])
    start = before.first == 0 or "\n" in text[spans[before.first - 1][1] : spans[before.first][0]]
    return pair in _COMPOUNDS or ("\n" in between and start and not over)


def _breaks(spans: Sequence[Span], text: str) -> Iterator[int]:
    """The tokens that begin a line."""
    place = text.find("\n", spans[0][1], spans[-1][0])
    token = 0
    while place >= 0:
        while spans[token][0] < place:
            token += 1
        if spans[token - 1][1] <= place:  # else a hyphen breaks a word
            yield token
        place = text.find("\n", spans[token][1], spans[-1][0])


def _is_wide(text: str, end: int) -> bool:
    """Is the line up to this place as wide as a line of prose?"""
    return end >= _WIDTH_OF_PROSE and text.find("\n", end - _WIDTH_OF_PROSE, end) < 0


def _until(found: Sequence[Item], place: int, end: int) -> list[Item]:
    near = []
    while place < len(found) and found[place].first < end:
        near.append(found[place])
        place += 1
    return near


def _is_whole(before: Sequence[Item], word: str, start: int) -> bool:
    """Does the line end with a finding, whatever is said of it, or with what ends a statement by itself?"""
    if word in _LINKS or word in _OPENINGS or (before and before[-1].last >= start):
        return False
    subject = any(item.kind == "subject" and item.value != "elsewhere" for item in before)
    for item in reversed(before):
        if item.kind in _STATES or (item.kind == "predicate" and subject):
            return True
        if item.kind in _NEEDS_MORE and not _is_a_verdict(before, item):
            break
    return word in _ENDINGS


def _is_a_verdict(before: Sequence[Item], item: Item) -> bool:
    """Does this "resolved", which also leads to a finding, stand right behind one?"""
    twin = any(one.kind == "absent_before" and one[2:] == item[2:] for one in before)
    return twin and any(one.kind == "finding" and one.last + 1 == item.first for one in before)


def _is_adjective(before: Sequence[Item], word: str, start: int) -> bool:
    """Does the word before the break want a noun: "small", "increased", "consolidative"?"""
    kinds = {item.kind for item in before[-4:] if item.last == start - 1}
    if word in _ENDINGS or "side" in kinds or (before and before[-1].kind == "affirm"):
        return False
    return bool(kinds & _ADJECTIVES) or ("finding" in kinds and word.endswith(_ENDINGS_OF_ADJECTIVES))


def _ends_named(before: Sequence[Item], start: int) -> bool:
    """Is the last word of the line that of a finding, or of what is said of one?"""
    last = [item.kind for item in before[-3:] if item.last == start - 1]
    return any(kind in _STATES or kind.endswith(("before", "about", "predicate")) for kind in last)


def _follows(behind: Sequence[Item], word: str, start: int, *, named: bool, known: bool) -> bool:
    """Does the next line begin another statement?

    named: it may begin with a bare finding, which is none of a row that a line further up denies.
    known: the line before ends so that also a word of no phrase may begin the next: "rib fractures".
    """
    if word in _LINKS or word in _SAYINGS:
        return False
    subject = any(item.kind == "subject" and item.value != "elsewhere" for item in behind)
    if not any(item.kind in _STATES or (item.kind == "predicate" and subject) for item in behind):
        return False
    if word in _DENIALS or word in _OPENINGS:
        return True
    kinds = {item.kind for item in behind if item.first == start}
    return bool(kinds & _BEGINS) and (named or "finding" not in kinds) if kinds else known
