"""`wetread user` and `wetread token`: links that work, passwords that are never printed, exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from agent.cli import wetread
from agent.config import Config
from agent.pages import make_pages
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.errors import ConfigurationError, NotFound, WrongState
from dicom_node.tables import AuditRow
from tests.harness.installation import empty_database
from tests.harness.people import browser

PASSWORD = "violet tractor under glass"


class Desk:
    def __init__(self, folder: Path) -> None:
        (folder / "wetread.db").write_bytes(empty_database())
        self.config_file = folder / "wetread.toml"
        self.config_file.write_text(f'[node]\ndata_folder = "{folder}"\n[web]\nport = 8765\n')
        self.config = Config(node=NodeConfig(data_folder=folder, reserve_mebibytes=1))
        self.database = Database(self.config.node.database_url)

    def run(self, *words: str, stdin: str = "") -> Result:
        return CliRunner().invoke(wetread, ["--config", str(self.config_file), *words], input=stdin)

    def tell(self, *words: str, stdin: str = "") -> str:
        result = self.run(*words, stdin=stdin)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    def refused(self, *words: str, stdin: str = "") -> Exception:
        result = self.run(*words, stdin=stdin)
        assert isinstance(result.exception, Exception), result.output
        return result.exception

    def users(self) -> dict[str, dict[str, object]]:
        return {one["login"]: one for one in json.loads(self.tell("user", "list", "--json"))}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    at_work = Desk(tmp_path)
    yield at_work
    at_work.database.close()


def test_the_first_link_opens_the_door_and_then_there_is_no_second(desk: Desk) -> None:
    printed = desk.run("user", "first")
    link = printed.stdout.strip()
    client = browser(make_pages(desk.config, desk.database))
    typed = {"login": "boss", "name": "Boss^A", "password": PASSWORD, "password_again": PASSWORD}

    assert re.fullmatch(r"http://127\.0\.0\.1:8765/welcome/[\w-]{43}", link)
    assert "good once" in printed.stderr
    assert client.post(link.removeprefix("http://127.0.0.1:8765"), data=typed).status_code == 303
    assert desk.users()["boss"]["roles"] == ["administrator"]
    refused = desk.refused("user", "first")
    assert isinstance(refused, WrongState)
    assert "wetread user first --again" in str(refused)
    assert "/welcome/" in desk.tell("user", "first", "--again")


def test_a_person_is_invited_and_listed(desk: Desk) -> None:
    words = ("--name", "Kim^Minjun", "--role", "radiologist", "--organization", "X", "--identifier", "7")
    printed = desk.tell("user", "add", "Kim", *words, "--scheme", "99H")

    assert "/welcome/" in printed
    assert desk.users()["kim"] | {"created_at": "", "changed_at": ""} == {
        "login": "kim",
        "name": "Kim^Minjun",
        "roles": ["radiologist"],
        "organization": "X",
        "identifier": "7",
        "scheme": "99H",
        "state": "invited",
        "has_pin": False,
        "created_at": "",
        "changed_at": "",
    }
    assert "Kim^Minjun" in desk.tell("user", "list")


def test_a_script_gives_a_password_by_the_standard_input_and_it_is_printed_nowhere(desk: Desk) -> None:
    words = ("user", "add", "kim", "--name", "Kim^A", "--role", "auditor", "--password-stdin")
    printed = desk.run(*words, stdin=f"{PASSWORD}\n")

    assert printed.exit_code == 0
    assert PASSWORD not in printed.output
    client = browser(make_pages(desk.config, desk.database))
    assert client.post("/sign-in", data={"login": "kim", "password": PASSWORD}).status_code == 303
    assert "seven" not in desk.tell("user", "reset", "kim", "--password-stdin", stdin="seven green umbrellas\r\n")
    assert client.get("/account").status_code == 303
    assert client.post("/sign-in", data={"login": "kim", "password": "seven green umbrellas"}).status_code == 303
    assert len(json.loads(desk.tell("user", "sessions", "kim", "--json"))) == 1
    assert re.search(r"1 session\b", desk.tell("user", "sign-out", "kim"))


def test_weak_passwords_and_wrong_words_are_refused(desk: Desk) -> None:
    add = ("user", "add", "kim", "--name", "Kim^A", "--role")

    assert isinstance(desk.refused(*add, "auditor", "--password-stdin", stdin="short\n"), ConfigurationError)
    assert isinstance(desk.refused(*add, "radiologist"), ConfigurationError)  # no organization
    assert desk.run(*add, "service").exit_code == 2
    assert desk.users() == {}
    for command in ("edit", "disable", "enable", "reset", "sessions", "sign-out"):
        words = ("--role", "auditor") if command == "edit" else ()
        assert isinstance(desk.refused("user", command, "nobody", *words), NotFound), command


def test_people_are_changed_switched_off_and_on(desk: Desk) -> None:
    desk.tell("user", "add", "kim", "--name", "Kim^A", "--role", "auditor")
    desk.tell("user", "edit", "kim", "--role", "trainee", "--role", "auditor", "--organization", "Y")
    assert desk.users()["kim"]["roles"] == ["auditor", "trainee"]
    assert desk.users()["kim"]["name"] == "Kim^A"
    desk.tell("user", "disable", "KIM")
    assert desk.users()["kim"]["state"] == "disabled"
    desk.tell("user", "enable", "kim")
    assert desk.users()["kim"]["state"] == "invited"
    assert "what to change" in str(desk.refused("user", "edit", "kim"))
    with desk.database.read() as tx:
        events = [row.event for row in tx.scalars(select(AuditRow).order_by(AuditRow.id))]
    assert events == ["user-added", "link-made", "user-edited", "roles-changed", "user-disabled", "user-enabled"]


def test_nobody_is_told_what_to_type_for_the_first_time(desk: Desk) -> None:
    assert "wetread user first" in desk.tell("user", "list")
    assert "no program" in desk.tell("token", "list")


def test_a_token_lets_a_program_in_until_it_is_removed(desk: Desk) -> None:
    desk.tell("user", "add", "kim", "--name", "Kim^A", "--role", "auditor")
    token = desk.tell("token", "add", "ris", "--scope", "see", "--days", "30").strip()
    client = browser(make_pages(desk.config, desk.database))
    shown = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    assert token.startswith("wetread_")
    assert client.get("/peers", headers=shown).status_code == 200
    assert client.get("/users", headers=shown).status_code == 403
    listed = json.loads(desk.tell("token", "list", "--json"))
    assert [(one["service"], one["scopes"]) for one in listed] == [("ris", ["see"])]
    assert listed[0]["used_at"] is not None
    assert token not in desk.tell("token", "list")
    assert isinstance(desk.refused("token", "add", "ris", "--scope", "see"), ConfigurationError)
    desk.tell("token", "remove", "ris")
    assert client.get("/peers", headers=shown).status_code == 401
    assert isinstance(desk.refused("token", "remove", "ris"), NotFound)
    assert json.loads(desk.tell("token", "add", "x", "--scope", "audit", "--json"))["scopes"] == ["audit"]
    assert desk.run("token", "add", "y", "--scope", "sign").exit_code == 2


@pytest.mark.parametrize("command", ["user", "token"])
def test_help_shows_lines_to_type(desk: Desk, command: str) -> None:
    assert f"wetread {command} add" in desk.tell(command, "--help")
