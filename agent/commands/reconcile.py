"""`wetread reconcile`: does the PACS have chest films that we never got?"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from agent.cli import EXIT_FAILED
from agent.commands.session import as_json, config_of, open_database, person, print_json, print_table
from dicom_node.counted import counted
from dicom_node.errors import ConfigurationError

if TYPE_CHECKING:
    from agent.reconciling import Retrieval
    from dicom_node.commitment_tables import Gap, Reconciliation

_DATE = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option("--date", "day", type=_DATE, metavar="YYYY-MM-DD", help="Study Date. Default: yesterday, at the site.")
@click.option("--peer", "peers", multiple=True, help="AE title or DICOMweb destination. Default: node.reconcile_peers.")
@click.option("--retrieve", is_flag=True, help="Have what is missing brought here, by C-MOVE or C-GET.")
@as_json
@click.pass_context
def reconcile(ctx: click.Context, day: datetime | None, peers: tuple[str, ...], retrieve: bool, as_json: bool) -> None:
    """Ask the PACS for the chest films of a day, and hold the answer against our books.

    Counted are series of modality CR or DX whose body part is empty or a word for the chest. What is missing stays
    listed until it came; each run asks again about what was missing before. Without --date, --retrieve fetches all that
    is missing, of whatever day. For C-MOVE the PACS must know our AE title with address and port; one that does not
    may give the films on our own association: wetread ae edit PACS --retrieve get.

    \b
    Exit codes: 0 nothing is missing; 1 something is, or a peer could not be asked.
    """
    from agent import logs
    from agent.reconciling import Reconciler
    from dicom_node.associations import keep_identifiers_out_of_logs
    from dicom_node.worklist import gaps

    config = config_of(ctx.obj)
    logs.set_up(config.log)  # to standard error: what is printed here may be JSON for a script
    keep_identifiers_out_of_logs()
    with open_database(config) as database:
        reconciler = Reconciler(config, database)
        asked = day.date() if day else reconciler.yesterday()
        gone = reconciler.close_gone()
        with database.read() as tx:
            still = {gap.peer for gap in gaps.open_gaps(tx)}
        names = peers or config.node.reconcile_peers
        if not (names or still or gone):
            raise ConfigurationError("say whom to ask: --peer PACS, or node.reconcile_peers in the configuration")
        ask = reconciler.compare if peers else reconciler.attempt
        rows = [ask(name, asked, actor=person()) for name in names]
        for name in () if peers else sorted(still.difference(names)):
            reconciler.test_again(name)
        with database.read() as tx:
            missing = [gap for gap in gaps.open_gaps(tx, day=asked if day else None) if not peers or gap.peer in peers]
        retrieved = [reconciler.retrieve(gap) for gap in missing] if retrieve else []
    if as_json:
        print_json(_document(rows, missing, retrieved, gone))
    else:
        _show(rows, missing, retrieved, gone)
    here = {one.study_instance_uid for one in retrieved if one.is_here}
    if any(row.trouble for row in rows) or any(gap.study_instance_uid not in here for gap in missing):
        ctx.exit(EXIT_FAILED)


def _document(
    rows: list[Reconciliation], missing: list[Gap], retrieved: list[Retrieval], gone: tuple[str, ...]
) -> dict[str, Any]:
    outcomes = {one.study_instance_uid: one for one in retrieved}
    return {
        "peers": [
            {"peer": row.peer, "date": row.day, "found": row.found, "missing": row.missing, "trouble": row.trouble}
            for row in rows
        ],
        "missing": [
            {
                "peer": gap.peer,
                "date": gap.day,
                "study_instance_uid": gap.study_instance_uid,
                "modality": gap.modality,
                "instances": gap.instances,
                "seen_at": gap.seen_at,
                "retrieved": _outcome(outcomes.get(gap.study_instance_uid)),
            }
            for gap in missing
        ],
        "gone": gone,
    }


def _outcome(one: Retrieval | None) -> str:
    if one is None:
        return "not asked for"
    return one.error or ("here" if one.is_here else "on its way")


def _show(rows: list[Reconciliation], missing: list[Gap], retrieved: list[Retrieval], gone: tuple[str, ...]) -> None:
    for name in gone:
        click.echo(f"{name}: registered no more; what was missing of it is not listed any more")
    for row in rows:
        words = row.trouble or (
            f"{counted(row.found, 'study with chest films', 'studies with chest films')}, "
            f"{row.missing} of {'it' if row.found == 1 else 'them'} missing or in part here"
        )
        click.echo(f"{row.peer}, {row.day}: {words}")
    outcomes = {one.study_instance_uid: one for one in retrieved}
    if missing:
        click.echo("")
        header = ("PEER", "DATE", "STUDY INSTANCE UID", "MODALITY", "FILMS", "RETRIEVED")
        table = [
            (
                gap.peer,
                gap.day,
                gap.study_instance_uid,
                gap.modality,
                gap.instances or "?",
                _outcome(outcomes.get(gap.study_instance_uid)),
            )
            for gap in missing
        ]
        print_table(header, table, empty="")
        if not retrieved:
            click.echo("\nhave them sent with: wetread reconcile --retrieve")
