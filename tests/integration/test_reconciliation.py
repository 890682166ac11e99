"""Reconciliation: what a PACS has of a day's chest films and we do not is told, and fetched on one command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pynetdicom import AE, evt
from pynetdicom.dsutils import encode
from sqlalchemy import select

from agent import reconciling
from agent.config import Config
from agent.reconciling import Reconciler
from dicom_node import peers
from dicom_node.commitment_tables import Gap, Reconciliation
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.errors import NotFound
from dicom_node.listener import Listener
from dicom_node.reconcile import FIND, Found, Series
from dicom_node.tables import Endpoint, RemoteAE, Retrieve, Study, Way
from dicom_node.worklist import gaps
from dicom_node.worklist.pauses import What, pause
from tests.harness import dcmtk
from tests.harness.door import small_film, store
from tests.harness.node import Node, free_port
from tests.harness.orthanc import TITLE, Orthanc

DAY = date(2026, 11, 21)


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    opened = Database(sqlite_url, busy_seconds=10)
    yield opened
    opened.close()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    node = NodeConfig(
        bind_address="127.0.0.1",
        port=free_port(),
        data_folder=tmp_path / "data",
        reserve_mebibytes=1,
        dimse_timeout_seconds=30,
        reconcile_peers=(TITLE,),
    )
    return Config(node=node)


@pytest.fixture
def listening(config: Config, database: Database) -> Iterator[None]:
    listener = Listener(config.node, database)
    listener.start()
    yield
    listener.stop(patience_seconds=5)


def film(folder: Path, name: str, **elements: str) -> Path:
    """A chest film of that day with a study of its own, as a file."""
    uid = f"1.2.3.{len(name)}.{sum(name.encode())}"
    image = small_film(**{"StudyDate": f"{DAY:%Y%m%d}", "StudyInstanceUID": uid, **elements})
    image.SeriesInstanceUID = f"{image.StudyInstanceUID}.1"
    path = folder / f"{name}.dcm"
    image.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def day(tmp_path: Path) -> dict[str, Path]:
    """Two films that count, and three that do not."""
    return {
        "came": film(tmp_path, "came"),
        "lost": film(tmp_path, "lost", BodyPartExamined="PECHO"),
        "hand": film(tmp_path, "hand", BodyPartExamined="HAND"),
        "scan": film(tmp_path, "scan", Modality="CT"),
        "another-day": film(tmp_path, "another-day", StudyDate="20261120"),
    }


def register(database: Database, title: str, port: int) -> None:
    with database.write() as tx:
        tx.add(RemoteAE(ae_title=title, host="127.0.0.1", port=port, may_send=True))


def studies(database: Database) -> set[str]:
    with database.read() as tx:
        return set(tx.scalars(select(Study.study_instance_uid)))


def study_of(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True).StudyInstanceUID)


def missing(database: Database) -> list[str]:
    with database.read() as tx:
        return [gap.study_instance_uid for gap in gaps.open_gaps(tx)]


def open_gap(database: Database, peer: str, study_instance_uid: str) -> None:
    """Of a day long before."""
    with database.write() as tx:
        tx.add(Gap(peer=peer, day="2026-11-01", study_instance_uid=study_instance_uid, seen_at=datetime.now(UTC)))


def find_and_fetch(config: Config, database: Database, peer: str, day: dict[str, Path]) -> None:
    """One film of the two came: the other is missed, fetched, and missed no more."""
    reconciler = Reconciler(config, database)
    assert dcmtk.store(config.node.port, day["came"], calling=peer).returncode == 0
    row = reconciler.compare(peer, DAY, actor="test")
    assert (row.found, row.missing, row.trouble) == (2, 1, "")
    assert missing(database) == [study_of(day["lost"])]
    with database.read() as tx:
        (gap,) = gaps.open_gaps(tx)
    assert gap.instances in {0, 1}
    retrieval = reconciler.retrieve(gap)
    assert (retrieval.objects, retrieval.is_here, retrieval.error) == (1, True, "")
    assert studies(database) == {study_of(day["came"]), study_of(day["lost"])}
    assert reconciler.compare(peer, DAY, actor="test").missing == 0
    assert missing(database) == []


@pytest.mark.usefixtures("listening")
def test_gap_is_found_in_orthanc_and_fetched(
    config: Config, database: Database, day: dict[str, Path], tmp_path: Path
) -> None:
    with Orthanc(tmp_path / "pacs", wetread_port=config.node.port, dicom_web=True, routes=False) as pacs:
        register(database, TITLE, pacs.port)
        assert dcmtk.store(pacs.port, *day.values(), called=TITLE).returncode == 0
        with database.write() as tx:
            tx.add(Endpoint(name="WEB", way=Way.STOW, url=pacs.dicom_web_url))
        row = Reconciler(config, database).compare("WEB", DAY, actor="test")
        assert (row.found, row.missing, row.trouble) == (2, 2, "")
        with database.read() as tx:
            error = Reconciler(config, database).retrieve(gaps.open_gaps(tx)[0]).error
        assert "name the PACS as an AE title" in error
        with database.write() as tx:
            for gap in tx.scalars(select(Gap)):
                tx.delete(gap)
        find_and_fetch(config, database, TITLE, day)
        assert Reconciler(config, database).compare("WEB", DAY, actor="test").missing == 0


@pytest.mark.usefixtures("listening")
def test_gap_is_found_in_dcmqrscp_and_fetched(
    config: Config, database: Database, day: dict[str, Path], tmp_path: Path
) -> None:
    with dcmtk.archive_that_moves(tmp_path / "qr", our_port=config.node.port) as port:
        register(database, "QRSCP", port)
        del day["hand"]  # dcmqrscp keeps no body part, so a hand may be a chest; the gate sees to that
        assert dcmtk.store(port, *day.values(), called="QRSCP").returncode == 0
        find_and_fetch(config, database, "QRSCP", day)


@pytest.mark.usefixtures("listening")
def test_peer_that_knows_no_port_of_ours_gives_films_on_our_association(
    config: Config, database: Database, day: dict[str, Path], tmp_path: Path
) -> None:
    with dcmtk.archive(tmp_path / "qr") as port:
        register(database, "QRSCP", port)
        with database.write() as tx:
            peers.edit(tx, "QRSCP", now=clock(tx), actor="test", retrieve=Retrieve.GET)
            pause(tx, What.RECEIVE, peer="QRSCP", on=True, now=clock(tx), actor="test")
            tx.add(Gap(peer="QRSCP", day="2026-11-01", study_instance_uid="1.2.3", seen_at=datetime.now(UTC)))
        with database.read() as tx:
            refused = Reconciler(config, database).retrieve(gaps.open_gaps(tx)[0])
        assert "a person paused receiving from QRSCP" in refused.error
        with database.write() as tx:
            pause(tx, What.RECEIVE, peer="QRSCP", on=False, now=clock(tx), actor="test")
            for gap in tx.scalars(select(Gap)):
                tx.delete(gap)
        del day["hand"]  # dcmqrscp keeps no body part
        assert dcmtk.store(port, *day.values(), called="QRSCP").returncode == 0
        find_and_fetch(config, database, "QRSCP", day)


@pytest.mark.usefixtures("listening")
def test_peer_that_does_not_know_us_says_so(
    config: Config, database: Database, day: dict[str, Path], tmp_path: Path
) -> None:
    with dcmtk.archive(tmp_path / "qr") as port:
        register(database, "QRSCP", port)
        assert dcmtk.store(port, day["lost"], called="QRSCP").returncode == 0
        Reconciler(config, database).compare("QRSCP", DAY, actor="test")
        with database.read() as tx:
            retrieval = Reconciler(config, database).retrieve(gaps.open_gaps(tx)[0])
    assert "does not know WETREAD as a destination: register our AE title" in retrieval.error
    assert "wetread ae edit 'QRSCP' --retrieve get" in retrieval.error
    assert missing(database) == [study_of(day["lost"])]


def test_peer_that_cannot_be_asked_is_told_and_no_gap_is_closed(config: Config, database: Database) -> None:
    register(database, TITLE, free_port())
    with database.write() as tx:
        tx.add(Gap(peer=TITLE, day=DAY.isoformat(), study_instance_uid="1.2.3", seen_at=datetime.now(UTC)))
    row = Reconciler(config, database).compare(TITLE, DAY, actor="test")
    assert "cannot be reached" in row.trouble
    assert missing(database) == ["1.2.3"]
    with pytest.raises(NotFound, match="cannot be asked"):
        Reconciler(config, database).compare("NOBODY", DAY, actor="test")


@pytest.mark.parametrize(
    ("now", "asked"),
    [
        ("2026-11-22T04:59:00+00:00", False),
        ("2026-11-22T05:00:00+00:00", True),
        ("2026-11-22T16:59:00+00:00", True),
        ("2026-11-22T17:00:00+00:00", False),
    ],
)
def test_last_night_is_asked_for_once_it_is_time(
    config: Config, database: Database, monkeypatch: pytest.MonkeyPatch, now: str, asked: bool
) -> None:
    register(database, TITLE, free_port())
    monkeypatch.setattr(reconciling, "clock", lambda _tx: datetime.fromisoformat(now))
    reconciler = Reconciler(config, database)
    assert reconciler.step() is asked
    assert not reconciler.step(), "not at once again, although it could not be asked"
    with database.read() as tx:
        assert [row.day for row in tx.scalars(select(Reconciliation))] == (["2026-11-21"] if asked else [])


def test_night_that_failed_is_made_up_for(config: Config, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    register(database, TITLE, free_port())
    moments = iter(["05:00", "05:00", "05:14", "05:16", "05:16"])
    now = ["05:00"]
    monkeypatch.setattr(reconciling, "clock", lambda _tx: datetime.fromisoformat(f"2026-11-22T{now[0]}:00+00:00"))
    reconciler = Reconciler(config, database)
    done = []
    for moment in moments:
        now[0] = moment
        done.append(reconciler.step())
    assert done == [True, False, False, True, False]


def test_name_that_nobody_has_keeps_no_other_peer_waiting(
    config: Config, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(database, TITLE, free_port())
    config = config.model_copy(update={"node": config.node.model_copy(update={"reconcile_peers": ("GONE", TITLE)})})
    monkeypatch.setattr(reconciling, "clock", lambda _tx: datetime.fromisoformat("2026-11-22T05:00:00+00:00"))
    reconciler = Reconciler(config, database)
    assert [reconciler.step() for _ in range(3)] == [True, True, False]
    with database.read() as tx:
        troubles = {row.peer: row.trouble for row in tx.scalars(select(Reconciliation))}
    assert "cannot be asked; see wetread ae list" in troubles["GONE"]
    assert "cannot be reached" in troubles[TITLE]


def test_command_tells_and_fetches(tmp_path: Path, day: dict[str, Path]) -> None:
    node = Node(tmp_path / "node", node='reconcile_peers = ["QRSCP"]')
    listener = Listener(node.config.node, node.database)
    listener.start()
    del day["hand"]
    with dcmtk.archive_that_moves(tmp_path / "qr", our_port=node.port) as port:
        register(node.database, "QRSCP", port)
        assert dcmtk.store(port, *day.values(), called="QRSCP").returncode == 0
        told = node.cli("reconcile", "--date", DAY.isoformat())
        fetched = node.cli("reconcile", "--date", DAY.isoformat(), "--retrieve", "--json")
        again = node.cli("reconcile", "--date", DAY.isoformat())
    listener.stop(patience_seconds=5)
    node.database.close()
    assert (told.returncode, fetched.returncode, again.returncode) == (1, 0, 0), told.stderr + fetched.stderr
    assert "QRSCP, 2026-11-21: 2 studies with chest films, 2 of them missing" in told.stdout
    assert "wetread reconcile --retrieve" in told.stdout
    assert [one["retrieved"] for one in json.loads(fetched.stdout)["missing"]] == ["here", "here"]
    assert "0 of them missing" in again.stdout


@pytest.mark.usefixtures("listening")
def test_gap_of_an_older_day_closes_when_its_film_came_or_is_no_more(
    config: Config, database: Database, day: dict[str, Path], tmp_path: Path
) -> None:
    reconciler = Reconciler(config, database)
    with dcmtk.archive_that_moves(tmp_path / "qr", our_port=config.node.port) as port:
        register(database, "QRSCP", port)
        assert dcmtk.store(port, day["another-day"], day["lost"], called="QRSCP").returncode == 0
        assert reconciler.compare("QRSCP", date(2026, 11, 20), actor="test").missing == 1
        open_gap(database, "QRSCP", "1.2.3.999")
        assert reconciler.compare("QRSCP", DAY, actor="test").missing == 1
        assert missing(database) == [study_of(day["another-day"]), study_of(day["lost"])], "one is not there any more"
        assert dcmtk.store(config.node.port, day["another-day"], calling="QRSCP").returncode == 0
        reconciler.compare("QRSCP", DAY, actor="test")
    assert missing(database) == [study_of(day["lost"])]


def test_gap_stays_where_the_peer_cannot_be_asked_again(config: Config, database: Database) -> None:
    register(database, TITLE, free_port())
    open_gap(database, TITLE, "1.2.3")
    assert Reconciler(config, database).test_again(TITLE) == 0
    assert missing(database) == ["1.2.3"]


@contextmanager
def archive_with_an_unreadable_study(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """It has the studies 1.2.3.1 and 1.2.3.2; what it tells of the second, and of its series, cannot be decoded."""
    broken = b"\x08\x00\x40\x11\xff\xff\xff\xff\x20\x00\x0d\x00\x04\x00\x00\x001.2\x00"  # a sequence without items

    def told(study: str) -> Dataset:
        answer = Dataset()
        answer.StudyInstanceUID, answer.SeriesInstanceUID, answer.Modality = study, f"{study}.1", "DX"
        return answer

    def handle(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        asked = str(event.identifier.get("StudyInstanceUID", "") or "")
        for study in ("1.2.3.2", "1.2.3.1"):
            if asked in {"", study}:
                yield 0xFF00, told(study)

    def encoded(identifier: Dataset, *how: bool) -> bytes | None:
        return broken if identifier.StudyInstanceUID == "1.2.3.2" else encode(identifier, *how)

    monkeypatch.setattr("pynetdicom.service_class.encode", encoded)
    entity = AE(ae_title=TITLE)
    entity.add_supported_context(FIND)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, handle)])
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def test_study_that_cannot_be_read_hides_no_other(
    config: Config, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing among the others is listed; whatever may be that study is not taken for gone."""
    reconciler = Reconciler(config, database)
    with archive_with_an_unreadable_study(monkeypatch) as port:
        register(database, TITLE, port)
        with database.write() as tx:
            tx.add(Gap(peer=TITLE, day=f"{DAY}", study_instance_uid="1.2.3.9", seen_at=clock(tx)))
        open_gap(database, TITLE, "1.2.3.2")
        open_gap(database, TITLE, "1.2.3.8")
        row = reconciler.compare(TITLE, DAY, actor="test")
    assert (row.found, row.missing) == (1, 1)
    assert "cannot be read: have that study corrected there. The others were compared" in row.trouble
    assert sorted(missing(database)) == ["1.2.3.1", "1.2.3.2", "1.2.3.9"], "of older days 1.2.3.8 is there no more"


