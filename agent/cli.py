"""The command `wetread`: five processes, what keeps them running, and what a person asks or tells them.

A command imports what it runs: `--help` answers at once, and no process loads what it does not need.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from agent import __version__
from dicom_node.errors import ConfigurationError, NotFound, WetreadError, WrongState

EXIT_FAILED = 1  # something is not as it should be; the message says what
EXIT_USAGE = 2  # the command line, the configuration, the user or the disk is wrong
EXIT_NOT_FOUND = 3  # no such study, peer or file
EXIT_WRONG_STATE = 4  # it exists, but that cannot be done with it now

_COMMANDS = MappingProxyType(
    {
        "listen": "agent.commands.processes",
        "dispatch": "agent.commands.processes",
        "work": "agent.commands.processes",
        "send": "agent.commands.processes",
        "web": "agent.commands.processes",
        "run": "agent.commands.processes",
        "demo": "agent.commands.demo",
        "check": "agent.commands.check",
        "study": "agent.commands.study",
        "gate": "agent.commands.gate",
        "report": "agent.commands.report",
        "quarantine": "agent.commands.quarantine",
        "reconcile": "agent.commands.reconcile",
        "queue": "agent.commands.queue",
        "pause": "agent.commands.queue",
        "resume": "agent.commands.queue",
        "user": "agent.commands.user",
        "token": "agent.commands.token",
        "ae": "agent.commands.ae",
        "destination": "agent.commands.destination",
        "rule": "agent.commands.rule",
        "sheet": "agent.commands.sheet",
        "apply": "agent.commands.apply",
        "export": "agent.commands.apply",
        "db": "agent.commands.db",
        "model": "agent.commands.model",
        "findings": "agent.commands.findings",
        "eval": "agent.commands.eval",
        "train": "agent.commands.train",
        "config": "agent.commands.config",
    }
)


class Commands(click.Group):
    """A group that imports a command only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The order of the table: a study's way first."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of a command."""
        if cmd_name not in _COMMANDS:
            return None
        from importlib import import_module

        command = getattr(import_module(_COMMANDS[cmd_name]), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what user, disk or database refuse becomes one sentence. Raises Refused."""
        try:
            return super().invoke(ctx)
        except _of_the_machine() as error:
            _refuse(error, ctx.params["config_file"])
            raise


def _of_the_machine() -> tuple[type[Exception], ...]:
    """What user, disk and database may raise; SQLAlchemy's only where a command has loaded it."""
    loaded = sys.modules.get("sqlalchemy.exc")
    return (OSError, sqlite3.Error, *([loaded.SQLAlchemyError] if loaded else []))


class Surroundings:
    """What every command may ask for; read when it does."""

    def __init__(self, config_file: Path | None) -> None:
        self.config_file = config_file


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="WETREAD_CONFIG",
    help="Configuration file (TOML). Default: /etc/wetread/wetread.toml where it exists.",
)
@click.version_option(__version__, prog_name="wetread")
@click.pass_context
def wetread(ctx: click.Context, config_file: Path | None) -> None:
    """A wet read beside the PACS: chest radiographs in by C-STORE, AI-drafted Structured Reports out.

    Research software. Drafts are marked as AI drafts, not verified: a radiologist reads the film and reports as always.

    \b
    Exit codes: 0 done; 1 something is not as it should be; 2 wrong command line or configuration;
                3 no such study, peer or file; 4 it exists, but that cannot be done with it now.
                2 is also: the wrong user, a folder that cannot be written, a full disk, a database that is gone.
    """
    ctx.obj = Surroundings(config_file)


def main() -> None:
    """Run the command line; our own errors become one sentence and an exit code."""
    os.umask(0o077)  # whatever we write holds patients' films and identities
    try:
        wetread(prog_name="wetread", standalone_mode=True)
    except ConfigurationError as error:
        _fail(error, EXIT_USAGE)
    except NotFound as error:
        _fail(error, EXIT_NOT_FOUND)
    except WrongState as error:
        _fail(error, EXIT_WRONG_STATE)
    except WetreadError as error:
        _fail(error, EXIT_FAILED)


def _refuse(error: Exception, config_file: Path | None) -> None:
    """Raises Refused where the trouble has a sentence."""
    from agent import edge
    from agent.config import read_config

    try:
        config = read_config(config_file)
    except (ConfigurationError, OSError):
        config = None
    sentence = edge.explain(error, config)
    if sentence is not None:
        raise edge.Refused(sentence) from error


def _fail(error: WetreadError, code: int) -> None:
    click.echo(f"wetread: {error}", err=True)
    sys.exit(code)
