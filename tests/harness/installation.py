"""A new installation, as `wetread db upgrade` makes it: on SQLite a copy, since nineteen migrations take a second."""

from __future__ import annotations

import secrets
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from agent import schema
from dicom_node.database import Database
from dicom_node.files import make_store


@cache
def empty_database() -> bytes:
    """A file of SQLite with all tables."""
    with TemporaryDirectory() as folder:
        made = Database(f"sqlite:///{folder}/wetread.db")
        schema.upgrade(made)
        made.close()  # the last connection puts everything into the one file
        return (Path(folder) / "wetread.db").read_bytes()


def install(database: Database) -> None:
    """Make the tables, and the store beside a file; a file that is there has all that already."""
    file = database.file
    if file is None:
        schema.upgrade(database)
        return
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    database.make_file()
    file.write_bytes(empty_database())
    make_store(file.parent / "store", secrets.token_hex(16))
