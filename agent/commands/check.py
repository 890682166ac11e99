"""`wetread check`: what is wrong, and what to do."""

from __future__ import annotations

from dataclasses import asdict
from types import MappingProxyType

import click

from agent.cli import EXIT_FAILED
from agent.commands.session import as_json, config_of, print_json

_COLORS = MappingProxyType({"ok": "green", "warning": "yellow", "wrong": "red"})


@click.command()
@click.option("--strict", is_flag=True, help="Warnings count as well: exit code 1.")
@as_json
@click.pass_context
def check(ctx: click.Context, strict: bool, as_json: bool) -> None:
    """Is everything as it should be? Disk, model, broker, database, books, processes, C-ECHO to every peer.

    Exit code 1 where something is wrong; warnings alone are 0, with --strict 1. Needs no GPU and loads no model.
    """
    from agent.health import findings

    found = []
    for finding in findings(config_of(ctx.obj)):
        found.append(finding)
        if not as_json:
            verdict = click.style(f"{finding.verdict:8}", fg=_COLORS[finding.verdict])
            click.echo(f"{verdict} {finding.subject:16} {finding.words}")
    if as_json:
        print_json([asdict(finding) for finding in found])
    bad = {"wrong", "warning"} if strict else {"wrong"}
    if any(finding.verdict in bad for finding in found):
        ctx.exit(EXIT_FAILED)
