"""The worker's engine: several studies at once, and whoever failed before alone."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import select

from agent import work
from agent.config import Config, ReaderConfig
from agent.demo import phantom
from agent.readers.cxr_llava import CxrLlavaReader
from dicom_node import files, worklist
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.errors import StoreAway
from dicom_node.headers import read_header
from dicom_node.kinds import Stage
from dicom_node.tables import Book, Delivery, ProcessBeat, RemoteAE, Revision, Workitem
from reports.tables import Report

EXPLICIT = "1.2.840.10008.1.2.1"
STUDIES = 12


@pytest.fixture
def config(tmp_path: Path, sqlite_url: str) -> Config:
    node = NodeConfig(data_folder=tmp_path, retry_seconds=(0.0,))
    assert node.database_url == sqlite_url
    files.make_store(node.store_folder, "here")
    return Config(node=node, reader=ReaderConfig(precision="fp32", device="cpu"))


@pytest.fixture
def database(config: Config, open_database: Callable[[str], Database]) -> Database:
    return open_database(config.node.database_url)


def receive(config: Config, database: Database, number: int) -> None:
    numbers = count(1)
    drawn = phantom.film(
        number,
        now=datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC),
        new_uid=lambda: f"2.25.{number}88{next(numbers)}",
        rows=128,
        columns=112,
    )
    path = config.node.data_folder / "arrived.dcm"
    drawn.save_as(path, enforce_file_format=True)
    header, digest = read_header(path), files.digest_of_dataset(path, EXPLICIT)
    size = path.stat().st_size
    files.adopt(path, config.node.store_folder, digest)
    with database.write() as tx:
        worklist.record_instance(tx, worklist.Arrival(header, EXPLICIT, digest, size, "CR"), clock(tx))


def complete(database: Database) -> None:
    with database.write() as tx:
        worklist.complete_studies(tx, clock(tx), quiet=timedelta(), deadline=timedelta())


def drafted(database: Database) -> int:
    with database.read() as tx:
        return len(tx.scalars(select(Report.id)).all())


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def attempts(database: Database) -> list[int]:
    with database.read() as tx:
        return list(tx.scalars(select(Workitem.attempts)).all())


def test_studies_are_read_beside_each_other_and_each_once(config: Config, database: Database) -> None:
    for number in range(STUDIES):
        receive(config, database, number)
    complete(database)
    engine = work.Engine(config)
    most = 0

    def all_drafted() -> bool:
        nonlocal most
        most = max(most, engine._company._beside)
        return drafted(database) == STUDIES

    engine.start()
    try:
        until(all_drafted)
    finally:
        engine.stop()

    assert most > 1
    assert attempts(database) == [1] * STUDIES
    with database.read() as tx:
        assert {revision.reason for revision in tx.scalars(select(Revision))} == {"no-destination"}


def test_who_failed_before_is_read_as_well_but_alone(
    config: Config, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        receive(config, database, number)
    complete(database)
    with database.write() as tx:  # a worker that died with all four of them
        for _ in range(4):
            claim = worklist.claim(
                tx, worker="dead", token=secrets.token_hex(16), lease=timedelta(minutes=1), now=clock(tx)
            )
            assert claim is not None
    with database.write() as tx:
        worklist.release_lost(tx, clock(tx), is_dead=lambda _: True, attempts=3, wait=timedelta())
    beside: list[tuple[int, bool]] = []
    real = work.read_study

    def watched(room: work.Room, claim: worklist.Claim) -> str:
        beside.append((engine._company._beside, engine._company.is_open))
        return real(room, claim)

    monkeypatch.setattr(work, "read_study", watched)
    engine = work.Engine(config)
    engine.start()
    try:
        until(lambda: drafted(database) == 4)
    finally:
        engine.stop()

    assert beside == [(0, False)] * 4
    assert attempts(database) == [2] * 4


def test_file_that_goes_with_the_store_is_no_attempt(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def goes(_room: work.Room, _claim: worklist.Claim) -> str:
        shutil.rmtree(config.node.store_folder)
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(work, "read_study", goes)
    engine = work.Engine(config)
    monkeypatch.setattr(engine, "_room", None, raising=False)
    with pytest.raises(StoreAway):
        engine._read(None)  # type: ignore[arg-type]


def test_an_urgent_study_does_not_wait_for_a_free_slot(
    config: Config, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3, 4):
        receive(config, database, number)
        complete(database)
    begun: list[str] = []
    may_end = threading.Event()
    real = work.read_study

    def watched(room: work.Room, claim: worklist.Claim) -> str:
        begun.append(claim.study_instance_uid)
        if not claim.urgent:
            assert may_end.wait(150)
        return real(room, claim)

    monkeypatch.setattr(work, "read_study", watched)
    engine = work.Engine(config.model_copy(update={"reader": config.reader.model_copy(update={"slots": 1})}))
    engine.start()
    try:
        until(lambda: len(begun) == 2)  # one with the slot, and one ahead
        with database.write() as tx:
            last = tx.scalars(select(Workitem).order_by(Workitem.id.desc())).first()
            assert last is not None
            last.priority = 0
        engine.ring()
        until(lambda: drafted(database) == 1)
        assert len(begun) == 3
        may_end.set()
        until(lambda: drafted(database) == 4)
    finally:
        may_end.set()
        engine.stop()


def test_the_next_film_is_decoded_and_prepared_while_the_engine_is_busy(
    config: Config, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers: list[CxrLlavaReader] = []
    real = work.load

    def remembered(config: Config) -> CxrLlavaReader:
        reader = real(config)
        assert isinstance(reader, CxrLlavaReader)
        readers.append(reader)
        return reader

    monkeypatch.setattr(work, "load", remembered)
    engine = work.Engine(config.model_copy(update={"reader": config.reader.model_copy(update={"slots": 1})}))
    engine.start()
    try:
        with readers[0]._engine.pause():  # no step is made: both films can only wait for one
            for number in (1, 2):
                receive(config, database, number)
            complete(database)
            engine.ring()
            until(lambda: readers[0].load.waiting == 2)
            assert drafted(database) == 0
        until(lambda: drafted(database) == 2)
    finally:
        engine.stop()


@pytest.mark.parametrize("store_is_there", [True, False])
def test_a_study_whose_last_attempt_failed_gets_the_notice_where_one_can_be_made(
    config: Config, database: Database, monkeypatch: pytest.MonkeyPatch, *, store_is_there: bool
) -> None:
    node = config.node.model_copy(update={"maximum_attempts": 2})
    receive(config, database, 1)
    complete(database)
    with database.write() as tx:
        tx.add(RemoteAE(ae_title="PACS", host="127.0.0.1", port=104, send_to=True, notices=True))
    if not store_is_there:
        for path in node.store_folder.glob("*/*.dcm"):
            path.write_bytes(b"")

    def broken(*_: object) -> str:
        raise RuntimeError("no fault of the study")

    monkeypatch.setattr(work, "read_study", broken)
    engine = work.Engine(config.model_copy(update={"node": node}))

    def ending() -> Book:
        with database.read() as tx:
            return tx.scalars(select(Revision.book)).one()

    engine.start()
    try:
        until(lambda: ending() is Book.DEAD_LETTERED)
    finally:
        engine.stop()

    assert attempts(database) == [2]
    with database.read() as tx:
        assert tx.scalars(select(Delivery.stage)).all() == ([Stage.NOTICE] if store_is_there else [])


def test_fewer_slots_for_a_lack_of_memory_stand_beside_the_process(config: Config, database: Database) -> None:
    def detail() -> str:
        with database.read() as tx:
            beat = tx.scalars(select(ProcessBeat)).one()
            return beat.detail

    engine = work.Engine(config.model_copy(update={"reader": config.reader.model_copy(update={"slots": 4})}))
    engine.start()
    try:
        until(lambda: "demonstration" in detail())
        whole = detail()
        slots = engine._room.reader._engine._slots  # type: ignore[attr-defined]
        slots.halve(4, now=0.0)
        until(lambda: detail() == f"{whole}; fewer slots, 2 of 4: the device lacked memory")
        slots.grow(now=1e9)
        until(lambda: detail() == whole)
    finally:
        engine.stop()


def test_stopping_gives_every_claim_back(config: Config, database: Database) -> None:
    for number in range(STUDIES):
        receive(config, database, number)
    complete(database)
    engine = work.Engine(config)
    engine.start()
    until(lambda: sum(attempts(database)) > 0)
    engine.stop()

    with database.read() as tx:
        states = {item.state.value for item in tx.scalars(select(Workitem))}
    assert "IN PROGRESS" not in states
