"""The site file: what it exports it applies without a change, and what it applies it says."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from agent import site
from agent.cli import Surroundings
from agent.commands.apply import apply, export
from agent.config import read_config
from dicom_node import endpoints, peers
from dicom_node.database import Database, clock
from dicom_node.declared import PeerForm, ServiceForm
from dicom_node.errors import ConfigurationError
from dicom_node.tables import AuditRow, Endpoint, Mode, RemoteAE, Retrieve
from tests.harness.installation import install

SITE = """
[[peers]]
ae_title = "PACS"
host = "10.0.0.5"
port = 104
may_send = true
send_to = true
calls_from = "10.0.0.5,10.1.0.0/16"
maximum_associations = 5
tls = true
dimse_timeout_seconds = 120
maximum_pdu_size = 16384
retrieve = "get"
identity_check = false
objects = ["basic-text", "kos"]
comment = 'the "big" one, third floor \\'

[[peers]]
ae_title = "CR 1"
may_send = true

[[destinations]]
name = "RIS"
url = "mllp://10.0.0.7:2575"
mode = "hold"

[[destinations]]
name = "RIS6"
url = "mllp://[2001:db8::7]:2575"

[[destinations]]
name = "FHIR"
url = "https://fhir.example.org/fhir"

[[rules]]
name = "er-first"
when = ["called_ae = WETREAD_ER"]
priority = "stat"
"""


class Desk:
    """A node that does not run, and the two commands."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "site.toml"
        self.config = folder / "wetread.toml"
        self.config.write_text(f"[node]\ndata_folder = {json.dumps(str(folder / 'data'))}\n")
        self.database = Database(read_config(self.config).node.database_url)
        install(self.database)

    def apply(self, text: str, *options: str) -> Result:
        self.file.write_text(text)
        return CliRunner().invoke(apply, [str(self.file), *options], obj=Surroundings(self.config))

    def export(self) -> str:
        done = CliRunner().invoke(export, [], obj=Surroundings(self.config))
        assert done.exit_code == 0, done.output
        return done.output

    def events(self) -> list[str]:
        with self.database.read() as tx:
            return list(tx.scalars(select(AuditRow.event).order_by(AuditRow.id)))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.database.close()


def test_first_file_makes_everything_and_says_so(desk: Desk) -> None:
    done = desk.apply(SITE)
    assert done.exit_code == 0, done.output
    assert 'peers: + PACS host = "10.0.0.5"; port = 104; may_send = true' in done.output
    assert "destinations: + RIS" in done.output
    assert "rules: + er-first" in done.output
    with desk.database.read() as tx:
        pacs = peers.find(tx, "PACS")
        assert (pacs.dimse_timeout_seconds, pacs.maximum_pdu_size, pacs.retrieve) == (120, 16384, Retrieve.GET)
        assert (pacs.calls_from, pacs.identity_check, pacs.objects) == ("10.0.0.5,10.1.0.0/16", False, "basic-text,kos")
        assert endpoints.find(tx, "RIS").mode is Mode.HOLD
        assert endpoints.find(tx, "RIS6").host == "2001:db8::7"
    events = desk.events()
    assert (events.count("peer-added"), events.count("destination-added"), events.count("rule-added")) == (2, 3, 1)


def test_what_is_exported_is_applied_without_a_change(desk: Desk) -> None:
    desk.apply(SITE)
    before, events = desk.export(), desk.events()
    assert desk.apply(before, "--prune").output == "no change\n"
    assert desk.apply(SITE, "--prune").output == "no change\n"
    assert desk.export() == before
    assert desk.events() == events
    assert 'url = "mllp://[2001:db8::7]:2575"' in before
    assert {name: len(tables) for name, tables in tomllib.loads(before).items()} == {
        "peers": 2,
        "destinations": 3,
        "rules": 1,
    }


def test_change_is_shown_as_a_difference_and_audited(desk: Desk) -> None:
    desk.apply(SITE)
    changed = SITE.replace("port = 104", "port = 11112").replace("identity_check = false\n", "")
    done = desk.apply(changed)
    assert done.output == "peers: ~ PACS port: 104 -> 11112; identity_check: false -> default\n"
    assert desk.events()[-1] == "peer-edited"
    assert desk.apply(changed.replace('mode = "hold"\n', "")).output == 'destinations: ~ RIS mode: "hold" -> "draft"\n'


def test_the_mode_of_whoever_gets_documents_is_always_said(desk: Desk) -> None:
    said = '[[peers]]\nae_title = "PACS"\nhost = "10.0.0.5"\nport = 104\nsend_to = true\n'
    dry = desk.apply(f'{said}\n[[destinations]]\nname = "RIS"\nurl = "mllp://10.0.0.7:2575"\n', "--dry-run")
    assert dry.output.count('mode = "draft"') == 2, dry.output
    desk.apply(f'{said}\n[[peers]]\nae_title = "CT1"\nmay_send = true\n')
    assert desk.export().count('mode = "draft"') == 1  # a mere sender gets nothing, in whichever mode
    shadow = desk.apply(said + 'mode = "shadow"\n', "--dry-run").output
    assert 'PACS mode: "draft" -> "shadow"' in shadow


