"""Questions about a film, put to the reader by a person: asked in a page, answered by `work` when nothing else is due.

An answer is a machine's, kept with the study, and in no report unless a person puts it there. A question is tried
once: should it end the process that answers it, it is not tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, cast

from sqlalchemy import CursorResult, Enum, ForeignKey, String, Text, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from dicom_node import audit
from dicom_node.errors import WetreadError
from dicom_node.tables import Base

LONGEST: Final = 500  # bytes of a question in UTF-8; one that is too long for the model all the same is told so
MOST_WAITING: Final = 3  # of one study
MOST_KEPT: Final = 100  # of one study
SILENCE: Final = timedelta(seconds=120)  # of who answers, until it is taken for dead; a film decodes for up to 60
STOPPED: Final = "The reader stopped while it answered. The question is not tried again."


class QuestionRefused(WetreadError):
    """A question is not taken; the sentence says why."""


class AnswerState(StrEnum):
    """Where a question stands."""

    WAITING = "waiting"
    ANSWERING = "answering"
    ANSWERED = "answered"
    FAILED = "failed"


class Question(Base):
    """One question about one film, with the answer so far. No other table has a word of either."""

    __tablename__ = "question"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    film_digest: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[int]
    login: Mapped[str] = mapped_column(String(64))
    words: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text, default="")
    state: Mapped[AnswerState] = mapped_column(
        Enum(AnswerState, native_enum=False, length=16, values_callable=lambda kind: [member.value for member in kind]),
        index=True,
    )
    trouble: Mapped[str] = mapped_column(Text, default="")  # a sentence, where it failed
    reader: Mapped[str] = mapped_column(String(128), default="")  # who answers
    token: Mapped[str] = mapped_column(String(32), default="")
    asked_at: Mapped[datetime]
    changed_at: Mapped[datetime]


def put(tx: Session, study_id: int, film_digest: str, user_id: int, login: str, words: str, now: datetime) -> Question:
    """Ask. Raises QuestionRefused."""
    words = " ".join(words.split())
    if not any(character.isalnum() for character in words):
        raise QuestionRefused("Type a question.")
    if len(words.encode()) > LONGEST:
        raise QuestionRefused(
            f"The question is too long: {LONGEST} Latin letters at most, fewer of other scripts. Make it shorter."
        )
    of_it = select(func.count(Question.id)).where(Question.study_id == study_id)
    if (tx.scalar(of_it.where(Question.state.in_([AnswerState.WAITING, AnswerState.ANSWERING]))) or 0) >= MOST_WAITING:
        raise QuestionRefused("Other questions about this film wait already; wait for their answers.")
    if (tx.scalar(of_it) or 0) >= MOST_KEPT:
        raise QuestionRefused(f"There are {MOST_KEPT} questions about this study; no more are kept.")
    asked = Question(
        study_id=study_id,
        film_digest=film_digest,
        user_id=user_id,
        login=login[:64],
        words=words,
        answer="",
        state=AnswerState.WAITING,
        asked_at=now,
        changed_at=now,
    )
    tx.add(asked)
    tx.flush()
    audit.append(tx, "question-asked", at=now, actor=f"person:{login}"[:64], study_id=study_id, question=asked.id)
    return asked


def of_study(tx: Session, study_id: int) -> Sequence[Question]:
    """All of a study, the oldest first."""
    return tx.scalars(select(Question).where(Question.study_id == study_id).order_by(Question.id)).all()


def is_waiting(tx: Session) -> bool:
    """Is there anything to answer, or to give up?"""
    open_ones = Question.state.in_([AnswerState.WAITING, AnswerState.ANSWERING])
    return tx.scalar(select(Question.id).where(open_ones).limit(1)) is not None


def has_stopped(asked: Question, now: datetime) -> bool:
    """Is who answers silent for so long that nothing more will come?"""
    return asked.state is AnswerState.ANSWERING and asked.changed_at <= now - SILENCE


def claim(tx: Session, *, token: str, reader: str, now: datetime) -> Question | None:
    """Take the oldest one that waits; None where none does. What a dead process had fails, and is not tried again."""
    silent = (Question.state == AnswerState.ANSWERING) & (Question.changed_at <= now - SILENCE)
    for lost in tx.scalars(select(Question).where(silent)).all():
        fail(tx, lost.id, lost.token, STOPPED, now)
    waiting = select(Question.id).where(Question.state == AnswerState.WAITING).order_by(Question.id).limit(1)
    number = tx.scalar(waiting)
    if number is None or not _changed(
        tx,
        number,
        "",
        AnswerState.WAITING,
        state=AnswerState.ANSWERING,
        token=token,
        reader=reader[:128],
        changed_at=now,
    ):
        return None
    return tx.get_one(Question, number, populate_existing=True)


def write(tx: Session, number: int, token: str, answer: str, now: datetime) -> bool:
    """The answer so far; False where it is not ours any more."""
    return _changed(tx, number, token, AnswerState.ANSWERING, answer=answer, changed_at=now)


def give_back(tx: Session, number: int, token: str, now: datetime) -> bool:
    """Something more important is due: it waits again, from the beginning."""
    return _changed(
        tx, number, token, AnswerState.ANSWERING, state=AnswerState.WAITING, answer="", token="", changed_at=now
    )


def finish(tx: Session, number: int, token: str, answer: str, now: datetime) -> bool:
    """The answer is whole."""
    return _end(tx, number, token, AnswerState.ANSWERED, now, answer=answer)


def fail(tx: Session, number: int, token: str, trouble: str, now: datetime) -> bool:
    """There is no answer. trouble: a sentence without a word of question or answer."""
    return _end(tx, number, token, AnswerState.FAILED, now, answer="", trouble=trouble)


def _end(tx: Session, number: int, token: str, state: AnswerState, now: datetime, **values: str) -> bool:
    done = _changed(tx, number, token, AnswerState.ANSWERING, state=state, token="", changed_at=now, **values)
    if done:
        study_id = tx.get_one(Question, number).study_id
        event = "question-answered" if state is AnswerState.ANSWERED else "question-failed"
        audit.append(tx, event, at=now, actor="work", study_id=study_id, question=number)
    return done


def _changed(tx: Session, number: int, token: str, state: AnswerState, /, **values: Any) -> bool:
    """Change it if it is still in this state, and ours."""
    chosen = update(Question).where(Question.id == number, Question.state == state, Question.token == token)
    done = cast("CursorResult[Any]", tx.execute(chosen.values(**values).execution_options(synchronize_session=False)))
    tx.expire_all()
    return done.rowcount == 1
