"""`wetread destination`: where objects go that is no AE title: DICOMweb, HL7 v2, FHIR, webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from sqlalchemy import select

from agent.cli import EXIT_FAILED, Surroundings
from agent.commands import comparing
from agent.commands.ae import what_stops
from agent.commands.session import as_json, config_of, open_database, person, print_json, print_table
from dicom_node import destinations, endpoints, worklist
from dicom_node.counted import counted
from dicom_node.database import clock
from dicom_node.errors import ConfigurationError, NotFound, SendFailure
from dicom_node.hosts import with_port
from dicom_node.tables import Endpoint, Mode, Proof, Way

if TYPE_CHECKING:
    from agent.config import Config

_MODES = click.Choice([mode.value for mode in Mode])
_PROOFS = click.Choice([proof.value for proof in Proof if proof is not Proof.COMMITMENT])  # that is DIMSE's
_WAYS = click.Choice([way.value for way in Way if way is not Way.DIMSE])
_OBJECTS = "Forms that it gets, with commas; `recommended`: what its protocol suggests. Only DICOMweb has a choice."
_CREDENTIAL = "Name of the secret in delivery.credentials; '' for none."


@click.group()
def destination() -> None:
    """Destinations that are no AE titles: DICOMweb, HL7 v2 (MLLP), FHIR, webhooks."""


@destination.command()
@click.argument("name")
@click.argument("url")
@click.option("--way", type=_WAYS, help="Its protocol, where the URL does not say it.")
@click.option("--mode", type=_MODES, default="draft", show_default=True, help="What it gets.")
@click.option("--proof", type=_PROOFS, help="What counts as delivered. Default: query where it can be asked.")
@click.option("--objects", default="recommended", show_default=True, help=_OBJECTS)
@click.option(
    "--notices/--no-notices", default=False, help="Tell it of each study why there is no draft; DICOMweb only."
)
@click.option("--credential", default="", help=_CREDENTIAL)
@click.option("--comment", default="", help="For the next administrator.")
@click.pass_obj
def add(
    surroundings: Surroundings,
    name: str,
    url: str,
    way: str | None,
    mode: str,
    proof: str | None,
    objects: str,
    notices: bool,
    credential: str,
    comment: str,
) -> None:
    """Register a service: wetread destination add RIS mllp://10.0.0.7:2575.

    URLs: mllp://HOST:PORT (mllps:// for TLS), https://HOST/dicom-web, https://HOST/fhir; any other with --way. Modes as
    in `wetread ae`.
    """
    config = config_of(surroundings)
    must_know(config, credential)
    with open_database(config) as database, database.write() as tx:
        added = endpoints.add(
            tx,
            name,
            endpoints.place(url, Way(way) if way else None),
            now=clock(tx),
            actor=person(),
            mode=Mode(mode),
            proof=Proof(proof) if proof else None,
            objects=_chosen(objects),
            notices=notices,
            credential=credential,
            comment=comment,
        )
        spoken = added.way
    click.echo(f"{name} registered ({spoken}); try it with: wetread destination test '{name}'")


@destination.command("list")
@as_json
@click.pass_obj
def list_destinations(surroundings: Surroundings, as_json: bool) -> None:
    """Show all destinations; AE titles that get objects among them."""
    with open_database(config_of(surroundings)) as database, database.read() as tx:
        comments = {name: comment for name, comment in tx.execute(select(Endpoint.name, Endpoint.comment))}  # noqa: C416
        rows = [
            {
                "name": to.name,
                "way": to.way,
                "address": to.url or with_port(to.host, to.port),
                "mode": to.mode,
                "proof": to.proof,
                "objects": destinations.in_words(to.objects),
                "notices": to.notices,
                "credential": to.credential,
                "comment": comments.get(to.name, ""),
            }
            for to in destinations.destinations(tx)
        ]
    if as_json:
        print_json(rows)
        return
    header = ("NAME", "WAY", "ADDRESS", "MODE", "PROOF", "OBJECTS", "NOTICES", "CREDENTIAL", "COMMENT")
    empty = "no destination yet; wetread ae add PACS@HOST:PORT --send-to, or wetread destination add NAME URL"
    print_table(header, [list(row.values()) for row in rows], empty=empty)


@destination.command()
@click.argument("name")
@click.option("--url", help="Where it is now.")
@click.option("--mode", type=_MODES, help="What it gets.")
@click.option("--proof", type=_PROOFS, help="What counts as delivered.")
@click.option("--objects", help=_OBJECTS)
@click.option(
    "--notices/--no-notices", default=None, help="Tell it of each study why there is no draft; DICOMweb only."
)
@click.option("--credential", help=_CREDENTIAL)
@click.pass_obj
def edit(
    surroundings: Surroundings,
    name: str,
    url: str | None,
    mode: str | None,
    proof: str | None,
    objects: str | None,
    notices: bool | None,
    credential: str | None,
) -> None:
    """Change a destination; what is not given stays. What is queued and not for it any more becomes a dead letter."""
    config = config_of(surroundings)
    must_know(config, credential or "")
    with open_database(config) as database, database.write() as tx:
        way = endpoints.find(tx, name).way
        endpoints.edit(
            tx,
            name,
            now=clock(tx),
            actor=person(),
            where=endpoints.place(url, way) if url else None,
            mode=Mode(mode) if mode else None,
            proof=Proof(proof) if proof else None,
            objects=None if objects is None else _chosen(objects),
            notices=notices,
            credential=credential,
        )
        stopped = worklist.count_stopped(tx, name)
    click.echo(f"{name} changed{what_stops(stopped)}")


@destination.command()
@click.argument("name")
@click.pass_obj
def remove(surroundings: Surroundings, name: str) -> None:
    """Forget a destination. What is queued for it becomes a dead letter."""
    with open_database(config_of(surroundings)) as database, database.write() as tx:
        endpoints.remove(tx, name, now=clock(tx), actor=person())
        stopped = worklist.count_stopped(tx, name)
    click.echo(f"{name} removed{what_stops(stopped)}")


@destination.command()
@click.argument("name")
@click.pass_obj
def requeue(surroundings: Surroundings, name: str) -> None:
    """Try all dead letters for a destination again, of every form, once it is mended; an AE title is one, too.

    Studies that are held keep theirs. One study alone: wetread study requeue.
    """
    with open_database(config_of(surroundings)) as database, database.write() as tx:
        if destinations.find(tx, name) is None:
            raise NotFound(f"{name!r} is no destination; see wetread destination list")
        count = worklist.requeue_for(tx, name, clock(tx), actor=person())
    click.echo(f"{counted(count, 'delivery')} to {name} queued again")


@destination.command()
@click.argument("name")
@comparing.comparing
@click.pass_context
def test(ctx: click.Context, name: str, compares: bool, send: bool) -> None:
    """Can it be reached, and does it accept us? Nothing of a patient is sent. Exit code 1 where not."""
    from agent.transports import try_out

    comparing.must_be_asked(compares, send)
    config = config_of(ctx.obj)
    with open_database(config) as database:
        with database.read() as tx:
            to = destinations.find(tx, name)
        if to is None:
            raise NotFound(f"{name!r} is no destination; see wetread destination list")
        if compares:
            comparing.show(ctx, config, database, to, send=send, as_json=False)
            return
    try:
        words = try_out(config, to)
    except SendFailure as failure:
        click.echo(str(failure), err=True)
        ctx.exit(EXIT_FAILED)
    click.echo(f"{name} {words}")


@destination.command()
@click.argument("credential")
@click.pass_obj
def jwks(surroundings: Surroundings, credential: str) -> None:
    """Print the public key of a CREDENTIAL (private_key_jwt) as a JWK Set, for its token server to know us by."""
    from reports.rest.assertion import read_key

    config = config_of(surroundings)
    must_know(config, credential)
    chosen = config.delivery.credentials[credential]
    if chosen.client_key is None:
        raise ConfigurationError(f"delivery.credentials.{credential} has no client_key")
    print_json({"keys": [read_key(chosen.client_key).public(chosen.client_key_id)]})


def must_know(config: Config, credential: str) -> None:
    """Raises ConfigurationError where the configuration has no such credential."""
    known = config.delivery.credentials
    if credential and credential not in known:
        names = ", ".join(sorted(known)) or "none"
        raise ConfigurationError(f"delivery.credentials has no {credential!r}, it has: {names}")


def _chosen(objects: str) -> str:
    return "" if objects == "recommended" else objects
