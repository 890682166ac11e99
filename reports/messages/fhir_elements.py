"""Elements of FHIR R4 resources (4.0.1): identifiers, codes, names, moments and narrative, as JSON values."""

from __future__ import annotations

import html
import uuid
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pydicom.sr.coding import Code

from dicom_node.errors import WetreadError
from dicom_node.uids import derived_uid
from reports import codes
from reports.messages.characters import readable
from reports.messages.identity import URI, PatientId
from reports.messages.subject import Name, Subject

Json = dict[str, Any]

DICOM_CODES: Final = "http://dicom.nema.org/resources/ontology/DCM"
IDENTIFIER_TYPES: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
_SYSTEMS: Final = MappingProxyType(
    {
        "SCT": "http://snomed.info/sct",
        "LN": "http://loinc.org",
        "DCM": DICOM_CODES,
        codes.SCHEME: f"urn:oid:{derived_uid('coding scheme', codes.SCHEME)}",
    }
)
_REPRESENTATION: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_ALPHABETS: Final = MappingProxyType({"A": "ABC", "I": "IDE", "P": "SYL"})
_GENDERS: Final = MappingProxyType({"F": "female", "M": "male", "O": "other"})


class NoIdentifierSystem(WetreadError):
    """The issuer of a patient's identifier has no FHIR identifier system: the server could match another patient."""


def patient_system(patient: PatientId, configured: Mapping[str, str]) -> str:
    """Find the identifier system: the configured one of the issuer, else its universal identifier.

    Raises NoIdentifierSystem: neither is there.
    """
    if patient.issuer in configured:
        return configured[patient.issuer]
    prefix = {"ISO": "urn:oid:", "UUID": "urn:uuid:", "URI": ""}.get(patient.kind)
    if patient.universal and prefix is not None:
        return prefix + patient.universal
    raise NoIdentifierSystem(
        "the patient's identifier has an issuer without a FHIR identifier system; name one for this issuer in the "
        "destination's patient_systems (an empty key stands for images that name no issuer)"
    )


def identifier(system: str, value: str, kind: str = "") -> Json:
    """An Identifier; kind: a code of table 0203, such as ACSN."""
    typed: Json = {"type": {"coding": [{"system": IDENTIFIER_TYPES, "code": kind}]}} if kind else {}
    return {**typed, **({"system": system} if system else {}), "value": value}


def uid_identifier(uid: str, system: str = URI) -> Json:
    """Identifier of a UID; system: URI for what we named ourselves, DICOM_UID for DICOM objects."""
    return identifier(system, f"urn:oid:{uid}")


def full_url(uid: str) -> str:
    """Name of an entry inside its bundle. uid: `2.25.` and a number."""
    return f"urn:uuid:{uuid.UUID(int=int(uid.removeprefix('2.25.')))}"


def concept(code: Code) -> Json:
    """A CodeableConcept; a code of a scheme that FHIR has no name for is its text only."""
    system = _SYSTEMS.get(code.scheme_designator, "")
    if not system:
        return {"text": code.meaning}
    return {"coding": [{"system": system, "code": code.value, "display": code.meaning}], "text": code.meaning}


def human_name(name: Name) -> Json:
    """A HumanName; its extension says whether it is alphabetic, ideographic or phonetic."""
    made: Json = {
        "extension": [{"url": _REPRESENTATION, "valueCode": _ALPHABETS[name.representation]}],
        "use": "official",
    }
    parts = {
        "family": name.family,
        "given": [part for part in (name.given, name.middle) if part],
        "prefix": [name.prefix] if name.prefix else [],
        "suffix": [name.suffix] if name.suffix else [],
    }
    return {**made, **{key: value for key, value in parts.items() if value}}


def patient(subject: Subject, system: str) -> Json:
    """A Patient with what the images say."""
    made: Json = {
        "resourceType": "Patient",
        "identifier": [identifier(system, subject.patient.value)],
        "name": [human_name(name) for name in subject.names],
        "gender": _GENDERS.get(subject.sex, "unknown"),
        "birthDate": date(subject.birth_date),
    }
    return without_empty(made)


def date(written: str) -> str:
    """YYYY-MM-DD of a DICOM date; empty where there is none."""
    return f"{written[:4]}-{written[4:6]}-{written[6:8]}" if len(written) == 8 else ""


def study_moment(subject: Subject) -> str:
    """When the films were made: with the time only where an offset is known, since FHIR has no time without one."""
    day, time = date(subject.study_date), subject.study_time.split(".")[0]
    if not (day and time and subject.offset):
        return day
    time = time.ljust(6, "0")
    return f"{day}T{time[:2]}:{time[2:4]}:{time[4:6]}{subject.offset[:3]}:{subject.offset[3:]}"


def instant(moment: str) -> str:
    """FHIR instant of a DICOM DT with its offset, such as 20250302093000+0900."""
    return f"{date(moment[:8])}T{moment[8:10]}:{moment[10:12]}:{moment[12:14]}{moment[-5:-2]}:{moment[-2:]}"


def narrative(parts: Iterable[tuple[str, str]]) -> Json:
    """A Narrative of headings and texts, in their order."""
    body = "".join(f"<p><b>{_markup(heading)}</b><br/>{_markup(words)}</p>" for heading, words in parts)
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{body}</div>'}


def _markup(words: str) -> str:
    return html.escape(readable(words), quote=False).replace("\n", "<br/>")


def without_empty(resource: Json) -> Json:
    """Leave out what is empty: FHIR knows no empty values."""
    return {key: value for key, value in resource.items() if value not in ("", [], {}, None)}
