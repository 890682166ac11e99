"""The sheet for PACS administrators and the conformance statement say what this node is and does."""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli import Surroundings
from agent.commands.processes import services
from agent.commands.sheet import sheet
from agent.config import Config, read_config
from agent.papers import statuses
from agent.papers.conformance import SERVICES, statement
from agent.papers.facts import gather, own_addresses
from agent.papers.recipes import orthanc_json, orthanc_lua
from agent.papers.sheet import sheet as compose
from dicom_node import contexts, peers
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.listener import Listener
from dicom_node.services import Directory, Offer
from dicom_node.tables import Mode, RemoteAE
from dicom_node.tls import CIPHERS, read_certificate
from reports.handout import as_markdown, as_text
from tests.harness.certificates import Authority
from tests.harness.installation import install

DOCUMENT = Path(__file__).parents[3] / "deploy" / "docs" / "conformance.md"
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    opened = Database(sqlite_url)
    yield opened
    opened.close()


def offers() -> tuple[Offer, ...]:
    return Directory(tuple(services(Config(), Database("sqlite://")))).offers


def text_of(database: Database, config: Config, **options: str) -> str:
    with database.read() as tx:
        return as_text(compose(gather(config, tx, offers=offers(), **options), NOW, version="1"))


def test_sheet_says_how_this_node_is_called(database: Database) -> None:
    node = NodeConfig(ae_title="CHEST_AI", further_ae_titles=("CHEST_ER",), port=10404, bind_address="10.0.0.7")
    text = text_of(database, Config(node=node))
    for words in ("CHEST_AI", "CHEST_ER", "10.0.0.7", "10404", "dicom:CHEST_AI", "from nobody yet"):
        assert words in text
    assert "echoscu -aet YOUR_AE_TITLE -aec CHEST_AI 10.0.0.7 10404" in text


def test_sheet_names_peers_and_every_class_and_transfer_syntax(database: Database) -> None:
    with database.write() as tx:
        peer = RemoteAE(ae_title="PACS", host="10.0.0.5", port=104, may_send=True, send_to=True, own_ae_title="AI2")
        peers.add(tx, peer, now=clock(tx), actor="test")
    text = text_of(database, Config())
    assert "PACS 10.0.0.5:104 yes yes AI2 no" in " ".join(text.split())
    for uid in (*contexts.storage_classes(only_radiographs=False), *contexts.TRANSFER_SYNTAXES):
        assert uid in text
    for one in offers():
        assert one.sop_class_uid in text


@pytest.mark.parametrize(
    ("mode", "comes", "not_said"),
    [
        (Mode.DRAFT, "In mode draft they come as drafts", "In mode shadow"),
        (Mode.HOLD, "only what a radiologist has signed here comes", "they come as drafts"),
        (Mode.SHADOW, "In mode shadow none of them comes", "they come as drafts"),
    ],
)
def test_sheet_says_what_comes_in_the_modes_that_are_chosen(
    database: Database, mode: Mode, comes: str, not_said: str
) -> None:
    with database.write() as tx:
        peer = RemoteAE(ae_title="PACS", host="10.0.0.5", port=104, send_to=True, mode=mode)
        peers.add(tx, peer, now=clock(tx), actor="test")
    plain = " ".join(text_of(database, Config()).split())
    assert (comes in plain, not_said in plain) == (True, False)


def test_sheet_shows_the_certificate_of_the_port(database: Database, tmp_path: Path) -> None:
    ours = Authority(tmp_path).issue("wetread", alternatives=["wetread.example.org"])
    assert ours.certificate is not None
    node = NodeConfig(tls_certificate=ours.certificate, tls_key=ours.key, tls_ca=ours.authorities, tls_only=True)
    text = text_of(database, Config(node=node), host="wetread.example.org")
    assert read_certificate(ours.certificate).fingerprint in text.replace("\n", "").replace(" ", "")
    assert "DICOM+TLS" in text
    assert "echoscu +tls KEY.pem CERTIFICATE.pem +cf CA.pem" in text
    assert "wetread.example.org 2762" in text


def test_recipe_for_orthanc_follows_the_configuration(database: Database, tmp_path: Path) -> None:
    ours = Authority(tmp_path).issue("wetread")
    node = NodeConfig(tls_certificate=ours.certificate, tls_ca=ours.authorities, tls_key=ours.key, tls_only=True)
    with database.read() as tx:
        facts = gather(Config(node=node), tx, host="10.0.0.7")
    recipe = json.loads(orthanc_json(facts))
    assert recipe["DicomModalities"]["wetread"]["UseDicomTls"] is True
    assert recipe["DicomModalities"]["wetread"]["Port"] == 2762
    assert "origin['RemoteAet'] ~= 'WETREAD'" in orthanc_lua(facts)


def test_recipe_for_orthanc_says_how_to_get_what_it_sends_once(database: Database) -> None:
    """Tried with Orthanc 1.10.1: a refused connection ends its job as a success."""
    plain = " ".join(text_of(database, Config(), host="10.0.0.7").split())
    assert "never sends it again" in plain
    assert 'reconcile_peers = ["ORTHANC"]' in plain
    assert "wetread reconcile --date YYYY-MM-DD --peer ORTHANC --retrieve" in plain


