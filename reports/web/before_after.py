"""Which film of a patient was before, and which after: by when they were taken, not by when they came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Taken:
    """One other study. taken: as `facts` of a film tell it (2019-01-01 10:15, or the day alone); empty: not known."""

    study_id: int
    taken: str
    received_at: datetime


def in_order(own: str, others: Sequence[Taken]) -> list[tuple[Taken, str]]:
    """What was before, the nearest first; then of the same day, then what came after; then those of unknown date.

    own: when the film beside them was taken. others: those of unknown date stay in this order. Each with words.
    """
    dated = sorted((one for one in others if one.taken), key=lambda one: one.taken)
    before = [one for one in dated if own and _is_before(one.taken, own)]
    after = [one for one in dated if own and _is_before(own, one.taken)]
    beside = [one for one in dated if one not in before and one not in after]
    unknown = [one for one in others if not one.taken]
    told = [(one, f"Prior of {_when(one.taken, own)}") for one in reversed(before)]
    told += [(one, f"Other study of {_when(one.taken, own)}") for one in reversed(beside)]
    told += [(one, f"Later, of {_when(one.taken, own)}") for one in after]
    return told + [(one, f"Date unknown, received {one.received_at:%Y-%m-%d}") for one in unknown]


def _is_before(one: str, other: str) -> bool:
    """Surely: of two of one day only where both say the time."""
    has_times = " " in one and " " in other
    return one < other if has_times else one[:10] < other[:10]


def _when(taken: str, own: str) -> str:
    return taken if taken[:10] == own[:10] else taken[:10]
