"""`wetread report withdraw`: what a person types, and what becomes of the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import Surroundings
from agent.commands.withdraw import withdraw
from dicom_node.database import Database
from dicom_node.errors import NotFound, WrongState
from dicom_node.kinds import Stage
from reports.objects import tree
from reports.tables import Event, ReportState
from tests.harness.installation import install
from tests.unit.agent.ward import Ward
from tests.unit.reports import films


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    """With a configuration file that the command reads."""
    database = Database(f"sqlite:///{tmp_path / 'wetread.db'}")
    install(database)
    (tmp_path / "wetread.toml").write_text(f'[node]\ndata_folder = "{tmp_path}"\n')
    return Ward(tmp_path, database)


def typed(ward: Ward, *arguments: str) -> Result:
    surroundings = Surroundings(ward.folder / "wetread.toml")
    return CliRunner().invoke(withdraw, list(arguments), obj=surroundings)


@pytest.mark.parametrize(
    ("options", "event", "stage"),
    [
        ((), Event.WITHDRAWN, Stage.REJECTION),
        (("--safety",), Event.WITHDRAWN_FOR_SAFETY, Stage.WITHDRAWAL),
    ],
)
def test_the_report_is_withdrawn_and_its_destination_told(
    ward: Ward, options: tuple[str, ...], event: Event, stage: Stage
) -> None:
    ward.peer()
    ward.study_with_draft()
    ward.deliver()

    done = typed(ward, "#1", "--reason", "The wrong film was read.", *options)

    assert done.exit_code == 0, done.output
    assert "report withdrawn" in done.output
    assert (ward.report().state, ward.report().event) == (ReportState.WITHDRAWN, event)
    ward.recaller.step()
    (note,) = ward.deliver()
    assert note.stage is stage
    assert "The wrong film was read." in tree.section_text(ward.document(note))
    assert ward.problems() == ()


def test_what_is_over_cannot_be_withdrawn(ward: Ward) -> None:
    ward.study_with_draft()
    typed(ward, films.STUDY, "--reason", "Once.")
    again = typed(ward, films.STUDY, "--reason", "Twice.")
    assert isinstance(again.exception, WrongState)
    assert ward.report().explanation == "Once."


def test_a_study_without_a_report_is_said_so(ward: Ward) -> None:
    ward.receive(films.film())
    assert isinstance(typed(ward, "#1", "--reason", "Why not.").exception, NotFound)


@pytest.mark.parametrize("reason", ["", " ", "...", "\x00\x07"])
def test_a_reason_needs_words(ward: Ward, reason: str) -> None:
    ward.study_with_draft()
    assert typed(ward, "#1", "--reason", reason).exit_code == 2
    assert ward.report().state is ReportState.DRAFT
