"""A private PostgreSQL from Debian's package: its own folder, a unix socket, no TCP port, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
_RESTART = "SELECT setval(sequencename::regclass, start_value, false) FROM pg_sequences WHERE last_value > 0"
_USER = "postgres"  # the server refuses to run as root, so root hands it to the package's own user


class PostgresServer:
    """Starts on `with`. Durability is off: the tests ask for right answers, not for survival of a power cut."""

    def __init__(self) -> None:
        self._bin = _newest_installation()
        # not in a test's own folder: a socket's path has 107 bytes at most, and another user must reach it
        self.folder = Path(tempfile.mkdtemp(prefix="wetread-pg-", dir="/tmp"))

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            account = pwd.getpwnam(_USER)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        data = str(self.folder / "data")
        self._run("initdb", "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off"
        self._run("pg_ctl", "-D", data, "-w", "-l", str(self.folder / "log"), "-o", options, "start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def create(self, name: str) -> str:
        """Make an empty database and return its SQLAlchemy URL."""
        with psycopg.connect(host=str(self.folder), user=_USER, dbname="postgres", autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return f"postgresql+psycopg://{_USER}@/{name}?host={self.folder}"

    def _run(self, program: str, *arguments: str) -> None:
        as_owner = ["runuser", "-u", _USER, "--"] if os.geteuid() == 0 else []
        command = [*as_owner, str(self._bin / program), *arguments]
        # Output goes to a file: the server inherits it, and a pipe would never close.
        with (self.folder.parent / f"{self.folder.name}.{program}.log").open("w+") as words:
            done = subprocess.run(command, stdout=words, stderr=words, cwd="/", timeout=60, check=False)
            words.seek(0)
            told = words.read()
        Path(words.name).unlink()
        assert done.returncode == 0, f"{program}: {told}"


def empty(url: str) -> None:
    """Empty every table of ours and let its numbers begin at one again.

    Only what was used: to truncate a table makes its files anew, though nothing was in it.
    """
    with psycopg.connect(url.replace("+psycopg", "", 1)) as connection:
        tables = [name for (name,) in connection.execute(_TABLES)]
        used = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(sql.Literal(name), sql.Identifier(name))
            for name in tables
        )
        filled = [sql.Identifier(name) for (name,) in connection.execute(used)]
        if filled:
            connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.SQL(", ").join(filled)))
        connection.execute(_RESTART)


def _newest_installation() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    assert found, "PostgreSQL is needed: apt-get install postgresql"
    return found[-1]
