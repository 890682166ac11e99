"""Identifiers in messages and queries. Light, for processes that build no reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from dicom_node.uids import derived_uid, is_uid

URI: Final = "urn:ietf:rfc:3986"  # FHIR identifier system of what we named ourselves
DICOM_UID: Final = "urn:dicom:uid"  # and of DICOM objects


@dataclass(frozen=True, slots=True)
class PatientId:
    """An identifier and its issuer. kind: of the universal identifier, such as ISO; all but `value` may be empty."""

    value: str
    issuer: str
    universal: str
    kind: str


def as_hl7_names_it(patient: PatientId, authorities: Mapping[str, str]) -> PatientId:
    """The identifier with the assigning authority that the hospital's HL7 knows for its issuer (`hl7.authorities`).

    Of several names the first in the table counts, and the first object identifier as the universal one. An issuer
    that the table does not have is spelled alike.
    """
    named = [authority for authority, issuer in authorities.items() if authority and issuer == patient.issuer]
    names = [one for one in named if not _is_oid(one)]
    universal = [one for one in named if _is_oid(one)]
    return replace(
        patient,
        issuer=names[0] if names else patient.issuer,
        universal=universal[0] if universal else patient.universal,
        kind="ISO" if universal else patient.kind,
    )


def _is_oid(text: str) -> bool:
    return "." in text and is_uid(text)


def search(system: str, value: str) -> str:
    """Query that finds a resource by its identifier."""
    return f"identifier={quote(system, safe='')}%7C{quote(value, safe='')}"


def report_uid(study_instance_uid: str) -> str:
    """UID that identifies the one DiagnosticReport of a study at every server."""
    return derived_uid("fhir report", study_instance_uid)
