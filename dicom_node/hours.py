"""Hours of every day, as a site writes them: 22:00-06:00 in its time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from dicom_node.rules.measures import minutes

_DAY: Final = 24 * 60.0  # minutes


@dataclass(frozen=True, slots=True)
class Hours:
    """From `begin` on, until before `end`: minutes since midnight in `zone`, over midnight where `end` is smaller."""

    begin: float
    end: float
    zone: ZoneInfo

    def hold(self, at: datetime) -> bool:
        """Is that moment one of them?"""
        now = minutes(f"{at.astimezone(self.zone):%H:%M}")
        return self.begin <= now < self.end if self.begin <= self.end else now >= self.begin or now < self.end

    def next_change(self, at: datetime) -> datetime:
        """When they begin or end next, after `at`; where a clock is put forward over that, by the clock of before."""
        today = at.astimezone(self.zone).date()
        edges = (
            datetime.combine(today + timedelta(days=day), _clock(edge), self.zone).astimezone(at.tzinfo)
            for day in (0, 1, 2)
            for edge in (self.begin, self.end)
        )
        return min(edge for edge in edges if edge > at)


def hours_of(text: str, time_zone: str) -> Hours | None:
    """text: as in node.backlog_hours. None: always. Raises ValueError."""
    if not text:
        return None
    begin, end = (minutes(part) for part in text.split("-"))
    return None if (begin, end) == (0, _DAY) else Hours(begin, end, ZoneInfo(time_zone))


def _clock(since_midnight: float) -> time:
    """24:00 is the next day's midnight, so any day's."""
    return time(*divmod(int(since_midnight % _DAY), 60))
