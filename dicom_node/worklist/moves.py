"""The transitions themselves: checked against the tables, and the books settled after each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

from sqlalchemy import CursorResult, Result, Select, select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.errors import NotFound, WrongState
from dicom_node.kinds import FINAL, KEPT, TAKES_BACK, Stage
from dicom_node.tables import (
    DELIVERY_TRANSITIONS,
    STUDY_TRANSITIONS,
    WORKITEM_TRANSITIONS,
    Book,
    Delivery,
    DeliveryState,
    Instance,
    Revision,
    Role,
    Study,
    StudyState,
    Switch,
    Workitem,
    WorkitemState,
)

Row = TypeVar("Row", Workitem, Delivery, Revision)
EXCLUDED_BY_PERSON: Final = "excluded-by-person"
CLASS_REFUSED: Final = "class-refused"  # of a delivery that a destination does without
CLOSED_BY_PERSON: Final = "closed-by-person"  # of a dead letter that was meant: a destination does without it as well
CALLED_OFF: Final = "called-off"  # of a delivery that nobody wants any more: it is asked for, never sent again
DESTINATION_OFF: Final = "destination-off"  # of a dead letter whose destination was removed, or gets no such document
MAY_BE_THERE: Final = "may-be-there"  # of a dead letter that was called off; its destination did not say
NOTHING_THERE: Final = "nothing-to-take-back"  # of what takes back where nothing came
SIGNED_INSTEAD: Final = "signed-instead"  # of a draft that had not left when a person signed it
_MOST_NAMED: Final = 10  # studies that one accession number means
_DONE_WITHOUT: Final = frozenset({CLASS_REFUSED, CLOSED_BY_PERSON, SIGNED_INSTEAD})


class Standing(NamedTuple):
    """What the books need to know of a delivery."""

    state: DeliveryState
    stage: Stage
    reason: str


@dataclass(frozen=True, slots=True)
class Ending:
    """What the books say of a revision, and why."""

    book: Book
    reason: str = ""
    explanation: str = ""


def move_study(study: Study, state: StudyState) -> None:
    """Raises WrongState."""
    if (study.state, state) not in STUDY_TRANSITIONS:
        raise WrongState(f"a study cannot go from {study.state} to {state}")
    study.state = state


def move_workitem(workitem: Workitem, state: WorkitemState) -> None:
    """Change the state and end the claim, if there was one. Raises WrongState."""
    if (workitem.state, state) not in WORKITEM_TRANSITIONS:
        raise WrongState(f"a workitem cannot go from {workitem.state} to {state}")
    workitem.state = state
    if state is not WorkitemState.IN_PROGRESS:
        workitem.claim_token = ""
        workitem.lease_until = None


def move_delivery(delivery: Delivery, state: DeliveryState) -> None:
    """Change the state and end the claim, if there was one. Raises WrongState."""
    if (delivery.state, state) not in DELIVERY_TRANSITIONS:
        raise WrongState(f"a delivery cannot go from {delivery.state} to {state}")
    delivery.state = state
    delivery.claim_token = ""
    delivery.lease_until = None


def close(tx: Session, revision: Revision, ending: Ending, now: datetime, *, actor: str) -> None:
    """Enter the end of a revision into the books."""
    revision.book, revision.reason, revision.explanation = ending.book, ending.reason, ending.explanation
    revision.closed_at = now
    audit.append(
        tx,
        f"revision-{ending.book.replace(' ', '-')}",
        at=now,
        actor=actor,
        study_id=revision.study_id,
        revision=revision.number,
        reason=ending.reason,
    )


def settle(tx: Session, revision: Revision, now: datetime, *, actor: str) -> None:
    """Bring the book of a revision with deliveries in line with them."""
    tx.flush()
    # Two senders may prove two deliveries of one revision at once: the second waits here and then sees the first.
    # A late image or a hold may have closed the book meanwhile: both are read again.
    revision = tx.scalars(locked(Revision).where(Revision.id == revision.id)).one()
    tx.scalars(select(Study).where(Study.id == revision.study_id), execution_options={"populate_existing": True}).one()
    ending = ending_of(deliveries_of(tx, revision, again=True))
    if ending is None or ending.book is revision.book:
        return
    if ending.book is Book.CLOSED and revision.reason == EXCLUDED_BY_PERSON:
        ending = Ending(Book.EXCLUDED, revision.reason, revision.explanation)
    elif ending.book in {Book.CLOSED, Book.DELIVERED} and _is_held(revision):
        ending = Ending(Book.DEAD_LETTERED, revision.study.hold_reason, where_it_is(tx, revision))
    elif ending.book is Book.CLOSED and revision.reason and revision.book is not Book.DEAD_LETTERED:
        ending = Ending(Book.CLOSED, revision.reason, revision.explanation)
    if ending.book is Book.IN_FLIGHT:
        if revision.book is Book.DEAD_LETTERED:  # queued again; why another one was called off is kept
            revision.reason, revision.explanation = "", ""
        revision.book, revision.closed_at = Book.IN_FLIGHT, None
        return
    close(tx, revision, ending, now, actor=actor)


def _is_held(revision: Revision) -> bool:
    return bool(revision.study.hold_reason) and revision.number == revision.study.revision


def where_it_is(tx: Session, revision: Revision) -> str:
    """What a person must know of a held study whose draft could not be stopped."""
    there = [one.destination for one in deliveries_of(tx, revision) if one.state is DeliveryState.COMMITTED]
    if not there:
        return "the study was held before its draft was sent"
    return (
        f"the study was held while its draft was being sent: a draft with the identity of the first patient is in "
        f"{', '.join(dict.fromkeys(there))}; have it removed there"
    )


def ending_of(deliveries: Sequence[Delivery]) -> Ending | None:
    """What the deliveries of a revision say of its book; None where there is none that counts."""
    book = book_of(Standing(delivery.state, delivery.stage, delivery.reason) for delivery in deliveries)
    if book is Book.DEAD_LETTERED:
        failed = next(delivery for delivery in deliveries if delivery.state is DeliveryState.FAILED)
        return Ending(book, failed.reason or "undeliverable", f"{failed.destination}: {failed.last_error}")
    if book is Book.CLOSED:
        told = [one for one in deliveries if one.reason != NOTHING_THERE]
        taken_back = any(delivery.stage in TAKES_BACK for delivery in told)
        given_up = next((one for one in reversed(told) if one.reason == CLOSED_BY_PERSON), None)
        if given_up is not None and (
            given_up.stage in TAKES_BACK or not any(one.state is DeliveryState.COMMITTED for one in told)
        ):
            return Ending(book, CLOSED_BY_PERSON, f"{given_up.destination}: {given_up.last_error}")
        return Ending(book, "taken-back" if taken_back else "superseded")
    return None if book is None else Ending(book)


def book_of(standings: Iterable[Standing]) -> Book | None:
    """The book of a revision with these deliveries; None where there is none.

    What a destination does without, since it takes no such class or a person has closed its dead letter, counts only
    where there is nothing else. Once a destination has got what takes a report back, or a person has done without that,
    the report is not delivered but closed. That there is no draft (a notice) is no draft: the study is excluded, or a
    dead letter, whatever becomes of it.
    """
    everyone = [one for one in standings if one.stage is not Stage.NOTICE]
    counted = [one for one in everyone if one.state is not DeliveryState.CANCELED or one.reason not in _DONE_WITHOUT]
    states = {one.state for one in counted or everyone}
    if DeliveryState.FAILED in states:
        return Book.DEAD_LETTERED
    if states & {DeliveryState.QUEUED, DeliveryState.SENT}:
        return Book.IN_FLIGHT
    if states == {DeliveryState.COMMITTED} and not any(one.stage in TAKES_BACK for one in everyone):
        return Book.DELIVERED
    return Book.CLOSED if states else None


def call_off(
    tx: Session, revision: Revision, ending: Ending, now: datetime, *, actor: str, but: frozenset[Stage] = frozenset()
) -> None:
    """Cancel what a revision still has to do: its workitem, a running claim, its queued deliveries.

    What was sent already keeps its state until its proof settles the book; a closed book stays closed. but: as for
    `call_back`.
    """
    for workitem in tx.scalars(locked(Workitem).where(Workitem.revision_id == revision.id)):
        if workitem.state in {WorkitemState.SCHEDULED, WorkitemState.IN_PROGRESS}:
            move_workitem(workitem, WorkitemState.CANCELED)
    call_back(tx, revision, ending, now, actor=actor, but=but)


def call_back(
    tx: Session, revision: Revision, ending: Ending, now: datetime, *, actor: str, but: frozenset[Stage] = frozenset()
) -> None:
    """Cancel the queued deliveries of a revision, and close it unless something is on its way.

    `ending` holds where the deliveries themselves do not say how it ended. A revision in flight with a reason is one
    that was called off while a destination had, or may have, its object. but: stages that go out all the same.
    """
    deliveries = tx.scalars(locked(Delivery).where(Delivery.revision_id == revision.id).order_by(Delivery.id)).all()
    for delivery in deliveries:
        if delivery.stage in TAKES_BACK | but:
            continue
        if delivery.state is DeliveryState.QUEUED:
            cancel(delivery, now)
        elif delivery.state is DeliveryState.SENT:
            delivery.reason = CALLED_OFF
    # Read again only now: the sender that had the deliveries locked may have proven the last one.
    fresh = tx.scalars(locked(Revision).where(Revision.id == revision.id)).one()
    proven = ending_of(deliveries)
    if fresh.book in {Book.IN_FLIGHT, Book.AWAITING_SIGNOFF} and (proven is None or proven.book is not Book.IN_FLIGHT):
        close(tx, fresh, ending if proven is None or proven.book is Book.CLOSED else proven, now, actor=actor)
    elif fresh.book is Book.IN_FLIGHT:
        fresh.reason, fresh.explanation = ending.reason, ending.explanation


def cancel(delivery: Delivery, now: datetime) -> None:
    """Cancel a queued delivery. A claim is kept: its sender may be transmitting, and must be able to say so.

    What may be there already, because an earlier attempt ended without an answer, is not canceled but asked for.
    """
    if delivery.sent_at is not None and not delivery.claim_token:
        ask_for(delivery, now)
        return
    token, lease_until = delivery.claim_token, delivery.lease_until
    move_delivery(delivery, DeliveryState.CANCELED)
    delivery.claim_token, delivery.lease_until, delivery.reason = token, lease_until, CALLED_OFF


def ask_for(delivery: Delivery, now: datetime) -> None:
    """The peer may have what was called off: its proof is asked for now, and the answer is booked."""
    move_delivery(delivery, DeliveryState.SENT)
    delivery.reason = CALLED_OFF
    delivery.sent_at = delivery.sent_at or now
    delivery.next_attempt_at, delivery.attempts = now, 0


def next_revision(tx: Session, study: Study, now: datetime, *, actor: str) -> Revision:
    """Open the next revision of a complete study; what the old one still had to do is called off.

    What a person has signed goes out all the same: nothing replaces it but another signature.
    """
    old = current_revision(tx, study)
    call_off(tx, old, Ending(Book.CLOSED, "superseded", "a newer revision replaced it"), now, actor=actor, but=KEPT)
    move_study(study, StudyState.RECEIVING)
    study.revision += 1
    study.first_received_at = study.last_received_at = now
    study.completed_at = None
    revision = Revision(study_id=study.id, number=study.revision, book=Book.IN_FLIGHT, opened_at=now)
    tx.add(revision)
    audit.append(tx, "study-reopened", at=now, actor=actor, study_id=study.id, revision=study.revision)
    return revision


def is_signed(tx: Session, revision: Revision) -> bool:
    """Does a report that a person signed go out for it, or is it out? Then late images only flag it.

    One that was taken back leaves a reason in the books.
    """
    signed = select(Delivery.id).where(
        Delivery.revision_id == revision.id,
        Delivery.stage.in_(FINAL),
        Delivery.state != DeliveryState.CANCELED,
    )
    over = revision.book is Book.CLOSED or (revision.book is Book.IN_FLIGHT and revision.reason)
    return not over and tx.scalar(signed.limit(1)) is not None


def must_not_be_signed(tx: Session, study: Study) -> None:
    """Raises WrongState: no reading replaces what a person has signed; its draft would be withdrawn at once."""
    for revision in tx.scalars(select(Revision).where(Revision.study_id == study.id)):
        if is_signed(tx, revision):
            raise WrongState(
                "the study has a signed report, and a draft read now would be withdrawn at once (signed-already): "
                "add an addendum, or withdraw the report first"
            )


def current_revision(tx: Session, study: Study) -> Revision:
    """The newest revision of a study."""
    return tx.scalars(select(Revision).where(Revision.study_id == study.id, Revision.number == study.revision)).one()


def deliveries_of(tx: Session, revision: Revision, *, again: bool = False) -> Sequence[Delivery]:
    """The deliveries of a revision, oldest first; read `again` where they may have changed in this transaction."""
    chosen = select(Delivery).where(Delivery.revision_id == revision.id).order_by(Delivery.id)
    return tx.scalars(chosen, execution_options={"populate_existing": again}).all()


def images_of(tx: Session, study_id: int) -> Sequence[Instance]:
    """The images of a study in the order of their arrival; of two with one SOP Instance UID the first."""
    chosen = select(Instance).where(
        Instance.study_id == study_id, Instance.role == Role.IMAGE, Instance.conflict.is_(False)
    )
    return tx.scalars(chosen.order_by(Instance.id)).all()


def has_image(tx: Session, study_id: int) -> bool:
    """Did any image of the study arrive, also one that is not used?"""
    chosen = select(Instance.id).where(Instance.study_id == study_id, Instance.role == Role.IMAGE)
    return tx.scalar(chosen.limit(1)) is not None


def find_study(tx: Session, key: str) -> Study:
    """The study with this number (4711 or #4711), Study Instance UID or accession number. Raises NotFound."""
    return _the_study(tx, key, number=key.removeprefix("#"))


def find_study_to_change(tx: Session, key: str) -> Study:
    """The study with this number (only as #4711), Study Instance UID or accession number. Raises NotFound.

    A bare 4711 may be an accession number that has not arrived; it must not change study number 4711.
    """
    return _the_study(tx, key, number=key[1:] if key.startswith("#") else "")


def _the_study(tx: Session, key: str, *, number: str) -> Study:
    matches = (Study.study_instance_uid == key) | (Study.accession_number == key)
    if number.isascii() and number.isdecimal() and len(number) < 10:  # longer ones are no integer column
        matches = matches | (Study.id == int(number))
    found = tx.scalars(select(Study).where(matches).order_by(Study.id.desc()).limit(_MOST_NAMED + 1)).all()
    if len(found) == 1:
        return found[0]
    if found:
        named = ", ".join(f"#{study.id}" for study in found[:_MOST_NAMED]) + (", ..." if found[_MOST_NAMED:] else "")
        raise NotFound(f"{key!r} means several studies: {named}; name one of them so, in quotes for the shell")
    hint = f"; study number {key} is written '#{key}' here" if key.isdecimal() and not number else ""
    raise NotFound(f"no study has the number, Study Instance UID or accession number {key!r}{hint}")


def switched(tx: Session, name: str) -> bool:
    """Is the switch `name` on? `pause-work` and `pause-send` are the ones there are."""
    return bool(tx.scalar(select(Switch.on).where(Switch.name == name)))


def switch(tx: Session, name: str, *, on: bool, now: datetime, actor: str) -> None:
    """Turn a switch; who did it stands in the audit trail."""
    tx.merge(Switch(name=name, on=on, by=actor, at=now))
    audit.append(tx, "switched", at=now, actor=actor, switch=name, on=int(on))


def locked(table: type[Row]) -> Select[Row]:
    """Rows as they are once nobody else changes them: a worker or sender may be about to commit."""
    return select(table).with_for_update(of=table, key_share=True).execution_options(populate_existing=True)


def changed_one(result: Result[object]) -> bool:
    """Did a compare-and-swap find its row?"""
    assert isinstance(result, CursorResult)
    return result.rowcount == 1
