"""Taking documents back: a Key Object Selection (TID 2010) that names what was rejected, as IHE IOCM does.

A PACS that knows IOCM hides what is named; another one stores the note, and people see its words.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from datetime import datetime
from types import MappingProxyType
from typing import Final

from highdicom.sr import (
    CompositeContentItem,
    ContainerContentItem,
    DeviceObserverIdentifyingAttributes,
    ImageContentItem,
    ObserverContext,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes as standard
from pydicom.sr.coding import Code
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
)

from dicom_node.errors import WetreadError
from dicom_node.kinds import Kind, Stage
from dicom_node.uids import ROOT, root_of
from reports.config import ReportsConfig
from reports.objects import tree
from reports.objects.characters import settle_charset
from reports.objects.frame import (
    REJECTION_SERIES,
    content_uid,
    copy_equipment,
    copy_identity,
    evidence,
    local,
    series_number,
    series_uid,
    stamp,
)
from reports.text import clean

REJECTED_FOR_QUALITY: Final = Code("113001", "DCM", "Rejected for Quality Reasons")
REJECTED_FOR_SAFETY: Final = Code("113037", "DCM", "Rejected for Patient Safety Reasons")
DESCRIPTION: Final = Code("113012", "DCM", "Key Object Description")
WITHDRAWAL_SERIES: Final = "WITHDRAWN REPORTS"
TITLES: Final = MappingProxyType({Stage.REJECTION: REJECTED_FOR_QUALITY, Stage.WITHDRAWAL: REJECTED_FOR_SAFETY})
SERIES: Final = MappingProxyType({Stage.REJECTION: REJECTION_SERIES, Stage.WITHDRAWAL: WITHDRAWAL_SERIES})
# What is made here; nothing else may be taken back, an image of a device least of all.
TAKEN_BACK: Final = frozenset(
    {
        BasicTextSRStorage,
        Comprehensive3DSRStorage,
        ComprehensiveSRStorage,
        EncapsulatedPDFStorage,
        SecondaryCaptureImageStorage,
    }
)
_SHARED: Final = ("StudyInstanceUID", "PatientID", "IssuerOfPatientID", "PatientName", "AccessionNumber")


class CannotReject(WetreadError):
    """Documents cannot be taken back as asked; the sentence says why."""


def build_rejection(
    documents: Sequence[Dataset],
    *,
    safety: bool,
    words: str,
    at: datetime,
    number: int,
    config: ReportsConfig,
) -> Dataset:
    """Write the note that takes documents of ours back. Same arguments, same dataset, same UIDs.

    documents: structured reports, PDF or secondary captures of one study; identity and equipment are the first's.
    safety: for the patient's safety (another patient's report, say), else for quality, replacement or age.
    words: why, for people; without a patient's data. at: aware. number: Instance Number among the notes of this title.

    Raises CannotReject: nothing to take back, documents of several studies, patients or orders, no words.
    ValueError: a naive moment. TextRefused: words with bytes that are no characters.
    """
    _check(documents, words)
    first, stage = documents[0], Stage.WITHDRAWAL if safety else Stage.REJECTION
    note = Dataset()
    copy_identity(note, first)
    note.SOPClassUID = KeyObjectSelectionDocumentStorage
    note.Modality = "KO"
    note.SeriesInstanceUID = series_uid(
        first.StudyInstanceUID, KeyObjectSelectionDocumentStorage, stage, root=_root(documents, config)
    )
    note.SeriesNumber = series_number(Kind.KOS, stage, config)
    note.SeriesDescription = SERIES[stage]
    note.ReferencedPerformedProcedureStepSequence = []
    note.InstanceNumber = number
    copy_equipment(note, first)
    stamp(note, local(at, first, config))
    requests = next((one.ReferencedRequestSequence for one in documents if "ReferencedRequestSequence" in one), None)
    if requests is not None:
        note.ReferencedRequestSequence = deepcopy(requests)
    note.CurrentRequestedProcedureEvidenceSequence = evidence(documents)
    tree.grow(
        note,
        ContainerContentItem(name=tree.coded(TITLES[stage]), is_content_continuous=False, template_id="2010"),
        [*_observer(first), tree.text(DESCRIPTION, clean(words)), *(_taken_back(document) for document in documents)],
    )
    for item in note.ContentSequence:
        if "ReferencedSOPSequence" in item:
            del item.ConceptNameCodeSequence  # the template forbids it, and highdicom insists on it
    settle_charset(note, config)
    note.SOPInstanceUID = instance_uid(note)
    return note


def stage_of(note: Dataset) -> Stage:
    """Stage that a note claims by its title."""
    return Stage.WITHDRAWAL if tree.name_of(note)[0] == REJECTED_FOR_SAFETY.value else Stage.REJECTION


def instance_uid(note: Dataset) -> str:
    """SOP Instance UID that a note with this content has."""
    return content_uid(note, f"kos {stage_of(note)}")


def _root(documents: Sequence[Dataset], config: ReportsConfig) -> str:
    """That of what it takes back, which may be older than the setting: the check wants to see that it is ours."""
    roots = [root_of(tree.plain(document, "SOPInstanceUID")) for document in documents]
    return next((root for root in roots if root != ROOT), config.uid_root)


def _check(documents: Sequence[Dataset], words: str) -> None:
    if not documents:
        raise CannotReject("there is no document to take back")
    for keyword in _SHARED:
        if len({tree.plain(document, keyword) for document in documents}) != 1:
            raise CannotReject(f"the documents differ in {keyword}; one note takes back documents of one study only")
    if not {tree.plain(document, "SOPClassUID") for document in documents} <= TAKEN_BACK:
        raise CannotReject("only documents that were made here can be taken back")
    if len({tree.plain(document, "SOPInstanceUID") for document in documents}) != len(documents):
        raise CannotReject("a document is named twice")
    if not any(character.isalnum() for character in words):
        raise CannotReject("the note needs words that say why")


def _observer(document: Dataset) -> list[Dataset]:
    """TID 1002 with the device: the program that wrote the documents takes them back."""
    device = DeviceObserverIdentifyingAttributes(
        uid=document.DeviceUID, name=tree.plain(document, "ManufacturerModelName")
    )
    return list(ObserverContext(tree.coded(standard.DCM.Device), device))


def _taken_back(document: Dataset) -> Dataset:
    kind = ImageContentItem if document.SOPClassUID == SecondaryCaptureImageStorage else CompositeContentItem
    return kind(tree.coded(DESCRIPTION), document.SOPClassUID, document.SOPInstanceUID, relationship_type="CONTAINS")
