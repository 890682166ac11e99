"""`wetread study`: where a study is, and what a person may do about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.cli import Surroundings
from agent.commands.session import ago, as_json, config_of, open_database, person, print_json, print_table
from dicom_node import books, worklist
from dicom_node.database import clock
from dicom_node.tables import AuditRow, Book, Delivery, Instance, Revision, Study, Workitem
from dicom_node.worklist.holds import what_to_do
from reports import drafts
from reports.tables import Report

_KEY = click.argument("key", metavar="NUMBER|UID|ACCESSION")
_CHANGED = click.argument("key", metavar="'#NUMBER'|UID|ACCESSION")


@click.group()
def study() -> None:
    """Studies: where they are, why, and what to do.

    A study is named by its number, its Study Instance UID or its accession number. Commands that change it take the
    number only as '#4711' (with the quotes, for the shell), since 4711 may be an accession number.
    """


@study.command("list")
@click.option("--book", type=click.Choice([book.value for book in Book]), help="Only studies in this book.")
@click.option("--held", is_flag=True, help="Only studies that wait for a person.")
@click.option("--conflicts", is_flag=True, help="Only studies with newer bytes under a UID than those that are used.")
@click.option("--limit", default=50, show_default=True, help="The newest so many.")
@as_json
@click.pass_obj
def list_studies(
    surroundings: Surroundings, book: str | None, held: bool, conflicts: bool, limit: int, as_json: bool
) -> None:
    """The newest studies with where they stand."""
    with open_database(config_of(surroundings)) as database, database.read() as tx:
        now = clock(tx)
        chosen = (
            select(Revision, Workitem)
            .join(Study, (Study.id == Revision.study_id) & (Study.revision == Revision.number))
            .outerjoin(Workitem, Workitem.revision_id == Revision.id)
        )
        if book:
            chosen = chosen.where(Revision.book == Book(book))
        if held:
            chosen = chosen.where(Revision.id.in_(books.held()))
        if conflicts:
            chosen = chosen.where(Study.id.in_(books.conflicts()))
        rows = tx.execute(chosen.order_by(Study.id.desc()).limit(limit)).all()
    if as_json:
        print_json([_summary(revision, workitem) for revision, workitem in rows])
        return
    table = [
        (
            revision.study.id,
            revision.study.accession_number or "-",
            f"{revision.study.revision}",
            revision.book,
            _standing(revision, workitem),
            ago(revision.study.first_received_at, now),
            revision.study.study_instance_uid,
        )
        for revision, workitem in rows
    ]
    header = ("STUDY", "ACCESSION", "REV", "BOOK", "WHERE", "AGE", "STUDY INSTANCE UID")
    print_table(header, table, empty="no study; does the PACS route to this AE title? wetread check tells")


@study.command()
@_KEY
@as_json
@click.pass_obj
def show(surroundings: Surroundings, key: str, as_json: bool) -> None:
    """One study: its images, its reading, its deliveries, and everything that happened to it."""
    with open_database(config_of(surroundings)) as database, database.read() as tx:
        found = _detail(tx, worklist.find_study(tx, key))
    if as_json:
        print_json(found)
        return
    for name in ("study", "study_instance_uid", "accession_number", "state", "revision", "book", "where"):
        click.echo(f"{name.replace('_', ' '):20} {found[name]}")
    if found["to_do"]:
        click.echo(f"{'to do':20} {found['to_do']}")
    for title in ("instances", "reports", "deliveries"):
        rows = found[title]
        assert isinstance(rows, list)
        click.echo(f"\n{title.upper()}")
        header = list(rows[0]) if rows else []
        print_table(header, [list(row.values()) for row in rows], empty="none")
    click.echo("\nTIMELINE")
    for row in found["timeline"]:  # type: ignore[attr-defined]
        words = " ".join(f"{name}={value}" for name, value in row["detail"].items())
        click.echo(f"{row['at']:%Y-%m-%d %H:%M:%S}Z  {row['event']:24} {row['actor']:24} {words}".rstrip())


@study.command()
@_CHANGED
@click.pass_obj
def requeue(surroundings: Surroundings, key: str) -> None:
    """Try again: failed deliveries are queued anew, a study that ended otherwise is read anew."""
    _change(surroundings, key, lambda tx, found: worklist.requeue(tx, found, clock(tx), actor=person()))


@study.command()
@_CHANGED
@click.pass_obj
def confirm(surroundings: Surroundings, key: str) -> None:
    """Say that the film may be read where the gate could not tell, such as an absent body part."""

    def change(tx: Session, found: Study) -> str:
        worklist.confirm(tx, found, clock(tx), actor=person())
        return "confirmed; it will be read"

    _change(surroundings, key, change)


@study.command()
@_CHANGED
@click.pass_obj
def release(surroundings: Surroundings, key: str) -> None:
    """Use the newest bytes under each SOP Instance UID, and end a hold because of the patient or the study.

    Send the corrected study first. Its images must then agree on one patient; those without a Patient ID are set aside.
    """
    _change(surroundings, key, lambda tx, found: worklist.release_study(tx, found, clock(tx), actor=person()))


@study.command()
@_CHANGED
@click.option("--reason", required=True, help="A sentence for the books; no patient data.")
@click.pass_obj
def exclude(surroundings: Surroundings, key: str, reason: str) -> None:
    """Take a study that waits or is held out of the worklist."""

    def change(tx: Session, found: Study) -> str:
        worklist.set_aside(tx, found, explanation=reason, now=clock(tx), actor=person())
        return "excluded"

    _change(surroundings, key, change)


def _change(surroundings: Surroundings, key: str, change: Callable[[Session, Study], str]) -> None:
    """Change one study and say which it was: a wrong key must not pass unseen."""
    with open_database(config_of(surroundings)) as database, database.write() as tx:
        found = worklist.find_study_to_change(tx, key)
        done = change(tx, found)
        number, uid, accession = found.id, found.study_instance_uid, found.accession_number or "none"
    click.echo(f"study #{number} (accession number {accession}, Study Instance UID {uid}): {done}")


def _standing(revision: Revision, workitem: Workitem | None) -> str:
    """In a few words: what is happening with it."""
    if revision.book is not Book.IN_FLIGHT:
        return f"{revision.reason}" if revision.reason else "done"
    hold = revision.study.hold_reason or (workitem.hold_reason if workitem else "")
    if hold:
        return f"held: {hold}"
    if workitem is None:
        return "receiving"
    return {
        "SCHEDULED": "waiting to be read" if not workitem.last_error else "waiting for another attempt",
        "IN PROGRESS": "being read",
        "COMPLETED": "drafted, on its way",
    }.get(workitem.state.value, workitem.state.value)


def _summary(revision: Revision, workitem: Workitem | None) -> dict[str, object]:
    found = revision.study
    return {
        "study": found.id,
        "study_instance_uid": found.study_instance_uid,
        "accession_number": found.accession_number,
        "state": found.state,
        "revision": found.revision,
        "book": revision.book,
        "reason": revision.reason,
        "explanation": revision.explanation,
        "where": _standing(revision, workitem),
        "first_received_at": found.first_received_at,
    }


def _detail(tx: Session, found: Study) -> dict[str, object]:
    revision = worklist.current_revision(tx, found)
    workitem = tx.scalar(select(Workitem).where(Workitem.revision_id == revision.id))
    instances = tx.scalars(select(Instance).where(Instance.study_id == found.id).order_by(Instance.id)).all()
    deliveries = tx.scalars(
        select(Delivery).join(Revision).where(Revision.study_id == found.id).order_by(Delivery.id)
    ).all()
    rows = tx.scalars(select(AuditRow).where(AuditRow.study_id == found.id).order_by(AuditRow.id)).all()
    summary = _summary(revision, workitem)
    summary["last_error"] = workitem.last_error if workitem else ""
    summary["to_do"] = what_to_do(found.hold_reason) if found.hold_reason else ""
    summary["instances"] = [_instance(instance) for instance in instances]
    summary["reports"] = [_report(report) for report in drafts.of_study(tx, found.id)]
    summary["deliveries"] = [_delivery(delivery) for delivery in deliveries]
    summary["timeline"] = [_event(row) for row in rows]
    return summary


def _instance(instance: Instance) -> dict[str, object]:
    return {
        "revision": instance.revision,
        "role": f"{instance.role} (conflict)" if instance.conflict else instance.role,
        "from": instance.calling_ae_title,
        "received_at": instance.received_at,
        "size": instance.size,
        "sop_instance_uid": instance.sop_instance_uid,
    }


def _report(report: Report) -> dict[str, object]:
    return {
        "state": report.state,
        "drafted_at": report.drafted_at,
        "reader": report.reader,
        "generation": report.generation,
        "sop_instance_uid": report.sop_instance_uid,
    }


def _delivery(delivery: Delivery) -> dict[str, object]:
    return {
        "destination": delivery.destination,
        "kind": delivery.kind,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "proven_by": delivery.proven_by,
        "committed_at": delivery.committed_at,
        "last_error": delivery.last_error,
    }


def _event(row: AuditRow) -> dict[str, datetime | str | dict[str, object]]:
    return {"at": row.at, "event": row.event, "actor": row.actor, "detail": json.loads(row.detail)}
