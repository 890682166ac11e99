"""What commands print, on a real database that was filled by the functions that fill it in life."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent import health, schema
from agent.cli import wetread
from agent.config import Config
from dicom_node import worklist
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock

DIGEST = "ab" * 32


class Desk:
    """A configured node whose processes do not run."""

    def __init__(self, folder: Path) -> None:
        self.config_file = folder / "wetread.toml"
        self.config_file.write_text(f'[node]\ndata_folder = "{folder / "data"}"\n')
        self.config = Config(node=NodeConfig(data_folder=folder / "data"))
        self.database = Database(self.config.node.database_url)
        schema.upgrade(self.database)

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
