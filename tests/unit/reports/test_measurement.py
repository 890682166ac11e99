"""Coded reports: the same identity and words as the narrative, one line for each finding, and what is refused."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from copy import deepcopy

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import BasicTextSRStorage, Comprehensive3DSRStorage, ComprehensiveSRStorage

from dicom_node.kinds import Stage
from reports import codes
from reports.checks import DocumentRefused, check_document, check_draft, check_payload
from reports.findings import Finding, Laterality, Severity, State, extract
from reports.objects import measurement, tree
from reports.objects.basic_text import build_notice
from reports.objects.content import read_content
from reports.objects.frame import encode
from reports.objects.measurement import NothingToCode, as_comprehensive, build_measurement_report
from reports.objects.signed import build_addendum
from reports.provenance import NOTICE
from reports.source import normalize
from tests.unit.reports.coded import FOUND, coded, direct_lines, finding, note
from tests.unit.reports.films import (
    CHARSETS,
    CONFIG,
    FILM,
    MOMENT,
    STUDY,
    as_received,
    draft,
    film,
    in_charset,
    item,
    ordered_cr,
    provenance,
)
from tests.unit.reports.test_signed import FIRST, SECOND, signed


def _group(report: Dataset) -> Dataset:
    group: Dataset = report.ContentSequence[-1].ContentSequence[0]
    return group


def _row(report: Dataset, name: str) -> Dataset:
    found: Dataset
    (found,) = [row for row in _group(report).ContentSequence if tree.meaning_of(row) == name]
    return found


def _rows(report: Dataset, kind: str) -> list[Dataset]:
    return [
        row for row in _group(report).ContentSequence if row.ValueType == kind and row.RelationshipType == "CONTAINS"
    ]


def _said(report: Dataset) -> dict[str, str]:
    return {tree.meaning_of(row): tree.meaning_of(row, "ConceptCodeSequence") for row in _rows(report, "CODE")}


@pytest.mark.parametrize("name", CHARSETS)
def test_coded_report_of_every_character_set_passes(name: str) -> None:
    master = draft(in_charset(name))

    check_document(coded(master), master, CONFIG)


def test_every_finding_is_a_name_with_a_state() -> None:
    assert _said(coded()) == {
        "Cardiomegaly": "Present",
        "Pneumonia": "Undetermined",
        "Pneumothorax": "Absent",
        "Pleural effusion": "Present",
        "Enlarged cardiomediastinum": "Absent",
    }


def test_what_is_not_mentioned_is_not_there() -> None:
    report = coded(findings=())

    check_document(report, draft(), CONFIG)
    assert _said(report) == {}
    assert "CodingSchemeIdentificationSequence" not in report


def test_labels_of_one_concept_are_one_line_and_the_strongest_counts() -> None:
    weak, strong = finding("Effusion", State.ABSENT), finding("Pleural Effusion", State.PRESENT)

    assert _said(coded(findings=(weak, strong))) == {"Pleural effusion": "Present"}
    assert _said(coded(findings=(strong, weak))) == {"Pleural effusion": "Present"}


@pytest.mark.parametrize("label", codes.ROW_OF)
@pytest.mark.parametrize("state", State)
def test_viewer_that_drops_children_says_the_same(label: str, state: State) -> None:
    report = coded(findings=(finding(label, state, Laterality.LEFT, Severity.MILD),))
    meaning, value = codes.ROW_OF[label].code.meaning, codes.STATES[state].meaning

    lines = direct_lines(report)

    assert f"{meaning}: {value}" in lines
    about = [line for line in lines if line.startswith(f"{meaning}:")]
    assert about == [f"{meaning}: {value}"]
    assert ("Left" in str(_row(report, meaning))) == (state is State.PRESENT)


def test_viewer_that_drops_children_shows_the_notice_before_any_finding() -> None:
    lines = direct_lines(coded())
    notice = next(number for number, line in enumerate(lines) if NOTICE in line)
    findings = [number for number, line in enumerate(lines) if line.endswith((": Present", ": Absent"))]

    assert findings
    assert notice < min(findings)


def test_nothing_stands_below_what_is_absent_or_undetermined() -> None:
    report = coded()

    assert "ContentSequence" not in _row(report, "Pneumothorax")
    assert "ContentSequence" not in _row(report, "Pneumonia")


def test_side_and_severity_of_what_is_present_are_coded_and_in_words() -> None:
    report = coded()
    effusion = _row(report, "Pleural effusion")

    below = [(tree.meaning_of(row), tree.meaning_of(row, "ConceptCodeSequence")) for row in effusion.ContentSequence]
    assert below == [("Laterality", "Left"), ("Severity", "Severe")]
    assert _row(report, "Comment").TextValue == "Cardiomegaly: mild.\r\nPleural effusion: severe, left."


def test_site_is_coded_where_the_finding_does_not_say_it() -> None:
    report = coded(findings=(finding("Lung Opacity", State.PRESENT), finding("Pleural Effusion", State.PRESENT)))

    (site,) = _row(report, "Opacity").ContentSequence
    assert (tree.meaning_of(site), tree.meaning_of(site, "ConceptCodeSequence")) == ("Finding Site", "Lung")
    assert "ContentSequence" not in _row(report, "Pleural effusion")


def test_texts_have_no_name_under_which_viewers_expect_a_code() -> None:
    assert not {tree.name_of(row)[0] for row in _rows(coded(), "TEXT")} & {"121071", "121073"}


def test_every_item_has_a_name() -> None:
    report = coded()

    assert all("ConceptNameCodeSequence" in row for row in tree.descendants(report))


def test_words_are_those_of_the_narrative() -> None:
    master = draft()
    texts = [row.TextValue.replace("\r\n", "\n") for row in _rows(coded(master), "TEXT")]
    content = read_content(master)

    assert texts[:3] == [content.warning, content.findings, content.impression]


def test_signed_report_names_the_person_and_has_no_notice() -> None:
    master = signed(draft(ordered_cr()))
    report = coded(master)

    check_document(report, master, CONFIG)
    observers = [tree.name_of(row)[0] for row in report.ContentSequence if row.RelationshipType == "HAS OBS CONTEXT"]
    assert observers.index("121008") < observers.index("121012")
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == ("COMPLETE", "VERIFIED", "FINAL")
    assert not [line for line in direct_lines(report) if NOTICE in line]
    assert report.SeriesInstanceUID != coded(draft(ordered_cr())).SeriesInstanceUID


def test_cosigned_reports_and_addenda_are_coded_too() -> None:
    first = signed(draft())
    cosigned = signed(first, FIRST, SECOND, number=2)
    addendum = build_addendum(
        first, "Compared with CT.", SECOND, number=2, not_before=FIRST.at, config=CONFIG, predecessor=first
    )

    for master, stage in ((first, Stage.SIGNED), (cosigned, Stage.COSIGNED), (addendum, Stage.ADDENDUM)):
        report = coded(master, predecessor=coded(first))
        check_document(report, master, CONFIG)
        assert measurement.stage_of(report) is stage
    assert _row(coded(addendum), "Addendum").TextValue == "Compared with CT."


def test_draft_and_report_track_the_same_findings() -> None:
    master = draft()

    assert _row(coded(master), "Tracking Unique Identifier").UID == (
        _row(coded(signed(master)), "Tracking Unique Identifier").UID
    )


def test_image_library_lists_the_images_without_asking_for_their_attributes() -> None:
    bare = as_received(
        film(**dict.fromkeys(("ViewPosition", "BodyPartExamined", "Modality", "StudyDate", "StudyTime", "StudyID")))
    )
    master = draft(bare)

    report = coded(master, films=[normalize(bare, CONFIG)])

    check_document(report, master, CONFIG)
    (entry,) = report.ContentSequence[-2].ContentSequence[0].ContentSequence
    assert entry.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == FILM
    assert [tree.meaning_of(row, "ConceptCodeSequence") for row in entry.ContentSequence] == ["Digital Radiography"]


def test_image_of_an_unknown_kind_is_listed_without_a_modality() -> None:
    capture = film(SOPClassUID="1.2.840.10008.5.1.4.1.1.7", Modality="OT", StudyDate=None, StudyTime=None)
    report = coded(draft(capture))

    check_document(report, draft(capture), CONFIG)
    (entry,) = report.ContentSequence[-2].ContentSequence[0].ContentSequence
    assert not entry.ContentSequence


def test_two_images_stand_in_library_group_and_evidence() -> None:
    second = film(SOPInstanceUID=f"{STUDY}.2.1", SeriesInstanceUID=f"{STUDY}.2")
    master = draft(film(), second, provenance=provenance(films=(FILM, f"{STUDY}.2.1")))

    check_document(coded(master), master, CONFIG)
    assert len(_rows(coded(master), "IMAGE")) == 2


def test_comprehensive_form_has_the_same_content_in_a_series_of_its_own() -> None:
    master, report = draft(), coded()
    other = as_comprehensive(report)

    check_document(other, master, CONFIG)
    assert other.SOPClassUID == ComprehensiveSRStorage
    assert report.SOPClassUID == Comprehensive3DSRStorage
    assert other.ContentSequence == report.ContentSequence
    assert len({other.SeriesInstanceUID, report.SeriesInstanceUID, master.SeriesInstanceUID}) == 3
    assert other.SOPInstanceUID != report.SOPInstanceUID
    assert encode(other) == encode(coded(sop_class=ComprehensiveSRStorage))


def test_comprehensive_form_replaces_only_what_its_peer_has() -> None:
    older = coded()
    newer = coded(draft(revision=2), predecessor=older)

    assert "PredecessorDocumentsSequence" not in as_comprehensive(newer)
    replacing = as_comprehensive(newer, predecessor=as_comprehensive(older))
    check_document(replacing, draft(revision=2), CONFIG)
    (study,) = replacing.PredecessorDocumentsSequence
    assert study.ReferencedSeriesSequence[0].SeriesInstanceUID == as_comprehensive(older).SeriesInstanceUID


def test_comprehensive_form_goes_on_naming_what_went_out_in_its_place() -> None:
    """The peer refused Comprehensive 3D SR for the older draft as well, so that it has the other class of it."""
    older = as_comprehensive(coded())
    newer = coded(draft(revision=2), predecessor=older)

    (study,) = as_comprehensive(newer).PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == older.SeriesInstanceUID
    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence] == [older.SOPInstanceUID]
    check_document(as_comprehensive(newer), draft(revision=2), CONFIG)


def test_same_findings_make_the_same_bytes_and_others_another_uid() -> None:
    assert encode(coded()) == encode(coded())
    assert coded().SOPInstanceUID != coded(findings=FOUND[1:]).SOPInstanceUID


@pytest.mark.parametrize("name", ["korean", "arabic", "ascii"])
def test_narrative_from_a_file_makes_the_same_bytes(name: str) -> None:
    fresh = draft(in_charset(name))
    stored = dcmread(io.BytesIO(encode(fresh)))

    assert encode(coded(stored)) == encode(coded(fresh))
    assert encode(note(stored, coded(stored))) == encode(note(fresh, coded(fresh)))
    assert encode(as_comprehensive(dcmread(io.BytesIO(encode(coded(fresh)))))) == encode(as_comprehensive(coded(fresh)))


def test_more_than_250_drafts_and_coded_reports_are_made_and_checked_in_a_minute() -> None:
    """On an idle core it is four times as many (deploy/docs/objects.md); a busy one is slower, but not four times."""
    source, count = in_charset("korean"), 25
    films = [normalize(source, CONFIG)]
    started = time.process_time()

    for revision in range(1, count + 1):
        master = draft(source, revision=revision)
        check_draft(master, [source], CONFIG)
        check_document(coded(master, films=films), master, CONFIG)

    rate = 60 * count / (time.process_time() - started)
    print(f"\n{rate:.0f} drafts with their coded reports made and checked a minute on one core")
    assert rate > 250


def test_what_the_extractor_finds_can_be_coded() -> None:
    words = read_content(draft()).narrative
    report = coded(findings=tuple(extract(words).by_label.values()))

    check_document(report, draft(), CONFIG)


def test_payload_of_a_coded_report_passes() -> None:
    report = coded(draft(ordered_cr()))

    check_payload(
        encode(report),
        study_instance_uid=STUDY,
        patient_id="EX-0001",
        issuer_of_patient_id="HOSPITAL",
        accession_number="ACC0001",
        sop_class_uid=Comprehensive3DSRStorage,
        sop_instance_uid=report.SOPInstanceUID,
    )


def _of_a_notice() -> Dataset:
    notice = build_notice([film()], "A lateral.", provenance(), revision=1, content_at=MOMENT, config=CONFIG)
    return coded(notice)


def _unknown_label() -> Dataset:
    return coded(findings=(Finding("Gout", State.PRESENT, None, None, ()),))


def _basic_text() -> Dataset:
    return build_measurement_report(draft(), FOUND, config=CONFIG, sop_class=BasicTextSRStorage)


@pytest.mark.parametrize("attempt", [_of_a_notice, _unknown_label, _basic_text], ids=lambda f: f.__name__)
def test_what_cannot_be_coded_is_refused(attempt: Callable[[], Dataset]) -> None:
    with pytest.raises(NothingToCode):
        attempt()


# --- spoiled reports --------------------------------------------------------------------------------------------------


def _negation_below(report: Dataset) -> None:
    row = _row(report, "Pneumothorax")
    below = item(RelationshipType="HAS CONCEPT MOD", ValueType="CODE")
    below.ConceptNameCodeSequence = deepcopy(row.ConceptNameCodeSequence)
    below.ConceptCodeSequence = deepcopy(row.ConceptCodeSequence)
    row.ContentSequence = [below]


def _negation_below_the_present(report: Dataset) -> None:
    child = _row(report, "Cardiomegaly").ContentSequence[0]
    child.ConceptCodeSequence = deepcopy(_row(report, "Pneumothorax").ConceptCodeSequence)


def _old_fashioned_finding(report: Dataset) -> None:
    name = _row(report, "Pneumothorax").ConceptNameCodeSequence[0]
    name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = "121071", "DCM", "Finding"


def _other_state(report: Dataset) -> None:
    value = _row(report, "Pneumothorax").ConceptCodeSequence[0]
    value.CodeValue, value.CodeMeaning = "82334004", "Indeterminate"


def _wrong_cardiomegaly(report: Dataset) -> None:
    _row(report, "Cardiomegaly").ConceptNameCodeSequence[0].CodeValue = "287272002"


def _wrong_meaning(report: Dataset) -> None:
    _row(report, "Pneumothorax").ConceptNameCodeSequence[0].CodeMeaning = "Pneumonia"


def _twice(report: Dataset) -> None:
    _group(report).ContentSequence.append(_row(report, "Pneumothorax"))


def _unexplained_scheme(report: Dataset) -> None:
    del report.CodingSchemeIdentificationSequence


def _notice_late(report: Dataset) -> None:
    rows = _group(report).ContentSequence
    rows.append(rows.pop(rows.index(_row(report, "Summary"))))


def _no_notice(report: Dataset) -> None:
    rows = _group(report).ContentSequence
    del rows[rows.index(_row(report, "Summary"))]


def _other_words(report: Dataset) -> None:
    _row(report, "Findings").TextValue = "Large pneumothorax."


def _no_library(report: Dataset) -> None:
    del report.ContentSequence[-2]


def _empty_library(report: Dataset) -> None:
    report.ContentSequence[-2].ContentSequence[0].ContentSequence = []


def _other_tracking(report: Dataset) -> None:
    _row(report, "Tracking Unique Identifier").UID = "2.25.1"


def _no_tracking_identifier(report: Dataset) -> None:
    del _group(report).ContentSequence[0]


def _other_algorithm(report: Dataset) -> None:
    _row(report, "Algorithm Version").TextValue = "2.0"


def _no_observer(report: Dataset) -> None:
    report.ContentSequence = [row for row in report.ContentSequence if row.RelationshipType != "HAS OBS CONTEXT"]


def _no_image(report: Dataset) -> None:
    _group(report).ContentSequence = [row for row in _group(report).ContentSequence if row.ValueType != "IMAGE"]


def _no_group(report: Dataset) -> None:
    report.ContentSequence[-1].ContentSequence = []


def _number(report: Dataset) -> None:
    _group(report).ContentSequence.append(item(RelationshipType="CONTAINS", ValueType="NUM"))


def _finding_as_text(report: Dataset) -> None:
    name = _row(report, "Findings").ConceptNameCodeSequence[0]
    name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = "121071", "DCM", "Finding"


def _final_flags(report: Dataset) -> None:
    report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag = "COMPLETE", "VERIFIED", "FINAL"


def _other_patient(report: Dataset) -> None:
    report.PatientID = "EX-0002"


def _other_request(report: Dataset) -> None:
    report.ReferencedRequestSequence[0].RequestedProcedureID = "RP9"


def _series_of_the_narrative(report: Dataset) -> None:
    report.SeriesInstanceUID = draft().SeriesInstanceUID


def _later(report: Dataset) -> None:
    report.ContentTime = "000000"


SPOILED: dict[str, tuple[Callable[[Dataset], None], str]] = {
    "negation below": (_negation_below, "a state stands below a finding"),
    "something below what is absent": (_negation_below, "something stands below a finding that is not present"),
    "negation below what is present": (_negation_below_the_present, "a state stands below a finding"),
    "Finding = Absent": (_old_fashioned_finding, "a finding is not in the table of codes"),
    "other state": (_other_state, "a finding is neither present, absent nor undetermined"),
    "wrong cardiomegaly": (_wrong_cardiomegaly, "a finding is not in the table of codes"),
    "wrong meaning": (_wrong_meaning, "a code has another meaning"),
    "twice": (_twice, "a finding stands there twice"),
    "unexplained scheme": (_unexplained_scheme, "the private coding scheme is not explained"),
    "notice late": (_notice_late, "the notice is not the first row"),
    "no notice": (_no_notice, "the notice is not the first row"),
    "other words": (_other_words, "its words are not those of the narrative"),
    "no image library": (_no_library, "the image library does not hold"),
    "empty image library": (_empty_library, "the image library does not hold"),
    "other tracking UID": (_other_tracking, "the tracking UID is not that"),
    "no tracking identifier": (_no_tracking_identifier, "the tracking identifier is missing"),
    "other algorithm": (_other_algorithm, "the algorithm is not the reader"),
    "no observer": (_no_observer, "the device observer is missing"),
    "no image": (_no_image, "the group does not refer to the images"),
    "no group": (_no_group, "there is not exactly one measurement group"),
    "number": (_number, "value type that a draft does not have"),
    "finding as text": (_finding_as_text, "a text has a name that viewers take for something else"),
    "final flags": (_final_flags, "VerificationFlag is not that of the narrative"),
    "nobody verified": (_final_flags, "names nobody who verified"),
    "other patient": (_other_patient, "PatientID differs"),
    "other request": (_other_request, "ReferencedRequestSequence is not that of the narrative"),
    "series of the narrative": (_series_of_the_narrative, "SeriesInstanceUID is not that"),
    "other time": (_later, "ContentTime is not that of the narrative"),
}


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize("name", SPOILED)
def test_spoiled_report_is_refused_by_name(name: str) -> None:
    spoil, problem = SPOILED[name]
    report = dcmread(io.BytesIO(encode(coded())))

    spoil(report)
    report.SOPInstanceUID = measurement.instance_uid(report)  # so that nothing but the defect is wrong

    with pytest.raises(DocumentRefused) as refused:
        check_document(report, draft(), CONFIG)
    assert any(problem in found for found in refused.value.problems)
    assert "SOPInstanceUID is not that of this content" not in refused.value.problems
    assert "EX-0001" not in str(refused.value)


def test_report_of_another_narrative_is_refused() -> None:
    with pytest.raises(DocumentRefused) as refused:
        check_document(coded(), signed(draft()), CONFIG)
    assert "its stage is not that of the narrative" in refused.value.problems


def test_changed_content_is_seen_by_its_uid() -> None:
    report = dcmread(io.BytesIO(encode(coded())))
    _row(report, "Pneumothorax").ConceptCodeSequence = deepcopy(_row(report, "Cardiomegaly").ConceptCodeSequence)

    with pytest.raises(DocumentRefused) as refused:
        check_document(report, draft(), CONFIG)
    assert refused.value.problems == ("SOPInstanceUID is not that of this content",)
