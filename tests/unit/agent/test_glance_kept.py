"""Drafting keeps beside each report what the worklist page shows of it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from dicom_node.database import Database
from reports.glance import Glance, Urgency, unmarked
from reports.signoff.tables import Decision, Verdict
from reports.text import DraftText
from tests.harness.installation import install
from tests.unit.agent.desk_of_readers import RITA, TOM, add, service, sign
from tests.unit.agent.ward import Ward, now
from tests.unit.reports import films


def test_draft_leaves_its_findings_and_its_film_beside_the_report(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'node.db'}")
    install(database)
    ward = Ward(tmp_path, database)
    ward.peer()
    ward.receive(films.film(StationName="ROOM7", ViewPosition="AP"))
    report = ward.draft(
        text="FINDINGS: There is a large left pneumothorax. The heart is enlarged.\nIMPRESSION: See above."
    )

    with database.read() as tx:
        kept = tx.scalars(select(Glance)).one()
    database.close()

    assert kept.report_id == report.id
    assert (kept.modality, kept.view, kept.station) == ("DX", "AP", "ROOM7")
    assert kept.urgency == Urgency.CRITICAL
    assert set(unmarked(kept.present)) >= {"Pneumothorax", "Cardiomegaly"}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_row_says_what_a_person_signed_and_the_draft_again_where_that_lapsed(ward: Ward) -> None:
    ward.peer()
    ward.receive(films.film(StationName="ROOM7"))
    ward.draft(text="FINDINGS: There is a large left pneumothorax.\nIMPRESSION: Pneumothorax.")
    assert says(ward) == (Urgency.CRITICAL, ("Pneumothorax",), "ROOM7")

    sign(ward, TOM, DraftText("No pneumothorax.", "Normal."))
    assert says(ward) == (Urgency.PLAIN, (), "ROOM7")
    service(ward).send_back(ward.report().id, RITA, "Look at the left apex.", now())
    assert says(ward) == (Urgency.CRITICAL, ("Pneumothorax",), "ROOM7")

    sign(ward, RITA, DraftText("No pneumothorax. There is a rib fracture.", "Fracture."))
    assert says(ward) == (Urgency.PLAIN, ("Fracture",), "ROOM7")
    words = "There is pulmonary edema."
    add(ward, RITA, words, now() + timedelta(minutes=1))
    assert says(ward) == (Urgency.NOTABLE, ("Edema", "Fracture"), "ROOM7")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_correcting_addendum_counts_in_the_worklist_and_in_live_evaluation(ward: Ward) -> None:
    ward.peer()
    ward.receive(films.film(StationName="ROOM7"))
    ward.draft(text="FINDINGS: There is a large left pneumothorax.\nIMPRESSION: Pneumothorax.")
    sign(ward, RITA, DraftText("There is a large left pneumothorax.", "Pneumothorax."))
    assert says(ward) == (Urgency.CRITICAL, ("Pneumothorax",), "ROOM7")

    add(ward, RITA, "CORRECTION: There is no pneumothorax. The line is a skin fold.", now() + timedelta(minutes=1))
    assert says(ward) == (Urgency.PLAIN, (), "ROOM7")
    decision = ward.ask(lambda tx: tx.scalars(select(Decision)).one())
    assert json.loads(decision.drafted) == {"Pneumothorax": "present"}
    assert json.loads(decision.signed) == {"Pneumothorax": "absent"}
    assert decision.verdict is Verdict.ACCEPTED


def says(ward: Ward) -> tuple[Urgency, tuple[str, ...], str]:
    row = ward.ask(lambda tx: tx.scalars(select(Glance)).one())
    return Urgency(row.urgency), tuple(sorted(unmarked(row.present))), row.station
