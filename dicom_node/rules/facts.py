"""What rules may ask of a study: its images' headers, who sent them, and when it was complete."""

from __future__ import annotations

import struct
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final

import pydicom
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue

from dicom_node.errors import WetreadError
from dicom_node.rules.measures import WEEKDAYS

_VALUES: Final = 64  # of one element of one image that are looked at
_LONGEST: Final = 1024  # characters of one value
_KEYWORDS: Final = MappingProxyType(
    {"modality": "Modality", "body_part": "BodyPartExamined", "station": "StationName", "sop_class": "SOPClassUID"}
)
NAMES: Final = ("calling_ae", "called_ae", "age", "images", "time", "weekday", *_KEYWORDS)

# What pydicom raises on broken bytes: such an element counts as absent.
_BROKEN: Final = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


class Untold(WetreadError):
    """A condition that cannot be answered for this study; the words hold no value of a header."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One study at the moment of its completion. `at` is in the site's time zone."""

    headers: tuple[pydicom.Dataset, ...]  # of its images, without pixels
    calling_ae_titles: tuple[str, ...]
    called_ae_titles: tuple[str, ...]
    images: int
    at: datetime

    def values(self, subject: str) -> tuple[str, ...]:
        """Every value of a subject in any image, as text in NFC, blanks cut off; none where it is absent."""
        if subject == "calling_ae":
            return self.calling_ae_titles
        if subject == "called_ae":
            return self.called_ae_titles
        if subject == "age":
            return tuple(dict.fromkeys(age for header in self.headers if (age := _age(header))))
        if subject in _OF_THE_STUDY:
            return (_OF_THE_STUDY[subject](self),)
        path = _KEYWORDS.get(subject, subject).split(".")
        found = (value for header in self.headers for value in _at(header, path))
        return tuple(dict.fromkeys(found))


_OF_THE_STUDY: Final[Mapping[str, Callable[[Facts], str]]] = MappingProxyType(
    {
        "images": lambda facts: str(facts.images),
        "time": lambda facts: f"{facts.at:%H:%M}",
        "weekday": lambda facts: WEEKDAYS[facts.at.weekday()],
    }
)


def _at(header: pydicom.Dataset, path: Sequence[str]) -> Iterator[str]:
    """The values of an element, or of one in the items of a sequence."""
    try:
        found: Any = header.get(path[0])
        items = list(found)[:_VALUES] if isinstance(found, (pydicom.Sequence, MultiValue, list)) else [found]
    except _BROKEN:
        return
    for item in items:
        if isinstance(item, pydicom.Dataset):
            if len(path) > 1:
                yield from _at(item, path[1:])
        elif item is not None and not isinstance(item, bytes) and (text := _text(item)):
            yield text


def _text(value: object) -> str:
    try:
        return unicodedata.normalize("NFC", str(value)[:_LONGEST]).strip(" \0")
    except _BROKEN:
        return ""


def _age(header: pydicom.Dataset) -> str:
    """Patient's Age, else the years from birth to study; empty where neither is there."""
    told = next(_at(header, ["PatientAge"]), "")
    if told:
        return told
    born, taken = (_day(next(_at(header, [keyword]), "")) for keyword in ("PatientBirthDate", "StudyDate"))
    if born is None or taken is None or taken < born:
        return ""
    return f"{(taken - born).days}D" if (taken - born).days < 1000 else f"{_years(born, taken)}Y"


def _years(born: date, taken: date) -> int:
    return taken.year - born.year - ((taken.month, taken.day) < (born.month, born.day))


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text.replace(".", ""), "%Y%m%d").date()  # noqa: DTZ007  a date
    except ValueError:
        return None
