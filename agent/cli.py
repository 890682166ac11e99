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
from agent.loading import loading
from dicom_node.errors import ConfigurationError, NotFound, WetreadError, WrongState

EXIT_FAILED = 1  # something is not as it should be; the message says what
EXIT_USAGE = 2  # the command line, the configuration, the user or the disk is wrong
EXIT_NOT_FOUND = 3  # no such study, peer or file
EXIT_WRONG_STATE = 4  # it exists, but that cannot be done with it now

_COMMANDS = MappingProxyType(  # module below agent.commands, and its line in the help of `wetread`
    {
        "listen": ("processes", "Receive images: Storage and Verification SCP."),
        "dispatch": ("processes", "Close quiet studies, ring the workers' bell, sweep."),
        "work": ("processes", "Read films: a Celery worker and its child process."),
        "send": ("processes", "Deliver documents, and prove that they arrived."),
        "web": ("processes", "Serve the pages, /healthz and /metrics."),
        "run": ("processes", "Run everything on this machine, until Ctrl-C."),
        "demo": ("demo", "Send one chest film through all five processes."),
        "check": ("check", "Is everything as it should be?"),
        "study": ("study", "Studies: where they are, why, and what to do."),
        "gate": ("gate", "The image gate: would these films be read, and why not?"),
        "report": ("report", "Reports: show, check, render and compare them."),
        "quarantine": ("quarantine", "Objects that were refused, and why."),
        "reconcile": ("reconcile", "Ask the PACS for a day's chest films; compare the books."),
        "queue": ("queue", "What waits where and since when; dead letters."),
        "pause": ("queue", "Claim no new study, send no document, or let nobody send."),
        "resume": ("queue", "Go on after a pause."),
        "user": ("user", "Who may come in to the pages, and as what."),
        "token": ("token", "Tokens of programs, such as a RIS."),
        "ae": ("ae", "Remote AE titles: who may send to us, where we send to."),
        "destination": ("destination", "Destinations by DICOMweb, HL7 v2, FHIR, webhook."),
        "rule": ("rule", "Rules for complete studies; try them before."),
        "sheet": ("sheet", "A sheet for the PACS administrator."),
        "apply": ("apply", "Take peers, destinations and rules from a TOML file."),
        "export": ("apply", "Print peers, destinations and rules as such a file."),
        "db": ("db", "The database: upgrade it, back it up, restore it."),
        "model": ("model", "The model that reads: get it, check it, compare it."),
        "findings": ("findings", "What does the text of a report say?"),
        "eval": ("eval", "Judge a reader by films whose findings are known."),
        "train": ("train", "Train a model, in the three stages of its paper."),
        "config": ("config", "The configuration that is in force."),
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

        module, _ = _COMMANDS[cmd_name]
        with loading():
            command = getattr(import_module(f"agent.commands.{module}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table of the help without importing what would run."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])

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
    """What every command may ask for; read when it does.

    published: tensors and bytes of the published model, where that is a smaller one for a test.
    """

    def __init__(self, config_file: Path | None, published: tuple[int, int] | None = None) -> None:
        self.config_file = config_file
        self.published = published


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
    ctx.obj = Surroundings(config_file, ctx.obj.published if ctx.obj else None)


def main(surroundings: Surroundings | None = None) -> None:
    """Run the command line; our own errors become one sentence and an exit code."""
    os.umask(0o077)  # whatever we write holds patients' films and identities
    try:
        wetread(prog_name="wetread", standalone_mode=True, obj=surroundings)
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
