"""FHIR R4 DiagnosticReport with its ImagingStudy, reader and Observations, as a transaction of conditional requests.

A study has one DiagnosticReport, whose status follows the report: partial, final, amended or appended, and cancelled or
entered-in-error. Sending a bundle twice changes nothing. deploy/docs/messages.md has the table of its elements.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from pydicom import Dataset

from dicom_node.kinds import FINAL, Kind, Stage
from dicom_node.uids import derived_uid
from reports import codes
from reports.config import ReportsConfig
from reports.findings import Finding
from reports.messages.characters import readable
from reports.messages.fhir_elements import (
    DICOM_CODES,
    Json,
    concept,
    full_url,
    human_name,
    identifier,
    instant,
    narrative,
    patient,
    patient_system,
    study_moment,
    uid_identifier,
    without_empty,
)
from reports.messages.identity import DICOM_UID, URI, report_uid, search
from reports.messages.subject import Subject, message_uid, names, one_per_code, read_subject, replaces_a_final
from reports.objects.content import Content, Verification, read_content
from reports.objects.frame import local
from reports.objects.tree import plain
from reports.provenance import NOTICE

_STATUS: Final = MappingProxyType(
    {
        Stage.DRAFT: "partial",
        Stage.NOTICE: "registered",
        Stage.SIGNED: "final",
        Stage.COSIGNED: "final",
        Stage.ADDENDUM: "appended",
        Stage.REJECTION: "cancelled",
        Stage.WITHDRAWAL: "entered-in-error",
    }
)
_OBSERVED: Final = MappingProxyType({"partial": "preliminary", "registered": "registered", "appended": "amended"})
# Artificial Intelligence asserted: a label that any system can filter by.
_ASSERTED: Final = MappingProxyType(
    {
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "AIAST",
        "display": "Artificial Intelligence asserted",
    }
)
_RADIOLOGY: Final = "http://terminology.hl7.org/CodeSystem/v2-0074"
_IMAGING: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_TITLE: Final = MappingProxyType(
    {"system": "http://loinc.org", "code": "18748-4", "display": "Diagnostic imaging study"}
)
WITHDRAWN: Final = "WITHDRAWN"


@dataclass(frozen=True, slots=True)
class FhirSite:
    """How a server knows patients and orders.

    patient_systems: identifier system of each Issuer of Patient ID; an empty key for images that name none.
    order_system: of accession and order numbers; empty: they go without one.
    create_patient: create a Patient that the server lacks; otherwise it refuses the bundle, which is safer.
    """

    patient_systems: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    order_system: str = ""
    create_patient: bool = False


@dataclass(frozen=True, slots=True)
class _Scene:
    """What all entries of one bundle share. whom: reference to the patient; at: when this became so."""

    master: Dataset
    content: Content
    subject: Subject
    site: FhirSite
    whom: Json
    status: str
    at: datetime
    language: str

    @property
    def device_url(self) -> str:
        return full_url(derived_uid("fhir device", self.master.DeviceUID))

    @property
    def study_url(self) -> str:
        return full_url(derived_uid("fhir study", self.subject.study_instance_uid))

    @property
    def is_gone(self) -> bool:
        return self.status in {_STATUS[Stage.REJECTION], _STATUS[Stage.WITHDRAWAL]}

    @property
    def security(self) -> Json:
        """The label of what no person has signed."""
        return {} if self.content.stage in FINAL else {"security": [dict(_ASSERTED)]}


def build_fhir(
    master: Dataset,
    site: FhirSite,
    config: ReportsConfig,
    *,
    findings: Sequence[Finding] = (),
    formerly: Sequence[Finding] = (),
) -> bytes:
    """Write the report's bundle.

    findings: one Observation each; what is not mentioned gets none. formerly: those of the document that the server has
    now, so that an Observation which is no longer said does not stay: it becomes cancelled, or entered-in-error
    where it was final.

    Raises NotOurs; NoIdentifierSystem: the site names none for the patient's issuer.
    """
    content = read_content(master)
    status = _STATUS[content.stage]
    if status == "final" and replaces_a_final(master, content.stage):
        status = "amended"
    subject = read_subject(master, config)
    entries, whom = _whom(subject, site)
    scene = _Scene(master, content, subject, site, whom, status, subject.written, config.language)
    return _bundle(scene, content.stage, entries, _sections(content), findings, formerly)


def build_fhir_withdrawal(
    master: Dataset,
    stage: Stage,
    reason: str,
    at: datetime,
    site: FhirSite,
    config: ReportsConfig,
    *,
    findings: Sequence[Finding] = (),
) -> bytes:
    """Write the bundle that takes a report back, with its Observations. reason: a sentence for people.

    stage: REJECTION makes a draft cancelled; WITHDRAWAL makes anything entered-in-error. A report that was final is
    entered-in-error in any case. at: aware.

    Raises NotOurs; NoIdentifierSystem; ValueError: another stage, a naive moment.
    """
    if stage not in {Stage.REJECTION, Stage.WITHDRAWAL}:
        raise ValueError("only a rejection or a withdrawal takes a report back")
    content = read_content(master)
    status = _STATUS[Stage.WITHDRAWAL if content.stage in FINAL else stage]
    said = ((WITHDRAWN, f"This report was taken back. Do not use it.\n{reason}"),)
    subject = read_subject(master, config)
    entries, whom = _whom(subject, site)
    scene = _Scene(master, content, subject, site, whom, status, local(at, master, config), config.language)
    return _bundle(scene, stage, entries, said, findings)


def _sections(content: Content) -> tuple[tuple[str, str], ...]:
    """Headings and texts, the warning first."""
    above = f"{NOTICE}\n" if content.stage is Stage.DRAFT else ""
    parts = (
        ("Summary", content.warning),
        ("Findings", above + content.findings if content.findings else ""),
        ("Impression", above + content.impression if content.impression else ""),
        *(("Addendum", words) for words in content.addenda),
        ("Making", content.making),
    )
    return tuple((heading, words) for heading, words in parts if words)


def _bundle(
    scene: _Scene,
    stage: Stage,
    entries: list[Json],
    said: Sequence[tuple[str, str]],
    findings: Sequence[Finding],
    formerly: Sequence[Finding] = (),
) -> bytes:
    observed = [_observation(one, scene) for one in one_per_code(findings)]
    kept = {url for url, _ in observed}
    withdrawn = "entered-in-error" if replaces_a_final(scene.master, stage) else "cancelled"
    former = (_observation(one, replace(scene, status=withdrawn)) for one in one_per_code(formerly))
    dropped = [(url, resource) for url, resource in former if url not in kept]
    report = _report(scene, said) | {"result": [{"reference": url} for url, _ in observed]}
    if not scene.is_gone and scene.content.verified_by:
        report |= _signers(scene.content.verified_by)
    url = full_url(report_uid(scene.subject.study_instance_uid))
    bundle = {
        "resourceType": "Bundle",
        "identifier": uid_identifier(message_uid(scene.subject.sop_instance_uid, Kind.FHIR, stage)),
        "type": "transaction",
        "timestamp": scene.at.isoformat(),
        "entry": [
            *entries,
            _created(scene.device_url, _device(scene.master)),
            _created(scene.study_url, _study(scene)),
            *(_updated(url, resource) for url, resource in (*observed, *dropped)),
            _updated(url, without_empty(report)),
        ],
    }
    return json.dumps(bundle, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def _created(url: str, resource: Json) -> Json:
    """An entry that creates a resource where the server has none with its first identifier."""
    query = search(resource["identifier"][0]["system"], resource["identifier"][0]["value"])
    kind = resource["resourceType"]
    return {"fullUrl": url, "resource": resource, "request": {"method": "POST", "url": kind, "ifNoneExist": query}}


def _updated(url: str, resource: Json) -> Json:
    """An entry that creates or replaces the resource with its first identifier, which is ours."""
    query = search(resource["identifier"][0]["system"], resource["identifier"][0]["value"])
    kind = resource["resourceType"]
    return {"fullUrl": url, "resource": resource, "request": {"method": "PUT", "url": f"{kind}?{query}"}}


def _whom(subject: Subject, site: FhirSite) -> tuple[list[Json], Json]:
    """Entries for the patient, and the reference: the server looks it up, and refuses where it does not find one."""
    system, value = patient_system(subject.patient, site.patient_systems), subject.patient.value
    named = {"type": "Patient", "identifier": identifier(system, value)}
    if not site.create_patient:
        return [], {"reference": f"Patient?{search(system, value)}", **named}
    url = full_url(derived_uid("fhir patient", system, value))
    return [_created(url, patient(subject, system))], {"reference": url, **named}


def _device(master: Dataset) -> Json:
    reader = master.ContributingEquipmentSequence[0]
    name, version = plain(reader, "ManufacturerModelName"), plain(reader, "SoftwareVersions")
    return without_empty(
        {
            "resourceType": "Device",
            "identifier": [uid_identifier(plain(master, "DeviceUID"), DICOM_UID)],
            "status": "active",
            "manufacturer": plain(reader, "Manufacturer"),
            "serialNumber": plain(reader, "DeviceSerialNumber"),
            "deviceName": [{"name": f"{name} {version}", "type": "model-name"}],
            "modelNumber": name,
            "type": {"text": "Software that drafts radiology reports from images"},
            "version": [
                {"type": {"text": "reader"}, "value": version},
                {"type": {"text": "wetread"}, "value": plain(master, "SoftwareVersions")},
            ],
        }
    )


def _study(scene: _Scene) -> Json:
    """The images that were read; created only where the server has no ImagingStudy with this UID."""
    subject, order = scene.subject, scene.subject.order
    evidence = scene.master.CurrentRequestedProcedureEvidenceSequence
    series = [_series(item) for study in evidence for item in study.ReferencedSeriesSequence]
    accession = [identifier(scene.site.order_system, order.accession, "ACSN")] if order.accession else []
    return without_empty(
        {
            "resourceType": "ImagingStudy",
            "identifier": [uid_identifier(subject.study_instance_uid, DICOM_UID), *accession],
            "status": "available",
            "subject": scene.whom,
            "started": study_moment(subject),
            "description": subject.study_description,
            "series": series,
        }
    )


def _series(item: Dataset) -> Json:
    references = item.ReferencedSOPSequence
    modality = codes.MODALITY_OF.get(plain(references[0], "ReferencedSOPClassUID"), "OT")
    return {
        "uid": plain(item, "SeriesInstanceUID"),
        "modality": {"system": DICOM_CODES, "code": modality},
        "instance": [
            {
                "uid": plain(one, "ReferencedSOPInstanceUID"),
                "sopClass": {"system": URI, "code": f"urn:oid:{plain(one, 'ReferencedSOPClassUID')}"},
            }
            for one in references
        ],
    }


def _observation(finding: Finding, scene: _Scene) -> tuple[str, Json]:
    """The finding is the name, present, absent or undetermined the value: a reader of names alone sees no negation."""
    row = codes.ROW_OF[finding.label]
    study = scene.subject.study_instance_uid
    uid = derived_uid("fhir observation", study, row.code.value, row.code.scheme_designator)
    said = codes.modifiers(finding.laterality, finding.severity)
    resource: Json = {
        "resourceType": "Observation",
        "meta": scene.security,
        "identifier": [uid_identifier(uid)],
        "status": _OBSERVED.get(scene.status, scene.status),
        "category": [{"coding": [{"system": _IMAGING, "code": "imaging"}]}],
        "code": concept(row.code),
        "subject": scene.whom,
        "effectiveDateTime": study_moment(scene.subject),
        "valueCodeableConcept": concept(codes.STATES[finding.state]),
        "bodySite": concept(row.site),
        "device": {"reference": scene.device_url},
        "derivedFrom": [{"reference": scene.study_url}],
        "component": [{"code": concept(name), "valueCodeableConcept": concept(value)} for name, value in said],
    }
    return full_url(uid), without_empty(resource)


def _report(scene: _Scene, said: Sequence[tuple[str, str]]) -> Json:
    words = readable("\n\n".join(f"{heading}\n{text}" for heading, text in said))
    spoken = dict(said)
    concluded = f"{WITHDRAWN}: {spoken[WITHDRAWN]}" if scene.is_gone else spoken.get("Impression", "")
    signed = "" if scene.is_gone or not scene.content.verified_by else instant(scene.content.verified_by[-1].at)
    return {
        "resourceType": "DiagnosticReport",
        # Beside Observations, which name the Device, nothing in a DiagnosticReport of R4 may.
        "meta": {"source": f"urn:oid:{scene.master.DeviceUID}", **scene.security},
        "language": scene.language,
        "text": narrative(said),
        "identifier": [
            uid_identifier(report_uid(scene.subject.study_instance_uid)),
            uid_identifier(scene.subject.sop_instance_uid, DICOM_UID),
        ],
        "basedOn": _orders(scene),
        "status": scene.status,
        "category": [{"coding": [{"system": _RADIOLOGY, "code": "RAD", "display": "Radiology"}]}],
        "code": {"coding": [dict(_TITLE)], "text": scene.content.title},
        "subject": scene.whom,
        "effectiveDateTime": study_moment(scene.subject),
        "issued": signed or scene.at.isoformat(),
        "imagingStudy": [{"reference": scene.study_url}],
        "conclusion": readable(concluded),
        "presentedForm": [
            {
                "contentType": "text/plain; charset=utf-8",
                "language": scene.language,
                "data": base64.b64encode(words.encode("utf-8")).decode("ascii"),
            }
        ],
    }


def _orders(scene: _Scene) -> list[Json]:
    """Logical references: the server need not know the orders."""
    order = scene.subject.order
    numbers = (("ACSN", order.accession), ("PLAC", order.placer), ("FILL", order.filler))
    system = scene.site.order_system
    return [
        {"type": "ServiceRequest", "identifier": identifier(system, number, kind)} for kind, number in numbers if number
    ]


def _signers(verified_by: Sequence[Verification]) -> Json:
    """Who answers for a final report: people and their organization. A draft has neither."""
    people = [names(one.name)[:1] for one in verified_by]
    contained = [
        {"resourceType": "Practitioner", "id": f"signer-{number}", "name": [human_name(name) for name in called]}
        for number, called in enumerate(people, start=1)
    ]
    signers = [{"reference": f"#{one['id']}", "type": "Practitioner"} for one in contained]
    organizations = [
        {"type": "Organization", "display": display}
        for display in dict.fromkeys(one.organization for one in verified_by)
    ]
    return {"contained": contained, "performer": [*signers, *organizations], "resultsInterpreter": signers}
