"""Rejections and withdrawals: what they name, and that they never name what was not made here."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from reports.checks import DocumentRefused, check_document, check_payload
from reports.objects import key_object, tree
from reports.objects.frame import encode
from reports.objects.key_object import CannotReject
from reports.text import TextRefused
from tests.unit.reports.coded import coded, note
from tests.unit.reports.films import (
    CHARSETS,
    CONFIG,
    MOMENT,
    STUDY,
    draft,
    film,
    in_charset,
    item,
    ordered_cr,
    provenance,
)
from tests.unit.reports.test_signed import signed


def _page(sop_class: str, number: int) -> Dataset:
    """A stand-in for a document in another form: what a note needs of it."""
    page = dcmread(io.BytesIO(encode(draft())))
    page.SOPClassUID = sop_class
    page.SOPInstanceUID = f"2.25.{number}"
    del page.ReferencedRequestSequence
    return page


def _references(made: Dataset) -> list[Dataset]:
    return [row for row in made.ContentSequence if "ReferencedSOPSequence" in row]


@pytest.mark.parametrize("name", CHARSETS)
def test_note_of_every_character_set_passes(name: str) -> None:
    document = draft(in_charset(name))

    check_document(note(document), document, CONFIG)


def test_rejection_and_withdrawal_have_their_titles_and_series() -> None:
    rejection, withdrawal = note(), note(safety=True)

    check_document(rejection, draft(), CONFIG)
    check_document(withdrawal, draft(), CONFIG)
    assert (tree.name_of(rejection)[0], tree.name_of(withdrawal)[0]) == ("113001", "113037")
    assert rejection.SeriesInstanceUID != withdrawal.SeriesInstanceUID
    assert rejection.Modality == "KO"
    assert (rejection.SeriesDescription, withdrawal.SeriesDescription) == ("REJECTED AI DRAFTS", "WITHDRAWN REPORTS")


def test_note_names_every_document_in_content_and_evidence() -> None:
    documents = (draft(), coded(), _page(EncapsulatedPDFStorage, 5), _page(SecondaryCaptureImageStorage, 6))
    made = note(*documents)

    check_document(made, documents[0], CONFIG)
    named = [row.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for row in _references(made)]
    assert named == [document.SOPInstanceUID for document in documents]
    assert [row.ValueType for row in _references(made)] == ["COMPOSITE", "COMPOSITE", "COMPOSITE", "IMAGE"]
    assert all("ConceptNameCodeSequence" not in row for row in _references(made))
    (study,) = made.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == STUDY


def test_note_has_the_identity_and_request_of_the_documents() -> None:
    document = draft(ordered_cr())
    made = note(document)

    check_document(made, document, CONFIG)
    assert made.ReferencedRequestSequence == document.ReferencedRequestSequence
    assert made.IssuerOfPatientID == "HOSPITAL"
    assert made.ContentTime == "083005"  # in the zone of the images


def test_words_are_kept_without_what_cannot_be_written() -> None:
    made = note(words="Wrong side.\n\u202eWrong\x00 film – “lateral”.")

    check_document(made, draft(), CONFIG)
    (said,) = [
        row.TextValue for row in made.ContentSequence if row.ValueType == "TEXT" and tree.name_of(row)[0] == "113012"
    ]
    assert said == "Wrong side.\r\nWrong film – “lateral”."


def test_signed_report_can_be_withdrawn() -> None:
    report = signed(draft())

    check_document(note(report, safety=True), report, CONFIG)


def test_same_words_make_the_same_bytes_and_others_another_uid() -> None:
    assert encode(note()) == encode(note())
    assert note().SOPInstanceUID != note(words="Another reason.").SOPInstanceUID
    assert note().SOPInstanceUID != note(number=2).SOPInstanceUID


def test_payload_of_a_note_passes() -> None:
    made = note(draft(ordered_cr()))

    check_payload(
        encode(made),
        study_instance_uid=STUDY,
        patient_id="EX-0001",
        issuer_of_patient_id="HOSPITAL",
        accession_number="ACC0001",
        sop_class_uid=made.SOPClassUID,
        sop_instance_uid=made.SOPInstanceUID,
    )


def _other(**changes: Any) -> Dataset:
    return draft(film(SOPInstanceUID="1.2.9", **changes), provenance=provenance(films=("1.2.9",)))


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: note(draft(), _other(StudyInstanceUID="1.2.3")),
        lambda: note(draft(), _other(PatientID="EX-0002")),
        lambda: note(draft(), _other(PatientName="Other^Name")),
        lambda: note(draft(), _other(IssuerOfPatientID="ELSEWHERE")),
        lambda: note(draft(), _other(AccessionNumber="ACC0002")),
        lambda: note(draft(), draft()),
        lambda: note(film()),
        lambda: note(words=" - "),
        lambda: key_object.build_rejection([], safety=False, words="Words.", at=MOMENT, number=1, config=CONFIG),
    ],
    ids=["study", "patient", "name", "issuer", "order", "twice", "an image", "no words", "nothing"],
)
def test_what_cannot_be_taken_back_is_refused(attempt: Callable[[], Dataset]) -> None:
    with pytest.raises(CannotReject) as refused:
        attempt()
    assert "EX-000" not in str(refused.value)


def test_words_of_lost_bytes_are_refused() -> None:
    with pytest.raises(TextRefused):
        note(words="Not \ufffd readable.")


def test_naive_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        note(at=MOMENT.replace(tzinfo=None))


def _a_film(made: Dataset) -> None:
    for reference in (
        _references(made)[0].ReferencedSOPSequence[0],
        made.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0],
    ):
        reference.ReferencedSOPClassUID = film().SOPClassUID


def _somebody_elses(made: Dataset) -> None:
    for reference in (
        _references(made)[0].ReferencedSOPSequence[0],
        made.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0],
    ):
        reference.ReferencedSOPInstanceUID = "1.2.3"


def _another(made: Dataset) -> None:
    for reference in (
        _references(made)[0].ReferencedSOPSequence[0],
        made.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0],
    ):
        reference.ReferencedSOPInstanceUID = "2.25.77"


def _named_reference(made: Dataset) -> None:
    _references(made)[0].ConceptNameCodeSequence = [
        item(CodeValue="113012", CodingSchemeDesignator="DCM", CodeMeaning="Key Object Description")
    ]


def _no_evidence_of_it(made: Dataset) -> None:
    del made.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]


def _no_words(made: Dataset) -> None:
    made.ContentSequence = [row for row in made.ContentSequence if tree.name_of(row)[0] != "113012"]


def _no_observer(made: Dataset) -> None:
    made.ContentSequence = [row for row in made.ContentSequence if row.ValueType != "UIDREF"]


def _other_title(made: Dataset) -> None:
    made.ConceptNameCodeSequence[0].CodeValue = "113000"


def _flag(made: Dataset) -> None:
    made.VerificationFlag = "UNVERIFIED"


def _modality(made: Dataset) -> None:
    made.Modality = "SR"


def _template(made: Dataset) -> None:
    del made.ContentTemplateSequence


def _image_type(made: Dataset) -> None:
    _references(made)[0].ValueType = "IMAGE"


def _description(made: Dataset) -> None:
    made.SeriesDescription = "AI DRAFT - NOT VERIFIED"


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (_a_film, "names an object that was not made here"),
        (_somebody_elses, "names an object that was not made here"),
        (_another, "the document that is taken back is not named"),
        (_named_reference, "a reference has a name"),
        (_no_evidence_of_it, "not those in the evidence"),
        (_no_words, "the words that say why are missing"),
        (_no_observer, "the device observer is missing"),
        (_other_title, "the title is neither"),
        (_flag, "VerificationFlag does not belong"),
        (_modality, "Modality is not KO"),
        (_template, "TID 2010"),
        (_image_type, "wrong value type"),
        (_description, "SeriesDescription is not"),
    ],
)
def test_spoiled_note_is_refused_by_name(spoil: Callable[[Dataset], None], problem: str) -> None:
    made = dcmread(io.BytesIO(encode(note())))

    spoil(made)
    made.SOPInstanceUID = key_object.instance_uid(made)

    with pytest.raises(DocumentRefused) as refused:
        check_document(made, draft(), CONFIG)
    assert any(problem in found for found in refused.value.problems)
    assert "SOPInstanceUID is not that of this content" not in refused.value.problems
