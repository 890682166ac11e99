"""`wetread rule`: what an administrator types, reads, and tries before it counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agent import health
from agent.cli import wetread
from agent.config import Config
from agent.routing import Router
from dicom_node import peers, worklist
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.errors import WetreadError
from tests.harness.installation import install
from tests.unit.agent.ward import Ward, as_file, now
from tests.unit.reports import films


class Counter:
    """An administrator's terminal beside a ward."""

    def __init__(self, folder: Path) -> None:
        data = folder / "data"
        data.mkdir()
        self.folder = folder
        self.file = folder / "wetread.toml"
        self.file.write_text(f'[node]\ndata_folder = "{data}"\n[reports]\ntime_zone = "Asia/Seoul"\n')
        database = Database(Config(node=NodeConfig(data_folder=data)).node.database_url)
        install(database)
        self.ward = Ward(data, database)

    def type(self, *words: str | Path) -> Result:
        return CliRunner().invoke(wetread, ["--config", str(self.file), "rule", *map(str, words)])

    def tell(self, *words: str | Path, code: int = 0) -> str:
        result = self.type(*words)
        assert result.exit_code == code, (result.output, result.exception)
        return result.stdout

    def ask(self, *words: str | Path, code: int = 0) -> Any:
        return json.loads(self.tell(*words, "--json", code=code))

    def refuse(self, *words: str | Path) -> str:
        error = self.type(*words).exception
        assert isinstance(error, WetreadError)
        return str(error)

    def film(self, name: str = "film.dcm", **changes: Any) -> Path:
        path = self.folder / name
        path.write_bytes(as_file(films.film(**changes)))
        return path

    def complete(self) -> None:
        self.ward.do(lambda tx: worklist.complete_studies(tx, now(), quiet=timedelta(), deadline=timedelta(), ask=True))
        Router(self.ward.desk).step()


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Counter]:
    at_work = Counter(tmp_path)
    yield at_work
    assert at_work.ward.problems() == ()
    at_work.ward.database.close()


