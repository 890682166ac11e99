"""Storage commitment of what we received: promised only where bytes and row are durable, reported until it is taken."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)
from sqlalchemy import select, update

from dicom_node import commitment_service
from dicom_node.commitment_service import Commitment, Reporter
from dicom_node.commitment_tables import CommitmentRequest
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.errors import StoreAway
from dicom_node.files import MARK, mark_of, stored_path
from dicom_node.listener import Listener
from dicom_node.tables import Instance, RemoteAE
from dicom_node.worklist import promises
from tests.harness.door import DX, small_film, store
from tests.harness.hanging import answered, hang
from tests.harness.node import free_port, wait_until
from tests.harness.orthanc import TITLE, Orthanc

UNKNOWN = "2.25.4711"


class Modality:
    """Sends films, asks for their commitment, and takes reports on the same association or at its port."""

    def __init__(self, to_port: int) -> None:
        self.to_port = to_port
        self.port = free_port()
        self.reports: list[tuple[str, int, Dataset]] = []  # where it came: "same" or "new", event type, information
        self.status = 0x0000

    @contextmanager
    def listening(self) -> Iterator[None]:
        entity = AE(ae_title="PACS")
        entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, lambda event: self._take(event, "new"))]
        server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        try:
            yield
        finally:
            server.shutdown()
            entity.shutdown()

    @contextmanager
    def associated(self, *also: str) -> Iterator[Association]:
        entity = AE(ae_title="PACS")
        for sop_class in (StorageCommitmentPushModel, *also):
            entity.add_requested_context(sop_class)
        handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, lambda event: self._take(event, "same"))]
        association = entity.associate("127.0.0.1", self.to_port, ae_title="WETREAD", evt_handlers=handlers)
        assert association.is_established
        try:
            yield association
        finally:
            if association.is_established:
                association.release()

    def ask(self, *objects: tuple[str, str], uid: str = "2.25.1") -> int:
        """N-ACTION on an association that is released at once."""
        with self.associated() as association:
            return act(association, request(uid, *objects))

    def wait(self, number: int = 1) -> tuple[str, int, Dataset]:
        wait_until(lambda: len(self.reports) >= number, "a report")
        return self.reports[number - 1]

    def _take(self, event: evt.Event, where: str) -> tuple[int, None]:
        self.reports.append((where, event.event_type, event.event_information))
        return self.status, None


def request(uid: str, *objects: tuple[str, str]) -> Dataset:
    information = Dataset()
    if uid:
        information.TransactionUID = uid
    information.ReferencedSOPSequence = []
    for sop_class, instance in objects:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
        information.ReferencedSOPSequence.append(item)
    return information


def act(
    association: Association,
    information: Dataset,
    *,
    action: int = 1,
    instance: str = StorageCommitmentPushModelInstance,
) -> int:
    status, _ = association.send_n_action(information, action, StorageCommitmentPushModel, instance)
    return int(status.Status)


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    opened = Database(sqlite_url, busy_seconds=10)
    yield opened
    opened.close()


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    return NodeConfig(
        bind_address="127.0.0.1",
        port=free_port(),
        data_folder=tmp_path / "data",
        reserve_mebibytes=1,
        dimse_timeout_seconds=10,
        retry_seconds=(0.2,),
    )


@pytest.fixture
def heard() -> list[tuple[frozenset[int], str]]:
    return []


@pytest.fixture
def modality(database: Database, config: NodeConfig, heard: list[tuple[frozenset[int], str]]) -> Iterator[Modality]:
    service = Commitment(config, database, lambda _tx, studies, title, _now: heard.append((studies, title)))
    listener = Listener(config, database, [service])
    listener.start()
    asker = Modality(config.port)
    with database.write() as tx:
        tx.add(RemoteAE(ae_title="PACS", host="127.0.0.1", port=asker.port, may_send=True))
    yield asker
    listener.stop(patience_seconds=5)


def send_film(port: int) -> tuple[str, str]:
    film = small_film()
    assert store(port, film).Status == 0x0000
    return str(film.SOPClassUID), str(film.SOPInstanceUID)


def failures(information: Dataset) -> dict[str, int]:
    return {item.ReferencedSOPInstanceUID: item.FailureReason for item in information.get("FailedSOPSequence", [])}


def committed(information: Dataset) -> list[str]:
    return [item.ReferencedSOPInstanceUID for item in information.get("ReferencedSOPSequence", [])]


def requests(database: Database) -> list[CommitmentRequest]:
    with database.read() as tx:
        return list(tx.scalars(select(CommitmentRequest)))


def make_due(database: Database) -> None:
    with database.write() as tx:
        tx.execute(update(CommitmentRequest).values(next_attempt_at=datetime.now(UTC) - timedelta(seconds=1)))


def test_who_waits_on_the_association_is_told_there(modality: Modality, database: Database) -> None:
    film = send_film(modality.to_port)
    with modality.associated() as association:
        assert act(association, request("2.25.1", film)) == 0x0000
        where, event_type, information = modality.wait()
    assert (where, event_type, information.TransactionUID) == ("same", 1, "2.25.1")
    assert (committed(information), failures(information)) == ([film[1]], {})
    wait_until(lambda: requests(database)[0].reported_at, "the report to be booked")


def test_who_released_is_told_on_a_new_association(modality: Modality, database: Database, config: NodeConfig) -> None:
    film = send_film(modality.to_port)
    assert modality.ask(film) == 0x0000
    reporter = Reporter(config, database)
    with modality.listening():
        make_due(database)
        assert reporter.report_one()
        where, event_type, information = modality.wait()
    assert (where, event_type, committed(information)) == ("new", 1, [film[1]])
    make_due(database)
    assert not reporter.report_one(), "once"


def test_only_what_is_durable_here_is_promised(modality: Modality, database: Database, config: NodeConfig) -> None:
    kept, lost, other_class = (send_film(modality.to_port) for _ in range(3))
    with database.read() as tx:
        digest = tx.scalars(select(Instance.digest).where(Instance.sop_instance_uid == lost[1])).one()
    stored_path(config.store_folder, digest).unlink()
    asked = [kept, lost, ("1.2.840.10008.5.1.4.1.1.2", other_class[1]), (DX, UNKNOWN)]
    with modality.associated() as association:
        assert act(association, request("2.25.1", *asked)) == 0x0000
        _, event_type, information = modality.wait()
    assert (event_type, committed(information)) == (2, [kept[1]])
    assert failures(information) == {lost[1]: 0x0112, other_class[1]: 0x0119, UNKNOWN: 0x0112}


def test_nothing_is_said_to_be_lost_while_the_store_is_away(
    modality: Modality, database: Database, config: NodeConfig
) -> None:
    film = send_film(modality.to_port)
    away = config.data_folder / "away"
    config.store_folder.rename(away)
    assert modality.ask(film) == 0x0000
    make_due(database)
    with pytest.raises(StoreAway):
        Reporter(config, database).report_one()
    with pytest.raises(StoreAway), database.write() as tx:  # it went after the first look at it
        promises.claim_report(
            tx, datetime.now(UTC), store=config.store_folder, wait=lambda _: timedelta(), give_up=timedelta(days=1)
        )
    away.rename(config.store_folder)
    with modality.listening():
        make_due(database)
        assert Reporter(config, database).report_one()
        _, event_type, information = modality.wait()
    assert (event_type, committed(information)) == (1, [film[1]])


def test_nobody_waits_to_write_while_the_disk_hangs(modality: Modality, database: Database, config: NodeConfig) -> None:
    film = send_film(modality.to_port)
    mark, word = config.store_folder / MARK, mark_of(config.store_folder)
    with modality.associated() as association:
        hang(mark)
        assert act(association, request("2.25.1", film)) == 0x0000
        with answered(mark, word), database.write() as tx:
            assert clock(tx)
        _, event_type, information = modality.wait()
    assert (event_type, committed(information)) == (1, [film[1]])


def test_report_is_tried_until_it_is_taken(modality: Modality, database: Database, config: NodeConfig) -> None:
    assert modality.ask(send_film(modality.to_port)) == 0x0000
    reporter = Reporter(config, database)
    make_due(database)
    assert reporter.report_one()
    assert "cannot be reached" in requests(database)[0].last_error
    modality.status = 0x0110
    with modality.listening():
        make_due(database)
        assert reporter.report_one()
        assert "answered the report with status 0x0110" in requests(database)[0].last_error
        modality.status = 0x0000
        make_due(database)
        assert reporter.report_one()
    (row,) = requests(database)
    assert (row.attempts, row.last_error, row.reported_at is None) == (3, "", False)


def test_report_for_a_peer_without_an_address_says_what_to_do(
    modality: Modality, database: Database, config: NodeConfig
) -> None:
    with database.write() as tx:
        tx.execute(update(RemoteAE).values(host="", port=0))
    assert modality.ask((DX, UNKNOWN)) == 0x0000
    make_due(database)
    assert Reporter(config, database).report_one()
    assert requests(database)[0].last_error == "PACS has no address: wetread ae edit 'PACS' --address HOST:PORT"


def test_same_question_again_is_answered_again(modality: Modality, database: Database, config: NodeConfig) -> None:
    film = send_film(modality.to_port)
    reporter = Reporter(config, database)
    with modality.listening():
        for _ in range(2):
            assert modality.ask(film) == 0x0000
            make_due(database)
            assert reporter.report_one()
    assert len(modality.reports) == 2
    assert len(requests(database)) == 1
    assert modality.ask((DX, UNKNOWN)) == 0x0210, "the transaction UID is in use for other objects"


class Line:
    """What stands in for an association whose silence is waited for."""

    def __init__(self) -> None:
        self.is_established = True
        self.hears: list[Callable[[object], None]] = []

    def bind(self, _event: object, handler: Callable[[object], None]) -> None:
        self.hears.append(handler)

    def unbind(self, _event: object, handler: Callable[[object], None]) -> None:
        self.hears.remove(handler)


@pytest.mark.parametrize(
    ("speaks", "stands", "told"), [(False, True, True), (True, True, False), (False, False, False)]
)
def test_modality_that_sends_on_or_has_gone_is_told_elsewhere(
    monkeypatch: pytest.MonkeyPatch, speaks: bool, stands: bool, told: bool
) -> None:
    """Nothing of ours may come between a request and its answer."""
    monkeypatch.setattr(commitment_service, "SAME_ASSOCIATION_SECONDS", 0.1)
    line, acted = Line(), threading.Event()
    waiting = commitment_service.Quiet(line, lambda _quiet: acted.set())  # type: ignore[arg-type]
    if speaks:
        line.hears[0](None)
    line.is_established = stands
    waiting.start()
    waiting.join()
    assert acted.is_set() is told
    assert line.hears == [], "it listens no more"


def test_modality_that_speaks_while_its_report_is_prepared_is_told_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commitment_service, "SAME_ASSOCIATION_SECONDS", 0.1)
    line, lasted = Line(), []

    def prepare(quiet: commitment_service.Quiet) -> None:
        lasted.append(quiet.lasts())
        line.hears[0](None)
        lasted.append(quiet.lasts())

    waiting = commitment_service.Quiet(line, prepare)  # type: ignore[arg-type]
    waiting.start()
    waiting.join()
    assert lasted == [True, False]


def test_association_that_may_carry_films_carries_no_report(
    monkeypatch: pytest.MonkeyPatch, modality: Modality, database: Database, config: NodeConfig
) -> None:
    """A C-STORE that comes while our report waits for its answer would be lost."""
    watched: list[Association] = []

    class Watch(commitment_service.Quiet):
        def __init__(self, association: Association, act: Callable[[commitment_service.Quiet], None]) -> None:
            watched.append(association)
            super().__init__(association, act)

    monkeypatch.setattr(commitment_service, "Quiet", Watch)
    film = send_film(modality.to_port)
    with modality.associated(DX) as association:
        assert act(association, request("2.25.1", film)) == 0x0000
        assert watched == [], "nobody waits for its silence"
        with modality.listening():
            make_due(database)
            assert Reporter(config, database).report_one()
            where, _, information = modality.wait()
    assert (where, committed(information)) == ("new", [film[1]])


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ({"action": 2}, 0x0123),
        ({"instance": "1.2.3"}, 0x0112),
        ({"information": request("", (DX, UNKNOWN))}, 0x0114),
        ({"information": request("2.25.1")}, 0x0114),
        ({"information": request("2.25.1", (DX, ""))}, 0x0115),
    ],
)
def test_request_that_makes_no_sense_is_refused_with_its_reason(
    modality: Modality, database: Database, arguments: dict[str, Any], status: int
) -> None:
    information = arguments.pop("information", request("2.25.1", (DX, UNKNOWN)))
    with modality.associated() as association:
        assert act(association, information, **arguments) == status
    assert requests(database) == []


def test_stranger_may_not_ask(modality: Modality) -> None:
    entity = AE(ae_title="STRANGER")
    entity.add_requested_context(StorageCommitmentPushModel)
    association = entity.associate("127.0.0.1", modality.to_port, ae_title="WETREAD")
    assert association.is_rejected


def test_request_says_which_studies_are_complete(
    modality: Modality, database: Database, heard: list[tuple[frozenset[int], str]]
) -> None:
    film = send_film(modality.to_port)
    modality.ask(film, (DX, UNKNOWN))
    with database.read() as tx:
        studies = frozenset(tx.scalars(select(Instance.study_id)))
    assert heard == [(studies, "PACS")]


def test_reports_end_when_they_are_given_up(modality: Modality, database: Database, config: NodeConfig) -> None:
    modality.ask((DX, UNKNOWN))
    make_due(database)
    with database.write() as tx:
        long_ago = datetime.now(UTC) - timedelta(hours=config.give_up_hours, seconds=1)
        tx.execute(update(CommitmentRequest).values(requested_at=long_ago))
    assert not Reporter(config, database).report_one()


def test_orthanc_as_scu_is_told_what_we_keep(database: Database, config: NodeConfig, tmp_path: Path) -> None:
    listener = Listener(config, database, [Commitment(config, database)])
    listener.start()
    with Orthanc(tmp_path / "pacs", wetread_port=config.port) as pacs:
        with database.write() as tx:
            tx.add(RemoteAE(ae_title=TITLE, host="127.0.0.1", port=pacs.port, may_send=True))
        film = small_film()
        assert store(config.port, film, TITLE).Status == 0x0000
        kept = [str(film.SOPClassUID), str(film.SOPInstanceUID)]
        asked = pacs.post("/modalities/wetread/storage-commitment", {"DicomInstances": [kept, [DX, UNKNOWN]]})
        make_due(database)
        assert Reporter(config, database).report_one()
        answer = pacs.ask(asked["Path"])
    listener.stop(patience_seconds=5)
    assert answer["Status"] == "Failure", "one of the two is not here"
    assert [one["SOPInstanceUID"] for one in answer["Success"]] == [film.SOPInstanceUID]
    assert [(one["SOPInstanceUID"], one["FailureReason"]) for one in answer["Failures"]] == [(UNKNOWN, 0x0112)]
