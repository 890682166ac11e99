"""A study is whole: as Orthanc counts, by C-FIND and QIDO-RS, and where dcmtk's storescu ends its association."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom.uid import UID
from sqlalchemy import select

from agent.config import Config
from agent.counting import Counter
from agent.desk import Desk
from dicom_node import worklist
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.listener import Listener
from dicom_node.rules.tables import Routing, Signal, Trigger
from dicom_node.tables import Endpoint, Instance, RemoteAE, Way
from tests.harness import dcmtk
from tests.harness.door import associated, small_film
from tests.harness.node import free_port, wait_until
from tests.harness.orthanc import TITLE, Orthanc

STUDY = "1.2.826.0.1.3680043.10.78.1"
LONG = timedelta(days=1)
ALL = frozenset(Trigger)


class Site:
    """A listener, its database, and who may send."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.database = database
        node = NodeConfig(
            bind_address="127.0.0.1",
            port=free_port(),
            data_folder=folder / "data",
            reserve_mebibytes=1,
            dimse_timeout_seconds=30,
            complete_by=("association-end",),
            count_peers=(TITLE,),
            count_quiet_seconds=0.001,
        )
        self.config = Config(node=node)
        self.listener = Listener(node, database)
        with database.write() as tx:
            tx.add(RemoteAE(ae_title="PACS", may_send=True))

    @property
    def port(self) -> int:
        return self.config.node.port

    def complete(self, *triggers: Trigger) -> str:
        """What completed the study; empty where nothing did."""
        with self.database.write() as tx:
            worklist.complete_studies(tx, clock(tx), quiet=LONG, deadline=LONG, triggers=triggers)
        with self.database.read() as tx:
            return tx.scalar(select(Routing.completed_by)) or ""

    def signals(self) -> list[list[str]]:
        with self.database.read() as tx:
            return [json.loads(one) for one in tx.scalars(select(Signal.instances).order_by(Signal.id))]

    def register(self, port: int) -> None:
        with self.database.write() as tx:
            tx.add(RemoteAE(ae_title=TITLE, host="127.0.0.1", port=port))


@pytest.fixture
def site(sqlite_url: str, tmp_path: Path) -> Iterator[Site]:
    database = Database(sqlite_url, busy_seconds=10)
    made = Site(tmp_path, database)
    made.listener.start()
    yield made
    made.listener.stop(patience_seconds=5)
    database.close()


@pytest.fixture
def films(tmp_path: Path) -> list[Path]:
    """Two films of one study."""
    paths = []
    for number in (1, 2):
        film = small_film(StudyInstanceUID=STUDY, SOPInstanceUID=UID(f"{STUDY}.{number}"))
        film.SeriesInstanceUID = f"{STUDY}.9"
        paths.append(tmp_path / f"{number}.dcm")
        film.save_as(paths[-1], enforce_file_format=True)
    return paths


def test_orthanc_is_asked_how_many_there_are(site: Site, films: list[Path], tmp_path: Path) -> None:
    with Orthanc(tmp_path / "pacs", wetread_port=site.port, dicom_web=True, routes=False) as pacs:
        site.register(pacs.port)
        assert dcmtk.store(pacs.port, *films, called=TITLE).returncode == 0
        assert dcmtk.store(site.port, films[0]).returncode == 0
        counter = Counter(Desk(site.config, site.database))
        counter.step()
        assert site.complete(Trigger.COUNT) == "", "the PACS has one more"

        assert dcmtk.store(site.port, films[1]).returncode == 0
        counter.step()
        assert site.complete() == "", "the trigger is not wanted"
        assert site.complete(Trigger.COUNT) == Trigger.COUNT


def test_a_dicomweb_service_is_asked_as_well(site: Site, films: list[Path], tmp_path: Path) -> None:
    with Orthanc(tmp_path / "pacs", wetread_port=site.port, dicom_web=True, routes=False) as pacs:
        with site.database.write() as tx:
            tx.add(Endpoint(name="WEB", way=Way.STOW, url=pacs.dicom_web_url))
        assert dcmtk.store(pacs.port, *films, called=TITLE).returncode == 0
        assert dcmtk.store(site.port, *films).returncode == 0
        node = site.config.node.model_copy(update={"count_peers": ("WEB",)})
        Counter(Desk(site.config.model_copy(update={"node": node}), site.database)).step()

        assert site.complete(Trigger.COUNT) == Trigger.COUNT


def test_a_peer_that_does_not_say_how_many_there_are_completes_nothing(
    site: Site, films: list[Path], tmp_path: Path
) -> None:
    with dcmtk.archive(tmp_path / "qr") as port:
        with site.database.write() as tx:
            tx.add(RemoteAE(ae_title="QRSCP", host="127.0.0.1", port=port))
        assert dcmtk.store(site.port, *films).returncode == 0
        node = site.config.node.model_copy(update={"count_peers": ("QRSCP",)})
        Counter(Desk(site.config.model_copy(update={"node": node}), site.database)).step()

    assert site.complete(Trigger.COUNT) == ""


def test_a_peer_in_trouble_rests_and_an_unknown_one_is_told(site: Site, films: list[Path]) -> None:
    assert dcmtk.store(site.port, films[0]).returncode == 0
    moment = [0.0]
    counter = Counter(Desk(site.config, site.database), monotonic=lambda: moment[0])
    counter.step()  # not registered
    site.register(free_port())
    counter.step()
    assert counter.rests(TITLE)
    moment[0] = 61
    assert not counter.rests(TITLE)
    counter.step()  # nobody listens there
    assert counter.rests(TITLE)
    assert site.complete(*ALL - {Trigger.ASSOCIATION}) == ""


def test_the_end_of_an_association_says_that_all_has_come(site: Site, films: list[Path]) -> None:
    assert dcmtk.store(site.port, *films).returncode == 0
    wait_until(site.signals, "the end of the association to be booked", seconds=60)

    assert site.signals() == [[f"{STUDY}.1", f"{STUDY}.2"]]
    assert site.complete(Trigger.ASSOCIATION) == Trigger.ASSOCIATION


def test_an_aborted_association_says_nothing(site: Site) -> None:
    film = small_film()
    with associated(site.port) as line:
        assert line.send_c_store(film).Status == 0x0000
        line.abort()
    assert dcmtk.echo(site.port).returncode == 0  # one more that ends in order, without images

    with site.database.read() as tx:
        assert len(tx.scalars(select(Instance)).all()) == 1
    assert site.signals() == []
