"""The steps through the phrases of a sentence: which of them does what, and what is looked up around it.

One pass over the phrases, linear in their number.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from reports.findings.clauses import (
    answers,
    begins_a_statement,
    begins_with_resolved,
    compares,
    denies_a_size,
    ends_a_clause,
    follows_a_finding,
    follows_a_subject,
    goes_on_as_a_list,
    heads,
    is_asserted,
    is_of_the_patient,
    leads,
    leads_to_a_finding,
    leads_to_a_predicate,
    names_only,
    repeats,
    runs_on,
)
from reports.findings.ends import end_a_denial, runs_into_another
from reports.findings.hedges import hedged
from reports.findings.labels import State
from reports.findings.phrases import Item
from reports.findings.said import Around, Said, Weight
from reports.findings.scope import Scope
from reports.findings.seen import look_behind
from reports.findings.shapes import of_today, subject
from reports.findings.sides import (
    answers_of_a_side,
    denies_one_side,
    denies_the_side_behind,
    doubts_the_other_side,
    goes_on_elsewhere,
    has_changed,
    is_none_of_a_side,
    is_of_a_half,
    is_of_a_part,
    says_of_a_side,
    the_other_side,
)
from reports.findings.signs import SIGNS, behind, in_front, leading, note_a_leading_sign
from reports.findings.today import Step, leave, verdict
from reports.findings.turns import (
    deny_both,
    doubt_behind_a_dash,
    end_inside,
    go_on,
    list_behind_a_dash,
    run_together,
    say_yes_of_a_side,
    state_with_a_participle,
    turn_between,
)

_ANSWERS: Final = frozenset({"absent_before", "uncertain_before", "absent_after"})
_HEADING: Final[MappingProxyType[str, Step]] = MappingProxyType(
    {"absent_before": Scope.deny, "absent_about": Scope.deny, "uncertain_before": Scope.uncertain_after}
)
_ONE_SIDED: Final = frozenset({"absent_before", "absent_about", "absent_after"})
_VERDICTS: Final = frozenset({"absent_before", "absent_after", "absent_about", "nothing", "uncertain_before"})
_ANSWERED: Final = frozenset({"answer", "gone_answer"})
_COMPARED: Final = frozenset({"no", "not", "more"})
_BEGINS: Final = frozenset({"begins", "perhaps_begins"})
_LOOKS_AROUND: Final = frozenset({"predicate", "stop", "aside", "uncertain_about", "either"})
_PARTS: Final = frozenset({"join", "stop"})
_LOOKS_BEHIND: Final = frozenset({"list", "goes_on", "affirm", "nothing", "restriction"})
_RUN_ON: Final = frozenset({"restart", "side", "severity", "finding"})
# They only qualify other phrases.
_MARKS: Final = frozenset(
    {*_BEGINS, "restriction", "goes_on", "procedure", "participle", "complaint", "than", "part", "inside"}
)
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
        "nothing": Scope.nothing,
        "restart": Scope.restart,
        "side": Scope.restart,
        "severity": Scope.severity,
        "subject": subject,
    }
)
# What stands around these changes nothing.
_DIRECT: Final[MappingProxyType[str, Step]] = MappingProxyType(
    {
        kind: _STEPS[kind]
        for kind in (
            *("finding", "normality", "subject", "side", "severity", "restart", "join", "stop", "colon", "list"),
            *("either", "change", "companion", "suggested_after", "silent_after", "uncertain_about"),
        )
    }
)
_BEHIND_A_DASH: Final[MappingProxyType[State, Step]] = MappingProxyType(
    {State.ABSENT: list_behind_a_dash, State.UNCERTAIN: doubt_behind_a_dash}
)
_ANSWERS_OF_A_SIDE: Final[MappingProxyType[State | None, Step]] = MappingProxyType(
    {State.ABSENT: Scope.absent_before, State.UNCERTAIN: Scope.uncertain_before}
)
_TURN: Final = frozenset({"absent_after", "absent_about", "uncertain_before"})
_NEAR: Final = frozenset({"more", "near"})
_GONE: Final = frozenset({"gone", "gone_away"})
_IN_FRONT: Final = frozenset({"leading", "nought"})
_LEFT: Final[MappingProxyType[State, Step]] = MappingProxyType(
    {State.PRESENT: Scope.affirm, State.UNCERTAIN: Scope.uncertain_before}
)


def read(found: list[Item], length: int, around: Around) -> list[Said]:
    """What the phrases of one sentence say, in their order.

    length: of the sentence, in tokens.
    """
    scope = Scope(around)
    items = [item for item in found if item.kind not in _MARKS]
    scope.lists_until = next((item.last for item in reversed(items) if item.kind == "list"), -1)
    number = -1
    for place, item in enumerate(found):
        kind = item.kind
        if kind in _LOOKS_BEHIND:
            look_behind(scope, found, place, length)
        if kind in _MARKS:
            _mark(scope, found, place, length)
            continue
        number += 1
        if kind in _LOOKS_AROUND:
            _look_around(scope, items, number)
        _end(scope, found, place, length)
        step = _DIRECT.get(kind)
        if step is None:
            of_shape = kind == "predicate"
            step = of_today(scope, found, place, length) if of_shape else _step(scope, found, place, length)
        if step is not None:
            step(scope, item)
        if scope.lifted is not None and kind == "finding":
            scope.force, scope.lifted = scope.lifted, None
    return scope.said


def _end(scope: Scope, found: list[Item], place: int, length: int) -> None:
    item = found[place]
    if item.kind in _PARTS:
        end_a_denial(scope, found, place, length)
    elif item.kind in _RUN_ON and runs_into_another(scope, found, place):
        scope.doubt()
    elif item.kind == "severity" and ends_a_clause(found, place, length):
        run_together(scope, item)


def _mark(scope: Scope, found: list[Item], place: int, length: int) -> None:
    item = found[place]
    if item.kind == "restriction":
        scope.restrict(item)
    elif item.kind in _BEGINS:
        scope.begin(item)
    elif item.kind == "inside":
        end_inside(scope, found, place)
    elif item.kind == "goes_on" and item.value == "sign" and leads_to_a_finding(found, place):
        note_a_leading_sign(scope, found, item, length)
        scope.affirm(item)  # "neg PTX, pos effusion"
    elif item.kind == "participle" and scope.force is None and ends_a_clause(found, place, length):
        state_with_a_participle(scope, item)
    elif item.kind == "goes_on" and (ends_a_clause(found, place, length) or runs_on(found, place)):
        go_on(scope, item)


def _step(scope: Scope, found: list[Item], place: int, length: int) -> Step | None:
    item = found[place]
    if item.kind == "affirm" and item.value == "sign" and leads_to_a_finding(found, place):
        note_a_leading_sign(scope, found, item, length)
    sided = _of_a_side(scope, found, place, length) if item.kind in _ONE_SIDED or item.value == "yes" else None
    if sided is None and item.kind in _VERDICTS:
        sided = verdict(scope, found, place, length)
    if sided is not None:
        step: Step | None = sided
    elif scope.said and scope.colon_at == item.first - 1 and item.kind in _ANSWERS:
        step = _behind_a_colon(scope, found, place, length)
    else:
        step = _left_open(scope, found, place, length)
    if step is not None or _is_idle(found, place):
        return step
    near = scope.said and scope.said[-1].last + 1 == item.first and scope.force is None
    if item.value == "none" and near:
        return _ANSWERS_OF_A_SIDE.get(is_none_of_a_side(found, place))
    if near and item.value == "evidence" and item.last == length - 1:
        return Scope.absent_before  # "of pneumothorax no sign"
    step = _around(scope, found, place, length) if item.kind in _TURN else None
    if step is not None:
        return step
    if item.value in SIGNS and item.kind != "affirm" and ends_a_clause(found, place, length):
        return behind(scope, item)
    return _STEPS.get(item.kind)


def _of_a_side(scope: Scope, found: list[Item], place: int, length: int) -> Step | None:
    """ "Effusion right none, left small" has one, "effusion: right none" has none."""
    if found[place].kind == "affirm":
        say_yes_of_a_side(scope, found, place)
        return None
    if doubts_the_other_side(found, place):
        scope.floor = min(scope.floor, max(0, len(scope.said) - 1))
        return Scope.uncertain_before
    if denies_one_side(found, place) or denies_the_side_behind(found, place):
        return _keep_the_other_side(scope, found, place)
    changed = found[place].kind != "absent_after" and has_changed(found, place, length)
    if not scope.said or not (changed or answers_of_a_side(found, place)):
        return None
    scope.floor = min(scope.floor, len(scope.said) - 1)
    return Scope.uncertain_before if changed else Scope.absent_before


def _keep_the_other_side(scope: Scope, found: list[Item], place: int) -> Step:
    """ "Right effusion resolved, left small" has one on the left."""
    if scope.said:
        scope.said[-1].side = the_other_side(found, place)
    return Scope.affirm


def _around(scope: Scope, found: list[Item], place: int, length: int) -> Step | None:
    """What the phrases beside a sign, a count or a comparison make of it; None: nothing."""
    item = found[place]
    if item.value in _IN_FRONT:
        return in_front(scope, found, place) or leave
    step = hedged(found, place, first=not scope.said) if item.kind == "absent_after" else None
    if step is not None:
        return step
    if item.value in _COMPARED and compares(found, place):
        return _compare
    if item.value in _NEAR and _says_nothing(scope, found, place, length):
        return leave
    if item.kind == "absent_about":
        return leading(scope, found, place, length)
    return None


def _says_nothing(scope: Scope, found: list[Item], place: int, length: int) -> bool:
    """ "Effusion is no more prominent than before", and the effusion of "small effusion, apices not evaluated"."""
    follows = follows_a_finding(found, place)
    if found[place].value == "near":
        return not follows or scope.joined > scope.said[-1].last
    return follows and not ends_a_clause(found, place, length)


def _compare(scope: Scope, item: Item) -> None:  # noqa: ARG001
    """ "No pneumothorax and no more edema than before": what is compared is there."""
    if scope.moved:
        scope.force = None


def _left_open(scope: Scope, found: list[Item], place: int, length: int) -> Step | None:
    """A dash that parts what is denied, and an answer that is of one side only."""
    item = found[place]
    if item.kind == "aside" and _lists(scope) and not follows_a_subject(found, place):
        left = names_only(found, place, length)
        return None if left is None else _BEHIND_A_DASH[left]
    if item.kind == "absent_before" and item.value in _GONE:
        return _gone(scope, found, place)
    if item.first in {0, scope.joined + 1} and item.kind in _HEADING and heads(found, place):
        return _HEADING[item.kind]
    left = says_of_a_side(found, place) if item.value in _ANSWERED else None
    return None if left is None else _LEFT[left]


def _gone(scope: Scope, found: list[Item], place: int) -> Step | None:
    if begins_with_resolved(found, place):
        return _between(scope, found, place)
    only = len(scope.said) == scope.floor + 1
    if is_of_a_part(found, place) or is_of_a_half(found, place) or (only and goes_on_elsewhere(found, place)):
        return Scope.uncertain_before
    if not only or says_of_a_side(found, place) is not State.PRESENT:
        return None
    return _keep_the_other_side(scope, found, place)


def _lists(scope: Scope) -> bool:
    """May a dash part what is denied: not where each part before it has a denial of its own, "no A | no B | C"?"""
    if scope.force is None or scope.force.state is not State.ABSENT:
        return False
    return scope.aside_at < 0 or all(said.cues[:1] == [scope.force.cue] for said in scope.said)


def _behind_a_colon(scope: Scope, found: list[Item], place: int, length: int) -> Step | None:
    """ "Pneumothorax: no", "pneumothorax: not seen" and "large effusion: no pneumothorax"."""
    scope.floor = min(scope.floor, scope.colon_floor)
    left = says_of_a_side(found, place)
    if found[place].kind == "absent_before" and left is State.PRESENT:
        return _keep_the_other_side(scope, found, place)
    if found[place].kind != "absent_after":
        return None
    bare = scope.said[-1].weight is Weight.BARE
    if left is not None or denies_a_size(found, place, length) or (bare and is_of_the_patient(found, place)):
        return Scope.uncertain_before
    if answers(found, place, length):
        return Scope.absent_before
    if repeats(found, place, scope.said[-1].concept):
        return deny_both
    scope.floor = len(scope.said)
    return None


def _is_idle(found: list[Item], place: int) -> bool:
    """Is this a dash before an "or", or a "resolved" that speaks of what follows it?"""
    item = found[place]
    if item.kind == "aside":
        return goes_on_as_a_list(found, place)
    return item.kind == "absent_before" and item.value == "gone" and begins_with_resolved(found, place)


def _between(scope: Scope, found: list[Item], place: int) -> Step | None:
    """A "resolved" before a finding speaks of it, but for "effusion resolved pneumothorax persists"."""
    if len(scope.said) == scope.floor or scope.said[-1].last + 1 < found[place].first:
        return None
    behind = runs_on(found, place)
    return None if behind is False else Scope.absent_before if behind else turn_between


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
