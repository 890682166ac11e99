"""One clock, moments in UTC, writers that queue, readers that cannot write."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.orm import Session

from dicom_node import database as database_module
from dicom_node.database import Database, clock
from dicom_node.tables import Switch
from tests.harness.node import wait_until


def put(tx: Session, at: datetime, name: str = "s") -> None:
    tx.merge(Switch(name=name, on=True, by="p", at=at))


def test_moment_comes_back_in_utc(database: Database) -> None:
    moment = datetime(2026, 11, 22, 9, 30, 15, 123456, tzinfo=timezone(timedelta(hours=9)))
    with database.write() as tx:
        put(tx, moment)
    with database.read() as tx:
        found = tx.get_one(Switch, "s").at
    assert (found, found.tzinfo) == (moment, UTC)


def test_moment_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="without a timezone"), database.write() as tx:
        put(tx, datetime(2026, 11, 22))  # noqa: DTZ001


def test_clock_runs_and_is_near_ours(database: Database) -> None:
    with database.write() as tx:
        first, second = clock(tx), clock(tx)
    assert first <= second
    assert abs(first - datetime.now(UTC)) < timedelta(seconds=5)


def test_exception_leaves_nothing_behind(database: Database) -> None:
    def broken() -> None:
        with database.write() as tx:
            put(tx, datetime.now(UTC))
            tx.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    with database.read() as tx:
        assert tx.get(Switch, "s") is None


def test_reader_writes_nothing(database: Database) -> None:
    with pytest.raises(DBAPIError, match=r"read-?only"), database.read() as tx:
        tx.execute(text("DELETE FROM switch"))
    with database.write() as tx:
        put(tx, datetime.now(UTC))
    with database.read() as tx:
        tx.get_one(Switch, "s").by = "q"
    with database.read() as tx:
        assert tx.get_one(Switch, "s").by == "p"


def test_writers_queue_and_lose_no_change(database: Database) -> None:
    with database.write() as tx:
        put(tx, datetime(2000, 1, 1, tzinfo=UTC))

    def count() -> None:
        for _ in range(20):
            with database.write() as tx:
                row = tx.get_one(Switch, "s", with_for_update=True)
                row.at += timedelta(days=1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as tx:
        assert tx.get_one(Switch, "s").at == datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=80)


def test_sqlite_survives_a_power_cut(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.write() as tx:
        assert tx.scalar(text("PRAGMA journal_mode")) == "wal"
        assert tx.scalar(text("PRAGMA synchronous")) == 2  # FULL
        assert tx.scalar(text("PRAGMA foreign_keys")) == 1
    database.close()


def test_update_sees_the_stored_form_of_a_moment(database: Database) -> None:
    at = datetime(2026, 11, 22, 9, 30, 15, 120000, tzinfo=UTC)
    with database.write() as tx:
        put(tx, at)
    with database.write() as tx:
        assert tx.execute(update(Switch).where(Switch.at <= at).values(by="q")).rowcount == 1  # type: ignore[attr-defined]
        assert tx.execute(update(Switch).where(Switch.at < at).values(by="r")).rowcount == 0  # type: ignore[attr-defined]


def test_exception_of_the_database_quotes_no_values(database: Database) -> None:
    at = datetime.now(UTC)
    twice = insert(Switch).values([{"name": "s", "on": True, "by": "SECRET", "at": at}] * 2)
    with pytest.raises(DBAPIError) as caught, database.write() as tx:
        tx.execute(twice)
    assert "SECRET" not in str(caught.value)


def test_reader_sees_one_moment_in_all_its_questions(database: Database) -> None:
    """A balance asks several times; what is committed in between would look like a fault in the books."""
    at = datetime.now(UTC)
    count = select(func.count()).select_from(Switch)
    with database.read() as tx:
        assert tx.scalar(count) == 0
        with database.write() as other:
            put(other, at)
        assert tx.scalar(count) == 0
    with database.read() as tx:
        assert tx.scalar(count) == 1


class Hasty:
    """A clock on which a second is over at every look."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        self.seconds += 1
        return self.seconds


def test_time_in_which_a_writer_waited_for_its_turn_counts(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other, database = Database(sqlite_url), Database(sqlite_url, busy_seconds=600)
    hasty = Hasty()
    monkeypatch.setattr(database_module, "time", hasty)
    taken, heard = threading.Event(), threading.Event()

    def have_the_turn() -> None:
        with database._in_turn():
            taken.set()
            wait_until(lambda: hasty.seconds > before, "the writer to come")
            hasty.seconds += 600

    def write() -> None:
        with suppress(DBAPIError), database.write() as late:
            clock(late)
        heard.set()

    with other.write() as tx:
        put(tx, datetime.now(UTC))
        tx.flush()
        before = hasty.seconds
        threads = [threading.Thread(target=have_the_turn), threading.Thread(target=write)]
        threads[0].start()
        assert taken.wait(30)
        threads[1].start()
        assert heard.wait(60)
        for thread in threads:
            thread.join()
    assert hasty.seconds < before + 700, "no second patience once it was its turn"
    other.close()
    database.close()


def test_writer_waits_for_another_process_and_hears_when_it_takes_too_long(sqlite_url: str) -> None:
    other, patient, impatient = Database(sqlite_url), Database(sqlite_url), Database(sqlite_url, busy_seconds=0.05)
    done = threading.Event()

    def write() -> None:
        with patient.write() as tx:
            put(tx, datetime.now(UTC))
        done.set()

    waiting = threading.Thread(target=write)
    with other.write() as tx:
        put(tx, datetime.now(UTC), "t")
        tx.flush()
        waiting.start()
        with pytest.raises(DBAPIError, match="locked"), impatient.write() as late:
            clock(late)
        assert not done.is_set()
    waiting.join(30)
    assert done.is_set()
    for one in (other, patient, impatient):
        one.close()


def test_writer_within_a_writer_is_told_that_it_waits_for_itself(sqlite_url: str) -> None:
    database = Database(sqlite_url, busy_seconds=0.05)
    with database.write() as tx:
        put(tx, datetime.now(UTC))
        tx.flush()
        with pytest.raises(DBAPIError, match="locked"), database.write() as within:
            clock(within)
    with database.read() as tx:
        assert tx.get(Switch, "s") is not None
    database.close()
