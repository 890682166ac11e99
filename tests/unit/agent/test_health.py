"""What `wetread check` says of processes, quarantine and switches."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from agent import disk, health
from agent.config import Config
from agent.supervisor import PROCESSES, Supervisor
from dicom_node import worklist
from dicom_node.beats import FEWER, STARTING, STOPPED, cannot_start
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.tables import Endpoint, ProcessBeat, RemoteAE, Way
from reports import watches
from reports.config import FhirConfig, ReportsConfig
from tests.unit.agent.ward import Ward
from tests.unit.reports.films import film


@pytest.fixture
def opened(sqlite_url: str, open_database: Callable[[str], Database]) -> Database:
    return open_database(sqlite_url)


def beat(database: Database, *, age: float, detail: str = "", started: float = 60) -> health.Finding:
    with database.write() as tx:
        now: datetime = clock(tx)
        moment, began = now - timedelta(seconds=age), now - timedelta(seconds=started)
        tx.merge(ProcessBeat(name="work@host", pid=1, started_at=began, beat_at=moment, detail=detail))
        tx.flush()
        return next(finding for finding in health._processes(tx) if finding.subject == "work")


def test_a_process_says_how_long_ago_it_was_felt(opened: Database) -> None:
    found = beat(opened, age=3.2, detail="demo fp32")

    assert (found.verdict, found.words) == ("ok", "work@host demo fp32, 3 s ago")


def test_a_stopped_process_is_wrong_at_once(opened: Database) -> None:
    found = beat(opened, age=1.2, detail=STOPPED)

    assert found.verdict == "wrong"
    assert found.words == "work@host was stopped 1 s ago; start it with: wetread work, or all with: wetread run"


def test_a_worker_with_fewer_slots_than_configured_is_a_warning(opened: Database) -> None:
    found = beat(opened, age=1, detail=f"demo fp32; {FEWER}, 2 of 8: the device lacked memory")
    assert found.verdict == "warning"
    assert found.words == "work@host demo fp32; fewer slots, 2 of 8: the device lacked memory, 1 s ago"


def test_a_starting_process_is_a_warning(opened: Database) -> None:
    found = beat(opened, age=1, detail=f"{STARTING}: loads its model", started=12.2)

    assert found.verdict == "warning"
    assert found.words.startswith("work@host starting: loads its model since 12 s")


def test_a_silent_process_is_wrong_even_while_it_starts(opened: Database) -> None:
    found = beat(opened, age=31, detail=f"{STARTING}: loads its model")

    assert (found.verdict, "no sign of life for 31 s" in found.words) == ("wrong", True)


@pytest.mark.parametrize(("age", "told"), [(61, ""), (121, "; not tried again for 121 s; start it with: wetread work")])
def test_a_process_that_cannot_start_is_wrong_with_its_reason(opened: Database, age: float, told: str) -> None:
    found = beat(opened, age=age, detail=cannot_start("no port", "at 04:50:12Z"))

    assert found.verdict == "wrong"
    assert found.words.startswith(f"work@host cannot start: no port; wetread run tries again at 04:50:12Z{told}")
    assert found.words.endswith("12Z") == (not told)


class Silent:
    """A peer that takes connections and says nothing. most: how many were open at once when the second caller came."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(60)
        self._open: list[socket.socket] = []
        self.most = 0

    def __enter__(self) -> int:
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return int(self._listening.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        for _ in range(2):
            connection, _ = self._listening.accept()
            self._open = [one for one in self._open if not _has_hung_up(one)] + [connection]
            self.most = max(self.most, len(self._open))
        for one in self._open:
            one.close()


def _has_hung_up(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    connection.close()
    return True


def test_peers_are_asked_at_the_same_time() -> None:
    silent = Silent()
    with silent as port:
        known = [
            RemoteAE(ae_title=name, host="127.0.0.1", port=port, may_send=True, send_to=False, comment="")
            for name in ("FIRST", "SECOND")
        ]
        found = list(health._peers(Config(), known))

    assert silent.most == 2
    assert [(one.subject, one.verdict) for one in found] == [("peer FIRST", "wrong"), ("peer SECOND", "wrong")]


@pytest.mark.parametrize(("minutes", "verdict"), [(59, "warning"), (61, "wrong")])
def test_a_forgotten_pause_is_wrong(opened: Database, minutes: int, verdict: str) -> None:
    with opened.write() as tx:
        now = clock(tx)
        worklist.switch(tx, "pause-send", on=True, now=now - timedelta(minutes=minutes), actor="person:jane")
        tx.flush()
        (found,) = [finding for finding in health._waiting(tx) if finding.subject == "paused"]

    assert found.verdict == verdict
    assert found.words == f"Sending is paused by person:jane for {minutes} min: wetread resume --what send"


@pytest.mark.parametrize(("studies", "said"), [(1, "1 study waits for a person"), (2, "2 studies wait for a person")])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_one_is_not_told_as_several(ward: Ward, studies: int, said: str) -> None:
    for number in range(studies):
        ward.receive(film(PatientID="", StudyInstanceUID=f"2.25.7{number}", SOPInstanceUID=f"2.25.8{number}"))

    with ward.database.read() as tx:
        (held,) = [one for one in health._waiting(tx) if one.subject == "held"]

    assert held.words.startswith(said)


@pytest.fixture
def _in_seoul(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_in_seoul")
def test_a_time_zone_that_nobody_chose_is_a_warning() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)

    (found,) = health._time_zone(ReportsConfig(), now)

    assert (found.verdict, "+0900; set reports.time_zone" in found.words) == ("warning", True)
    assert list(health._time_zone(ReportsConfig(time_zone="UTC"), now)) == []
    assert list(health._time_zone(ReportsConfig(time_zone="Asia/Seoul"), now)) == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_store_that_is_away_is_wrong(tmp_path: Path, ward: Ward) -> None:
    def found() -> list[tuple[str, str]]:
        with ward.database.read() as tx:
            return [told[:2] for told in disk.examine_store(ward.desk.config.node, tx)]

    folder = ward.desk.config.node.store_folder
    folder.rename(tmp_path / "away")
    assert found() == [], "nothing was ever stored"
    (tmp_path / "away").rename(folder)
    ward.receive(film())
    assert found() == []
    folder.rename(tmp_path / "away")
    assert found() == [("store", "wrong")]
    folder.mkdir()
    assert found() == [("store", "wrong")], "an empty mount point is no store"


@pytest.mark.parametrize(
    ("detail", "seconds_ago", "verdict"),
    [(STARTING, 1, "wrong"), (STARTING, 40, "wrong"), (STOPPED, 1, "wrong"), ("", 40, "wrong"), ("", 1, "ok")],
)
def test_listen_that_cannot_start_is_told_of_the_store(
    opened: Database, detail: str, seconds_ago: float, verdict: str
) -> None:
    with opened.write() as tx:
        moment = clock(tx) - timedelta(seconds=seconds_ago)
        for name in ("listen@host", "send@host"):
            tx.add(ProcessBeat(name=name, pid=1, started_at=moment, beat_at=moment, detail=detail))
        tx.flush()
        found = {one.subject: one for one in health._processes(tx, store_is_away=True)}

    assert found["listen"].verdict == verdict
    assert found["listen"].words.startswith("does not start while the store is away") == (verdict == "wrong")
    assert "the store is away" not in found["send"].words


def test_a_process_that_is_being_started_does_not_look_as_if_it_never_ran(tmp_path: Path, opened: Database) -> None:
    config = Config(node=NodeConfig(data_folder=tmp_path, database=SecretStr(str(opened.url))))
    with opened.read() as tx:
        before = {found.verdict for found in health._processes(tx)}

    for name in PROCESSES:
        Supervisor(config, None)._say_starting(name)

    with opened.read() as tx:
        assert before == {"wrong"}
        assert {found.verdict for found in health._processes(tx)} == {"warning"}


def test_the_reason_stays_while_a_process_is_started_again_and_not_for_the_next_run(
    tmp_path: Path, opened: Database
) -> None:
    config = Config(node=NodeConfig(data_folder=tmp_path, database=SecretStr(str(opened.url))))

    def details() -> set[str]:
        with opened.read() as tx:
            return {beat.detail for beat in tx.scalars(select(ProcessBeat))}

    run = Supervisor(config, None)
    run._say_starting("listen")
    run._started["listen"] = time.monotonic()
    run._when_again("listen", 1)
    assert details() == {STARTING}, "it may be mended by the next start"
    run._when_again("listen", 2)
    (left,) = details()
    assert left.startswith("cannot start: exit code 2; its log says why; wetread run tries again at ")
    run._say_starting("listen")
    assert details() == {cannot_start("exit code 2; its log says why", "now")}

    Supervisor(config, None)._say_starting("listen")
    assert details() == {STARTING}


def test_without_a_database_what_was_started_is_looked_after_all_the_same(tmp_path: Path) -> None:
    config = Config(node=NodeConfig(data_folder=tmp_path, database=SecretStr(f"sqlite:///{tmp_path}/absent/x.db")))
    run = Supervisor(config, None)
    run._say_starting("listen")
    run._started["listen"] = time.monotonic()

    assert run._when_again("listen", 2) > time.monotonic()


def watch_of(database: Database, *, on: bool = True) -> list[tuple[str, str, str]]:
    config = Config(fhir=FhirConfig(watch=on))
    with database.read() as tx:
        return [(one.subject, one.verdict, one.words) for one in health._watched(config, tx)]


def test_a_server_that_is_asked_for_signed_reports_is_told_of(opened: Database) -> None:
    with opened.write() as tx:
        now = clock(tx)
        tx.add(Endpoint(name="EHR", way=Way.FHIR, url="http://ehr/fhir"))
        tx.add(Endpoint(name="RIS", way=Way.MLLP, host="ris", port=2575))
    assert watch_of(opened, on=False) == []
    assert watch_of(opened) == [
        ("watch EHR", "warning", "not asked for signed reports yet: does `dispatch` run?"),
    ]

    with opened.write() as tx:
        watches.succeed(tx, "EHR", now, now)
    ((_, verdict, words),) = watch_of(opened)
    assert verdict == "ok"
    assert words.startswith("asked for signed reports, last heard 20")

    with opened.write() as tx:
        watches.fail(tx, "EHR", now, "EHR answered 503", now)
    ((_, verdict, words),) = watch_of(opened)
    assert verdict == "warning"
    assert "failing since 20" in words
    assert ": EHR answered 503; drafts stay beside what is signed there" in words

    with opened.write() as tx:
        row = tx.get_one(watches.Watch, "EHR")
        row.failing_since = now - timedelta(hours=3)
    ((_, verdict, words),) = watch_of(opened)
    assert verdict == "wrong"
    assert "(3 h ago)" in words

    with opened.write() as tx:
        row = tx.get_one(watches.Watch, "EHR")
        row.failing_since, row.heard_at = None, now - timedelta(hours=5)
    ((_, verdict, words),) = watch_of(opened)
    assert verdict == "warning"
    assert "(5 h ago), and not asked since: does `dispatch` run?" in words
