"""What can be smaller or larger: numbers, ages, times of the day, days of the week."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Final

Measure = Callable[[str], float]

AGES: Final = ("PatientAge", "age")
WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAYS: Final = MappingProxyType({"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25, "": 365.25})


def number(text: str) -> float:
    """A number as DICOM writes it; dates (YYYYMMDD) are numbers as well. Raises ValueError."""
    if not re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", text, re.ASCII):
        raise ValueError("no number")
    return float(text)


def days(text: str) -> float:
    """An age string (PS3.5 6.2, AS) in days; a bare number means years. Raises ValueError."""
    found = re.fullmatch(r"(\d{1,4}(?:\.\d+)?)([DWMY]?)", text.strip().upper(), re.ASCII)
    if found is None:
        raise ValueError("no age")
    return float(found[1]) * _DAYS[found[2]]


def minutes(text: str) -> float:
    """A time of the day, HH:MM, in minutes since midnight. Raises ValueError."""
    found = re.fullmatch(r"([01]?\d|2[0-4]):([0-5]\d)", text.strip(), re.ASCII)
    if found is None:
        raise ValueError("no time of the day (HH:MM)")
    return int(found[1]) * 60.0 + int(found[2])


def weekday(text: str) -> float:
    """Mon to Sun as 0 to 6. Raises ValueError."""
    short = text.strip()[:3].capitalize()
    if short not in WEEKDAYS:
        raise ValueError(f"no day of the week ({', '.join(WEEKDAYS)})")
    return float(WEEKDAYS.index(short))


MEASURES: Final = MappingProxyType(
    {"PatientAge": days, "age": days, "time": minutes, "weekday": weekday, "images": number}
)
