"""`wetread apply` and `wetread export`: peers, destinations and rules as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agent import edge, site
from agent.cli import Surroundings
from agent.commands.destination import must_know
from agent.commands.session import as_json, config_of, open_database, person, print_json
from agent.config import Config
from dicom_node.database import Database, clock
from dicom_node.errors import ConfigurationError
from dicom_node.rules.book import Change


class _OnlyLooked(Exception):
    """Nothing is to be kept."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True))
@click.option("--prune", is_flag=True, help="Remove what a section of the file does not have.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@as_json
@click.pass_obj
def apply(surroundings: Surroundings, file: Path, prune: bool, dry_run: bool, as_json: bool) -> None:
    """Make peers, destinations and rules those of a TOML file; - reads standard input.

    Begin with `wetread export > site.toml`. A table says everything about its peer: what it does not give goes back to
    its default. A section that the file lacks stays as it is, and so does what a section lacks, unless --prune is
    given. All or nothing: at the first mistake nothing is changed. Each change stands in the audit trail.
    """
    content = site.read(edge.text_of(file))
    config = config_of(surroundings)
    _check_credentials(config, content)
    with open_database(config) as database:
        changes = _apply(database, content, prune=prune, dry_run=dry_run)
        with database.read() as tx:
            kept = _left(site.export(tx), content) if not prune else []
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "changes": [
                    {"section": section, "name": change.name, "what": change.what, "words": change.words}
                    for section, several in changes.items()
                    for change in several
                ],
                "not_in_file": [{"section": section, "name": name} for section, name in kept],
            }
        )
        return
    for section, several in changes.items():
        for change in several:
            click.echo(f"{section}: {_sign(change)} {change.name} {change.words}".rstrip())
    for section, name in kept:
        click.echo(f"{section}:   {name} is not in the file, and stays; --prune removes it")
    if not any(changes.values()):
        click.echo("no change")
    elif dry_run:
        click.echo("nothing was changed (--dry-run)")


def _apply(database: Database, content: Any, *, prune: bool, dry_run: bool) -> dict[str, tuple[Change, ...]]:
    """Raises ConfigurationError."""
    changes: dict[str, tuple[Change, ...]] = {}
    try:
        with database.write() as tx:
            changes = site.apply(tx, content, prune=prune, now=clock(tx), actor=person())
            if dry_run:
                raise _OnlyLooked
    except _OnlyLooked:
        return changes
    return changes


def _left(there: Any, content: Any) -> list[tuple[str, str]]:
    """What is there and not in the file's sections."""
    found = []
    for section, tables in there.items():
        names = [_name(table) for table in content.get(section, tables)]
        found += [(section, _name(table)) for table in tables if _name(table) not in names]
    return found


def _name(table: Any) -> str:
    return str(table.get("ae_title") or table.get("name") or "")


def _sign(change: Change) -> str:
    return {"added": "+", "removed": "-"}.get(change.what, "~")


def _check_credentials(config: Config, content: Any) -> None:
    """Raises ConfigurationError for a credential that the configuration lacks."""
    tables = content.get("destinations", [])
    for table in tables if isinstance(tables, list) else []:
        credential = table.get("credential", "") if isinstance(table, dict) else ""
        if not isinstance(credential, str):
            raise ConfigurationError("[[destinations]]: a credential is the name of a secret in the configuration")
        must_know(config, credential)


@click.command()
@as_json
@click.pass_obj
def export(surroundings: Surroundings, as_json: bool) -> None:
    """Print peers, destinations and rules as a file for `wetread apply`; no secrets are in it."""
    with open_database(config_of(surroundings)) as database, database.read() as tx:
        content = site.export(tx)
    if as_json:
        print_json(content)
    else:
        click.echo(site.write(content), nl=False)
