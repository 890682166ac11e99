"""Encapsulated PDF and Secondary Capture: made from the narrative, alike in identity, refused when spoiled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from agent.imaging.gate import judge
from dicom_node.kinds import Stage
from reports.checks.document import IDENTITY
from reports.checks.elements import of_the_elements, of_the_encoding
from reports.checks.pages import against_the_master, of_a_capture, of_a_pdf
from reports.objects.content import NotOurs
from reports.objects.encapsulated_pdf import build_pdf
from reports.objects.frame import encode, series_uid
from reports.objects.secondary_capture import build_captures
from reports.page.picture import texts
from tests.unit.reports.films import CONFIG, FILM, STUDY, draft, film, in_charset, ordered_cr, provenance
from tests.unit.reports.page.narratives import every_stage, fonts, long_draft, signed

STAGES = every_stage()


def pdf(master: Dataset) -> Dataset:
    return build_pdf(master, fonts=fonts(), config=CONFIG)


def captures(master: Dataset) -> tuple[Dataset, ...]:
    return build_captures(master, fonts=fonts(), config=CONFIG)


def capture(master: Dataset) -> Dataset:
    return captures(master)[0]


@pytest.mark.parametrize("stage", STAGES)
def test_both_forms_of_every_stage_pass_their_checks(stage: str) -> None:
    master = STAGES[stage]

    for document, rules in ((pdf(master), of_a_pdf), (capture(master), of_a_capture)):
        single = Dataset({element.tag: element for element in document if element.keyword != "ImageType"})
        found = [*rules(document), *of_the_elements(single), *of_the_encoding(document)]
        assert [*found, *against_the_master(document, master)] == []


def test_identity_is_that_of_the_narrative_element_for_element() -> None:
    master = draft(ordered_cr())

    for document in (pdf(master), capture(master)):
        for keyword in IDENTITY:
            assert (keyword in document) == (keyword in master)
            assert document.get(keyword) == master.get(keyword)
        assert document.DeviceUID == master.DeviceUID


@pytest.mark.parametrize("charset", ["korean", "arabic", "chinese-gb18030", "japanese", "cyrillic"])
def test_names_in_other_scripts_are_kept_and_checked(charset: str) -> None:
    master = draft(in_charset(charset))
    document = pdf(master)

    assert document.PatientName == master.PatientName
    assert [*of_a_pdf(document)] == []


@pytest.mark.parametrize("patient_id", ["WWWW-" * 12, "fi-ffl-office", "A  B", "x_{y}|\"<&>'", "12 34" * 10])
def test_every_identifier_is_found_again_on_the_page(patient_id: str) -> None:
    assert [*of_a_pdf(pdf(draft(film(PatientID=patient_id))))] == []


def test_pdf_says_what_it_is_before_it_is_opened() -> None:
    draft_pdf, final_pdf = pdf(draft()), pdf(signed())

    assert draft_pdf.DocumentTitle == "AI-GENERATED DRAFT - NOT VERIFIED - Diagnostic Imaging Report"
    assert (draft_pdf.VerificationFlag, final_pdf.VerificationFlag) == ("UNVERIFIED", "VERIFIED")
    assert final_pdf.DocumentTitle == "Diagnostic Imaging Report"
    assert (draft_pdf.Modality, draft_pdf.MIMETypeOfEncapsulatedDocument) == ("DOC", "application/pdf")
    assert draft_pdf.ConceptNameCodeSequence[0].CodeValue == "18748-4"


def test_length_is_that_of_the_pdf_without_padding() -> None:
    lengths = set()
    for number in range(8):
        document = pdf(draft(film(StudyID="9" * number)))
        stored = document.EncapsulatedDocument
        assert len(stored) % 2 == 0
        assert stored[: document.EncapsulatedDocumentLength].endswith(b"%%EOF\n")
        lengths.add(document.EncapsulatedDocumentLength % 2)
    assert lengths == {0, 1}


def test_series_and_uids_are_derived_from_study_class_stage_and_content() -> None:
    first, other, final = pdf(draft()), pdf(draft(revision=2)), pdf(signed())

    assert first.SeriesInstanceUID == series_uid(STUDY, EncapsulatedPDFStorage, Stage.DRAFT)
    assert first.SeriesInstanceUID == other.SeriesInstanceUID != final.SeriesInstanceUID
    assert len({first.SOPInstanceUID, other.SOPInstanceUID, final.SOPInstanceUID}) == 3
    assert capture(draft()).SeriesInstanceUID == series_uid(STUDY, SecondaryCaptureImageStorage, Stage.DRAFT)
    numbers = {document.SeriesNumber for document in (first, final, capture(draft()), capture(signed()))}
    assert len(numbers) == 4


def test_same_narrative_gives_the_same_bytes() -> None:
    assert encode(pdf(draft())) == encode(pdf(draft()))
    assert encode(capture(draft())) == encode(capture(draft()))


def test_every_film_is_a_source() -> None:
    second = f"{STUDY}.2.1"
    master = draft(film(), film(SOPInstanceUID=second), provenance=provenance(films=(FILM, second)))

    for sources in (pdf(master).SourceInstanceSequence, capture(master).SourceImageSequence):
        assert [one.ReferencedSOPInstanceUID for one in sources] == [FILM, second]


def test_each_page_is_a_picture_of_its_own_with_the_banner_in_its_pixels() -> None:
    pages = captures(long_draft())

    assert [page.InstanceNumber for page in pages] == [101, 102, 103]
    assert len({page.SOPInstanceUID for page in pages}) == 3
    for page in pages:
        pixels = np.frombuffer(page.PixelData, np.uint8).reshape(page.Rows, page.Columns)
        assert np.count_nonzero((pixels[:300] < 100).mean(axis=1) > 0.5) > 60
        assert (page.Rows, page.Columns) == (1754, 1240)
        assert [*of_a_capture(page)] == []


def test_picture_is_never_taken_for_a_film() -> None:
    page = capture(draft())

    assert judge(page, received=date(2026, 11, 22)).decision != "read"
    assert (page.Modality, page.ImageType[:2], page.BurnedInAnnotation) == ("OT", ["DERIVED", "SECONDARY"], "YES")
    assert page.SeriesDescription == "AI DRAFT - NOT VERIFIED"
    assert "not a film" in page.ImageComments


def test_what_is_no_narrative_has_no_pages() -> None:
    with pytest.raises(NotOurs):
        pdf(film())


def _other_series(document: Dataset) -> None:
    document.SeriesInstanceUID = "2.25.1"


def _other_content(document: Dataset) -> None:
    document.PatientSex = "M"


def _verified(document: Dataset) -> None:
    document.VerificationFlag = "VERIFIED"


def _untitled(document: Dataset) -> None:
    document.DocumentTitle = "Diagnostic Imaging Report"


def _another_patient(document: Dataset) -> None:
    document.PatientID = "EX-0002"


def _final_pages(document: Dataset) -> None:
    document.EncapsulatedDocument = pdf(signed()).EncapsulatedDocument
    document.EncapsulatedDocumentLength = pdf(signed()).EncapsulatedDocumentLength


def _no_pdf(document: Dataset) -> None:
    document.EncapsulatedDocument = b"words and more"
    document.EncapsulatedDocumentLength = 14


def _longer(document: Dataset) -> None:
    document.EncapsulatedDocumentLength += 2


def _acting(document: Dataset) -> None:
    document.EncapsulatedDocument += b"/JavaScript "
    document.EncapsulatedDocumentLength = len(document.EncapsulatedDocument)


def _no_source(document: Dataset) -> None:
    document.SourceInstanceSequence = []


def _clean(document: Dataset) -> None:
    document.BurnedInAnnotation = "NO"


def _no_device(document: Dataset) -> None:
    document.DeviceUID = "2.25.7"


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (_other_series, "SeriesInstanceUID is not that"),
        (_other_content, "SOPInstanceUID is not that of this content"),
        (_verified, "SeriesDescription is not REPORT - VERIFIED"),
        (_verified, "the notice of a draft stands in a verified report"),
        (_untitled, "DocumentTitle does not say"),
        (_another_patient, "PatientID does not stand on every page"),
        (_final_pages, "a page lacks the notice"),
        (_no_pdf, "the document is no PDF"),
        (_longer, "EncapsulatedDocumentLength is not that of the PDF"),
        (_acting, "something that acts"),
        (_no_source, "names no image"),
        (_clean, "BurnedInAnnotation is not YES"),
        (_no_device, "DeviceUID is not that of the reader"),
    ],
)
def test_spoiled_pdf_is_refused_by_name(spoil: Callable[[Dataset], None], problem: str) -> None:
    document = pdf(draft())

    spoil(document)

    assert any(problem in found for found in of_a_pdf(document))


def _white(page: Dataset) -> None:
    page.PixelData = b"\xff" * len(page.PixelData)


def _cut(page: Dataset) -> None:
    page.PixelData = page.PixelData[:-2]


def _as_radiograph(page: Dataset) -> None:
    page.Modality = "DX"


def _as_pa(page: Dataset) -> None:
    page.ViewPosition = "PA"


def _as_original(page: Dataset) -> None:
    page.ImageType = ["ORIGINAL", "PRIMARY"]


def _as_final(page: Dataset) -> None:
    page.SeriesDescription = "REPORT - VERIFIED"


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (_white, "the banner is not burnt into the pixels"),
        (_cut, "the pixels are not as many"),
        (_as_radiograph, "Modality is not OT"),
        (_as_pa, "elements of a film"),
        (_as_original, "ImageType is not DERIVED"),
        (_as_final, "the banner of a draft stands in the pixels"),
        (_clean, "BurnedInAnnotation is not YES"),
        (_other_content, "SOPInstanceUID is not that of this content"),
    ],
)
def test_spoiled_picture_is_refused_by_name(spoil: Callable[[Dataset], None], problem: str) -> None:
    page = capture(draft())

    spoil(page)

    assert any(problem in found for found in of_a_capture(page))


def test_pages_of_another_narrative_are_noticed() -> None:
    document = pdf(draft())
    other = draft(film(SOPInstanceUID=f"{STUDY}.9"), provenance=provenance(films=(f"{STUDY}.9",)))

    assert [*against_the_master(document, other)] == [
        "the images are not those of the narrative",
        "a page does not name the narrative",
    ]
    assert "the stage is not that of the narrative" in [*against_the_master(document, signed())]


def test_text_of_the_pdf_in_the_object_is_that_of_the_file() -> None:
    (page,) = texts(pdf(draft()).EncapsulatedDocument)

    assert "The lungs are clear." in page
