"""The version of the database: checked by every process at its start, changed only by `wetread db upgrade`."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import inspect, text

from dicom_node import mark
from dicom_node.database import Database
from dicom_node.errors import ConfigurationError, DatabaseNotReady, StoreAway
from dicom_node.files import make_store

if TYPE_CHECKING:
    from alembic.config import Config as AlembicConfig

log = structlog.get_logger("schema")

VERSION = "0019"  # of the newest migration; a test holds it against agent/migrations
_WAYS = (
    "Was there one before? Then is its disk mounted, is node.data_folder right, or put a backup back "
    "(wetread db restore). Only for a new installation, make one with: wetread db upgrade"
)


def check(database: Database) -> None:
    """Raises DatabaseNotReady where the database is absent, empty, older or newer than this program."""
    found = current(database)
    if found is None:
        raise DatabaseNotReady(f"{_what_is_missing(database)} {_WAYS}")
    if found != VERSION:
        raise DatabaseNotReady(
            f"the database has version {found}, this program needs {VERSION}; back up with: wetread db backup, then "
            "run: wetread db upgrade (a database newer than the program needs the newer program)"
        )


def _what_is_missing(database: Database) -> str:
    """An unmounted disk, a lost file and an empty database look alike to a program, and not to a person."""
    file = database.file
    if file is not None and not file.parent.exists():
        return f"the folder {file.parent} does not exist."
    if file is not None and not file.exists():
        return f"{file} does not exist."
    return f"the database {database.url.render_as_string()} is empty: it has no tables."


def current(database: Database) -> str | None:
    """The version of the database, None where it has no tables or no file."""
    if database.file is not None and not database.file.exists():
        return None
    with database.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalars().one_or_none()


def upgrade(database: Database, *, store: Path | None = None) -> str:
    """Bring the database to this program's version; make it where there is none, and nothing says that there was one.

    store: the folder of stored objects, made with a new database; for SQLite the one beside the file unless told. Where
    it is told, it gets its mark; returns why it got none, and what to do, in sentences, or nothing where it has one.
    Raises ConfigurationError where there is no place for it, DatabaseNotReady where objects are stored without it.
    """
    file, told = database.file, store
    if store is None and file is not None:
        store = file.parent / "store"
    is_new = current(database) is None
    if is_new and store is not None and any(store.glob("*/*.dcm")):
        raise DatabaseNotReady(
            f"{_what_is_missing(database)} But {store} holds objects, so there was one: put a backup back "
            "(wetread db restore). To begin anew without it, move that folder away first"
        )
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"cannot make {file.parent} ({error.strerror}): make it for the user of wetread, or set "
                "node.data_folder"
            ) from error
        database.make_file()
    _migrate(database)
    if is_new and store is not None:  # never later: then it is missing
        make_store(store, secrets.token_hex(16))
    return _mark(database, told)


def upgrade_existing(database: Database, *, store: Path | None = None) -> None:
    """As `upgrade`, but never make one: an empty mount point looks like a new installation.

    Raises DatabaseNotReady.
    """
    if current(database) is None:
        check(database)
    _migrate(database)
    if without := _mark(database, store):
        log.warning("store_away", explanation=without)


def _mark(database: Database, store: Path | None) -> str:
    """Why it got no mark: a store that is away now is marked when `listen` starts, if it is there by then."""
    if store is not None:
        try:
            mark.settle(database, store, new=secrets.token_hex(16))
        except StoreAway as away:
            return f"{away}. {mark.CURE}"
        except OSError as error:
            return f"{store} cannot be marked ({error.strerror}): make it writable for the user of wetread"
    return ""


def _migrate(database: Database) -> None:
    from alembic import command

    with database.engine.connect() as connection:
        config = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def _alembic() -> AlembicConfig:
    from alembic.config import Config as AlembicConfig

    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
