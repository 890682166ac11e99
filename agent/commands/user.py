"""`wetread user`: who may come in, and as what."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import click
from sqlalchemy.orm import Session

from agent.cli import Surroundings
from agent.commands.session import as_json, config_of, open_database, person, print_json, print_table
from agent.config import Config
from dicom_node.counted import counted
from dicom_node.database import Database, clock
from dicom_node.errors import ConfigurationError, WrongState
from reports.people import accounts, links, sessions
from reports.people.accounts import Particulars
from reports.people.rights import Role
from reports.people.service import new_token
from reports.people.tables import Account, Purpose

_ROLES = click.Choice([role.value for role in Role if role is not Role.SERVICE])
_NAME = "As DICOM writes it, family name first: 'Kim^Minjun'. It stands in signed reports."

Change = Callable[[Session, Account, datetime], str]  # returns what was done, in words

_PARTICULARS = (
    click.option("--organization", help="Hospital or practice, 1 to 64 characters; who signs needs one."),
    click.option("--identifier", help="Staff number; it stands beside the signature. Needs --scheme."),
    click.option("--scheme", help="Whose numbers these are, such as 99HOSPITAL."),
)


def _particulars(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_PARTICULARS):
        command = option(command)
    return command


@click.group()
def user() -> None:
    """Who may come in to the pages, and as what.

    \b
    radiologist    sees, edits, asks and signs            trainee   the same, but a radiologist signs second
    administrator  lets people in, sets up, sees all      auditor   audit trail and figures, no patients' pages

    \b
    wetread user first                                        a link that makes the first administrator
    wetread user add kim --name 'Kim^Minjun' --role radiologist --organization 'St. Elsewhere'
    wetread user edit kim --role radiologist --role administrator
    wetread user reset kim                                    a link for a new password
    """


@user.command()
@click.option("--again", is_flag=True, help="Although there is an administrator who can sign in: a way back in.")
@click.pass_obj
def first(surroundings: Surroundings, again: bool) -> None:
    """Print a link, good once and for an hour, that makes an administrator. Open it in a browser.

    Until there is one user, everybody at this machine sees the pages and nobody can sign. Exit code 4 where there is an
    administrator already, who can let people in.
    """
    config = config_of(surroundings)
    token = new_token()
    with open_database(config) as database, database.write() as tx:
        if accounts.administrators(tx) and not again:
            raise WrongState(
                "there is an administrator already, who can let people in on the page Users. Is nobody left who can? "
                "Then a new one is made with: wetread user first --again"
            )
        link = links.make(tx, Purpose.FIRST, token, None, now=clock(tx), actor=person())
    _tell(config, token, link.expires_at, "makes an administrator")


@user.command()
@click.argument("login")
@click.option("--name", required=True, help=_NAME)
@click.option("--role", "roles", type=_ROLES, multiple=True, required=True, help="May be repeated.")
@_particulars
@click.option("--password-stdin", is_flag=True, help="Take the password from the standard input; no link, no PIN.")
@click.pass_obj
def add(
    surroundings: Surroundings,
    /,
    login: str,
    name: str,
    roles: tuple[str, ...],
    password_stdin: bool,
    **told: str | None,
) -> None:
    """Let somebody in: wetread user add kim --name 'Kim^Minjun' --role radiologist --organization 'St. Elsewhere'.

    Prints a link, good once and for three days, with which that person sets password and PIN. Give it to that person
    alone.
    """
    config = config_of(surroundings)
    who = Particulars(name, frozenset(map(Role, roles)), **{key: value or "" for key, value in told.items()})
    token = new_token()
    with open_database(config) as database:
        kept = _hashed(login, name) if password_stdin else ""
        with database.write() as tx:
            now = clock(tx)
            account = accounts.add(tx, login, who, now=now, actor=person())
            account.password = kept
            link = None if kept else links.make(tx, Purpose.INVITE, token, account, now=now, actor=person())
    if link is None:
        click.echo(f"{account.login} can sign in at {config.web.address}/sign-in")
    else:
        _tell(config, token, link.expires_at, f"lets {account.login} set a password")


@user.command("list")
@as_json
@click.pass_obj
def list_users(surroundings: Surroundings, as_json: bool) -> None:
    """Show everybody, with roles and whether they can come in."""
    with open_database(config_of(surroundings)) as database, database.read() as tx:
        everyone = [_shown(account) for account in accounts.everyone(tx)]
    if as_json:
        print_json(everyone)
        return
    header = ("LOGIN", "NAME", "ROLES", "ORGANIZATION", "STATE", "PIN", "CHANGED")
    columns = ("login", "name", "roles", "organization", "state", "has_pin", "changed_at")
    rows = [[",".join(one[key]) if key == "roles" else one[key] for key in columns] for one in everyone]
    print_table(header, rows, empty="nobody yet; make the first administrator with: wetread user first")


@user.command()
@click.argument("login")
@click.option("--name", help=_NAME)
@click.option("--role", "roles", type=_ROLES, multiple=True, help="All roles from now on; may be repeated.")
@_particulars
@click.pass_obj
def edit(surroundings: Surroundings, /, login: str, roles: tuple[str, ...], **told: str | None) -> None:
    """Change what is known of somebody; what is not given stays. It holds at once, in open sessions too."""
    given: dict[str, Any] = {key: value for key, value in told.items() if value is not None}
    if roles:
        given["roles"] = frozenset(map(Role, roles))
    if not given:
        raise ConfigurationError("say what to change; see: wetread user edit --help")

    def change(tx: Session, account: Account, now: datetime) -> str:
        known = accounts.particulars(account)
        accounts.edit(tx, account, replace(known, **given), now=now, actor=person())
        return "changed"

    _for_one(surroundings, login, change)


@user.command()
@click.argument("login")
@click.pass_obj
def disable(surroundings: Surroundings, login: str) -> None:
    """Let somebody in no more. Every open session ends; what was signed stays as it is."""

    def change(tx: Session, account: Account, now: datetime) -> str:
        accounts.disable(tx, account, now=now, actor=person())
        return "cannot come in any more"

    _for_one(surroundings, login, change)


@user.command()
@click.argument("login")
@click.pass_obj
def enable(surroundings: Surroundings, login: str) -> None:
    """Let somebody in again, with the password of before."""

    def change(tx: Session, account: Account, now: datetime) -> str:
        accounts.enable(tx, account, now=now, actor=person())
        return "can come in again"

    _for_one(surroundings, login, change)


@user.command()
@click.argument("login")
@click.option("--password-stdin", is_flag=True, help="Take the password from the standard input, and print no link.")
@click.pass_obj
def reset(surroundings: Surroundings, login: str, password_stdin: bool) -> None:
    """Print a link, good once and for a day, with which somebody sets a new password. The old one holds until then."""
    config = config_of(surroundings)
    with open_database(config) as database:
        if password_stdin:
            _set_from_stdin(database, login)
            click.echo("the password is changed; every session under this login has ended")
            return
        token = new_token()
        with database.write() as tx:
            account = accounts.find(tx, login)
            link = links.make(tx, Purpose.RESET, token, account, now=clock(tx), actor=person())
    _tell(config, token, link.expires_at, f"lets {account.login} set a new password")


@user.command("sessions")
@click.argument("login")
@as_json
@click.pass_obj
def list_sessions(surroundings: Surroundings, login: str, as_json: bool) -> None:
    """Show where somebody is signed in."""
    with open_database(config_of(surroundings)) as database, database.read() as tx:
        now, columns = clock(tx), ("id", "began_at", "seen_at", "proven_at", "ends_at")
        rows = [
            {column: getattr(one, column) for column in columns}
            for one in sessions.of(tx, accounts.find(tx, login).id)
            if one.ends_at > now
        ]
    if as_json:
        print_json(rows)
        return
    header = ("SESSION", "SINCE", "LAST USED", "PASSWORD ASKED", "ENDS")
    print_table(header, [list(row.values()) for row in rows], empty="nowhere")


@user.command("sign-out")
@click.argument("login")
@click.pass_obj
def sign_out(surroundings: Surroundings, login: str) -> None:
    """End every session of somebody."""

    def change(tx: Session, account: Account, now: datetime) -> str:
        return f"signed out of {counted(accounts.sign_out(tx, account, now=now, actor=person()), 'session')}"

    _for_one(surroundings, login, change)


def _for_one(surroundings: Surroundings, login: str, change: Change) -> None:
    with open_database(config_of(surroundings)) as database, database.write() as tx:
        account = accounts.find(tx, login)
        done = change(tx, account, clock(tx))
    click.echo(f"{account.login} {done}")


def _tell(config: Config, token: str, until: datetime, what: str) -> None:
    click.echo(f"{config.web.address}/welcome/{token}")
    click.echo(
        f"This link {what}. It is good once, until {until:%Y-%m-%d %H:%M} UTC; show it to nobody else.", err=True
    )


def _from_stdin() -> str:
    return sys.stdin.read().removesuffix("\n").removesuffix("\r")


def _hashed(login: str, name: str) -> str:
    from reports.people.passwords import Hasher, check_password

    password = _from_stdin()
    check_password(password, login=accounts.as_login(login), name=name)
    return Hasher().hash(password)


def _set_from_stdin(database: Database, login: str) -> None:
    from reports.people.enrollment import set_password
    from reports.people.passwords import Hasher
    from reports.people.service import People

    set_password(People(database, Hasher()), login, _from_stdin(), actor=person())


def _shown(account: Account) -> dict[str, Any]:
    if account.disabled:
        state = "disabled"
    elif account.subject is not None:
        state = "by provider"
    else:
        state = "active" if account.password else "invited"
    return {
        "login": account.login,
        "name": account.name,
        "roles": sorted(accounts.as_roles(account.roles)),
        "organization": account.organization,
        "identifier": account.identifier,
        "scheme": account.scheme,
        "state": state,
        "has_pin": bool(account.pin),
        "created_at": account.created_at,
        "changed_at": account.changed_at,
    }
