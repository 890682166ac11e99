"""`wetread quarantine`: what was refused for its content, and who sent it."""

from __future__ import annotations

from dataclasses import asdict

import click

from agent.cli import Surroundings
from agent.commands.session import as_json, config_of, open_database, print_json, print_table
from dicom_node import refused


@click.group()
def quarantine() -> None:
    """Objects that were refused: cannot be read, too large, or other UIDs than announced."""


@quarantine.command("list")
@click.option("--limit", default=50, show_default=True, help="The newest so many.")
@as_json
@click.pass_obj
def list_refused(surroundings: Surroundings, limit: int, as_json: bool) -> None:
    """The newest refused objects: when, from whom, why, and the file that holds the bytes while it is kept.

    The address of the sender stands in the log of `wetread listen`, in the line object_quarantined with this digest.
    """
    config = config_of(surroundings)
    folder = config.node.quarantine_folder
    with open_database(config) as database, database.read() as tx:
        found = refused.newest(tx, folder, limit=limit)
    if as_json:
        print_json([asdict(one) | {"file": str(one.file) if one.file else None} for one in found])
        return
    rows = [(one.at, one.calling_ae_title, one.reason, one.size, one.digest or "-") for one in found]
    print_table(("TIME", "FROM", "REASON", "BYTES", "DIGEST"), rows, empty="nothing was refused")
    if any(one.file for one in found):
        click.echo(f"\nThe bytes lie in {folder}/DIGEST.dcm; without a size they were deleted, or never kept.")
