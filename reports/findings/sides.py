"""What is said of one side alone: "effusion none on the right, small on the left"."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from reports.findings.clauses import NAMES, REACH_OF_A_CLAUSE, REACH_OF_A_SIDE
from reports.findings.labels import State
from reports.findings.phrases import Item

_SAYS: Final = frozenset({"severity", "restart", "begins", "goes_on", "affirm"})
_DENIES: Final = frozenset({"absent_before", "absent_after", "absent_about", "nothing"})
_TELLS: Final = frozenset({"severity", "begins", "goes_on", "affirm", "participle"})
_DOUBTS: Final = frozenset({"uncertain_after", "uncertain_about", "uncertain_before"})
_SAID_ALONE: Final = frozenset({"severity", "goes_on", "participle", *_DOUBTS})
_LIGHT: Final = frozenset({"affirm", "part"})  # they say it of the other side only: "only on the left"
_TURNS: Final = frozenset({"but", "there"})
_SOUND: Final = frozenset({"clear", "normal"})  # "the left is clear" says nothing of a finding there
OPPOSITE: Final = MappingProxyType({"left": "right", "right": "left"})
_OF_A_SIDE: Final = frozenset(
    {
        "side",
        "restart",
        "restriction",
        "predicate",
        "colon",
        "begins",
        "perhaps_begins",
        "inside",
        *_LIGHT,
        *_SAID_ALONE,
    }
)
_PARTS: Final = frozenset({"join", "stop", "aside"})
_SIDED: Final = frozenset({"side", "restart", "restriction", "perhaps_begins", "predicate", "colon", "inside", *_TELLS})


def says_of_a_side(items: Sequence[Item], number: int) -> State | None:
    """What stays of a heading that this answer denies of one side: "resolved on the right, persists on the left".

    None: the answer is of the whole, or of what another finding names.
    """
    gone = items[number].value.startswith("gone")
    clauses: list[list[Item]] = [[]]
    for following in items[number + 1 : number + 2 * REACH_OF_A_CLAUSE]:
        if (following.kind in NAMES and following.value != "elsewhere") or following.kind == "colon":
            clauses.pop()
            break
        if following.kind in {"join", "stop", "aside"}:
            clauses.append([])
        elif following.first > items[number].last:
            clauses[-1].append(following)
    sided = [any(one.kind == "side" and one.value != "bilateral" for one in clause) for clause in clauses]
    for clause, has_side in zip(clauses[1:], sided[1:], strict=True):
        spans = {(one.first, one.last) for one in clause if one.kind == "side"}
        says = any(one.kind in _SAYS and (one.first, one.last) not in spans for one in clause)
        if gone and has_side and clause[-1].value == "not":
            return State.PRESENT  # "left effusion has cleared, the right has not"
        if has_side and says and not any(one.kind in _DENIES for one in clause):
            return State.PRESENT if gone or sided[0] else State.UNCERTAIN
    if gone and (any(sided) or any(one.kind == "goes_on" for clause in clauses for one in clause)):
        return State.UNCERTAIN
    return None


def goes_on_elsewhere(items: Sequence[Item], number: int) -> bool:
    """Does the next clause say of no other finding that it persists: "apical part resolved, basal part persists"?"""
    parted = goes_on = sided = False
    for following in items[number + 1 : number + REACH_OF_A_CLAUSE]:
        if following[2:] == items[number][2:]:
            continue
        if following.kind in {"join", "stop"}:
            if parted or (following.kind == "stop" and following.value != "but"):
                break
            parted = True
        elif following.kind in NAMES or following.kind in _DENIES or (following.kind == "side" and not parted):
            return False
        elif parted:
            goes_on = goes_on or following.kind in {"goes_on", "severity"}
            sided = sided or following.kind == "side"
    return goes_on and not sided


def has_changed(items: Sequence[Item], number: int, length: int) -> bool:
    """Does the next clause end with a size of what this denies: "effusion yesterday none, today small"?"""
    parted = False
    for following in items[number + 1 : number + REACH_OF_A_CLAUSE]:
        if following.kind in _PARTS:
            if parted:
                return False
            parted = True
        elif following.kind in NAMES or following.kind in _DENIES - {"nothing"}:
            if following[2:] != items[number][2:]:
                return False
        elif parted and following.kind == "severity":
            return following.last + 1 == length
    return False


def is_of_a_part(items: Sequence[Item], number: int) -> bool:
    """ "Part of the consolidation has cleared", "only the right effusion has resolved"."""
    for before in reversed(items[max(0, number - REACH_OF_A_CLAUSE) : number]):
        if before.kind in _PARTS:
            return False
        if before.kind == "part":
            return True
    return False


def is_of_a_half(items: Sequence[Item], number: int) -> bool:
    """ "Bilateral opacities, cleared on the right"."""
    if len(_sides(_parts_behind(items, number)[0]) - {"bilateral"}) != 1:
        return False
    finding = next((place for place in _back(number) if items[place].kind == "finding"), 0)
    return _sides(_clause_before(items, finding + 1)) == {"bilateral"}


def is_left_over(items: Sequence[Item], number: int, *, first: bool) -> bool:
    """Does this negation take back a verdict, or a side: "edema has cleared, but not the effusion"?

    first: no finding stands before it.
    """
    before = items[max(0, number - 2) : number]
    taken = items[number].value == "not" and len(before) > 1 and before[1].kind in {"stop", "join"}
    if taken and before[0].value == "gone" and before[0].last + 1 == before[1].first:
        return True
    return first and _is_of_the_other_side(items, number)


def _is_of_the_other_side(items: Sequence[Item], number: int) -> bool:
    """Does this negation take one side from what the other has: "left but no right effusion"?"""
    first = items[number].first
    if number and items[number - 1].kind in {"side", "restart", "colon"}:
        here = _clause_before(items, number)
        if _is_only_a_side(here) and _follows_yes(items, number, _sides(here)):
            return True
    before = [one for one in items[max(0, number - 5) : number] if first - REACH_OF_A_SIDE <= one.last < first]
    behind = [one for one in items[number + 1 : number + 3] if one.first > items[number].last]
    if not behind or len(before) < 2 or before[-1].kind not in {"stop", "join"}:
        return False
    sides = {one.value for one in (*before, behind[0]) if one.kind == "side"}
    return behind[0].kind == "side" and len(sides) > 1


def is_none_of_a_side(items: Sequence[Item], number: int) -> State | None:
    """What "effusion none on the right" says of it: absent, unless the next part says more of the other side.

    None: what stands before names a side itself.
    """
    if _sides(_clause_before(items, number)):
        return None
    parts = _parts_behind(items, number)
    kinds = {one.kind for one in parts[1]} if len(parts) > 1 else set()
    if kinds <= {"side", "restart"} and any(one.kind == "join" and not one.value for one in items[number + 1 :][:4]):
        return State.ABSENT  # "none left and right"
    if "side" in kinds and any(one.value == "other" for one in parts[1]):
        return State.UNCERTAIN  # "left angle blunted"
    if "side" not in kinds or not kinds <= _OF_A_SIDE or any(one.value in _SOUND for one in parts[1]):
        return State.ABSENT
    return State.PRESENT if kinds & (_TELLS | _LIGHT) and not kinds & _DOUBTS else State.UNCERTAIN  # "left drained"


def _parts_behind(items: Sequence[Item], number: int) -> list[list[Item]]:
    """What a comma or the like parts behind this phrase, the first right behind it."""
    parts: list[list[Item]] = [[]]
    for one in items[number + 1 : number + REACH_OF_A_CLAUSE]:
        if one.kind in _PARTS:
            parts.append([])
        elif one.first > items[number].last:
            parts[-1].append(one)
    return parts


def _is_only_a_side(part: Sequence[Item]) -> bool:
    return bool(part) and {one.kind for one in part} <= {"side", "restart", "colon", "inside"}


def _follows_yes(items: Sequence[Item], number: int, side: set[str]) -> bool:
    """Does the part before say "yes" of the other side: "right yes, left no effusion"?"""
    comma = next((place for place in _back(number) if items[place].kind in _PARTS), 0)
    before = _clause_before(items, comma)
    said = [one for one in before if one.value != "yes"]
    return len(said) < len(before) and _is_only_a_side(said) and _sides(said) == _opposite(side)


def names_a_side(items: Sequence[Item], number: int) -> bool:
    """Do only a size and a side follow this comma: "no pneumothorax on the right, small on the left"?

    A "but", "only" or "yes" needs no size, where it is the other side: "no effusion on the right, but on the left".
    """
    part = []
    contrasts = items[number].value == "but"
    for following in items[number + 1 : number + REACH_OF_A_CLAUSE]:
        if following.kind == "stop" and following.value in _TURNS:
            contrasts = contrasts or following.value == "but"
        elif following.kind in {"join", "stop"}:
            break
        else:
            part.append(following)
    kinds = {"affirm" if one.kind == "goes_on" and one.value == "seen" else one.kind for one in part}
    if "side" not in kinds or not kinds <= _OF_A_SIDE or any(one.value in _SOUND for one in part):
        return False
    if kinds & _SAID_ALONE:
        return True
    return (contrasts or bool(kinds & _LIGHT)) and _sides(part) == _opposite(_sides(_clause_before(items, number)))


def is_led_by_a_side(items: Sequence[Item], number: int) -> str | None:
    """The other side, where "yes" says behind this comma that it has what one has not: "right no PTX, left yes"."""
    before = _clause_before(items, number)
    place = next((place for place, one in enumerate(before) if one.kind == "absent_after"), 0)
    here = _sides(before[:place])
    if (
        not here
        or not {one.kind for one in before[:place]} <= {"side", "restart", "colon", "inside"}
        or _sides(before[place:])
    ):
        return None
    place = number + (items[number].kind in _PARTS)
    part: list[Item] = []
    for one in items[place : place + REACH_OF_A_CLAUSE]:
        if one.kind in _PARTS or (part and one.first > part[-1].last + 1):  # "left pain yes"
            break
        part.append(one)
    yes = any(one.value == "yes" for one in part) and _sides(part) == _opposite(here)
    return _sides(part).pop() if yes else None


def _clause_before(items: Sequence[Item], number: int) -> list[Item]:
    part: list[Item] = []
    for one in reversed(items[max(0, number - REACH_OF_A_CLAUSE) : number]):
        if one.kind in _PARTS:
            if part or one.last + 1 < items[number].first:
                break
        else:
            part.append(one)
    return part[::-1]


def _back(number: int) -> range:
    return range(number - 1, max(-1, number - REACH_OF_A_CLAUSE), -1)


def _opposite(sides: set[str]) -> set[str]:
    return {OPPOSITE[side] for side in sides if side in OPPOSITE} if len(sides) == 1 else set()


def denies_one_side(items: Sequence[Item], number: int) -> bool:
    """Does the part before this denial, or the next, say that the other side has it: "effusion right none, left small"?

    Nothing but the other side, and a size or a verb of it: no other finding, no organ.
    """
    item = items[number]
    before: list[list[Item]] = [[]]
    for one in reversed(items[max(0, number - REACH_OF_A_CLAUSE) : number]):
        if one.kind in _PARTS:
            before.append([])
        elif one.last < item.first:
            before[-1].append(one)
    behind: list[Item] = []
    for one in items[number + 1 : number + REACH_OF_A_CLAUSE]:
        if one.kind in _PARTS and behind:
            break
        if one.kind not in _PARTS and one.first > item.last:
            behind.append(one)
    colon = next((place for place, one in enumerate(before[0]) if one.kind == "colon"), len(before[0]))
    here = _sides(before[0][:colon]) or _sides(before[0])  # "bilateral effusions: left resolved, right persists"
    if len(here) != 1 or here == {"bilateral"}:
        return False
    if any(one.kind == "finding" for one in before[0]):
        return _says_of_another(behind, here)
    last = before[1] if len(before) > 1 else []
    named = sum(one.kind == "finding" for one in last)
    rest = [one for one in last if one.kind != "finding"]
    if named != 1 or not {one.kind for one in before[0]} <= _SIDED:
        return False
    leads = item.kind == "absent_after" and any(one.kind in NAMES for one in items[number + 1 :][:REACH_OF_A_CLAUSE])
    return _says_of_another(rest, here) if leads else _is_of_another(rest, here)


def doubts_the_other_side(items: Sequence[Item], number: int) -> bool:
    """Does the next part leave the other side open: "pneumothorax: right none, left possible"?"""
    if items[number].kind == "absent_after":
        return False
    here = _sides(_clause_before(items, number))
    behind = _parts_behind(items, number)
    here = here or _sides(behind[0])
    part = behind[1] if len(behind) > 1 else []
    kinds = {one.kind for one in part}
    moved = bool(part) and part[0].value == "now"  # "right effusion no longer seen, now on the left"
    return (moved or bool(kinds & _DOUBTS)) and kinds <= _OF_A_SIDE and bool(here) and _sides(part) == _opposite(here)


def the_other_side(items: Sequence[Item], number: int) -> str | None:
    """The side opposite to the one that this denial is of, which stands before it in its clause, or behind it."""
    before: list[Item] = []
    for one in reversed(items[max(0, number - REACH_OF_A_CLAUSE) : number]):
        if one.kind in _PARTS or (one.kind == "colon" and _sides(before)):
            break
        before.append(one)
    behind: list[Item] = []
    for one in items[number + 1 : number + REACH_OF_A_CLAUSE]:
        if one.kind in _PARTS:
            break
        behind.append(one)
    denied = _sides(before) or _sides(behind)
    return OPPOSITE.get(denied.pop()) if len(denied) == 1 else None


def denies_the_side_behind(items: Sequence[Item], number: int) -> bool:
    """Is it denied of one side, and said of the other one: "effusion absent on the right, present on the left"?"""
    if not number or items[number - 1].kind != "finding":
        return False
    clauses: list[list[Item]] = [[]]
    for following in items[number + 1 : number + 2 * REACH_OF_A_CLAUSE]:
        if following.kind in _PARTS:
            clauses.append([])
        elif following.first > items[number].last:
            clauses[-1].append(following)
    here = _sides(clauses[0])
    is_of_one = (
        len(here) == 1 and here != {"bilateral"} and {one.kind for one in clauses[0]} <= {"side", "restart", "inside"}
    )
    return is_of_one and any(_says_of_another(clause, here) for clause in clauses[1:2])


def answers_of_a_side(items: Sequence[Item], number: int) -> bool:
    """Do only a side and colons part this verdict from the heading it answers: "effusion: right none"?"""
    place = number - 1
    parted = sided = False
    while place >= 0 and items[place].kind in {"colon", "side", "restart"}:
        parted = parted or items[place].kind == "colon"
        sided = sided or items[place].kind == "side"
        place -= 1
    return parted and sided and place >= 0 and items[place].kind == "finding"


def _says_of_another(part: Sequence[Item], side: set[str]) -> bool:
    return _is_of_another(part, side) and any(one.kind in _TELLS for one in part)


def _is_of_another(part: Sequence[Item], side: set[str]) -> bool:
    sides = _sides(part)
    return len(sides) == 1 and sides != side and {one.kind for one in part} <= _SIDED


def _sides(part: Sequence[Item]) -> set[str]:
    return {one.value for one in part if one.kind == "side"}
