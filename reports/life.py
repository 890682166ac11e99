"""The life of a report as one table: what can happen, what it changes, and what goes out for it.

deploy/docs/life.md shows the table as a picture; a test holds the two against each other. Every change is one
transaction: the state of the report, the deliveries that are still queued, the books, the audit row. What destinations
have already is taken back afterwards, by `reports.recalls`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from types import MappingProxyType
from typing import Final

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.kinds import TAKES_BACK, Stage
from dicom_node.tables import AuditRow, Book, Delivery, DeliveryState, Instance, Revision, Study
from dicom_node.worklist import Ending, Swept, stands_beside
from dicom_node.worklist.holds import PATIENT_CHANGED, hold_study
from dicom_node.worklist.moves import (
    call_back,
    close,
    deliveries_of,
    locked,
    move_delivery,
    settle,
    where_it_is,
)
from dicom_node.worklist.sweeps import alone
from reports import drafts
from reports.messages.identity import PatientId
from reports.signoff import endings
from reports.signoff.tables import SILENCE, WorkingCopy
from reports.tables import ENDED, Event, Report, ReportState, Sighting


@dataclass(frozen=True, slots=True)
class Rule:
    """What follows from an event.

    starts: the states in which it changes something; in any other one it is no more than a row in the audit trail.
    goes_out: what a destination gets that has, or may have, the documents. words: what that says, for people.
    """

    starts: frozenset[ReportState]
    to: ReportState
    goes_out: Stage
    words: str


_NO_ISSUER: Final = ""
_ANY_ISSUER: Final = "\n"  # no issuer has a line end in its name
_CANCELED: Final = frozenset({Event.CANCELED, Event.CANCELED_FOR_SAFETY})
_OPEN = frozenset({ReportState.DRAFT, ReportState.AWAITING_SECOND})
_DRAFT = frozenset({ReportState.DRAFT})
_ALSO_SIGNED = frozenset({*_OPEN, ReportState.VERIFIED})

RULES: Final = MappingProxyType(
    {
        Event.DRAFTED: Rule(frozenset(), ReportState.DRAFT, Stage.DRAFT, ""),
        # What people sign: `reports.signoff` moves these, `end` never does.
        Event.ATTESTED: Rule(_DRAFT, ReportState.AWAITING_SECOND, Stage.DRAFT, ""),
        Event.SENT_BACK: Rule(frozenset({ReportState.AWAITING_SECOND}), ReportState.DRAFT, Stage.DRAFT, ""),
        Event.SIGNED: Rule(_OPEN, ReportState.VERIFIED, Stage.SIGNED, ""),
        Event.SUPERSEDED: Rule(
            _OPEN,
            ReportState.SUPERSEDED,
            Stage.REJECTION,
            "A newer AI draft that has read the images which came later replaces this one.",
        ),
        Event.EXPIRED: Rule(
            _DRAFT, ReportState.EXPIRED, Stage.REJECTION, "Nobody has signed this AI draft in time; it has expired."
        ),
        Event.FINAL_ELSEWHERE: Rule(
            _OPEN, ReportState.WITHDRAWN, Stage.REJECTION, "A signed report of this study was made elsewhere."
        ),
        Event.SIGNED_ALREADY: Rule(
            _OPEN, ReportState.WITHDRAWN, Stage.REJECTION, "The study has a signed report already."
        ),
        Event.WITHDRAWN: Rule(_ALSO_SIGNED, ReportState.WITHDRAWN, Stage.REJECTION, "A person has withdrawn this."),
        Event.WITHDRAWN_FOR_SAFETY: Rule(
            _ALSO_SIGNED,
            ReportState.WITHDRAWN,
            Stage.WITHDRAWAL,
            "A person has withdrawn this for the patient's safety.",
        ),
        Event.CANCELED: Rule(
            _OPEN,
            ReportState.WITHDRAWN,
            Stage.REJECTION,
            "The image that was read was rejected or deleted in the PACS.",
        ),
        Event.CANCELED_FOR_SAFETY: Rule(
            _OPEN,
            ReportState.WITHDRAWN,
            Stage.WITHDRAWAL,
            "The image that was read was rejected in the PACS for the patient's safety.",
        ),
        Event.PATIENT_CHANGED: Rule(
            _OPEN,
            ReportState.WITHDRAWN,
            Stage.WITHDRAWAL,
            "The patient was merged or changed after this AI draft was written.",
        ),
        Event.REJECTED: Rule(_DRAFT, ReportState.REJECTED, Stage.REJECTION, "A person has rejected this AI draft."),
        Event.REJECTED_FOR_SAFETY: Rule(
            _DRAFT,
            ReportState.REJECTED,
            Stage.WITHDRAWAL,
            "A person has rejected this AI draft for the patient's safety.",
        ),
    }
)


def record(tx: Session, report: Report, why: Event | None, now: datetime, *, actor: str) -> None:
    """Add a draft in the transaction that queues its deliveries; those of older revisions are superseded,
    unless it is of late images only.

    Its document must be durable already. why: what `silence` has said in the same transaction; where nothing may leave,
    the draft has ended before it began, and where that is because its patient was merged away, the study is held too.
    """
    study_id = tx.get_one(Revision, report.revision_id).study_id
    beside = stands_beside(tx, report.revision_id)
    for older in () if beside else drafts.of_study(tx, study_id, lock=True):
        end(tx, older, Event.SUPERSEDED, now, actor=actor)
    drafts.add(tx, report, now)
    tx.flush()
    if why is not None:
        end(tx, report, why, now, actor=actor)
    if why is Event.PATIENT_CHANGED:
        _hold(tx, tx.get_one(Revision, report.revision_id), now, actor=actor)


def _hold(tx: Session, revision: Revision, now: datetime, *, actor: str) -> None:
    """Whose study it is, a person must say: as where the merge comes later, and nobody would look at it otherwise."""
    hold_study(tx, tx.get_one(Study, revision.study_id), PATIENT_CHANGED, now, actor=actor)
    close(tx, revision, Ending(Book.DEAD_LETTERED, PATIENT_CHANGED, where_it_is(tx, revision)), now, actor=actor)


def silence(tx: Session, study_id: int, *, films: Collection[str] = ()) -> Event | None:
    """Why no draft of a study may leave any more; None where it may. films: digests of the instances that were read.

    Asked in the transaction that queues a draft, with the study locked by `lock`: no final report can come between.
    """
    seen = seen_of(tx, tx.get_one(Study, study_id))
    return why_silent(tx, study_id, seen, films, signed=drafts.signed_one(tx, study_id) is not None)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a study elsewhere. final: a signed report. about: objects of it, such as rejected images.

    rejected: SOP Instance UIDs of the images that a PACS has rejected or deleted. merged: its Patient ID was merged
    into another one, and no person has released the study since.
    """

    final: bool
    about: frozenset[str]
    rejected: frozenset[str]
    merged: bool


