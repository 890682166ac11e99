"""`wetread study`: where a study is, and what a person may do about it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from datetime import datetime
from io import BytesIO
from pathlib import Path
from textwrap import shorten

import click
from pydicom import dcmread
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.cli import Surroundings
from agent.commands.session import ago, as_json, config_of, open_database, person, print_json, print_table
from agent.config import Config
from agent.routing import backlog_hours
from dicom_node import books, worklist
from dicom_node.database import clock
from dicom_node.errors import ConfigurationError, NotFound
from dicom_node.files import read_document
from dicom_node.hours import Hours
from dicom_node.owner import in_words
from dicom_node.rules.decision import PRIORITIES
from dicom_node.rules.tables import Routing
from dicom_node.tables import AuditRow, Book, Delivery, DeliveryState, Instance, Revision, Study, Workitem
from dicom_node.worklist.holds import what_to_do
from dicom_node.worklist.moves import EXCLUDED_BY_PERSON
from reports import drafts
from reports.tables import Report

_SHORT = 72  # characters of a reason in a list
_HEAD = (
    "study",
    "study_instance_uid",
    "accession_number",
    "state",
    "completed_by",
    "revision",
    "routed_by",
    "book",
    "where",
    "what_happens",
)
_REPLACED = "This is the AI draft, which a signed report has replaced. The signed text:"
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
    from reports.web.standing import standing
    from reports.web.worklist import facts_of

    config = config_of(surroundings)
    with open_database(config) as database, database.read() as tx:
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
        facts = facts_of(tx, [revision for revision, _ in rows], hours=backlog_hours(config))
    if as_json:
        print_json([_summary(revision, workitem) for revision, workitem in rows])
        return
    reasons = {one.revision.id: shorten(standing(one, now).sentence, _SHORT, placeholder=" ...") for one in facts}
    table = [
        (
            revision.study.id,
            revision.study.accession_number or "-",
            f"{revision.study.revision}",
            revision.book,
            _standing(revision, workitem),
            ago(revision.study.first_received_at, now),
            reasons[revision.id],
            revision.study.study_instance_uid,
        )
        for revision, workitem in rows
    ]
    header = ("STUDY", "ACCESSION", "REV", "BOOK", "WHERE", "AGE", "WHY", "STUDY INSTANCE UID")
    print_table(header, table, empty=_nothing(book, held=held, conflicts=conflicts))


@study.command()
@_KEY
@click.option("--text", "as_text", is_flag=True, help="Print the newest draft instead. Shows the patient's name.")
@click.option(
    "--export", type=click.Path(path_type=Path, dir_okay=False), help="Write the newest draft into this new DICOM file."
)
@as_json
@click.pass_obj
def show(surroundings: Surroundings, key: str, as_text: bool, export: Path | None, as_json: bool) -> None:
    """One study: what happens with it, its images, its reading, its deliveries, and everything that happened to it."""
    config = config_of(surroundings)
    if as_text or export is not None:
        _give_draft(config, key, as_text=as_text, export=export)
        return
    with open_database(config) as database, database.read() as tx:
        found = _detail(tx, worklist.find_study(tx, key), backlog_hours(config))
    if as_json:
        print_json(found)
        return
    _print_head(found)
    for title in ("instances", "reports", "deliveries"):
        rows = found[title]
        assert isinstance(rows, list)
        click.echo(f"\n{title.upper()}")
        header = list(rows[0]) if rows else []
        print_table(header, [list(row.values()) for row in rows], empty="none")
    for sentence in found["older_drafts"]:  # type: ignore[attr-defined]
        click.echo(sentence)
    click.echo("\nTIMELINE")
    for row in found["timeline"]:  # type: ignore[attr-defined]
        words = " ".join(f"{name}={value}" for name, value in row["detail"].items() if value != "")
        click.echo(f"{row['at']:%Y-%m-%d %H:%M:%S}Z  {row['event']:24} {in_words(row['actor']):24} {words}".rstrip())


def _print_head(found: Mapping[str, object]) -> None:
    for name in _HEAD:
        click.echo(f"{name.replace('_', ' '):20} {found[name]}")
    commands = found["commands"]
    assert isinstance(commands, list)
    for number, command in enumerate(commands):
        click.echo(f"{'' if number else 'to do':20} {command}")


def _give_draft(config: Config, key: str, *, as_text: bool, export: Path | None) -> None:
    """Print the newest draft, write it, or both. Raises NotFound, ConfigurationError."""
    from reports.signoff.chain import chain_of

    with open_database(config) as database, database.read() as tx:
        found = worklist.find_study(tx, key)
        report = next(iter(drafts.of_study(tx, found.id)), None)
        signed = f"{_REPLACED} wetread report show '#{found.id}'" if report and chain_of(tx, report) else ""
    if report is None:
        raise NotFound(f"no draft of this study has been written; why: wetread study show {shlex.quote(key)}")
    from reports.render import as_text as rendered  # needs highdicom, which takes long to load
    from reports.render import state_line

    stands = "\n".join(filter(None, (signed, state_line(report))))
    payload = read_document(config.node.store_folder, report.digest)
    if export is not None:
        try:
            with export.open("xb") as target:
                target.write(payload)
        except FileExistsError as error:
            raise ConfigurationError(f"{export} exists; choose another name") from error
        click.echo(f"{export}: the draft ({report.state}), not verified by a person", err=as_text)
        click.echo(stands, err=True)
    if as_text:
        click.echo(f"{stands}\n{rendered(dcmread(BytesIO(payload)))}", nl=False)


@study.command()
@_CHANGED
@click.pass_obj
def requeue(surroundings: Surroundings, key: str) -> None:
    """Try again: failed deliveries are queued anew, a study that ended otherwise is read anew."""
    _change(surroundings, key, lambda tx, found: worklist.requeue(tx, found, clock(tx), actor=person()))


@study.command()
@_CHANGED
@click.option("--overrule", metavar="CODE", help="Of an excluded study: the reason that is to count no longer.")
@click.pass_obj
def confirm(surroundings: Surroundings, key: str, overrule: str | None) -> None:
    """Say that the film may be read where the gate could not tell, such as an absent body part.

    With --overrule an excluded study is read anew as if that reason were none; every other reason still is one.
    """

    def change(tx: Session, found: Study) -> str:
        if overrule is not None:
            return worklist.overrule(tx, found, overrule, clock(tx), actor=person())
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


@study.command("complete")
@_CHANGED
@click.pass_obj
def complete_study(surroundings: Surroundings, key: str) -> None:
    """Wait for no more images of a study that is still receiving."""
    _change(surroundings, key, lambda tx, found: worklist.complete_now(tx, found, clock(tx), actor=person()))


@study.command()
@_CHANGED
@click.option("--no-rules", is_flag=True, help="Read it whatever the rules say; overrules an exclusion by rule.")
@click.pass_obj
def reprocess(surroundings: Surroundings, key: str, no_rules: bool) -> None:
    """Read a complete study again, as its next revision; its draft replaces the older one."""

    def change(tx: Session, found: Study) -> str:
        return worklist.reprocess(tx, found, clock(tx), actor=person(), no_rules=no_rules)

    _change(surroundings, key, change)


def _change(surroundings: Surroundings, key: str, change: Callable[[Session, Study], str]) -> None:
    """Change one study and say which it was: a wrong key must not pass unseen."""
    with open_database(config_of(surroundings)) as database, database.write() as tx:
        found = worklist.find_study_to_change(tx, key)
        done = change(tx, found)
        number, uid, accession = found.id, found.study_instance_uid, found.accession_number or "none"
    click.echo(f"study #{number} (accession number {accession}, Study Instance UID {uid}): {done}")


def _nothing(book: str | None, *, held: bool, conflicts: bool) -> str:
    if book or held or conflicts:
        return "no study among those that you asked for"
    return "no study; does the PACS route to this AE title? wetread check tells"


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


def _detail(tx: Session, found: Study, hours: Hours | None) -> dict[str, object]:
    from reports.web.older import older_drafts
    from reports.web.standing import standing
    from reports.web.worklist import facts_of

    revision = worklist.current_revision(tx, found)
    now = clock(tx)
    stands = standing(facts_of(tx, [revision], now, hours)[0], now)
    workitem = tx.scalar(select(Workitem).where(Workitem.revision_id == revision.id))
    instances = tx.scalars(select(Instance).where(Instance.study_id == found.id).order_by(Instance.id)).all()
    deliveries = tx.scalars(
        select(Delivery).join(Revision).where(Revision.study_id == found.id).order_by(Delivery.id)
    ).all()
    rows = tx.scalars(select(AuditRow).where(AuditRow.study_id == found.id).order_by(AuditRow.id)).all()
    summary = _summary(revision, workitem)
    summary["completed_by"], summary["routed_by"] = _decision(tx, revision, workitem)
    summary["last_error"] = workitem.last_error if workitem else ""
    opened = tx.scalars(select(Revision.opened_at).where(Revision.study_id == found.id).order_by(Revision.number))
    summary["first_received_at"] = opened.first()
    summary["revision_opened_at"] = revision.opened_at
    summary["what_happens"] = stands.sentence
    decided = revision.reason == EXCLUDED_BY_PERSON
    summary["to_do"] = what_to_do(found.hold_reason) if found.hold_reason and not decided else ""
    summary["commands"] = list(stands.commands)
    summary["instances"] = [_instance(instance) for instance in instances]
    summary["reports"] = [_report(report) for report in drafts.of_study(tx, found.id)]
    summary["deliveries"] = [_delivery(delivery) for delivery in deliveries]
    summary["older_drafts"] = older_drafts(deliveries, revision=found.revision)
    summary["timeline"] = [_event(row) for row in rows]
    return summary


def _decision(tx: Session, revision: Revision, workitem: Workitem | None) -> tuple[str, str]:
    """What said that no more images were expected, and what was decided then, in words."""
    routing = tx.get(Routing, revision.id)
    if routing is None or not routing.completed_by:
        return "", ""
    if routing.decided_at is None:
        return routing.completed_by, "nobody yet"
    parts = [
        f"rule {routing.rule}, version {routing.rule_version}" if routing.rule else "no rule",
        f"priority {PRIORITIES.get(workitem.priority, workitem.priority)}" if workitem else "",
        f"reader {routing.reader}" if routing.reader else "",
        f"to {', '.join(json.loads(routing.destinations))}" if routing.destinations else "",
        "late images only" if routing.beside else "",
        *json.loads(routing.remarks),
    ]
    return routing.completed_by, "; ".join(filter(None, parts))


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
        "revision": delivery.revision.number,
        "destination": delivery.destination,
        "kind": delivery.kind,
        "stage": delivery.stage,
        "state": delivery.state,
        "attempts": None if delivery.state is DeliveryState.COMMITTED else delivery.attempts,  # of the step at hand
        "proven_by": delivery.proven_by,
        "committed_at": delivery.committed_at,
        "last_error": delivery.last_error,
    }


def _event(row: AuditRow) -> dict[str, datetime | str | dict[str, object]]:
    return {"at": row.at, "event": row.event, "actor": row.actor, "detail": json.loads(row.detail)}
