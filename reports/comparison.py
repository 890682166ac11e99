"""What differs between two structured reports: the words section by section, the identity, the flags."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import Dataset

from reports.outline import Outline, outline


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. where: a keyword such as PatientID, or the name of a section; words: (mark, words) in order.

    mark: ` ` for what both have, `-` for what only the first has, `+` for what only the second has.
    """

    where: str
    words: tuple[tuple[str, str], ...]


def compare(first: Dataset, second: Dataset) -> tuple[Change, ...]:
    """All differences that a reader would see, in the order of the first document. Raises NoReport."""
    before, after = outline(first), outline(second)
    return tuple(change for change in _changes(before, after) if any(mark != " " for mark, _ in change.words))


def _changes(before: Outline, after: Outline) -> Iterator[Change]:
    for old, new in ((before.patient, after.patient), (before.study, after.study), (before.flags, after.flags)):
        values = dict(new)
        for keyword, value in old:
            yield Change(keyword, _replaced(value, values[keyword]))
    yield Change("title", _replaced(before.title, after.title))
    yield Change("verified by", _replaced("; ".join(before.verified_by), "; ".join(after.verified_by)))
    texts, others = _by_section(before), _by_section(after)
    for name in [*texts, *(name for name in others if name not in texts)]:
        yield Change(name, _words(texts.get(name, ""), others.get(name, "")))


def _by_section(found: Outline) -> dict[str, str]:
    """Texts below each heading at the first level; items without a heading stand under their own name."""
    texts: dict[str, list[str]] = {}
    heading = ""
    for line in found.lines:
        if line.depth == 0:
            heading = line.name
        words = line.value if line.value_type == "TEXT" else f"{line.name}: {line.value}"
        if line.value:
            texts.setdefault(heading, []).append(words)
    return {name: "\n".join(parts) for name, parts in texts.items()}


def _replaced(old: str, new: str) -> tuple[tuple[str, str], ...]:
    return ((" ", old),) if old == new else tuple((mark, text) for mark, text in (("-", old), ("+", new)) if text)


def _words(old: str, new: str) -> tuple[tuple[str, str], ...]:
    """Compare by words: a report's lines are whole paragraphs."""
    first, second = re.findall(r"\S+|\n", old), re.findall(r"\S+|\n", new)
    marked: list[tuple[str, str]] = []
    for tag, i, j, k, m in difflib.SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if tag == "equal":
            marked.append((" ", " ".join(first[i:j])))
            continue
        if j > i:
            marked.append(("-", " ".join(first[i:j])))
        if m > k:
            marked.append(("+", " ".join(second[k:m])))
    return tuple(marked)
