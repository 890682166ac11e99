"""What a sign, a count or an "excluded" is of: what stands behind it, or what stands before."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from reports.findings.clauses import (
    counts_a_finding,
    ends_a_clause,
    follows_a_finding,
    leads_to_a_bare_finding,
    leads_to_a_finding,
)
from reports.findings.phrases import Item
from reports.findings.scope import Scope
from reports.findings.today import Step, leave
from reports.findings.turns import deny_up_to_a_comma

_LEADING: Final = frozenset({"sign", "excluded"})
_REACH_OF_A_PLACE: Final = 5  # tokens
_ALSO_FORWARD: Final = frozenset({"no", "not", "perhaps"})
_LED: Final[MappingProxyType[bool | None, Step]] = MappingProxyType(
    {True: deny_up_to_a_comma, False: Scope.uncertain_after}
)
_FORWARD: Final[MappingProxyType[str, Step]] = MappingProxyType(
    {"absent_after": Scope.absent_after, "uncertain_after": Scope.uncertain_after}
)
SIGNS: Final[MappingProxyType[str, Step]] = MappingProxyType(
    {
        "no": Scope.absent_before,
        "not": Scope.uncertain_before,
        "perhaps": Scope.uncertain_before,
        "sign": Scope.signed,
        "dash": Scope.signed,
    }
)


def leading(scope: Scope, found: list[Item], place: int, length: int) -> Step | None:
    """ "Confirmed effusion, excluded PTX" denies what follows, "COVID neg, effusion" nothing."""
    item = found[place]
    if item.value not in _LEADING:
        return _at_the_end(scope, item) if not item.value and ends_a_clause(found, place, length) else None
    begins = item.first in {0, scope.joined + 1}
    if leads_to_a_finding(found, place):
        note_a_leading_sign(scope, found, item, length)
        return Scope.deny if begins or (scope.signs_lead and item.value == "sign") else None
    if item.value == "excluded" or follows_a_finding(found, place) or ends_a_clause(found, place, length):
        return None
    return leave


def _at_the_end(scope: Scope, item: Item) -> Step | None:
    """ "Consolidation at the right base absent"."""
    if len(scope.said) == scope.floor or scope.joined > scope.said[-1].last:
        return None
    return Scope.absent_before if item.first - scope.said[-1].last <= _REACH_OF_A_PLACE else None


def note_a_leading_sign(scope: Scope, found: list[Item], item: Item, length: int) -> None:
    """Where one begins a sentence and none ends it, each is of what follows it."""
    if item.first == 0 and not (found[-1].value == "sign" and found[-1].last == length - 1):
        scope.signs_lead = True


def in_front(scope: Scope, found: list[Item], place: int) -> Step | None:
    """ "- PTX, + effusion" and "0 nodules"; "- small effusion" may as well stand behind a bullet."""
    item = found[place]
    if item.value == "leading":
        return _LED.get(leads_to_a_bare_finding(found, place))
    begins = item.first in {0, scope.joined + 1}
    return deny_up_to_a_comma if begins and counts_a_finding(found, place) else None


def behind(scope: Scope, item: Item) -> Step | None:
    """ "Pneumonia, no" and "pneumothorax on the left (-)" deny what stands before, "COVID neg" nothing."""
    if scope.said and scope.said[-1].cues == [(item.first, item.last)]:
        return None  # turned already, by the same phrase
    if len(scope.said) > scope.floor:
        return SIGNS[item.value]
    return _FORWARD.get(item.kind) if item.value in _ALSO_FORWARD else None
