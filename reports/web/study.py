"""What the page of one study asks: its revisions, objects, deliveries and the newest draft as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import UID
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicom_node.errors import NotFound, StoreAway
from dicom_node.files import read_document
from dicom_node.hours import Hours
from dicom_node.tables import Delivery, DeliveryState, Instance, Revision, Study
from dicom_node.worklist import current_revision
from dicom_node.worklist.moves import is_signed
from reports import drafts
from reports.render import as_text
from reports.tables import Report
from reports.web.letters import why_in_vain
from reports.web.older import older_drafts
from reports.web.standing import Facts, Standing, standing
from reports.web.timeline import Happening, timeline
from reports.web.worklist import facts_of

MOST_INSTANCES = 200
_NO_SUCH = 2**31


@dataclass(frozen=True, slots=True)
class Dossier:
    """Everything about one study. signed: it has a report that goes out, so that no reading may replace it."""

    facts: Facts
    standing: Standing
    revisions: Sequence[Revision]
    instances: Sequence[Instance]  # the newest so many
    instance_count: int
    deliveries: Sequence[Delivery]
    older_drafts: Sequence[str]  # sentences
    happenings: Sequence[Happening]
    report: Report | None
    report_revision: int
    signed: bool
    in_vain: Mapping[int, str]  # number of a dead letter: why another try would fail as well


@dataclass(frozen=True, slots=True)
class Draft:
    """The newest draft as text, or the sentence that says why it is not shown."""

    text: str
    absence: str = ""


def dossier(tx: Session, study_id: int, now: datetime, hours: Hours | None = None) -> Dossier | None:
    """The study with this number, or None. hours: of backlog."""
    study = tx.get(Study, study_id) if study_id < _NO_SUCH else None
    if study is None:
        return None
    facts = facts_of(tx, [current_revision(tx, study)], now, hours)[0]
    revisions = tx.scalars(select(Revision).where(Revision.study_id == study.id).order_by(Revision.number)).all()
    report = drafts.foremost(drafts.of_study(tx, study.id))
    numbers = {revision.id: revision.number for revision in revisions}
    of_study = Instance.study_id == study.id
    deliveries = tx.scalars(
        select(Delivery).join(Revision).where(Revision.study_id == study.id).order_by(Delivery.id)
    ).all()
    return Dossier(
        facts=facts,
        standing=standing(facts, now),
        revisions=revisions,
        instances=tx.scalars(select(Instance).where(of_study).order_by(Instance.id.desc()).limit(MOST_INSTANCES)).all(),
        instance_count=tx.scalar(select(func.count(Instance.id)).where(of_study)) or 0,
        deliveries=deliveries,
        older_drafts=older_drafts(deliveries, revision=study.revision),
        happenings=timeline(tx, study.id),
        report=report,
        report_revision=numbers[report.revision_id] if report else 0,
        signed=any(is_signed(tx, revision) for revision in revisions),
        in_vain=_in_vain(tx, deliveries),
    )


def _in_vain(tx: Session, deliveries: Sequence[Delivery]) -> Mapping[int, str]:
    failed = (one for one in deliveries if one.state is DeliveryState.FAILED)
    return {one.id: why for one in failed if (why := why_in_vain(tx, one))}


def draft_of(found: Dossier, store: Path) -> Draft:
    """Read the newest draft from the store: outside of the transaction, for it may be slow."""
    report = found.report
    if report is None:
        return Draft("", "No draft has been written.")
    if any(revision.id == report.revision_id and revision.reason == "shadow" for revision in found.revisions):
        return Draft("", "Shadow mode: the draft is kept for evaluation and shown to nobody.")
    try:
        payload = read_document(store, report.digest)
    except (NotFound, StoreAway) as error:
        return Draft("", f"{str(error).capitalize()}.")
    return Draft(as_text(dcmread(BytesIO(payload)), width=92))


def kind_of(sop_class_uid: str) -> str:
    """The name of a SOP Class for people; the UID itself where it is not known."""
    return UID(sop_class_uid).name