def seen_of(tx: Session, study: Study) -> Seen:
    """One question, and a second one where its patient was merged."""
    names, merged = _names_of(study), merged_digest(study.patient_id)
    asked = {"study": study.id, "names": [*names, merged]}
    rows = [(row.study_id is not None, row.event, row.about, row.at) for row in tx.execute(_sightings(), asked)]
    heard = [at for own, event, about, at in rows if not own and about == merged and event == Event.PATIENT_CHANGED]
    return Seen(
        # a report that came before its study had no study to be booked under
        final=any(event == Event.FINAL_ELSEWHERE and (own or about in names) for own, event, about, _ in rows),
        about=frozenset(about for own, _, about, _ in rows if own) - {""},
        rejected=frozenset(about for own, event, about, _ in rows if own and event in _CANCELED) - {""},
        merged=bool(heard) and not _was_released(tx, study, max(heard)),
    )


def why_silent(tx: Session, study_id: int, seen: Seen, films: Collection[str], *, signed: bool) -> Event | None:
    """As `silence`, where it is known already what was seen and whether a report of the study is signed."""
    if seen.final:
        return Event.FINAL_ELSEWHERE
    if seen.about:
        rejected = select(Sighting.event).join(Instance, Instance.sop_instance_uid == Sighting.about)
        gone = tx.scalar(rejected.where(Sighting.study_id == study_id, Instance.digest.in_(films)).limit(1))
        if gone is not None:
            return Event(gone)
    if seen.merged:
        return Event.PATIENT_CHANGED
    return Event.SIGNED_ALREADY if signed else None


