"""Why a person rejects a draft."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Reason(StrEnum):
    """A code for the books and the quality dashboard."""

    WRONG_FINDING = "wrong-finding"
    MISSED_FINDING = "missed-finding"
    INVENTED_FINDING = "invented-finding"
    WRONG_PATIENT_OR_VIEW = "wrong-patient-or-view"
    QUALITY = "quality"
    OTHER = "other"


WORDS: Final = MappingProxyType(
    {
        Reason.WRONG_FINDING: "a wrong finding",
        Reason.MISSED_FINDING: "a missed finding",
        Reason.INVENTED_FINDING: "a finding that is not on the film",
        Reason.WRONG_PATIENT_OR_VIEW: "the wrong patient or view",
        Reason.QUALITY: "poor quality",
        Reason.OTHER: "another reason",
    }
)
