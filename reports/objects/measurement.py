"""The coded form of a report: TID 1500 in Comprehensive 3D SR, which IHE AIR asks for, or in Comprehensive SR.

Made from the narrative of the same stage; everything about patient, order, images, reader and signers comes from it.
A finding is one name with one value, `Pneumothorax = Absent`: many viewers print what stands directly below a heading
and drop what stands below that, so nothing that turns the sense around may stand there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Several
from types import MappingProxyType
from typing import Final

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    ContainerContentItem,
    DateContentItem,
    ImageContentItem,
    TextContentItem,
    TimeContentItem,
    UIDRefContentItem,
)
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes as standard
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage
from pydicom.valuerep import DA, TM

from dicom_node.errors import WetreadError
from dicom_node.kinds import Kind, Stage
from dicom_node.uids import ROOT, derived_uid, root_of, under
from reports import codes
from reports.config import ReportsConfig
from reports.findings import Finding, State
from reports.objects import tree
from reports.objects.basic_text import PROCEDURE
from reports.objects.characters import settle_charset
from reports.objects.content import Content, read_content
from reports.objects.frame import content_uid, copy_equipment, copy_identity, evidence, series_number, series_uid

TITLE: Final = Code("126000", "DCM", "Imaging Measurement Report")
IMAGE_LIBRARY: Final = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP: Final = Code("126200", "DCM", "Image Library Group")
MEASUREMENTS: Final = Code("126010", "DCM", "Imaging Measurements")
GROUP: Final = Code("125007", "DCM", "Measurement Group")
TRACKING_IDENTIFIER: Final = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID: Final = Code("112040", "DCM", "Tracking Unique Identifier")
SOURCE: Final = Code("260753009", "SCT", "Source")
# Names of the text rows. Not 121071 (Finding): viewers expect a code under that name and fail on a text.
NOTICE: Final = tree.SUMMARY
FINDINGS: Final = tree.FINDINGS
IMPRESSIONS: Final = tree.IMPRESSIONS
ADDENDUM: Final = tree.ADDENDUM
DETAILS: Final = Code("121106", "DCM", "Comment")

TRACKED: Final = "wetread chest findings"
SOP_CLASSES: Final = (Comprehensive3DSRStorage, ComprehensiveSRStorage)
COPIED: Final = (
    "InstanceCreationDate",
    "InstanceCreationTime",
    "ContentDate",
    "ContentTime",
    "InstanceNumber",
    "SeriesDescription",
    "CompletionFlag",
    "CompletionFlagDescription",
    "VerificationFlag",
    "PreliminaryFlag",
    "ContentQualification",
    "VerifyingObserverSequence",
    "ParticipantSequence",
    "ReferencedRequestSequence",
    "PerformedProcedureCodeSequence",
    "CurrentRequestedProcedureEvidenceSequence",
    "PertinentOtherEvidenceSequence",
)
_MODALITIES: Final = MappingProxyType(
    {
        "CR": standard.DCM.ComputedRadiography,
        "DX": standard.DCM.DigitalRadiography,
    }
)
_OF_THE_CLASS: Final = frozenset({"SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "PredecessorDocumentsSequence"})
_STRENGTH: Final = (State.ABSENT, State.UNCERTAIN, State.PRESENT)


class NothingToCode(WetreadError):
    """No coded report can be made from this document; the sentence says why."""


def build_measurement_report(
    master: Dataset,
    findings: Iterable[Finding],
    *,
    films: Several[Dataset] = (),
    config: ReportsConfig,
    sop_class: str = Comprehensive3DSRStorage,
    predecessor: Dataset | None = None,
) -> Dataset:
    """Write the coded report of a draft or of a verified report. Same arguments, same dataset, same UIDs.

    findings: what was found in the text of the master; a label that is not among them is not mentioned in the report.
    films: normalized headers of the images, for the image library; those that are not there are listed without details.
    predecessor: the coded report that this one replaces, where a destination has got it.

    Raises NothingToCode: a notice, another SOP class, a label without a code. NotOurs: not one of our narratives.
    """
    content = read_content(master)
    if content.stage is Stage.NOTICE:
        raise NothingToCode("a notice says nothing about the image; only drafts and reports have findings")
    if sop_class not in SOP_CLASSES:
        raise NothingToCode("TID 1500 is written in Comprehensive 3D SR or Comprehensive SR only")
    strongest = _by_concept(findings)
    report = _frame(master, content.stage, sop_class, config)
    if predecessor is not None:
        report.PredecessorDocumentsSequence = evidence([predecessor])
    context = (item for item in master.ContentSequence if tree.plain(item, "RelationshipType") == "HAS OBS CONTEXT")
    tree.grow(report, ContainerContentItem(tree.coded(TITLE), is_content_continuous=False, template_id="1500"), [])
    # Those of the master may come from a file: highdicom takes no such items, a plain sequence does.
    report.ContentSequence = Sequence(
        [
            *_language(master),
            *context,
            tree.code(standard.DCM.ProcedureReported, PROCEDURE, "HAS CONCEPT MOD"),
            _image_library(content, master, {str(film.SOPInstanceUID): film for film in films}),
            tree.section(MEASUREMENTS, _group(master, content, strongest, config.uid_root)),
        ]
    )
    if any(code.scheme_designator == codes.SCHEME for code, _ in strongest):
        report.CodingSchemeIdentificationSequence = [codes.scheme_identification()]
    settle_charset(report, config)
    return _named(report)


def as_comprehensive(document: Dataset, *, predecessor: Dataset | None = None) -> Dataset:
    """Write the same content as Comprehensive SR, for peers that refuse Comprehensive 3D SR; `document` stays as it is.

    predecessor: what this one replaces at that peer. Without it, that of `document` stays where it is a Comprehensive
    SR, which is then what the peer took in place of an older one; of the class that it refuses it has none.
    """
    report = Dataset({element.tag: element for element in document if element.keyword not in _OF_THE_CLASS})
    report.SOPClassUID = ComprehensiveSRStorage
    root = root_of(document.SeriesInstanceUID)
    report.SeriesInstanceUID = series_uid(
        document.StudyInstanceUID, ComprehensiveSRStorage, stage_of(document), root=root
    )
    if predecessor is not None:
        report.PredecessorDocumentsSequence = evidence([predecessor])
    elif _classes_before(document) == {ComprehensiveSRStorage}:
        report.PredecessorDocumentsSequence = document.PredecessorDocumentsSequence
    return _named(report)


def _classes_before(document: Dataset) -> set[str]:
    return {
        tree.plain(reference, "ReferencedSOPClassUID")
        for study in document.get("PredecessorDocumentsSequence") or []
        for series in study.get("ReferencedSeriesSequence") or []
        for reference in series.get("ReferencedSOPSequence") or []
    }


def tracking_uid(study_instance_uid: str, *, root: str = ROOT) -> str:
    """Tracking UID of a study's findings: the same in its drafts and in its reports."""
    return under(root, derived_uid("tracking", study_instance_uid, TRACKED))


