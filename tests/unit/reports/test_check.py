"""Each defect of a draft is refused by name, and no refusal tells who the patient is."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence

from reports.checks import DocumentRefused, check_draft, check_payload
from reports.config import ReportsConfig
from reports.objects.frame import encode
from tests.unit.reports.films import CHARSETS, CONFIG, STUDY, draft, film, in_charset, item, ordered_cr


def _plain(document: Dataset) -> Dataset:
    return dcmread(io.BytesIO(encode(document)))


def _set(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda document: setattr(document, keyword, value)


def _remove(keyword: str) -> Callable[[Dataset], None]:
    return lambda document: delattr(document, keyword)


def _drop_item(index: int) -> Callable[[Dataset], None]:
    return lambda document: document.ContentSequence.pop(index)


def _move_notice(document: Dataset) -> None:
    document.ContentSequence.append(document.ContentSequence.pop(5))


def _empty_findings(document: Dataset) -> None:
    document.ContentSequence[6].ContentSequence[0].TextValue = " "


def _add_number(document: Dataset) -> None:
    document.ContentSequence.append(item(RelationshipType="CONTAINS", ValueType="NUM"))


def _add_person(document: Dataset) -> None:
    name = [item(CodeValue="121008", CodingSchemeDesignator="DCM", CodeMeaning="Person Observer Name")]
    document.ContentSequence.append(item(ValueType="TEXT", TextValue="x", ConceptNameCodeSequence=name))


def _refer_elsewhere(document: Dataset) -> None:
    document.ContentSequence[8].ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def _second_request(document: Dataset) -> None:
    document.ReferencedRequestSequence.append(document.ReferencedRequestSequence[0])


def _other_order(document: Dataset) -> None:
    document.ReferencedRequestSequence[0].AccessionNumber = "OTHER"


def _private(document: Dataset) -> None:
    document.private_block(0x0029, "MAKER", create=True).add_new(1, "LO", "x")


def _control(document: Dataset) -> None:
    document.ContentSequence[6].ContentSequence[0].TextValue = "clear\x0b"


def _long_code(document: Dataset) -> None:
    document.ConceptNameCodeSequence[0].CodeMeaning = "x" * 65


def _other_words(document: Dataset) -> None:
    document.ContentSequence[6].ContentSequence[0].TextValue = "Large pneumothorax."


DEFECTS: dict[str, tuple[Callable[[Dataset], object], str]] = {
    "other patient": (_set("PatientID", "EX-0002"), "PatientID differs from the image"),
    "other issuer": (_set("IssuerOfPatientID", "OTHER"), "IssuerOfPatientID differs from the image"),
    "no issuer": (_remove("IssuerOfPatientIDQualifiersSequence"), "IssuerOfPatientIDQualifiersSequence differs"),
    "other name": (_set("PatientName", "Example^film"), "PatientName differs from the image"),
    "other birth date": (_set("PatientBirthDate", "19600103"), "PatientBirthDate differs"),
    "other sex": (_set("PatientSex", "M"), "PatientSex differs"),
    "other study": (_set("StudyInstanceUID", "1.2.3"), "StudyInstanceUID differs"),
    "other accession": (_set("AccessionNumber", "ACC0002"), "AccessionNumber differs"),
    "other study date": (_set("StudyDate", "20250302"), "StudyDate differs"),
    "no study id": (_remove("StudyID"), "StudyID differs"),
    "no time zone": (_remove("TimezoneOffsetFromUTC"), "TimezoneOffsetFromUTC differs"),
    "bad time zone": (_set("TimezoneOffsetFromUTC", "+9:00"), "TimezoneOffsetFromUTC has no valid form"),
    "complete": (_set("CompletionFlag", "COMPLETE"), "CompletionFlag is not PARTIAL"),
    "verified": (_set("VerificationFlag", "VERIFIED"), "VerificationFlag is not UNVERIFIED"),
    "no verification flag": (_remove("VerificationFlag"), "VerificationFlag is not UNVERIFIED"),
    "final": (_set("PreliminaryFlag", "FINAL"), "PreliminaryFlag is not PRELIMINARY"),
    "product": (_set("ContentQualification", "PRODUCT"), "PRODUCT is claimed without being configured"),
    "description": (_set("SeriesDescription", "Report"), "SeriesDescription is not"),
    "verifying observer": (_set("VerifyingObserverSequence", [Dataset()]), "VerifyingObserverSequence is present"),
    "predecessor": (_set("PredecessorDocumentsSequence", [Dataset()]), "the predecessor is of another study"),
    "foreign root": (_set("SOPInstanceUID", "1.2.3"), "SOPInstanceUID is not derived by us"),
    "other uid": (_set("SOPInstanceUID", "2.25.1"), "SOPInstanceUID is not that of this content"),
    "other series": (_set("SeriesInstanceUID", "2.25.1"), "SeriesInstanceUID is not that of the study's documents"),
    "other device": (_set("DeviceUID", "2.25.1"), "DeviceUID is not that of the reader"),
    "no equipment": (_remove("ContributingEquipmentSequence"), "digest is missing"),
    "other words": (_other_words, "SOPInstanceUID is not that of this content"),
    "legacy characters": (_set("SpecificCharacterSet", "ISO_IR 100"), "cannot be written without loss"),
    "no template": (_remove("ContentTemplateSequence"), "ContentTemplateSequence does not name TID 2000"),
    "no procedure": (_drop_item(0), "the procedure reported is missing"),
    "no language": (_drop_item(1), "the language is missing"),
    "no observer": (_drop_item(3), "the device observer is missing"),
    "no notice": (_drop_item(5), "the notice is not the first section"),
    "notice last": (_move_notice, "the notice is not the first section"),
    "no content": (_set("ContentSequence", Sequence()), "the notice is not the first section"),
    "empty findings": (_empty_findings, "the section Findings is missing or empty"),
    "no impression": (_drop_item(7), "the section Impressions is missing or empty"),
    "no image": (_drop_item(8), "no image is referenced"),
    "number": (_add_number, "value type that a draft does not have"),
    "person": (_add_person, "a person stands as observer"),
    "unlisted image": (_refer_elsewhere, "the images in the text are not those in the evidence"),
    "foreign image": (_refer_elsewhere, "not among the images of the study"),
    "no evidence": (_remove("CurrentRequestedProcedureEvidenceSequence"), "not exactly the draft's own study"),
    "two requests": (_second_request, "ReferencedRequestSequence does not have exactly one item"),
    "other order": (_other_order, "AccessionNumber of the request is not that of the study"),
    "private": (_private, "a private element is present"),
    "control character": (_control, "TextValue holds control characters"),
    "long code": (_long_code, "CodeMeaning is too long"),
    "date": (_set("ContentDate", ""), "ContentDate is no date"),
    "time": (_set("ContentTime", "2500"), "ContentTime is no time"),
}


@pytest.mark.parametrize("name", CHARSETS)
def test_draft_of_every_character_set_passes(name: str) -> None:
    check_draft(draft(in_charset(name)), [in_charset(name)], CONFIG)


def test_draft_that_was_written_and_read_passes() -> None:
    check_draft(_plain(draft(ordered_cr())), [ordered_cr()], CONFIG)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize("defect", DEFECTS)
def test_defect_is_refused_by_name(defect: str) -> None:
    document = _plain(draft(ordered_cr()))
    spoil, problem = DEFECTS[defect]

    spoil(document)

    with pytest.raises(DocumentRefused) as refused:
        check_draft(document, [ordered_cr()], CONFIG)
    assert any(problem in found for found in refused.value.problems)
    assert "EX-0001" not in str(refused.value)
    assert "Example" not in str(refused.value)


def test_second_image_of_another_patient_is_refused() -> None:
    other = film(PatientID="EX-0002", SOPInstanceUID=f"{STUDY}.2.1")

    with pytest.raises(DocumentRefused) as refused:
        check_draft(draft(), [film(), other], CONFIG)

    assert refused.value.problems == ("PatientID differs among the images",)


def test_product_passes_where_it_is_configured() -> None:
    cleared = ReportsConfig(cleared=True)

    check_draft(draft(config=cleared), [film()], cleared)


BOOKS = {
    "study_instance_uid": STUDY,
    "patient_id": "EX-0001",
    "issuer_of_patient_id": "HOSPITAL",
    "accession_number": "ACC0001",
    "sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.11",
}


def test_payload_passes_when_it_is_what_the_books_say() -> None:
    document = draft(ordered_cr())

    check_payload(encode(document), sop_instance_uid=document.SOPInstanceUID, **BOOKS)


@pytest.mark.parametrize("wrong", [*BOOKS, "sop_instance_uid"])
def test_payload_of_another_patient_study_or_object_is_refused(wrong: str) -> None:
    document = draft(ordered_cr())
    books = {**BOOKS, "sop_instance_uid": str(document.SOPInstanceUID), wrong: "1.2.3"}

    with pytest.raises(DocumentRefused) as refused:
        check_payload(encode(document), **books)

    assert len(refused.value.problems) == 1
    assert "books" in refused.value.problems[0]


@pytest.mark.parametrize("cut", [0, 100, 1000, -1, -2])
def test_damaged_payload_is_refused(cut: int) -> None:
    document = draft(ordered_cr())

    with pytest.raises(DocumentRefused):
        check_payload(encode(document)[:cut], sop_instance_uid=document.SOPInstanceUID, **BOOKS)


def test_payload_with_one_changed_letter_is_refused() -> None:
    document = draft(ordered_cr())
    changed = encode(document).replace(b"lungs are clear", b"lungs are ClEar")

    with pytest.raises(DocumentRefused) as refused:
        check_payload(changed, sop_instance_uid=document.SOPInstanceUID, **BOOKS)

    assert "SOPInstanceUID is not that of this content" in refused.value.problems
