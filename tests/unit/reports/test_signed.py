"""Signed reports, addenda and notices: what they say, whom they name, and what is refused."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from dicom_node.kinds import Stage
from reports.checks import DocumentRefused, check_document, check_draft
from reports.config import ReportsConfig
from reports.objects import tree
from reports.objects.basic_text import build_notice
from reports.objects.content import NotOurs, read_content
from reports.objects.frame import encode
from reports.objects.signed import CannotSign, build_addendum, build_signed
from reports.objects.signer import Signature, Signer
from reports.provenance import NOTICE
from reports.text import DraftText
from tests.unit.reports.films import CONFIG, FILM, MOMENT, STUDY, draft, film, ordered_cr, provenance

READER = Signer("Reader^Rita", "Example Hospital", "R-7", "99EXAMPLE")
CHIEF = Signer("Chief^Carl", "Example Hospital")
TRAINEE = Signer("Trainee^Tom", "Example Hospital")
EDITED = DraftText("Small left effusion.", "Effusion on the left.")
FIRST = Signature(READER, MOMENT + timedelta(minutes=5))
SECOND = Signature(CHIEF, MOMENT + timedelta(minutes=9))


def signed(document: Dataset, *signatures: Signature, **changes: Any) -> Dataset:
    arguments: dict[str, Any] = {
        "number": 1,
        "not_before": MOMENT,
        "config": CONFIG,
        "predecessor": document,
        **changes,
    }
    return build_signed(document, EDITED, signatures or (FIRST,), **arguments)


def test_signed_report_is_verified_complete_and_final_in_a_series_of_its_own() -> None:
    source = draft(ordered_cr())
    report = signed(source)

    check_document(report, source, CONFIG)
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == ("COMPLETE", "VERIFIED", "FINAL")
    assert report.SeriesInstanceUID != source.SeriesInstanceUID
    assert report.SeriesNumber != source.SeriesNumber
    assert report.SOPInstanceUID != source.SOPInstanceUID


def test_signed_report_holds_the_edited_words_and_no_notice() -> None:
    content = read_content(signed(draft()))

    assert content.stage is Stage.SIGNED
    assert (content.findings, content.impression) == (EDITED.findings, EDITED.impression)
    assert content.warning == ""
    assert NOTICE not in str(signed(draft()))


def test_demonstration_stays_one_in_the_signed_the_cosigned_and_the_supplemented_report() -> None:
    source = draft(provenance=provenance(notice="DEMONSTRATION MODEL - NOT FOR CLINICAL USE"))
    first = signed(source)
    second = signed(first, FIRST, SECOND, number=2)
    third = build_addendum(
        first, "Compared with CT.", SECOND, number=2, not_before=FIRST.at, config=CONFIG, predecessor=first
    )

    for document in (first, second, third):
        making = read_content(document).making
        assert making.splitlines()[0] == "DEMONSTRATION MODEL - NOT FOR CLINICAL USE"
        assert making.count("DEMONSTRATION MODEL") == 1
    check_document(first, source, CONFIG)
    assert not read_content(signed(draft(provenance=provenance(notice="")))).making.startswith("\n")


def test_signer_stands_before_the_reader_and_the_reader_stays_named() -> None:
    report = signed(draft())
    observers = [tree.name_of(item)[0] for item in report.ContentSequence if item.RelationshipType == "HAS OBS CONTEXT"]

    assert observers.index("121008") < observers.index("121012")
    assert report.DeviceUID == draft().DeviceUID
    assert [item.ParticipationType for item in report.ParticipantSequence] == ["SOURCE"]
    (observer,) = report.VerifyingObserverSequence
    assert observer.VerifyingObserverName == "Reader^Rita"
    assert observer.VerificationDateTime == "20250301233505+0000"
    assert observer.VerifyingObserverIdentificationCodeSequence[0].CodeValue == "R-7"


def test_signature_is_written_in_the_time_zone_of_the_images() -> None:
    report = signed(draft(ordered_cr()))

    assert report.VerifyingObserverSequence[0].VerificationDateTime == "20250302083505+0900"
    assert report.ContentDate == "20250302"


def test_predecessor_is_named_only_where_the_destination_has_it() -> None:
    source = draft()

    (study,) = signed(source).PredecessorDocumentsSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert "PredecessorDocumentsSequence" not in signed(source, predecessor=None)


def test_cosigned_report_names_both_and_replaces_the_signed_one() -> None:
    first = signed(draft())
    second = signed(first, FIRST, SECOND, number=2)

    check_document(second, first, CONFIG)
    assert read_content(second).stage is Stage.COSIGNED
    assert [observer.name for observer in read_content(second).verified_by] == ["Reader^Rita", "Chief^Carl"]
    assert second.SeriesInstanceUID == first.SeriesInstanceUID


def test_trainee_attests_and_does_not_verify() -> None:
    report = signed(draft(), SECOND, attested_by=Signature(TRAINEE, MOMENT + timedelta(minutes=1)))

    check_document(report, draft(), CONFIG)
    assert [item.ParticipationType for item in report.ParticipantSequence] == ["ATTEST", "SOURCE"]
    assert [item.VerifyingObserverName for item in report.VerifyingObserverSequence] == ["Chief^Carl"]


def test_addenda_keep_what_was_signed_and_form_a_chain() -> None:
    first = signed(draft())
    second = build_addendum(
        first, "Compared with CT.", SECOND, number=2, not_before=FIRST.at, config=CONFIG, predecessor=first
    )
    later = Signature(READER, MOMENT + timedelta(hours=1))
    third = build_addendum(
        second, "No change.", later, number=3, not_before=SECOND.at, config=CONFIG, predecessor=second
    )

    for document, before in ((second, first), (third, second)):
        check_document(document, before, CONFIG)
        (study,) = document.PredecessorDocumentsSequence
        replaced = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        assert replaced == before.SOPInstanceUID
    content = read_content(third)
    assert content.stage is Stage.ADDENDUM
    assert content.addenda == ("Compared with CT.", "No change.")
    assert content.findings == EDITED.findings


def test_same_signature_makes_the_same_bytes() -> None:
    assert encode(signed(draft())) == encode(signed(draft()))


def _twice() -> Dataset:
    return signed(draft(), FIRST, Signature(READER, FIRST.at + timedelta(minutes=1)))


def _early() -> Dataset:
    return signed(draft(), Signature(READER, MOMENT - timedelta(minutes=1)))


def _backward() -> Dataset:
    return signed(draft(), SECOND, FIRST)


def _older_than_what_was_signed() -> Dataset:
    return build_addendum(
        signed(draft()), "Words.", FIRST, number=2, not_before=SECOND.at, config=CONFIG, predecessor=None
    )


def _naive() -> Dataset:
    return signed(draft(), Signature(READER, datetime(2025, 3, 2, 1, 1)))  # noqa: DTZ001  naive on purpose


def _nobody() -> Dataset:
    return signed(draft(), Signature(Signer("", "Example Hospital"), FIRST.at))


def _addendum_to_a_draft() -> Dataset:
    return build_addendum(draft(), "Words.", FIRST, number=2, not_before=FIRST.at, config=CONFIG, predecessor=None)


def _empty_addendum() -> Dataset:
    return build_addendum(signed(draft()), "  ", SECOND, number=2, not_before=FIRST.at, config=CONFIG, predecessor=None)


@pytest.mark.parametrize(
    "attempt",
    [_twice, _early, _older_than_what_was_signed, _backward, _naive, _nobody, _addendum_to_a_draft, _empty_addendum],
    ids=lambda f: f.__name__,
)
def test_signature_that_cannot_stand_is_refused(attempt: Any) -> None:
    with pytest.raises(CannotSign):
        attempt()


def _unverify(report: Dataset) -> None:
    report.VerifyingObserverSequence = []


def _preliminary(report: Dataset) -> None:
    report.PreliminaryFlag = "PRELIMINARY"


def _device_verifies(report: Dataset) -> None:
    report.VerifyingObserverSequence[0].VerifyingObserverName = "CXR-LLaVA demo"


def _bad_offset(report: Dataset) -> None:
    report.VerifyingObserverSequence[0].VerificationDateTime = "20250301233505+9:00"


def _other_patient(report: Dataset) -> None:
    report.PatientID = "EX-0002"


def _notice_left(report: Dataset) -> None:
    report.ContentSequence.append(tree.sections_of(draft())[0])


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (_unverify, "names nobody who verified"),
        (_preliminary, "PreliminaryFlag is not FINAL"),
        (_device_verifies, "a device stands as verifying observer"),
        (_bad_offset, "VerificationDateTime has no valid form"),
        (_other_patient, "PatientID differs"),
        (_notice_left, "the notice of a draft stands in a verified report"),
    ],
)
def test_spoiled_report_is_refused_by_name(spoil: Any, problem: str) -> None:
    report = signed(draft())

    spoil(report)

    with pytest.raises(DocumentRefused) as refused:
        check_document(report, draft(), CONFIG)
    assert any(problem in found for found in refused.value.problems)


def test_verified_report_does_not_pass_as_a_draft() -> None:
    with pytest.raises(DocumentRefused) as refused:
        check_draft(signed(draft()), [film()], CONFIG)
    assert "VerificationFlag is not UNVERIFIED" in refused.value.problems


def test_draft_of_a_later_revision_replaces_the_older_one() -> None:
    older = draft()
    newer = draft(revision=2, predecessor=older)

    check_draft(newer, [film()], CONFIG)
    assert newer.SeriesInstanceUID == older.SeriesInstanceUID
    assert "PredecessorDocumentsSequence" in newer


def test_notice_says_why_there_is_no_draft_and_claims_nothing_else() -> None:
    notice = build_notice(
        [film()], "The film is a lateral.", provenance(), revision=1, content_at=MOMENT, config=ReportsConfig()
    )

    check_draft(notice, [film()], CONFIG)
    content = read_content(notice)
    assert content.stage is Stage.NOTICE
    assert content.warning.startswith("No AI draft: The film is a lateral.")
    assert content.findings == content.impression == ""
    assert notice.SeriesInstanceUID != draft().SeriesInstanceUID


def test_what_is_no_report_of_ours_is_not_read_as_one() -> None:
    document = draft()
    document.ContentSequence = []

    with pytest.raises(NotOurs):
        read_content(document)


def test_moment_of_signing_has_an_offset_whatever_the_zone() -> None:
    report = signed(draft(), config=ReportsConfig(time_zone="America/St_Johns"))

    assert report.VerifyingObserverSequence[0].VerificationDateTime == "20250301200505-0330"


def test_report_is_signed_from_a_draft_that_was_read_from_its_file() -> None:
    read = dcmread(io.BytesIO(encode(draft(ordered_cr()))))

    report = signed(read)

    check_document(report, read, CONFIG)
    assert encode(report) == encode(signed(draft(ordered_cr())))
    again = dcmread(io.BytesIO(encode(report)))
    added = build_addendum(again, "More.", SECOND, number=2, not_before=FIRST.at, config=CONFIG, predecessor=again)
    check_document(added, again, CONFIG)


def test_a_complete_report_lists_every_image_of_its_procedure() -> None:
    """Also one that its text does not name; each once, and what the draft names as other evidence stays there."""
    lateral = film(SOPInstanceUID=f"{STUDY}.2.1", SeriesInstanceUID=f"{STUDY}.2")
    source = draft(film(), lateral)

    report = signed(source, images=[film(), lateral])

    check_document(report, source, CONFIG)
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    listed = [
        one.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    ]
    assert listed == [FILM, lateral.SOPInstanceUID]
    assert signed(source).SOPInstanceUID != report.SOPInstanceUID
    other = draft(film())
    other.CurrentRequestedProcedureEvidenceSequence = report.CurrentRequestedProcedureEvidenceSequence
    with pytest.raises(DocumentRefused, match="not those in the evidence"):
        check_draft(other, [film(), lateral], CONFIG)


def test_a_long_staff_number_is_a_long_code() -> None:
    long = Signer("Reader^Rita", "Example Hospital", "EX-2026-000000004711", "99EXAMPLE")
    report = signed(draft(), Signature(long, FIRST.at))

    check_document(report, draft(), CONFIG)
    (code,) = report.VerifyingObserverSequence[0].VerifyingObserverIdentificationCodeSequence
    assert (code.get("CodeValue"), code.LongCodeValue) == (None, long.identifier)
