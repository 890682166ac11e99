"""The draft as a DICOM object: Basic Text SR (PS3.3 A.35.1) with TID 2000 (PS3.16), and the notice that there is none.

highdicom makes the content items; its document classes are not used: they fail on common sources (Korean and
Japanese character sets, absent type 2 attributes), know no Basic Text SR, and write the wall clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from types import MappingProxyType

from highdicom.sr import (
    AlgorithmIdentification,
    ContainerContentItem,
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    ObserverContext,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import BasicTextSRStorage

from dicom_node.kinds import Kind, Stage
from dicom_node.uids import under
from reports.config import ReportsConfig
from reports.departures import departures, of_other_requests, request_of
from reports.objects import tree
from reports.objects.characters import settle_charset
from reports.objects.frame import (
    DRAFT_SERIES,
    NOTICE_SERIES,
    content_uid,
    copy_identity,
    evidence,
    local,
    series_number,
    series_uid,
    stamp,
)
from reports.provenance import Provenance
from reports.source import joined, normalize, of_one_study
from reports.text import DraftText

COMPLETION_FLAG_DESCRIPTION = "AI draft awaiting radiologist review"
NOTICE_FLAG_DESCRIPTION = "No AI draft"
TITLE = Code("18748-4", "LN", "Diagnostic Imaging Report")
PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
LANGUAGES = MappingProxyType({"en-US": Code("en-US", "RFC5646", "English (United States)")})


def build_draft(
    sources: Sequence[Dataset],
    text: DraftText,
    provenance: Provenance,
    *,
    revision: int,
    content_at: datetime,
    config: ReportsConfig,
    predecessor: Dataset | None = None,
) -> Dataset:
    """Write the draft of one study revision. Same arguments, same dataset, same UIDs.

    sources: headers of the study's images, as received; among them every one of `provenance.films`.
    revision: 1 for the first; Instance Number.
    content_at: aware; shown in the source's time zone where it names one, else in the configured one.
    predecessor: the draft of an older revision that this one replaces, where a destination has got it.

    Raises SourceUnusable; ValueError: a film that is not among the sources, a naive moment.
    """
    films, others = _films(sources, provenance, config)
    moment = local(content_at, films[0], config)
    draft = _unverified(films, provenance, Stage.DRAFT, revision, moment, config)
    if pertinent := of_other_requests(others, films[0]):
        draft.PertinentOtherEvidenceSequence = evidence(pertinent)
    if predecessor is not None:
        draft.PredecessorDocumentsSequence = evidence([predecessor])
    views = [" ".join(filter(None, (film.get("Modality"), film.get("ViewPosition")))) or "image" for film in films]
    first = films[0].SOPInstanceUID
    received = next(source for source in sources if joined(source.SOPInstanceUID).strip(" \0") == first)
    making = provenance.sentence(views, moment, departures(received, films[0]))
    drafted = tree.text(codes.cid7002.ProcedureDescription, making)
    sections = (
        tree.section(tree.SUMMARY, tree.text(tree.SUMMARY, provenance.warning(cleared=config.cleared))),
        tree.section(tree.FINDINGS, tree.text(codes.cid7002.Finding, text.findings)),
        tree.section(tree.IMPRESSIONS, tree.text(codes.cid7002.Impression, text.impression)),
        _key_images(films),
        tree.section(tree.PROCEDURE_DESCRIPTIONS, *_algorithm(provenance), drafted),
    )
    tree.grow(draft, root(), [*preamble(config.language), *device_observer(provenance, config), *sections])
    settle_charset(draft, config)
    draft.SOPInstanceUID = content_uid(draft, "draft")
    return draft


def build_notice(
    sources: Sequence[Dataset],
    reason: str,
    provenance: Provenance,
    *,
    revision: int,
    content_at: datetime,
    config: ReportsConfig,
) -> Dataset:
    """Write a document that says only why there is no draft, so that silence in a PACS is never ambiguous.

    reason: a sentence for radiologists, such as the explanation that the books hold; without a patient's data.

    Raises SourceUnusable; ValueError: a film that is not among the sources, a naive moment.
    """
    films, _ = _films(sources, provenance, config)
    moment = local(content_at, films[0], config)
    notice = _unverified(films, provenance, Stage.NOTICE, revision, moment, config)
    words = f"No AI draft: {reason}\nThis says nothing about what the image shows."
    sections = (tree.section(tree.SUMMARY, tree.text(tree.SUMMARY, words)), _key_images(films))
    tree.grow(notice, root(), [*preamble(config.language), *device_observer(provenance, config), *sections])
    settle_charset(notice, config)
    notice.SOPInstanceUID = content_uid(notice, "notice")
    return notice


def root() -> ContainerContentItem:
    """Make the root of TID 2000."""
    return ContainerContentItem(name=tree.coded(TITLE), is_content_continuous=False, template_id="2000")


def preamble(language: str) -> Iterable[Dataset]:
    """Rows of TID 2000 before the observers: what was done, and the language of the text."""
    yield tree.code(codes.DCM.ProcedureReported, PROCEDURE, "HAS CONCEPT MOD")
    yield from LanguageOfContentItemAndDescendants(tree.coded(LANGUAGES[language]))


def device_observer(provenance: Provenance, config: ReportsConfig) -> Iterable[Dataset]:
    """TID 1004: the reader is the observer; no person is. Its optional rows stand in Contributing Equipment."""
    device = DeviceObserverIdentifyingAttributes(
        uid=under(config.uid_root, provenance.device_uid),
        name=f"{provenance.reader_name} {provenance.reader_version}",
    )
    yield from ObserverContext(tree.coded(codes.DCM.Device), device)


def flag(document: Dataset, *, completion: str, description: str, verification: str, preliminary: str) -> None:
    """Set the flags of the SR Document General Module (PS3.3 C.17.2)."""
    document.CompletionFlag = completion
    document.CompletionFlagDescription = description
    document.VerificationFlag = verification
    document.PreliminaryFlag = preliminary


def _films(
    sources: Sequence[Dataset], provenance: Provenance, config: ReportsConfig
) -> tuple[list[Dataset], list[Dataset]]:
    """The normalized images that were read, in their order, and those that were not."""
    normal = [normalize(source, config) for source in sources]
    of_one_study(normal)
    known = {str(source.SOPInstanceUID): source for source in normal}
    if not provenance.films or not set(provenance.films) <= known.keys():
        raise ValueError("provenance.films must name at least one image, and only images among the sources")
    others = [source for uid, source in known.items() if uid not in provenance.films]
    return [known[uid] for uid in provenance.films], others


def _unverified(
    films: list[Dataset],
    provenance: Provenance,
    stage: Stage,
    revision: int,
    moment: datetime,
    config: ReportsConfig,
) -> Dataset:
    """Everything but the content of a document that no person answers for."""
    document = Dataset()
    copy_identity(document, films[0])
    _add_series(document, films[0], stage, revision, config)
    _add_equipment(document, provenance, config)
    stamp(document, moment)
    description = NOTICE_FLAG_DESCRIPTION if stage is Stage.NOTICE else COMPLETION_FLAG_DESCRIPTION
    flag(
        document,
        completion="PARTIAL",
        description=description,
        verification="UNVERIFIED",
        preliminary="PRELIMINARY",
    )
    document.ContentQualification = "PRODUCT" if config.cleared else "RESEARCH"
    document.ReferencedRequestSequence = [_request(films[0])]
    document.PerformedProcedureCodeSequence = films[0].get("ProcedureCodeSequence") or []
    document.CurrentRequestedProcedureEvidenceSequence = evidence(films)
    return document


def _add_series(document: Dataset, source: Dataset, stage: Stage, revision: int, config: ReportsConfig) -> None:
    """SR Document Series Module (PS3.3 C.17.1). Constant over all drafts of a study."""
    document.SOPClassUID = BasicTextSRStorage
    document.Modality = "SR"
    document.SeriesInstanceUID = series_uid(source.StudyInstanceUID, BasicTextSRStorage, stage, root=config.uid_root)
    document.SeriesNumber = series_number(Kind.BASIC_TEXT, stage, config)
    document.SeriesDescription = NOTICE_SERIES if stage is Stage.NOTICE else DRAFT_SERIES
    document.ReferencedPerformedProcedureStepSequence = []
    document.InstanceNumber = revision


def _add_equipment(document: Dataset, provenance: Provenance, config: ReportsConfig) -> None:
    """General Equipment is this program with this reader (the loop guard knows its Device UID), which contributed.

    Contributing Equipment does not repeat the Device UID: validators of 2022 call that a Standard Extended SOP Class.
    """
    document.Manufacturer = "wetread"
    document.ManufacturerModelName = "wetread"
    document.SoftwareVersions = provenance.software_version
    document.DeviceUID = under(config.uid_root, provenance.device_uid)
    reader = Dataset()
    reader.PurposeOfReferenceCodeSequence = [tree.coded(codes.DCM.ProcessingEquipment)]
    reader.Manufacturer = provenance.manufacturer
    reader.ManufacturerModelName = provenance.reader_name
    reader.SoftwareVersions = provenance.reader_version
    reader.DeviceSerialNumber = provenance.digest
    document.ContributingEquipmentSequence = [reader]


def _request(source: Dataset) -> Dataset:
    """Make the one item."""
    first = request_of(source)
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


def _key_images(films: Iterable[Dataset]) -> Dataset:
    best = codes.cid7003.BestIllustrationOfFinding
    return tree.section(tree.KEY_IMAGES, *(tree.image(best, film) for film in films))


def _algorithm(provenance: Provenance) -> Iterable[Dataset]:
    """TID 4019 without its optional rows: viewers print each as a line, and the sentence beside it says the same."""
    yield from AlgorithmIdentification(provenance.reader_name, provenance.reader_version)
