"""What radiologists made of the drafts, in numbers: the page of quality and `wetread eval live` show the same sums.

Counted are the decisions of `reports.signoff`; they hold no word of a report, nothing of a patient, and here nothing of
the person who decided.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from reports.findings import State
from reports.findings.labels import CHEXPERT
from reports.signoff.tables import Decision, Verdict

MOST: Final = 100_000  # decisions that are looked at, the newest
FEW: Final = 30  # fewer drafts than that are marked: their figures say little
_Z: Final = 1.959964  # of 95 %

# Lee et al., CXR-LLaVA, European Radiology 2025;35(6):4374-4386, doi 10.1007/s00330-024-11339-6.
PAPER_MODEL: Final = 0.727
PAPER_HUMAN: Final = 0.840
PAPER: Final = (
    "In the paper on CXR-LLaVA (Lee et al., European Radiology 2025) radiologists rated reports on an external test "
    "set: 72.7 % of the model's were a success in autonomous reporting, and 84.0 % of those that people had written. "
    "Here a success is a draft that was signed as it was, or with a minor change. Other films, other people, and a "
    "rating is no signature: the lines show the order of magnitude, no test."
)


# In the order of a Case.
_COLUMNS: Final = (
    Decision.study_id,
    Decision.verdict,
    Decision.reason,
    Decision.words_drafted,
    Decision.words_signed,
    Decision.words_changed,
    Decision.drafted,
    Decision.signed,
    Decision.received_at,
    Decision.drafted_at,
    Decision.opened_at,
    Decision.decided_at,
    Decision.reader,
    Decision.reader_digest,
    Decision.device,
    Decision.station,
    Decision.institution,
    Decision.withdrawn_at,
)


class Case(NamedTuple):
    """One draft that somebody decided about. drafted, signed: label to state; signed is empty where it was rejected."""

    study_id: int
    verdict: Verdict
    reason: str
    words_drafted: int
    words_signed: int
    words_changed: int
    drafted: Mapping[str, str]
    signed: Mapping[str, str]
    received_at: datetime | None
    drafted_at: datetime
    opened_at: datetime | None
    decided_at: datetime
    reader: str
    reader_digest: str
    device: str
    station: str
    institution: str
    withdrawn: bool

    @property
    def is_success(self) -> bool:
        """Signed as it was, or with a minor change, and not taken back."""
        return self.verdict in {Verdict.ACCEPTED, Verdict.MINOR} and not self.withdrawn

    @property
    def changed(self) -> float | None:
        """Share of the words of the longer text that was changed; None of a rejected one."""
        if self.verdict is Verdict.REJECTED:
            return None
        return min(self.words_changed / max(self.words_drafted, self.words_signed, 1), 1.0)


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole with its 95 % interval (Wilson, 1927). value, low, high: NaN where the whole is empty."""

    count: int
    of: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Spread:
    """How values lie: the median, and what nine of ten do not exceed. NaN where there is none."""

    number: int
    median: float
    ninth: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A group of drafts. Times in seconds: film to draft, draft to decision, film to decision."""

    name: str
    drafts: int
    verdicts: Mapping[Verdict, Share]
    success: Share
    reasons: tuple[tuple[str, int], ...]
    withdrawn: int
    changed: Spread
    drafting: Spread
    deciding: Spread
    whole: Spread

    @property
    def few(self) -> bool:
        """Too few to say much."""
        return self.drafts < FEW


@dataclass(frozen=True, slots=True)
class Agreement:
    """One finding in drafts and in what was signed of them; present, or not.

    added: people wrote it; dropped: people took it out. kappa: Cohen's; NaN where both never or always say it.
    """

    label: str
    drafted: int
    signed: int
    both: int
    added: int
    dropped: int
    same: Share
    kappa: float

    @property
    def few(self) -> bool:
        """Too few reports that state it."""
        return self.signed < FEW


def cases(tx: Session, since: datetime, until: datetime | None = None) -> list[Case]:
    """The drafts that were decided about within that time, the oldest first."""
    chosen = select(*_COLUMNS).where(Decision.decided_at >= since)
    if until is not None:
        chosen = chosen.where(Decision.decided_at < until)
    rows = tx.execute(chosen.order_by(Decision.decided_at.desc(), Decision.id.desc()).limit(MOST)).all()
    read: dict[str, Mapping[str, str]] = {}  # many drafts state the same
    return [_case(tuple(row), read) for row in reversed(rows)]


def outcome(name: str, chosen: Sequence[Case]) -> Outcome:
    """Everything about a group."""
    counted = Counter(case.verdict for case in chosen)
    reasons = Counter(case.reason for case in chosen if case.verdict is Verdict.REJECTED)
    return Outcome(
        name=name,
        drafts=len(chosen),
        verdicts={verdict: share(counted[verdict], len(chosen)) for verdict in Verdict},
        success=share(sum(case.is_success for case in chosen), len(chosen)),
        reasons=tuple(reasons.most_common()),
        withdrawn=sum(case.withdrawn for case in chosen),
        changed=spread(case.changed for case in chosen),
        drafting=spread(_seconds(case.received_at, case.drafted_at) for case in chosen),
        deciding=spread(_seconds(case.drafted_at, case.decided_at) for case in chosen),
        whole=spread(_seconds(case.received_at, case.decided_at) for case in chosen),
    )


def grouped(chosen: Iterable[Case], by: Callable[[Case], str]) -> list[Outcome]:
    """One outcome for each name that `by` gives, by name."""
    return [outcome(name, cases_) for name, cases_ in _groups(chosen, by)]


def agreements(chosen: Iterable[Case], by: Callable[[Case], str]) -> list[tuple[str, list[Agreement]]]:
    """Each name that `by` gives with the agreement of its drafts, finding by finding."""
    return [(name, agreement(cases_)) for name, cases_ in _groups(chosen, by)]


def _groups(chosen: Iterable[Case], by: Callable[[Case], str]) -> list[tuple[str, list[Case]]]:
    groups: dict[str, list[Case]] = {}
    for case in chosen:
        groups.setdefault(by(case), []).append(case)
    return sorted(groups.items())


def week_of(case: Case) -> str:
    """ISO 8601 week of the decision, in UTC: 2026-W47."""
    year, week, _ = case.decided_at.isocalendar()
    return f"{year}-W{week:02}"


def site_of(case: Case) -> str:
    """Institution Name of the film."""
    return case.institution or "unknown site"


def device_of(case: Case) -> str:
    """Manufacturer and model with the station."""
    device = case.device or "unknown device"
    return f"{device} ({case.station})" if case.station else device


def reader_of(case: Case) -> str:
    """Name, version and precision, with the beginning of the digest."""
    return f"{case.reader} [{case.reader_digest[:8]}]"


# What tables are made by, under the headings of the page.
GROUPS: Final[Mapping[str, Callable[[Case], str]]] = MappingProxyType(
    {"Week": week_of, "Site": site_of, "Device (station)": device_of, "Reader [digest]": reader_of}
)


def agreement(chosen: Iterable[Case]) -> list[Agreement]:
    """Finding by finding, of what was signed; labels that nobody ever states are left out."""
    signed = [case for case in chosen if case.verdict is not Verdict.REJECTED]
    rows = [_agreement(label, signed) for label in CHEXPERT]
    return [row for row in rows if row.drafted or row.signed]


def share(count: int, of: int) -> Share:
    """With its interval."""
    if not of:
        return Share(count, of, math.nan, math.nan, math.nan)
    value, spare = count / of, _Z * _Z / of
    middle = (value + spare / 2) / (1 + spare)
    half = _Z * math.sqrt(value * (1 - value) / of + spare / (4 * of)) / (1 + spare)
    return Share(count, of, value, max(middle - half, 0.0), min(middle + half, 1.0))


def spread(values: Iterable[float | None]) -> Spread:
    """Of the values that there are; quantiles are values that occur (nearest rank)."""
    ordered = sorted(value for value in values if value is not None)
    if not ordered:
        return Spread(0, math.nan, math.nan)
    return Spread(len(ordered), _rank(ordered, 5), _rank(ordered, 9))


def _rank(ordered: Sequence[float], tenths: int) -> float:
    """The smallest value that so many tenths do not exceed."""
    return ordered[-(-tenths * len(ordered) // 10) - 1]


def _agreement(label: str, signed: Sequence[Case]) -> Agreement:
    pairs = Counter((_is_present(case.drafted, label), _is_present(case.signed, label)) for case in signed)
    both, dropped, added, neither = pairs[True, True], pairs[True, False], pairs[False, True], pairs[False, False]
    return Agreement(
        label=label,
        drafted=both + dropped,
        signed=both + added,
        both=both,
        added=added,
        dropped=dropped,
        same=share(both + neither, len(signed)),
        kappa=_kappa(both, dropped, added, neither),
    )


def _kappa(both: int, dropped: int, added: int, neither: int) -> float:
    """Cohen, 1960: agreement beyond what the two frequencies alone would give."""
    number = both + dropped + added + neither
    if not number:
        return math.nan
    seen = (both + neither) / number
    first, second = (both + dropped) / number, (both + added) / number
    by_chance = first * second + (1 - first) * (1 - second)
    return math.nan if by_chance == 1 else (seen - by_chance) / (1 - by_chance)


def _is_present(states: Mapping[str, str], label: str) -> bool:
    return states.get(label) == State.PRESENT


def _seconds(first: datetime | None, last: datetime) -> float | None:
    return None if first is None else max((last - first).total_seconds(), 0.0)


def _case(row: Sequence[Any], read: dict[str, Mapping[str, str]]) -> Case:
    """row: as _COLUMNS."""
    for text in row[6:8]:
        if text not in read:
            read[text] = json.loads(text)
    return Case._make((*row[:6], read[row[6]], read[row[7]], *row[8:17], row[17] is not None))
