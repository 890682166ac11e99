"""What a sentence says of each finding in it: present, absent, uncertain, or nothing, and which words say so.

After ConText (Harkema et al., J Biomed Inform 2009): a cue reaches forward or backward to the end of its clause.
One pass over the phrases of a sentence, linear in their number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from reports.findings.clauses import (
    ends_a_clause,
    ends_with_a_device,
    is_asserted,
    leads,
    leads_to_a_finding,
    leads_to_a_predicate,
    names_an_exception,
    opens_a_clause,
)
from reports.findings.labels import State
from reports.findings.phrases import Item
from reports.findings.said import Force, Said, Tokens

_CONCEPTS: Final = MappingProxyType(
    {"heart": ("cardiomegaly",), "mediastinum": ("mediastinum",), "both": ("cardiomegaly", "mediastinum")}
)
_REACH_OF_A_PREDICATE: Final = 12  # tokens between "heart" and "enlarged"
_AFTER_A_JOIN: Final = 2  # tokens: "and the left"
_OPEN: Final = frozenset({State.PRESENT, State.UNCERTAIN})
_IMPLIED: Final = frozenset({"infection"})  # what the words make likely and do not say
_OF_THE_PLEURA: Final = frozenset({"effusion", "pleural_other", "pleural_thickening"})
_REACH_OF_OR: Final = 2
_RESTARTS: Final = frozenset({"restart", "side"})
_MARKS: Final = frozenset({"restriction", "goes_on", "procedure"})  # they only qualify other phrases
_REACH_OF_A_RESTRICTION: Final = 4  # tokens: "no large right sided pneumothorax"
_REACH_BEHIND: Final = 2
_OF_ANY_SIZE: Final = frozenset({"pneumothorax", "hydropneumothorax"})  # a small one matters as well
_SAID: Final = frozenset({"minimal", "mild", "moderate"})


@dataclass(slots=True)
class Scope:
    """The state while the phrases of one sentence pass by."""

    said: list[Said] = field(default_factory=list)
    force: Force | None = None
    floor: int = 0  # cues that reach backward stop at this mention
    joined: int = -2  # token of the last comma, "and", "with"
    listed: int = -2  # token of the last "or" or "nor" so far
    lists_until: int = -1  # token of the last "or" or "nor": up to there a list goes on
    subjects: list[Item] = field(default_factory=list)
    predicate: tuple[Item, Force | None] | None = None  # said before its subject
    asserted: bool = False  # the "or" at hand leaves neither side open
    leads: bool = False  # the predicate at hand stands right before its subject
    moved: bool = False  # a comma or a finding since the cue
    restriction: Item | None = None  # the last "new", "large" or "tension" before a finding

    # --- findings

    def finding(self, item: Item) -> None:
        state = State.UNCERTAIN if item.value in _IMPLIED else State.PRESENT
        self._say(self._concept(item), [(item.first, item.last)], state, [])
        if self.force is not None and self.force.once:
            self.force = None
        if item.value != "other":
            self.subjects.clear()
        self.predicate = None

    def _concept(self, item: Item) -> str:
        """ "Effusion or thickening" and "pleural plaques and thickening" name the pleura once."""
        if item.value == "thickening" and self.said:
            last = self.said[-1]
            if last.concept in _OF_THE_PLEURA and item.first - last.last <= _REACH_OF_OR + 1:
                return "pleural_thickening"
        return item.value

    def normality(self, item: Item) -> None:
        self._say(item.value, [(item.first, item.last)], State.PRESENT, [])
        self._reach(State.ABSENT, item)
        if self.force is not None:
            self.force.listed = True

    def _say(self, concept: str, words: list[Tokens], state: State | None, cues: list[Tokens]) -> None:
        if self.force is not None and not cues:
            state = self.force.state
            cues = [self.force.cue]
        said = Said(concept, state, words, cues, weak=self.force is not None and self.force.once)
        said.restricted = self._restricts(said)
        if said.restricted is not None and state is State.ABSENT and self.force is not None and not self.force.gone:
            said.state = State.UNCERTAIN
            said.cues = [*cues, said.restricted]
        self.said.append(said)
        self.restriction = None
        self.moved = True

    def _restricts(self, said: Said) -> Tokens | None:
        """ "No new effusion" leaves an old one open, "no tension pneumothorax" and "no large" any other."""
        one = self.restriction
        if one is not None and one.last < said.first <= one.last + _REACH_OF_A_RESTRICTION:
            if one.value == "change" and self.force is not None:
                self.force.restricted = (one.first, one.last)
            if one.value != "size" or said.concept in _OF_ANY_SIZE:
                return (one.first, one.last)
        return None if self.force is None else self.force.restricted

    def restrict(self, item: Item) -> None:
        if item.value != "behind":
            self.restriction = item
        elif self.said and item.first - self.said[-1].last <= _REACH_BEHIND:
            self.leave_open(item)

    def leave_open(self, item: Item) -> None:
        said = self.said[-1]
        if said.state is State.ABSENT and self._is_denied():
            said.state = State.UNCERTAIN
            said.cues = [*said.cues, (item.first, item.last)]

    # --- cues

    def absent_after(self, item: Item) -> None:
        if self.force is None or not self.force.listed or self.force.cue != (item.first, item.last):
            if self._is_denied() and not self.moved and item.value == "gone":
                self.force = None  # "no removal of", "without clearing of"
            else:
                self._reach(State.ABSENT, item)
                if self.force is not None:
                    self.force.negates = True
                    self.force.gone = item.value == "gone"

    def change(self, item: Item) -> None:  # noqa: ARG002
        if self._is_denied() and not self.moved:
            self.force = None

    def absent_about(self, item: Item) -> None:
        """ "Effusion absent" and "absent effusion"."""
        if len(self.said) > self.floor and self.joined < self.said[-1].last and item.first - self.said[-1].last <= 2:
            self.absent_before(item)
        else:
            self.absent_after(item)

    def companion(self, item: Item) -> None:
        if self._is_denied() and self.moved:
            self._reach(State.UNCERTAIN, item)
        else:
            self.join(item)

    def uncertain_after(self, item: Item) -> None:
        if self._is_denied() and (not self.moved or self.lists_until > item.last):
            return
        self._reach(State.UNCERTAIN, item)
        if self.force is not None:
            self.force.negates = item.value == "denied"

    def suggested_after(self, item: Item) -> None:
        if not self._is_denied():
            self._reach(State.UNCERTAIN, item)

    def _is_denied(self) -> bool:
        return self.force is not None and self.force.state is State.ABSENT

    def silent_after(self, item: Item) -> None:
        self._reach(None, item)

    def _reach(self, state: State | None, item: Item, *, once: bool = False) -> None:
        self.force = Force(state, (item.first, item.last), once)
        self.moved = False

    def absent_before(self, item: Item) -> None:
        first = self.floor
        self._turn(State.ABSENT, item)
        for said in self.said[first:]:
            if said.restricted is not None and said.cues == [(item.first, item.last)] and item.value != "gone":
                said.state = State.UNCERTAIN

    def uncertain_before(self, item: Item) -> None:
        self._turn(State.UNCERTAIN, item)

    def uncertain_about(self, item: Item) -> None:
        if self.leads or len(self.said) == self.floor:
            self.uncertain_after(item)
        else:
            self.uncertain_before(item)

    def _turn(self, state: State, item: Item) -> None:
        for said in self.said[self.floor :]:
            if said.state in _OPEN and (said.weak or not said.cues):
                said.state = state
                said.cues[:] = [(item.first, item.last)]
                said.weak = False
        self.floor = len(self.said)
        self.force = None

    def either(self, item: Item) -> None:
        """ "X or Y" that no cue governs, and "X versus Y" in any case: neither is certain."""
        if self.force is None or item.value == "versus":
            near = len(self.said) > self.floor and item.first - self.said[-1].last <= _REACH_OF_OR and not self.asserted
            if near and self.said[-1].state is State.PRESENT:
                self.said[-1].state = State.UNCERTAIN
                self.said[-1].cues.append((item.first, item.last))
                self.said[-1].weak = True
                self._reach(State.UNCERTAIN, item, once=True)

    def affirm(self, item: Item) -> None:  # noqa: ARG002
        self.floor = len(self.said)
        if self.moved:
            self.force = None

    def go_on(self, item: Item) -> None:
        """ "Pneumothorax unchanged, effusion no longer seen": the second clause denies its own finding only."""
        if self.said and self.said[-1].last + 1 == item.first:
            self.floor = len(self.said)

    # --- clauses

    def stop(self, item: Item) -> None:  # noqa: ARG002
        self.force = None
        self.floor = len(self.said)
        if not self.leads:
            self.subjects.clear()
        self.predicate = None

    def colon(self, item: Item) -> None:  # noqa: ARG002
        """ "Heart: normal" is about the heart, but a negation before a colon ends there."""
        self.force = None
        self.floor = len(self.said)

    def list_on(self, item: Item) -> None:
        self.listed = item.last

    def join(self, item: Item) -> None:
        self.joined = item.last
        self.moved = True
        if self.force is not None and self.force.listed and self.lists_until < item.first:
            self.force = None

    def restart(self, item: Item) -> None:
        """ "No effusion, mild edema" and "possible effusion, mild edema", not "may represent effusion, mild edema"."""
        opens = (
            item.first - _AFTER_A_JOIN <= self.joined and self.lists_until < item.first and self.listed < self.joined
        )
        if opens and self.force is not None and self.force.cue[1] < self.joined:
            first, last = self.force.cue
            if self._is_denied() or first == last:
                self.force = None

    def severity(self, item: Item) -> None:
        if item.value in _SAID:
            self.restart(item)

    # --- the heart and the mediastinum

    def subject(self, item: Item) -> None:
        if item.value == "elsewhere":
            if self.predicate is not None and self.predicate[0].value != "normal":
                self.predicate = None
            self.subjects.append(item)
            return
        if self.joined >= 0 and self.lists_until < item.first and self.moved:
            self.force = None
        if self.predicate is not None:
            self._describe(item, *self.predicate)
            if self.predicate[0].value != "normal":
                self.predicate = None
            return
        self.subjects.append(item)

    def predicated(self, item: Item) -> None:
        if self.leads:
            self.predicate = (item, self.force)
            return
        near = [one for one in self.subjects if item.first - one.last <= _REACH_OF_A_PREDICATE]
        self.subjects.clear()
        for one in near:
            self._describe(one, item, self.force)
        self.predicate = None if near else (item, self.force)

    def _describe(self, subject: Item, predicate: Item, force: Force | None) -> None:
        spans = sorted([(subject.first, subject.last), (predicate.first, predicate.last)])
        for concept in _CONCEPTS.get(subject.value, ()):
            if predicate.value == "enlarged":
                state = State.PRESENT if force is None else force.state
                self.said.append(Said(concept, state, spans, [] if force is None else [force.cue]))
            else:
                denied = force is not None and force.negates and 0 < predicate.first - force.cue[1] <= 2
                state = State.ABSENT if predicate.value == "normal" and not denied else State.UNCERTAIN
                self.said.append(Said(concept, state, spans, [(predicate.first, predicate.last)]))


_STEPS: Final = MappingProxyType(
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


def read(found: list[Item], length: int) -> list[Said]:
    """What the phrases of one sentence say, in their order. length: of the sentence, in tokens."""
    scope = Scope()
    items = [item for item in found if item.kind not in _MARKS]
    for item in items:
        if item.kind == "list":
            scope.lists_until = item.last
    number = -1
    for place, item in enumerate(found):
        if item.kind == "restriction":
            scope.restrict(item)
        elif item.kind == "goes_on" and ends_a_clause(found, place, length):
            scope.go_on(item)
        if item.kind in _MARKS:
            continue
        number += 1
        _look_around(scope, items, number)
        if item.kind in {"join", "stop"}:
            _end(scope, found, place)
        behind = item.value == "no" and len(scope.said) > scope.floor and ends_a_clause(found, place, length)
        step = Scope.absent_before if behind else _STEPS.get(item.kind)
        if step is not None:
            step(scope, item)
    return scope.said


def _look_around(scope: Scope, items: list[Item], number: int) -> None:
    item = items[number]
    if item.kind == "predicate":
        scope.leads = leads(items, number)
    elif item.kind == "stop":
        scope.leads = leads_to_a_predicate(items, number)
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