def test_a_rule_from_its_first_line_to_its_end(counter: Counter) -> None:
    assert "no rule" in counter.tell("list")
    counter.tell("add", "er", "--when", "calling_ae ~ ^ER_", "--priority", "stat", "--owner", "Dr. Kim")
    counter.tell("add", "rest", "--priority", "backlog")
    counter.tell("add", "top", "--exclude", "closed today", "--before", "er")
    counter.tell("disable", "top")
    counter.tell("edit", "er", "--when", "calling_ae = ER_1", "--when", "age >= 18Y")
    shown = counter.tell("list")
    names = [row["name"] for row in counter.ask("list")]
    assert names == ["top", "er", "rest"]
    assert "calling_ae = ER_1 and age >= 18Y" in shown
    assert "exclude: closed today" in shown
    assert "Dr. Kim" in shown
    assert (counter.ask("show", "er")["version"], counter.ask("show", "er")["priority"]) == (2, "stat")
    assert counter.tell("show", "er").startswith('# version 2\n[[rules]]\nname = "er"\n')

    counter.tell("enable", "top")
    counter.tell("move", "top")
    counter.tell("remove", "rest")
    assert [row["name"] for row in counter.ask("list")] == ["er", "top"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("add", "a", "--when", "Modalty = DX"), "Modalty"),
        (("add", "a", "--to", "PCAS"), "PCAS"),
        (("add", "a", "--reader", "oracle"), "oracle"),
        (("add", "a", "--exclude", "x", "--priority", "stat"), "exclude"),
        (("edit", "nobody", "--priority", "stat"), "nobody"),
        (("test", "missing.dcm"), "does not exist"),
        (("test", "--since", "soon"), "24h"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(counter: Counter, words: tuple[str, ...], told: str) -> None:
    assert told in counter.refuse(*words)


def test_a_dropped_file_shows_each_condition_with_its_answer(counter: Counter) -> None:
    counter.tell("add", "night", "--when", "time in 22:00..06:00", "--when", "calling_ae = ER_1", "--priority", "stat")
    film = counter.film()

    shown = counter.tell("test", film, "--from", "ER_1", "--at", "2026-11-22T03:00")
    assert "night: matches" in shown
    assert "yes     time in 22:00..06:00" in shown
    (by_day,) = counter.ask("test", film, "--from", "ER_1", "--at", "2026-11-22T12:00")
    assert (by_day["rule"], by_day["priority"]) == ("", "routine")
    assert [one["holds"] for one in by_day["rules"][0]["conditions"]] == [False, True]


def test_files_of_one_study_are_one_study(counter: Counter) -> None:
    counter.tell("add", "pair", "--when", "images = 2", "--priority", "stat")
    first, second = counter.film(), counter.film("second.dcm", SOPInstanceUID=f"{films.FILM}.2")
    other = counter.film("other.dcm", StudyInstanceUID="1.2.3")

    found = counter.ask("test", first, second, other)
    assert [(one["subject"], one["rule"]) for one in found] == [("film.dcm, second.dcm", "pair"), ("other.dcm", "")]


def test_a_dropped_file_without_a_character_set_is_read_in_the_one_assumed(counter: Counter) -> None:
    counter.file.write_text(counter.file.read_text() + 'assume_charset = "ISO_IR 144"\n')
    counter.tell("add", "district", "--when", "InstitutionName = Больница")
    hospital = "Больница".encode("iso8859_5").decode("latin-1")
    film = counter.film(SpecificCharacterSet=None, InstitutionName=hospital)
    (trial,) = counter.ask("test", film)
    assert trial["rule"] == "district"


def test_a_rule_that_cannot_be_asked_is_told_with_exit_code_1(counter: Counter) -> None:
    counter.tell("add", "site", "--when", "InstitutionName = City", "--exclude", "x")
    result = counter.type("test", counter.film())

    assert result.exit_code == 1
    assert "untold  InstitutionName = City  (InstitutionName is absent)" in result.stdout
    assert "rule site cannot be asked" in result.stderr


def test_a_file_that_is_no_dicom_is_said_so(counter: Counter) -> None:
    path = counter.folder / "letter.txt"
    path.write_text("dear colleague")

    assert "letter.txt is no DICOM file" in counter.refuse("test", path)


def test_the_last_hours_under_a_draft_that_nobody_applied(counter: Counter) -> None:
    counter.tell("add", "dx", "--when", "Modality = DX", "--priority", "stat")
    counter.ward.receive(films.film())
    counter.ward.receive(films.film(StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.3.1", Modality="CR"))
    counter.complete()
    draft = counter.folder / "draft.toml"
    draft.write_text('[[rules]]\nname = "cr"\nwhen = ["Modality = CR"]\nexclude = "other site"\n')

    before = counter.ask("test", "--since", "24h")
    assert [(one["subject"], one["then"], one["rule"]) for one in before] == [("#1", "dx", "dx"), ("#2", "", "")]
    shown = counter.tell("test", "--since", "24h", "--rules", draft)
    assert "2 studies; 2 would be decided by another rule than then" in shown
    assert "excluded: other site" in shown
    assert [row["name"] for row in counter.ask("list")] == ["dx"], "a trial changed the rules"


def test_a_draft_that_could_not_be_applied_is_not_tried(counter: Counter) -> None:
    draft = counter.folder / "draft.toml"
    draft.write_text('[[rules]]\nname = "cr"\nwhen = ["Modality = CR"]\nto = ["NOWHERE"]\n')
    for line in (("test", "--since", "24h", "--rules", draft), ("apply", "--dry-run", draft)):
        assert "no destination is named 'NOWHERE'" in counter.refuse(*line)


def test_export_and_apply(counter: Counter) -> None:
    counter.tell("add", "er", "--when", "calling_ae ~ ^ER_", "--priority", "stat")
    file = counter.folder / "rules.toml"
    file.write_text(counter.tell("export"))
    assert counter.tell("apply", file) == "no change\n"

    file.write_text('[[rules]]\nname = "new"\npriority = "backlog"\n')
    assert counter.tell("apply", file, "--prune", "--dry-run").splitlines() == [
        "added    new  priority = backlog",
        "removed  er",
    ]
    assert [row["name"] for row in counter.ask("list")] == ["er"]
    counter.tell("apply", file, "--prune")
    assert [row["name"] for row in counter.ask("list")] == ["new"]


def test_a_study_shows_which_rule_decided_and_what_completed_it(counter: Counter) -> None:
    counter.tell("add", "er", "--priority", "stat")
    counter.ward.receive(films.film())
    counter.complete()
    show = ["--config", str(counter.file), "study", "show", "1"]
    shown = CliRunner().invoke(wetread, show, catch_exceptions=False).stdout

    assert "completed by         quiet\n" in shown
    assert "routed by            rule er, version 1; priority stat\n" in shown
    assert json.loads(CliRunner().invoke(wetread, [*show, "--json"]).stdout)["completed_by"] == "quiet"


def test_check_tells_of_rules_that_send_studies_nowhere(counter: Counter) -> None:
    counter.ward.peer("PACS")
    counter.tell("add", "gone", "--to", "PACS")
    counter.ward.do(lambda tx: peers.remove(tx, "PACS", now=now(), actor="person:a"))
    found = [one for one in health.findings(Config(node=counter.ward.desk.config.node)) if one.subject == "rule gone"]

    assert [(one.verdict, "no destination is named 'PACS'" in one.words) for one in found] == [("wrong", True)]


def test_a_person_completes_and_reprocesses(counter: Counter) -> None:
    counter.ward.receive(films.film())
    words = ["--config", str(counter.file), "study"]

    done = CliRunner().invoke(wetread, [*words, "complete", "#1"])
    assert "revision 1 is complete" in done.stdout
    Router(counter.ward.desk).step()
    counter.ward.draft(counter.ward.claim())
    again = CliRunner().invoke(wetread, [*words, "reprocess", "#1", "--no-rules"])
    assert "revision 2 is complete" in again.stdout
