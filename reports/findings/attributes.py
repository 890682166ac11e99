"""On which side, and how much: the words beside a mention that say so."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from reports.findings.labels import Laterality, Severity, State
from reports.findings.phrases import Item
from reports.findings.said import Said

_BEFORE: Final = 6  # tokens from the side to the finding: "left lower lobe and lingular patchy opacity"
_AFTER: Final = 8  # tokens from the finding to the side: "opacity is seen in the left lower lobe"
_GRADE: Final = 4  # tokens from the severity to the finding: "moderate right sided pleural effusion"
_GRADE_BEHIND: Final = 2  # tokens, the comma is one
_ENDS: Final = frozenset({"stop", "absent_after", "absent_about", "uncertain_after", "subject"})


class Neighbors:
    """The phrases of a sentence, to look around in. Each search ends after a fixed number of tokens: linear in all."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        self._firsts = [item.first for item in items]

    def laterality(self, said: Said) -> Laterality | None:
        """The side in front of the words, else the one behind them; none for the heart and the mediastinum."""
        if said.concept in {"cardiomegaly", "mediastinum"}:
            return None
        if said.side is not None and said.state is not State.ABSENT:
            return Laterality(said.side)
        sides = self._before(said, "side", _BEFORE) or self._after(said, "side", _AFTER)
        if not sides:
            return None
        return Laterality(sides.pop()) if len(sides) == 1 else Laterality.BILATERAL

    def severity(self, said: Said) -> Severity | None:
        """The greatest severity right in front of the words, or behind ("effusion, small").

        None where the finding is absent: "no large effusion" says nothing of a severity.
        """
        if said.state is State.ABSENT:
            return None
        found = self._before(said, "severity", _GRADE) or self._after(said, "severity", _GRADE_BEHIND)
        return max((Severity(value) for value in found), key=list(Severity).index, default=None)

    def _before(self, said: Said, kind: str, reach: int) -> set[str]:
        found = set()
        start = said.words[-1][0]
        for number in range(bisect_left(self._firsts, start) - 1, -1, -1):
            item = self._items[number]
            if item.value == "but also":  # "not only the left but also the right lung shows consolidation"
                reach += _AFTER
            elif start - item.last > reach or item.kind == "finding" or item.kind in _ENDS - {"subject"}:
                break
            if (
                item.kind == kind and (item.first, item.last) not in said.words
            ):  # "large heart" is no large cardiomegaly
                found.add(item.value)
        return found

    def _after(self, said: Said, kind: str, reach: int) -> set[str]:
        """What stands behind the words; behind an "and" or a comma only where it belongs to no other finding."""
        found: set[str] = set()
        joined: set[str] | None = None
        for number in range(bisect_left(self._firsts, said.last + 1), len(self._items)):
            item = self._items[number]
            distance = item.first - said.last
            if item.kind == "finding" and distance <= reach + _BEFORE:
                return found
            if item.kind in _ENDS or distance > reach + _BEFORE:
                break
            if item.kind in {"join", "companion"} and joined is None:
                joined = set()
            elif item.kind == kind and distance <= reach:
                (found if joined is None else joined).add(item.value)
        return found | (joined or set())
