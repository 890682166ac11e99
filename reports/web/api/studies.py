"""Operations on studies: the worklist, one study, its report, its deliveries; and finding one by what others know."""

from __future__ import annotations

from datetime import datetime
from io import BytesIO
from typing import Final

from pydicom import dcmread
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import PlainTextResponse, Response

from dicom_node import worklist as changes
from dicom_node.database import clock
from dicom_node.files import read_document
from dicom_node.rules.decision import ROUTINE
from dicom_node.tables import Delivery, Revision, Study
from reports import drafts
from reports.glance import Urgency, unmarked
from reports.provenance import NOTICE
from reports.render import as_text
from reports.signoff.chain import Link, chain_of, one_of, standing_report
from reports.signoff.documents import text_of
from reports.tables import ENDED, Report, ReportState
from reports.web import worklist
from reports.web.api.answers import (
    Deliveries,
    DeliveryAnswer,
    Done,
    Lookup,
    ReportAnswer,
    ReportSummary,
    SignatureAnswer,
    StatusAnswer,
    StudyAnswer,
    StudyPage,
    WorklistQuery,
)
from reports.web.api.operations import Asked
from reports.web.api.problems import Problem
from reports.web.doors import visitor_of
from reports.web.seen import seen, seen_together
from reports.web.standing import MEANING, Facts, standing
from reports.web.wish import Priority, Wish

VERIFIED: Final = "Verified by a radiologist."
_SHADOW = "shadow"
_MOST = 3
_LARGEST = 2**31


def find_all(asked: Asked) -> StudyPage:
    """A page of the worklist."""
    query: WorklistQuery = asked.query
    told = query.model_dump(mode="json", exclude={"limit"}, exclude_none=True)
    wish = Wish.of({name: str(value) for name, value in told.items() if value})
    if query.before and not wish.before:
        raise Problem(422, "invalid", "before: take it from `next` of the page before, with the same sort")
    visitor = visitor_of(asked.request)
    with asked.site.database.read() as tx:
        now = clock(tx)
        hours = asked.site.premises.backlog_hours
        found = worklist.find(tx, wish, now, user_id=visitor.user_id, limit=query.limit, hours=hours)
    seen_together(asked.site.database, visitor, worklist.looked_at(wish, found.facts), "search")
    after = ".".join(str(number) for number in found.older) or None
    return StudyPage(items=[_study(facts, now) for facts in found.facts], next=after)


def show(asked: Asked) -> StudyAnswer:
    """One study by our number."""
    return _shown(asked, asked.number)


def look_up(asked: Asked) -> StudyAnswer:
    """One study by what others know of it."""
    with asked.site.database.read() as tx:
        number = known_as(tx, asked.query)
    return _shown(asked, number)


def status(asked: Asked) -> StatusAnswer:
    """Where one study is, by what others know of it."""
    with asked.site.database.read() as tx:
        number = known_as(tx, asked.query)
        facts = worklist.facts_of(tx, worklist.revisions(tx, [number]), hours=asked.site.premises.backlog_hours)[0]
        where, report = standing(facts, clock(tx)), facts.report
    seen(asked.site.database, visitor_of(asked.request), number, "search")
    return StatusAnswer(
        number=number,
        status=where.status,
        sentence=MEANING[where.status],
        state=report.state if report is not None else None,
        verified=report is not None and report.state is ReportState.VERIFIED,
        page=f"/study/{number}/report" if report is not None else f"/study/{number}",
    )


def known_as(tx: Session, wanted: Lookup) -> int:
    """The number of the study that others mean. Raises Problem: none, several, or of another patient."""
    conditions = [Study.accession_number == wanted.accession_number] if wanted.accession_number else []
    if wanted.study_instance_uid:
        conditions.append(Study.study_instance_uid == wanted.study_instance_uid)
    if not conditions:
        raise Problem(422, "invalid", "Give accession_number or study_instance_uid.")
    found = tx.scalars(select(Study).where(*conditions).order_by(Study.id.desc()).limit(_MOST)).all()
    if wanted.patient_id and found and all(study.patient_id != wanted.patient_id for study in found):
        raise Problem(409, "another-patient", "The study is here under another Patient ID. Do not show it.")
    fitting = [study for study in found if wanted.patient_id in {"", study.patient_id}]
    if not fitting:
        raise Problem(404, "unknown-study", "No such study has come.")
    if len(fitting) > 1:
        numbers = [study.id for study in fitting]
        raise Problem(409, "several-studies", "Several studies have it; ask by study_instance_uid.", studies=numbers)
    return fitting[0].id


def report(asked: Asked) -> ReportAnswer:
    """The report that counts, as text of its sections."""
    found, chain, digest = _report(asked)
    document = dcmread(BytesIO(read_document(asked.site.premises.store_folder, digest)))
    text, verified = text_of(document), found.state is ReportState.VERIFIED
    return ReportAnswer(
        study=asked.number,
        state=found.state,
        verified=verified,
        mark=VERIFIED if verified else NOTICE,
        sop_instance_uid=str(document.SOPInstanceUID),
        findings=text.findings,
        impression=text.impression,
        signatures=[
            SignatureAnswer(
                number=link.number, kind=link.kind, sop_instance_uid=link.sop_instance_uid, login=link.login, at=link.at
            )
            for link in chain
        ],
        drafted_at=found.drafted_at,
        reader=found.reader,
    )


