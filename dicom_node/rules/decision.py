"""What the rules say of a study. Pure: no database, no file, no clock.

The first enabled rule whose conditions all hold decides. A condition that cannot be answered for this study (an absent
tag, a value that is no number) makes its rule not match, and is remarked; the next rule is asked. So no rule can stop a
study.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from dicom_node.errors import ConfigurationError
from dicom_node.rules.conditions import parse
from dicom_node.rules.facts import Facts, Untold
from dicom_node.rules.forms import Rule

STAT: Final = 0
ROUTINE: Final = 5
BACKLOG: Final = 9
RANKS: Final = MappingProxyType({"stat": STAT, "routine": ROUTINE, "backlog": BACKLOG})
PRIORITIES: Final = MappingProxyType({rank: name for name, rank in RANKS.items()})

# Requested Procedure Priority (0040,1003), PS3.3 C.4.11. LOW is still of today: backlog is for a person to say.
_REQUESTED: Final = MappingProxyType(
    {"STAT": "stat", "HIGH": "stat", "ROUTINE": "routine", "MEDIUM": "routine", "LOW": "routine"}
)
_PRIORITY_TAGS: Final = ("RequestedProcedurePriority", "RequestAttributesSequence.RequestedProcedurePriority")
_MOST_REMARKS: Final = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """A rule as it is in force; rule: None where what is stored can no longer be read, and why."""

    name: str
    version: int
    rule: Rule | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a study revision. Empty texts: nobody chose, the settings apply."""

    rule: str = ""
    version: int = 0
    priority: str = "routine"
    priority_from: Literal["rule", "header", "default"] = "default"
    reader: str = ""
    to: tuple[str, ...] = ()
    exclude: str = ""
    late: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A rule, held against one study. matched: None where a condition could not be answered."""

    name: str
    matched: bool | None
    answers: tuple[tuple[str, bool | None, str], ...] = field(default=())  # condition, does it hold, why not told


def decide(rules: Iterable[Standing], facts: Facts) -> Decision:
    """What the first matching rule says."""
    remarks: list[str] = []
    for standing in rules:
        if standing.rule is None:
            remarks.append(f"rule {standing.name} cannot be read: {standing.trouble}")
            continue
        if not standing.rule.enabled:
            continue
        asked = ask(standing.rule, facts)
        if asked.matched:
            return _by(standing.rule, standing.version, facts, tuple(remarks[:_MOST_REMARKS]))
        if asked.matched is None:
            untold = "; ".join(why for _, holds, why in asked.answers if holds is None)
            remarks.append(f"rule {standing.name} cannot be asked: {untold}")
    name, source = _priority("", facts)
    return Decision(priority=name, priority_from=source, remarks=tuple(remarks[:_MOST_REMARKS]))


def ask(rule: Rule, facts: Facts) -> Asked:
    """Does a rule match, condition by condition? One that is false decides, whatever cannot be answered beside it."""
    answers = tuple(_answer(text, facts) for text in rule.when)
    told = [holds for _, holds, _ in answers]
    matched = False if False in told else None if None in told else True
    return Asked(rule.name, matched, answers)


def _answer(text: str, facts: Facts) -> tuple[str, bool | None, str]:
    try:
        return text, parse(text).holds(facts), ""
    except (Untold, ConfigurationError) as error:
        return text, None, str(error)


def _by(rule: Rule, version: int, facts: Facts, remarks: tuple[str, ...]) -> Decision:
    name, source = _priority(rule.priority, facts)
    return Decision(
        rule=rule.name,
        version=version,
        priority=name,
        priority_from=source,
        reader=rule.reader,
        to=rule.to,
        exclude=rule.exclude,
        late=rule.late,
        remarks=remarks,
    )


def _priority(chosen: str, facts: Facts) -> tuple[str, Literal["rule", "header", "default"]]:
    if chosen:
        return chosen, "rule"
    told = [_REQUESTED[value] for value in _requested(facts) if value in _REQUESTED]
    if told:
        return min(told, key=RANKS.__getitem__), "header"
    return "routine", "default"


def _requested(facts: Facts) -> Sequence[str]:
    return [value.upper() for tag in _PRIORITY_TAGS for value in facts.values(tag)]
