"""What is said of the shape of the heart and the mediastinum: "the heart is enlarged", "borderline heart size"."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from reports.findings.clauses import MODIFIES, REACH_OF_A_CLAUSE, ends_a_clause
from reports.findings.labels import State
from reports.findings.phrases import Item
from reports.findings.said import Force, Said, Weight
from reports.findings.scope import Scope

_CONCEPTS: Final = MappingProxyType(
    {"heart": ("cardiomegaly",), "mediastinum": ("mediastinum",), "both": ("cardiomegaly", "mediastinum")}
)
_DESCRIBED: Final = frozenset({"cardiomegaly", "mediastinum"})
_AGAIN: Final = frozenset({"enlarged", "now enlarged", "now normal"})
_BEFORE_A_SHAPE: Final = frozenset({*MODIFIES, "goes_on"})
_PARTS: Final = frozenset({"join", "stop", "aside"})
_REACH_OF_A_DAY: Final = 4  # tokens: "was normal on the prior film, now enlarged"
_REACH_OF_A_PREDICATE: Final = 12  # tokens between "heart" and "enlarged"


def subject(scope: Scope, item: Item) -> None:
    """Whose shape is described."""
    runs_on = bool(scope.said) and not scope.between  # "no pneumothorax heart enlarged"
    whole = scope.force is not None and scope.force.listed  # "lungs clear heart enlarged"
    if item.value == "elsewhere":
        if scope.predicate is not None and scope.predicate[0].value != "normal":
            scope.predicate = None
        scope.subjects.append(item)
        near = runs_on and scope.said[-1].last + 1 == item.first and item.first not in scope.around.bound
        if near and scope.lists_until < item.first:
            scope.doubt()  # "no effusion lungs show edema"
        return
    if (scope.joined >= 0 or runs_on) and scope.lists_until < item.first and (scope.moved or whole):
        scope.force = None
    if scope.predicate is not None:
        _describe(scope, item, *scope.predicate)
        if scope.predicate[0].value != "normal":
            scope.predicate = None
        return
    scope.subjects.append(item)


def predicate(scope: Scope, item: Item) -> None:
    """Which shape, in front of its subject or behind it."""
    item = item._replace(value=item.value.removeprefix("now "))
    if scope.leads:
        if item.value == "enlarged":
            scope.restart(item)  # "no effusion, enlarged heart"
        scope.predicate = (item, scope.force)
        return
    near = [one for one in scope.subjects if item.first - one.last <= _REACH_OF_A_PREDICATE]
    scope.subjects.clear()
    for one in near:
        _describe(scope, one, item, scope.force)
    scope.predicate = None if near else (item, scope.force)
    bare = item.first == item.last  # "pneumothorax: not enlarged" denies none
    if not near and bare and item.value == "normal" and _follows_a_colon(scope, item):
        scope.floor = len(scope.said) - 1
        scope.absent_before(item)


def of_today(scope: Scope, found: list[Item], place: int, length: int) -> Callable[[Scope, Item], None]:
    """The step for a shape, also where the heart was described before: "was normal, now enlarged"."""
    if found[place].value not in _AGAIN or scope.leads or scope.subjects or not _is_described(scope):
        return predicate
    item = found[place]
    first, now, verb = item.first, item.value.startswith("now "), False
    for one in reversed(found[max(0, place - REACH_OF_A_CLAUSE) : place]):
        if one.last + 1 < first:
            break
        if one.kind in _PARTS:
            last = scope.said[-1].last
            other = any(
                last < before.first < one.first
                for before in found[max(0, place - REACH_OF_A_CLAUSE) : place]
                if before.kind == "subject"
            )
            near = one.first - last <= _REACH_OF_A_DAY and not other
            return _describe_anew if now and near and (verb or ends_a_clause(found, place, length)) else predicate
        if one.last < item.first and one.kind not in _BEFORE_A_SHAPE:
            break
        first, now, verb = min(first, one.first), now or one.value == "now", verb or one.kind == "goes_on"
    return predicate


def _is_described(scope: Scope) -> bool:
    """Is the last that was said the shape of the heart or the mediastinum?"""
    last = scope.said[-1] if scope.said else None
    return last is not None and last.concept in _DESCRIBED and len(last.words) > 1


def _describe_anew(scope: Scope, item: Item) -> None:
    words = scope.said[-1].words
    for said in reversed(scope.said):
        if said.words[0] != words[0]:
            break
        said.state = State.ABSENT if item.value == "now normal" else State.PRESENT
        said.cues = [] if said.state is State.PRESENT else [(item.first, item.last)]


def _follows_a_colon(scope: Scope, item: Item) -> bool:
    """ "Pneumothorax: unremarkable"."""
    return bool(scope.said) and scope.said[-1].last + 1 == scope.colon_at == item.first - 1


def _describe(scope: Scope, one: Item, shape: Item, force: Force | None) -> None:
    spans = sorted([(one.first, one.last), (shape.first, shape.last)])
    for concept in _CONCEPTS.get(one.value, ()):
        if shape.value == "enlarged":
            state = State.PRESENT if force is None else force.state
            said = Said(concept, state, spans, [] if force is None else [force.cue])
        else:
            denied = force is not None and force.negates and 0 < shape.first - force.cue[1] <= 2
            state = State.ABSENT if shape.value == "normal" and not denied else State.UNCERTAIN
            said = Said(concept, state, spans, [(shape.first, shape.last)])
        said.weight = Weight.WHOLE if one.last < shape.first else Weight.STATED
        scope.place(said)
        scope.said.append(said)
