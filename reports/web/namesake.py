"""Is a film under the same Patient ID of the same person? Name, birth date and sex of the headers are compared.

Where senders give no issuer, two hospitals' numbers are one to us: the number alone never says whose a film is.
"""

from __future__ import annotations

import unicodedata
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicom_node.errors import CannotUnderstand
from dicom_node.headers import UNREADABLE, open_header
from reports.config import ReportsConfig
from reports.page.sheet import day, person, visible
from reports.source import legible

_LONGEST: Final = 200  # characters of a line in a corner
_NOTHING: Final = "Nothing but the Patient ID says that this is the same patient: no name and no birth date to compare."


@dataclass(frozen=True, slots=True)
class Whose:
    """Whom a header names. name: DICOM Person Name; born: DA; each empty where it is absent."""

    name: str
    born: str
    sex: str

    @property
    def words(self) -> str:
        """For people: it holds the patient's name."""
        said = (visible(person(self.name)).strip(), visible(day(self.born)).strip(), visible(self.sex).strip())
        return ", ".join(filter(None, said))[:_LONGEST]


NOBODY: Final = Whose("", "", "")


def whose(path: Path, config: ReportsConfig) -> Whose:
    """Whom a stored film names; `NOBODY` where it is gone or cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote what stands in the header
            header = open_header(path)
            names = ("PatientName", "PatientBirthDate", "PatientSex")
            return Whose(*(legible(header, one, config).strip() for one in names))
    except (CannotUnderstand, OSError, *UNREADABLE):
        return NOBODY


def doubt(mine: Whose, theirs: Whose) -> str:
    """Why it may be another patient, in a sentence; empty where nothing says so."""
    pairs = {
        "name": (_names(mine.name), _names(theirs.name)),
        "birth date": (_plain(mine.born), _plain(theirs.born)),
        "sex": (_plain(mine.sex), _plain(theirs.sex)),
    }
    known = {what: one & other for what, (one, other) in pairs.items() if one and other}
    differs = [what for what, shared in known.items() if not shared]
    if differs:
        return f"ANOTHER {' AND '.join(differs).upper()} under the same Patient ID: is this the same patient?"
    return "" if {"name", "birth date"} & set(known) else _NOTHING


def _names(name: str) -> frozenset[str]:
    """Family and given name in each script, and both as one word: some devices write no caret."""
    groups = (_letters(group).split("^") for group in name.split("="))
    return frozenset("".join("".join(group[:2]).split()) for group in groups) - {""}


def _plain(text: str) -> frozenset[str]:
    return frozenset({_letters(text).strip()} - {""})


def _letters(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
