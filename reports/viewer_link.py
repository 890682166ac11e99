"""The way from a study in the pages to the same study in the site's own viewer: an address with places to fill in."""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter
from typing import Final
from urllib.parse import quote, urlsplit

PLACES: Final = ("study_instance_uid", "accession_number", "patient_id")
SCHEMES: Final = ("https", "http", "weasis", "osirix", "horos", "radiant", "microdicom")


@dataclass(frozen=True, slots=True)
class ViewerLink:
    """An address with places in braces, such as https://ohif.example/viewer?StudyInstanceUIDs={study_instance_uid}.

    Raises ValueError: the sentence says what is wrong with it.
    """

    template: str

    def __post_init__(self) -> None:
        places = _places(self.template)
        if unknown := sorted(places - set(PLACES)):
            raise ValueError(f"the viewer's address has no place {{{unknown[0]}}}; there are {', '.join(PLACES)}")
        if not places:
            raise ValueError(f"the viewer's address names no study; put one of {{{'}, {'.join(PLACES)}}} into it")
        _check_start(self.template)

    def to(self, study_instance_uid: str, accession_number: str, patient_id: str) -> str:
        """The address of one study; empty where the study lacks a value that it needs."""
        found = dict(zip(PLACES, (study_instance_uid, accession_number, patient_id), strict=True))
        if any(not found[place].strip(". ") for place in _places(self.template)):  # dots would lead to another page
            return ""
        return self.template.format_map({place: quote(text, safe="") for place, text in found.items()})


def _places(template: str) -> set[str]:
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        raise ValueError("the braces in the viewer's address do not match") from None
    if any(conversion or form for _, place, form, conversion in parts if place is not None):
        raise ValueError("a place in the viewer's address is a name in braces and nothing else")
    return {place for _, place, _, _ in parts if place is not None}


def _check_start(template: str) -> None:
    """Scheme and host are fixed, and nothing in it can be taken for anything but an address."""
    if not template.isascii() or not template.isprintable() or any(sign in template for sign in " \"'<>\\`"):
        raise ValueError("the viewer's address has characters that no address has; write them as %20 and the like")
    try:
        parts = urlsplit(template)
    except ValueError:
        raise ValueError("the viewer's address is no address") from None
    if parts.scheme not in SCHEMES:
        raise ValueError(f"the viewer's address must begin with one of {', '.join(f'{one}:' for one in SCHEMES)}")
    if parts.scheme in {"http", "https"} and not parts.hostname:
        raise ValueError("the viewer's address names no host")
    if "{" in parts.netloc or "@" in parts.netloc:
        raise ValueError("the viewer's host is fixed: no place and no password belongs before its first slash")