def instance_uid(document: Dataset) -> str:
    """SOP Instance UID that a coded report with this content has."""
    return content_uid(document, f"tid1500 {stage_of(document)}")


def stage_of(document: Dataset) -> Stage:
    """Stage that a coded report claims; what is unreadable claims to be a draft."""
    if tree.plain(document, "VerificationFlag") != "VERIFIED":
        return Stage.DRAFT
    if any(tree.name_of(item)[0] == ADDENDUM.value for item in tree.descendants(document)):
        return Stage.ADDENDUM
    return Stage.COSIGNED if len(document.get("VerifyingObserverSequence") or []) > 1 else Stage.SIGNED


def _named(report: Dataset) -> Dataset:
    report.SOPInstanceUID = instance_uid(report)
    return report


def _by_concept(findings: Iterable[Finding]) -> list[tuple[Code, Finding]]:
    """One finding for each concept: labels of both sets share some. The strongest counts, first mentioned first."""
    strongest: dict[Code, Finding] = {}
    for finding in findings:
        row = codes.ROW_OF.get(finding.label)
        if row is None:
            raise NothingToCode("a label has no row in the table of codes; add one to reports/codes.py")
        known = strongest.get(row.code)
        if known is None or _STRENGTH.index(finding.state) > _STRENGTH.index(known.state):
            strongest[row.code] = finding
    return list(strongest.items())


def _frame(master: Dataset, stage: Stage, sop_class: str, config: ReportsConfig) -> Dataset:
    """Everything but the content."""
    report = Dataset()
    copy_identity(report, master)
    copy_equipment(report, master)
    report.SOPClassUID = sop_class
    report.Modality = "SR"
    report.SeriesInstanceUID = series_uid(master.StudyInstanceUID, sop_class, stage, root=config.uid_root)
    report.SeriesNumber = series_number(Kind.TID1500, stage, config)
    report.ReferencedPerformedProcedureStepSequence = []
    for keyword in COPIED:
        if keyword in master:
            setattr(report, keyword, master[keyword].value)
    return report


