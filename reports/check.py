"""Nothing leaves the house unchecked: what validators cannot know about a draft, and what must hold of its bytes.

Problems are named in words that hold no value of the patient.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from datetime import date
from types import MappingProxyType

from pydicom import Dataset, FileDataset, dcmread
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian

from dicom_node.errors import WetreadError
from dicom_node.headers import UNREADABLE
from dicom_node.uids import is_uid
from reports.config import ReportsConfig
from reports.provenance import NOTICE, device_uid
from reports.source import LENGTHS, has_controls, is_timezone_offset, joined, normalize
from reports.sr import (
    FINDINGS,
    IMPRESSIONS,
    SERIES_DESCRIPTION,
    SUMMARY,
    NotEncodable,
    draft_series_uid,
    draft_uid,
    encode,
)

_FLAGS = MappingProxyType(
    {
        "CompletionFlag": ("PARTIAL",),
        "VerificationFlag": ("UNVERIFIED",),
        "PreliminaryFlag": ("PRELIMINARY",),
        "ContentQualification": ("RESEARCH", "PRODUCT"),
        "SeriesDescription": (SERIES_DESCRIPTION,),
        "Modality": ("SR",),
        "SOPClassUID": (BasicTextSRStorage,),
        "SpecificCharacterSet": ("ISO_IR 192",),
        "ValueType": ("CONTAINER",),
        "ContinuityOfContent": ("SEPARATE",),
    }
)
# What binds a report to a patient, a study and an order.
_IDENTITY = (
    "PatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "TypeOfPatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "TimezoneOffsetFromUTC",
)
_SHARED = ("StudyInstanceUID", "PatientID", "IssuerOfPatientID", "AccessionNumber")
_VALUE_TYPES = frozenset({"CODE", "CONTAINER", "IMAGE", "TEXT", "UIDREF"})
_TEXT_VRS = frozenset({"CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})


class DraftRefused(WetreadError):
    """A draft must not be stored or sent. `problems` has one phrase for each reason."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(f"the draft is refused: {'; '.join(problems)}; nothing was sent, report this as a defect")
        self.problems = problems


def check_draft(draft: Dataset, sources: Sequence[Dataset], config: ReportsConfig) -> None:
    """Hold a draft against the images that it was made from, and against the rules for drafts.

    sources: headers as received, as `build_draft` got them.

    Raises DraftRefused, with every problem at once; SourceUnusable.
    """
    normal = [normalize(source, config) for source in sources]
    _refuse([*_of_the_document(draft), *_of_the_source(draft, normal), *_of_the_claim(draft, config)])


def check_payload(
    payload: bytes,
    *,
    study_instance_uid: str,
    patient_id: str,
    issuer_of_patient_id: str,
    accession_number: str,
    sop_class_uid: str,
    sop_instance_uid: str,
) -> None:
    """Hold the stored bytes of a draft against the books, before each sending.

    Raises DraftRefused: damaged bytes, another patient, study or order than the books name, or no draft.
    """
    try:
        draft = dcmread(io.BytesIO(payload))
        draft.decode()
    except UNREADABLE as error:
        raise DraftRefused((f"the bytes are no readable DICOM file ({type(error).__name__})",)) from error
    expected = {
        "StudyInstanceUID": study_instance_uid,
        "PatientID": patient_id,
        "IssuerOfPatientID": issuer_of_patient_id,
        "AccessionNumber": accession_number,
        "SOPClassUID": sop_class_uid,
        "SOPInstanceUID": sop_instance_uid,
    }
    books = [f"{name} is not that of the books" for name, value in expected.items() if _plain(draft, name) != value]
    _refuse([*books, *_of_the_document(draft), *_of_the_file_meta(draft)])


def _refuse(problems: list[str]) -> None:
    if problems:
        raise DraftRefused(tuple(dict.fromkeys(problems)))


