"""What follows and what goes before a phrase of a sentence: each looks at a fixed number of phrases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reports.findings.labels import State
from reports.findings.phrases import Item

# No "A or B" makes one of these present.
_ACTED_ON: Final = frozenset(
    {"pneumonia", "infection", "mass", "nodule", "lesion", "pneumothorax", "fracture", "edema", "hydropneumothorax"}
)
_REACH_OF_SIDES: Final = 6
_REACH_OF_ABOUT: Final = 6
_QUALIFIES: Final = frozenset({"restart", "side", "severity", "suggested_after", "subject"})
REACH_OF_A_CLAUSE: Final = 10  # phrases
REACH_OF_A_SIDE: Final = 3  # tokens: "left, but not"
REACH_OF_A_VERB: Final = 4  # tokens from a finding to what is said of it
_EMPTY: Final = frozenset({"acute", "gross", "obvious"})  # "pneumothorax: no acute" says no more than "no"
NAMES: Final = frozenset({"finding", "subject", "normality"})
_STATED: Final = frozenset({*NAMES, "predicate"})
QUALITIES: Final = frozenset({"restart", "side", "severity", "restriction", "begins", "perhaps_begins", "inside"})
MODIFIES: Final = frozenset({*QUALITIES, "predicate", "participle", "than"})
_PARTS: Final = frozenset({"join", "stop", "aside", "colon"})
_VERDICTS: Final = frozenset({"goes_on", "affirm", "absent_before", "absent_about", "uncertain_before"})
_KEPT: Final = frozenset({"kept", "unchanged"})  # "effusion not resolved"
_DOUBTS: Final = frozenset({"uncertain_before", "uncertain_about"})
_SIZES: Final = frozenset({"severity", "restart", "begins"})
_BEGIN_A_RUN: Final = frozenset({"finding", "side", "severity"})
_COMPARED: Final = frozenset({*QUALITIES, "goes_on", "list", "either", "join"})
_LEADS: Final = frozenset({*MODIFIES, "absent_after", "uncertain_after", "nothing"})


def opens_a_clause(items: Sequence[Item], number: int, length: int, *, listed: bool) -> bool:
    """Has what follows this comma or "and" a verb or a size of its own: "no fracture, effusion persists"?

    listed: "is seen" may be said of all or nothing that a negation named before, and opens nothing.
    """
    finding: Item | None = None
    for place in range(number + 1, min(number + REACH_OF_A_CLAUSE, len(items))):
        following = items[place]
        if following.kind == "finding" and finding is None:
            finding = following
        elif finding is not None and _is_said_of(items, place, finding, length):
            return True
        elif following.kind in {"affirm", "goes_on"}:
            if finding is not None and not (listed and following.value == "seen"):
                return following.first - finding.last <= REACH_OF_A_VERB
        elif following.kind not in MODIFIES:
            return False
    return False


def runs_on(items: Sequence[Item], number: int) -> bool | None:
    """Is this verdict of the finding right before it, though one follows: "effusion resolved pneumothorax persists"?

    None: it may as well be of the one that follows, as in "small effusion resolved pneumothorax".
    """
    item = items[number]
    first: Item | None = None
    for before in reversed(items[max(0, number - REACH_OF_A_CLAUSE) : number]):
        if before.kind in _PARTS:
            break
        if before.last < item.first and before.kind != "participle":
            if first is None and (before.kind != "finding" or before.last + 1 < item.first):
                return False
            first = before if first is None or before[2:] != first[2:] or before.kind in _BEGIN_A_RUN else first
    if first is None or (first.kind not in _BEGIN_A_RUN and not _describes_before(items, number)):
        return False
    named = sized = False
    for following in items[number + 1 : number + REACH_OF_A_CLAUSE]:
        if following.kind in _PARTS or (named and following.kind in NAMES):
            break
        if named and (following.kind in _VERDICTS or following.kind == "severity"):
            return True
        named = named or following.kind == "finding"
        sized = sized or (not named and following.kind in {"side", "severity"})
    return (True if sized and first.kind == "finding" else None) if named else False


def _describes_before(items: Sequence[Item], number: int) -> bool:
    """Does an organ stand before the finding right before this: "heart enlarged edema resolved effusion persists"?"""
    kinds = [one.kind for one in items[max(0, number - REACH_OF_A_CLAUSE) : number]]
    return kinds[-1:] == ["finding"] and {"subject", "predicate"} <= set(kinds) and _PARTS.isdisjoint(kinds)


def _is_said_of(items: Sequence[Item], number: int, finding: Item, length: int) -> bool:
    """Is this phrase a verdict of the finding before it: "effusion small", "pneumonia cannot be excluded"?"""
    item = items[number]
    if item.kind in _DOUBTS:
        return item.first - finding.last <= REACH_OF_A_VERB
    today = any(one.value == "now" and one.first == finding.last + 1 for one in items[max(0, number - 3) : number])
    if item.first != finding.last + 1 + today:
        return False
    if item.kind == "nothing":
        return item.value in _KEPT
    twin = items[number - 1]
    if item.kind in _SIZES and item.value != "length" and (twin.kind != "side" or twin[2:] != item[2:]):
        return ends_a_clause(items, number, length)
    return item.kind in {"colon", "uncertain_after"}


def shares_its_verdict(items: Sequence[Item], number: int, length: int) -> bool:
    """Does a finding follow this comma with which the next one shares its verdict: ", effusion and edema unchanged"?"""
    named = False
    for place in range(number + 1, min(number + REACH_OF_A_CLAUSE, len(items))):
        following = items[place]
        if following.kind == "finding" and not named:
            named = True
        elif following.kind == "join" and named:
            return following.value not in {",", "with"} and opens_a_clause(items, place, length, listed=True)
        elif following.kind not in MODIFIES:
            return False
    return False


def ends_with_a_device(items: Sequence[Item], number: int) -> bool:
    """Does this comma or "and" follow a device or a procedure, and none follows it?"""
    for before in reversed(items[max(0, number - REACH_OF_A_CLAUSE) : number]):
        if before.kind == "procedure" or before.value == "device":
            break
        if before.kind not in MODIFIES:
            return False
    else:
        return False
    behind = [one for one in items[number + 1 : number + REACH_OF_A_CLAUSE] if one.kind not in MODIFIES]
    return bool(behind) and behind[0].kind == "finding" and behind[0].value != "device"


def ends_a_clause(items: Sequence[Item], number: int, length: int) -> bool:
    """Does a comma, an "and" or the end of the sentence, which is `length` tokens long, follow right behind?"""
    last = items[number].last
    behind = (one for one in items[number + 1 : number + REACH_OF_A_CLAUSE] if one.first > last)
    return last + 1 == length or any(one.kind == "join" and one.first == last + 1 for one in behind)


def answers(items: Sequence[Item], number: int, length: int) -> bool:
    """Is this negation behind a colon all that is said: "pneumothorax: no", not "pneumothorax: not displaced"?

    length: of the sentence, in tokens; a word that is not known is what the negation denies.
    """
    last = items[number].last
    for place in range(number + 1, min(number + REACH_OF_A_CLAUSE, len(items))):
        following = items[place]
        if following.first <= items[number].last:
            continue
        if following.kind in _STATED:
            behind = items[place + 1] if place + 1 < len(items) else None
            return behind is not None and behind.kind == "colon" and behind.first == following.last + 1
        if following.kind in {"stop", "join", "colon", "aside"}:
            return following.first == last + 1 or items[number].value == "evidence"
        if following.kind == "side" or following.value in _EMPTY:
            last = following.last if following.first == last + 1 else last
        elif following.first > last and following.kind == "restriction":
            return False
    return last + 1 == length or items[number].value == "evidence"


def names_only(items: Sequence[Item], number: int, length: int) -> State | None:
    """What a denial makes of the next finding behind this dash: "no consolidation - effusion - pneumothorax".

    ABSENT where it is bare, UNCERTAIN with words that are not known, None where a size, a side or a verb says more.
    """
    if shares_its_verdict(items, number, length):
        return State.UNCERTAIN
    named: Item | None = None
    ended = says = gap = False
    last = items[number].last
    for following in items[number + 1 : number + REACH_OF_A_CLAUSE]:
        parts = following.kind in {"join", "list", "either", "aside"}
        if named is not None and not ended:
            gap = gap or following.first > last + 1
        last = following.last
        if following.kind == "stop" or (ended and (parts or following.kind in _STATED)):
            says = says and parts
            break
        if parts:
            ended = named is not None
        elif following.kind == "finding" and following.value != "device":
            named = following
        elif following.value != "the" and following.value not in _EMPTY:
            if not ended:
                return None
            says = True
    else:
        gap = gap or (named is not None and not ended and last + 1 < length)
    if named is None or says:
        return None
    return State.UNCERTAIN if gap else State.ABSENT


def is_of_the_patient(items: Sequence[Item], number: int) -> bool:
    """Does this "no" behind a heading deny a complaint: "pneumonia: no fever"?"""
    behind = next((one for one in items[number + 1 : number + 4] if one.first > items[number].last), None)
    return behind is not None and behind.kind == "complaint" and behind.first - items[number].last <= REACH_OF_A_SIDE


def denies_a_size(items: Sequence[Item], number: int, length: int) -> bool:
    """Is "large" or "new" all that this "no" behind a heading denies: "effusion: no significant"?"""
    last = items[number].last
    return items[number].value == "no" and any(
        one.kind == "restriction"
        and one.value in {"size", "change"}
        and one.first == last + 1
        and ends_a_clause(items, place, length)
        for place, one in enumerate(items[number + 1 : number + 5], number + 1)
    )


def counts_a_finding(items: Sequence[Item], number: int) -> bool:
    """ "0 effusions"."""
    return any(one.kind == "finding" and one.first == items[number].last + 1 for one in items[number + 1 : number + 3])


def leads_to_a_bare_finding(items: Sequence[Item], number: int) -> bool | None:
    """Is a finding next, without a size or a side of its own? None: no finding is."""
    bare = True
    for following in items[number + 1 : number + REACH_OF_A_CLAUSE]:
        if following.kind == "finding":
            return bare and following.first - items[number].last <= REACH_OF_A_SIDE
        if following.kind not in MODIFIES:
            return None
        bare = False
    return None


def follows_a_subject(items: Sequence[Item], number: int) -> bool:
    """Is this dash a colon behind an organ: "pleura - effusion"?"""
    before = items[number - 1] if number else None
    return before is not None and before.kind == "subject" and before.last + 1 == items[number].first


def follows_a_finding(items: Sequence[Item], number: int) -> bool:
    """Does this stand right behind a finding, or behind words of its side, and not before another finding?"""
    item = items[number]
    before = items[max(0, number - 4) : number]
    near = any(one.kind == "finding" and one.last + REACH_OF_A_SIDE >= item.first for one in before)
    return near and not any(
        one.kind == "finding" and one.value != "other" and one.first == item.last + 1
        for one in items[number + 1 : number + 3]
    )  # "prominent" is another


def compares(items: Sequence[Item], number: int) -> bool:
    """Does this "no" deny that there is more than there was: "no more effusion than before"?"""
    item = items[number]
    last = -1
    compared = item.value == "more"
    for following in items[number + 1 : number + REACH_OF_A_CLAUSE]:
        if following.kind == "than" and following.value == "more":
            compared = compared or following.first == item.last + 1
        elif following.kind == "than":
            return compared and following.first == last + 1
        elif following.kind in {"finding", "predicate"}:
            last = following.last
        elif following.kind not in _COMPARED or following.value == ",":
            return False
    return False


def repeats(items: Sequence[Item], number: int, concept: str) -> bool:
    """Does the next finding name what the heading before this negation names?"""
    behind = (one.value for one in items[number + 1 : number + REACH_OF_A_CLAUSE] if one.kind == "finding")
    return next(behind, "") == concept


def heads(items: Sequence[Item], number: int) -> bool:
    """Does a colon follow this verdict: "not seen: pneumothorax"?"""
    last = items[number].last
    return any(one.kind == "colon" and one.first == last + 1 for one in items[number + 1 : number + 4])


def goes_on_as_a_list(items: Sequence[Item], number: int) -> bool:
    """Does an "or" or "and" follow this dash?"""
    behind = items[number + 1 : number + 2]
    return bool(behind) and behind[0].kind in {"list", "either", "join"} and behind[0].first == items[number].last + 1


def begins_with_resolved(items: list[Item], number: int) -> bool:
    """Is "resolved" said of what follows: "improved edema, resolved effusion"?"""
    item = items[number]
    twins = [place for place, one in enumerate(items[number : number + 3], number) if one[2:] == item[2:]]
    forward = [place for place in twins if items[place].kind == "absent_after"]
    if not forward or not leads_to_a_finding(items, twins[-1]):
        return False
    return not (_names_before(items, number) and describes_an_organ(items, twins[-1]))


def _names_before(items: Sequence[Item], number: int) -> bool:
    """Does this clause name a finding before this?"""
    for before in reversed(items[max(0, number - REACH_OF_A_CLAUSE) : number]):
        if before.kind == "finding" or before.kind in _PARTS:
            return before.kind == "finding"
    return False


def describes_an_organ(items: Sequence[Item], number: int) -> bool:
    """Does what follows say how an organ is, before it names a finding: "heart enlarged", "lungs clear"?"""
    kinds = set()
    for following in items[number + 1 : number + REACH_OF_A_CLAUSE]:
        if following.kind == "normality":
            return True
        if following.kind == "finding" or following.kind in _PARTS:
            return False
        kinds.add(following.kind)
        if {"subject", "predicate"} <= kinds:
            return True
    return False


def begins_a_statement(items: Sequence[Item], number: int) -> bool:
    """Does what follows a dash name a finding of its own before it says anything: "- pneumothorax not seen"?"""
    for following in items[number + 1 : number + REACH_OF_A_CLAUSE]:
        if following.kind in _STATED:
            return following.kind != "predicate"
        if following.kind not in _LEADS:
            return False
    return False


def names_an_exception(items: Sequence[Item], number: int) -> bool:
    """Does a finding follow the words "except" or "other than" before the next clause?"""
    for following in items[number + 1 : number + REACH_OF_A_CLAUSE]:
        if following.kind in {"finding", "stop"}:
            return following.kind == "finding"
    return False


def leads(items: list[Item], number: int) -> bool:
    """Is the next phrase the subject of this predicate: "borderline heart size"?"""
    item = items[number]
    for following in items[number + 1 : number + 3]:
        if following.first > item.last + 1:
            return False
        if following.kind == "subject" and following.value != "elsewhere":
            place = items.index(following, number)
            return not heads(items, place) and not _is_described(items, number, place)
    return False


def _is_described(items: list[Item], number: int, subject: int) -> bool:
    """Has each of two organs its own words: "bones intact heart big"?"""
    item, last = items[number], items[subject].last
    near = (one for one in reversed(items[max(0, number - 6) : number]) if one[2:] != item[2:])
    before = next((one for one in near if one.kind not in _SIZES), None)  # "heart mildly enlarged mediastinum normal"
    if before is None or before.kind != "subject" or before.last + REACH_OF_A_SIDE < item.first:
        return False
    behind = items[subject + 1 : subject + 5]
    return any(one.kind == "predicate" and one.first <= last + REACH_OF_A_SIDE for one in behind)


def leads_to_a_predicate(items: list[Item], number: int) -> bool:
    """Does a predicate without a subject of its own follow: "the heart has decreased, but remains enlarged"?"""
    following = [item for item in items[number + 1 : number + 6] if item.kind not in {"severity", "affirm", "restart"}]
    following = following[1:] if following[:1] and following[0].value == "," else following  # "the heart, however, is"
    if not following or following[0].kind != "predicate":
        return False
    return all(item.kind in {"stop", "join", "aside"} for item in following[1:2])


def leads_to_a_finding(items: list[Item], number: int) -> bool:
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


def is_asserted(items: list[Item], number: int) -> bool:
    """Are both sides of this "or" readings of one shadow that may be asserted: "atelectasis or scarring"?

    Both published labelers and the indexers of the gold call both sides present. What somebody would act on stays open.
    """
    item = items[number]
    sides = (*items[max(0, number - 3) : number], *items[number + 1 : number + 5])
    found = {one.value for one in sides if one.kind == "finding" and abs(one.first - item.first) <= _REACH_OF_SIDES}
    return "scar" in found or not found & _ACTED_ON