def test_recipe_for_mercure_names_the_fields_of_its_pages(database: Database, tmp_path: Path) -> None:
    """As they were read in mercure 0.4.1."""
    plain = " ".join(text_of(database, Config(), host="10.0.0.7").split())
    for words in ("Type DICOM", "Capability Store", "Host/IP, Port 10.0.0.7, 11112", "AET Target WETREAD"):
        assert words in plain
    for words in ("Trigger Completed Series", "Target(s), on the tab Routing wetread", "AET Source MERCURE"):
        assert words in plain
    ours = Authority(tmp_path).issue("wetread")
    node = NodeConfig(tls_certificate=ours.certificate, tls_ca=ours.authorities, tls_key=ours.key, tls_only=True)
    secured = " ".join(text_of(database, Config(node=node), host="10.0.0.7").split())
    assert "Type DICOM+TLS" in secured
    assert "TLS Key, TLS Certificate, CA Certificate" in secured
    assert "Capability" not in secured, "its pages have none for DICOM+TLS"


def test_manual_has_the_very_script_for_orthanc_that_the_sheet_prints(database: Database) -> None:
    with database.read() as tx:
        facts = gather(Config(), tx, host="10.0.0.7")
    manual = (Path(__file__).parents[3] / "deploy" / "docs" / "operate.md").read_text(encoding="utf-8")
    assert orthanc_lua(facts) in manual


def test_commands_of_the_sheet_let_nothing_leave_before_a_mode_is_chosen(database: Database) -> None:
    lines = [line for line in text_of(database, Config()).splitlines() if "wetread ae add" in line]
    assert [line for line in lines if "--send-to" in line]
    assert all("--mode shadow" in line for line in lines if "--send-to" in line)


def test_address_to_type_is_never_that_of_every_card() -> None:
    assert own_addresses("10.0.0.7") == ("10.0.0.7",)
    assert "0.0.0.0" not in own_addresses("0.0.0.0")
    assert all(own_addresses("0.0.0.0"))


@pytest.mark.parametrize(
    ("ending", "begins"), [("txt", b"wetread "), ("md", b"# wetread "), ("html", b"<!doctype html>"), ("pdf", b"%PDF-")]
)
def test_command_writes_the_form_of_the_ending(tmp_path: Path, ending: str, begins: bytes) -> None:
    config = tmp_path / "wetread.toml"
    config.write_text(f"[node]\ndata_folder = {json.dumps(str(tmp_path / 'data'))}\n")
    database = Database(read_config(config).node.database_url)
    install(database)
    database.close()
    output = tmp_path / f"sheet.{ending}"
    done = CliRunner().invoke(sheet, ["--output", str(output)], obj=Surroundings(config))
    assert done.exit_code == 0, done.output
    assert output.read_bytes().startswith(begins)


def test_conformance_statement_in_the_documents_is_current() -> None:
    """WETREAD_WRITE_DOCS=1 writes it anew."""
    written = as_markdown(statement(Config(), offers()))
    if os.environ.get("WETREAD_WRITE_DOCS") == "1":
        DOCUMENT.write_text(written, encoding="utf-8")
    assert DOCUMENT.read_text(encoding="utf-8") == written


def test_every_service_at_the_port_is_described() -> None:
    assert {one.sop_class_uid for one in offers()} <= set(SERVICES)


def test_statement_names_what_the_code_uses() -> None:
    text = as_markdown(statement(Config(), offers()))
    for words in (*contexts.TRANSFER_SYNTAXES, *CIPHERS, "0xA700", "0xA900", "0xC000", "2762", "11112"):
        assert words in text


def test_statement_and_sheet_say_in_which_syntaxes_films_are_taken(database: Database) -> None:
    text = as_markdown(statement(Config(), offers()))
    for uid in contexts.TRANSFER_SYNTAXES:
        said = "refused" if uid not in contexts.READABLE else "yes, untried" if uid in contexts.UNTRIED else "yes"
        assert f"| {uid} | {said} |" in text
    assert "JPEG XL 1.2.840.10008.1.2.4.112 refused" in " ".join(text_of(database, Config()).split())

    only_films = Config(node=NodeConfig(refuse_other_sop_classes=True))
    assert "| refused |" not in as_markdown(statement(only_films, offers()))
    assert "1.2.840.10008.1.2.4.112" not in text_of(database, only_films)


def test_rejections_are_those_of_the_door() -> None:
    rows = {row[3]: row[:3] for row in statuses.rejections(Config())}
    assert rows["called-ae-title-not-recognized"] == (
        "1, permanent",
        "1, service user",
        "7, called AE title not recognized",
    )
    assert rows["disk-full"] == ("2, transient", "3, presentation", "2, local limit exceeded")
    assert set(rows) == {
        "called-ae-title-not-recognized",
        "calling-ae-title-not-recognized",
        "calling-ae-title-without-right",
        "calling-address-not-recognized",
        "host-lookup-failed",
        "tls-required",
        "disk-full",
        "too-many-associations",
        "receiving-paused",
        "database-unavailable, access-check-failed",
    }
    listener = Path(inspect.getfile(Listener)).read_text(encoding="utf-8")
    by_hand = set(re.findall(r'Refusal\(\d, \d, \d, "([a-z-]+)"', listener))
    assert "receiving-paused" in by_hand
    assert by_hand <= {code for codes in rows for code in codes.split(", ")}  # what the door does not decide