def _of_the_document(draft: Dataset) -> Iterator[str]:
    """What must hold of every draft, whoever it is about."""
    yield from (
        f"{name} is not {' or '.join(allowed)}"
        for name, allowed in _FLAGS.items()
        if _plain(draft, name) not in allowed
    )
    yield from _of_the_uids(draft)
    yield from _of_the_moment(draft)
    yield from _of_the_request(draft)
    yield from _of_the_template(draft)
    yield from _of_the_sections(draft)
    yield from _of_the_evidence(draft)
    yield from _of_the_elements(draft)
    yield from _of_the_encoding(draft)


def _of_the_source(draft: Dataset, sources: list[Dataset]) -> Iterator[str]:
    films = [source for source in sources if source.SOPInstanceUID in _referenced(draft)]
    if len(films) != len(_referenced(draft)):
        yield "an image that the draft names is not among the images of the study"
    for film in films:
        yield from (f"{name} differs from the image" for name in _IDENTITY if _value(draft, name) != _value(film, name))
    for source in sources:
        yield from (
            f"{name} differs among the images" for name in _SHARED if _value(draft, name) != _value(source, name)
        )


def _of_the_claim(draft: Dataset, config: ReportsConfig) -> Iterator[str]:
    if _plain(draft, "ContentQualification") == "PRODUCT" and not config.cleared:
        yield "ContentQualification PRODUCT is claimed without being configured"


def _of_the_uids(draft: Dataset) -> Iterator[str]:
    for name in ("SOPInstanceUID", "SeriesInstanceUID"):
        if not _plain(draft, name).startswith("2.25.") or not is_uid(_plain(draft, name)):
            yield f"{name} is not derived by us"
    if _plain(draft, "SeriesInstanceUID") != draft_series_uid(_plain(draft, "StudyInstanceUID")):
        yield "SeriesInstanceUID is not that of the study's drafts"
    try:
        if _plain(draft, "SOPInstanceUID") != draft_uid(draft):
            yield "SOPInstanceUID is not that of this content"
        if _plain(draft, "DeviceUID") != device_uid(draft.ContributingEquipmentSequence[0].DeviceSerialNumber):
            yield "DeviceUID is not that of the reader"
    except (AttributeError, IndexError):
        yield "the reader's digest is missing from the contributing equipment"


def _of_the_moment(draft: Dataset) -> Iterator[str]:
    offset = _plain(draft, "TimezoneOffsetFromUTC")
    if offset and not is_timezone_offset(offset):
        yield "TimezoneOffsetFromUTC has no valid form"
    for name in ("ContentDate", "InstanceCreationDate"):
        try:
            date.fromisoformat(_plain(draft, name))
        except ValueError:
            yield f"{name} is no date"
    for name in ("ContentTime", "InstanceCreationTime"):
        if re.fullmatch(r"([01]\d|2[0-3])[0-5]\d[0-5]\d", _plain(draft, name)) is None:
            yield f"{name} is no time"


def _of_the_request(draft: Dataset) -> Iterator[str]:
    requests = draft.get("ReferencedRequestSequence") or []
    if len(requests) != 1:
        yield "ReferencedRequestSequence does not have exactly one item"
    for request in requests:
        for name in ("StudyInstanceUID", "AccessionNumber"):
            if _plain(request, name) != _plain(draft, name):
                yield f"{name} of the request is not that of the study"


def _of_the_template(draft: Dataset) -> Iterator[str]:
    templates = [_plain(item, "TemplateIdentifier") for item in draft.get("ContentTemplateSequence") or []]
    if templates != ["2000"]:
        yield "ContentTemplateSequence does not name TID 2000"
    items = draft.get("ContentSequence") or []
    names = [_name(item)[:2] for item in items]
    for code, what in (("121049", "language"), ("121058", "procedure reported"), ("121012", "device observer")):
        if (code, "DCM") not in names:
            yield f"the {what} is missing"
    if any(_name(item)[0] == "121008" for item in _descendants(draft)):
        yield "a person stands as observer of a draft"
    for name in ("VerifyingObserverSequence", "PredecessorDocumentsSequence"):
        if name in draft:
            yield f"{name} is present in a draft"
    for item in _descendants(draft):
        if _plain(item, "ValueType") not in _VALUE_TYPES:
            yield "a content item has a value type that a draft does not have"


