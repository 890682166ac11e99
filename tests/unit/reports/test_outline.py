"""Reports of any maker as outlines, and what differs between two of them."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ComprehensiveSRStorage, DeflatedExplicitVRLittleEndian, EncapsulatedPDFStorage

from dicom_node.kinds import Stage
from reports.comparison import compare
from reports.objects.frame import encode
from reports.outline import DEEPEST, MOST_ITEMS, NoReport, outline, read_report
from reports.page.foreign import compose_any
from reports.render import as_json, as_text
from tests.unit.reports.films import draft, film, in_charset, item, text
from tests.unit.reports.test_signed import EDITED, signed


def _named(meaning: str, **values: Any) -> Dataset:
    name = item(CodeValue="1", CodingSchemeDesignator="99X", CodeMeaning=meaning)
    return item(ConceptNameCodeSequence=[name], **values)


def foreign() -> Dataset:
    """A measurement report as another maker might write it."""
    unit = item(CodeValue="mm", CodingSchemeDesignator="UCUM", CodeMeaning="millimeter")
    measured = [item(NumericValue="12.5", MeasurementUnitsCodeSequence=[unit])]
    document: Dataset = _named(
        "Imaging Report",
        SOPClassUID=ComprehensiveSRStorage,
        SOPInstanceUID="1.2.3.4",
        StudyInstanceUID="1.2.3",
        PatientName="Other^Maker",
        CompletionFlag="COMPLETE",
        VerificationFlag="VERIFIED",
        ValueType="CONTAINER",
    )
    size = _named("Diameter", ValueType="NUM", RelationshipType="CONTAINS", MeasuredValueSequence=measured)
    lesion = _named("Lesion", ValueType="CONTAINER", RelationshipType="CONTAINS", ContentSequence=[size])
    seen_by = _named("Person Observer Name", ValueType="PNAME", RelationshipType="HAS OBS CONTEXT", PersonName="A^B")
    back = item(RelationshipType="SELECTED FROM", ReferencedContentItemIdentifier=[1, 2])
    document.ContentSequence = [
        seen_by,
        _named("Measurements", ValueType="CONTAINER", RelationshipType="CONTAINS", ContentSequence=[lesion, back]),
    ]
    return document


def test_items_of_another_maker_are_shown_with_their_names_units_and_depth() -> None:
    shown = as_text(foreign())

    assert shown.startswith("Imaging Report | COMPLETE | VERIFIED | ? | ?\n")
    assert "MEASUREMENTS" in shown
    assert "    Diameter: 12.5 mm" in shown
    assert "see item 1.2" in shown
    assert "A^B" not in shown  # context stands in the JSON form only
    assert "A^B" in str(as_json(foreign()))


def test_modifier_that_inverts_a_finding_stands_below_it() -> None:
    document = foreign()
    language = _named("Language", ValueType="CODE", RelationshipType="HAS CONCEPT MOD")
    language.ConceptCodeSequence = [item(CodeValue="en", CodingSchemeDesignator="RFC5646", CodeMeaning="English")]
    absent = _named("Presence findings", ValueType="CODE", RelationshipType="HAS CONCEPT MOD")
    absent.ConceptCodeSequence = [item(CodeValue="2", CodingSchemeDesignator="99X", CodeMeaning="Absent")]
    finding = _named("Finding", ValueType="CODE", RelationshipType="CONTAINS", ContentSequence=[absent])
    finding.ConceptCodeSequence = [item(CodeValue="3", CodingSchemeDesignator="99X", CodeMeaning="Pneumothorax")]
    document.ContentSequence[1].ContentSequence.append(finding)
    document.ContentSequence.insert(0, language)

    assert "  Finding: Pneumothorax\n    Presence findings: Absent\n" in as_text(document)
    (section,) = compose_any(document).sections
    assert section.text.endswith("Finding: Pneumothorax\n\u2003Presence findings: Absent")
    assert "English" not in as_text(document) + section.text


def test_report_of_another_maker_is_laid_out_by_its_sections() -> None:
    sheet = compose_any(foreign())

    assert (sheet.stage, sheet.status, sheet.banner) == (Stage.SIGNED, "VERIFIED", ())
    assert [section.heading for section in sheet.sections] == ["Measurements"]
    unverified = foreign()
    unverified.VerificationFlag = "UNVERIFIED"
    assert compose_any(unverified).banner == ("NOT VERIFIED",)


def test_our_own_report_keeps_its_own_layout() -> None:
    assert compose_any(draft()).stage is Stage.DRAFT
    assert "AI-GENERATED DRAFT - NOT VERIFIED" in compose_any(draft()).banner


def test_endless_depth_and_width_are_cut_and_say_so() -> None:
    deep = foreign()
    innermost = deep
    for _ in range(2000):
        child = _named("Level", ValueType="CONTAINER", RelationshipType="CONTAINS")
        innermost.ContentSequence = [child]
        innermost = child
    wide = foreign()
    wide.ContentSequence = [_named("Word", ValueType="TEXT", TextValue="x") for _ in range(MOST_ITEMS + 10)]

    assert outline(deep).cut
    assert max(line.depth for line in outline(deep).lines) == DEEPEST
    assert outline(wide).cut
    assert len(outline(wide).lines) == MOST_ITEMS
    assert "There is more than is shown" in as_text(wide)


def test_items_without_anything_are_shown_all_the_same() -> None:
    broken = foreign()
    broken.ContentSequence = [Dataset(), item(ValueType="NUM"), item(ValueType="IMAGE"), item(ValueType="NEW TYPE")]

    assert [line.value for line in outline(broken).lines] == ["", "no value", "", ""]


def test_what_is_no_report_is_named() -> None:
    with pytest.raises(NoReport, match="no readable DICOM file"):
        read_report(b"words")
    picture = film()
    with pytest.raises(NoReport, match="Digital X-Ray Image Storage"):
        read_report(encode(picture))
    assert read_report(encode(draft())).SOPInstanceUID == draft().SOPInstanceUID


@pytest.mark.parametrize("undefined", [False, True], ids=["lengths", "delimiters"])
def test_file_that_is_cut_anywhere_in_its_content_is_refused(undefined: bool) -> None:
    document = dcmread(BytesIO(encode(signed(draft()))))
    for element in document.iterall():
        if element.VR == "SQ":
            element.is_undefined_length = undefined
    buffer = BytesIO()
    document.save_as(buffer)
    payload = buffer.getvalue()
    content = payload.index(b"\x40\x00\x30\xa7SQ")  # Content Sequence; what follows in the file is all below it

    assert read_report(payload).VerificationFlag == "VERIFIED"
    for end in (*range(content, content + 32, 2), *range(content + 32, len(payload), 42), len(payload) - 2):
        with pytest.raises(NoReport):
            read_report(payload[:end])


def test_deflated_file_that_is_cut_is_refused() -> None:
    document = dcmread(BytesIO(encode(draft())))
    document.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    buffer = BytesIO()
    document.save_as(buffer)

    assert read_report(buffer.getvalue()).PatientName == draft().PatientName
    with pytest.raises(NoReport):
        read_report(buffer.getvalue()[:-40])


def test_pages_of_a_pdf_are_no_report_without_words_but_something_to_take_out() -> None:
    pages = film(SOPClassUID=EncapsulatedPDFStorage, EncapsulatedDocument=b"%PDF-1.7")
    pages.ConceptNameCodeSequence = [item(CodeMeaning="Report")]
    with pytest.raises(NoReport, match="Encapsulated PDF Storage; its pages come out with: dcm2pdf"):
        read_report(encode(pages))
    empty = foreign()
    del empty.ContentSequence
    empty.SpecificCharacterSet = "ISO_IR 192"
    with pytest.raises(NoReport, match="no content"):
        read_report(encode(empty))


def test_same_reports_do_not_differ() -> None:
    assert compare(draft(), draft()) == ()


def test_edited_words_are_marked_one_by_one() -> None:
    other = draft(text=type(text())(text().findings.replace("clear", "hazy"), text().impression))

    (change,) = compare(draft(), other)

    assert change.where == "Findings"
    assert [pair for pair in change.words if pair[0] != " "] == [("-", "clear."), ("+", "hazy.")]


def test_another_patient_and_the_signature_are_told() -> None:
    places = {change.where for change in compare(draft(), draft(in_charset("korean")))}
    assert places == {"PatientName"}

    places = {change.where for change in compare(draft(), signed(draft()))}
    assert {"CompletionFlag", "VerificationFlag", "PreliminaryFlag", "verified by", "Summary", "Findings"} <= places
    assert EDITED.findings in str(compare(draft(), signed(draft())))


def test_nothing_in_a_header_steers_the_terminal() -> None:
    hostile = foreign()
    hostile.PatientName = "Other^\x1b[2J\u202eMaker"

    shown = as_text(hostile)

    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "Maker" in shown
