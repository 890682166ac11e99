"""Whose turn it is: stat before routine before backlog, and nobody waits for ever.

A backlog study that has waited for `AGING` counts as routine from then on, and is older than those: whatever routine
keeps coming, it waits at most that much longer than the queue before it. One claim in `SHARE`, by lot, takes what has
waited longest whatever its priority is: however many stat studies keep coming, the others get that share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from itertools import islice
from typing import Any, Final

from sqlalchemy import ColumnExpressionArgument, Integer, Select, bindparam, case, select

from dicom_node.rules.decision import ROUTINE
from dicom_node.tables import Workitem

AGING: Final = timedelta(hours=8)
SHARE: Final = 8
_WINNERS: Final = ("7", "f")

_OLDEST: Final = (Workitem.next_attempt_at, Workitem.id)

SIZE, PASSED = "size", "passed"  # of a page: how many, behind how many

Conditions = Sequence[ColumnExpressionArgument[bool]]
Waiting = Sequence[tuple[datetime, int]]  # since when, and the number of the workitem


class Band(Enum):
    """A class of workitems that is asked for apart."""

    STAT = auto()
    ROUTINE = auto()
    LATER = auto()


def by_turn(
    ask: Callable[[Band], Waiting], now: datetime, *, token: str, urgent: bool, backlog: bool, limit: int
) -> list[int]:
    """Numbers of workitems in the order in which they should be claimed now.

    Each class is asked apart, along the index: a queue of 10,000 is never sorted. ask: gives the first `limit` of one,
    as `waiting` says. urgent: stat only. backlog: whether that may be read at this hour.
    """
    stat = ask(Band.STAT)
    if urgent:
        return [number for _, number in stat]
    routine = ask(Band.ROUTINE)
    later = ask(Band.LATER) if backlog else []
    aged = [one for one in later if one[0] <= now - AGING]
    in_order = [*stat, *sorted([*routine, *aged]), *(one for one in later if one not in aged)]
    if _is_turn_of_all(token):
        others = sorted([*routine, *later])
        in_order = [*others[:1], *(one for one in in_order if one not in others[:1])]
    return [number for _, number in islice(in_order, limit)]


def order_of_claims(now: datetime) -> tuple[ColumnExpressionArgument[Any], ...]:
    """The same order as columns, for pages; the lot is left out."""
    aged = (Workitem.priority > ROUTINE) & (Workitem.next_attempt_at <= now - AGING)
    return case((aged, ROUTINE), else_=Workitem.priority), Workitem.next_attempt_at, Workitem.id


def waiting(band: Band, claimable: Conditions) -> Select[datetime, int, int]:
    """A page of a class, in its order: since when, the workitem and its revision."""
    chosen = select(Workitem.next_attempt_at, Workitem.id, Workitem.revision_id).where(*claimable)
    chosen = chosen.limit(bindparam(SIZE, type_=Integer)).offset(bindparam(PASSED, type_=Integer))
    if band is Band.STAT:
        return chosen.where(Workitem.priority < ROUTINE).order_by(Workitem.priority, *_OLDEST)
    its = Workitem.priority == ROUTINE if band is Band.ROUTINE else Workitem.priority > ROUTINE
    return chosen.where(its).order_by(*_OLDEST)


def _is_turn_of_all(token: str) -> bool:
    """A lot: tokens are random, in hexadecimal, and two of sixteen digits win."""
    return token.endswith(_WINNERS)
