"""What a sentence says of each finding in it: present, absent, uncertain, or nothing, and which words say so.

After ConText (Harkema et al., J Biomed Inform 2009): a cue reaches forward or backward to the end of its clause.
One pass over the phrases of a sentence, linear in their number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

from reports.findings.labels import State
from reports.findings.phrases import Item

Tokens: TypeAlias = tuple[int, int]  # first and last token

_CONCEPTS: Final = MappingProxyType(
    {"heart": ("cardiomegaly",), "mediastinum": ("mediastinum",), "both": ("cardiomegaly", "mediastinum")}
)
_REACH_OF_A_PREDICATE: Final = 12  # tokens between "heart" and "enlarged"
# No "A or B" makes one of these present.
_ACTED_ON: Final = frozenset(
    {"pneumonia", "infection", "mass", "nodule", "lesion", "pneumothorax", "fracture", "edema", "hydropneumothorax"}
)
_AFTER_A_JOIN: Final = 2  # tokens: "and the left"
_OPEN: Final = frozenset({State.PRESENT, State.UNCERTAIN})
_IMPLIED: Final = frozenset({"infection"})  # what the words make likely and do not say
_OF_THE_PLEURA: Final = frozenset({"effusion", "pleural_other", "pleural_thickening"})
_REACH_OF_SIDES: Final = 6
_REACH_OF_OR: Final = 2
_REACH_OF_ABOUT: Final = 6
_QUALIFIES: Final = frozenset({"restart", "side", "severity", "suggested_after", "subject"})
_RESTARTS: Final = frozenset({"restart", "side"})
_SAID: Final = frozenset({"minimal", "mild", "moderate"})


@dataclass(slots=True)
class Said:
    """A mention in the making. state None: asked or remembered, not said of this film."""

    concept: str
    state: State | None
    words: list[Tokens]
    cues: list[Tokens]
    weak: bool = False  # only an "or" says so

    @property
    def first(self) -> int:
        return self.words[0][0]

    @property
    def last(self) -> int:
        return self.words[-1][1]


@dataclass(slots=True)
class Force:
    """A cue that reaches forward."""

    state: State | None
    cue: Tokens
    once: bool = False  # it reaches the next finding only
    listed: bool = False  # behind a comma or an "and" it reaches only the rest of a list that ends with "or"


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
        self.said.append(Said(concept, state, words, cues, weak=self.force is not None and self.force.once))
        self.moved = True

    # --- cues

    def absent_after(self, item: Item) -> None:
        if self.force is None or not self.force.listed or self.force.cue != (item.first, item.last):
            self._reach(State.ABSENT, item)

    def uncertain_after(self, item: Item) -> None:
        if self._is_denied() and (not self.moved or self.lists_until > item.last):
            return
        self._reach(State.UNCERTAIN, item)

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
        self._turn(State.ABSENT, item)

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
                state = State.ABSENT if predicate.value == "normal" else State.UNCERTAIN
                self.said.append(Said(concept, state, spans, [(predicate.first, predicate.last)]))


_STEPS: Final = MappingProxyType(
    {
        "finding": Scope.finding,
        "normality": Scope.normality,
        "absent_after": Scope.absent_after,
        "absent_before": Scope.absent_before,
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


def read(items: list[Item]) -> list[Said]:
    """What the phrases of one sentence say, in their order."""
    scope = Scope()
    for item in items:
        if item.kind == "list":
            scope.lists_until = item.last
    for number, item in enumerate(items):
        if item.kind == "predicate":
            scope.leads = _leads(items, number)
        elif item.kind == "stop":
            scope.leads = _leads_to_a_predicate(items, number)
        elif item.kind == "uncertain_about":
            scope.leads = _leads_to_a_finding(items, number)
        elif item.kind == "either":
            scope.asserted = item.value == "or" and _is_asserted(items, number)
        step = _STEPS.get(item.kind)
        if step is not None:
            step(scope, item)
    return scope.said


def _leads(items: list[Item], number: int) -> bool:
    """Is the next phrase the subject of this predicate: "borderline heart size"?"""
    item = items[number]
    for following in items[number + 1 : number + 3]:
        if following.first > item.last + 1:
            return False
        if following.kind == "subject" and following.value != "elsewhere":
            return True
    return False


def _leads_to_a_predicate(items: list[Item], number: int) -> bool:
    """Does a predicate without a subject of its own follow: "the heart has decreased, but remains enlarged"?"""
    following = [item for item in items[number + 1 : number + 6] if item.kind not in {"severity", "affirm", "restart"}]
    if not following or following[0].kind != "predicate":
        return False
    return all(item.kind in {"stop", "join"} for item in following[1:2])


def _leads_to_a_finding(items: list[Item], number: int) -> bool:
    """Is a finding what this cue is said of: "is likely mild atelectasis", not "is likely, with atelectasis"?"""
    item = items[number]
    for following in items[number + 1 : number + 6]:
        if following.first - item.last > _REACH_OF_ABOUT:
            return False
        if following.kind in {"finding", "predicate"}:
            return True
        if following.kind not in _QUALIFIES:
            return False
    return False


def _is_asserted(items: list[Item], number: int) -> bool:
    """Are both sides of this "or" readings of one shadow that may be asserted: "atelectasis or scarring"?

    Both published labelers and the indexers of the gold call both sides present. What somebody would act on stays open.
    """
    item = items[number]
    sides = (*items[max(0, number - 3) : number], *items[number + 1 : number + 5])
    found = {one.value for one in sides if one.kind == "finding" and abs(one.first - item.first) <= _REACH_OF_SIDES}
    return "scar" in found or not found & _ACTED_ON
