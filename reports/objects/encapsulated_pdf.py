"""The report as Encapsulated PDF (PS3.3 A.45.1), for places that show no structured reports."""

from __future__ import annotations

from datetime import UTC, datetime

from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from dicom_node.kinds import FINAL, Kind, Stage
from reports.config import ReportsConfig
from reports.objects import tree
from reports.objects.characters import settle_charset
from reports.objects.frame import (
    DRAFT_SERIES,
    FINAL_SERIES,
    NOTICE_SERIES,
    content_uid,
    copy_equipment,
    copy_identity,
    reference,
    series_number,
    series_uid,
)
from reports.page.fonts import Fonts
from reports.page.pdf import Paper, as_pdf
from reports.page.sheet import Sheet, compose

MIME = "application/pdf"
_STAMPS = ("InstanceCreationDate", "InstanceCreationTime", "ContentDate", "ContentTime")


def build_pdf(master: Dataset, *, fonts: Fonts, config: ReportsConfig, paper: Paper = Paper.A4) -> Dataset:
    """Make the PDF of a narrative of ours. Same narrative, same fonts and libraries: same dataset, same UID.

    Raises NotOurs: another kind of document; NotPrintable: a character without a font, or too long.
    """
    sheet = compose(master)
    document = frame(master, sheet, EncapsulatedPDFStorage, Kind.PDF, config)
    document.Modality = "DOC"
    document.InstanceNumber = master.InstanceNumber
    document.AcquisitionDateTime = ""
    document.SourceInstanceSequence = films_of(master)
    document.DocumentTitle = sheet.title if sheet.stage in FINAL else f"{sheet.status} - {sheet.title}"
    document.ConceptNameCodeSequence = master.ConceptNameCodeSequence
    document.VerificationFlag = "VERIFIED" if sheet.stage in FINAL else "UNVERIFIED"
    document.MIMETypeOfEncapsulatedDocument = MIME
    pdf = as_pdf(sheet, fonts=fonts, paper=paper, created=written_at(master))
    document.EncapsulatedDocumentLength = len(pdf)
    document.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    settle_charset(document, config)
    document.SOPInstanceUID = content_uid(document, f"pdf {side(sheet.stage)}")
    return document


def frame(master: Dataset, sheet: Sheet, sop_class_uid: str, kind: Kind, config: ReportsConfig) -> Dataset:
    """Make what a PDF and a capture have in common: whose it is, which program made it, a series of its own."""
    document = Dataset()
    copy_identity(document, master)
    copy_equipment(document, master)
    for keyword in _STAMPS:
        setattr(document, keyword, master[keyword].value)
    document.SOPClassUID = sop_class_uid
    document.SeriesInstanceUID = series_uid(master.StudyInstanceUID, sop_class_uid, sheet.stage, root=config.uid_root)
    document.SeriesNumber = series_number(kind, sheet.stage, config)
    document.SeriesDescription = series_description(sheet.stage)
    document.ConversionType = "SYN"
    document.BurnedInAnnotation = "YES"  # the patient's name stands in the pixels or on the page
    return document


def series_description(stage: Stage) -> str:
    """Series Description of a stage: what people read in the list of series."""
    return FINAL_SERIES if stage in FINAL else NOTICE_SERIES if stage is Stage.NOTICE else DRAFT_SERIES


def side(stage: Stage) -> str:
    """`draft`, `notice` or `final`: pages do not say in their elements how often they were signed."""
    return "final" if stage in FINAL else stage.value


def films_of(master: Dataset) -> list[Dataset]:
    """References to the images that the narrative was made from, the first one first."""
    references = [
        reference_ for item in tree.descendants(master) for reference_ in item.get("ReferencedSOPSequence") or []
    ]
    return [_again(one) for one in references]


def written_at(master: Dataset) -> datetime:
    """The narrative's own moment, for the dates inside the file; its zone is not in it, so none is claimed."""
    written = f"{tree.plain(master, 'ContentDate')}{tree.plain(master, 'ContentTime')}"
    return datetime.strptime(written[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def _again(item: Dataset) -> Dataset:
    film = Dataset()
    film.SOPClassUID, film.SOPInstanceUID = item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID
    return reference(film)