def _language(master: Dataset) -> Iterator[Dataset]:
    """TID 1204, as the master has it."""
    yield from (item for item in master.ContentSequence if tree.name_of(item) == ("121049", "DCM"))


def _image_library(content: Content, master: Dataset, films: dict[str, Dataset]) -> Dataset:
    """TID 1600 from what the master refers to; highdicom's own needs attributes that many CR and DX lack."""
    entries = [_entry(sop_class, uid, master, films.get(uid, Dataset())) for sop_class, uid in content.films]
    return tree.section(IMAGE_LIBRARY, tree.section(IMAGE_LIBRARY_GROUP, *entries))


def _entry(sop_class: str, uid: str, master: Dataset, film: Dataset) -> Dataset:
    """TID 1601 with those rows of TID 1602 that are known."""
    entry = _image(SOURCE, sop_class, uid)
    modality = _MODALITIES.get(tree.plain(film, "Modality") or codes.MODALITY_OF.get(sop_class, ""))
    details: list[Dataset] = []
    if modality is not None:
        details.append(tree.code(standard.DCM.Modality, modality, "HAS ACQ CONTEXT"))
    if date := tree.plain(master, "StudyDate"):
        details.append(DateContentItem(tree.coded(standard.DCM.StudyDate), DA(date), "HAS ACQ CONTEXT"))
        details[-1].Date = date  # highdicom leaves an object there that is no JSON
    if time := tree.plain(master, "StudyTime"):
        details.append(TimeContentItem(tree.coded(standard.DCM.StudyTime), TM(time), "HAS ACQ CONTEXT"))
        details[-1].Time = time
    entry.ContentSequence = Sequence(details)
    return entry


def _image(name: Code, sop_class: str, uid: str) -> ImageContentItem:
    return ImageContentItem(tree.coded(name), sop_class, uid, relationship_type="CONTAINS")


def _group(master: Dataset, content: Content, findings: list[tuple[Code, Finding]], root: str) -> Dataset:
    """TID 1501: who and where, the notice, then a line for each finding (row 11), the images (10b), the words (12)."""
    reader = master.ContributingEquipmentSequence[0]
    context = "HAS OBS CONTEXT"
    texts = [
        (FINDINGS, content.findings),
        (IMPRESSIONS, content.impression),
        *((ADDENDUM, words) for words in content.addenda),
        (DETAILS, _details(findings)),
    ]
    group = tree.section(
        GROUP,
        TextContentItem(tree.coded(TRACKING_IDENTIFIER), TRACKED, context),
        UIDRefContentItem(tree.coded(TRACKING_UID), tracking_uid(master.StudyInstanceUID, root=root), context),
        tree.code(codes.FINDING_SITE, codes.CHEST, "HAS CONCEPT MOD"),
        *AlgorithmIdentification(reader.ManufacturerModelName, reader.SoftwareVersions),
        *([tree.text(NOTICE, content.warning)] if content.warning else []),
        *(_evaluation(code, finding) for code, finding in findings),
        *(_image(SOURCE, *film) for film in content.films),
        *(tree.text(name, words) for name, words in texts if words),
    )
    group.ContentTemplateSequence = [_template("1501")]
    return group


def _template(identifier: str) -> Dataset:
    item = Dataset()
    item.MappingResource = "DCMR"
    item.TemplateIdentifier = identifier
    return item


def _evaluation(code: Code, finding: Finding) -> CodeContentItem:
    """Row 11. Site, side and severity stand below present findings only: whoever drops them still reads the truth."""
    item = tree.code(code, codes.STATES[finding.state])
    if finding.state is State.PRESENT:
        row = codes.ROW_OF[finding.label]
        site = ((codes.FINDING_SITE, row.site),) if row.needs_site else ()
        pairs = (*site, *codes.modifiers(finding.laterality, finding.severity))
        if pairs:
            item.ContentSequence = Sequence([tree.code(name, value, "HAS CONCEPT MOD") for name, value in pairs])
    return item


def _details(findings: list[tuple[Code, Finding]]) -> str:
    """Side and severity of the present findings once more, in words, where every viewer shows them; else empty."""
    lines = []
    for code, finding in findings:
        said = [value.value for value in (finding.severity, finding.laterality) if value is not None]
        if finding.state is State.PRESENT and said:
            lines.append(f"{code.meaning}: {', '.join(said)}.")
    return "\n".join(lines)
