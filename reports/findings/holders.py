"""Findings that hold what is denied inside of them: "no cavitation in the left upper lobe mass"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reports.findings.cues import SIDES
from reports.findings.phrases import Item, words_in

_REACH: Final = 5  # tokens from the "in the" to the finding
# What may stand between: the place of a finding, or how large or old it is; no organ in the plural.
_PLACES: Final = """
    lower upper middle mid lobe lobar lung base basal basilar apical apex hilar perihilar suprahilar infrahilar
    retrocardiac subpleural peripheral central dominant known same adjacent previously described small tiny mild
    moderate large largest dense patchy pleural chronic residual persistent cavitary rounded
"""
_BEFORE: Final = frozenset({"that", ",", "and", "or"})  # "nothing to suggest that in the left lung pneumonia"
_BETWEEN: Final = frozenset(
    {*_PLACES.split(), *(word for _, patterns in SIDES for word in words_in(patterns))} - {"and", "both"}
)


# Of a device, which is there: "no fracture of the sternal wires", "no PTX near the chest tube".
_FAULTS: Final = frozenset(
    {
        *("fracture", "fractures", "break", "breakage", "discontinuity", "disruption", "disconnection", "loosening"),
        *("complication", "complications", "failure", "malfunction", "kink", "dislocation", "deformity"),
    }
)
_DUE: Final = ("due", "to")
_REGIONS: Final = frozenset({"region", "vicinity", "area", "level", "tip", "course"})
_NEAR: Final = frozenset({"near", "along", "alongside", "surrounding"})


def holders(found: Sequence[Item], words: Sequence[str]) -> frozenset[int]:
    """The first tokens of each "in the" that leads to a finding, past nothing but words of its place.

    And those of devices that have no fault: "no fracture of the wires".
    """
    return frozenset(
        item.first
        for place, item in enumerate(found)
        if (item.value == "device" and _has_no_fault(item, words))
        or (
            item.kind == "finding"
            and tuple(words[max(0, item.first - 2) : item.first]) == _DUE
            and _is_behind(found, place)
        )
        or (
            item.kind == "inside"
            and not item.value
            and words[item.first - 1] not in _BEFORE
            and _leads_to_a_finding(found, place, words)
        )
    )


def _is_behind(found: Sequence[Item], place: int) -> bool:
    """Does this finding hide something: "cannot see the left base due to effusion"?"""
    return any(one.value == "see" for one in found[max(0, place - _REACH) : place])


def _has_no_fault(item: Item, words: Sequence[str]) -> bool:
    last = item.first - 1
    while last > 0 and (words[last] in _BETWEEN or words[last] in {"the", "these", "its"}):
        last -= 1
    if words[max(0, last - 2) : last] == ["no", "tip"]:
        return False
    return last > 0 and (words[last] in _NEAR or (words[last] == "of" and words[last - 1] in _FAULTS | _REGIONS))


def _leads_to_a_finding(found: Sequence[Item], place: int, words: Sequence[str]) -> bool:
    last = found[place].last
    behind = found[place + 1 : place + 2 * _REACH]
    first = next((one.first for one in behind if one.kind == "finding"), last + _REACH + 2)
    return first - last <= _REACH + 1 and _BETWEEN.issuperset(words[last + 1 : first])
