"""The draft as a DICOM object: Basic Text SR (PS3.3 A.35.1) with TID 2000 (PS3.16).

highdicom makes the content items; its document classes are not used: they fail on common sources (Korean and
Japanese character sets, absent type 2 attributes), know no Basic Text SR, and write the wall clock.
"""

from __future__ import annotations

import hashlib
import io
from collections import abc
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from types import MappingProxyType
from zoneinfo import ZoneInfo

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    DeviceObserverIdentifyingAttributes,
    ImageContentItem,
    LanguageOfContentItemAndDescendants,
    ObserverContext,
    TextContentItem,
)
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, BasicTextSRStorage, ExplicitVRLittleEndian

from dicom_node.errors import WetreadError
from dicom_node.uids import derived_uid
from reports.config import ReportsConfig
from reports.provenance import Provenance
from reports.source import OPTIONAL, SEQUENCES, TYPE_2, normalize, of_one_study
from reports.text import DraftText

SERIES_DESCRIPTION = "AI DRAFT - NOT VERIFIED"
COMPLETION_FLAG_DESCRIPTION = "AI draft awaiting radiologist review"

# Headings of the current CID 7001 and the element that each section holds (CID 7002).
SUMMARY = Code("55112-7", "LN", "Summary")
FINDINGS = Code("59776-5", "LN", "Findings")
IMPRESSIONS = Code("19005-8", "LN", "Impressions")
KEY_IMAGES = Code("55113-5", "LN", "Key Images")
PROCEDURE_DESCRIPTIONS = Code("55111-9", "LN", "Current Procedure Descriptions")

_TITLE = Code("18748-4", "LN", "Diagnostic Imaging Report")
_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
_LANGUAGES = MappingProxyType({"en-US": Code("en-US", "RFC5646", "English (United States)")})
_FROM_SOURCE = frozenset(
    {*TYPE_2, *OPTIONAL, *SEQUENCES, "TimezoneOffsetFromUTC"}
    - {
        "Modality",
        "BodyPartExamined",
        "ViewPosition",
        "PlacerOrderNumberImagingServiceRequest",
        "FillerOrderNumberImagingServiceRequest",
    }
)
_IMPLEMENTATION_UID = derived_uid("implementation", "wetread")


class NotEncodable(WetreadError):
    """A document cannot be written without loss of characters."""


def build_draft(
    sources: abc.Sequence[Dataset],
    text: DraftText,
    provenance: Provenance,
    *,
    revision: int,
    content_at: datetime,
    config: ReportsConfig,
) -> Dataset:
    """Write the draft of one study revision. Same arguments, same dataset, same UIDs.

    sources: headers of the study's images, as received; among them every one of `provenance.films`.
    revision: 1 for the first; Instance Number.
    content_at: aware; shown in the source's time zone where it names one, else in the configured one.

    Raises SourceUnusable; ValueError: a film that is not among the sources, a naive moment.
    """
    if content_at.tzinfo is None:
        raise ValueError("content_at needs a time zone")
    normal = [normalize(source, config) for source in sources]
    of_one_study(normal)
    films = _films(normal, provenance)
    moment = content_at.astimezone(_zone(films[0], config))
    draft = Dataset()
    _add_patient_and_study(draft, films[0])
    _add_series(draft, films[0], revision, config)
    _add_equipment(draft, provenance)
    _add_document(draft, films, moment, config)
    _add_content(draft, films, text, provenance, moment, config)
    draft.SOPInstanceUID = draft_uid(draft)
    return draft


def draft_uid(draft: Dataset) -> str:
    """SOP Instance UID that a draft with this content has: whoever changes a letter gets another one."""
    own = {"SOPInstanceUID", "SeriesInstanceUID"}
    content = Dataset({element.tag: element for element in draft if element.keyword not in own})
    digest = hashlib.sha256(_explicit_little_endian(content)).hexdigest()
    reader = draft.ContributingEquipmentSequence[0].DeviceSerialNumber
    return derived_uid(draft.StudyInstanceUID, str(draft.InstanceNumber), "draft", reader, digest)


def draft_series_uid(study_instance_uid: str) -> str:
    """Series of a study's drafts. Viewers fail on series with several SOP classes, so each class has its own."""
    return derived_uid("series", study_instance_uid, BasicTextSRStorage, "draft")


