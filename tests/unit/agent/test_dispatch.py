"""The dispatcher keeps the house: what is old in the quarantine and in the store goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent import tasks
from agent.config import Config
from agent.dispatch import Dispatcher
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.files import write_document


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_old_refused_objects_and_old_orphans_go(database: Database, tmp_path: Path) -> None:
    node = NodeConfig(data_folder=tmp_path / "data", keep_days=3)
    node.quarantine_folder.mkdir(parents=True)
    young, old = (node.quarantine_folder / name for name in ("young.dcm", "old.dcm"))
    for path in (young, old):
        path.write_bytes(b"refused")
    orphan = node.store_folder / "ab" / f"ab{write_document(node.store_folder, b'x')[2:]}.dcm"
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"")
    for path in (old, orphan):
        os.utime(path, (1, 1))
    app = tasks.make_app("redis+socket:///nowhere", on_ring=lambda: None)

    Dispatcher(Config(node=node), database, app).step()

    assert (young.exists(), old.exists(), orphan.exists()) == (True, False, False)
