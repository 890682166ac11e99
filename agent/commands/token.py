"""`wetread token`: what programs show in place of a sign-in."""

from __future__ import annotations

from datetime import timedelta

import click

from agent.cli import Surroundings
from agent.commands.session import as_json, config_of, open_database, person, print_json, print_table
from dicom_node.database import clock
from reports.people import tokens
from reports.people.rights import Right
from reports.people.service import new_token

_SCOPES = click.Choice([scope.value for scope in tokens.SCOPES])


@click.group()
def token() -> None:
    """Tokens of programs, such as a RIS that asks for the state of a study.

    \b
    wetread token add ris --scope status --days 365
    curl -H "Authorization: Bearer $TOKEN" "http://127.0.0.1:8080/api/v1/status?accession_number=A1"
    """


@token.command()
@click.argument("service")
@click.option("--scope", "scopes", type=_SCOPES, multiple=True, required=True, help="What it may; may be repeated.")
@click.option("--days", type=click.IntRange(1, 3650), help="How long it is good. Default: until it is removed.")
@as_json
@click.pass_obj
def add(surroundings: Surroundings, service: str, scopes: tuple[str, ...], days: int | None, as_json: bool) -> None:
    """Print a new token for a program. It is shown this once; only its digest is kept.

    Scopes: status (where one study is, and a link), see (that, and worklist, studies, films, drafts), quality
    (figures), audit (the audit trail), queues (what waits where, to look at), administer (that, and requeue, pause,
    set up). No program signs or edits a report, or lets anybody in.
    """
    secret = tokens.PREFIX + new_token()
    with open_database(config_of(surroundings)) as database, database.write() as tx:
        now = clock(tx)
        expires_at = now + timedelta(days=days) if days else None
        made = tokens.add(tx, service, secret, map(Right, scopes), expires_at=expires_at, now=now, actor=person())
    if as_json:
        print_json({"service": made.service, "token": secret, "scopes": sorted(scopes), "expires_at": expires_at})
    else:
        click.echo(secret)


@token.command("list")
@as_json
@click.pass_obj
def list_tokens(surroundings: Surroundings, as_json: bool) -> None:
    """Show which programs have one; the tokens themselves are not kept."""
    columns = ("service", "scopes", "created_at", "expires_at", "used_at")
    with open_database(config_of(surroundings)) as database, database.read() as tx:
        rows = [{column: getattr(row, column) for column in columns} for row in tokens.everyone(tx)]
    if as_json:
        print_json([{**row, "scopes": row["scopes"].split(",")} for row in rows])
        return
    header = ("SERVICE", "SCOPES", "MADE", "ENDS", "LAST USED")
    print_table(header, [list(row.values()) for row in rows], empty="no program has a token")


@token.command()
@click.argument("service")
@click.pass_obj
def remove(surroundings: Surroundings, service: str) -> None:
    """Let a program in no more."""
    with open_database(config_of(surroundings)) as database, database.write() as tx:
        tokens.remove(tx, service, now=clock(tx), actor=person())
    click.echo(f"{service} has no token any more")
