"""How long a draft took, from the first claim of its film to the draft."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.tables import Workitem
from reports.tables import Report

NEWEST: Final = 200  # drafts that are looked at, of each reader


@dataclass(frozen=True, slots=True)
class Pace:
    """The newest drafts of one reader. Seconds: the median, and the time that nine of ten do not exceed."""

    reader: str
    digest: str
    drafts: int
    median: float
    slow: float


def paces(tx: Session) -> list[Pace]:
    """By reader, the one that wrote last first; attempts that failed before count as well."""
    rows = tx.execute(
        select(Report.reader, Report.reader_digest, Report.drafted_at, Workitem.content_at)
        .join(Workitem, Workitem.revision_id == Report.revision_id)
        .where(Workitem.content_at.is_not(None))
        .order_by(Report.id.desc())
        .limit(NEWEST)
    )
    found: dict[tuple[str, str], list[float]] = {}
    for reader, digest, drafted_at, content_at in rows:
        assert content_at is not None
        found.setdefault((reader, digest), []).append(max((drafted_at - content_at).total_seconds(), 0.0))
    return [
        Pace(reader, digest, len(seconds), statistics.median(seconds), ninth(seconds))
        for (reader, digest), seconds in found.items()
    ]


def ninth(values: list[float]) -> float:
    """The ninetieth percentile: the smallest value that nine of ten do not exceed."""
    ordered = sorted(values)
    return ordered[max(-(-9 * len(ordered) // 10) - 1, 0)]
