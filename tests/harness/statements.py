"""Statements compiled once for all databases of a process; by itself each engine of SQLAlchemy compiles them anew.

A test has a database of its own, so that a third of the time of the tests went into compiling the same statements for
each of them. A program has one for as long as it lives.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

_MOST: Final = 3_000  # statements of one kind of database; they are forgotten all at once when another one is opened


class _Alike:
    """Engines of one kind speak one dialect: what was compiled for the one is right for the other."""

    compiled: dict[Any, Any]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        if len(cls.compiled) > _MOST:
            cls.compiled.clear()
        engine.update_execution_options(compiled_cache=cls.compiled)


class Sqlite(_Alike, SQLiteDialect_pysqlite):
    """SQLite by sqlite3, in files and in memory."""

    compiled: dict[Any, Any] = {}  # noqa: RUF012  of the whole process
    supports_statement_cache = True


class Postgresql(_Alike, PGDialect_psycopg):
    """PostgreSQL by psycopg; every server of a run is of one version."""

    compiled: dict[Any, Any] = {}  # noqa: RUF012  of the whole process
    supports_statement_cache = True


def keep_compiled() -> None:
    """From now on, in this process."""
    registry.register("sqlite", __name__, Sqlite.__name__)
    registry.register("postgresql.psycopg", __name__, Postgresql.__name__)
