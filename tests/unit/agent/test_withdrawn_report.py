"""A withdrawn report is nowhere described as never delivered, or shown as if it still counted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli import Surroundings
from agent.commands.report import report
from agent.commands.study import study
from dicom_node.database import Database
from tests.harness.installation import install
from tests.unit.agent.ward import Ward

STATE = re.compile(r"WITHDRAWN \d{4}-\d\d-\d\d \d\d:\d\d UTC: the wrong film - do not use")


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    database = Database(f"sqlite:///{tmp_path / 'wetread.db'}")
    install(database)
    (tmp_path / "wetread.toml").write_text(f'[node]\ndata_folder = "{tmp_path}"\n')
    made = Ward(tmp_path, database)
    made.peer()
    made.study_with_draft()
    made.deliver()
    return made


def tell(ward: Ward, *arguments: str) -> str:
    """What a command prints, on both streams."""
    group = {"report": report, "study": study}[arguments[0]]
    done = CliRunner().invoke(group, list(arguments[1:]), obj=Surroundings(ward.folder / "wetread.toml"))
    assert done.exit_code == 0, done.output
    return done.output


def withdraw(ward: Ward) -> None:
    tell(ward, "report", "withdraw", "#1", "--reason", "the wrong film")
    ward.recaller.step()
    ward.deliver()


def test_where_it_was_is_said_once_it_is_taken_back(ward: Ward) -> None:
    withdraw(ward)

    shown = tell(ward, "study", "show", "1")

    assert "No longer valid: the wrong film. It was in PACS; taken back there (note accepted by PACS)." in shown
    assert "The objects stay in a PACS that does not know rejection notes." in shown
    assert "Nothing was delivered" not in shown
    assert "No longer valid: the wrong film. It was in PACS" in tell(ward, "study", "list")


def test_its_text_begins_with_its_state(ward: Ward) -> None:
    assert tell(ward, "report", "show", "1").startswith("DRAFT since ")
    withdraw(ward)

    for arguments in (
        ("report", "show", "1"),
        ("report", "render", "1", "--to", "text"),
        ("study", "show", "1", "--text"),
    ):
        assert STATE.fullmatch(tell(ward, *arguments).splitlines()[0]), arguments
    assert STATE.fullmatch(json.loads(tell(ward, "report", "show", "1", "--json"))["state"])


def test_its_page_and_its_file_say_so(ward: Ward, tmp_path: Path) -> None:
    withdraw(ward)

    page = tell(ward, "report", "render", "1", "--to", "html")
    said = tell(ward, "study", "show", "1", "--export", str(tmp_path / "draft.dcm"))

    assert re.search(rf'<div class="banner" role="alert">\n<p class="loud">{STATE.pattern}</p>', page)
    assert STATE.search(said)
