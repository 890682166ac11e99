"""Turns that a look at the phrases around a cue calls for: a sign in front, a dash, a verdict between two findings."""

from __future__ import annotations

from reports.findings.clauses import REACH_OF_A_SIDE, counts_a_finding
from reports.findings.labels import State
from reports.findings.phrases import Item
from reports.findings.said import Force, Weight
from reports.findings.scope import Scope
from reports.findings.sides import is_led_by_a_side


def deny_up_to_a_comma(scope: Scope, item: Item) -> None:
    """ "- PTX, effusion +"."""
    scope.reach(State.ABSENT, item)
    if scope.force is not None:
        scope.force.brief = True


def turn_between(scope: Scope, item: Item) -> None:
    """ "Small effusion resolved pneumothorax": of which of the two?"""
    scope.uncertain_before(item)
    scope.reach(State.UNCERTAIN, item, once=True)


def deny_now(scope: Scope, item: Item) -> None:
    """ "Effusion: previously small, now none", "effusion was seen yesterday, while today there is none"."""
    if scope.said:
        scope.floor = min(scope.floor, len(scope.said) - 1)
        scope.absent_before(item)
    else:
        scope.deny(item)


def deny_both(scope: Scope, item: Item) -> None:
    """ "Pneumothorax: no evidence of pneumothorax"."""
    scope.absent_before(item)
    scope.deny(item)


def list_behind_a_dash(scope: Scope, item: Item) -> None:
    """ "No consolidation - effusion - pneumothorax" and "no acute process - pneumonia, effusion" go on."""
    scope.aside_at = item.last
    if scope.force is not None:
        scope.force.listed = False


def doubt_behind_a_dash(scope: Scope, item: Item) -> None:
    scope.aside_at = item.last
    scope.doubt()


def go_on(scope: Scope, item: Item) -> None:
    """ "Pneumothorax unchanged, effusion no longer seen": the second clause denies its own finding only."""
    if scope.said and item.first - (scope.aside_at == item.first - 1) == scope.said[-1].last + 1:
        scope.floor = len(scope.said)
        run_together(scope, item)


def run_together(scope: Scope, item: Item) -> None:
    """ "No pneumothorax effusion unchanged", and "no pneumothorax, edema/effusion unchanged"."""
    pair = scope.said[-2:]
    near = len(pair) > 1 and item.first == pair[1].last + 1 and not pair[1].parted
    if near and pair[0].cues[:1] == pair[1].cues[:1]:
        for said in pair[0 if pair[0].parted else 1 :]:
            scope.open(said, item)


def state_with_a_participle(scope: Scope, item: Item) -> None:
    """ "Effusion seen and pneumothorax not seen": no verdict behind it is of the effusion."""
    if scope.said and item.first == scope.said[-1].last + 1:
        scope.said[-1].weight = Weight.WHOLE


def turn_to_a_side(scope: Scope, item: Item, side: str | None) -> None:
    """ "No effusion or edema on the right, but on the left"; "right no effusion, left yes" has one on that side."""
    cue = scope.said[-1].cues[:1]
    for said in reversed(scope.said):
        if said.state is not State.ABSENT or said.cues[:1] != cue:
            break
        if side is None:
            scope.open(said, item)
        else:
            said.state, said.side = State.PRESENT, side
            said.cues.clear()


def say_yes_of_a_side(scope: Scope, found: list[Item], place: int) -> None:
    """ "Right no PTX left yes", without a comma."""
    first = place
    while first > max(0, place - REACH_OF_A_SIDE) and found[first - 1].kind in {"side", "restart"}:
        first -= 1
    side = is_led_by_a_side(found, first) if scope.said and found[first].first == scope.said[-1].last + 1 else None
    if side is not None:
        turn_to_a_side(scope, found[place], side)


def end_inside(scope: Scope, found: list[Item], place: int) -> None:
    """ "No cavity within the consolidation", "no fever, this is atelectasis"; not "nothing to suggest that this is"."""
    item, force = found[place], scope.force
    if item.value:
        ends = scope.joined == item.first - 1 or (place > 0 and found[place - 1].kind == "complaint")
    else:
        ends = item.first in scope.around.holders
    if ends and force is not None and force.state is State.ABSENT and (force.listed or force.cue[1] + 1 < item.first):
        if scope.lists_until > item.last and not counts_a_finding(found, place):
            scope.doubt()  # "no pneumothorax in the left lung effusion or edema" may lack a comma
            return
        scope.stop(item)
        joins = [one.value for one in found[place + 1 : place + 6] if one.kind == "join"]
        if not item.value and joins[:1] != ["with"]:  # "no sign in the consolidation of cavitation"
            scope.lifted = Force(State.UNCERTAIN, force.cue, doubted=True)
