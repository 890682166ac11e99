"""A denial that leaves open what it denies: beside a small size, or of one side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from reports.findings.clauses import REACH_OF_A_VERB
from reports.findings.labels import State
from reports.findings.phrases import Item
from reports.findings.scope import Scope
from reports.findings.sides import is_left_over

_SAYS_HOW_MUCH: Final = frozenset({"list", "severity", "finding", "stop"})
_SMALL: Final = frozenset({"minimal", "mild"})
_TO_A_SIZE: Final = 3  # tokens
_BEHIND: Final = 9  # phrases, where "only" and "minimal" are two each


def hedged(items: Sequence[Item], number: int, *, first: bool) -> Callable[[Scope, Item], None] | None:
    """The step for a denial beside a small size, or of what is left over; None where it denies.

    first: no finding stands before it.
    """
    no = items[number].value == "no"
    if no and _is_followed_by_only(items, number):
        return _doubt_the_size
    left = is_left_over(items, number, first=first) or (no and _leaves_a_size(items, number))
    return Scope.uncertain_after if left else None


def _is_followed_by_only(items: Sequence[Item], number: int) -> bool:
    """ "No (only minimal) effusion"."""
    behind = items[number + 1 : number + _BEHIND]
    said = next((one for one in behind if one.kind in _SAYS_HOW_MUCH), None)
    if said is None or [one.kind for one in behind[:2]] != ["join", "part"]:
        return False
    return said.value in _SMALL and said.first == items[number].first + _TO_A_SIZE


def _doubt_the_size(scope: Scope, item: Item) -> None:
    scope.reach(State.UNCERTAIN, item._replace(last=item.first + _TO_A_SIZE))


def _leaves_a_size(items: Sequence[Item], number: int) -> bool:
    """Does an "or" join this "no" with a small size: "no, or only minimal, effusion", "minimal, or no, effusion"?"""
    behind = items[number + 1 : number + _BEHIND]
    following = [one for one in behind if one.kind in _SAYS_HOW_MUCH]
    before = [one for one in items[max(0, number - 5) : number] if one.kind in _SAYS_HOW_MUCH]
    for pair in (following[:2], before[-1:-3:-1]):
        if [one.kind for one in pair] == ["list", "severity"] and pair[1].value in _SMALL:
            return all(abs(one.first - items[number].first) <= REACH_OF_A_VERB for one in pair)
    return False