def _of_the_sections(draft: Dataset) -> Iterator[str]:
    containers = [item for item in draft.get("ContentSequence") or [] if _plain(item, "ValueType") == "CONTAINER"]
    texts = {_name(item)[0]: _section_text(item) for item in containers}
    if not containers or _name(containers[0])[0] != SUMMARY.value or NOTICE not in texts[SUMMARY.value].splitlines():
        yield "the notice is not the first section"
    for heading in (FINDINGS, IMPRESSIONS):
        if not texts.get(heading.value, "").strip():
            yield f"the section {heading.meaning} is missing or empty"


def _of_the_evidence(draft: Dataset) -> Iterator[str]:
    evidence = draft.get("CurrentRequestedProcedureEvidenceSequence") or []
    if [_plain(study, "StudyInstanceUID") for study in evidence] != [_plain(draft, "StudyInstanceUID")]:
        yield "the evidence is not exactly the draft's own study"
    listed = {
        _plain(reference, "ReferencedSOPInstanceUID")
        for study in evidence
        for series in study.get("ReferencedSeriesSequence") or []
        for reference in series.get("ReferencedSOPSequence") or []
    }
    if not _referenced(draft):
        yield "no image is referenced"
    if _referenced(draft) != listed:
        yield "the images in the text are not those in the evidence"


def _of_the_elements(draft: Dataset) -> Iterator[str]:
    for element in draft.iterall():
        text = "" if element.VR == "SQ" else joined(element.value)
        if element.tag.is_private:
            yield "a private element is present"
        elif element.VR in _TEXT_VRS and has_controls(text, allowed="\r\n" if element.VR == "UT" else ""):
            yield f"{element.keyword} holds control characters"
        elif element.VR == "UI" and not all(is_uid(uid) for uid in text.split("\\")):
            yield f"{element.keyword} is no UID"
        elif len(text) > LENGTHS.get(element.VR, len(text)):
            yield f"{element.keyword} is too long"


def _of_the_encoding(draft: Dataset) -> Iterator[str]:
    try:
        encode(draft)
    except (NotEncodable, AttributeError, ValueError, TypeError) as error:
        yield f"it cannot be written without loss ({type(error).__name__})"


def _of_the_file_meta(draft: FileDataset) -> Iterator[str]:
    meta = draft.file_meta
    if _plain(meta, "MediaStorageSOPInstanceUID") != _plain(draft, "SOPInstanceUID"):
        yield "the file meta information names another SOP Instance UID"
    if _plain(meta, "MediaStorageSOPClassUID") != _plain(draft, "SOPClassUID"):
        yield "the file meta information names another SOP Class UID"
    if _plain(meta, "TransferSyntaxUID") != ExplicitVRLittleEndian:
        yield "the transfer syntax is not Explicit VR Little Endian"


def _descendants(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence") or []:
        yield child
        yield from _descendants(child)


def _referenced(draft: Dataset) -> set[str]:
    return {
        _plain(reference, "ReferencedSOPInstanceUID")
        for item in _descendants(draft)
        for reference in item.get("ReferencedSOPSequence") or []
    }


def _section_text(section: Dataset) -> str:
    return "\n".join(_plain(item, "TextValue") for item in _descendants(section) if "TextValue" in item)


def _name(item: Dataset) -> tuple[str, str]:
    names = item.get("ConceptNameCodeSequence") or [Dataset()]
    return _plain(names[0], "CodeValue"), _plain(names[0], "CodingSchemeDesignator")


def _plain(dataset: Dataset, keyword: str) -> str:
    return joined(dataset.get(keyword))


def _value(dataset: Dataset, keyword: str) -> object:
    """Comparable value; absent is not empty, so that nothing appears or vanishes unseen."""
    if keyword not in dataset:
        return None
    if dataset[keyword].VR == "SQ":
        return [item.to_json_dict() for item in dataset[keyword].value]
    return _plain(dataset, keyword)