def test_notices_that_would_never_arrive_are_refused(desk: Desk) -> None:
    ris = '[[destinations]]\nname = "RIS"\nurl = "mllp://10.0.0.7:2575"\nnotices = true\n'
    refused = desk.apply(ris)
    assert isinstance(refused.exception, ConfigurationError)
    words = "RIS: why there is no draft is said in basic-text, which mllp does not carry (dimse, stow do)"
    assert words in str(refused.exception)
    pacs = '[[peers]]\nae_title = "PACS"\nhost = "10.0.0.5"\nport = 104\nsend_to = true\nnotices = true\n'
    assert desk.apply(pacs).exit_code == 0
    refused = desk.apply(pacs + 'objects = ["pdf", "kos"]\n')
    assert "it gets kos,pdf only: add that, or leave notices out" in str(refused.exception)


def test_what_the_file_lacks_stays_until_it_is_pruned(desk: Desk) -> None:
    desk.apply(SITE)
    only_pacs = SITE[: SITE.index('[[peers]]\nae_title = "CR 1"')]
    done = desk.apply(only_pacs)
    assert "peers:   CR 1 is not in the file, and stays; --prune removes it" in done.output
    assert done.output.endswith("no change\n")
    assert desk.apply(only_pacs, "--prune").output == "peers: - CR 1\n"
    with desk.database.read() as tx:
        assert peers.titles(tx) == ["PACS"]
        assert len(tx.scalars(select(Endpoint)).all()) == 3, "the file has no section for them"


def test_dry_run_changes_nothing_and_leaves_no_trace(desk: Desk) -> None:
    done = desk.apply(SITE, "--dry-run", "--json")
    assert [change["what"] for change in json.loads(done.output)["changes"]] == ["added"] * 6
    assert desk.export() == ""
    assert desk.events() == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[peer]]\nae_title = 'X'", "'peer' is no section of a site file; there are: peers, destinations, rules"),
        ("[[peers]]\nae_title = 'X'\nmay_sned = true", "number 1: may_sned: unknown key; did you mean may_send?"),
        ("[[peers]]\nae_title = 'ABCDEFGHIJKLMNOPQ'", "16 are allowed"),
        ("[[peers]]\nae_title = 'X'\nsend_to = true", "needs a host"),
        ("[[peers]]\nae_title = 'X'\nhost = '10.0.0.5'\nsend_to = true", "needs a host and a port"),
        ("[[peers]]\nae_title = 'X'\n[[peers]]\nae_title = 'X '", "'X' is there twice"),
        ("[[peers]]\nae_title = 'X'\ncalls_from = 'ward'", "addresses and networks such as"),
        ("peers = 1", "peers is a list of at most 1000 tables"),
        ("[[destinations]]\nname = 'R'\nurl = 'https://x/fhir'\ncredential = 'key'", "has no 'key'"),
        ("[[rules]]\nname = 'r'\nwhen = ['?']", "rule 'r'"),
        ("[[rules]]\nname = 'r'\nreader = 'cxr_lava'", "rule 'r': no reader is named 'cxr_lava'; there are"),
        ("[[rules]]\nname = 'r'\nto = ['PACSS']", "rule 'r': no destination is named 'PACSS'"),
        ("[[peers]", "this is no TOML"),
    ],
)
def test_mistake_changes_nothing_and_is_named(desk: Desk, text: str, words: str) -> None:
    good = "[[peers]]\nae_title = 'GOOD'\nmay_send = true\n" if text.startswith("[[") else ""
    done = desk.apply(good + text)
    assert isinstance(done.exception, ConfigurationError)
    assert words.replace("number 1", "number 2" if good and "peers" in text else "number 1") in str(done.exception)
    assert desk.export() == ""


def test_destination_that_a_rule_names_is_not_pruned(desk: Desk) -> None:
    named = SITE + 'to = ["PACS"]\n'
    assert desk.apply(named).exit_code == 0
    before, events = desk.export(), desk.events()
    others = named[named.index('[[peers]]\nae_title = "CR 1"') :]
    for options in (("--prune",), ("--prune", "--dry-run")):
        done = desk.apply(others, *options)
        assert isinstance(done.exception, ConfigurationError)
        assert "rule 'er-first': no destination is named 'PACS'" in str(done.exception)
        assert (desk.export(), desk.events()) == (before, events)
    assert desk.apply(others + "enabled = false\n", "--prune").exit_code == 0, "nobody asks that rule"


def test_name_may_move_from_a_peer_to_a_service(desk: Desk) -> None:
    desk.apply("[[peers]]\nae_title = 'RIS'\nmay_send = true")
    moved = "peers = []\n[[destinations]]\nname = 'RIS'\nurl = 'mllp://10.0.0.7'"
    assert desk.apply(moved, "--prune").exit_code == 0
    with desk.database.read() as tx:
        assert (peers.titles(tx), endpoints.find(tx, "RIS").port) == ([], 2575)


def test_file_can_say_everything_that_the_database_holds() -> None:
    of_peers = {column.name for column in RemoteAE.__table__.columns} - {"id", "probed"}
    of_services = {column.name for column in Endpoint.__table__.columns} - {"id", "host", "port"}
    assert set(PeerForm.model_fields) == of_peers
    assert set(ServiceForm.model_fields) == of_services


def test_sections_are_applied_before_those_that_name_them(desk: Desk) -> None:
    assert [section.name for section in site.SECTIONS] == ["peers", "destinations", "rules"]
    with desk.database.write() as tx:
        changes = site.apply(tx, tomllib.loads(SITE), prune=True, now=clock(tx), actor="test")
    assert list(changes) == ["peers", "destinations", "rules"]
