"""What commands print, on a real database that was filled by the functions that fill it in life."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from agent import health
from agent.cli import wetread
from agent.config import Config
from dicom_node import worklist
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.files import mark_of, read_document
from dicom_node.tables import Proof, RemoteAE, Study
from reports.provenance import NOTICE
from tests.harness.installation import install
from tests.unit.reports.test_web import House

DIGEST = "ab" * 32


class Desk:
    """A configured node whose processes do not run."""

    def __init__(self, folder: Path) -> None:
        self.config_file = folder / "wetread.toml"
        self.config_file.write_text(f'[node]\ndata_folder = "{folder / "data"}"\n')
        self.config = Config(node=NodeConfig(data_folder=folder / "data"))
        self.database = Database(self.config.node.database_url)
        install(self.database)

    def tell(self, *words: str) -> str:
        result = CliRunner().invoke(wetread, ["--config", str(self.config_file), *words], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refuse(self, *, digest: str = DIGEST, kept: bytes | None = None) -> None:
        if kept is not None:
            self.config.node.quarantine_folder.mkdir(exist_ok=True)
            (self.config.node.quarantine_folder / f"{digest}.dcm").write_bytes(kept)
        with self.database.write() as tx:
            worklist.record_quarantine(
                tx,
                clock(tx),
                calling_ae_title="ODDBALL",
                reason="cannot-understand",
                digest=digest,
                sop_class_uid="1.2",
                sop_instance_uid="1.2.3",
            )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    at_work = Desk(tmp_path)
    yield at_work
    at_work.database.close()


# --- quarantine -------------------------------------------------------------------------------------------------------


def test_a_refused_object_is_listed_with_its_sender(desk: Desk) -> None:
    desk.refuse(kept=b"x" * 77)
    desk.refuse(digest="")

    lines = desk.tell("quarantine", "list").splitlines()
    found = json.loads(desk.tell("quarantine", "list", "--json"))

    assert lines[2].split()[2:] == ["ODDBALL", "cannot-understand", "77", DIGEST]
    assert lines[1].split()[2:] == ["ODDBALL", "cannot-understand", "-", "-"]
    assert (found[1]["size"], found[1]["file"]) == (77, str(desk.config.node.quarantine_folder / f"{DIGEST}.dcm"))
    assert (found[0]["size"], found[0]["file"]) == (None, None)


def test_nothing_refused_is_said(desk: Desk) -> None:
    assert desk.tell("quarantine", "list") == "nothing was refused\n"


def test_check_warns_of_what_was_refused_lately(desk: Desk) -> None:
    def told() -> list[str]:
        with desk.database.read() as tx:
            return [found.words for found in health._waiting(tx) if found.subject == "quarantine"]

    assert told() == []
    desk.refuse()

    assert told() == ["1 object was refused in 24 hours; whose: wetread quarantine list"]


# --- studies ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """As the pages' tests have it, and a configuration file for the commands."""
    made = House(tmp_path / "data")
    (tmp_path / "wetread.toml").write_text(f'[node]\ndata_folder = "{tmp_path / "data"}"\n')
    yield made
    made.database.close()


def tell(house: House, *words: str, code: int = 0) -> str:
    config = house.config.node.data_folder.parent / "wetread.toml"
    result = CliRunner().invoke(wetread, ["--config", str(config), *words])
    assert result.exit_code == code, result.output
    return f"{result.output}{result.exception or ''}"


def hold(house: House) -> None:
    held = house.claim()
    with house.database.write() as tx:
        worklist.hold(tx, held, reason="body-part-unknown", explanation="The body part is absent.", now=clock(tx))


def test_a_held_study_says_why_and_what_to_type(house: House) -> None:
    house.wait_for_a_reading()
    hold(house)

    shown = tell(house, "study", "show", "1")
    page = house.shown("/study/1")

    for words in (
        "A person must decide whether it may be read: The body part is absent.",
        "wetread study confirm '#1'",
        "wetread study exclude '#1' --reason \"...\"",
    ):
        assert words in shown
        assert words in page
    assert "The body part is absent." in tell(house, "study", "list")


def test_the_newest_draft_is_printed_and_written(house: House, tmp_path: Path) -> None:
    house.add_peer()
    house.wait_for_a_reading()
    digest = house.draft(house.claim())
    target = tmp_path / "draft.dcm"

    text = tell(house, "study", "show", "1", "--text")
    said = tell(house, "study", "show", "1", "--export", str(target))

    assert NOTICE in text
    assert target.read_bytes() == read_document(house.config.node.store_folder, digest)
    assert f"{target}: the draft (DRAFT), not verified by a person" in said
    assert "exists; choose another name" in tell(house, "study", "show", "1", "--export", str(target), code=1)


def test_a_folder_is_taken_for_the_store_because_a_person_says_so(house: House) -> None:
    store = house.config.node.store_folder
    store.rename(store.with_name("lost"))
    house.wait_for_a_reading()
    told = tell(house, "db", "upgrade")
    assert f"store: {store} is not there" in told
    assert "its objects are lost: wetread db adopt-store" in told
    assert "store: adopted; of 1 file that" in tell(house, "db", "adopt-store")
    assert mark_of(store)
    assert "store:" not in tell(house, "db", "upgrade")


def test_a_study_without_a_draft_says_so(house: House) -> None:
    house.wait_for_a_reading()

    assert "no draft of this study has been written" in tell(house, "study", "show", "1", "--text", code=1)


def test_an_older_draft_that_left_is_named_with_its_revision(house: House) -> None:
    for title in ("BOX", "ORTHPACS"):
        house.add_peer(title)
    with house.database.write() as tx:
        tx.execute(update(RemoteAE).values(proof=Proof.ACKNOWLEDGEMENT))
    house.wait_for_a_reading()
    house.draft(house.claim())
    for _ in range(2):
        sent = house.consign()
        with house.database.write() as tx:
            worklist.mark_sent(tx, sent, clock(tx))
    with house.database.write() as tx:
        study = tx.get_one(Study, 1)
        worklist.requeue(tx, study, clock(tx), actor="person:test")
    sentence = "An older draft (revision 1) is in BOX, ORTHPACS and stays there."

    shown = json.loads(tell(house, "study", "show", "1", "--json"))

    assert shown["older_drafts"] == [sentence]
    assert [(one["revision"], one["stage"]) for one in shown["deliveries"]] == [(1, "draft"), (1, "draft")]
    assert sentence in tell(house, "study", "show", "1")
    assert sentence in house.shown("/study/1")
    assert "Revision 2 opened" in house.shown("/study/1")


def test_check_counts_warnings_where_it_is_told_to(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [health.Finding("model", "warning", "the demonstration model")]
    monkeypatch.setattr(health, "findings", lambda _config: iter(found))

    codes = [
        CliRunner().invoke(wetread, ["--config", str(desk.config_file), "check", *words]).exit_code
        for words in ([], ["--strict"], ["--strict", "--json"])
    ]

    assert codes == [0, 1, 1]