def test_gaps_of_a_peer_that_is_gone_are_let_go_with_a_word(config: Config, database: Database) -> None:
    register(database, TITLE, free_port())
    open_gap(database, TITLE, "1.2.3")
    open_gap(database, "GONE", "1.2.4")
    reconciler = Reconciler(config, database)
    assert (reconciler.close_gone(), reconciler.close_gone()) == (("GONE",), ())
    assert missing(database) == ["1.2.3"]
    with database.read() as tx:
        words = tx.scalars(select(Gap.last_error).where(Gap.peer == "GONE")).one()
    assert words == "GONE is registered no more"


def test_command_fetches_what_is_missing_of_any_day(tmp_path: Path, day: dict[str, Path]) -> None:
    node = Node(tmp_path / "node")
    listener = Listener(node.config.node, node.database)
    listener.start()
    long_ago = film(tmp_path, "long-ago", StudyDate="20200101")
    with dcmtk.archive_that_moves(tmp_path / "qr", our_port=node.port) as port:
        register(node.database, "QRSCP", port)
        assert dcmtk.store(port, long_ago, called="QRSCP").returncode == 0
        told = node.cli("reconcile", "--date", "2020-01-01", "--peer", "QRSCP")
        open_gap(node.database, "GONE", "1.2.4")
        fetched = node.cli("reconcile", "--retrieve", "--json")
    listener.stop(patience_seconds=5)
    left = missing(node.database)
    node.database.close()
    assert (told.returncode, fetched.returncode) == (1, 0), told.stderr + fetched.stderr
    document = json.loads(fetched.stdout)
    assert [(one["date"], one["retrieved"]) for one in document["missing"]] == [("2020-01-01", "here")]
    assert document["gone"] == ["GONE"]
    assert left == []


def test_one_film_of_two_is_a_gap(database: Database, config: Config) -> None:
    """A series that came in part is missing as much as one that did not come."""
    listener = Listener(config.node, database)
    listener.start()
    register(database, TITLE, 0)
    image: Dataset = small_film()
    assert store(config.node.port, image, TITLE).Status == 0x0000
    listener.stop(patience_seconds=5)
    with database.read() as tx:
        for instances, expected in ((0, True), (1, True), (2, False)):
            found = Found(image.StudyInstanceUID, (Series(image.SeriesInstanceUID, "DX", instances),))
            assert gaps.is_here(tx, found) is expected
