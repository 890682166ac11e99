"""`charset_mode = "source"`: objects in the character set of their film, unless that would lose a character."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread

from reports.charset import Charset
from reports.checks import check_document, check_draft, check_payload
from reports.checks.document import DocumentRefused
from reports.config import ReportsConfig
from reports.objects.encapsulated_pdf import build_pdf
from reports.objects.frame import encode
from reports.objects.key_object import build_rejection
from reports.objects.measurement import as_comprehensive, build_measurement_report
from reports.objects.signed import build_signed
from reports.objects.signer import Signature, Signer
from reports.text import DraftText, sections
from tests.unit.reports.films import CHARSETS, MOMENT, as_received, draft, film, in_charset
from tests.unit.reports.page.narratives import fonts

SOURCE = ReportsConfig(charset_mode="source")
PLAIN = sections("FINDINGS: The lungs are clear.\nIMPRESSION: No acute process.")
# pydicom writes the first without its escape sequences; the second declares nothing that could be kept.
IN_UTF_8 = {"chinese-2022", "ascii"}


def said(document: Dataset) -> str:
    value = document.SpecificCharacterSet
    return value if isinstance(value, str) else "\\".join(value)


@pytest.mark.parametrize("name", CHARSETS)
def test_character_set_of_the_film_is_kept_and_the_name_with_it(name: str) -> None:
    source = in_charset(name)

    document = draft(source, text=PLAIN, config=SOURCE)

    check_draft(document, [source], SOURCE)
    declared, person = CHARSETS[name]
    kept = "ISO_IR 192" if name in IN_UTF_8 else declared if isinstance(declared, str) else "\\".join(declared)
    read = dcmread(BytesIO(encode(document)))
    assert (said(read), str(read.PatientName)) == (kept, person)


def test_bytes_of_a_name_are_those_of_the_film() -> None:
    source = in_charset("korean")
    raw = source.get_item("PatientName").value
    assert isinstance(raw, bytes)

    assert raw.rstrip(b" ") in encode(draft(source, text=PLAIN, config=SOURCE))
    assert raw.rstrip(b" ") not in encode(draft(source, text=PLAIN))


@pytest.mark.parametrize("name", ["latin1", "korean", "japanese", "arabic"])
def test_text_that_the_character_set_lacks_goes_out_in_utf_8_and_nothing_is_replaced(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source, words = in_charset(name), sections("FINDINGS: “Clear” 🫁 ≤ 3 mm\nIMPRESSION: Нет.")

    document = draft(source, text=words, config=SOURCE)

    check_draft(document, [source], SOURCE)
    assert said(document) == "ISO_IR 192"
    assert "🫁" in encode(document).decode("utf-8", "ignore")
    logged = capsys.readouterr().out
    assert "charset-fallback" in logged
    assert CHARSETS[name][1] not in logged


def test_utf_8_is_written_unless_the_source_is_asked_for() -> None:
    assert said(draft(in_charset("latin1"), text=PLAIN)) == "ISO_IR 192"


def test_assumed_character_set_is_that_of_a_film_that_declares_none() -> None:
    config = ReportsConfig(charset_mode="source", assume_charset="ISO_IR 100")
    source = as_received(film(SpecificCharacterSet="ISO_IR 100", PatientName="Müster^Ärztin"))
    del source.SpecificCharacterSet

    document = draft(source, text=PLAIN, config=config)

    assert (said(document), str(document.PatientName)) == ("ISO_IR 100", "Müster^Ärztin")


def test_letters_that_only_pydicom_takes_for_the_default_repertoire_are_not_written_so() -> None:
    source = in_charset("korean", StudyDescription="Thorax")

    document = draft(source, text=sections("FINDINGS: é\nIMPRESSION: é"), config=SOURCE)

    assert said(document) == "ISO_IR 192"
    assert not Charset.declared(["", "ISO 2022 IR 149"]).carries("é")


def test_every_object_of_a_draft_has_its_character_set() -> None:
    master = draft(in_charset("korean"), text=PLAIN, config=SOURCE)
    signature = Signature(Signer("Reader^Rita", "Example Hospital"), MOMENT + timedelta(minutes=1))
    report = build_signed(
        master,
        DraftText("Clear.\nNormal.", "Normal."),
        [signature],
        number=1,
        not_before=MOMENT,
        config=SOURCE,
        predecessor=master,
    )
    first = build_measurement_report(master, (), config=SOURCE)
    note = build_rejection([master, first], safety=False, words="Not this one.", at=MOMENT, number=1, config=SOURCE)
    page = build_pdf(master, fonts=fonts(), config=SOURCE)

    for document in (report, first, as_comprehensive(first), note, page):
        stored = dcmread(BytesIO(encode(document)))
        assert (said(stored), str(stored.PatientName)) == ("\\ISO 2022 IR 149", CHARSETS["korean"][1])
    for document in (first, note, page):
        check_document(document, master, SOURCE)


def test_korean_lines_of_a_signed_report_are_written_so_that_a_strict_reader_gets_them() -> None:
    """Each line begins in the first character set anew (PS3.5 6.1.2.5.3), which pydicom does not write."""
    master = draft(in_charset("korean"), text=PLAIN, config=SOURCE)
    signature = Signature(Signer("홍^길동", "Example Hospital"), MOMENT + timedelta(minutes=1))
    words = DraftText("폐는 깨끗함.\n심장 정상.", "정상.")

    report = build_signed(master, words, [signature], number=1, not_before=MOMENT, config=SOURCE, predecessor=master)

    stored = dcmread(BytesIO(encode(report)))
    assert said(stored) == "ISO_IR 192"
    assert "심장 정상" in str(stored)


def test_stored_bytes_in_another_character_set_than_utf_8_pass_the_last_look() -> None:
    document = draft(in_charset("latin1"), text=PLAIN, config=SOURCE)

    check_payload(
        encode(document),
        study_instance_uid=document.StudyInstanceUID,
        patient_id="EX-0001",
        issuer_of_patient_id="",
        accession_number="ACC0001",
        sop_class_uid=document.SOPClassUID,
        sop_instance_uid=document.SOPInstanceUID,
    )


def test_legacy_character_set_is_refused_where_nobody_configured_it() -> None:
    source = in_charset("latin1")

    with pytest.raises(DocumentRefused, match="nothing else is configured"):
        check_draft(draft(source, text=PLAIN, config=SOURCE), [source], ReportsConfig())
