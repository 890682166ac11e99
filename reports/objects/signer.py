"""Who signs a report, and when. Without highdicom: pages and commands that make no document name people, too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Signer:
    """A person, never a device. name: DICOM Person Name (`Family^Given`); organization: 1-64 characters.

    identifier, scheme: a staff number and its coding scheme (such as 99HOSPITAL), both or neither.
    """

    name: str
    organization: str
    identifier: str = ""
    scheme: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """Who answers for a report since when. at: aware; written with its offset from UTC."""

    signer: Signer
    at: datetime
