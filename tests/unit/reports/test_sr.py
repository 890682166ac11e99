"""The draft as an object: identity from the source, flags, notice, evidence, and the same bytes every time."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicom_node.uids import derived_uid
from reports.config import ReportsConfig
from reports.objects.frame import NotEncodable, encode
from reports.provenance import NOTICE
from reports.text import sections
from tests.unit.reports.films import CONFIG, FILM, MOMENT, STUDY, draft, film, in_charset, ordered_cr, provenance


def _read(document: Dataset) -> Dataset:
    return dcmread(io.BytesIO(encode(document)))


def _section_texts(document: Dataset) -> dict[str, str]:
    return {
        item.ConceptNameCodeSequence[0].CodeMeaning: child.TextValue
        for item in document.ContentSequence
        if item.ValueType == "CONTAINER"
        for child in item.ContentSequence
        if "TextValue" in child
    }


def test_two_processes_write_the_same_bytes() -> None:
    program = (
        "import hashlib; from reports.objects.frame import encode;"
        "from tests.unit.reports.films import draft, ordered_cr;"
        "print(hashlib.sha256(encode(draft(ordered_cr()))).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            check=True,
            text=True,
        ).stdout.split()[-1]  # after the log
        for seed, zone in (("1", "UTC"), ("2", "Asia/Seoul"))
    }

    assert digests == {hashlib.sha256(encode(draft(ordered_cr()))).hexdigest()}


@pytest.mark.parametrize(
    "other",
    [
        {"text": sections("Other words.")},
        {"provenance": provenance(digest="f" * 64)},
        {"revision": 2},
        {"content_at": datetime(2025, 3, 1, 23, 30, 6, tzinfo=UTC)},
    ],
)
def test_other_content_has_another_uid_in_the_same_series(other: dict[str, object]) -> None:
    first, second = draft(), draft(**other)

    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID == second.SeriesInstanceUID


def test_uids_are_derived_and_the_file_names_the_same() -> None:
    document = _read(draft())

    assert document.SOPInstanceUID.startswith("2.25.")
    assert len(document.SOPInstanceUID) <= 64
    assert document.file_meta.MediaStorageSOPInstanceUID == document.SOPInstanceUID
    assert document.DeviceUID == derived_uid("device", provenance().digest)


def test_flags_say_draft_and_nobody_verified() -> None:
    document = draft()

    flags = ("CompletionFlag", "VerificationFlag", "PreliminaryFlag", "ContentQualification", "SeriesDescription")
    assert [document[flag].value for flag in flags] == [
        "PARTIAL",
        "UNVERIFIED",
        "PRELIMINARY",
        "RESEARCH",
        "AI DRAFT - NOT VERIFIED",
    ]
    assert "VerifyingObserverSequence" not in document


def test_product_is_claimed_only_where_configured() -> None:
    assert draft(config=ReportsConfig(cleared=True)).ContentQualification == "PRODUCT"


def test_notice_is_the_first_section_and_the_readers_own_stands_above_it() -> None:
    sections_in_order = list(_section_texts(draft()).items())

    heading, notice = sections_in_order[0]
    assert heading == "Summary"
    assert notice.split("\r\n")[:2] == ["DEMONSTRATION MODEL - DOES NOT SEE THE FILM", NOTICE]
    assert _section_texts(draft(provenance=provenance(notice="")))["Summary"].startswith(NOTICE)


def test_provenance_tells_people_what_was_read_and_how() -> None:
    told = _section_texts(draft())["Current Procedure Descriptions"]

    for words in ("CXR-LLaVA demo 1.0", "fp32", "greedy", "0123456789ab", "0.1.0", "2025-03-01", "DX PA", "no window"):
        assert words in told


def test_patient_study_and_order_are_those_of_the_source() -> None:
    source, document = ordered_cr(), draft(ordered_cr())

    for keyword in (
        "PatientID",
        "IssuerOfPatientID",
        "PatientName",
        "StudyInstanceUID",
        "StudyDate",
        "AccessionNumber",
    ):
        assert document[keyword].value == source[keyword].value
    assert document.IssuerOfPatientIDQualifiersSequence == source.IssuerOfPatientIDQualifiersSequence
    assert document.PerformedProcedureCodeSequence[0].CodeValue == "XR1"


def test_of_two_requested_procedures_the_first_is_named() -> None:
    (request,) = draft(ordered_cr()).ReferencedRequestSequence

    assert (request.RequestedProcedureID, request.AccessionNumber) == ("RP1", "ACC0001")
    assert request.FillerOrderNumberImagingServiceRequest == "FILL-9"


def test_absent_identifiers_stay_empty_and_today_is_never_invented() -> None:
    document = draft(film(AccessionNumber=None, StudyID=None, StudyDate=None, StudyTime=None))

    assert [document[name].value for name in ("AccessionNumber", "StudyID")] == ["", ""]
    assert not document.StudyDate
    assert not document.StudyTime
    assert document.ReferencedRequestSequence[0].AccessionNumber == ""


def test_content_moment_is_in_the_sources_time_zone() -> None:
    document = draft(ordered_cr())

    assert (document.ContentDate, document.ContentTime) == ("20250302", "083005")
    assert document.TimezoneOffsetFromUTC == "+0900"


def test_content_moment_is_in_the_configured_time_zone_where_the_source_has_none() -> None:
    document = draft(config=ReportsConfig(time_zone="America/New_York"))

    assert (document.ContentDate, document.ContentTime) == ("20250301", "183005")
    assert "TimezoneOffsetFromUTC" not in document


def test_evidence_holds_every_film_that_was_read_and_no_other() -> None:
    second = film(SOPInstanceUID=f"{STUDY}.2.1", SeriesInstanceUID=f"{STUDY}.2")
    unread = film(SOPInstanceUID=f"{STUDY}.3.1", SeriesInstanceUID=f"{STUDY}.3")
    document = draft(film(), unread, second, provenance=provenance(films=(FILM, f"{STUDY}.2.1")))

    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    assert [series.SeriesInstanceUID for series in study.ReferencedSeriesSequence] == [f"{STUDY}.1", f"{STUDY}.2"]


@pytest.mark.parametrize("films", [(), ("1.2.3",)])
def test_films_must_be_among_the_sources(films: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="films"):
        draft(provenance=provenance(films=films))


def test_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        draft(content_at=MOMENT.replace(tzinfo=None))


def test_no_private_element_no_machine_and_no_other_maker() -> None:
    written = encode(draft(ordered_cr()))

    for words in (b"private words", b"WORKSTATION", b"Example Hospital", b"ighdicom", b"pydicom", b"PYDICOM"):
        assert words not in written


def test_lost_character_is_an_error_and_no_question_mark() -> None:
    document = draft(in_charset("korean"))
    document.SpecificCharacterSet = "ISO_IR 100"

    with pytest.raises(NotEncodable):
        encode(document)


def test_configuration_names_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="character set"):
        ReportsConfig(assume_charset="EBCDIC")
    with pytest.raises(ValueError, match="time zone"):
        ReportsConfig(time_zone="Mars/Olympus")
    assert ReportsConfig(assume_charset="\\ISO 2022 IR 149") != CONFIG


def test_a_reader_that_does_not_see_claims_no_image() -> None:
    blind, seeing = provenance(), provenance(notice="")
    moment = datetime(2026, 11, 22, tzinfo=UTC)

    assert "no image was evaluated" in blind.warning(cleared=False)
    assert "from the image alone" not in blind.warning(cleared=False)
    assert "Attached: 1 image (DX PA). Not seen: this image, " in blind.sentence(["DX PA"], moment)
    assert "from the image alone" in seeing.warning(cleared=False)
    assert "Read: 1 image (DX PA). Not seen: prior examinations" in seeing.sentence(["DX PA"], moment)
