"""Many studies in one step: the trouble of one must not keep all others waiting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dicom_node.errors import WetreadError


@dataclass(frozen=True, slots=True)
class Stumble:
    """A study that could not be changed, and the kind of the error: its words may quote what must not be logged."""

    study_id: int
    error: str


@dataclass(frozen=True, slots=True)
class Swept:
    """How many were changed, and which could not be; those are tried again the next time.

    last: number of the last study, where there may be more behind it that are due; else 0.
    """

    done: int = 0
    failed: tuple[Stumble, ...] = ()
    last: int = 0

    def __add__(self, other: Swept) -> Swept:
        """Both together."""
        return Swept(self.done + other.done, self.failed + other.failed, max(self.last, other.last))


def alone(tx: Session, study_id: int, change: Callable[[], None]) -> Swept:
    """Change one study in a savepoint of its own."""
    try:
        with tx.begin_nested():
            change()
    except (WetreadError, SQLAlchemyError) as error:
        return Swept(failed=(Stumble(study_id, type(error).__name__),))
    return Swept(1)
