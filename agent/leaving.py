"""The last look at what leaves: it is what the books name; and the other form of what a destination refuses."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from pydicom import dcmread
from pydicom.uid import Comprehensive3DSRStorage

from dicom_node.files import write_document
from dicom_node.kinds import Kind
from dicom_node.uids import derived_uid
from dicom_node.worklist import Consignment, Outgoing
from reports.checks import check_payload
from reports.checks.messages import Booked, check_message
from reports.messages.fhir_elements import NoIdentifierSystem, patient_system
from reports.messages.identity import PatientId, as_hl7_names_it
from reports.messages.subject import message_uid
from reports.objects.frame import encode
from reports.objects.measurement import as_comprehensive

_MESSAGES = frozenset({Kind.ORU, Kind.FHIR, Kind.OUTCOME})
_UID = re.compile(rb"[0-9]+(?:\.[0-9]+)+")


def agrees_with_the_books(
    payload: bytes,
    held: Consignment,
    *,
    patient_systems: Mapping[str, str],
    authorities: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Hold the bytes against the study that they were queued for. Raises DocumentRefused.

    patient_systems: the configured FHIR identifier system of each issuer of patients' identifiers. authorities: the
    configured issuer of each assigning authority of HL7.
    """
    if held.kind in _MESSAGES:
        check_message(payload, held.kind, _booked(payload, held, patient_systems, authorities))
        return
    check_payload(
        payload,
        study_instance_uid=held.study_instance_uid,
        patient_id=held.patient_id,
        issuer_of_patient_id=held.issuer_of_patient_id,
        accession_number=held.accession_number,
        sop_class_uid=held.sop_class_uid,
        sop_instance_uid=held.sop_instance_uid,
    )


def another_form(payload: bytes, held: Consignment, store_folder: Path) -> Outgoing | None:
    """Coded findings as Comprehensive SR where Comprehensive 3D SR is refused; None for everything else.

    Its bytes are in the store when this returns. Raises WetreadError where it cannot be written.
    """
    if held.kind is not Kind.TID1500 or held.sop_class_uid != Comprehensive3DSRStorage:
        return None
    document = as_comprehensive(dcmread(io.BytesIO(payload)))
    return Outgoing(
        destination=held.destination,
        kind=held.kind,
        stage=held.stage,
        sop_class_uid=str(document.SOPClassUID),
        sop_instance_uid=str(document.SOPInstanceUID),
        device_uid=str(document.get("DeviceUID", "")),
        digest=write_document(store_folder, encode(document)),
    )


def _booked(
    payload: bytes, held: Consignment, patient_systems: Mapping[str, str], authorities: Mapping[str, str]
) -> Booked:
    """What must stand in a message. The UID that it is booked under proves which document it was made from."""
    return Booked(
        stage=held.stage,
        patient_id=held.patient_id,
        issuer_of_patient_id=held.issuer_of_patient_id,
        study_instance_uid=held.study_instance_uid,
        accession_number=held.accession_number,
        document_uid=next(_made_from(payload, held), ""),
        patient_system=_patient_system(held, patient_systems),
        authority=as_hl7_names_it(PatientId(held.patient_id, held.issuer_of_patient_id, "", ""), authorities).issuer,
    )


def _patient_system(held: Consignment, configured: Mapping[str, str]) -> str:
    """As the builder of bundles finds it; empty where it came from a universal identifier, which no book holds."""
    try:
        return patient_system(PatientId(held.patient_id, held.issuer_of_patient_id, "", ""), configured)
    except NoIdentifierSystem:
        return ""


def _made_from(payload: bytes, held: Consignment) -> Iterator[str]:
    """The UIDs in a message from which its own is derived; none where the message is another one."""
    if held.kind is Kind.OUTCOME:
        yield from _of_an_outcome(payload, held.sop_instance_uid)
        return
    for uid in dict.fromkeys(found.decode("ascii") for found in _UID.findall(payload)):
        if message_uid(uid, held.kind, held.stage) == held.sop_instance_uid:
            yield uid


def _of_an_outcome(payload: bytes, wanted: str) -> Iterator[str]:
    try:
        said = json.loads(payload)
        parts = [str(said[name]) for name in ("draft_uid", "result", "signed_uid", "reason")]
    except (ValueError, KeyError, TypeError):
        return
    if derived_uid("outcome", *parts) == wanted:
        yield parts[0]