@cache
def _sightings() -> Select[int | None, str, str, datetime]:
    """Those of a study, and those that came before any study and name this one or its patient."""
    early = Sighting.study_id.is_(None) & Sighting.about.in_(bindparam("names", expanding=True))
    chosen = select(Sighting.study_id, Sighting.event, Sighting.about, Sighting.at)
    return chosen.where((Sighting.study_id == bindparam("study")) | early)


def _was_released(tx: Session, study: Study, heard: datetime) -> bool:
    """Has a person said since then whose study it is?"""
    released = select(AuditRow.id).where(
        AuditRow.study_id == study.id, AuditRow.event == "study-released", AuditRow.at >= heard
    )
    return tx.scalar(released.limit(1)) is not None


def merged_digest(patient_id: str) -> str:
    """64 hexadecimal digits for a Patient ID that was merged away, whoever issued it."""
    return key_of("merged", patient_id)


def _names_of(study: Study) -> frozenset[str]:
    """By what a report from elsewhere may name a study and its patient; a study without an issuer agrees with any."""
    names = (("study", study.study_instance_uid), ("accession", study.accession_number))
    issuers = (study.issuer_of_patient_id, _NO_ISSUER) if study.issuer_of_patient_id else (_ANY_ISSUER,)
    return frozenset(
        key_of(kind, value, study.patient_id, issuer) for kind, value in names if value for issuer in issuers
    )


def early_digests(kind: str, value: str, patient: PatientId) -> frozenset[str]:
    """64 hexadecimal digits for each way in which a study that comes later may agree. kind: study or accession.

    Digests, so that they may stand in a table of their own.
    """
    issuers = ({patient.issuer, patient.universal} - {""} or {_NO_ISSUER}) | {_ANY_ISSUER}
    return frozenset(key_of(kind, value, patient.value, issuer) for issuer in issuers)


def early_digests_by_system(
    kind: str, value: str, patient_id: str, system: str, configured: Mapping[str, str]
) -> frozenset[str]:
    """As `early_digests`, for an identifier that names a system instead of an issuer, by the table of the site."""
    if not system:
        issuers = {_NO_ISSUER, _ANY_ISSUER}
    elif system in configured.values():
        issuers = {issuer or _ANY_ISSUER for issuer, named in configured.items() if named == system}
    else:  # nobody's that is known here: at most that of images which name no issuer
        issuers = set() if "" in configured else {_ANY_ISSUER}
    return frozenset(key_of(kind, value, patient_id, issuer) for issuer in issuers)


