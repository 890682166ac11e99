"""FHIR bundles: valid by two libraries that have no part in writing them, and true to the document."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhirclient.models import bundle as fhirclient
from pydicom import Dataset

from dicom_node.kinds import Stage
from reports.findings import Finding, extract
from reports.messages.fhir import FhirSite, build_fhir, build_fhir_withdrawal
from reports.messages.fhir_elements import NoIdentifierSystem
from reports.objects.basic_text import build_notice
from reports.objects.signed import build_addendum, build_signed
from reports.objects.signer import Signature, Signer
from reports.provenance import NOTICE
from reports.text import DraftText
from tests.unit.reports.films import CHARSETS, CONFIG, MOMENT, draft, film, in_charset, ordered_cr, provenance

SITE = FhirSite(
    patient_systems={"": "https://hospital.example/patients"}, order_system="https://hospital.example/orders"
)
READER = Signature(Signer("Reader^Rita", "Example Hospital"), MOMENT + timedelta(minutes=5))
CHIEF = Signature(Signer("Chief^Carl", "Example Hospital"), MOMENT + timedelta(minutes=9))
WORDS = DraftText("Heart > 0.5 & <b>wide</b>.", "No pneumothorax.")


def resources(payload: bytes) -> dict[str, list[dict[str, Any]]]:
    """Resources by type, after both libraries took the bundle."""
    Bundle.model_validate_json(payload)
    fhirclient.Bundle(json.loads(payload))
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in json.loads(payload)["entry"]:
        found.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    return found


def bundle(master: Dataset, **changes: Any) -> dict[str, list[dict[str, Any]]]:
    return resources(build_fhir(master, SITE, CONFIG, **changes))


def report(master: Dataset) -> dict[str, Any]:
    (found,) = bundle(master)["DiagnosticReport"]
    return found


def found_in(words: str) -> Sequence[Finding]:
    return list(extract(words).by_label.values())


def signed(source: Dataset, *signatures: Signature, predecessor: Dataset | None = None) -> Dataset:
    arguments: dict[str, Any] = {
        "number": 1,
        "not_before": MOMENT,
        "config": CONFIG,
        "predecessor": predecessor or source,
    }
    return build_signed(source, WORDS, signatures or (READER,), **arguments)


def test_draft_is_partial_labeled_and_begins_with_the_notice() -> None:
    drafted = report(draft())

    assert drafted["status"] == "partial"
    assert drafted["meta"]["security"][0]["code"] == "AIAST"
    assert drafted["text"]["div"].index(NOTICE) < drafted["text"]["div"].index("The lungs are clear")
    assert drafted["conclusion"].startswith(f"{NOTICE}\n")
    assert base64.b64decode(drafted["presentedForm"][0]["data"]).decode().count(NOTICE) == 3
    assert not {"performer", "resultsInterpreter", "contained"} & drafted.keys()


def test_signed_report_is_final_and_names_people_and_their_hospital() -> None:
    final = report(signed(draft(), READER, CHIEF))

    assert final["status"] == "final"
    assert NOTICE not in json.dumps(final)
    assert [one["name"][0]["family"] for one in final["contained"]] == ["Reader", "Chief"]
    assert final["performer"][-1]["display"] == "Example Hospital"
    assert final["issued"] == "2025-03-01T23:39:05+00:00"
    assert final["conclusion"] == "No pneumothorax."


def test_markup_in_text_is_shown_and_not_run() -> None:
    div = report(signed(draft()))["text"]["div"]

    assert "Heart &gt; 0.5 &amp; &lt;b&gt;wide&lt;/b&gt;." in div


def test_addendum_appends_correction_amends_and_notice_registers() -> None:
    first = signed(draft())
    arguments: dict[str, Any] = {"number": 2, "not_before": READER.at, "config": CONFIG, "predecessor": first}
    added = build_addendum(first, "Compared with CT.", CHIEF, **arguments)
    notice = build_notice([film()], "A lateral.", provenance(), revision=1, content_at=MOMENT, config=CONFIG)

    assert report(added)["status"] == "appended"
    assert report(signed(first, READER, CHIEF, predecessor=first))["status"] == "amended"
    assert report(notice)["status"] == "registered"
    assert "conclusion" not in report(notice)


def test_report_of_a_study_is_one_resource_through_its_life() -> None:
    first = signed(draft())
    gone = build_fhir_withdrawal(first, Stage.WITHDRAWAL, "Wrong patient.", MOMENT, SITE, CONFIG)

    lives = [report(draft()), report(draft(revision=2)), report(first), resources(gone)["DiagnosticReport"][0]]
    assert len({one["identifier"][0]["value"] for one in lives}) == 1
    assert len({one["identifier"][1]["value"] for one in lives}) == 3  # the last one names what is taken back


@pytest.mark.parametrize(
    ("final", "stage", "status", "observed"),
    [
        (False, Stage.REJECTION, "cancelled", "cancelled"),
        (False, Stage.WITHDRAWAL, "entered-in-error", "entered-in-error"),
        (True, Stage.REJECTION, "entered-in-error", "entered-in-error"),
        (True, Stage.WITHDRAWAL, "entered-in-error", "entered-in-error"),
    ],
)
def test_what_is_taken_back_says_so_and_keeps_none_of_its_words(
    final: bool, stage: Stage, status: str, observed: str
) -> None:
    master = signed(draft()) if final else draft()
    findings = found_in("No pneumothorax.")

    gone = resources(build_fhir_withdrawal(master, stage, "Not right.", MOMENT, SITE, CONFIG, findings=findings))

    (taken,) = gone["DiagnosticReport"]
    assert taken["status"] == status
    assert taken["conclusion"].startswith("WITHDRAWN: ")
    assert "lungs are clear" not in json.dumps(gone)
    assert {one["status"] for one in gone["Observation"]} == {observed}


def test_findings_are_observations_whose_value_says_whether() -> None:
    observed = bundle(draft(), findings=found_in("No pneumothorax. Possible severe left effusion."))["Observation"]

    said = {one["code"]["text"]: one["valueCodeableConcept"]["coding"][0]["display"] for one in observed}
    assert said["Pneumothorax"] == "Absent"
    assert said["Pleural effusion"] == "Undetermined"
    assert {one["status"] for one in observed} == {"preliminary"}
    assert {one["meta"]["security"][0]["code"] for one in observed} == {"AIAST"}
    effusion = next(one for one in observed if one["code"]["text"] == "Pleural effusion")
    assert [one["valueCodeableConcept"]["text"] for one in effusion["component"]] == ["Left", "Severe"]


def test_no_request_stands_twice_in_a_transaction() -> None:
    findings = found_in("Effusion. No pneumothorax. Nodule. Mass. Otherwise normal.")
    entries = json.loads(build_fhir(draft(), SITE, CONFIG, findings=findings))["entry"]

    requests = [entry["request"]["url"] + entry["request"].get("ifNoneExist", "") for entry in entries]
    assert len(requests) == len(set(requests)) > 5


def test_observation_that_is_no_longer_said_is_cancelled_and_leaves_the_report() -> None:
    now, before = found_in("No pneumothorax."), found_in("No pneumothorax. Effusion.")

    made = bundle(signed(draft()), findings=now, formerly=before)

    states = {one["code"]["text"]: one["status"] for one in made["Observation"]}
    assert states["Pneumothorax"] == "final"
    assert states["Pleural effusion"] == "cancelled"
    assert len(made["DiagnosticReport"][0]["result"]) < len(made["Observation"])


def test_patient_is_looked_up_and_never_made_unless_asked() -> None:
    made = bundle(draft(ordered_cr()))
    asked = FhirSite(create_patient=True)
    created = resources(
        build_fhir(
            draft(in_charset("korean", IssuerOfPatientID="H")),
            FhirSite(patient_systems={"H": "https://h.example"}, create_patient=True),
            CONFIG,
        )
    )

    assert "Patient" not in made
    assert made["DiagnosticReport"][0]["subject"]["reference"] == "Patient?identifier=urn%3Aoid%3A1.2.3%7CEX-0001"
    assert asked.create_patient
    (patient,) = created["Patient"]
    assert [(one["family"], one["given"]) for one in patient["name"]] == [
        ("Hong", ["Gildong"]),
        ("洪", ["吉洞"]),
        ("홍", ["길동"]),
    ]
    assert [one["extension"][0]["valueCode"] for one in patient["name"]] == ["ABC", "IDE", "SYL"]


def test_issuer_without_a_system_is_an_error_and_never_a_guess() -> None:
    with pytest.raises(NoIdentifierSystem, match="patient_systems"):
        build_fhir(draft(), FhirSite(), CONFIG)
    with pytest.raises(NoIdentifierSystem):
        build_fhir(draft(film(IssuerOfPatientID="OTHER")), SITE, CONFIG)


@pytest.mark.parametrize("charset", ["arabic", "chinese-gb18030", "korean"])
def test_names_of_every_script_arrive(charset: str) -> None:
    site = FhirSite(patient_systems=SITE.patient_systems, create_patient=True)
    (patient,) = resources(build_fhir(draft(in_charset(charset)), site, CONFIG))["Patient"]

    written = "=".join(f"{one['family']}^{one['given'][0]}" for one in patient["name"])
    assert written == CHARSETS[charset][1]


def test_study_and_order_are_those_of_the_images() -> None:
    made = bundle(draft(ordered_cr()))
    (study,) = made["ImagingStudy"]
    (diagnostic,) = made["DiagnosticReport"]

    assert study["identifier"][0]["value"] == "urn:oid:1.2.826.0.1.3680043.10.999.1"
    assert study["series"][0]["modality"]["code"] == "CR"
    assert study["started"] == diagnostic["effectiveDateTime"] == "2025-03-01T10:15:00+09:00"
    numbers = {
        one["identifier"]["type"]["coding"][0]["code"]: one["identifier"]["value"] for one in diagnostic["basedOn"]
    }
    assert numbers == {"ACSN": "ACC0001", "FILL": "FILL-9"}


def test_time_without_an_offset_is_left_out_and_not_guessed() -> None:
    assert report(draft())["effectiveDateTime"] == "2025-03-01"
    assert "effectiveDateTime" not in report(draft(film(StudyDate=None)))


def test_same_master_gives_the_same_bytes() -> None:
    assert build_fhir(draft(), SITE, CONFIG) == build_fhir(draft(), SITE, CONFIG)
