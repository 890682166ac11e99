"""`wetread db`: the database's version, its backup and its return."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import sqlite3
import tarfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from sqlalchemy import func, select
from sqlalchemy.exc import DatabaseError

from agent import schema
from agent.cli import Surroundings
from agent.commands.session import config_of, open_database, person
from agent.config import Config
from dicom_node import mark
from dicom_node.beats import STOPPED
from dicom_node.counted import counted
from dicom_node.database import Database, clock
from dicom_node.errors import ConfigurationError
from dicom_node.files import make_store
from dicom_node.tables import ProcessBeat

_STILL_ALIVE = timedelta(seconds=15)


@click.group()
def db() -> None:
    """The database: upgrade it, back it up, restore it."""


@db.command()
@click.pass_obj
def upgrade(surroundings: Surroundings) -> None:
    """Bring the database to this program's version; back up first. Makes a new one where none ever was."""
    config = config_of(surroundings)
    database = Database(config.node.database_url)
    try:
        before = schema.current(database)
        without_mark = schema.upgrade(database, store=config.node.store_folder)
    finally:
        database.close()
    click.echo(f"database: {before or 'empty'} -> {schema.VERSION}")
    if without_mark:
        click.echo(f"store: {without_mark}")


@db.command()
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def backup(surroundings: Surroundings, target: Path) -> None:
    """Write database and documents into one .tar file, while everything runs.

    Received pixels are left out: the PACS has them. For PostgreSQL use pg_dump, and copy the folder `store`.
    """
    config = _sqlite_only(config_of(surroundings))
    if target.exists():
        raise ConfigurationError(f"{target} exists; choose another name")
    copy = target.with_suffix(".db.part")
    source = Database(config.node.database_url).url.database
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as live, closing(sqlite3.connect(copy)) as saved:
        live.backup(saved)
        documents = [row[0] for row in saved.execute("SELECT digest FROM report UNION SELECT digest FROM delivery")]
    part = target.with_suffix(".part")
    with tarfile.open(part, "w") as archive:
        archive.add(copy, "wetread.db")
        for digest in documents:
            archive.add(_document(config, digest), f"store/{digest[:2]}/{digest}.dcm")
    copy.unlink()
    part.replace(target)
    click.echo(f"{target}: database and {counted(len(documents), 'document')}, {datetime.now(UTC):%Y-%m-%d %H:%M}Z")


@db.command()
@click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--replace", is_flag=True, help="Overwrite the database that is there.")
@click.pass_obj
def restore(surroundings: Surroundings, source: Path, replace: bool) -> None:
    """Put a backup back. Stop wetread first; studies received since the backup must be sent again."""
    config = _sqlite_only(config_of(surroundings))
    place = Path(str(Database(config.node.database_url).url.database))
    if place.exists() and not replace:
        raise ConfigurationError(f"{place} exists; stop wetread, then add --replace")
    _nothing_runs(config)
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(place.name + ".restored")
    try:
        restored = _unpack(config, source, part)
    except (tarfile.TarError, EOFError, sqlite3.DatabaseError) as error:
        raise ConfigurationError(
            f"{source} is no whole backup ({type(error).__name__}); the database was not changed"
        ) from error
    for leftover in (place.with_name(place.name + "-wal"), place.with_name(place.name + "-shm")):
        leftover.unlink(missing_ok=True)
    make_store(config.node.store_folder, secrets.token_hex(16))
    part.replace(place)
    with closing(Database(config.node.database_url)) as database:
        if schema.current(database) == schema.VERSION:  # an older one hears of the mark when it is upgraded
            mark.adopt(database, config.node.store_folder, new=secrets.token_hex(16), actor=person())
    click.echo(f"{place}: restored with {counted(restored, 'document')}; now run: wetread check")


@db.command("adopt-store")
@click.pass_obj
def adopt_store(surroundings: Surroundings) -> None:
    """Take the folder `store` of node.data_folder for the store, whatever its mark says; make it where there is none.

    For a store that came back from a backup without its mark, or whose objects are lost. First make sure that its disk
    is mounted: what is received next goes there.
    """
    config = config_of(surroundings)
    store = config.node.store_folder
    with open_database(config) as database:
        found, wanted = mark.adopt(database, store, new=secrets.token_hex(16), actor=person())
    of = counted(wanted, "file")
    click.echo(f"{store}: adopted; of {of} that the database names and that were looked for it holds {found}")


def _unpack(config: Config, source: Path, part: Path) -> int:
    """Put the documents into the store and the database beside its place; returns how many documents."""
    part.unlink(missing_ok=True)
    with tarfile.open(source) as archive:
        restored = sum(_put_back(config, part, archive, member) for member in archive.getmembers())
    if not part.exists():
        raise ConfigurationError(f"{source} holds no wetread.db: it is no backup of wetread")
    with closing(sqlite3.connect(part)) as database:
        database.execute("SELECT version_num FROM alembic_version").fetchone()
    return restored


def _nothing_runs(config: Config) -> None:
    """Raises ConfigurationError while a process still leaves signs of life in the database to be replaced."""
    database = Database(config.node.database_url)
    try:
        if schema.current(database) != schema.VERSION:
            return
        with database.read() as tx:
            latest = tx.scalar(select(func.max(ProcessBeat.beat_at)).where(~ProcessBeat.detail.startswith(STOPPED)))
            if latest is not None and clock(tx) - latest < _STILL_ALIVE:
                raise ConfigurationError("wetread is running: stop it first (after a kill wait 15 s), then restore")
    except DatabaseError:  # it cannot be read: that is what the backup is for
        return
    finally:
        database.close()


def _put_back(config: Config, place: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> int:
    """Restore one member; a document must be what its name says. Returns how many documents that were."""
    stream = archive.extractfile(member)
    if stream is None:
        return 0
    if member.name == "wetread.db":
        with place.open("wb") as target:
            shutil.copyfileobj(stream, target)
        return 0
    payload = stream.read()
    digest = hashlib.sha256(payload).hexdigest()
    if Path(member.name).stem != digest:
        raise ConfigurationError(f"the backup is damaged: {member.name} is not what its name says")
    document = _document(config, digest)
    document.parent.mkdir(parents=True, exist_ok=True)
    document.write_bytes(payload)
    return 1


def _document(config: Config, digest: str) -> Path:
    from dicom_node.files import stored_path

    return stored_path(config.node.store_folder, digest)


def _sqlite_only(config: Config) -> Config:
    if not config.node.database_url.startswith("sqlite"):
        raise ConfigurationError("the database is PostgreSQL: use pg_dump and pg_restore, and copy the folder `store`")
    return config
