"""The dispatcher keeps the house: what is old in the quarantine and in the store goes."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from agent import tasks
from agent.config import Config
from agent.dispatch import Dispatcher
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.files import make_store, write_document
from dicom_node.tables import Book, Revision, Study, StudyState
from tests.unit.dicom_node.test_workitems import trouble_with


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_old_refused_objects_and_old_orphans_go(database: Database, tmp_path: Path) -> None:
    node = NodeConfig(data_folder=tmp_path / "data", keep_days=3)
    node.quarantine_folder.mkdir(parents=True)
    make_store(node.store_folder, "here")
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


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_crowd_of_studies_is_completed_in_parts_which_one_in_trouble_does_not_stop(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A part is one transaction, and on SQLite no C-STORE is answered meanwhile."""
    long_ago, numbers = datetime(2026, 11, 22, tzinfo=UTC), range(1, 151)
    came = {"state": StudyState.RECEIVING, "revision": 1, "first_received_at": long_ago, "last_received_at": long_ago}
    opened = {"number": 1, "book": Book.IN_FLIGHT, "opened_at": long_ago}
    with database.write() as tx:
        tx.execute(insert(Study), [{"id": n, "study_instance_uid": f"1.2.{n}", **came} for n in numbers])
        tx.execute(insert(Revision), [{"id": n, "study_id": n, **opened} for n in numbers])
    app = tasks.make_app("redis+socket:///nowhere", on_ring=lambda: None)
    node = NodeConfig(data_folder=tmp_path / "data")
    make_store(node.store_folder, "here")
    dispatcher = Dispatcher(Config(node=node), database, app)
    waits = select(func.count()).where(Study.state == StudyState.RECEIVING)

    left, more = [], []
    with trouble_with(7):
        for _ in range(4):
            more.append(dispatcher.step())
            with database.read() as tx:
                left.append(tx.scalar(waits))

    assert (left, more) == ([51, 1, 1, 1], [True, False, False, False])
    assert capsys.readouterr().out.count("study_skipped") == 1
