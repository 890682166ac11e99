"""`wetread queue` with its dead letters, `pause` and `resume`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import click

from agent.cli import Surroundings
from agent.commands.session import ago, as_json, config_of, open_database, person, print_json, print_table
from agent.routing import backlog_hours
from dicom_node import books, destinations, forecast, outages
from dicom_node.counted import counted
from dicom_node.database import clock
from dicom_node.errors import ConfigurationError, NotFound
from dicom_node.outages import Outage
from dicom_node.tables import Book, Delivery
from dicom_node.worklist import pauses
from dicom_node.worklist.closings import close_dead_letter, dead_letters
from dicom_node.worklist.pauses import What

_WHAT = click.option(
    "--what",
    type=click.Choice([what.value for what in What]),
    multiple=True,
    help="Reading films, sending documents, receiving films. Default: work and send; with --peer, send and receive.",
)
_PEER = click.option("--peer", "peers", multiple=True, help="Only for this AE title or destination; may be repeated.")
_ALL = click.option("--all", "everything", is_flag=True, help="The emergency stop: work, send and receive.")


@click.group(invoke_without_command=True)
@as_json
@click.pass_context
def queue(ctx: click.Context, as_json: bool) -> None:
    """What waits where, since when, and which destination takes nothing; `dead` and `close`: what was given up."""
    if ctx.invoked_subcommand is not None:
        return
    surroundings = ctx.find_object(Surroundings)
    assert surroundings is not None
    _show(surroundings, as_json=as_json)


def _show(surroundings: Surroundings, *, as_json: bool) -> None:
    config = config_of(surroundings)
    with open_database(config) as database, database.read() as tx:
        now = clock(tx)
        waiting = books.backlog(tx)
        brakes = pauses.pauses(tx)
        hours = backlog_hours(config)
        ahead = forecast.forecast(tx, waiting, now, hours)
        counts = books.balance(tx).revisions
        down = outages.outages(tx, now)
    if as_json:
        by_book = {book.value: count for book, count in counts.items()}
        paused = {what.value: any(one.what is what and not one.peer for one in brakes) for what in What}
        peers = [{"what": one.what, "peer": one.peer} for one in brakes if one.peer]
        failing = {"failing": [asdict(one) for one in down]}
        numbers = {**asdict(waiting), **asdict(ahead), "books": by_book}
        print_json({**numbers, "paused": paused, "paused_peers": peers, **failing})
        return
    click.echo(f"receiving          {waiting.receiving:6}  studies that are not complete yet")
    click.echo(f"waiting            {waiting.scheduled:6}  to be read; oldest {ago(waiting.oldest_scheduled, now)}")
    click.echo(f"being read         {waiting.in_progress:6}")
    click.echo(f"                           {_ahead(ahead.read_per_hour, ahead.read_by, now)}")
    if ahead.backlog_waiting and ahead.backlog_from is not None:
        opens = f"{config.node.backlog_hours} (node.backlog_hours), next at {ahead.backlog_from:%Y-%m-%d %H:%M}Z"
        click.echo(f"                   {ahead.backlog_waiting:6}  of them are backlog, read in {opens}")
    click.echo(f"held               {waiting.held:6}  wait for a person: wetread study list --held")
    click.echo(f"to be sent         {waiting.queued:6}  oldest {ago(waiting.oldest_queued, now)}")
    click.echo(f"                           {_ahead(ahead.sent_per_hour, ahead.sent_by, now)}")
    click.echo(f"sent, not proven   {waiting.sent:6}")
    dead = "  wetread queue dead; wetread study list --book dead-lettered" if waiting.dead_letters else ""
    click.echo(f"dead letters       {waiting.dead_letters:6}{dead}")
    click.echo("")
    for book in Book:
        click.echo(f"{book.value:18} {counts[book]:6}")
    for outage in down:
        click.echo(f"\n{_in_trouble(outage, now)}")
    for one in brakes:
        click.echo(f"\nPAUSED: {one.sentence} by {one.by} for {ago(one.at, now)}; go on with: {one.command}")


def _in_trouble(outage: Outage, now: datetime) -> str:
    soon = f"at {outage.next_at:%H:%M:%S}Z, in {ago(now, outage.next_at)}" if outage.next_at > now else "now"
    objects = counted(outage.waiting, "object waits", "objects wait")
    return (
        f"NOTHING GETS THROUGH to {outage.destination} since {outage.since:%Y-%m-%d %H:%M}Z"
        f" ({ago(outage.since, now)} ago): {outage.words}\n"
        f"  {objects} for it; next try {soon}; nothing is lost. Ask it yourself: {outage.command}"
    )


@queue.command()
@click.option("--limit", default=50, show_default=True, help="The newest so many.")
@as_json
@click.pass_obj
def dead(surroundings: Surroundings, limit: int, as_json: bool) -> None:
    """Deliveries that were given up, with their numbers: requeue or close each of them.

    Try again, once the cause is mended: wetread study requeue, or wetread destination requeue for a whole destination.
    What is meant, such as destination-off after a peer was removed: wetread queue close.
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
    if not any(map(str.isalnum, reason)):  # the "..." of an example says nothing
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


