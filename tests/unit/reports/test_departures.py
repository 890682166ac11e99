"""What a report leaves out of its film's header, or writes in its place, is logged by code and said in its words."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from reports.checks import check_document, check_draft
from reports.checks.document import DocumentRefused
from reports.config import ReportsConfig
from reports.objects.content import read_content
from reports.objects.frame import evidence
from tests.unit.reports.coded import coded
from tests.unit.reports.films import CONFIG, FILM, STUDY, as_received, draft, film, item, ordered_cr, provenance
from tests.unit.reports.test_signed import signed


def requested(*ids: str, **changes: object) -> list[Dataset]:
    return [item(RequestedProcedureID=one, RequestedProcedureDescription=f"Chest {one}", **changes) for one in ids]


def making(document: Dataset) -> str:
    return read_content(document).making


# --- case 4: sex that DICOM lacks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", ["U", "X", "UNKNOWN"])
def test_sex_that_dicom_lacks_is_left_out_logged_by_code_and_said(
    sent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = as_received(film(PatientSex=sent))

    document = draft(source)

    logged = capsys.readouterr().out
    assert document.PatientSex == ""
    assert "Not as in the image: Patient's Sex is none that DICOM has and is left empty." in making(document)
    assert "sex-left-out" in logged
    assert "EX-0001" not in logged
    assert "Example" not in logged


def test_sex_that_is_written_as_other_is_said_too(capsys: pytest.CaptureFixture[str]) -> None:
    document = draft(as_received(film(PatientSex="X")), config=ReportsConfig(unknown_sex="O"))

    assert document.PatientSex == "O"
    assert "is written as O" in making(document)
    assert "sex-written-as-other" in capsys.readouterr().out


def test_study_id_that_is_not_the_images_is_refused_where_nobody_configured_it() -> None:
    source = film(StudyID=None)

    with pytest.raises(DocumentRefused, match="StudyID differs from the image"):
        check_draft(draft(source, config=ReportsConfig(study_id_from_accession=True)), [source], CONFIG)


def test_header_with_a_padded_uid_is_found_again() -> None:
    source = film(PatientSex="F")
    source["SOPInstanceUID"]._value = f"{FILM} "  # as a lenient reader leaves it

    assert draft(source).CurrentRequestedProcedureEvidenceSequence == draft().CurrentRequestedProcedureEvidenceSequence


def test_nothing_is_said_of_a_header_that_is_taken_over_whole() -> None:
    assert "Not as in the image" not in making(draft())
    assert "Not as in the image" not in making(draft(as_received(film(PatientSex="m"))))


# --- case 7: Study ID -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("of_film", "written"), [(None, "ACC0001"), ("", "ACC0001"), ("17", "17")])
def test_absent_study_id_may_be_configured_to_be_the_accession_number(of_film: str | None, written: str) -> None:
    source, config = film(StudyID=of_film), ReportsConfig(study_id_from_accession=True)

    document = draft(source, config=config)

    check_draft(document, [source], config)
    assert (document.StudyID, document.AccessionNumber) == (written, "ACC0001")


# --- case 10: images that were not read -------------------------------------------------------------------------------


def unread(number: int, **changes: object) -> Dataset:
    return film(SOPInstanceUID=f"{STUDY}.{number}.1", SeriesInstanceUID=f"{STUDY}.{number}", **changes)


def test_image_of_another_procedure_is_pertinent_evidence_and_one_of_the_same_is_none() -> None:
    """PS3.3 C.17.2.3: a draft lists what it refers to; other evidence is of other requested procedures only."""
    read = film(RequestAttributesSequence=requested("RP1"))
    sources = [
        read,
        unread(2, RequestAttributesSequence=requested("RP1")),
        unread(3, RequestAttributesSequence=requested("RP2")),
        unread(4),
    ]

    document = draft(*sources)

    check_draft(document, sources, CONFIG)
    assert document.CurrentRequestedProcedureEvidenceSequence == evidence([read])
    assert document.PertinentOtherEvidenceSequence == evidence([sources[2]])


def test_all_reports_of_a_study_have_the_same_other_evidence() -> None:
    sources = [
        film(RequestAttributesSequence=requested("RP1")),
        unread(3, RequestAttributesSequence=requested("RP2")),
    ]
    master = draft(*sources)
    others = master.PertinentOtherEvidenceSequence

    report = signed(master)
    check_document(report, master, CONFIG)
    for document, narrative in ((coded(master), master), (coded(report, ()), report)):
        check_document(document, narrative, CONFIG)
        assert document.PertinentOtherEvidenceSequence == report.PertinentOtherEvidenceSequence == others


def test_no_other_evidence_where_all_images_are_of_one_procedure() -> None:
    assert "PertinentOtherEvidenceSequence" not in draft(film(), unread(2), provenance=provenance(films=(FILM,)))


def test_image_in_both_kinds_of_evidence_is_refused() -> None:
    source = film()
    document = draft(source)
    document.PertinentOtherEvidenceSequence = document.CurrentRequestedProcedureEvidenceSequence

    with pytest.raises(DocumentRefused, match="both kinds of evidence"):
        check_draft(document, [source], CONFIG)


# --- case 12: two requested procedures --------------------------------------------------------------------------------


def test_second_requested_procedure_is_logged_and_named_where_the_draft_says_how_it_was_made(
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = draft(ordered_cr())

    logged = capsys.readouterr().out
    assert "of 2 requested procedures RP1 Chest AP is named, not RP2 Chest lateral." in making(document)
    assert "request-left-out" in logged
    assert "RP2" not in logged


def test_requested_procedure_of_the_accession_number_is_named() -> None:
    requests = [*requested("RP1", AccessionNumber="OTHER"), *requested("RP2", AccessionNumber="ACC0001")]

    document = draft(as_received(film(RequestAttributesSequence=requests)))

    assert [one.RequestedProcedureID for one in document.ReferencedRequestSequence] == ["RP2"]
    assert "RP2 Chest RP2 is named, not RP1 Chest RP1" in making(document)


def test_request_with_an_accession_number_that_is_none_does_not_hold_the_study() -> None:
    requests = [*requested("RP1"), *requested("RP2", AccessionNumber="A" * 40)]

    document = draft(as_received(film(RequestAttributesSequence=requests)))

    assert document.ReferencedRequestSequence[0].RequestedProcedureID == "RP1"


# --- two films --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keyword", ["StudyTime", "StudyDate", "StudyID"])
def test_second_film_may_have_been_taken_under_another_time(keyword: str) -> None:
    sources = [film(), unread(2, **{keyword: "102000" if keyword == "StudyTime" else "20250302"})]
    document = draft(*sources, provenance=provenance(films=(FILM, f"{STUDY}.2.1")))

    check_draft(document, sources, CONFIG)
    assert document[keyword].value == sources[0][keyword].value
    setattr(document, keyword, "")
    with pytest.raises(DocumentRefused, match=f"{keyword} differs from the image"):
        check_draft(document, sources, CONFIG)


@pytest.mark.parametrize("keyword", ["PatientName", "PatientBirthDate"])
def test_second_film_may_not_be_of_a_patient_of_another_name_or_age(keyword: str) -> None:
    sources = [film(), unread(2, **{keyword: "19700102"})]
    document = draft(*sources, provenance=provenance(films=(FILM, f"{STUDY}.2.1")))

    with pytest.raises(DocumentRefused, match=f"{keyword} differs from the image"):
        check_draft(document, sources, CONFIG)
