"""What commands share: configuration, database, the name of who typed, and tables or JSON as output."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

import click

from agent import schema
from agent.cli import Surroundings
from agent.config import Config, read_config
from dicom_node.database import Database
from reports.elapsed import age

ago: Final = age  # a command says it in the words of the page
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def config_of(surroundings: Surroundings) -> Config:
    """Read the configuration. Raises ConfigurationError."""
    return read_config(surroundings.config_file)


@contextmanager
def open_database(config: Config) -> Iterator[Database]:
    """The database, its version checked. Raises DatabaseNotReady."""
    database = Database(config.node.database_url)
    try:
        schema.check(database)
        yield database
    finally:
        database.close()


def person() -> str:
    """Who typed the command, for the audit trail: an account of this machine's system, no user of the pages."""
    try:
        return f"command:{getpass.getuser()}"[:64]
    except (KeyError, OSError):  # a user number without a name
        return "command:unknown"


def print_json(value: object) -> None:
    """Print one JSON document; moments as ISO 8601 in UTC."""
    click.echo(json.dumps(value, indent=2, default=_plain))


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Print aligned columns, or the sentence for no rows."""
    if not rows:
        click.echo(empty)
        return
    cells = [list(header), *([_shown(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _shown(cell: object) -> str:
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(cell, bool):
        return "yes" if cell else "-"
    return "-" if cell is None else str(cell)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Enum):
        return str(value.value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
