"""The version of the database: checked by every process at its start, changed only by `wetread db upgrade`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from dicom_node.database import Database
from dicom_node.errors import ConfigurationError, DatabaseNotReady

if TYPE_CHECKING:
    from alembic.config import Config as AlembicConfig

VERSION = "0001"  # of the newest migration; a test holds it against agent/migrations


def check(database: Database) -> None:
    """Raises DatabaseNotReady where the database is absent, older or newer than this program."""
    found = current(database)
    if found is None:
        name = database.url.render_as_string()
        raise DatabaseNotReady(f"{name} has no tables; make them with: wetread db upgrade")
    if found != VERSION:
        raise DatabaseNotReady(
            f"the database has version {found}, this program needs {VERSION}; back up with: wetread db backup, then "
            "run: wetread db upgrade (a database newer than the program needs the newer program)"
        )


def current(database: Database) -> str | None:
    """The version of the database, None where it has no tables or no file."""
    if database.is_sqlite and not Path(str(database.url.database)).exists():
        return None
    with database.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalars().one_or_none()


def upgrade(database: Database) -> None:
    """Bring the database to this program's version. Raises ConfigurationError where there is no place for it."""
    from alembic import command

    if database.is_sqlite:
        folder = Path(str(database.url.database)).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"cannot make {folder} ({error.strerror}): make it for the user of wetread, or set node.data_folder"
            ) from error

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
