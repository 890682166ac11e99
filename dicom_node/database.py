"""The database: one engine for writers, one for readers, and the clock that leases are compared in.

SQLite (WAL, synchronous=FULL): writers start with BEGIN IMMEDIATE, so that two of them queue instead of failing
half-way; readers start plain and cannot write. Writers of one process queue at a lock of our own, which wakes the next
one at once; those of several ask again every few milliseconds. SQLite's own patience sleeps for up to 0.1 s between two
tries, in which others come and go: with twenty people at work one try in twenty took seconds.
PostgreSQL: the same SQL; writers in the default isolation with row locks, readers with one view for all their questions
(REPEATABLE READ READ ONLY).
No exception quotes the values of a statement: they are what a log must not hold.
A SQLite file is opened and never made: an empty new one in the place of one that is gone (an unmounted disk) would look
like a node that has received nothing. `make_file` makes it, for a new installation.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, DateTime, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

_SQLITE_CLOCK: Final = text("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")
_POSTGRESQL_CLOCK: Final = text("SELECT clock_timestamp()")
_TRY_MILLISECONDS: Final = 10  # SQLite sleeps 1, 2, 5 and 2 ms of them, and says then that another one writes


_Row = TypeVar("_Row", bound=DeclarativeBase)


class UTCDateTime(TypeDecorator[datetime]):
    """A timezone-aware moment, kept in UTC; SQLite stores it without the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive moments; they have cost others whole days."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a timezone cannot be stored")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give back what was stored, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """Opens transactions. One object per process; safe to use from several threads."""

    def __init__(self, url: str, *, busy_seconds: float = 30) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._turn = RLock()  # whoever has it already is told by SQLite that it waits for itself
        self._patience = busy_seconds
        if self.is_sqlite:
            opener = _opener(Path(str(self.url.database)), busy_seconds)
            self._writer = create_engine(url, creator=opener, hide_parameters=True)
            self._reader = create_engine(url, creator=opener, hide_parameters=True)
            _prepare_sqlite(self._writer, partial(_begin_to_write, patience=busy_seconds), read_only=False)
            _prepare_sqlite(self._reader, _begin_to_read, read_only=True)
        else:
            self._writer = create_engine(url, pool_pre_ping=True, hide_parameters=True)
            self._reader = self._writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @property
    def file(self) -> Path | None:
        """Where a SQLite database lies."""
        return Path(str(self.url.database)) if self.is_sqlite else None

    def make_file(self) -> None:
        """Make an empty SQLite database, readable by its owner only, where there is none. Raises OSError."""
        if self.file is not None:
            self.file.touch(mode=0o600)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back when an exception passes."""
        writer = (
            self._writer.execution_options(until=time.monotonic() + self._patience) if self.is_sqlite else self._writer
        )
        with self._in_turn(), Session(writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Of the threads of this process one after the other; whoever has waited for too long hears it of SQLite."""
        mine = self.is_sqlite and self._turn.acquire(timeout=self._patience)
        try:
            yield
        finally:
            if mine:
                self._turn.release()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One consistent view; changes are not written."""
        with Session(self._reader, expire_on_commit=False) as session:
            yield session

    @property
    def engine(self) -> Engine:
        """The writing engine, for migrations and backups."""
        return self._writer

    def close(self) -> None:
        """Give back every connection."""
        self._writer.dispose()
        self._reader.dispose()


def clock(tx: Session) -> datetime:
    """Now, as the database sees it: leases set on one machine are compared in the same clock on another."""
    if tx.get_bind().dialect.name == "sqlite":
        written = tx.scalar(_SQLITE_CLOCK)
        return datetime.strptime(str(written), "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
    moment = tx.scalar(_POSTGRESQL_CLOCK)
    assert isinstance(moment, datetime)
    return moment.astimezone(UTC)


def locked(tx: Session, made: _Row) -> _Row:
    """The row with this primary key, locked; `made` where there is none. Another transaction may be making it, too."""
    key = tuple(inspect(type(made)).primary_key_from_instance(made))
    row = tx.get(type(made), key, with_for_update=True)
    if row is not None:
        return row
    try:
        with tx.begin_nested():
            tx.add(made)
    except IntegrityError:
        return tx.get_one(type(made), key, with_for_update=True)
    return made


def _opener(file: Path, busy_seconds: float) -> Callable[[], sqlite3.Connection]:
    """Opens an existing database, for SQLAlchemy's pool."""
    address = f"{file.absolute().as_uri()}?mode=rw"

    def opened() -> sqlite3.Connection:
        return sqlite3.connect(address, timeout=busy_seconds, check_same_thread=False, uri=True)

    return opened


def _prepare_sqlite(engine: Engine, begin: Callable[[Connection], None], *, read_only: bool) -> None:
    """Set the pragmas of a connection and how its transactions start.

    Source: SQLAlchemy documentation, "Serializable isolation / Savepoints / Transactional DDL" of the pysqlite dialect.
    """

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        if not read_only:
            cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        if read_only:
            cursor.execute("PRAGMA query_only=ON")
        else:
            cursor.execute(f"PRAGMA busy_timeout={_TRY_MILLISECONDS}")
        cursor.close()

    event.listen(engine, "begin", begin)


def _begin_to_read(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_to_write(connection: Connection, *, patience: float) -> None:
    """Try until nobody else writes; after that SQLAlchemy's OperationalError is raised.

    patience: seconds, where nobody has said until when (`Database.write`, whose turn was waited for as well).
    """
    until = float(connection.get_execution_options().get("until", time.monotonic() + patience))
    cursor = connection.connection.cursor()
    try:
        while time.monotonic() < until:
            try:
                cursor.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    break
            else:
                return
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # as SQLAlchemy's own errors
    finally:
        cursor.close()