def key_of(*parts: str) -> str:
    """64 hexadecimal digits for one thing that was seen: the same thing has the same."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def lock(tx: Session, study_id: int) -> Study:
    """Keep a study from changing until this transaction ends; before any other row, as everybody does."""
    chosen = select(Study).where(Study.id == study_id).with_for_update(of=Study, key_share=True)
    return tx.scalars(chosen, execution_options={"populate_existing": True}).one()


def end(tx: Session, report: Report, event: Event, now: datetime, *, actor: str, explanation: str = "") -> bool:
    """Apply the rule of an event to a report; False where that has ended already or the event does not concern it.

    explanation: a sentence of a person, without a patient's data; it goes into what is sent.
    """
    rule = RULES[event]
    if report.state not in rule.starts:
        return False
    if report.state is ReportState.AWAITING_SECOND:  # the first signature lapses
        drafts.move(report, ReportState.DRAFT, event, now)
        endings.lapse(tx, report.id, now)
    drafts.move(report, rule.to, event, now)
    report.explanation, report.taken_back_at = explanation, None
    held = _locked_deliveries(tx, report.revision_id)  # before the revision, as senders do
    revision = tx.scalars(locked(Revision).where(Revision.id == report.revision_id)).one()
    audit.append(
        tx,
        f"report-{rule.to.value.lower().replace(' ', '-')}",
        at=now,
        actor=actor,
        study_id=revision.study_id,
        revision=revision.number,
        reason=event.value,
    )
    _stop(tx, revision, held, Ending(Book.CLOSED, event.value, explanation or rule.words), now, actor=actor)
    return True


def end_all(
    tx: Session, study_id: int, event: Event, now: datetime, *, actor: str, explanation: str = ""
) -> Sequence[Report]:
    """Apply an event to every report of a study; returns those that it changed."""
    everyone = drafts.of_study(tx, study_id, lock=True)
    return [one for one in everyone if end(tx, one, event, now, actor=actor, explanation=explanation)]


def expire(tx: Session, now: datetime, *, after: timedelta) -> Swept:
    """End the drafts that nobody has signed, edited or held open for so long."""
    # the last change: what was sent back from its second signature is not as old as its draft
    due = (
        select(Report)
        .outerjoin(WorkingCopy, WorkingCopy.report_id == Report.id)
        .where(
            Report.state == ReportState.DRAFT,
            Report.changed_at <= now - after,
            WorkingCopy.edited_at.is_(None) | (WorkingCopy.edited_at <= now - after),
            WorkingCopy.holder_id.is_(None) | WorkingCopy.heard_at.is_(None) | (WorkingCopy.heard_at <= now - SILENCE),
        )
    )
    swept = Swept()
    for report in tx.scalars(due.order_by(Report.id).limit(100).with_for_update(of=Report, skip_locked=True)).all():
        if tx.scalar(due.where(Report.id == report.id)) is None:  # somebody has saved it while it was being locked
            continue
        study_id = tx.get_one(Revision, report.revision_id).study_id
        swept += alone(tx, study_id, partial(_expire, tx, report, now))
    return swept


def _expire(tx: Session, report: Report, now: datetime) -> None:
    end(tx, report, Event.EXPIRED, now, actor="dispatch")


def _stop(
    tx: Session, revision: Revision, deliveries: Sequence[Delivery], ending: Ending, now: datetime, *, actor: str
) -> None:
    """Call off what is queued or a dead letter, and close the book of what was delivered.

    A dead letter is called off as well: a person who requeues it later must not send what was withdrawn.
    """
    dead = [one for one in deliveries if one.state is DeliveryState.FAILED]
    for delivery in dead:
        if delivery.stage not in TAKES_BACK:
            move_delivery(delivery, DeliveryState.QUEUED)
            delivery.reason = ""
    if dead:
        settle(tx, revision, now, actor=actor)
    call_back(tx, revision, ending, now, actor=actor)
    tx.flush()
    tx.refresh(revision)
    if revision.book is Book.DELIVERED or (revision.book is Book.DEAD_LETTERED and not deliveries_of(tx, revision)):
        close(tx, revision, ending, now, actor=actor)


def _locked_deliveries(tx: Session, revision_id: int) -> Sequence[Delivery]:
    return tx.scalars(locked(Delivery).where(Delivery.revision_id == revision_id).order_by(Delivery.id)).all()


def has_ended(report: Report) -> bool:
    """Can nothing more happen to it?"""
    return report.state in ENDED
