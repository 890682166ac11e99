"""A person overrules an exclusion, by its name: the study is read all the same, and the audit trail says by whom."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.errors import WrongState
from dicom_node.film_tables import Overruling
from dicom_node.tables import Book, Study
from dicom_node.worklist.completions import complete
from dicom_node.worklist.holds import what_to_do
from dicom_node.worklist.moves import current_revision, next_revision
from dicom_node.worklist.routings import EXCLUDED_BY_RULE

# What the gate says of headers, where the film could be read all the same; the rest has no film, or no sound identity.
WORTH_OVERRULING: Final = frozenset(
    {"not-a-projection-image", "quality-control", "animal", "child", "lateral", "not-frontal", "not-a-chest"}
)
_NOTHING_TO_READ: Final = frozenset({"no-image"})


def overrule(tx: Session, study: Study, code: str, now: datetime, *, actor: str, shown: int = 0) -> str:
    """Read an excluded study anew, as if `code` were no reason. Another reason still is one, and so is every doubt.

    Of images that come later nothing was said; once they are excluded, the same may be said again. shown: how many of
    its films were shown to that person here; by a command none is.

    Returns what was done, in words. Raises WrongState.
    """
    if study.hold_reason:
        raise WrongState(f"the study is held ({study.hold_reason}). {what_to_do(study.hold_reason)}")
    revision = current_revision(tx, study)
    if revision.book is not Book.EXCLUDED:
        raise WrongState(f"the study is {revision.book}, not excluded: there is nothing to overrule")
    if revision.reason in _NOTHING_TO_READ:
        raise WrongState("the study has no image that could be read")
    if revision.reason == EXCLUDED_BY_RULE:
        raise WrongState("a rule of this site excluded the study; without rules: wetread study reprocess --no-rules")
    if revision.reason != code:
        raise WrongState(f"the study is excluded for another reason ({revision.reason}); name that one to overrule it")
    tx.merge(Overruling(study_id=study.id, code=code, actor=actor, at=now))
    audit.append(tx, "exclusion-overruled", at=now, actor=actor, study_id=study.id, reason=code, shown=shown)
    next_revision(tx, study, now, actor=actor)
    complete(tx, study, now, actor=actor)
    return f"exclusion overruled ({code}); revision {study.revision} scheduled"


def overruled(tx: Session, study_id: int) -> Mapping[str, datetime]:
    """The exclusions of a study that people overruled, and when: of images received later they said nothing."""
    found = tx.scalars(select(Overruling).where(Overruling.study_id == study_id))
    return {one.code: one.at for one in found}
