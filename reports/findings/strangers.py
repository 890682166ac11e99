"""Verdicts that are not of the finding before them: "PTX, mediastinal shift not seen", "tip of the PICC not seen".

The words decide, also those of no phrase.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from reports.findings.labels import State
from reports.findings.phrases import Item

_REACH: Final = 8  # phrases, and tokens behind a verdict
_VALUES: Final = frozenset({"", "gone", "gone_away"})
_ORGANS: Final = frozenset({"subject", "complaint", "procedure"})
_OTHER: Final = ("nothing", "")  # "air fluid level"
_ENDS: Final = frozenset({"stop", "aside", "colon"})
_TIPS: Final = frozenset({"tip", "tips", "end", "loop"})
# They name nothing of which something could be seen.
_FILLERS: Final = """
    the this that these those it its they a an has have had is are was were been be which who what s both all each
    either now today currently since subsequently completely entirely fully essentially again also still then clearly
    definitely apparently evidently otherwise mostly largely best better only however though already finally once
    on in at of to by from for as with within chest ct cxr x ray rays xxxx
    film study exam examination image images radiograph radiographs view views current present prior previous
    previously side lobe lobes base bases apex apices upper lower middle mid zone zones lung left right bilateral
    bilaterally seen noted described mentioned identified visible visualized before earlier above below
    small large tiny mild moderate minimal trace likely probably possibly
"""
_LIGHT: Final = frozenset(_FILLERS.split())
_OLD: Final = frozenset({"in", "on", "from", "since"})
# Behind a "which has resolved" they leave nothing of it.
_NOTHING_LEFT: Final = """
    today now since currently completely entirely fully then also already again subsequently finally meanwhile
    on in at this the these current present study exam examination film films image images time interim interval
"""
_WHOLLY: Final = frozenset(_NOTHING_LEFT.split())
_SINCE: Final = frozenset({"since", "after", "following", "compared"})
_HEDGES: Final = frozenset(
    {
        *("clearly", "definitely", "definitively", "well", "reliably", "confidently", "convincingly", "readily"),
        *("easily", "distinctly", "apparently", "likely", "probably", "possibly", "mostly", "largely"),
    }
)
_ELSEWHERE: Final = frozenset({"ct", "mri", "mr", "ultrasound", "us", "sonography", "pet", "tomography"})
_CLOSES: Final = frozenset({"stop", "join", "aside", "colon"})
_NONE: Final[Mapping[int, State]] = MappingProxyType({})


def strangers(found: Sequence[Item], words: Sequence[str]) -> Mapping[int, State]:
    """What stays of the finding before each verdict that is not of it, by the verdict's first token.

    UNCERTAIN where an unknown word behind a comma may be what it is of; PRESENT of a device whose tip is not seen, and
    of what is not seen in another year; ABSENT of what stands before a "which has resolved".
    """
    left: dict[int, State] = {}
    for place, item in enumerate(found):
        if item.value == "there_none" and _was_there(found, words, place):
            left[item.first] = State.ABSENT
        if item.kind != "absent_before" or item.value not in _VALUES:
            continue
        state = _left(found, words, place)
        if state is State.ABSENT or (state is not None and item.value != "gone_away"):  # what else is gone: today.py
            left[item.first] = state
    return left or _NONE


def _left(found: Sequence[Item], words: Sequence[str], place: int) -> State | None:
    item = found[place]
    behind = words[item.last + 1 : item.last + 1 + _REACH // 2]
    if behind[:1] != [] and behind[0] in _OLD and any(map(_is_a_year, behind)):
        return State.PRESENT
    first, strange, which, sided = item.first, False, False, False
    for one in reversed(found[max(0, place - _REACH) : place]):
        if one.first >= item.first:
            continue
        gap = words[one.last + 1 : first]
        if one.kind == "finding":
            tip = _of_a_tip(one, words, words[one.last + 1 : item.first] if which else gap)
            if tip is not None or not which:
                return tip
            open_ = strange or not _LIGHT.issuperset(gap) or not _is_of_all(found, words, place)
            return State.UNCERTAIN if open_ else State.ABSENT
        strange = strange or one.kind in _ORGANS or one[:2] == _OTHER or not _LIGHT.issuperset(gap)
        sided = sided or one.kind == "side"
        if one.kind == "stop" and words[one.last] == "which" and not gap and not sided:
            which = True
        elif one.kind in _ENDS or one.kind == "list":
            return None
        elif one.kind == "join" and not which:
            return State.UNCERTAIN if strange and one.value == "," else None
        first = min(first, one.first)
    return None


def _is_of_all(found: Sequence[Item], words: Sequence[str], place: int) -> bool:
    """Is a "which has resolved" of the whole finding, not "at the apices", nor "not clearly seen on the lateral"?"""
    item = found[place]
    verdict = words[max(0, item.first - 2) : item.last + 1]
    unseen = item.value == "" and "longer" not in verdict
    if not _HEDGES.isdisjoint(verdict) or (unseen and not _ELSEWHERE.isdisjoint(words[: item.first])):
        return False
    at, since = item.last + 1, False
    closes = {one.first for one in found[place + 1 :] if one.kind in _CLOSES and words[one.first] not in _WHOLLY}
    while at < len(words) and at not in closes and words[at] != ",":
        since = since or (not unseen and words[at] in _SINCE)
        if words[at] not in _WHOLLY and not since:
            return False
        at += 1
    behind = [one for one in found[place + 1 :] if one.first >= at and one.kind in {"finding", "goes_on", "affirm"}]
    return not behind or any(one.kind == "finding" for one in behind)  # "which has resolved but persists at the base"


def _was_there(found: Sequence[Item], words: Sequence[str], place: int) -> bool:
    """ "Pneumothorax was seen, there is none now"."""
    near = [one for one in found[max(0, place - 3) : place] if one.kind == "affirm"]
    return bool(near) and words[near[-1].first] in {"was", "were"}


def _of_a_tip(finding: Item, words: Sequence[str], gap: Sequence[str]) -> State | None:
    near = {*gap, *words[max(0, finding.first - 3) : finding.first]}
    return State.PRESENT if finding.value == "device" and not _TIPS.isdisjoint(near) else None


def _is_a_year(word: str) -> bool:
    return len(word) == 4 and word.isdigit() and word[:2] in {"19", "20"}
