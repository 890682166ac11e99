"""Drafting keeps beside each report what the worklist page shows of it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from agent import schema
from dicom_node.database import Database
from reports.glance import Glance, Urgency, unmarked
from tests.unit.agent.ward import Ward
from tests.unit.reports import films


def test_draft_leaves_its_findings_and_its_film_beside_the_report(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'node.db'}")
    schema.upgrade(database)
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