def report_text(asked: Asked) -> Response:
    """The same as plain text, as it stands in the document, with its marks and the patient's name."""
    _, _, digest = _report(asked)
    document = dcmread(BytesIO(read_document(asked.site.premises.store_folder, digest)))
    return PlainTextResponse(as_text(document))


def report_dicom(asked: Asked) -> Response:
    """The document itself: a Basic Text SR whose flags say whether it is verified."""
    _, _, digest = _report(asked)
    content = read_document(asked.site.premises.store_folder, digest)
    return Response(content, media_type="application/dicom")


def deliveries(asked: Asked) -> Deliveries:
    """What went, or goes, where."""
    with asked.site.database.read() as tx:
        _must_exist(tx, asked.number)
        chosen = select(Delivery).join(Revision).where(Revision.study_id == asked.number).order_by(Delivery.id)
        return Deliveries(items=[delivery_answer(one) for one in tx.scalars(chosen)])


def requeue(asked: Asked) -> Done:
    """Send its dead letters again, or read it anew."""
    with asked.site.database.write() as tx:
        _must_exist(tx, asked.number)
        study = changes.find_study_to_change(tx, f"#{asked.number}")
        return Done(detail=changes.requeue(tx, study, clock(tx), actor=visitor_of(asked.request).actor))


def delivery_answer(row: Delivery) -> DeliveryAnswer:
    """As data."""
    return DeliveryAnswer(
        number=row.id,
        destination=row.destination,
        kind=row.kind.value,
        stage=row.stage.value,
        state=row.state.value,
        attempts=row.attempts,
        sop_instance_uid=row.sop_instance_uid,
        queued_at=row.queued_at,
        sent_at=row.sent_at,
        committed_at=row.committed_at,
        next_attempt_at=row.next_attempt_at,
        proven_by=row.proven_by,
        reason=row.reason,
        last_error=row.last_error,
    )


def _must_exist(tx: Session, number: int) -> Study:
    study = tx.get(Study, number) if number < _LARGEST else None
    if study is None:
        raise Problem(404, "unknown-study", "There is no study with this number.")
    return study


def _shown(asked: Asked, number: int) -> StudyAnswer:
    with asked.site.database.read() as tx:
        _must_exist(tx, number)
        now = clock(tx)
        facts = worklist.facts_of(tx, worklist.revisions(tx, [number]), now, asked.site.premises.backlog_hours)[0]
        answer = _study(facts, now)
    seen(asked.site.database, visitor_of(asked.request), number, "study")
    return answer


def _report(asked: Asked) -> tuple[Report, tuple[Link, ...], str]:
    """The report, what was signed of it, and the digest of what is valid now. Raises Problem."""
    with asked.site.database.read() as tx:
        _must_exist(tx, asked.number)
        found = standing_report(tx, asked.number)
        if found is None or tx.get_one(Revision, found.revision_id).reason == _SHADOW:
            raise Problem(404, "no-report", "Nothing has been drafted that may be shown.")
        if found.state in ENDED:
            words = f"The report is {found.state.value.lower()} and not valid any more."
            raise Problem(410, "not-valid", words, state=found.state.value)
        chain = chain_of(tx, found)
    seen(asked.site.database, visitor_of(asked.request), asked.number, "report")
    return found, chain, one_of(found, chain, None)


def _study(facts: Facts, now: datetime) -> StudyAnswer:
    study, where = facts.revision.study, standing(facts, now)
    since = facts.report.drafted_at if facts.report is not None else facts.revision.opened_at
    rank = facts.workitem.priority if facts.workitem is not None else ROUTINE
    return StudyAnswer(
        number=study.id,
        study_instance_uid=study.study_instance_uid,
        accession_number=study.accession_number,
        patient_id=study.patient_id,
        issuer_of_patient_id=study.issuer_of_patient_id,
        revision=facts.revision.number,
        status=where.status,
        sentence=where.sentence,
        reason=study.hold_reason or facts.revision.reason,
        priority=Priority.STAT if rank < ROUTINE else Priority.BACKLOG if rank > ROUTINE else Priority.ROUTINE,
        opened_at=facts.revision.opened_at,
        age_seconds=max(0, int((now - since).total_seconds())),
        images=facts.images,
        sender=facts.sender,
        opened_by=facts.holder.login if facts.holder is not None else "",
        handed_to=_handed_to(facts),
        report=_summary(facts),
        page=f"/study/{study.id}",
    )


def _handed_to(facts: Facts) -> str:
    """Login of whom the draft waits for; nobody is waited for once it cannot be signed any more."""
    is_open = facts.report is not None and facts.report.state in drafts.OPEN
    return facts.offer.login if facts.offer is not None and is_open else ""


def _summary(facts: Facts) -> ReportSummary | None:
    found, glance = facts.report, facts.glance
    if found is None:
        return None
    return ReportSummary(
        state=found.state,
        drafted_at=found.drafted_at,
        changed_at=found.changed_at,
        reader=found.reader,
        present=list(unmarked(glance.present)) if glance is not None else [],
        uncertain=list(unmarked(glance.uncertain)) if glance is not None else [],
        critical=glance is not None and glance.urgency <= int(Urgency.DOUBTFUL),
    )
