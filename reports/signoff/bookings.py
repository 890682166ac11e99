"""What one transaction of a signature books: state, signature, deliveries, decision and audit row, all or nothing."""

from __future__ import annotations

import json
from datetime import datetime
from types import MappingProxyType
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node import audit, worklist
from dicom_node.kinds import Stage
from dicom_node.tables import Book, Delivery, Instance, Revision
from dicom_node.worklist import Ending
from dicom_node.worklist.moves import close, locked, settle
from reports import drafts, glance, shelf
from reports.signoff.documents import Film, Written
from reports.signoff.edits import Edit
from reports.signoff.person import Person
from reports.signoff.scene import Scene
from reports.signoff.tables import Decision, SignedDocument, SignedKind, WorkingCopy
from reports.tables import Event, Report, ReportState

NOT_SENT: Final = "signed-not-sent"  # in the books: nobody gets what was signed
_EVENTS: Final = MappingProxyType({ReportState.AWAITING_SECOND: Event.ATTESTED, ReportState.VERIFIED: Event.SIGNED})


def enter(tx: Session, scene: Scene, person: Person, written: Written, at: datetime, now: datetime) -> ReportState:
    """Book a signature and queue its documents; returns where the report stands then.

    at: of the signature. now: as the database sees it.
    """
    report = tx.get_one(Report, scene.report_id)
    state = ReportState.AWAITING_SECOND if written.kind is SignedKind.ATTESTED else ReportState.VERIFIED
    if report.state is not state:
        drafts.move(report, state, _EVENTS[state], now)
    _add_row(tx, scene, person, written, at)
    glance.say_anew(tx, report.id, written.findings)
    if written.kind is SignedKind.ADDENDUM:
        _say_anew(tx, report.id, written)
    if written.kind is not SignedKind.ATTESTED:
        _send(tx, scene, written, now, actor=person.actor)
    detail = {"kind": written.kind.value, "number": scene.next_number, "document": written.sop_instance_uid}
    event = {SignedKind.ATTESTED: "report-attested", SignedKind.ADDENDUM: "report-addendum"}
    audit.append(
        tx, event.get(written.kind, "report-signed"), at=now, actor=person.actor, study_id=scene.study_id, **detail
    )
    shelf.tell_of(tx, scene.study_id, written.left_out, now, actor=person.actor)
    return state


def hold_drafts(tx: Session, revision_id: int) -> None:
    """No sender takes a draft of this revision until the transaction ends: what was seen of them stays true."""
    drafts_of_it = locked(Delivery).where(Delivery.revision_id == revision_id, Delivery.stage == Stage.DRAFT)
    tx.scalars(drafts_of_it.order_by(Delivery.id)).all()


def decide(
    tx: Session, scene: Scene, person: Person, edit: Edit, film: Film, now: datetime, *, reason: str = ""
) -> None:
    """Enter what a person made of the draft."""
    report = tx.get_one(Report, scene.report_id)
    copy = tx.get(WorkingCopy, scene.report_id)
    received = select(Instance.received_at).where(
        Instance.study_id == scene.study_id, Instance.digest == report.film_digest
    )
    tx.add(
        Decision(
            report_id=scene.report_id,
            study_id=scene.study_id,
            verdict=edit.verdict,
            reason=reason,
            words_drafted=edit.words_drafted,
            words_signed=edit.words_signed,
            words_changed=edit.words_changed,
            drafted=json.dumps(dict(edit.drafted), sort_keys=True),
            signed=json.dumps(dict(edit.signed), sort_keys=True),
            received_at=tx.scalar(received.limit(1)),
            drafted_at=report.drafted_at,
            opened_at=copy.first_opened_at if copy is not None else None,
            decided_at=now,
            reader=report.reader,
            reader_digest=report.reader_digest,
            device=film.device,
            station=film.station,
            institution=film.institution,
            user_id=person.user_id,
        )
    )


def _say_anew(tx: Session, report_id: int, written: Written) -> None:
    """What the report says once it was added to is what the draft is held against; the verdict was the signature's."""
    decision = tx.scalar(select(Decision).where(Decision.report_id == report_id))
    if decision is not None:
        said = {finding.label: finding.state.value for finding in written.findings}
        decision.signed = json.dumps(said, sort_keys=True)


def _add_row(tx: Session, scene: Scene, person: Person, written: Written, at: datetime) -> None:
    before = scene.last or scene.first
    tx.add(
        SignedDocument(
            study_id=scene.study_id,
            report_id=scene.report_id,
            number=scene.next_number,
            kind=written.kind,
            digest=written.digest,
            sop_instance_uid=written.sop_instance_uid,
            user_id=person.user_id,
            login=person.login[:64],
            name=person.name,
            organization=person.organization,
            identifier=person.identifier,
            scheme=person.scheme,
            may_verify=person.may_verify,
            at=at,
            predecessor_id=before.id if before is not None else None,
        )
    )


def _send(tx: Session, scene: Scene, written: Written, now: datetime, *, actor: str) -> None:
    """Queue it in place of drafts that had not left; in flight until every destination has proven it."""
    revision = tx.get_one(Revision, scene.revision_id)  # locked last, as senders do
    worklist.drop_unsent_drafts(tx, revision)
    was_in_flight = revision.book is Book.IN_FLIGHT
    new = worklist.enqueue(tx, revision, written.outgoing, now, actor=actor)
    if was_in_flight or not new:  # else it has settled the book already
        settle(tx, revision, now, actor=actor)
    if not written.outgoing and revision.book is Book.AWAITING_SIGNOFF:
        words = "it was signed here, and no destination gets signed reports"
        close(tx, revision, Ending(Book.CLOSED, NOT_SENT, words), now, actor=actor)
    _stop_others(tx, revision, now, actor=actor)


def _stop_others(tx: Session, signed: Revision, now: datetime, *, actor: str) -> None:
    """No draft leaves after a final report, also none of late images beside it."""
    others = select(Revision).join(Report, Report.revision_id == Revision.id)
    chosen = others.where(Revision.study_id == signed.study_id, Revision.id != signed.id, Report.state.in_(drafts.OPEN))
    for revision in tx.scalars(chosen.order_by(Revision.id)).all():
        worklist.drop_unsent_drafts(tx, revision)
        settle(tx, revision, now, actor=actor)
