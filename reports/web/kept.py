"""What people have written that no other part of a page would show: into a draft that was replaced, first, or below."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from dicom_node.errors import NotFound, StoreAway
from dicom_node.files import read_document
from dicom_node.tables import Revision
from reports.signoff import copies
from reports.signoff.tables import SignedDocument, SignedKind, WorkingCopy
from reports.tables import Report, ReportState
from reports.text import DraftText
from reports.web.report import Papers

_REPLACED: Final = (ReportState.SUPERSEDED, ReportState.EXPIRED)


def written_before(tx: Session, study_id: int, report: Report, login: str) -> DraftText | None:
    """What this person last wrote into an older draft of the study, which a newer one has replaced."""
    if report.state is not ReportState.DRAFT or not login:
        return None
    asked = {"study": study_id, "report": report.id, "login": login[:64]}
    return copies.text_of(tx.scalars(_before(), asked).first())


@cache
def _before() -> Select[WorkingCopy]:
    return (
        select(WorkingCopy)
        .join(Report, Report.id == WorkingCopy.report_id)
        .join(Revision, Revision.id == Report.revision_id)
        .where(
            Revision.study_id == bindparam("study"),
            Report.id < bindparam("report"),
            Report.state.in_(_REPLACED),
            WorkingCopy.edited_by == bindparam("login"),
        )
        .order_by(Report.id.desc())
        .limit(1)
    )


def added_by(tx: Session, study_id: int, user_id: int) -> Sequence[int]:
    """Numbers of the addenda of the study that this person has signed and that hold."""
    return tx.scalars(_added(), {"study": study_id, "user": user_id}).all()


@cache
def _added() -> Select[int]:
    own = SignedDocument.study_id == bindparam("study"), SignedDocument.user_id == bindparam("user")
    holds = SignedDocument.kind == SignedKind.ADDENDUM, SignedDocument.ended_at.is_(None)
    return select(SignedDocument.number).where(*own, *holds)


def signed_first(found: Papers, store: Path) -> DraftText | None:
    """The words of the first signature, as they were signed; None where there is none, or no file. Reads it."""
    assert found.report is not None
    first = [one for one in found.signed if one.report_id == found.report.id and one.kind is SignedKind.ATTESTED]
    if found.report.state is not ReportState.AWAITING_SECOND or not first:
        return None
    return _words_of(first[-1], store)


def _words_of(signature: SignedDocument, store: Path) -> DraftText | None:
    try:
        kept = json.loads(read_document(store, signature.digest))
    except (NotFound, StoreAway):
        return None
    return DraftText(kept["findings"], kept["impression"])
