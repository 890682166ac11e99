"""`reports.uid_root`: UIDs below a root of the site's own, checked at start-up, and known as ours below either."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import pytest
from pydantic import ValidationError
from pydicom import Dataset, dcmread
from pydicom.uid import BasicTextSRStorage

from dicom_node.kinds import Stage
from dicom_node.uids import is_root, is_uid, number_of, root_of
from reports.checks import DocumentRefused, check_document, check_draft, problems_of
from reports.config import ReportsConfig
from reports.messages.oru import result_status
from reports.objects.encapsulated_pdf import build_pdf
from reports.objects.frame import encode, series_uid
from reports.objects.key_object import build_rejection
from reports.objects.measurement import as_comprehensive, build_measurement_report
from reports.objects.signed import build_addendum, build_signed
from tests.unit.reports.films import CONFIG, MOMENT, STUDY, draft, film
from tests.unit.reports.page.narratives import FIRST, SECOND, fonts
from tests.unit.reports.test_signed import EDITED

ROOT = "1.2.840.99999.7"
OWN = ReportsConfig(uid_root=ROOT)


def every_object(config: ReportsConfig) -> dict[str, Dataset]:
    """All kinds of objects of one report."""
    master = draft(config=config)
    report = build_signed(master, EDITED, [FIRST], number=1, not_before=MOMENT, config=config, predecessor=master)
    first = build_measurement_report(master, (), config=config)
    return {
        "draft": master,
        "signed": report,
        "addendum": build_addendum(
            report, "Words.", SECOND, number=2, not_before=FIRST.at, config=config, predecessor=report
        ),
        "coded": first,
        "comprehensive": as_comprehensive(first),
        "note": note(master, first, config=config),
        "pdf": build_pdf(master, fonts=fonts(), config=config),
    }


def note(*documents: Dataset, config: ReportsConfig) -> Dataset:
    return build_rejection(documents, safety=False, words="Not this one.", at=MOMENT, number=1, config=config)


def uids_made_here(document: Dataset) -> set[str]:
    """All UIDs that are neither of the standard nor of the film."""
    return {
        str(element.value)
        for element in document.iterall()
        if element.VR == "UI" and not str(element.value).startswith(("1.2.840.10008.", STUDY))
    }


def test_every_uid_stands_below_the_configured_root_and_every_object_passes_its_check() -> None:
    made = every_object(OWN)

    for name, document in made.items():
        read = dcmread(BytesIO(encode(document)))
        assert problems_of(read) == (), name
        assert {root_of(uid) for uid in uids_made_here(read)} == {ROOT}, name
        assert all(is_uid(uid) for uid in uids_made_here(read))
    check_draft(made["draft"], [film()], OWN)
    for name in ("coded", "note", "pdf"):
        check_document(made[name], made["draft"], OWN)


def test_series_has_the_same_number_below_either_root() -> None:
    series, own = draft().SeriesInstanceUID, draft(config=OWN).SeriesInstanceUID

    assert (root_of(series), root_of(own)) == ("2.25", ROOT)
    assert number_of(series) == number_of(own)
    assert own == series_uid(STUDY, BasicTextSRStorage, Stage.DRAFT, root=ROOT)


@pytest.mark.parametrize("root", ["2.25", "1.2.840.99999.7", "1.2.840.113619.99999.123", "0.1", "2.16.840.1.113883.3"])
def test_root_leaves_room_for_the_largest_uuid(root: str) -> None:
    assert ReportsConfig(uid_root=root).uid_root == root
    assert len(f"{root}.{2**128}") <= 64


@pytest.mark.parametrize(
    "root", ["", "2", "3.1", "1.02.3", "1.2.", ".1.2", "1.2.x", "1..2", "1.2.840.113619.999999.123", "1.2 ", "1.2\n"]
)
def test_root_that_cannot_carry_uids_is_refused_at_start_up(root: str) -> None:
    assert not is_root(root)
    with pytest.raises(ValidationError, match="no root of UIDs"):
        ReportsConfig(uid_root=root)


@pytest.mark.parametrize(("before", "now"), [(CONFIG, OWN), (OWN, CONFIG)], ids=["to own", "back to 2.25"])
def test_documents_of_before_the_setting_changed_are_still_ours(before: ReportsConfig, now: ReportsConfig) -> None:
    """They can be replaced, signed, corrected and taken back."""
    master = draft(config=before)
    older = build_measurement_report(master, (), config=before)
    newer = draft(config=now, revision=2, predecessor=master)
    report = build_signed(master, EDITED, [FIRST], number=1, not_before=MOMENT, config=now, predecessor=master)
    corrected = build_signed(
        master,
        EDITED,
        [replace(FIRST, at=FIRST.at + timedelta(hours=1))],
        number=2,
        not_before=MOMENT,
        config=before,
        predecessor=report,
    )

    check_draft(newer, [film()], now)
    check_document(report, master, now)
    check_document(note(master, older, config=now), master, now)
    assert problems_of(build_measurement_report(newer, (), config=now, predecessor=older)) == ()
    assert result_status(corrected, Stage.SIGNED) == "C"


def test_note_that_names_what_stands_below_another_root_is_refused() -> None:
    master = draft(config=OWN)
    taken = note(master, config=OWN)
    foreign = note(master, config=OWN)
    foreign.SeriesInstanceUID = f"2.25.{number_of(foreign.SeriesInstanceUID)}"

    assert problems_of(taken) == ()
    assert "the note names an object that was not made here" in problems_of(foreign)


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SeriesInstanceUID"])
def test_uid_with_another_number_below_the_root_is_refused(keyword: str) -> None:
    document = draft(config=OWN)
    setattr(document, keyword, f"{ROOT}.{int(number_of(document[keyword].value)) + 1}")

    with pytest.raises(DocumentRefused, match=f"{keyword} is not derived by us"):
        check_draft(document, [film()], OWN)


def test_object_in_a_series_below_another_root_is_refused() -> None:
    document = draft(config=OWN)
    document.SOPInstanceUID = f"2.25.{number_of(document.SOPInstanceUID)}"

    with pytest.raises(DocumentRefused, match="different roots"):
        check_draft(document, [film()], OWN)
