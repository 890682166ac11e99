"""Where a denial ends, and where it may: at a comma, an "and", an "except", or an adjective of the next finding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reports.findings.clauses import (
    MODIFIES,
    NAMES,
    QUALITIES,
    REACH_OF_A_CLAUSE,
    REACH_OF_A_VERB,
    ends_a_clause,
    ends_with_a_device,
    leads_to_a_bare_finding,
    names_an_exception,
    opens_a_clause,
    shares_its_verdict,
)
from reports.findings.labels import State
from reports.findings.mentions import NORMALITY
from reports.findings.phrases import Item
from reports.findings.said import Tokens
from reports.findings.scope import Scope
from reports.findings.sides import is_led_by_a_side, names_a_side
from reports.findings.turns import turn_to_a_side

_SEEN: Final = frozenset({"participle", "affirm", "list", "either"})
_OF_A_SIZE: Final = frozenset({*QUALITIES, "predicate", "affirm", "goes_on"})
_REACH_OF_A_PLACE: Final = 4  # tokens: "effusion at the left base"
_REACH_OF_AN_ADJECTIVE: Final = 3  # tokens: "left lower lobe effusion"


def end_a_denial(scope: Scope, found: list[Item], place: int, length: int) -> None:
    """End a negation where a comma, an "and" or an "except" takes it back, and a doubt where a verdict follows."""
    item, state = found[place], scope.force.state if scope.force is not None else None
    if item.kind == "join":
        if state is State.ABSENT:
            _end_at_a_comma(scope, found, place, length)
        elif state is State.UNCERTAIN and opens_a_clause(found, place, length, listed=True):
            scope.force = None
    elif state is State.ABSENT and scope.said and _is_taken_back(found, place):
        turn_to_a_side(scope, item, None)
    elif state is None and item.value == "except" and scope.said and not names_an_exception(found, place):
        _leave_the_rest(scope, item)


def _leave_the_rest(scope: Scope, item: Item) -> None:
    """ "Edema has cleared except at the bases"."""
    said = scope.said[-1]
    if said.state is State.ABSENT and said.cues[-1][1] + 1 >= item.first - 1:
        said.state = State.UNCERTAIN
        said.cues = [*said.cues, (item.first, item.last)]


def _is_taken_back(found: list[Item], place: int) -> bool:
    """ "No effusion except on the left", and "no right effusion but a small left one"."""
    value = found[place].value
    return names_a_side(found, place) if value == "but" else value == "except" and not names_an_exception(found, place)


def _end_at_a_comma(scope: Scope, found: list[Item], place: int, length: int) -> None:
    item = found[place]
    cue = scope.force.cue if scope.force is not None else (-1, -1)
    several = item.value != "," or sum(said.cues[:1] == [cue] for said in scope.said[-2:]) != 1
    over = scope.denies_here(item) and cue[1] < scope.listed
    if opens_a_clause(found, place, length, listed=several and not over):
        scope.force = None
    elif scope.lists_until < item.first and item.value == "," and _places_a_device(found, place, length):
        scope.doubt()
    elif scope.lists_until < item.first and ends_with_a_device(found, place):
        _leave_the_device(scope, found, place)
    elif scope.said and item.value == "," and names_a_side(found, place):
        turn_to_a_side(scope, item, is_led_by_a_side(found, place))
    elif scope.said and _is_now_there(found, place, length):
        turn_to_a_side(scope, item, None)
    elif scope.force is not None and scope.force.word != "no" and _denies_a_complaint(found, place, cue):
        scope.doubt()
    elif scope.denies_here(item):
        if item.value == "plus":
            _add(scope, found, place)
        elif shares_its_verdict(found, place, length):
            scope.doubt()
        else:
            _part(scope, found, place, over=over, several=several)


def _is_now_there(found: list[Item], place: int, length: int) -> bool:
    """Is a size of today all that follows: "no effusion previously, now small"?"""
    last, now, sized = found[place].last, False, False
    for at, one in enumerate(found[place + 1 : place + REACH_OF_A_CLAUSE], place + 1):
        if one.first > last + 1 or one.kind not in _OF_A_SIZE:
            return False
        last, now, sized = one.last, now or one.value == "now", sized or one.kind == "severity"
        if now and sized and ends_a_clause(found, at, length):
            return True
    return False


def _denies_a_complaint(found: list[Item], place: int, cue: Tokens) -> bool:
    """Is a complaint of the patient all that is denied before this comma: "without fever, atelectasis is favored"?"""
    denied = [one for one in found[max(0, place - REACH_OF_A_CLAUSE) : place] if one.first > cue[1]]
    return any(one.kind == "complaint" for one in denied) and not any(one.kind in NAMES for one in denied)


def _places_a_device(found: list[Item], place: int, length: int) -> bool:
    """Does a device with words of its own follow one that is denied: "no ETT, NGT in the stomach"?"""
    names = [at for at in range(max(0, place - 4), min(len(found), place + 5)) if found[at].kind in NAMES]
    before = [at for at in names if at < place]
    behind = [at for at in names if at > place]
    if not before or not behind or {found[before[-1]].value, found[behind[0]].value} != {"device"}:
        return False
    following = found[behind[0] + 1 : behind[0] + 2]
    return not ends_a_clause(found, behind[0], length) and not any(one.kind in _SEEN for one in following)


def _add(scope: Scope, found: list[Item], place: int) -> None:
    """ "No PTX, effusion + PICC": behind a comma what stands before the plus may go with what stands behind it."""
    if scope.force is not None and scope.force.cue[1] < scope.comma < scope.said[-1].first:
        scope.leave_open(found[place])
    if scope.said[-1].concept != "device" and _names_a_device(found, place):
        scope.force = None
    else:
        scope.doubt()


def _leave_the_device(scope: Scope, found: list[Item], place: int) -> None:
    """ "No chest tube, small pneumothorax" has one; "no chest tube, pneumothorax" may."""
    bare = leads_to_a_bare_finding(found, place) and not _names_a_place(found, place)
    if bare and not _is_followed_by_a_participle(found, place):
        scope.doubt()
    else:
        scope.force = None


def _part(scope: Scope, found: list[Item], place: int, *, over: bool, several: bool) -> None:
    """What leaves open whether the next finding is denied.

    over: an "or" before has ended the list. several: more than one was denied, or no comma stands here.
    """
    whole, seen = _follows_a_participle(found, place), _is_followed_by_a_participle(found, place)
    if whole and seen:
        scope.force = None
        return
    comma = found[place].value == ","
    last = scope.said[-1]
    contrast = scope.force is not None and scope.force.word == "not" and scope.force.cue[1] + 1 == last.first
    device = last.concept != "device" and _names_a_device(found, place)
    if _names_a_place(found, place) or (comma and (whole or over or contrast or device)) or (seen and not several):
        scope.doubt()


def runs_into_another(scope: Scope, found: list[Item], place: int) -> bool:
    """Does an adjective right behind a denied finding belong to the next: "no pneumothorax small effusion"?"""
    item = found[place]
    if not scope.said or scope.said[-1].last + 1 != item.first:
        return False
    normal = scope.said[-1].concept == NORMALITY and scope.force is not None  # "no acute disease small nodule"
    if item.kind == "finding":
        other = scope.said[-1].concept != item.value and not scope.between and item.first not in scope.around.bound
        return other and (normal or scope.denies_here(item))  # "no effusion cardiomegaly"
    return (normal or scope.denies_here(item)) and _runs_into_a_finding(found, place)


def _names_a_place(items: Sequence[Item], number: int) -> bool:
    """Does a finding with a side or a length behind it follow this comma or "and": "no PTX, opacity in the RLL"?"""
    finding: Item | None = None
    for following in items[number + 1 : number + REACH_OF_A_CLAUSE]:
        if following.kind == "finding" and finding is None:
            finding = following
        elif finding is not None and (following.kind == "side" or following.value == "length"):
            return following.first - finding.last <= _REACH_OF_A_PLACE
        elif following.kind not in MODIFIES:
            return False
    return False


def _names_a_device(items: Sequence[Item], number: int) -> bool:
    """Is a device the next that is named?"""
    return next((one.value for one in items[number + 1 : number + 4] if one.kind in NAMES), "") == "device"


def _follows_a_participle(items: Sequence[Item], number: int) -> bool:
    """Is the statement before this comma or "and" whole: "no pneumothorax seen, effusion noted"?"""
    first = items[number].first
    return any(one.kind == "participle" and one.last + 1 == first for one in items[max(0, number - 2) : number])


def _is_followed_by_a_participle(items: Sequence[Item], number: int) -> bool:
    """Is "seen" said of the next finding as well?"""
    finding: Item | None = None
    for following in items[number + 1 : number + REACH_OF_A_CLAUSE]:
        if following.kind == "finding" and finding is None:
            finding = following
        elif following.kind == "participle":
            return finding is not None and following.first - finding.last <= REACH_OF_A_VERB
        elif following.kind not in MODIFIES:
            return False
    return False


def _runs_into_a_finding(items: Sequence[Item], number: int) -> bool:
    """Does this adjective belong to a finding behind it, without a comma before: "no pneumothorax small effusion"?"""
    last = items[number].last
    for following in items[number + 1 : number + REACH_OF_A_CLAUSE]:
        if following.kind == "finding":
            return following.first - last <= _REACH_OF_AN_ADJECTIVE
        if following.kind not in QUALITIES:
            return False
        last = following.last
    return False
