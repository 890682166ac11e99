"""What is said of the shape of the heart and the mediastinum: "the heart is enlarged", "borderline heart size"."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from reports.findings.labels import State
from reports.findings.phrases import Item
from reports.findings.said import Force, Said, Weight
from reports.findings.scope import Scope

_CONCEPTS: Final = MappingProxyType(
    {"heart": ("cardiomegaly",), "mediastinum": ("mediastinum",), "both": ("cardiomegaly", "mediastinum")}
)
_REACH_OF_A_PREDICATE: Final = 12  # tokens between "heart" and "enlarged"


def subject(scope: Scope, item: Item) -> None:
    """Whose shape is described."""
    runs_on = bool(scope.said) and not scope.between  # "no pneumothorax heart enlarged"
    whole = scope.force is not None and scope.force.listed  # "lungs clear heart enlarged"
    if item.value == "elsewhere":
        if scope.predicate is not None and scope.predicate[0].value != "normal":
            scope.predicate = None
        scope.subjects.append(item)
        near = runs_on and scope.said[-1].last + 1 == item.first and item.first not in scope.bound
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
    if item.value == "now normal":
        item = item._replace(value="normal")
        if not scope.subjects and _describes(scope, item):
            scope.said[-1].state = State.ABSENT
            scope.said[-1].cues = [(item.first, item.last)]
            return
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


def _describes(scope: Scope, item: Item) -> bool:
    """ "The heart was enlarged, is now normal"."""
    last = scope.said[-1] if scope.said else None
    if last is None or last.concept not in {"cardiomegaly", "mediastinum"} or len(last.words) == 1:
        return False
    return last.last + 1 == scope.joined == item.first - 1


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
