"""What a report says once its addenda are read: a correction counts, and no other denial turns a finding around."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydicom import Dataset

from dicom_node.kinds import Stage
from reports import codes, shelf
from reports.addenda import findings_in_all
from reports.checks import check_document
from reports.findings import Laterality
from reports.messages.fhir import FhirSite, build_fhir
from reports.messages.oru import Parties, build_oru
from reports.objects.content import Content
from reports.objects.measurement import build_measurement_report
from reports.objects.signed import build_addendum, build_signed
from reports.objects.signer import Signature, Signer
from reports.text import DraftText
from tests.unit.reports.films import CONFIG, MOMENT, draft, film

READER = Signer("Reader^Rita", "Example Hospital")
CORRECTION = "CORRECTION: There is no pneumothorax. The line is a skin fold."
LARGE = "Large right pneumothorax."


def content(signed: str, *addenda: str, impression: str = "See above.") -> Content:
    return Content(
        stage=Stage.ADDENDUM if addenda else Stage.SIGNED,
        title="",
        warning="",
        findings=signed,
        impression=impression,
        addenda=addenda,
        making="",
        verified_by=(),
        films=(),
    )


def said(signed: str, *addenda: str) -> dict[str, str]:
    return {one.label: one.state.value for one in findings_in_all(content(signed, *addenda))}


def corrected() -> Dataset:
    """A signed report with its correction."""
    drafted = draft()
    arguments = {"config": CONFIG, "not_before": MOMENT}
    first, second = (Signature(READER, MOMENT + timedelta(minutes=minutes)) for minutes in (5, 9))
    signed = build_signed(drafted, DraftText(LARGE, LARGE), [first], number=1, predecessor=None, **arguments)
    return build_addendum(signed, CORRECTION, second, number=2, predecessor=None, **arguments)


@pytest.mark.parametrize(
    "addendum",
    [
        CORRECTION,
        "There is no pneumothorax.",
        "No pneumothorax on the right.",
        "Erratum: the previously described pneumothorax is not present.",
        "On re-review of this film, compared with CT, there is no pneumothorax, effusion or fracture.",
        "Correction: no acute disease, no pneumothorax.",
        "In retrospect there was no pneumothorax.",
        "The previous report was wrong: no pneumothorax.",
    ],
)
def test_what_an_addendum_takes_back_is_absent(addendum: str) -> None:
    assert said(LARGE, addendum)["Pneumothorax"] == "absent"
    assert said(LARGE, "Discussed with the ward.", addendum)["Pneumothorax"] == "absent"


@pytest.mark.parametrize(
    "addendum",
    [
        "No pneumothorax on the left.",
        "There is no left pneumothorax.",
        "No tension pneumothorax.",
        "No new pneumothorax.",
        "Correction: no apical pneumothorax.",
        "Correction: the film of March is now here; there was no pneumothorax at that time.",
        "A prior film is now available. There is no pneumothorax.",
        "Follow-up after the drain: no pneumothorax.",
        "The heart is normal. No effusion, consolidation, fracture or pneumothorax.",  # of another draft
        "No hydropneumothorax.",
        "The pneumothorax was reported to the ward at 10:00.",
        "Normal chest.",
    ],
)
def test_another_denial_leaves_what_was_signed(addendum: str) -> None:
    assert said(LARGE, addendum)["Pneumothorax"] == "present"
    assert "No Finding" not in said(LARGE, addendum)


@pytest.mark.parametrize(
    ("signed", "addendum", "label", "state"),
    [
        ("No pneumothorax.", "CORRECTION: There is a left pneumothorax.", "Pneumothorax", "present"),
        ("Normal chest.", "Small left pneumothorax.", "Pneumothorax", "present"),
        ("Pneumonia.", "Correction: the pneumonia is doubtful.", "Pneumonia", "uncertain"),
        ("Small nodule on the left.", "Correction: no mass.", "Lung Lesion", "present"),
        ("Opacity at the left base.", "No infiltrate.", "Lung Opacity", "present"),
        ("Rib fracture.", "No displaced fracture.", "Fracture", "present"),
        ("Left hydropneumothorax.", "Correction: no pneumothorax.", "Pneumothorax", "absent"),
        ("Left hydropneumothorax.", "Correction: no pneumothorax.", "Pleural Effusion", "present"),
        ("Consolidation of the right lower lobe.", "No right upper lobe consolidation.", "Consolidation", "present"),
        ("Left effusion.", "No pneumothorax.", "Pleural Effusion", "present"),
    ],
)
def test_each_finding_takes_what_is_said_of_it(signed: str, addendum: str, label: str, state: str) -> None:
    assert said(signed, addendum)[label] == state


def test_the_last_addendum_counts() -> None:
    assert said(LARGE, CORRECTION, "CORRECTION: There is a pneumothorax after all.")["Pneumothorax"] == "present"
    assert said("No pneumothorax.", "Right pneumothorax.", CORRECTION)["Pneumothorax"] == "absent"


def test_one_signature_is_read_as_a_whole() -> None:
    """Findings and Impression contradict each other: the strongest word counts, as ever."""
    found = findings_in_all(content(LARGE, impression="No pneumothorax."))
    assert [(one.label, one.state.value) for one in found] == [("Pneumothorax", "present")]


def test_a_corrected_side_replaces_the_wrong_one_and_a_second_side_joins_it() -> None:
    sides = {
        addendum: next(one.laterality for one in findings_in_all(content(LARGE, addendum)))
        for addendum in ("CORRECTION: The pneumothorax is on the left.", "There is also a left pneumothorax.")
    }
    assert list(sides.values()) == [Laterality.LEFT, Laterality.BILATERAL]


def test_every_coded_form_says_what_the_correction_says() -> None:
    report = corrected()
    found = [one for one in shelf.findings_in(report) if one.label in codes.ROW_OF]
    assert [(one.label, one.state.value) for one in found] == [("Pneumothorax", "absent")]

    coded = build_measurement_report(report, found, films=(film(),), config=CONFIG)
    check_document(coded, report, CONFIG)
    assert codes.ABSENT.value in str(coded)
    assert codes.PRESENT.value not in str(coded)
    message = build_oru(report, Parties(), CONFIG, findings=found).decode()
    assert [line.split("|")[5].split("^")[0] for line in message.split("\r") if "|CE|" in line] == [codes.ABSENT.value]
    bundle = build_fhir(report, FhirSite({"": "urn:oid:1.2.3"}), CONFIG, findings=found).decode()
    assert codes.ABSENT.value in bundle
    assert codes.PRESENT.value not in bundle
