"""The steps through the phrases of a sentence: which of them does what, and what is looked up around it.

One pass over the phrases, linear in their number.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final, TypeAlias

from reports.findings.clauses import (
    answers,
    begins_a_statement,
    begins_with_resolved,
    ends_a_clause,
    ends_with_a_device,
    goes_on_as_a_list,
    is_asserted,
    is_of_the_other_side,
    leads,
    leads_to_a_finding,
    leads_to_a_predicate,
    names_a_side,
    names_an_exception,
    names_only,
    opens_a_clause,
    repeats,
    says_of_a_side,
)
from reports.findings.labels import State
from reports.findings.phrases import Item
from reports.findings.said import Said
from reports.findings.scope import Scope

Step: TypeAlias = Callable[[Scope, Item], None]

_ANSWERS: Final = frozenset({"absent_before", "uncertain_before", "absent_after"})
_ANSWERED: Final = frozenset({"answer", "gone_answer"})
_BEGINS: Final = frozenset({"begins", "perhaps_begins"})
_MARKS: Final = frozenset({"restriction", "goes_on", "procedure"}) | _BEGINS  # they only qualify other phrases
_STEPS: Final[MappingProxyType[str, Step]] = MappingProxyType(
    {
        "finding": Scope.finding,
        "normality": Scope.normality,
        "absent_after": Scope.absent_after,
        "absent_about": Scope.absent_about,
        "absent_before": Scope.absent_before,
        "change": Scope.change,
        "companion": Scope.companion,
        "suggested_after": Scope.suggested_after,
        "uncertain_about": Scope.uncertain_about,
        "uncertain_after": Scope.uncertain_after,
        "uncertain_before": Scope.uncertain_before,
        "silent_after": Scope.silent_after,
        "either": Scope.either,
        "affirm": Scope.affirm,
        "stop": Scope.stop,
        "aside": Scope.aside,
        "colon": Scope.colon,
        "list": Scope.list_on,
        "join": Scope.join,
        "restart": Scope.restart,
        "side": Scope.restart,
        "severity": Scope.severity,
        "subject": Scope.subject,
        "predicate": Scope.predicated,
    }
)
_BEHIND: Final[MappingProxyType[str, Step]] = MappingProxyType(
    {"no": Scope.absent_before, "perhaps": Scope.uncertain_before, "sign": Scope.signed, "dash": Scope.signed}
)
_BEHIND_A_DASH: Final[MappingProxyType[State, Step]] = MappingProxyType(
    {State.ABSENT: Scope.list_behind_a_dash, State.UNCERTAIN: Scope.doubt_behind_a_dash}
)
_LEFT: Final[MappingProxyType[State, Step]] = MappingProxyType(
    {State.PRESENT: Scope.affirm, State.UNCERTAIN: Scope.uncertain_before}
)


def read(found: list[Item], length: int) -> list[Said]:
    """What the phrases of one sentence say, in their order. length: of the sentence, in tokens."""
    scope = Scope()
    items = [item for item in found if item.kind not in _MARKS]
    for item in items:
        if item.kind == "list":
            scope.lists_until = item.last
    number = -1
    for place, item in enumerate(found):
        if item.kind in _MARKS:
            _mark(scope, found, place, length)
            continue
        number += 1
        _look_around(scope, items, number)
        if item.kind in {"join", "stop"}:
            _end(scope, found, place)
        step = _step(scope, found, place, length)
        if step is not None:
            step(scope, item)
    return scope.said


def _mark(scope: Scope, found: list[Item], place: int, length: int) -> None:
    item = found[place]
    if item.kind == "restriction":
        scope.restrict(item)
    elif item.kind in _BEGINS:
        scope.begin(item)
    elif item.kind == "goes_on" and ends_a_clause(found, place, length):
        scope.go_on(item)


def _step(scope: Scope, found: list[Item], place: int, length: int) -> Step | None:
    """ "Pneumonia, no" and "pneumothorax on the left (-)" deny what stands before, "COVID neg" nothing."""
    item = found[place]
    if scope.said and scope.colon_at == item.first - 1 and item.kind in _ANSWERS:
        step = _behind_a_colon(scope, found, place, length)
    else:
        step = _left_open(scope, found, place, length)
    if step is not None:
        return step
    if _is_idle(found, place):
        return None
    if item.kind == "absent_after" and not scope.said and is_of_the_other_side(found, place):
        return Scope.uncertain_after
    if item.value in _BEHIND and item.kind != "affirm" and ends_a_clause(found, place, length):
        if len(scope.said) > scope.floor:
            return _BEHIND[item.value]
        if item.value not in {"no", "perhaps"}:
            return None
    return _STEPS.get(item.kind)


def _left_open(scope: Scope, found: list[Item], place: int, length: int) -> Step | None:
    """A dash that parts what is denied, and an answer that is of one side only."""
    item = found[place]
    if item.kind == "aside" and _lists(scope):
        left = names_only(found, place, length)
        return None if left is None else _BEHIND_A_DASH[left]
    left = says_of_a_side(found, place) if item.value in _ANSWERED else None
    return None if left is None else _LEFT[left]


def _lists(scope: Scope) -> bool:
    """May a dash part what is denied: not where each part before it has a denial of its own, "no A | no B | C"?"""
    if scope.force is None or scope.force.state is not State.ABSENT:
        return False
    return scope.aside_at < 0 or all(said.cues[:1] == [scope.force.cue] for said in scope.said)


def _behind_a_colon(scope: Scope, found: list[Item], place: int, length: int) -> Step | None:
    """ "Pneumothorax: no", "pneumothorax: not seen" and "large effusion: no pneumothorax"."""
    scope.floor = min(scope.floor, scope.colon_floor)
    if found[place].kind == "absent_before" and says_of_a_side(found, place) is State.PRESENT:
        return Scope.affirm
    if found[place].kind != "absent_after":
        return None
    if answers(found, place, length):
        return Scope.absent_before
    if repeats(found, place, scope.said[-1].concept):
        return Scope.deny_both
    scope.floor = len(scope.said)
    return None


def _is_idle(found: list[Item], place: int) -> bool:
    """Is this a dash before an "or", or a "resolved" that speaks of what follows it?"""
    item = found[place]
    if item.kind == "aside":
        return goes_on_as_a_list(found, place)
    return item.kind == "absent_before" and item.value == "gone" and begins_with_resolved(found, place)


def _look_around(scope: Scope, items: list[Item], number: int) -> None:
    item = items[number]
    if item.kind == "predicate":
        scope.leads = leads(items, number)
    elif item.kind == "stop":
        scope.leads = leads_to_a_predicate(items, number)
    elif item.kind == "aside":
        scope.leads = begins_a_statement(items, number)
    elif item.kind == "uncertain_about":
        scope.leads = leads_to_a_finding(items, number)
    elif item.kind == "either":
        scope.asserted = item.value == "or" and is_asserted(items, number)


def _end(scope: Scope, found: list[Item], place: int) -> None:
    """End a negation where a comma, an "and" or an "except" takes back what it says."""
    item, force = found[place], scope.force
    if force is None or force.state is not State.ABSENT:
        return
    if item.value == "except":
        if scope.said and not names_an_exception(found, place):
            scope.leave_open(item)
    elif item.kind == "join":
        several = item.value != "," or sum(said.cues[:1] == [force.cue] for said in scope.said[-2:]) != 1
        device = scope.lists_until < item.first and ends_with_a_device(found, place)
        if device or opens_a_clause(found, place, listed=several):
            scope.force = None
        elif scope.said and item.value == "," and names_a_side(found, place):
            scope.leave_open(item)
