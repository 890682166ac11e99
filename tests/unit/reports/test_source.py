"""What a report takes over from an image, and when it takes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement

from reports.charset import Charset, SourceUnusable
from reports.config import ReportsConfig
from reports.source import TYPE_2, normalize, of_one_study
from tests.unit.reports.films import CHARSETS, CONFIG, as_received, film, in_charset, item, ordered_cr

KOREAN_SITE = ReportsConfig(assume_charset="ISO 2022 IR 149")


def _with_bytes(keyword: str, value: bytes, **changes: Any) -> Dataset:
    """Put bytes of a device that declares another character set than it writes into a header."""
    header = as_received(film(**changes))
    element = header.get_item(keyword)
    assert isinstance(element, RawDataElement)
    header[element.tag] = element._replace(value=value, length=len(value))
    return header


@pytest.mark.parametrize("name", CHARSETS)
def test_name_arrives_in_unicode_whatever_the_character_set(name: str) -> None:
    header = in_charset(name)

    normal = normalize(header, CONFIG)

    assert (str(normal.PatientName), normal.SpecificCharacterSet) == (CHARSETS[name][1], "ISO_IR 192")


@pytest.mark.parametrize("spelling", ["ISO IR 101", "ISO-IR 101", "iso_ir 101", "ISO_IR_101"])
def test_sloppy_spelling_of_a_character_set_is_understood(spelling: str) -> None:
    assert Charset.declared([spelling]) == Charset.declared(["ISO_IR 101"])


def test_item_of_a_sequence_may_have_its_own_character_set() -> None:
    inner = item(SpecificCharacterSet="ISO_IR 144", RequestedProcedureDescription="Снимок")
    header = as_received(film(SpecificCharacterSet="ISO_IR 100", RequestAttributesSequence=[inner]))

    assert normalize(header, CONFIG).RequestAttributesSequence[0].RequestedProcedureDescription == "Снимок"


@pytest.mark.parametrize("keyword", [keyword for keyword in TYPE_2 if keyword != "PatientID"])
def test_absent_type_2_attribute_is_written_empty(keyword: str) -> None:
    normal = normalize(as_received(film(**{keyword: None})), CONFIG)

    assert str(normal[keyword].value) == ""


@pytest.mark.parametrize(
    ("sent", "kept"), [("F", "F"), ("m", "M"), ("o", "O"), ("U", ""), ("u", ""), ("", ""), ("X", ""), ("FEMALE", "")]
)
def test_sex_is_one_that_dicom_has(sent: str, kept: str) -> None:
    assert normalize(_with_bytes("PatientSex", sent.encode()), CONFIG).PatientSex == kept


def test_unknown_sex_may_be_configured_as_other() -> None:
    assert normalize(_with_bytes("PatientSex", b"U "), ReportsConfig(unknown_sex="O")).PatientSex == "O"


@pytest.mark.parametrize("sent", [b"19600000", b"1960.01.02", b"19600230", b"1960", b"19600102-19700102", b"unknown"])
def test_bad_birth_date_is_left_empty(sent: bytes) -> None:
    assert normalize(_with_bytes("PatientBirthDate", sent), CONFIG).PatientBirthDate == ""


@pytest.mark.parametrize("sent", [b"10:15:00", b"2500", b"101", b"now"])
def test_bad_study_time_is_left_empty(sent: bytes) -> None:
    assert normalize(_with_bytes("StudyTime", sent), CONFIG).StudyTime == ""


@pytest.mark.parametrize(
    ("keyword", "sent", "code"),
    [
        ("PatientID", b"  ", "no-patient-id"),
        ("PatientID", b"1\\2", "bad-patient-id"),
        ("PatientID", b"1\0002", "bad-patient-id"),
        ("PatientID", b"1" * 66, "bad-patient-id"),
        ("PatientName", b"A\x07^B", "bad-patient-name"),
        ("PatientName", b"A\x1b$)Q^B", "undecodable-text"),
        ("AccessionNumber", b"12345678901234567 ", "bad-accession-number"),
        ("StudyInstanceUID", b"", "no-study-instance-uid"),
        ("StudyInstanceUID", b"1.2.x", "no-study-instance-uid"),
        ("SOPInstanceUID", b"", "no-sop-instance-uid"),
    ],
)
def test_header_that_cannot_bind_a_report_is_refused(keyword: str, sent: bytes, code: str) -> None:
    header = _with_bytes(keyword, sent)

    with pytest.raises(SourceUnusable) as refused:
        normalize(header, CONFIG)

    assert refused.value.code == code


def test_unknown_character_set_is_refused() -> None:
    header = film(SpecificCharacterSet="KLINGON")

    with pytest.raises(SourceUnusable) as refused:
        normalize(header, CONFIG)

    assert refused.value.code == "unknown-character-set"


@pytest.mark.parametrize("declared", [None, "ISO_IR 6", ["", "ISO 2022 IR 149"]])
def test_undeclared_korean_bytes_are_refused_and_readable_with_the_site_setting(declared: object) -> None:
    korean = "홍^길동".encode("euc_kr")
    header = _with_bytes("PatientName", korean, SpecificCharacterSet=declared)

    with pytest.raises(SourceUnusable) as refused:
        normalize(header, CONFIG)

    assert refused.value.code == "undeclared-character-set"
    assert str(normalize(header, KOREAN_SITE).PatientName) == "홍^길동"


def test_undeclared_bytes_that_pydicom_has_read_as_latin_1_are_found_too() -> None:
    header = _with_bytes("PatientID", "환자1".encode("euc_kr"))
    assert not str(header.PatientID).isascii()  # the access decodes it

    with pytest.raises(SourceUnusable):
        normalize(header, CONFIG)

    assert normalize(header, KOREAN_SITE).PatientID == "환자1"


def test_bytes_outside_the_declared_character_set_are_refused() -> None:
    header = _with_bytes("PatientName", b"M\xfcster", SpecificCharacterSet="ISO_IR 192")

    with pytest.raises(SourceUnusable) as refused:
        normalize(header, CONFIG)

    assert refused.value.code == "undecodable-text"


@pytest.mark.parametrize("name", ["Onlyfamily", "A" * 70 + "^B", "Example^^^^", "Example^Film==映画", "^^^^"])
def test_unusual_names_are_kept_as_they_are(name: str) -> None:
    header = _with_bytes("PatientName", name.encode(), SpecificCharacterSet="ISO_IR 192")

    assert str(normalize(header, CONFIG).PatientName) == name


def test_private_elements_pixels_and_names_of_machines_stay_behind() -> None:
    header = ordered_cr()
    header.PixelData = b"\0\0"

    normal = normalize(header, CONFIG)

    assert not any(element.tag.is_private for element in normal.iterall())
    assert not {"PixelData", "StationName", "InstitutionName"} & set(normal.dir())


def test_issuers_and_time_zone_are_copied() -> None:
    normal = normalize(ordered_cr(), CONFIG)

    assert normal.IssuerOfPatientID == "HOSPITAL"
    assert normal.IssuerOfPatientIDQualifiersSequence[0].UniversalEntityID == "1.2.3"
    assert normal.IssuerOfAccessionNumberSequence[0].LocalNamespaceEntityID == "RIS"
    assert normal.TimezoneOffsetFromUTC == "+0900"


@pytest.mark.parametrize("sent", [b"+9:00", b"0900", b"+1500", b"-0000", b"+0960"])
def test_time_zone_of_another_form_is_not_copied(sent: bytes) -> None:
    header = _with_bytes("TimezoneOffsetFromUTC", sent, TimezoneOffsetFromUTC="+0900")

    assert "TimezoneOffsetFromUTC" not in normalize(header, CONFIG)


def test_issuer_that_cannot_be_copied_whole_is_refused() -> None:
    qualifiers = [item(UniversalEntityID="1.2\x07", UniversalEntityIDType="ISO")]

    with pytest.raises(SourceUnusable) as refused:
        normalize(film(IssuerOfPatientIDQualifiersSequence=qualifiers), CONFIG)

    assert refused.value.code == "bad-issuer"


def test_half_a_code_is_left_out() -> None:
    codes = [item(CodeValue="XR1", CodingSchemeDesignator="99HOSP"), item(CodeValue="X" * 17, CodeMeaning="y")]

    assert "ProcedureCodeSequence" not in normalize(film(ProcedureCodeSequence=codes), CONFIG)


def test_source_is_not_changed_and_normalizing_twice_changes_nothing() -> None:
    header = in_charset("korean")
    before = header.to_json()

    normal = normalize(header, CONFIG)

    assert header.to_json() == before
    assert normalize(normal, CONFIG) == normal


@pytest.mark.parametrize(
    ("keyword", "code"),
    [
        ("PatientID", "patients-differ"),
        ("IssuerOfPatientID", "patients-differ"),
        ("AccessionNumber", "accessions-differ"),
        ("StudyInstanceUID", "studies-differ"),
    ],
)
def test_images_of_two_patients_make_no_report(keyword: str, code: str) -> None:
    with pytest.raises(SourceUnusable) as refused:
        of_one_study([normalize(film(), CONFIG), normalize(film(**{keyword: "1.9"}), CONFIG)])

    assert refused.value.code == code


def test_refusals_name_no_value_of_the_patient() -> None:
    with pytest.raises(SourceUnusable) as refused:
        normalize(film(PatientID="SECRET\\ID"), CONFIG)

    assert "SECRET" not in str(refused.value)
