"""`wetread report show` of a study that was signed: the newest document, and how it came to that."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from agent.cli import wetread
from dicom_node.database import Database
from reports.signoff.tables import Decision, SignedDocument
from reports.tables import ReportState
from tests.harness.installation import install
from tests.unit.agent.desk_of_readers import CARL, EDITED, RITA, add, service, sign
from tests.unit.agent.ward import Ward, now


@pytest.fixture
def signed(tmp_path: Path) -> Ward:
    """A study with a signed report and two addenda."""
    database = Database(f"sqlite:///{tmp_path / 'wetread.db'}")
    install(database)
    (tmp_path / "wetread.toml").write_text(f'[node]\ndata_folder = "{tmp_path}"\n')
    ward = Ward(tmp_path, database)
    ward.study_with_draft()
    sign(ward)
    add(ward, CARL, "Compared with the CT.", now() + timedelta(minutes=1))
    add(ward, RITA, "No change.", now() + timedelta(minutes=2))
    return ward


def show(ward: Ward, *options: str, code: int = 0) -> str:
    done = CliRunner().invoke(wetread, ["--config", str(ward.folder / "wetread.toml"), "report", "show", "1", *options])
    assert done.exit_code == code, done.output
    return done.output


def test_a_chain_of_three_is_readable(signed: Ward) -> None:
    head, *lines = show(signed).splitlines()
    assert head.startswith("VERIFIED since ")
    assert lines[0] == "Document 0: draft"
    assert [line.split(", ")[0] for line in lines[1:4]] == [
        "Document 1: signed by rita",
        "Document 2: addendum by carl",
        "Document 3: addendum by rita",
    ]
    assert all(line.endswith(end) for line, end in zip(lines[1:4], ("UTC", "after 1", "after 2 (shown)"), strict=True))
    for words in (EDITED.findings, "Compared with the CT.", "No change."):
        assert words in "\n".join(lines)


def test_each_of_its_documents_can_be_shown(signed: Ward) -> None:
    assert EDITED.findings not in show(signed, "--document", "0")
    first, second = show(signed, "--document", "1"), show(signed, "--document", "2")
    assert EDITED.findings in first
    assert ("Compared with the CT." in first, "Compared with the CT." in second) == (False, True)
    plain = json.loads(show(signed, "--document", "1", "--json"))
    assert plain["flags"]["VerificationFlag"] == "VERIFIED"
    assert plain["documents"][1].endswith("(shown)")


def test_a_document_that_there_is_not_is_said_so(signed: Ward) -> None:
    done = CliRunner().invoke(
        wetread, ["--config", str(signed.folder / "wetread.toml"), "report", "show", "1", "--document", "7"]
    )
    assert done.exit_code != 0
    assert "there are: 1, 2, 3, and 0 for the draft" in str(done.exception) + done.output


def test_the_draft_behind_a_signed_report_says_first_where_that_is(signed: Ward) -> None:
    config = str(signed.folder / "wetread.toml")
    shown = CliRunner().invoke(wetread, ["--config", config, "study", "show", "1", "--text"]).output
    assert shown.startswith("This is the AI draft, which a signed report has replaced.")
    assert shown.splitlines()[0].endswith("wetread report show '#1'")
    assert shown.splitlines()[1].startswith("VERIFIED since ")


def test_what_was_withdrawn_says_so_first(signed: Ward) -> None:
    service(signed).withdraw(1, CARL, "Wrong patient.", now())
    shown = show(signed)
    assert shown.splitlines()[0].startswith("WITHDRAWN ")
    assert "do not use" in shown.splitlines()[0]


def test_a_withdrawal_by_command_is_counted_as_one_on_the_page_is(signed: Ward) -> None:
    config = str(signed.folder / "wetread.toml")
    done = CliRunner().invoke(wetread, ["--config", config, "report", "withdraw", "#1", "--reason", "Wrong."])
    assert done.exit_code == 0, done.output
    assert signed.report().state is ReportState.WITHDRAWN
    with signed.database.read() as tx:
        assert tx.scalars(select(Decision)).one().withdrawn_at is not None
        assert None not in tx.scalars(select(SignedDocument.ended_at)).all()
