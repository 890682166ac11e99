"""`wetread ae`: the remote AE titles that may send to us and that we send to."""

from __future__ import annotations

import click

from agent.cli import EXIT_FAILED, Surroundings
from agent.commands.session import as_json, config_of, open_database, person, print_json, print_table
from dicom_node import peers, worklist
from dicom_node.aet import RemoteAddress, ae_title
from dicom_node.database import clock
from dicom_node.errors import ConfigurationError, SendFailure
from dicom_node.tables import Mode, Proof, RemoteAE

_MODES = click.Choice([mode.value for mode in Mode])
_PROOFS = click.Choice([proof.value for proof in Proof])


@click.group()
def ae() -> None:
    """Remote AE titles: who may send to us, where we send to."""


@ae.command()
@click.argument("address", metavar="TITLE[@HOST:PORT]")
@click.option("--may-send", is_flag=True, help="It may send images to us.")
@click.option("--send-to", is_flag=True, help="It gets our documents; needs HOST and PORT.")
@click.option("--mode", type=_MODES, default="draft", show_default=True, help="What it gets.")
@click.option("--proof", type=_PROOFS, default="query", show_default=True, help="What counts as delivered.")
@click.option("--comment", default="", help="For the next administrator.")
@click.pass_obj
def add(
    surroundings: Surroundings, address: str, may_send: bool, send_to: bool, mode: str, proof: str, comment: str
) -> None:
    """Register a peer: wetread ae add PACS@10.0.0.5:104 --may-send --send-to.

    Modes: draft sends the unverified draft at once; hold sends only what a radiologist signed; shadow sends nothing.
    Proofs: query asks the peer by C-FIND whether it has the document; acknowledgement believes its C-STORE response.
    """
    if not may_send and not send_to:
        raise ConfigurationError("say what the peer is for: --may-send, --send-to or both")
    remote = RemoteAddress.parse(address) if "@" in address else None
    with open_database(config_of(surroundings)) as database, database.write() as tx:
        peer = RemoteAE(
            ae_title=remote.ae_title if remote else ae_title(address),
            host=remote.host if remote else "",
            port=remote.port if remote else 0,
            may_send=may_send,
            send_to=send_to,
            mode=Mode(mode),
            proof=Proof(proof),
            comment=comment,
        )
        peers.add(tx, peer, now=clock(tx), actor=person())
    click.echo(f"{peer.ae_title} registered; try it with: wetread ae echo '{peer.ae_title}'")


@ae.command("list")
@as_json
@click.pass_obj
def list_peers(surroundings: Surroundings, as_json: bool) -> None:
    """Show all peers."""
    with open_database(config_of(surroundings)) as database, database.read() as tx:
        everyone = peers.everyone(tx)
    fields = ("ae_title", "host", "port", "may_send", "send_to", "mode", "proof", "comment")
    if as_json:
        print_json([{field: getattr(peer, field) for field in fields} for peer in everyone])
        return
    header = ("AE TITLE", "HOST", "PORT", "MAY SEND", "SEND TO", "MODE", "PROOF", "COMMENT")
    rows = [[getattr(peer, field) for field in fields] for peer in everyone]
    print_table(header, rows, empty="no peer yet; add one with: wetread ae add PACS@HOST:PORT --may-send --send-to")


@ae.command()
@click.argument("title")
@click.option("--address", "address", metavar="HOST:PORT", help="Where it listens.")
@click.option("--may-send/--may-not-send", default=None, help="May it send images to us?")
@click.option("--send-to/--no-send-to", default=None, help="Does it get our documents?")
@click.option("--mode", type=_MODES, help="What it gets.")
@click.option("--proof", type=_PROOFS, help="What counts as delivered.")
@click.pass_obj
def edit(
    surroundings: Surroundings,
    title: str,
    address: str | None,
    may_send: bool | None,
    send_to: bool | None,
    mode: str | None,
    proof: str | None,
) -> None:
    """Change a peer; what is not given stays. What is queued for one that gets no drafts now becomes a dead letter."""
    remote = RemoteAddress.parse(f"{title}@{address}") if address else None
    with open_database(config_of(surroundings)) as database, database.write() as tx:
        peers.edit(
            tx,
            title,
            now=clock(tx),
            actor=person(),
            host=remote.host if remote else None,
            port=remote.port if remote else None,
            may_send=may_send,
            send_to=send_to,
            mode=Mode(mode) if mode else None,
            proof=Proof(proof) if proof else None,
        )
        stopped = worklist.count_stopped(tx, title)
    click.echo(f"{title} changed{_stopped(stopped)}")


@ae.command()
@click.argument("title")
@click.pass_obj
def remove(surroundings: Surroundings, title: str) -> None:
    """Forget a peer. What is queued for it becomes a dead letter."""
    with open_database(config_of(surroundings)) as database, database.write() as tx:
        peers.remove(tx, title, now=clock(tx), actor=person())
        stopped = worklist.count_stopped(tx, title)
    click.echo(f"{title} removed{_stopped(stopped)}")


def _stopped(count: int) -> str:
    """What becomes of what waits for a destination that is off."""
    return f"; {count} queued for it become dead letters (destination-off), requeue possible" if count else ""


@ae.command()
@click.argument("title")
@click.pass_context
def echo(ctx: click.Context, title: str) -> None:
    """C-ECHO to a peer: can it be reached, and does it know us? Exit code 1 where not."""
    from dicom_node import peer as remote
    from dicom_node.associations import keep_identifiers_out_of_logs

    keep_identifiers_out_of_logs()
    config = config_of(ctx.obj)
    with open_database(config) as database, database.read() as tx:
        known = peers.find(tx, title)
    if not known.host:
        raise ConfigurationError(
            f"{title} has no address; give it one with: wetread ae edit {title} --address HOST:PORT"
        )
    try:
        remote.echo(remote.Address(config.node.ae_title, known.ae_title, known.host, known.port))
    except SendFailure as failure:
        click.echo(str(failure), err=True)
        ctx.exit(EXIT_FAILED)
    click.echo(f"{title} answered")
