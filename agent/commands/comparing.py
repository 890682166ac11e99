"""`--compare` of `wetread ae probe` and `wetread destination test`: does an archive give back what it was sent?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from agent.cli import EXIT_FAILED
from agent.commands.session import person, print_json
from dicom_node.database import Database, clock
from dicom_node.errors import SendFailure

if TYPE_CHECKING:
    from agent.comparing import Comparison
    from agent.config import Config
    from dicom_node.transports import Destination

_COMPARE = "Get the newest object that was delivered there back (C-GET, WADO-RS), and compare it with what was sent."
_SEND = "With --compare: send an object about nobody for that. It stays there until somebody deletes it."


def comparing(command: Callable[..., None]) -> Callable[..., None]:
    """The two options."""
    command = click.option("--send-probe", "send", is_flag=True, help=_SEND)(command)
    return click.option("--compare", "compares", is_flag=True, help=_COMPARE)(command)


def must_be_asked(compares: bool, send: bool) -> None:
    """Raises click.UsageError: an object must not be sent by mistake."""
    if send and not compares:
        raise click.UsageError("--send-probe belongs to --compare")


def _in_words(found: Comparison, name: str) -> str:
    """Lines for people; no value of the object."""
    kind = "the object that was sent for this" if found.was_sent else "the newest object that was delivered there"
    head = f"{name}, {kind} (SOP Instance UID {found.sop_instance_uid})"
    if not found.found:
        return f"{head}: it does not give it back"
    if found.is_equal:
        deleted = f"; delete study {found.study_instance_uid} there" if found.was_sent else ""
        return f"{head}: equal, element for element{deleted}"
    return "\n  ".join([f"{head}: it is another one now", *found.differences])


def _as_json(found: Comparison) -> dict[str, Any]:
    """For scripts."""
    return {
        "sop_instance_uid": found.sop_instance_uid,
        "sop_class_uid": found.sop_class_uid,
        "study_instance_uid": found.study_instance_uid,
        "was_sent": found.was_sent,
        "found": found.found,
        "equal": found.is_equal,
        "differences": list(found.differences),
    }


def show(ctx: click.Context, config: Config, database: Database, to: Destination, *, send: bool, as_json: bool) -> None:
    """Compare, say what was found, and end with exit code 1 where it is not equal. Raises NotFound."""
    from agent.comparing import compare
    from dicom_node.associations import keep_identifiers_out_of_logs

    keep_identifiers_out_of_logs()
    with database.read() as tx:
        now = clock(tx)
    try:
        found = compare(config, database, to, send=send, now=now, actor=person())
    except SendFailure as failure:
        click.echo(str(failure), err=True)
        ctx.exit(EXIT_FAILED)
    if as_json:
        print_json(_as_json(found))
    else:
        click.echo(_in_words(found, to.name))
    if not found.is_equal:
        ctx.exit(EXIT_FAILED)
