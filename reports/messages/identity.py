"""Identifiers in messages and queries. Light, for processes that build no reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from dicom_node.uids import derived_uid

URI: Final = "urn:ietf:rfc:3986"  # FHIR identifier system of what we named ourselves
DICOM_UID: Final = "urn:dicom:uid"  # and of DICOM objects


@dataclass(frozen=True, slots=True)
class PatientId:
    """An identifier and its issuer. kind: of the universal identifier, such as ISO; all but `value` may be empty."""

    value: str
    issuer: str
    universal: str
    kind: str


def search(system: str, value: str) -> str:
    """Query that finds a resource by its identifier."""
    return f"identifier={quote(system, safe='')}%7C{quote(value, safe='')}"


def report_uid(study_instance_uid: str) -> str:
    """UID that identifies the one DiagnosticReport of a study at every server."""
    return derived_uid("fhir report", study_instance_uid)
