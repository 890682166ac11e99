"""What a sentence says of each finding in it: present, absent, uncertain, or nothing, and which words say so.

After ConText (Harkema et al., J Biomed Inform 2009): a cue reaches forward or backward to the end of its clause.
One pass over the phrases of a sentence, linear in their number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from reports.findings.labels import State
from reports.findings.phrases import Item
from reports.findings.reach import reached
from reports.findings.said import Around, Force, Said, Tokens, Weight

_AFTER_A_JOIN: Final = 2  # tokens: "and the left"
_OPEN: Final = frozenset({State.PRESENT, State.UNCERTAIN})
_IMPLIED: Final = frozenset({"infection"})  # what the words make likely and do not say
_OF_THE_PLEURA: Final = frozenset({"effusion", "pleural_other", "pleural_thickening"})
_REACH: Final = 2  # tokens
_SIZED: Final = frozenset({"side", "severity"})
_REACH_OF_A_RESTRICTION: Final = 4  # tokens: "no large right sided pneumothorax"
_OF_ANY_SIZE: Final = frozenset({"pneumothorax", "hydropneumothorax"})  # a small one matters as well
_GONE: Final = frozenset({"gone", "gone_away", "gone_answer"})
_NEXT: Final = frozenset({"next", "went", "excluded"})
_SIGNS: Final = frozenset({*_NEXT, "sign", "dash"})
_BACKWARD: Final = frozenset({"dash", "next", "went"})
_SAID: Final = frozenset({"minimal", "mild", "moderate"})


@dataclass(slots=True)
class Scope:
    """The state while the phrases of one sentence pass by."""

    around: Around
    said: list[Said] = field(default_factory=list)
    force: Force | None = None
    floor: int = 0  # cues that reach backward stop at this mention
    joined: int = -2  # token of the last comma, "and", "with"
    comma: int = -2  # token of the last comma
    company: bool = False  # the last of them was a "with"
    named: bool = False  # a finding stands between the cue and the last of them
    colon_at: int = -2
    aside_at: int = -2
    colon_floor: int = 0  # the floor before the last colon
    between: list[str] = field(default_factory=list)  # what parts the next mention from the last
    weight: Weight = Weight.BARE  # of the words since the last comma, "and", "or", "with"
    listed: int = -2  # token of the last "or" or "nor" so far
    lists_until: int = -1  # token of the last "or" or "nor": up to there a list goes on
    subjects: list[Item] = field(default_factory=list)
    predicate: tuple[Item, Force | None] | None = None  # said before its subject
    asserted: bool = False  # the "or" at hand leaves neither side open
    leads: bool = False  # the predicate at hand stands right before its subject
    moved: bool = False  # a comma or a finding since the cue
    signs_lead: bool = False  # "neg PTX pos effusion neg edema"
    lifted: Force | None = None  # what reaches on behind the next finding
    restriction: Item | None = None  # the last "new", "large" or "tension" before a finding

    # --- findings

    def finding(self, item: Item) -> None:
        state = State.UNCERTAIN if item.value in _IMPLIED else State.PRESENT
        if item.first in self.around.holders or (self._is_removed() and item.value != "device"):
            self.force = None
        self._say(self._concept(item), [(item.first, item.last)], state, [])
        if self.force is not None and self.force.once:
            self.force = None
        if item.value != "other":
            self.subjects.clear()
        self.predicate = None

    def _is_removed(self) -> bool:
        """Did the last cue take a device away: "after removal of the chest tube a pneumothorax"?"""
        if self.force is None or not self.force.gone or not self.said:
            return False
        return self.said[-1].concept == "device" and self.said[-1].cues == [self.force.cue]

    def _concept(self, item: Item) -> str:
        """ "Effusion or thickening" and "pleural plaques and thickening" name the pleura once."""
        if item.value == "thickening" and self.said:
            last = self.said[-1]
            if last.concept in _OF_THE_PLEURA and item.first - last.last <= _REACH + 1:
                return "pleural_thickening"
        return item.value

    def normality(self, item: Item) -> None:
        self._say(item.value, [(item.first, item.last)], State.PRESENT, [])
        self.reach(State.ABSENT, item)
        if self.force is not None:
            self.force.listed = True

    def _say(self, concept: str, words: list[Tokens], state: State | None, cues: list[Tokens]) -> None:
        if self.force is not None and not cues:
            state = self.force.state
            cues = [self.force.cue]
        said = Said(concept, state, words, cues, weak=self.force is not None and self.force.once)
        said.restricted = self._restricts(said)
        self.place(said)
        if said.restricted is not None and state is State.ABSENT and self.force is not None and not self.force.gone:
            said.state = State.UNCERTAIN
            said.cues = [*cues, said.restricted]
        self.said.append(said)
        self.restriction = None
        self.moved = True

    def place(self, said: Said) -> None:
        said.parted, said.weight = tuple(self.between), max(said.weight, self.weight)
        self.between.clear()
        self.weight = Weight.BARE

    def _restricts(self, said: Said) -> Tokens | None:
        """ "No new effusion" leaves an old one open, "no tension pneumothorax" and "no large" any other."""
        one = self.restriction
        if one is not None and one.last < said.first <= one.last + _REACH_OF_A_RESTRICTION:
            if one.value == "change" and self.force is not None:
                self.force.restricted = (one.first, one.last)
            if one.value == "change" or said.concept in _OF_ANY_SIZE:
                return (one.first, one.last)
        return None if self.force is None else self.force.restricted

    def restrict(self, item: Item) -> None:
        if item.value != "behind":
            self.restriction = item
            self.weight = max(self.weight, Weight.SIZED)
        elif self.said and item.first - self.said[-1].last <= _REACH and not (self.force and self.force.gone):
            self.leave_open(item)

    def leave_open(self, item: Item) -> None:
        self.open(self.said[-1], item)

    def open(self, said: Said, item: Item) -> None:
        if said.state is State.ABSENT and (self._is_denied() or said.cues[0][1] + 1 == item.first):
            said.state = State.UNCERTAIN
            said.cues = [*said.cues, (item.first, item.last)]

    def leave_all_open(self, item: Item) -> None:
        """ "Neither pneumonia nor edema can be excluded"."""
        for said in self.said[self.floor :]:
            if said.state is State.ABSENT:
                said.state = State.UNCERTAIN
                said.cues = [*said.cues, (item.first, item.last)]
        self.floor = len(self.said)
        self.force = None

    # --- cues

    def absent_after(self, item: Item) -> None:
        if not self.said or self.said[-1].cues != [(item.first, item.last)]:  # "pneumonia ruled out", turned already
            self.deny(item)

    def deny(self, item: Item) -> None:
        if item.value == "gone" and self.force is not None and self.force.state is State.UNCERTAIN and not self.moved:
            return  # "possible resolution of the effusion"
        if item.value == "excludes" and self._is_denied() and not self.moved:
            self.reach(State.UNCERTAIN, item)  # "no finding excludes pneumonia"
            return
        if self.force is None or not self.force.listed or self.force.cue != (item.first, item.last):
            if self._is_denied() and not self.moved and item.value == "gone":
                self.force = None  # "no removal of", "without clearing of"
            else:
                self.reach(State.ABSENT, item)
                if self.force is not None:
                    self.force.negates = True
                    self.force.gone = item.value == "gone"
                    self.force.word = item.value

    def change(self, item: Item) -> None:
        """ "No change in the edema", and "no pneumothorax and increase in effusion"."""
        if self._is_denied() and (not self.moved or item.first == self.joined + 1):
            self.force = None

    def absent_about(self, item: Item) -> None:
        """ "Effusion absent" and "absent effusion", "effusion (-)" and "(-) effusion"."""
        reach = 1 if item.value in _NEXT else _REACH
        last = self.said[-1].last if len(self.said) > self.floor else self.joined
        near = self.joined < last < item.first <= last + reach
        is_sign = item.value in _SIGNS
        if not near or (is_sign and self.force is not None and self.said[-1].cues == [self.force.cue]):
            if item.value == "excluded":  # "pneumonia must be excluded"
                self.uncertain_before(item)
            elif item.value not in _BACKWARD:  # "IMPRESSION - pneumonia" denies nothing
                self.absent_after(item)
        elif is_sign:
            self.signed(item)
        else:
            self.absent_before(item)

    def signed(self, item: Item) -> None:
        """ "Cardiomegaly, effusion (-)": only what stands right before the sign is denied for certain."""
        pair = self.said[-2:]
        if (
            len(pair) > 1
            and not pair[1].parted
            and pair[0].weight is Weight.STATED
            and pair[0].last + 1 < pair[1].first
        ):
            self.floor = max(self.floor, len(self.said) - 1)  # "effusion small PTX (-)"
        for said in self.said[self.floor :]:
            if said.last < self.comma and said.state is State.PRESENT and not said.cues:
                said.state = State.UNCERTAIN
                said.cues.append((item.first, item.last))
        self.absent_before(item)

    def nothing(self, item: Item) -> None:
        """ "No pneumothorax, no change in effusion"."""
        if item.value == "unchanged" and self.moved and self._is_denied():
            self.force = None

    def companion(self, item: Item) -> None:
        if self._is_denied() and self.moved:
            self.reach(State.UNCERTAIN, item)
        else:
            self.join(item)

    def uncertain_after(self, item: Item) -> None:
        begins = self.named and item.first == self.joined + 1  # "no PTX, possible effusion or edema"
        swallowed = not self.moved or (self.lists_until > item.last and not begins)
        if self._is_denied() and swallowed and item.value != "exclude":
            return
        self.reach(State.UNCERTAIN, item)
        if self.force is not None:
            self.force.negates = item.value == "denied"

    def suggested_after(self, item: Item) -> None:
        if not self._is_denied() or self.comma == item.first - 1:  # "no consolidation, suggesting edema"
            self.reach(State.UNCERTAIN, item)

    def _is_denied(self) -> bool:
        return self.force is not None and self.force.state is State.ABSENT

    def silent_after(self, item: Item) -> None:
        self.reach(None, item)
        if self.force is not None:
            self.force.brief = item.value == "brief"

    def reach(self, state: State | None, item: Item, *, once: bool = False) -> None:
        self.force = Force(state, (item.first, item.last), once)
        self.moved = False

    def absent_before(self, item: Item) -> None:
        if item.value == "excluded" and self.force is not None and self.force.word == "neither":
            self.leave_all_open(item)
            return
        first = self.floor
        alone = len(self.said) == self.floor + 1
        if alone and item.value in _GONE and self.denies_here(item) and self.joined < self.said[-1].cues[0][0]:
            self.leave_open(item)  # "no evidence that the effusion has resolved"
        self._turn(State.ABSENT, item)
        for said in self.said[first:]:
            if said.restricted is not None and said.cues == [(item.first, item.last)] and item.value not in _GONE:
                said.state = State.UNCERTAIN

    def uncertain_before(self, item: Item) -> None:
        self._turn(State.UNCERTAIN, item)

    def uncertain_about(self, item: Item) -> None:
        if self.leads or len(self.said) == self.floor:
            self.uncertain_after(item)
        else:
            self.uncertain_before(item)

    def _turn(self, state: State, item: Item) -> None:
        each = item.value == "gone" and item.first == item.last
        for said, surely in reached(self.said[self.floor :], listed="or" in self.between, each=each):
            if said.state in _OPEN and (said.weak or not said.cues):
                said.state = state if surely else State.UNCERTAIN
                said.cues[:] = [(item.first, item.last)]
                said.weak = False
        self.floor = len(self.said)
        self.force = None

    def either(self, item: Item) -> None:
        """ "X or Y" that no cue governs, and "X versus Y" in any case: neither is certain."""
        if self.force is None or item.value == "versus":
            near = len(self.said) > self.floor and item.first - self.said[-1].last <= _REACH and not self.asserted
            if near and self.said[-1].state is State.PRESENT:
                self.said[-1].state = State.UNCERTAIN
                self.said[-1].cues.append((item.first, item.last))
                self.said[-1].weak = True
                self.reach(State.UNCERTAIN, item, once=True)
            elif item.value == "versus" and not near and self.force is None:
                self.reach(State.UNCERTAIN, item, once=True)  # "LLL ATX vs PNA": of a word that is not known

    def affirm(self, item: Item) -> None:
        self.floor = len(self.said)
        if item.value == "seen":
            self.weight = Weight.WHOLE  # "there is an effusion and ..."
        if self.moved:
            self.force = None

    def denies_here(self, item: Item) -> bool:
        """Does a denial reach what stands right before `item`, and no list with "or" go on behind it?"""
        if not self._is_denied() or self.force is None or self.force.listed or self.lists_until > item.first:
            return False
        return bool(self.said) and self.said[-1].cues[:1] == [self.force.cue]

    # --- clauses

    def stop(self, item: Item) -> None:
        if item.value == "there" and self.force is not None and self.force.cue[1] + 1 == item.first:
            return
        self.force = None
        self.floor = len(self.said)
        if not self.leads:
            self.subjects.clear()
        self.predicate = None

    def colon(self, item: Item) -> None:
        """ "Heart: normal" is about the heart, but a negation before a colon ends there."""
        self.colon_at = item.first
        if not self._heads(item):
            self.force = None
        self.colon_floor, self.floor = self.floor, len(self.said)

    def _heads(self, item: Item) -> bool:
        """Is a denial all that stands before this colon: "absent: PTX", and "yes: effusion, no: PTX"?"""
        if self.force is None or self.force.cue[1] != item.first - 1:
            return False
        return self.force.cue[0] == self.joined + 1 if self.said else self.force.cue[0] == 0

    def aside(self, item: Item) -> None:
        """A dash ends what a denial reaches; behind it "none" or "not seen" may still speak of what stands before."""
        self.aside_at = item.last
        if self.leads:
            self.floor = len(self.said)
            self.subjects.clear()
        if self.moved or (self.force is not None and self.force.listed):
            self.force = None

    def doubt(self) -> None:
        """What follows may be denied, or begin a statement of its own."""
        if self.force is not None:
            self.force = Force(State.UNCERTAIN, self.force.cue, doubted=True)

    def list_on(self, item: Item) -> None:
        self.listed = item.last
        self.between.append("or")
        self.weight = Weight.BARE

    def join(self, item: Item) -> None:
        self.joined = item.last
        self.company = item.value == "with"
        self.between.append(item.value or "and")
        self.weight = Weight.BARE
        self.named = self.force is not None and bool(self.said) and self.said[-1].last > self.force.cue[1]
        if item.value == ",":
            self.comma = item.last
        self.moved = True
        if self.force is not None and self.force.listed and self.lists_until < item.first:
            self.force = None
        if self.force is not None and self.force.gone and self.force.cue[1] + 1 == item.first:
            self.force = None  # "lungs cleared, effusion"
        if self.force is not None and self.force.brief and item.value:
            self.force = None

    def restart(self, item: Item) -> None:
        """ "No effusion, mild edema" and "possible effusion, mild edema", not "may represent effusion, mild edema"."""
        if item.value != "the":
            self.weight = max(self.weight, Weight.STATED)
            if item.kind in _SIZED and self.said and self.said[-1].last > self.joined:
                self.said[-1].weight = max(self.said[-1].weight, Weight.STATED)  # "effusion on the left", "is small"
        opens = (
            item.first - _AFTER_A_JOIN <= self.joined and self.lists_until < item.first and self.listed < self.joined
        ) and not (self.said and self.joined < self.said[-1].last < item.first)
        if self.lists_until > item.first and self._begins_with_a_size(item):
            self.doubt()
        if opens and self.force is not None and self.force.cue[1] < self.joined:
            first, last = self.force.cue
            if self._is_denied() or self.force.doubted or first == last:
                self.force = None

    def _begins_with_a_size(self, item: Item) -> bool:
        """ "No pneumothorax, small effusion or atelectasis": a list, or a statement of its own."""
        if self.force is None or item.kind not in _SIZED or not self._is_denied() or not self.named:
            return False
        return self.comma == self.joined == item.first - 1 and self.listed < self.force.cue[1]

    def begin(self, item: Item) -> None:
        """ "No cardiomegaly, severe edema"; "no consolidation, large effusion" leaves the effusion open."""
        if item.kind == "begins":
            self.weight = max(self.weight, Weight.STATED)
        if self.force is None:
            return
        listed = self.lists_until > item.first or self.listed > self.joined
        if self.company or not self.named or listed or item.first > self.joined + _AFTER_A_JOIN + 1:
            self.force.adjectives |= {item.value}
        elif item.kind == "begins":
            short = self.force.cue[0] == self.force.cue[1] and item.value != "degree"
            if self._is_denied() or self.force.doubted or short:
                self.force = None
        elif self._is_denied() and item.value not in self.force.adjectives:
            self.doubt()

    def severity(self, item: Item) -> None:
        if item.value in _SAID:
            self.restart(item)
        elif self.said and self.said[-1].last > self.joined:
            self.said[-1].weight = max(self.said[-1].weight, Weight.STATED)  # "effusion is large"
        self.weight = max(self.weight, Weight.SIZED)
