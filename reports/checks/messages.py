"""The gate that every message passes before each sending: parsed back, it says what the books say.

HL7 is read by python-hl7 and FHIR by fhir-resources, which have no part in writing. Problems hold no value of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from fhir.resources.R4B.bundle import Bundle
from pydantic import ValidationError

from dicom_node.kinds import FINAL, Kind, Stage
from reports.checks.document import DocumentRefused
from reports.hl7.er7 import UTF_8
from reports.hl7.reader import NotUnderstood, Reader
from reports.messages import oru
from reports.messages.identity import DICOM_UID
from reports.messages.outcome import COLUMNS, SCHEMA, Result
from reports.provenance import NOTICE

HL7_STATES: Final[Mapping[Stage, frozenset[str]]] = MappingProxyType(
    {
        Stage.DRAFT: frozenset({"R"}),
        Stage.NOTICE: frozenset({"R"}),
        Stage.SIGNED: frozenset({"F", "C"}),
        Stage.COSIGNED: frozenset({"F", "C"}),
        Stage.ADDENDUM: frozenset({"C"}),
        Stage.REJECTION: frozenset({"R", "C"}),
        Stage.WITHDRAWAL: frozenset({"R", "C"}),
    }
)
FHIR_STATES: Final[Mapping[Stage, frozenset[str]]] = MappingProxyType(
    {
        Stage.DRAFT: frozenset({"partial"}),
        Stage.NOTICE: frozenset({"registered"}),
        Stage.SIGNED: frozenset({"final", "amended"}),
        Stage.COSIGNED: frozenset({"final", "amended"}),
        Stage.ADDENDUM: frozenset({"appended"}),
        Stage.REJECTION: frozenset({"cancelled", "entered-in-error"}),
        Stage.WITHDRAWAL: frozenset({"entered-in-error"}),
    }
)
_GONE: Final = frozenset({Stage.REJECTION, Stage.WITHDRAWAL})
_TAKEN_BACK: Final = frozenset({oru.DELETED, oru.WRONG})


@dataclass(frozen=True, slots=True)
class Booked:
    """What the books say about a message. document_uid: SOP Instance UID of the document that it was made from.

    patient_system: FHIR identifier system of the issuer; empty: any. authority: as HL7 may name the issuer as well.
    """

    stage: Stage
    patient_id: str
    issuer_of_patient_id: str
    study_instance_uid: str
    accession_number: str
    document_uid: str
    patient_system: str = ""
    authority: str = ""


def check_message(payload: bytes, kind: Kind, booked: Booked) -> None:
    """Hold a message against the books.

    Raises DocumentRefused, with every problem at once: damaged, not valid, about another patient, study, order or
    document, of another status, or without its notice.
    """
    rules = _RULES.get(kind)
    problems = list(rules(payload, booked)) if rules else ["it is no kind of message that is made here"]
    if problems:
        raise DocumentRefused(tuple(dict.fromkeys(problems)))


def _of_an_oru(payload: bytes, booked: Booked) -> Iterator[str]:
    try:
        reader = Reader.of(payload)
        yield from _of_the_segments(reader, booked)
    except NotUnderstood as error:
        yield str(error)


def _of_the_segments(reader: Reader, booked: Booked) -> Iterator[str]:
    issuer = reader.value("PID", 3, 4)
    names = {booked.issuer_of_patient_id, booked.authority or booked.issuer_of_patient_id}  # it may be older
    expected = {
        "MSH-9": (reader.field("MSH", 9), "ORU^R01^ORU_R01"),
        "MSH-18": (reader.field("MSH", 18), UTF_8),
        "PID-3": (reader.value("PID", 3, 1), booked.patient_id),
        "the issuer of PID-3": (issuer, issuer if issuer in names else booked.issuer_of_patient_id),
        "OBR-18": (reader.value("OBR", 18, 1), booked.accession_number),
    }
    yield from (f"{name} is not that of the books" for name, (said, wanted) in expected.items() if said != wanted)
    if len(list(reader.segments("PID"))) != 1 or len(list(reader.segments("OBR"))) != 1:
        yield "it is not about exactly one patient and one order"
    state = reader.value("OBR", 25, 1)
    if state not in HL7_STATES[booked.stage]:
        yield "OBR-25 is not the status of this stage"
    yield from _of_the_observations(reader, state, booked)


def _of_the_observations(reader: Reader, state: str, booked: Booked) -> Iterator[str]:
    said: dict[str, list[str]] = {}
    gone = booked.stage in _GONE
    allowed = {state, oru.IDENTIFIER} | (_TAKEN_BACK if gone else set())
    yield from _of_the_codes(reader, _TAKEN_BACK if gone else {state, oru.DELETED})
    for one in reader.segments("OBX"):
        name, status = reader.of_segment(one, 3), reader.of_segment(one, 11)
        if reader.of_segment(one, 2) == "CE":
            continue
        if status == oru.DELETED and not gone:
            if reader.whole(one, 5) != oru.WITHDRAWN:
                yield "a text stands that is taken back"
            continue
        said.setdefault(name, []).append(reader.whole(one, 5))
        if status not in allowed:
            yield "OBX-11 is not the status of this stage"
    if said.get(oru.STUDY.value) != [booked.study_instance_uid]:
        yield "the Study Instance UID is not that of the books"
    if said.get(oru.DOCUMENT.value) != [booked.document_uid]:
        yield "the SOP Instance UID is not that of the books"
    texts = [words for name, found in said.items() if name not in _IDENTIFIERS for words in found]
    yield from _of_the_words(texts, booked.stage)
    if booked.stage not in FINAL and (reader.field("OBR", 32) or reader.field("OBR", 33)):
        yield "a person stands as interpreter of what no person has signed"


def _of_the_codes(reader: Reader, allowed: Set[str]) -> Iterator[str]:
    coded: list[str] = []
    for one in reader.segments("OBX"):
        if reader.of_segment(one, 2) != "CE":
            continue
        status = reader.of_segment(one, 11)
        coded.append(reader.of_segment(one, 3))
        if status not in allowed:
            yield "OBX-11 of a finding is not the status of this stage"
        if (status in _TAKEN_BACK) != (reader.whole(one, 5) == f"^{oru.WITHDRAWN}"):
            yield "a finding stands that is taken back, or is taken back where it stands"
    if len(coded) > len(set(coded)):
        yield "a finding stands twice"


_IDENTIFIERS: Final = frozenset({oru.STUDY.value, oru.DOCUMENT.value})


def _of_the_words(texts: list[str], stage: Stage) -> Iterator[str]:
    """The notice is first in a draft and nowhere in a report; what is taken back says so first."""
    first = texts[0] if texts else ""
    if stage is Stage.DRAFT and NOTICE not in first.splitlines():
        yield "the notice is not the first text"
    if stage is Stage.NOTICE and not first.startswith("No AI draft: "):
        yield "it does not say that there is no draft"
    if stage in _GONE and not first.startswith(oru.WITHDRAWN):
        yield "it does not say first that it is withdrawn"
    if stage in FINAL and any(NOTICE in words for words in texts):
        yield "the notice of a draft stands in a verified report"


def _of_a_bundle(payload: bytes, booked: Booked) -> Iterator[str]:
    try:
        Bundle.model_validate_json(payload)
        resources = [entry["resource"] for entry in json.loads(payload)["entry"]]
        (report,) = [one for one in resources if one["resourceType"] == "DiagnosticReport"]
        (study,) = [one for one in resources if one["resourceType"] == "ImagingStudy"]
    except ValidationError as error:
        yield f"it is no valid FHIR bundle ({error.error_count()} errors)"
        return
    except (ValueError, KeyError, TypeError):
        yield "it is no bundle with one DiagnosticReport and one ImagingStudy"
        return
    yield from _of_the_resources(resources, report, study, booked)


def _of_the_resources(
    resources: list[dict[str, Any]], report: dict[str, Any], study: dict[str, Any], booked: Booked
) -> Iterator[str]:
    patients = [one["subject"]["identifier"] for one in resources if "subject" in one]
    patients += [one["identifier"][0] for one in resources if one["resourceType"] == "Patient"]
    if any(one.get("value") != booked.patient_id for one in patients):
        yield "the patient's identifier is not that of the books"
    if {one.get("system") for one in patients} != {booked.patient_system or patients[0].get("system")}:
        yield "the patient's identifier is not of the issuer of the books"
    if _uids(study) != [booked.study_instance_uid]:
        yield "the Study Instance UID is not that of the books"
    if _uids(report) != [booked.document_uid]:
        yield "the SOP Instance UID is not that of the books"
    accessions = [one["identifier"]["value"] for one in report.get("basedOn", []) if _is_accession(one["identifier"])]
    if accessions != ([booked.accession_number] if booked.accession_number else []):
        yield "the accession number is not that of the books"
    if report["status"] not in FHIR_STATES[booked.stage]:
        yield "the status is not that of this stage"
    signed = {"performer", "resultsInterpreter", "contained"} & report.keys()
    if bool(signed) != (booked.stage in FINAL):
        yield "a person is named for what no person has signed, or nobody for what somebody has"
    div = report["text"]["div"].replace("<br/>", "\n")
    first = div.split("<b>", 1)[-1].split("</p>", 1)[0].split("</b>\n")[-1]
    first = first if booked.stage not in _GONE else div.split("<b>", 1)[-1]
    yield from _of_the_words([first, div, report.get("conclusion", "")], booked.stage)


def _uids(resource: dict[str, Any]) -> list[str]:
    return [
        str(one["value"]).removeprefix("urn:oid:") for one in resource["identifier"] if one.get("system") == DICOM_UID
    ]


def _is_accession(identifier: dict[str, Any]) -> bool:
    return any(one.get("code") == "ACSN" for one in identifier.get("type", {}).get("coding", []))


def _of_an_outcome(payload: bytes, booked: Booked) -> Iterator[str]:
    try:
        members = json.loads(payload)
    except ValueError:
        members = None
    if not isinstance(members, dict) or members.get("schema") != SCHEMA:
        yield "it is no outcome in the form that is documented"
        return
    if set(members) - {"report"} != set(COLUMNS[:-1]) or members["result"] not in set(Result):
        yield "its members are not those that are documented"
        return
    for name, wanted in (
        ("study_instance_uid", booked.study_instance_uid),
        ("accession_number", booked.accession_number),
        ("draft_uid", booked.document_uid),
    ):
        if members[name] != wanted:
            yield f"{name} is not that of the books"


_RULES: Final[Mapping[Kind, Callable[[bytes, Booked], Iterator[str]]]] = MappingProxyType(
    {Kind.ORU: _of_an_oru, Kind.FHIR: _of_a_bundle, Kind.OUTCOME: _of_an_outcome}
)
