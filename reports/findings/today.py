"""What a verdict of today, of another day or of a side says of the finding before it: "now none on the left"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from types import MappingProxyType
from typing import Final, TypeAlias

from reports.findings.clauses import REACH_OF_A_CLAUSE, REACH_OF_A_SIDE, leads_to_a_finding
from reports.findings.labels import State
from reports.findings.phrases import Item
from reports.findings.said import Weight
from reports.findings.scope import Scope
from reports.findings.sides import OPPOSITE, is_none_of_a_side
from reports.findings.turns import deny_now, state_with_a_participle

Step: TypeAlias = Callable[[Scope, Item], None]

_PARTS: Final = frozenset({"join", "stop", "aside"})
_BEFORE_IT: Final = frozenset({*_PARTS, "colon", "finding"})
_OF_ANOTHER: Final = frozenset({"subject", "complaint", "procedure", "normality"})
_TELLS: Final = frozenset({*_PARTS, "finding", "goes_on", "affirm", "severity"})
_SIDED: Final = frozenset({"now", "now_absent", "gone_away"})
_FORWARD: Final = frozenset({"absent_after", "uncertain_before"})
_STATES: Final = frozenset({"goes_on", "affirm"})
_OF_A_SIDE: Final = frozenset({*_PARTS, "restart"})
_BOTH: Final = frozenset({"bilateral"})


def verdict(scope: Scope, found: list[Item], place: int, length: int) -> Step | None:
    """The step that the day, the side or the words between call for; None: the usual one.

    length: of the sentence, in tokens.
    """
    item = found[place]
    if item.value == "there_none":
        return _there_is_none(scope, found, place, length)
    if item.value == "some":
        return leave if _states(found, place) else _of_some(scope)
    if not scope.said or item.kind in _FORWARD:
        return None
    if item.kind == "absent_about":
        return _went(found, place, length) if item.value == "went" else None
    if item.kind == "nothing":
        return _of_another_day(scope, found, place) if item.value != "none" else _of_one_side(scope, found, place)
    return _of_a_side_or_day(scope, found, place, length)


def _of_a_side_or_day(scope: Scope, found: list[Item], place: int, length: int) -> Step | None:
    item = found[place]
    left = scope.around.strangers.get(item.first)
    if left is not None:
        return _STRANGE[left]
    side, parted = _of_which_side(found, place)
    other = side is State.PRESENT and (parted or item.value in _SIDED)
    if other or (item.value == "beyond" and scope.said[-1].concept == "device"):
        return leave
    step = _of_a_half(scope, found, place) if parted else None
    if step is None and item.value in _SIDED:
        return _of_today(scope, found, place, length, side)
    return step


def _there_is_none(scope: Scope, found: list[Item], place: int, length: int) -> Step:
    """ "Nodules: there are none", not "ETT in place, there are none"."""
    if not scope.said or not _begins(found, place) or not _stands_by(found, place) or found[place].last < length - 1:
        return Scope.stop
    was = found[place].first in scope.around.strangers  # "pneumothorax was seen, there is none now"
    return _doubt if _states(found, place) and not was else deny_now


def _states(found: Sequence[Item], place: int) -> bool:
    """Does a verb between this verdict and its finding say that it is there: "ETT in place", "effusion persists"?"""
    between = (one.kind for one in reversed(found[max(0, place - REACH_OF_A_CLAUSE) : place]))
    return any(kind in _STATES for kind in takewhile(lambda kind: kind != "finding", between))


def leave(scope: Scope, item: Item) -> None:
    """Denies nothing."""


def _of_some(scope: Scope) -> Step:
    """ "Rib fractures, none displaced" may be the answer to a heading; "old rib fractures, none displaced" is not."""
    return _doubt if scope.said and scope.said[-1].weight is Weight.BARE else leave


def _of_a_half(scope: Scope, found: Sequence[Item], place: int) -> Step | None:
    """ "Bilateral effusions, right larger than left, left resolved" has the right one, unless that resolved, too."""
    here: set[str] = set()
    there: set[str] = set()
    parted = vague = False
    for one in reversed(found[max(0, place - 2 * REACH_OF_A_CLAUSE) : place]):
        if one.kind == "finding":
            break
        if one.kind == "side":
            (there if parted else here).add(one.value)
        elif not parted and one.kind not in _OF_A_SIDE:
            return None
        parted = parted or one.kind in _PARTS
        vague = vague or (not parted and one.value == "right now")
    if not _is_of_both(found, place, there) or scope.said[-1].state is not State.PRESENT:
        return None
    if len(here) != 1 or here == _BOTH:
        return _doubt if vague and not here else None  # "right now resolved"
    side = here.pop()
    return deny_now if scope.said[-1].side == side else partial(_keep, OPPOSITE.get(side))


def _is_of_both(found: Sequence[Item], place: int, said: set[str]) -> bool:
    """Is the finding before this verdict on both sides, by its own words or by those behind it?"""
    if {"left", "right"} <= said:
        return True
    finding = next(
        (at for at in range(place - 1, max(-1, place - 2 * REACH_OF_A_CLAUSE), -1) if found[at].kind == "finding"), 0
    )
    own = {one.value for one in found[max(0, finding - REACH_OF_A_SIDE) : finding + 2] if one.kind == "side"}
    return bool(own | said) and (own | said >= _BOTH or {"left", "right"} <= own)


def _keep(side: str | None, scope: Scope, item: Item) -> None:
    scope.said[-1].side = side
    scope.affirm(item)


def _went(found: list[Item], place: int, length: int) -> Step | None:
    """ "Bilateral effusions, gone", not "effusion, pain gone"."""
    first, at = found[place].first, place - 1
    while at > 0 and found[at].kind in {"side", "restart"} and found[at].last + 1 >= first:
        first, at = found[at].first, at - 1
    if found[at].kind not in _PARTS or found[at].last + 1 != first or not _ends(found, place, length):
        return None
    side, _ = _of_which_side(found, place)
    if side is State.ABSENT and _stands_by(found, place) and not _states(found, place):
        return _deny_the_last
    return leave if side is State.PRESENT else _doubt


def _deny_the_last(scope: Scope, item: Item) -> None:
    """ "Effusion, PTX, gone" may be of both."""
    for said in scope.said[scope.floor : -1]:
        if said.state is State.PRESENT and not said.cues:
            said.state = State.UNCERTAIN
            said.cues.append((item.first, item.last))
    deny_now(scope, item)


def _of_one_side(scope: Scope, found: list[Item], place: int) -> Step | None:
    """ "PTX, none on the left" may answer a heading."""
    last = scope.said[-1]
    bare = last.weight is Weight.BARE and scope.joined == last.last + 1 == found[place].first - 1
    if not bare or is_none_of_a_side(found, place) in {None, State.PRESENT}:
        return None
    return _doubt


def _deny_what_it_refers_to(scope: Scope, item: Item) -> None:
    """ "Effusions and edema, which have resolved" is of both, or of one."""
    last = scope.said[-1]
    if "and" in last.parted:
        scope.said[-2].state = State.UNCERTAIN if scope.said[-2].state is State.PRESENT else scope.said[-2].state
    deny_now(scope, item)


def _there_is_one(scope: Scope, item: Item) -> None:
    """ "There was no pneumothorax, now there is a small one"."""
    last = scope.said[-1]
    if last.state is State.ABSENT:
        last.state = State.UNCERTAIN
        last.cues = [*last.cues, (item.first, item.last)]
    scope.stop(item)


def _of_another_day(scope: Scope, found: list[Item], place: int) -> Step | None:
    """ "PTX previously absent" leaves open whether there is one, "PTX previously absent, now small" does not."""
    value, last = found[place].value, scope.said[-1]
    if value == "now_one" or (value == "recurs" and last.cues and last.cues[-1][0] > last.last):
        return _there_is_one
    if value != "past":
        return state_with_a_participle if value == "seen_before" else None
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


_STRANGE: Final[Mapping[State, Step]] = MappingProxyType(
    {State.PRESENT: leave, State.UNCERTAIN: _doubt, State.ABSENT: _deny_what_it_refers_to}
)
