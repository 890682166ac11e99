"""Is the patient an adult? From Patient's Age and Patient's Birth Date, as they stand in real headers.

What is there but cannot be read is a doubt: a birth date of another shape may be a child's. A header with neither says
nothing, and neither does an age that nobody reaches (999Y, a birth in 1800), a birth date of zeros, or a word for an
age: devices write them where they know none.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

import pydicom

from agent.imaging.attributes import text
from agent.imaging.verdict import Verdict

_ADULT: Final = 18  # years
_OLDEST: Final = 130
# J and A stand for years in German, French, Spanish and Italian headers.
_DAYS: Final = MappingProxyType({"D": 1.0, "W": 7.0, "M": 30.44, "Y": 365.25, "J": 365.25, "A": 365.25})
_TAKEN: Final = ("StudyDate", "AcquisitionDate", "SeriesDate", "ContentDate")
_NO_DAY: Final = re.compile(r"0*|9*")  # written where none is known
_AWAY: Final = timedelta(days=1)  # clocks east of Greenwich are ahead of the day on which a film came


def judge_age(header: pydicom.Dataset, received: date, *, hold_unknown: bool) -> Verdict | None:
    """A child is excluded. received: the day the film came, which counts where the film itself has no usable date."""
    ages = _ages(header, received)
    if not ages and _is_unreadable(header, received):
        return _unreadable("cannot be read")
    if not ages:
        words = "The header does not tell the patient's age."
        return _confirm("age-unknown", words, "the age is unknown") if hold_unknown else None
    if min(ages) >= _ADULT:
        return None
    if max(ages) < _ADULT:
        return _exclude("child", f"The patient is under {_ADULT} years.")
    if _told(header) is None:
        return _unreadable("leave open whether the patient is an adult")
    return _confirm(
        "age-conflict",
        "Patient's Age and Patient's Birth Date disagree about an adult.",
        "age and birth date in the header disagree about an adult",
    )


def age_notes(header: pydicom.Dataset, received: date) -> tuple[str, ...]:
    """What was assumed of the age, for the draft."""
    if not _ages(header, received):
        return ("the age is unknown; taken for an adult",)
    if _told(header) is None and _day_taken(header, received) is None:
        return ("the film has no usable date; the age is that of the day it came",)
    return ()


def _unreadable(why: str) -> Verdict:
    return _confirm(
        "age-unreadable",
        f"Patient's Age or Patient's Birth Date is there, but they {why}.",
        f"age and birth date in the header {why}",
    )


def _exclude(code: str, explanation: str) -> Verdict:
    return Verdict("exclude", code, explanation)


def _confirm(code: str, explanation: str, phrase: str) -> Verdict:
    return Verdict("confirm", code, explanation, (phrase,))


def _is_unreadable(header: pydicom.Dataset, received: date) -> bool:
    """An age or a birth date is there that makes no sense; also a birth after the film came.

    Zeros, nines and a word are how devices write that they know none.
    """
    born = _born(header)
    senseless = not _NO_DAY.fullmatch(text(header, "PatientBirthDate")) if born is None else born[0] > received
    return senseless or (_years(header) is None and any(map(str.isdigit, text(header, "PatientAge"))))


def _ages(header: pydicom.Dataset, received: date) -> tuple[float, ...]:
    """Every age in years that the header gives; of a birth date without its day both that it may be."""
    told, born = _told(header), _born(header)
    found = () if told is None else (told,)
    if born is None:
        return found
    taken = _day_taken(header, received)
    reckoned = _reckoned(born, taken or received)
    if taken is None and told is not None and max(reckoned, default=_ADULT) >= _ADULT:
        return found  # at the day it came the patient may be older than on the film, never younger
    return (*found, *reckoned)


def _told(header: pydicom.Dataset) -> float | None:
    """Patient's Age in years, where somebody can be as old."""
    years = _years(header)
    return years if years is not None and years <= _OLDEST else None


def _years(header: pydicom.Dataset) -> float | None:
    """Patient's Age in years; a number without a unit, which the standard forbids, means years in real files."""
    match = re.fullmatch(r"(\d{1,4}(?:[.,]\d{1,4})?) *([DWMYJA]?)", text(header, "PatientAge").upper())
    if match is None:
        return None
    return float(match[1].replace(",", ".")) * _DAYS[match[2] or "Y"] / _DAYS["Y"]


def _born(header: pydicom.Dataset) -> tuple[date, date] | None:
    """The first and the last day that Patient's Birth Date may mean. None where it is absent or cannot be read."""
    return _days(text(header, "PatientBirthDate"))


def _day_taken(header: pydicom.Dataset, received: date) -> date | None:
    """The day of the film: the first of its dates that lies between birth and reception."""
    born = _born(header)
    found = (days[0] for days in _dates(header) if days[0] == days[1])
    return next((day for day in found if day <= received + _AWAY and (born is None or _reckoned(born, day))), None)


def _dates(header: pydicom.Dataset) -> Iterator[tuple[date, date]]:
    for keyword in _TAKEN:
        days = _days(text(header, keyword))
        if days is not None:
            yield days


def _reckoned(born: tuple[date, date], day: date) -> tuple[float, ...]:
    """The greatest and the least age on that day; empty where nobody can have it."""
    ages = [day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day)) for birth in born]
    if ages[0] < 0 or ages[0] > _OLDEST:
        return ()
    return tuple(float(max(0, age)) for age in ages)


def _days(written: str) -> tuple[date, date] | None:
    """YYYYMMDD, also with separators, with zeros for a month or day that nobody knows, or the year alone."""
    match = re.fullmatch(r"(\d{4})(?:([-./]?)(\d\d)\2(\d\d))?", written)
    if match is None:
        return None
    year, month, day = int(match[1]), int(match[3] or 0), int(match[4] or 0)
    try:
        first = date(year, month or 1, day or 1)
        if month and day:
            return first, first
        last = month or 12
        return first, date(year, last, calendar.monthrange(year, last)[1])
    except ValueError:
        return None
