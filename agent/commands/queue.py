"""`wetread queue` with its dead letters, `pause` and `resume`."""

from __future__ import annotations

from dataclasses import asdict

import click

from agent.cli import Surroundings
from agent.commands.session import ago, as_json, config_of, open_database, person, print_json, print_table
from dicom_node import books, worklist
from dicom_node.database import clock
from dicom_node.tables import Book, Delivery
from dicom_node.worklist.closings import close_dead_letter, dead_letters

_WHAT = click.option(
    "--what",
    type=click.Choice(["work", "send"]),
    multiple=True,
    default=("work", "send"),
    show_default=True,
    help="Reading films, sending documents.",
)


@click.group(invoke_without_command=True)
@as_json
@click.pass_context
def queue(ctx: click.Context, as_json: bool) -> None:
    """What waits where, and since when; `dead` and `close`: what was given up."""
    if ctx.invoked_subcommand is not None:
        return
    surroundings = ctx.find_object(Surroundings)
    assert surroundings is not None
    _show(surroundings, as_json=as_json)


def _show(surroundings: Surroundings, *, as_json: bool) -> None:
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
    dead = "  wetread queue dead; wetread study list --book dead-lettered" if waiting.dead_letters else ""
    click.echo(f"dead letters       {waiting.dead_letters:6}{dead}")
    click.echo("")
    for book in Book:
        click.echo(f"{book.value:18} {counts[book]:6}")
    for what, is_paused in paused.items():
        if is_paused:
            click.echo(f"\nPAUSED: {what}; go on with: wetread resume --what {what}")


@queue.command()
@click.option("--limit", default=50, show_default=True, help="The newest so many.")
@as_json
@click.pass_obj
def dead(surroundings: Surroundings, limit: int, as_json: bool) -> None:
    """Deliveries that were given up, with their numbers: requeue or close each of them.

    Try again, once the cause is mended: wetread study requeue, or wetread destination requeue for a whole destination.
    """
    with open_database(config_of(surroundings)) as database, database.read() as tx:
        rows = [_dead_letter(one) for one in dead_letters(tx, limit=limit)]
    if as_json:
        print_json(rows)
        return
    header = ("DELIVERY", "STUDY", "REV", "DESTINATION", "KIND", "STAGE", "QUEUED", "REASON", "ERROR")
    print_table(header, [list(row.values()) for row in rows], empty="no dead letters")


@queue.command("close")
@click.argument("delivery", type=int)
@click.option("--reason", required=True, help="A sentence for the books; no patient data.")
@click.pass_obj
def close_one(surroundings: Surroundings, delivery: int, reason: str) -> None:
    """Close a dead letter that is meant, such as destination-off; DELIVERY is its number in `wetread queue dead`.

    The draft is not withdrawn: what other destinations have stays there. The study is delivered where anything was,
    else closed undelivered. It is never sent again; a requeue of the study reads it anew.

    \b
    Exit codes: 3 no such delivery; 4 it is no dead letter.
    """
    if not reason.strip():
        raise click.BadParameter("a sentence is needed", param_hint="--reason")
    with open_database(config_of(surroundings)) as database, database.write() as tx:
        closed = close_dead_letter(tx, delivery, explanation=reason.strip(), now=clock(tx), actor=person())
        revision = closed.revision
        words = f"study #{revision.study_id}, {closed.kind} for {closed.destination}: closed; the study is now"
        book = revision.book
    click.echo(f"delivery {delivery} ({words} {book})")


def _dead_letter(one: Delivery) -> dict[str, object]:
    return {
        "delivery": one.id,
        "study": one.revision.study_id,
        "revision": one.revision.number,
        "destination": one.destination,
        "kind": one.kind,
        "stage": one.stage,
        "queued_at": one.queued_at,
        "reason": one.reason,
        "error": one.last_error,
    }


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