def encode(document: Dataset) -> bytes:
    """Write a Part 10 file in Explicit VR Little Endian. Same dataset, same bytes.

    Raises NotEncodable where a character would be lost; pydicom alone writes '?' and warns.
    """
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = document.SOPClassUID
    meta.MediaStorageSOPInstanceUID = document.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(_IMPLEMENTATION_UID)
    meta.ImplementationVersionName = "WETREAD"
    copy = Dataset({element.tag: element for element in document})
    copy.file_meta = meta
    buffer = io.BytesIO()
    copy.save_as(buffer, enforce_file_format=True)
    written = buffer.getvalue()
    if dcmread(io.BytesIO(written)).to_json_dict() != document.to_json_dict():
        raise NotEncodable("the document reads back differently than it was written; it holds what DICOM cannot carry")
    return written


def _explicit_little_endian(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


def _films(sources: list[Dataset], provenance: Provenance) -> list[Dataset]:
    known = {str(source.SOPInstanceUID): source for source in sources}
    if not provenance.films or not set(provenance.films) <= known.keys():
        raise ValueError("provenance.films must name at least one image, and only images among the sources")
    return [known[uid] for uid in provenance.films]


def _zone(source: Dataset, config: ReportsConfig) -> tzinfo:
    offset = source.get("TimezoneOffsetFromUTC", "")
    if not offset:
        return UTC if config.time_zone == "UTC" else ZoneInfo(config.time_zone)
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


def _add_patient_and_study(draft: Dataset, source: Dataset) -> None:
    draft.SpecificCharacterSet = "ISO_IR 192"
    draft.StudyInstanceUID = source.StudyInstanceUID
    for keyword in sorted(_FROM_SOURCE):
        if keyword in source:
            setattr(draft, keyword, source[keyword].value)


def _add_series(draft: Dataset, source: Dataset, revision: int, config: ReportsConfig) -> None:
    """SR Document Series Module (PS3.3 C.17.1). Constant over all drafts of a study."""
    draft.SOPClassUID = BasicTextSRStorage
    draft.Modality = "SR"
    draft.SeriesInstanceUID = draft_series_uid(source.StudyInstanceUID)
    draft.SeriesNumber = config.series_number
    draft.SeriesDescription = SERIES_DESCRIPTION
    draft.ReferencedPerformedProcedureStepSequence = []
    draft.InstanceNumber = revision


def _add_equipment(draft: Dataset, provenance: Provenance) -> None:
    """General Equipment is this program with this reader (the loop guard knows its Device UID), which contributed.

    Contributing Equipment does not repeat the Device UID: validators of 2022 call that a Standard Extended SOP Class.
    """
    draft.Manufacturer = "wetread"
    draft.ManufacturerModelName = "wetread"
    draft.SoftwareVersions = provenance.software_version
    draft.DeviceUID = provenance.device_uid
    reader = Dataset()
    reader.PurposeOfReferenceCodeSequence = [_coded(codes.DCM.ProcessingEquipment)]
    reader.Manufacturer = provenance.manufacturer
    reader.ManufacturerModelName = provenance.reader_name
    reader.SoftwareVersions = provenance.reader_version
    reader.DeviceSerialNumber = provenance.digest
    draft.ContributingEquipmentSequence = [reader]


def _add_document(draft: Dataset, films: list[Dataset], moment: datetime, config: ReportsConfig) -> None:
    """SR Document General Module (PS3.3 C.17.2) and SOP Common."""
    draft.InstanceCreationDate = draft.ContentDate = f"{moment:%Y%m%d}"
    draft.InstanceCreationTime = draft.ContentTime = f"{moment:%H%M%S}"
    draft.CompletionFlag = "PARTIAL"
    draft.CompletionFlagDescription = COMPLETION_FLAG_DESCRIPTION
    draft.VerificationFlag = "UNVERIFIED"
    draft.PreliminaryFlag = "PRELIMINARY"
    draft.ContentQualification = "PRODUCT" if config.cleared else "RESEARCH"
    draft.ReferencedRequestSequence = [_request(films[0])]
    draft.PerformedProcedureCodeSequence = films[0].get("ProcedureCodeSequence") or []
    draft.CurrentRequestedProcedureEvidenceSequence = [_evidence(films)]


def _request(source: Dataset) -> Dataset:
    """Make the one item: of several requests the first. RIS match a report by one order, and two would close both."""
    first = (source.get("RequestAttributesSequence") or [Dataset()])[0]
    request = Dataset()
    request.StudyInstanceUID = source.StudyInstanceUID
    request.ReferencedStudySequence = []
    request.AccessionNumber = source.AccessionNumber
    if "IssuerOfAccessionNumberSequence" in source:
        request.IssuerOfAccessionNumberSequence = source.IssuerOfAccessionNumberSequence
    request.PlacerOrderNumberImagingServiceRequest = source.get("PlacerOrderNumberImagingServiceRequest", "")
    request.FillerOrderNumberImagingServiceRequest = source.get("FillerOrderNumberImagingServiceRequest", "")
    request.RequestedProcedureID = first.get("RequestedProcedureID", "")
    request.RequestedProcedureDescription = first.get("RequestedProcedureDescription", "")
    request.RequestedProcedureCodeSequence = first.get("RequestedProcedureCodeSequence") or []
    return request


def _evidence(films: list[Dataset]) -> Dataset:
    series: dict[str, list[Dataset]] = {}
    for film in films:
        series.setdefault(film.SeriesInstanceUID, []).append(_reference(film))
    study = Dataset()
    study.StudyInstanceUID = films[0].StudyInstanceUID
    study.ReferencedSeriesSequence = []
    for uid, references in series.items():
        item = Dataset()
        item.SeriesInstanceUID = uid
        item.ReferencedSOPSequence = references
        study.ReferencedSeriesSequence.append(item)
    return study


def _reference(film: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = film.SOPClassUID
    reference.ReferencedSOPInstanceUID = film.SOPInstanceUID
    return reference


def _add_content(
    draft: Dataset,
    films: list[Dataset],
    text: DraftText,
    provenance: Provenance,
    moment: datetime,
    config: ReportsConfig,
) -> None:
    """SR Document Content Module: TID 2000 Basic Diagnostic Imaging Report."""
    root = ContainerContentItem(name=_TITLE, is_content_continuous=False, template_id="2000")
    views = [" ".join(filter(None, (film.get("Modality"), film.get("ViewPosition")))) or "image" for film in films]
    sentence = provenance.sentence(views, moment)
    drafted = _text(codes.cid7002.ProcedureDescription, sentence)
    items: list[Dataset] = [
        CodeContentItem(codes.DCM.ProcedureReported, _PROCEDURE, relationship_type="HAS CONCEPT MOD"),
        *LanguageOfContentItemAndDescendants(_coded(_LANGUAGES[config.language])),
        *_observer(provenance),
        _section(SUMMARY, _text(SUMMARY, provenance.warning(cleared=config.cleared))),
        _section(FINDINGS, _text(codes.cid7002.Finding, text.findings)),
        _section(IMPRESSIONS, _text(codes.cid7002.Impression, text.impression)),
        _section(KEY_IMAGES, *(_image(film) for film in films)),
        _section(PROCEDURE_DESCRIPTIONS, *_algorithm(provenance), drafted),
    ]
    root.ContentSequence = Sequence(items)
    for element in root:
        draft.add(element)


def _observer(provenance: Provenance) -> abc.Sequence[Dataset]:
    """TID 1004: the reader is the observer; no person is. Its optional rows stand in Contributing Equipment."""
    device = DeviceObserverIdentifyingAttributes(
        uid=provenance.device_uid,
        name=f"{provenance.reader_name} {provenance.reader_version}",
    )
    observer: abc.Sequence[Dataset] = ObserverContext(_coded(codes.DCM.Device), device)
    return observer


def _algorithm(provenance: Provenance) -> abc.Sequence[Dataset]:
    """TID 4019 without its optional rows: viewers print each as a line, and the sentence beside it says the same."""
    algorithm: abc.Sequence[Dataset] = AlgorithmIdentification(provenance.reader_name, provenance.reader_version)
    return algorithm


def _section(heading: Code, *items: Dataset) -> ContainerContentItem:
    section = ContainerContentItem(name=heading, is_content_continuous=False, relationship_type="CONTAINS")
    section.ContentSequence = Sequence(items)
    return section


def _text(name: Code, text: str) -> TextContentItem:
    return TextContentItem(name=name, value=text.replace("\n", "\r\n"), relationship_type="CONTAINS")


def _image(film: Dataset) -> ImageContentItem:
    return ImageContentItem(
        codes.cid7003.BestIllustrationOfFinding,
        film.SOPClassUID,
        film.SOPInstanceUID,
        relationship_type="CONTAINS",
    )


def _coded(code: Code) -> CodedConcept:
    return CodedConcept(code.value, code.scheme_designator, code.meaning, code.scheme_version)
