"""What a rater does: look at a report, grade it, change the grade, and finish. Each call is one transaction's work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.counted import counted
from dicom_node.errors import NotFound, WrongState
from reports.grading.tables import LONGEST_COMMENT, Act, Given, Grade, Rater, Turn, What

_LONGEST_VISIT: Final = 86400.0  # seconds; what a browser says is only believed up to a day


class Elsewhere(WrongState):
    """The grade was changed since this page was made."""


class Finished(WrongState):
    """The rater has finished; nothing changes any more."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rater is. left: positions without a grade."""

    of: int
    left: tuple[int, ...]
    finished_at: datetime | None

    @property
    def graded(self) -> int:
        """How many have a grade."""
        return self.of - len(self.left)


@dataclass(frozen=True, slots=True)
class Sheet:
    """What the page sends. version: of the grade that it showed; seconds: that it was in sight."""

    grade: Grade
    comment: str
    version: int
    seconds: float


def progress(tx: Session, rater: Rater) -> Progress:
    """As it is now."""
    rows = tx.execute(select(Turn.position, Turn.grade).where(Turn.rater_id == rater.id).order_by(Turn.position)).all()
    return Progress(len(rows), tuple(row.position for row in rows if not row.grade), rater.finished_at)


def turn(tx: Session, rater: Rater, position: int) -> Turn:
    """One place in the rater's order. Raises NotFound."""
    found = tx.get(Turn, (rater.id, position)) if 0 < position < 1 << 31 else None
    if found is None:
        raise NotFound(f"there is no report {position}")
    return found


def shown(tx: Session, rater: Rater, position: int, now: datetime) -> None:
    """Keep when it was first seen."""
    found = turn(tx, rater, position)
    if found.shown_at is None:
        found.shown_at = now


def grade(tx: Session, rater: Rater, position: int, sheet: Sheet, now: datetime) -> Turn:
    """Keep a grade; each that was given stays in the books as long as its rater. The same once more changes nothing.

    Raises NotFound, Finished, Elsewhere.
    """
    found = turn(tx, rater, position)
    if rater.finished_at is not None:
        raise Finished("You have finished: grades cannot be changed any more. The investigator can open them again.")
    comment = sheet.comment.strip()[:LONGEST_COMMENT]
    if found.version != sheet.version:
        if (found.grade, found.comment) == (sheet.grade.value, comment):
            return found  # a double click, or the answer got lost
        raise Elsewhere(
            f"This report was graded {found.grade} in another tab, or by a press whose answer got lost. "
            "Reload the page to see it."
        )
    found.grade, found.comment, found.graded_at = sheet.grade.value, comment, now
    found.version += 1
    found.seconds += min(max(sheet.seconds, 0.0), _LONGEST_VISIT)
    tx.add(
        Given(
            rater_id=rater.id,
            position=position,
            version=found.version,
            grade=found.grade,
            comment=comment,
            seconds=found.seconds,
            at=now,
        )
    )
    return found


def finish(tx: Session, rater: Rater, now: datetime, *, leaving: bool = False) -> None:
    """No grade changes after this. leaving: some reports stay without a grade.

    Raises WrongState: some have none, and that was not said.
    """
    if rater.finished_at is not None:
        return
    left = progress(tx, rater).left
    if left and not leaving:
        raise WrongState(f"{counted(len(left), 'report has', 'reports have')} no grade yet.")
    rater.finished_at = now


def reopen(tx: Session, rater: Rater, now: datetime) -> None:
    """Let a rater who has finished change grades again, which the result tells. Raises WrongState."""
    if rater.finished_at is None:
        raise WrongState(f"rater {rater.name!r} has not finished: there is nothing to open again")
    rater.finished_at = None
    tx.add(Act(what=What.REOPENED, name=rater.name, graded=progress(tx, rater).graded, at=now))