def _ahead(per_hour: float, end: datetime | None, now: datetime) -> str:
    """The rate of the last quarter of an hour, and when the queue ends at that."""
    rate = f"{per_hour:g} an hour lately" if per_hour else "none in the last 15 min"
    return f"{rate}; empty in about {ago(now, end)}, at {end:%Y-%m-%d %H:%M}Z" if end else rate


@click.command()
@_WHAT
@_PEER
@_ALL
@click.pass_obj
def pause(surroundings: Surroundings, what: tuple[str, ...], peers: tuple[str, ...], everything: bool) -> None:
    """Claim no new study, send no document, or let nobody send. Nothing is lost.

    What goes on already is finished. With `receive`, associations are refused for now (PS3.8: rejected transient), so
    a PACS keeps its films and tries again; C-ECHO is still answered. Who paused what is in the audit trail.
    """
    wanted = _named(what, peers, everything=everything)
    with open_database(config_of(surroundings)) as database, database.write() as tx:
        for peer in peers:
            if destinations.find(tx, peer) is None:
                raise NotFound(f"{peer!r} is not registered; see wetread ae list and wetread destination list")
        for one, peer in wanted:
            pauses.pause(tx, one, peer=peer, on=True, now=clock(tx), actor=person())
    options = [f" --what {one}" for one in dict.fromkeys(one for one, _ in wanted)] + [
        f" --peer '{peer}'" for peer in peers
    ]
    click.echo(f"paused: {_in_words(wanted)}; go on with: wetread resume{''.join(options)}")


@click.command()
@_WHAT
@_PEER
@_ALL
@click.pass_obj
def resume(surroundings: Surroundings, what: tuple[str, ...], peers: tuple[str, ...], everything: bool) -> None:
    """Go on after a pause. With --all everything goes on, also what was paused for single peers.

    \b
    Exit code 3: nothing of what is named is paused.
    """
    wanted = _named(what, peers, everything=everything)
    with open_database(config_of(surroundings)) as database, database.write() as tx:
        brakes = pauses.pauses(tx)
        chosen = [(brake.what, brake.peer) for brake in brakes if everything or (brake.what, brake.peer) in wanted]
        if not everything:
            _must_be_on(wanted, brakes)
        for one, peer in chosen:
            pauses.pause(tx, one, peer=peer, on=False, now=clock(tx), actor=person())
    click.echo(f"going on: {_in_words(chosen)}" if chosen else "nothing was paused")


def _must_be_on(wanted: Sequence[tuple[What, str]], brakes: Sequence[pauses.Pause]) -> None:
    """Raises NotFound where for one of the peers, or for everybody, nothing of what is wanted is paused."""
    there = {(brake.what, brake.peer) for brake in brakes}
    for peer in dict.fromkeys(peer for _, peer in wanted):
        named = [one for one in wanted if one[1] == peer]
        if there.isdisjoint(named):
            others = "; ".join(f"{brake.sentence}: {brake.command}" for brake in brakes)
            raise NotFound(f"nothing is paused of: {_in_words(named)}. What is: {others or 'nothing'}")


def _in_words(brakes: Sequence[tuple[What, str]]) -> str:
    return ", ".join(f"{one} {peer}".strip() for one, peer in brakes)


def _named(what: Sequence[str], peers: Sequence[str], *, everything: bool) -> list[tuple[What, str]]:
    """Raises ConfigurationError."""
    if everything and peers:
        raise ConfigurationError("--all is the emergency stop and knows no --peer; leave one of them out")
    return [(one, peer) for one in _chosen(what, peers, everything=everything) for peer in peers or ("",)]


def _chosen(what: Sequence[str], peers: Sequence[str], *, everything: bool) -> list[What]:
    """Raises ConfigurationError: reading cannot be paused for one peer."""
    if everything:
        return [*What]
    if peers and What.WORK in what:
        raise ConfigurationError("reading cannot be paused for one peer; a rule can exclude its studies: wetread rule")
    return [What(one) for one in what] or ([*pauses.OF_PEERS] if peers else [What.WORK, What.SEND])
