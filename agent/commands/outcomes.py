"""`wetread report outcomes`: what became of the drafts, in the columns that a webhook gets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from agent.commands.session import as_json, config_of, open_database, print_json, print_table
from dicom_node.counted import counted
from dicom_node.database import clock
from dicom_node.errors import StoreAway, WetreadError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.orm import Session

    from agent.cli import Surroundings
    from reports.messages.outcome import Outcome

_SHOWN = ("at", "result", "reason", "accession_number", "words_drafted", "words_signed", "words_kept", "reader_name")


@dataclass(frozen=True, slots=True)
class _Became:
    """Where a draft stands, of the database. signed: digest of what was signed; empty: nothing is."""

    digest: str
    signed: str
    result: str
    reason: str
    drafted_at: datetime
    at: datetime


@click.command()
@click.option("--since", metavar="SPAN", default="30d", show_default=True, help="Of the last 90m, 24h or 7d.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV with a row of names, for a spreadsheet.")
@as_json
@click.pass_obj
def outcomes(surroundings: Surroundings, since: str, as_csv: bool, as_json: bool) -> None:
    """What became of the drafts: drafted, accepted, modified, rejected, withdrawn; one row for each.

    A draft is told of as it stands now where that came about in the time asked for, the oldest first. The columns are
    those of a webhook (messages.md, wetread.outcome/1), with the same id. No word of a report is shown, no name of a
    patient and no person.

    \b
      wetread report outcomes --since 30d
      wetread report outcomes --since 365d --csv > outcomes.csv
      wetread report outcomes --since 24h --json
    """
    from dataclasses import asdict

    from agent.trials import span
    from reports.messages.outcome import to_csv

    if as_csv and as_json:
        raise click.UsageError("one of --csv and --json")
    config = config_of(surroundings)
    with open_database(config) as database, database.read() as tx:
        became = _since(tx, clock(tx) - span(since))
    told = _told(config.node.store_folder, became)
    if as_csv:
        click.echo(to_csv(told), nl=False)
    elif as_json:
        print_json([_members(asdict(one)) for one in told])
    else:
        header = [name.upper().replace("_", " ") for name in _SHOWN]
        rows = [[getattr(one, name) for name in _SHOWN] for one in told]
        print_table(header, rows, empty="no draft was written or decided about in that time")


def _since(tx: Session, since: datetime) -> list[_Became]:
    """Each report that came to where it stands since then."""
    from sqlalchemy import func, select

    from reports.messages.outcome import Result
    from reports.signoff.tables import Decision, SignedDocument, SignedKind
    from reports.tables import Report, ReportState

    results = {
        ReportState.DRAFT: Result.DRAFTED,
        ReportState.AWAITING_SECOND: Result.DRAFTED,
        ReportState.VERIFIED: Result.MODIFIED,  # or accepted: the two documents say which
        ReportState.REJECTED: Result.REJECTED,
    }
    verified = (
        select(func.max(SignedDocument.id).label("id"), SignedDocument.report_id)
        .where(SignedDocument.kind.in_((SignedKind.SIGNED, SignedKind.COSIGNED)), SignedDocument.ended_at.is_(None))
        .group_by(SignedDocument.report_id)
        .subquery()
    )
    chosen = (
        select(Report, SignedDocument, Decision.reason)
        .outerjoin(verified, verified.c.report_id == Report.id)
        .outerjoin(SignedDocument, SignedDocument.id == verified.c.id)
        .outerjoin(Decision, Decision.report_id == Report.id)
        .where(Report.changed_at >= since)
        .order_by(Report.changed_at, Report.id)
    )
    became = []
    for report, signed, reason in tx.execute(chosen):
        result = results.get(report.state, Result.WITHDRAWN)
        by_now = result is Result.MODIFIED and signed is not None
        became.append(
            _Became(
                digest=report.digest,
                signed=signed.digest if by_now else "",
                result=result.value,
                reason=(reason or report.event) if result in {Result.REJECTED, Result.WITHDRAWN} else "",
                drafted_at=report.drafted_at,
                at=signed.at if by_now else report.drafted_at if result is Result.DRAFTED else report.changed_at,
            )
        )
    return became


def _told(folder: Path, became: list[_Became]) -> list[Outcome]:
    """Read the documents, outside of any transaction; one that cannot be read is counted on standard error."""
    told, lost = [], 0
    for one in became:
        try:
            told.append(_outcome(folder, one))
        except StoreAway:
            raise
        except WetreadError:
            lost += 1
    if lost:
        left_out = counted(lost, "draft is left out: its document is", "drafts are left out: their documents are")
        click.echo(f"{left_out} lost, or cannot be read", err=True)
    return told


def _outcome(folder: Path, one: _Became) -> Outcome:
    """Raises NotFound, NotOurs."""
    from reports import shelf
    from reports.messages.outcome import Result, outcome_of

    return outcome_of(
        shelf.load(folder, one.digest),
        drafted_at=one.drafted_at,
        at=one.at,
        result=None if one.signed else Result(one.result),
        signed=shelf.load(folder, one.signed) if one.signed else None,
        reason=one.reason,
    )


def _members(outcome: dict[str, Any]) -> dict[str, Any]:
    """As a webhook gets it: `report` is left out where it is empty."""
    return {name: value for name, value in outcome.items() if name != "report" or value}
