"""`wetread ae`: the remote AE titles that may send to us and that we send to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agent.cli import EXIT_FAILED, Surroundings
from agent.commands.session import as_json, config_of, open_database, person, print_json, print_table
from dicom_node import peers, worklist
from dicom_node.aet import RemoteAddress, ae_title
from dicom_node.database import Database, clock
from dicom_node.destinations import in_words, kinds, objects_of
from dicom_node.errors import ConfigurationError, SendFailure
from dicom_node.tables import Mode, Proof, RemoteAE, Way

if TYPE_CHECKING:
    from agent.config import Config
    from dicom_node.peer import Address
    from dicom_node.probe import Probed

_MODES = click.Choice([mode.value for mode in Mode])
_PROOFS = click.Choice([proof.value for proof in Proof])
_OBJECTS = "Forms that it gets, with commas: basic-text, tid1500, kos, pdf, sc; `recommended`: what `ae probe` advises."
_PROBE_SECONDS = 5.0


@click.group()
def ae() -> None:
    """Remote AE titles: who may send to us, where we send to."""


@ae.command()
@click.argument("address", metavar="TITLE[@HOST:PORT]")
@click.option("--may-send", is_flag=True, help="It may send images to us.")
@click.option("--send-to", is_flag=True, help="It gets our documents; needs HOST and PORT.")
@click.option("--mode", type=_MODES, default="draft", show_default=True, help="What it gets.")
@click.option("--proof", type=_PROOFS, help="What counts as delivered. Default: query where it can be asked.")
@click.option("--objects", default="recommended", show_default=True, help=_OBJECTS)
@click.option("--notices/--no-notices", default=False, help="Tell it of each study why there is no draft.")
@click.option("--probe/--no-probe", "wants_probe", default=True, help="Ask it what it takes, where it gets documents.")
@click.option("--comment", default="", help="For the next administrator.")
@click.pass_obj
def add(
    surroundings: Surroundings,
    address: str,
    may_send: bool,
    send_to: bool,
    mode: str,
    proof: str | None,
    objects: str,
    notices: bool,
    wants_probe: bool,
    comment: str,
) -> None:
    """Register a peer: wetread ae add PACS@10.0.0.5:104 --may-send --send-to.

    Modes: draft sends the unverified draft at once; hold sends only what a radiologist signed; shadow sends nothing.
    Proofs: query asks the peer by C-FIND whether it has the document; acknowledgement believes its C-STORE response.
    """
    if not may_send and not send_to:
        raise ConfigurationError("say what the peer is for: --may-send, --send-to or both")
    remote = RemoteAddress.parse(address) if "@" in address else None
    config = config_of(surroundings)
    with open_database(config) as database:
        with database.write() as tx:
            peer = RemoteAE(
                ae_title=remote.ae_title if remote else ae_title(address),
                host=remote.host if remote else "",
                port=remote.port if remote else 0,
                may_send=may_send,
                send_to=send_to,
                mode=Mode(mode),
                proof=Proof(proof or Proof.QUERY),
                objects=_chosen(objects),
                notices=notices,
                comment=comment,
            )
            peers.add(tx, peer, now=clock(tx), actor=person())
        click.echo(f"{peer.ae_title} registered; try it with: wetread ae echo '{peer.ae_title}'")
        if send_to and wants_probe:
            _probe_new(config, database, peer, settle_proof=proof is None)


@ae.command("list")
@as_json
@click.pass_obj
def list_peers(surroundings: Surroundings, as_json: bool) -> None:
    """Show all peers."""
    with open_database(config_of(surroundings)) as database, database.read() as tx:
        everyone = [_shown(peer) for peer in peers.everyone(tx)]
    if as_json:
        print_json(everyone)
        return
    header = (
        "AE TITLE",
        "HOST",
        "PORT",
        "MAY SEND",
        "SEND TO",
        "MODE",
        "PROOF",
        "OBJECTS",
        "NOTICES",
        "PROBED",
        "COMMENT",
    )
    rows = [list(peer.values()) for peer in everyone]
    print_table(header, rows, empty="no peer yet; add one with: wetread ae add PACS@HOST:PORT --may-send --send-to")


@ae.command()
@click.argument("title")
@click.option("--address", "address", metavar="HOST:PORT", help="Where it listens.")
@click.option("--may-send/--may-not-send", default=None, help="May it send images to us?")
@click.option("--send-to/--no-send-to", default=None, help="Does it get our documents?")
@click.option("--mode", type=_MODES, help="What it gets.")
@click.option("--proof", type=_PROOFS, help="What counts as delivered.")
@click.option("--objects", help=_OBJECTS)
@click.option("--notices/--no-notices", default=None, help="Tell it of each study why there is no draft.")
@click.pass_obj
def edit(
    surroundings: Surroundings,
    title: str,
    address: str | None,
    may_send: bool | None,
    send_to: bool | None,
    mode: str | None,
    proof: str | None,
    objects: str | None,
    notices: bool | None,
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
            objects=None if objects is None else _chosen(objects),
            notices=notices,
        )
        stopped = worklist.count_stopped(tx, title)
    click.echo(f"{title} changed{what_stops(stopped)}")


@ae.command()
@click.argument("title")
@click.pass_obj
def remove(surroundings: Surroundings, title: str) -> None:
    """Forget a peer. What is queued for it becomes a dead letter."""
    with open_database(config_of(surroundings)) as database, database.write() as tx:
        peers.remove(tx, title, now=clock(tx), actor=person())
        stopped = worklist.count_stopped(tx, title)
    click.echo(f"{title} removed{what_stops(stopped)}")


def what_stops(count: int) -> str:
    """What becomes of what waits for a destination that is off."""
    words = "queued for it become dead letters (destination-off) at their next attempt, requeue possible"
    return f"; {count} {words}" if count else ""


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
        known = _with_address(peers.find(tx, title))
    try:
        remote.echo(_address(config, known))
    except SendFailure as failure:
        click.echo(str(failure), err=True)
        ctx.exit(EXIT_FAILED)
    click.echo(f"{title} answered")


@ae.command()
@click.argument("title")
@as_json
@click.pass_context
def probe(ctx: click.Context, title: str, as_json: bool) -> None:
    """Ask a peer what it takes, sending nothing; what it answers decides the forms it gets, unless you chose them.

    Each class that we may need is offered in each little endian syntax. Exit code 1 where it cannot be reached.
    """
    from dicom_node.probe import advise

    config = config_of(ctx.obj)
    with open_database(config) as database:
        with database.read() as tx:
            known = _with_address(peers.find(tx, title))
        try:
            probed = _probe(config, database, known, seconds=config.node.dimse_timeout_seconds)
        except SendFailure as failure:
            click.echo(str(failure), err=True)
            ctx.exit(EXIT_FAILED)
    advice = advise(probed)
    if as_json:
        print_json(_probed_as_json(title, probed))
        return
    _print_contexts(probed)
    click.echo("")
    for reason in advice.reasons:
        click.echo(reason)
    click.echo(f"\nrecommended: --objects {in_words(advice.objects) or 'none'} --proof {advice.proof}")
    if known.objects and known.objects != in_words(advice.objects):
        click.echo(f"chosen by a person, and left: {known.objects}; wetread ae edit {title} --objects recommended")
    if known.proof is not advice.proof:
        click.echo(f"proof is {known.proof}; change it with: wetread ae edit {title} --proof {advice.proof}")


def _probe_new(config: Config, database: Database, peer: RemoteAE, *, settle_proof: bool) -> None:
    """Ask a peer that was just registered; that it does not answer yet is worth a note, no more."""
    from dicom_node.probe import advise

    try:
        probed = _probe(config, database, peer, seconds=min(_PROBE_SECONDS, config.node.dimse_timeout_seconds))
    except SendFailure as failure:
        click.echo(f"note: not probed: {failure} Later: wetread ae probe '{peer.ae_title}'")
        return
    advice = advise(probed)
    if settle_proof and peer.proof is not advice.proof:
        with database.write() as tx:
            peers.edit(tx, peer.ae_title, now=clock(tx), actor=person(), proof=advice.proof)
    for reason in advice.reasons:
        click.echo(f"  {reason}")


def _probe(config: Config, database: Database, peer: RemoteAE, *, seconds: float) -> Probed:
    """Raises SendFailure."""
    from dicom_node.associations import keep_identifiers_out_of_logs
    from dicom_node.probe import probe as ask
    from dicom_node.probe import stored

    keep_identifiers_out_of_logs()
    with database.read() as tx:
        now = clock(tx)
    probed = ask(_address(config, peer, seconds=seconds), now)
    with database.write() as tx:
        peers.remember_probe(tx, peer.ae_title, stored(probed), now=now, actor=person())
    return probed


def _print_contexts(probed: Probed) -> None:
    from dicom_node.probe import ASKED, name_of

    rows = []
    for uid in ASKED:
        syntaxes = ", ".join(name_of(syntax) for syntax in probed.accepted.get(uid, ()))
        rows.append((name_of(uid), uid, "accepted" if syntaxes else "refused", syntaxes or "-"))
    print_table(("CLASS", "UID", "ANSWER", "TRANSFER SYNTAXES"), rows, empty="")


def _probed_as_json(title: str, probed: Probed) -> dict[str, object]:
    from dicom_node.probe import ASKED, advise, name_of

    advice = advise(probed)
    return {
        "ae_title": title,
        "probed_at": probed.at,
        "contexts": [
            {
                "sop_class_uid": uid,
                "name": name_of(uid),
                "accepted": probed.takes(uid),
                "transfer_syntaxes": list(probed.accepted.get(uid, ())),
            }
            for uid in ASKED
        ],
        "objects": [word for word in in_words(advice.objects).split(",") if word],
        "proof": advice.proof,
        "why": list(advice.reasons),
    }


def _shown(peer: RemoteAE) -> dict[str, object]:
    import json

    fields = ("ae_title", "host", "port", "may_send", "send_to", "mode", "proof")
    return {field: getattr(peer, field) for field in fields} | {
        "objects": in_words(objects_of(peer)) if peer.send_to else "",
        "notices": peer.notices,
        "probed_at": json.loads(peer.probed)["at"] if peer.probed else None,
        "comment": peer.comment,
    }


def _chosen(objects: str) -> str:
    """As it stands in the database; empty for what the probe recommends. Raises ConfigurationError."""
    return "" if objects == "recommended" else in_words(kinds(objects.split(","), Way.DIMSE))


def _with_address(peer: RemoteAE) -> RemoteAE:
    if not peer.host:
        cure = f"wetread ae edit {peer.ae_title} --address HOST:PORT"
        raise ConfigurationError(f"{peer.ae_title} has no address; give it one with: {cure}")
    return peer


def _address(config: Config, peer: RemoteAE, *, seconds: float = 60) -> Address:
    from dicom_node.peer import Address

    return Address(
        config.node.ae_title,
        peer.ae_title,
        peer.host,
        peer.port,
        connect_seconds=min(10, seconds),
        answer_seconds=seconds,
    )
