"""`wetread config`: is the configuration right, and what does it come to?"""

from __future__ import annotations

import click

from agent.cli import Surroundings
from agent.commands.session import as_json, config_of, print_json
from agent.config import unread_variables


@click.group()
def config() -> None:
    """The configuration."""


@config.command()
@as_json
@click.pass_obj
def show(surroundings: Surroundings, as_json: bool) -> None:
    """Print every key with the value in force; secrets are hidden. Needs no database, Redis or GPU."""
    values = config_of(surroundings).model_dump(mode="json")
    for sentence in unread_variables():
        click.echo(f"warning: {sentence}", err=True)
    if as_json:
        print_json(values)
        return
    for section, keys in values.items():
        click.echo(f"[{section}]")
        for key, value in keys.items():
            click.echo(f"{key} = {value!r}")
        click.echo("")
