"""What a verdict of today, of another day or of a side says of the finding before it: "now none on the left"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from reports.findings.clauses import REACH_OF_A_CLAUSE, leads_to_a_finding
from reports.findings.labels import State
from reports.findings.phrases import Item
from reports.findings.scope import Scope
from reports.findings.turns import deny_now, state_with_a_participle

Step: TypeAlias = Callable[[Scope, Item], None]

_PARTS: Final = frozenset({"join", "stop", "aside"})
_BEFORE_IT: Final = frozenset({*_PARTS, "colon", "finding"})
_OF_ANOTHER: Final = frozenset({"subject", "complaint", "procedure", "normality"})
_TELLS: Final = frozenset({*_PARTS, "finding", "goes_on", "affirm", "severity"})
_SIDED: Final = frozenset({"now", "now_absent", "gone_away"})
_BOTH: Final = frozenset({"bilateral"})


def verdict(scope: Scope, found: list[Item], place: int, length: int) -> Step | None:
    """The step that the day, the side or the words between call for; None: the usual one.

    length: of the sentence, in tokens.
    """
    item = found[place]
    if item.value == "there_none":
        near = scope.said and _begins(found, place) and _stands_by(found, place)
        return deny_now if near and item.last == length - 1 else Scope.stop
    if not scope.said or item.kind == "absent_after":
        return None
    if item.kind == "nothing":
        return _of_another_day(found, place)
    side, parted = _of_which_side(found, place)
    other = side is State.PRESENT and (parted or item.value in _SIDED)
    if other or (item.value == "beyond" and scope.said[-1].concept == "device"):
        return leave
    return _of_today(scope, found, place, length, side) if item.value in _SIDED else None


def leave(scope: Scope, item: Item) -> None:
    """Denies nothing."""


def _of_another_day(found: list[Item], place: int) -> Step | None:
    """ "PTX previously absent" leaves open whether there is one, "PTX previously absent, now small" does not."""
    if found[place].value != "past":
        return state_with_a_participle if found[place].value == "seen_before" else None
    before = found[place - 1] if place else None
    alone = all(one.kind not in _TELLS for one in found[place + 1 : place + REACH_OF_A_CLAUSE])
    near = before is not None and before.kind == "finding" and before.last + 1 == found[place].first
    return Scope.uncertain_before if near and alone else None


def _of_today(scope: Scope, found: list[Item], place: int, length: int, side: State) -> Step | None:
    """Denied where it stands by the finding, open where an unknown word may be what it is said of."""
    item = found[place]
    denies = None if item.value == "gone_away" else deny_now
    if denies is not None and leads_to_a_finding(found, place):
        return Scope.deny  # "edema, now absent effusion"
    begins, stands = _begins(found, place), _stands_by(found, place)
    if _tells_of_a_side(found, place):
        return _doubt  # "right now none, left unchanged"
    if scope.said[-1].concept == "device" and denies is None and not _ends(found, place, length):
        return leave  # "the ETT has gone too deep"
    if side is State.ABSENT and _ends(found, place, length) and (stands or (begins and item.value == "now")):
        return denies
    if found[place - 1].kind == "finding" and denies is None and side is State.ABSENT:
        return None  # "the effusion is gone since the drainage"
    return _doubt if begins or item.value == "now" or _names_it_here(found, place) else leave


def _doubt(scope: Scope, item: Item) -> None:
    """Also beyond a colon or a "was seen"."""
    scope.floor = min(scope.floor, len(scope.said) - 1)
    scope.uncertain_before(item)


def _begins(found: Sequence[Item], place: int) -> bool:
    """Does this verdict stand right behind a finding, a comma, a colon or the like?"""
    before = [one for one in found[max(0, place - 3) : place] if one.last + 1 == found[place].first]
    return any(one.kind in _BEFORE_IT for one in before)


def _stands_by(found: Sequence[Item], place: int) -> bool:
    """Does no unknown word, organ or complaint part this verdict from its finding: "effusion was large, now gone"?"""
    first, sided = found[place].first, False
    for one in reversed(found[max(0, place - REACH_OF_A_CLAUSE) : place]):
        if one.kind == "finding":
            return one.last + 1 + sided >= first  # "effusion on the left is now gone"
        if one.last + 1 < first or one.kind in _OF_ANOTHER:
            return False
        first, sided = min(first, one.first), sided or one.kind == "side"
    return False


def _names_it_here(found: Sequence[Item], place: int) -> bool:
    """Does no comma part this verdict from its finding?"""
    kinds = (one.kind for one in reversed(found[max(0, place - REACH_OF_A_CLAUSE) : place]))
    return next((kind for kind in kinds if kind in _PARTS or kind == "finding"), "") == "finding"


def _ends(found: Sequence[Item], place: int, length: int) -> bool:
    """Does a "seen" at most stand between this verdict and the end of its clause?"""
    last = found[place].last
    for one in found[place + 1 : place + REACH_OF_A_CLAUSE]:
        if one.first <= last:
            continue
        if one.first > last + 1 or one.kind != "participle":
            return one.first == last + 1 and one.kind in _PARTS
        last = one.last
    return last + 1 == length


def _of_which_side(found: Sequence[Item], place: int) -> tuple[State, bool]:
    """What stays of a finding that this verdict denies of a side, and whether a comma or the like parts the two.

    ABSENT: of the whole, or of the side that the finding is on; UNCERTAIN: of one side of a finding without a side, or
    on both; PRESENT: of the other side.
    """
    here = _sides_behind(found, place)
    there: set[str] = set()
    named = parted = False
    for one in reversed(found[max(0, place - 2 * REACH_OF_A_CLAUSE) : place]):
        if one.kind in _PARTS:
            if named:
                break
            if not parted:
                here, there, parted = here | there, set(), True
        elif one.kind == "finding":
            named = True
        elif one.kind == "side":
            there.add(one.value)
    if not here or not named:
        return State.ABSENT, parted
    if not there or there >= _BOTH or len(there) > 1:
        return (State.ABSENT if here >= _BOTH else State.UNCERTAIN), parted
    return (State.ABSENT if here & (there | _BOTH) else State.PRESENT), parted


def _tells_of_a_side(found: Sequence[Item], place: int) -> bool:
    """Does what a comma or the like parts from this verdict name a side, and no finding before it?"""
    parted = sided = False
    for one in found[place + 1 : place + REACH_OF_A_CLAUSE]:
        if one.kind in {"finding", "subject"}:
            return False
        if one.kind in _PARTS and sided:
            return True
        parted = parted or one.kind in _PARTS
        sided = sided or (parted and one.kind == "side")
    return sided


def _sides_behind(found: Sequence[Item], place: int) -> set[str]:
    sides: set[str] = set()
    for one in found[place + 1 : place + REACH_OF_A_CLAUSE]:
        if one.kind in _PARTS or one.kind == "finding":
            break
        if one.kind == "side":
            sides.add(one.value)
    return sides
