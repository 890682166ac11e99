"""`wetread model`: is this installation the published model?"""

from __future__ import annotations

from pathlib import Path

import click

from agent.cli import EXIT_FAILED
from agent.commands.session import as_json, print_json, print_table


@click.group()
def model() -> None:
    """The model that reads."""


@model.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16", "int8", "nf4"]),
    default="bf16",
    show_default=True,
    help="Precision of the language model's layers.",
)
@as_json
@click.pass_context
def parity(ctx: click.Context, folder: Path, precision: str, as_json: bool) -> None:
    """Compare this installation with reference values: does it read as the authors' own code does?

    FOLDER holds a checkpoint `ckpt`, pictures `images` and the values `reference.npz`, as tests/reference/cxr_llava.
    Pixels within 1e-5, equal prompt ids, features and logits with cosine above 0.9995, equal greedy tokens.
    Exit code 1 where that does not hold.
    """
    from agent.readers.parity import compare

    report = compare(folder, precision)
    rows = [{"what": row.what, "limit": row.limit, "measured": row.measured, "holds": row.holds} for row in report.rows]
    if as_json:
        print_json({"holds": report.holds, "rows": rows})
    else:
        print_table(("WHAT", "LIMIT", "MEASURED", "HOLDS"), [list(row.values()) for row in rows], empty="nothing")
    if not report.holds:
        ctx.exit(EXIT_FAILED)
