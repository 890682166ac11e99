"""`wetread report outcomes`: what became of each draft, in the columns that a webhook gets."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update

from agent.cli import wetread
from dicom_node.database import Database
from dicom_node.errors import StoreAway
from dicom_node.files import read_document, stored_path
from dicom_node.kinds import Kind
from dicom_node.tables import Way
from reports.messages.outcome import COLUMNS
from reports.signoff.reasons import Reason
from reports.tables import Report
from tests.harness.installation import install
from tests.unit.agent.desk_of_readers import RITA, ready, service, sign
from tests.unit.agent.ward import Ward, now


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    """One study with a draft; a webhook is told of it."""
    database = Database(f"sqlite:///{tmp_path / 'wetread.db'}")
    install(database)
    (tmp_path / "wetread.toml").write_text(f'[node]\ndata_folder = "{tmp_path}"\n')
    ward = Ward(tmp_path, database)
    ward.service("HOOK", Way.WEBHOOK)
    ward.study_with_draft()
    return ward


def run(ward: Ward, *options: str) -> Result:
    return CliRunner().invoke(wetread, ["--config", str(ward.folder / "wetread.toml"), "report", "outcomes", *options])


def told(ward: Ward) -> dict[str, Any]:
    done = run(ward, "--json")
    assert done.exit_code == 0, done.output
    (one,) = json.loads(done.stdout)
    return dict(one)


def of_the_webhook(ward: Ward) -> dict[str, Any]:
    """The newest fact that the webhook got, or will get."""
    newest = [one for one in ward.deliveries() if one.kind is Kind.OUTCOME][-1]
    return dict(json.loads(read_document(ward.desk.config.node.store_folder, newest.digest)))


def same_fact(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Moments may be seconds apart: of the document, or of the books."""
    moments = {"at", "drafted_at"}
    return {name: value for name, value in one.items() if name not in moments} == {
        name: value for name, value in other.items() if name not in moments
    }


def test_a_draft_is_told_of_as_the_webhook_was_told_at_each_step(ward: Ward) -> None:
    assert told(ward)["result"] == "drafted"
    assert same_fact(told(ward), of_the_webhook(ward))
    ward.deliver()

    sign(ward)
    signed = told(ward)
    assert (signed["result"], signed["words_kept"] < signed["words_signed"]) == ("modified", True)
    assert same_fact(signed, of_the_webhook(ward))
    ward.deliver()

    done = CliRunner().invoke(
        wetread, ["--config", str(ward.folder / "wetread.toml"), "report", "withdraw", "#1", "--reason", "Wrong film."]
    )
    assert done.exit_code == 0, done.output
    ward.recaller.step()
    withdrawn = told(ward)
    assert (withdrawn["result"], withdrawn["reason"], withdrawn["signed_uid"]) == ("withdrawn", "withdrawn", "")
    assert same_fact(withdrawn, of_the_webhook(ward))


def test_no_draft_is_left_out_because_the_store_is_away(ward: Ward) -> None:
    store = ward.desk.config.node.store_folder
    store.rename(ward.folder / "away")
    done = run(ward, "--csv")
    assert (type(done.exception), done.stdout) == (StoreAway, "")


def test_a_rejected_draft_has_its_reason(ward: Ward) -> None:
    opened = ready(ward)
    service(ward).reject(opened.report_id, RITA, Reason.INVENTED_FINDING, "", now())
    rejected = told(ward)
    assert (rejected["result"], rejected["reason"]) == ("rejected", "invented-finding")


def test_csv_has_the_documented_columns_and_nothing_of_patient_or_text(ward: Ward) -> None:
    sign(ward)
    done = run(ward, "--csv")
    assert done.exit_code == 0, done.output
    header, row = csv.reader(io.StringIO(done.stdout))
    assert tuple(header) == COLUMNS
    assert dict(zip(header, row, strict=True))["result"] == "modified"
    assert all(word not in done.stdout for word in ("Example", "EX-0001", "effusion", "rita"))


def test_the_table_is_for_people_and_older_ones_are_left_out(ward: Ward) -> None:
    assert "ACC0001" in run(ward).stdout
    with ward.database.write() as tx:
        tx.execute(update(Report).values(changed_at=now() - timedelta(days=40)))
    assert run(ward).stdout == "no draft was written or decided about in that time\n"
    assert "drafted" in run(ward, "--since", "60d").stdout
    assert json.loads(run(ward, "--json").stdout) == []


def test_a_lost_document_is_counted_and_a_contradiction_refused(ward: Ward) -> None:
    stored_path(ward.desk.config.node.store_folder, ward.report().digest).unlink()
    done = run(ward, "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, [])
    assert "1 draft is left out: its document is lost" in done.stderr
    assert run(ward, "--json", "--csv").exit_code == 2
    assert run(ward, "--since", "soon").exit_code != 0
