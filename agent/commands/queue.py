"""`wetread queue`, `pause` and `resume`."""

from __future__ import annotations

from dataclasses import asdict

import click

from agent.cli import Surroundings
from agent.commands.session import ago, as_json, config_of, open_database, person, print_json
from dicom_node import books, worklist
from dicom_node.database import clock
from dicom_node.tables import Book

_WHAT = click.option(
    "--what",
    type=click.Choice(["work", "send"]),
    multiple=True,
    default=("work", "send"),
    show_default=True,
    help="Reading films, sending documents.",
)


@click.command()
@as_json
@click.pass_obj
def queue(surroundings: Surroundings, as_json: bool) -> None:
    """What waits where, and since when."""
    with open_database(config_of(surroundings)) as database, database.read() as tx:
        now = clock(tx)
        waiting = books.backlog(tx)
        paused = {what: worklist.switched(tx, f"pause-{what}") for what in ("work", "send")}
        counts = books.balance(tx).revisions
    if as_json:
        by_book = {book.value: count for book, count in counts.items()}
        print_json({**asdict(waiting), "paused": paused, "books": by_book})
        return
    click.echo(f"receiving          {waiting.receiving:6}  studies that are not complete yet")
    click.echo(f"waiting            {waiting.scheduled:6}  to be read; oldest {ago(waiting.oldest_scheduled, now)}")
    click.echo(f"being read         {waiting.in_progress:6}")
    click.echo(f"held               {waiting.held:6}  wait for a person: wetread study list --held")
    click.echo(f"to be sent         {waiting.queued:6}  oldest {ago(waiting.oldest_queued, now)}")
    click.echo(f"sent, not proven   {waiting.sent:6}")
    dead = "  wetread study list --book dead-lettered" if waiting.dead_letters else ""
    click.echo(f"dead letters       {waiting.dead_letters:6}{dead}")
    click.echo("")
    for book in Book:
        click.echo(f"{book.value:18} {counts[book]:6}")
    for what, is_paused in paused.items():
        if is_paused:
            click.echo(f"\nPAUSED: {what}; go on with: wetread resume --what {what}")


@click.command()
@_WHAT
@click.pass_obj
def pause(surroundings: Surroundings, what: tuple[str, ...]) -> None:
    """Claim no new study and send no document. Images are still received; nothing is lost."""
    _switch(surroundings, what, on=True)
    click.echo(f"paused: {', '.join(what)}; go on with: wetread resume")


@click.command()
@_WHAT
@click.pass_obj
def resume(surroundings: Surroundings, what: tuple[str, ...]) -> None:
    """Go on after a pause."""
    _switch(surroundings, what, on=False)
    click.echo(f"going on: {', '.join(what)}")


def _switch(surroundings: Surroundings, what: tuple[str, ...], *, on: bool) -> None:
    with open_database(config_of(surroundings)) as database, database.write() as tx:
        for name in what:
            worklist.switch(tx, f"pause-{name}", on=on, now=clock(tx), actor=person())
