"""What a verb behind a denied finding leaves of it: "no effusion is seen or edema", "none of the nodules is new"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reports.findings.clauses import MODIFIES, QUALITIES, REACH_OF_A_CLAUSE, ends_a_clause, opens_a_clause
from reports.findings.labels import State
from reports.findings.phrases import Item
from reports.findings.said import Force
from reports.findings.scope import Scope

_TELLS_MORE: Final = frozenset({"finding", "side"})
_STAYS: Final = ("goes_on", "")
_OF_ANOTHER_DAY: Final = frozenset({"seen_before", "behind"})
_REACH_OF_A_DAY: Final = 2  # tokens
_OF_SEVERAL: Final = frozenset({"none_of", "neither"})
_OF_A_PLACE: Final = frozenset({*QUALITIES, "subject", "list", "either", "participle"})
_SEEN: Final = frozenset({"participle", "goes_on"})
_REACH_OF_SEEN: Final = 2  # tokens: "is clearly seen"


def look_behind(scope: Scope, found: Sequence[Item], place: int, length: int) -> None:
    """What a verb and an "or" behind a denied finding change. length: of the sentence, in tokens."""
    kind = found[place].kind
    if found[place].value in _OF_ANOTHER_DAY and scope.said:
        _deny_what_was(scope, found, place)
    if kind == "list" and scope.force is None:
        _list_on(scope, found, place, length)
    elif kind != "list" and scope.force is not None and scope.force.word in _OF_SEVERAL:
        _leave_some(scope, scope.force, found, place, length)


def _deny_what_was(scope: Scope, found: Sequence[Item], place: int) -> None:
    """ "Effusion seen previously, no effusion today"."""
    last = scope.said[-1]
    if last.state is not State.PRESENT or last.cues or found[place].first - last.last > _REACH_OF_A_DAY:
        return
    denial: Item | None = None
    for at, one in enumerate(found[place + 1 : place + REACH_OF_A_CLAUSE], place + 1):
        if one.kind == "finding" and denial is not None:
            whole = all(other.kind != "side" for other in found[at + 1 : at + 4])
            if whole and one.value == last.concept and denial.last + 1 == one.first:
                last.state = State.ABSENT
                last.cues = [(found[place].first, found[place].last)]
        if one.kind in _TELLS_MORE or one[:2] == _STAYS:
            return
        denial = one if one.kind == "absent_after" else denial


def _leave_some(scope: Scope, force: Force, found: Sequence[Item], place: int, length: int) -> None:
    """ "None of the nodules is new" leaves them open, "none of the nodules is seen" and "is left" do not."""
    item = found[place]
    listed = force.word == "neither" and scope.listed >= force.cue[0]  # "neither effusion nor edema has developed"
    if not scope.said or scope.said[-1].last + 1 != item.first or listed:
        return
    if item.kind == "nothing" and (item.value != "seen_before" or not ends_a_clause(found, place, length)):
        return
    stays = item.kind == "goes_on" and item.value != "seen"  # "none of it remains"
    if (
        stays
        or item.value not in {"seen", "seen_before", ""}
        or (item.value == "seen" and _is_seen(found, place, length))
    ):
        return
    for said in reversed(scope.said):
        if said.cues[:1] != [force.cue]:
            break
        scope.open(said, item)
    scope.doubt()


def _is_seen(found: Sequence[Item], place: int, length: int) -> bool:
    """Does this verb say that something is there, or is left?"""
    item = found[place]
    if item.kind == "affirm" or ends_a_clause(found, place, length):
        return True
    for at, one in enumerate(found[place + 1 : place + 4], place + 1):
        if one.first > item.last + _REACH_OF_SEEN:
            break
        if one.kind in _SEEN or (one.kind == "side" and one.first == item.last + 1):
            return one.kind in _SEEN or ends_a_clause(found, at, length)
    return False


def _list_on(scope: Scope, found: Sequence[Item], place: int, length: int) -> None:
    """ "No consolidation is seen in the left lung or effusion in the right" denies both."""
    said = scope.said[-1] if scope.said else None
    if said is None or said.state is not State.ABSENT or not said.cues:
        return
    if said.cues[0][1] < said.first and _follows_seen(found, place, said.last):
        following = _next_finding(found, place)
        if following is not None:
            twin = place + (found[place + 1].first == found[place].first)  # an "or" is "either" as well
            verb = opens_a_clause(found, twin, length, listed=False)
            scope.force = Force(State.UNCERTAIN if verb else State.ABSENT, said.cues[0])


def _follows_seen(found: Sequence[Item], place: int, last: int) -> bool:
    """Does nothing but a place part this "or" from the "is seen" of what ends at the token `last`?"""
    for before in reversed(found[max(0, place - REACH_OF_A_CLAUSE) : place]):
        if before.kind == "affirm":
            return before.value == "seen" and before.first == last + 1
        comma = before.kind == "join" and before.last + 1 == found[place].first
        if not comma and before.kind not in _OF_A_PLACE:
            return False
    return False


def _next_finding(found: Sequence[Item], place: int) -> Item | None:
    """The finding behind this "or", where nothing but a size or a side stands between."""
    last = found[place].last
    for following in found[place + 1 : place + REACH_OF_A_CLAUSE]:
        if following.first > last + 1:
            return None
        if following.kind == "finding":
            return following
        if following.first > last and following.kind not in MODIFIES:
            return None
        last = following.last
    return None
