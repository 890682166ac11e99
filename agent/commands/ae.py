"""`wetread ae`: the remote AE titles that may send to us and that we send to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import click

from agent.cli import EXIT_FAILED, Surroundings
from agent.commands import comparing, probing
from agent.commands.session import as_json, config_of, open_database, person, print_json, print_table
from agent.config import Config
from dicom_node import peers, turned_away, worklist
from dicom_node.aet import RemoteAddress, ae_title, typed
from dicom_node.database import clock
from dicom_node.destinations import asks_for_identity, in_words, kinds, objects_of, of_peer, takes_nothing
from dicom_node.errors import ConfigurationError, SendFailure
from dicom_node.tables import Mode, Proof, RemoteAE, Retrieve, Way

_MODES = click.Choice([mode.value for mode in Mode])
_RETRIEVES = click.Choice([way.value for way in Retrieve])
_PROOFS = click.Choice([proof.value for proof in Proof])
_OBJECTS = (
    "Forms that it gets, with commas: basic-text, tid1500, kos, pdf, sc; `recommended`: what `ae probe` advises; "
    "`none`: as --no-send-to."
)
_FROM = "Where it may call from: `anywhere` (the default), `host` (its HOST), or addresses and networks with commas."
_IDENTITY = (
    "Ask it by C-FIND whose study it is, before sending and after. Default: unless the proof is acknowledgement."
)

_DIMSE = "How long it may take for an answer, or for the next part of a message. 0 (default): as the node has it."
_IDLE = "Silence after which an association with it is closed. 0 (default): as the node has it."
_ACSE = "How long it may take to accept or release an association that we ask for. 0 (default): as for an answer."
_PDU = "Longest PDU that it may send us, whoever asks for the association. 0 (default): as the node has it."
_RETRIEVE = "How films that never came are fetched: move (default) to our port, or get, without one."
_PROBED_AGAIN = ("send_to", "own_ae_title", "tls", "tls_name")  # where these change, so may what it takes
_TERMS = (
    ("--dimse-timeout", "dimse_timeout_seconds"),
    ("--idle-timeout", "idle_timeout_seconds"),
    ("--acse-timeout", "acse_timeout_seconds"),
    ("--maximum-pdu", "maximum_pdu_size"),
)
_SETTINGS = (
    click.option("--may-send/--may-not-send", default=None, help="It may send images to us. Default: not."),
    click.option("--may-verify/--may-not-verify", default=None, help="It may send C-ECHO to us. Default: it may."),
    click.option("--may-query/--may-not-query", default=None, help="It may use services that answer questions."),
    click.option("--send-to/--no-send-to", default=None, help="It gets our documents; needs HOST and PORT."),
    click.option("--own-ae-title", metavar="TITLE", help="What we call ourselves there; '' for node.ae_title."),
    click.option("--from", "calls_from", metavar="WHERE", help=_FROM),
    click.option("--maximum-associations", type=int, help="Of its own at once; 0 (default): only the node's limit."),
    click.option("--tls/--no-tls", default=None, help="We call it by TLS."),
    click.option("--tls-name", metavar="NAME", help="The name in its certificate; '' (default): its HOST."),
    click.option("--must-use-tls/--may-use-no-tls", default=None, help="It may call us by TLS only."),
    click.option("--dimse-timeout", "dimse_timeout_seconds", type=int, metavar="SECONDS", help=_DIMSE),
    click.option("--idle-timeout", "idle_timeout_seconds", type=int, metavar="SECONDS", help=_IDLE),
    click.option("--acse-timeout", "acse_timeout_seconds", type=int, metavar="SECONDS", help=_ACSE),
    click.option("--maximum-pdu", "maximum_pdu_size", type=int, metavar="BYTES", help=_PDU),
    click.option("--retrieve", type=_RETRIEVES, help=_RETRIEVE),
    click.option("--mode", type=_MODES, help="What it gets: draft (the default), hold or shadow."),
    click.option("--proof", type=_PROOFS, help="What counts as delivered. Default: query where it can be asked."),
    click.option("--identity-check/--no-identity-check", default=None, help=_IDENTITY),
    click.option("--objects", help=_OBJECTS),
    click.option(
        "--notices/--no-notices", default=None, help="Tell it of each study why there is no draft (as basic-text)."
    ),
    click.option("--comment", help="For the next administrator."),
)


def _settings(command: Callable[..., None]) -> Callable[..., None]:
    """The options that `add` and `edit` share; what is not given is None."""
    for option in reversed(_SETTINGS):
        command = option(command)
    return command


@click.group()
def ae() -> None:
    """Remote AE titles: who may send to us, where we send to."""


@ae.command()
@click.argument("address", metavar="TITLE[@HOST:PORT]")
@_settings
@click.option("--probe/--no-probe", "wants_probe", default=True, help="Ask it what it takes, where it gets documents.")
@click.pass_obj
def add(surroundings: Surroundings, /, address: str, wants_probe: bool, **settings: Any) -> None:
    """Register a peer: wetread ae add PACS@10.0.0.5:104 --may-send --send-to.

    Modes: draft sends the unverified draft at once; hold sends only what a radiologist signed; shadow sends nothing.
    Proofs: commitment asks the peer to promise that it keeps the document (storage commitment); query asks it by C-FIND
    whether it has the document; acknowledgement believes its C-STORE response.

    Exit code 1: it takes nothing of ours, and is registered to get nothing.
    """
    title, remote = _named(address, settings)
    config = config_of(surroundings)
    given = {name: value for name, value in _wanted(settings).items() if value is not None}
    if title in config.node.own_ae_titles:
        raise ConfigurationError(
            f"{title!r} is our own AE title: whoever swapped calling and called would be let in; give the peer its own"
        )
    with open_database(config) as database:
        with database.write() as tx:
            peer = RemoteAE(
                ae_title=title,
                host=remote.host if remote else "",
                port=remote.port if remote else 0,
                **{"mode": Mode.DRAFT, "proof": Proof.QUERY, **given},
            )
            peers.add(tx, peer, now=clock(tx), actor=person())
        trial = f"; try it with: wetread ae echo {typed(peer.ae_title)}" if remote else ""
        click.echo(f"{peer.ae_title} registered{trial}")
        _tell_unheard_name(peer, config)
        answer = probing.Answer.TAKES
        if peer.send_to and wants_probe:
            answer = probing.probe_new(config, database, peer, settle_proof=settings["proof"] is None)
        if answer is probing.Answer.TAKES_NOTHING:
            click.get_current_context().exit(EXIT_FAILED)
        if peer.send_to:
            click.echo(probing.what_it_gets(peer, answer))


def _named(address: str, settings: Mapping[str, Any]) -> tuple[str, RemoteAddress | None]:
    """AE title and, where there is one, address of a new peer. Raises ConfigurationError with all that is wrong."""
    mistakes, title, remote = [], "", None
    try:
        remote = RemoteAddress.parse(address) if "@" in address else None
        title = remote.ae_title if remote else ae_title(address)
    except ConfigurationError as error:
        mistakes.append(str(error))
    if not any(settings[role] for role in ("may_send", "may_query", "send_to")):
        mistakes.append("say what the peer is for: --may-send, --send-to or both")
    if mistakes:
        raise ConfigurationError("\n".join(mistakes))
    return title, remote


def _tell_unheard_name(peer: RemoteAE, config: Config) -> None:
    if words := peers.unheard_name(peer, config.node):
        click.echo(f"note: {words}", err=True)


def _wanted(settings: dict[str, Any]) -> dict[str, Any]:
    """Options as columns; None for what was not given."""
    mode, proof, objects, calls_from = (settings[name] for name in ("mode", "proof", "objects", "calls_from"))
    if objects == "none":
        if settings["send_to"]:
            raise ConfigurationError("--send-to with --objects none says both; leave one of them out")
        settings, objects = settings | {"send_to": False}, None
    return {
        **settings,
        "mode": Mode(mode) if mode else None,
        "proof": Proof(proof) if proof else None,
        "retrieve": Retrieve(settings["retrieve"]) if settings["retrieve"] else None,
        "objects": None if objects is None else _chosen(objects),
        "calls_from": "" if calls_from == "anywhere" else calls_from,
    }


@ae.command("list")
@as_json
@click.pass_obj
def list_peers(surroundings: Surroundings, as_json: bool) -> None:
    """Show all peers; --json shows every setting."""
    with open_database(config_of(surroundings)) as database, database.read() as tx:
        everyone = [_shown(peer) for peer in peers.everyone(tx)]
    if as_json:
        print_json(everyone)
        return
    columns = ("ae_title", "host", "port", "may_send", "send_to", "mode", "proof", "objects", "notices", "probed_at")
    header = [*(column.upper().replace("_", " ") for column in columns[:-1]), "PROBED", "ALSO", "COMMENT"]
    rows = [[*(_cell(peer, column) for column in columns), _also(peer), peer["comment"]] for peer in everyone]
    print_table(header, rows, empty="no peer yet; add one with: wetread ae add PACS@HOST:PORT --may-send --send-to")


def _cell(peer: dict[str, Any], column: str) -> object:
    """The moment of the probe is kept as text; a table shows moments in one form."""
    value = peer[column]
    return datetime.fromisoformat(value) if column == "probed_at" and value else value


def _also(peer: dict[str, Any]) -> str:
    """What is unusual about a peer, in the words of the options."""
    words = {
        "--may-not-verify": not peer["may_verify"],
        "--may-query": peer["may_query"],
        f"--own-ae-title {peer['own_ae_title']}": peer["own_ae_title"],
        f"--from {peer['calls_from']}": peer["calls_from"],
        f"--maximum-associations {peer['maximum_associations']}": peer["maximum_associations"],
        "--tls": peer["tls"],
        f"--tls-name {peer['tls_name']}": peer["tls_name"],
        "--must-use-tls": peer["must_use_tls"],
        **{f"{option} {peer[name]}": peer[name] for option, name in _TERMS},
        f"--retrieve {peer['retrieve']}": peer["retrieve"] != Retrieve.MOVE,
        "--identity-check": peer["identity_check"] and peer["proof"] == Proof.ACKNOWLEDGEMENT,
        "--no-identity-check": not peer["identity_check"] and peer["proof"] != Proof.ACKNOWLEDGEMENT,
        "TAKES NOTHING OF OURS": peer["takes_nothing"],
    }
    return " ".join(word for word, holds in words.items() if holds) or "-"


@ae.command()
@click.argument("title")
@click.option("--address", "address", metavar="HOST:PORT", help="Where it listens.")
@_settings
@click.option("--probe/--no-probe", "wants_probe", default=True, help="Ask it what it takes, where that may be new.")
@click.pass_obj
def edit(surroundings: Surroundings, /, title: str, address: str | None, wants_probe: bool, **settings: Any) -> None:
    """Change a peer; what is not given stays. What is queued for one that gets no drafts now becomes a dead letter.

    One that gets documents is asked what it takes, where it was given another address, TLS or name of ours, or is to
    get documents from now on. Exit code 1: it takes nothing of ours.
    """
    may_be_another = address is not None or any(settings[name] is not None for name in _PROBED_AGAIN)
    remote = RemoteAddress.parse(f"{title}@{address}") if address else None
    if remote is not None:
        settings |= {"host": remote.host, "port": remote.port}
    config = config_of(surroundings)
    with open_database(config) as database:
        with database.write() as tx:
            peer = peers.edit(tx, title, now=clock(tx), actor=person(), **_wanted(settings))
            stopped = worklist.count_stopped(tx, title)
        click.echo(f"{title} changed{what_stops(stopped)}")
        _tell_unheard_name(peer, config)
        if peer.send_to and wants_probe and may_be_another and not probing.probe_again(config, database, peer):
            click.get_current_context().exit(EXIT_FAILED)


@ae.command()
@as_json
@click.pass_obj
def refused(surroundings: Surroundings, as_json: bool) -> None:
    """Show who was refused an association in the last 30 days: which AE titles, from where, and the likely cause."""
    with open_database(config_of(surroundings)) as database, database.read() as tx:
        columns = ("last_at", "times", "calling_ae_title", "called_ae_title", "address", "code", "explanation")
        rows = [{column: getattr(row, column) for column in columns} for row in turned_away.newest(tx)]
    if as_json:
        print_json(rows)
        return
    header = ("LAST", "TIMES", "CALLING", "CALLED", "FROM", "CODE", "EXPLANATION")
    print_table(header, [list(row.values()) for row in rows], empty="nobody was refused")


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
    become = "becomes a dead letter" if count == 1 else "become dead letters"
    then = 'wetread queue close NUMBER --reason "..." (numbers: wetread queue dead), or requeue once it gets them again'
    return f"; {count} queued for it {become} (destination-off) at the next attempt: then {then}" if count else ""


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
        known = probing.with_address(peers.find(tx, title))
    try:
        remote.echo(probing.address_of(config, known))
    except SendFailure as failure:
        click.echo(str(failure), err=True)
        ctx.exit(EXIT_FAILED)
    click.echo(f"{title} answered")


@ae.command()
@click.argument("title")
@comparing.comparing
@as_json
@click.pass_context
def probe(ctx: click.Context, title: str, as_json: bool, compares: bool, send: bool) -> None:
    """Ask a peer what it takes, sending nothing; what it answers decides the forms it gets, unless you chose them.

    Each class that we may need is offered in each little endian syntax. Exit code 1 where it cannot be reached, where
    it is to get documents and takes none, or, with --compare, where an object does not come back as it was sent.
    """
    comparing.must_be_asked(compares, send)
    if compares:
        _compare(ctx, title, send=send, as_json=as_json)
        return
    from dicom_node.probe import GET, MOVE, advise

    config = config_of(ctx.obj)
    with open_database(config) as database:
        with database.read() as tx:
            known = probing.with_address(peers.find(tx, title))
        try:
            probed = probing.ask(config, database, known)
        except SendFailure as failure:
            click.echo(str(failure), err=True)
            ctx.exit(EXIT_FAILED)
    advice = advise(probed)
    if as_json:
        print_json(probing.probed_as_json(title, probed))
        return
    probing.print_contexts(probed)
    click.echo("")
    for reason in advice.reasons:
        click.echo(reason)
    click.echo(f"\nrecommended: --objects {in_words(advice.objects) or 'none'} --proof {advice.proof}")
    if not advice.objects and known.send_to and not known.objects:
        click.echo(probing.takes_nothing(title), err=True)
        ctx.exit(EXIT_FAILED)
    if known.objects and known.objects != in_words(advice.objects):
        click.echo(
            f"chosen by a person, and left: {known.objects}; wetread ae edit {typed(title)} --objects recommended"
        )
    if known.retrieve is Retrieve.MOVE and probed.takes(GET) and not probed.takes(MOVE):
        click.echo(f"it sends nothing by C-MOVE, and gives by C-GET: wetread ae edit {typed(title)} --retrieve get")
    if words := probing.other_proof(known, advice.proof):
        click.echo(words)


def _compare(ctx: click.Context, title: str, *, send: bool, as_json: bool) -> None:
    config = config_of(ctx.obj)
    with open_database(config) as database:
        with database.read() as tx:
            to = of_peer(probing.with_address(peers.find(tx, title)))
        comparing.show(ctx, config, database, to, send=send, as_json=as_json)


def _shown(peer: RemoteAE) -> dict[str, Any]:
    import json

    calls = ("own_ae_title", "calls_from", "maximum_associations", "tls", "tls_name", "must_use_tls")
    own = (*calls, *(name for _option, name in _TERMS), "retrieve")
    fields = ("ae_title", "host", "port", "may_send", "may_verify", "may_query", "send_to", *own, "mode", "proof")
    return {field: getattr(peer, field) for field in fields} | {
        "objects": in_words(objects_of(peer)) if peer.send_to else "",
        "notices": peer.notices,
        "identity_check": asks_for_identity(peer),
        "probed_at": json.loads(peer.probed)["at"] if peer.probed else None,
        "takes_nothing": takes_nothing(peer),
        "comment": peer.comment,
    }


def _chosen(objects: str) -> str:
    """As it stands in the database; empty for what the probe recommends. Raises ConfigurationError."""
    return "" if objects == "recommended" else in_words(kinds(objects.split(","), Way.DIMSE))
