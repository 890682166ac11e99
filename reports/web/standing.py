"""Where a study is, as one plain status: what happens, why, and what a person must do. Silence is never ambiguous."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from dicom_node.hours import Hours
from dicom_node.kinds import FINAL
from dicom_node.owner import in_words
from dicom_node.rules.decision import ROUTINE
from dicom_node.tables import Book, Delivery, DeliveryState, Revision, Workitem, WorkitemState
from dicom_node.worklist.holds import HOLDS, what_to_do
from dicom_node.worklist.moves import DESTINATION_OFF, EXCLUDED_BY_PERSON
from dicom_node.worklist.overrulings import WORTH_OVERRULING
from reports.drafts import OPEN
from reports.elapsed import age as age  # noqa: PLC0414  the pages take it from here
from reports.glance import Glance
from reports.signoff.copies import Holder
from reports.tables import Report, ReportState
from reports.web.offers import Offer
from reports.web.older import taken_back, who_has_it


class Status(StrEnum):
    """What stands on the chip."""

    RECEIVING = "receiving"
    WAITING = "waiting"
    READING = "reading"
    DRAFTED = "drafted, on its way"
    SIGNOFF = "awaiting sign-off"
    SECOND = "awaiting second"
    SIGNED = "signed"
    IN_PACS = "signed, in PACS"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    DELIVERED = "delivered"
    EXCLUDED = "excluded"
    HELD = "held"
    DEAD_LETTER = "dead letter"
    CLOSED = "closed, not delivered"
    TAKEN_BACK = "taken back"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Facts:
    """The newest revision of a study and what belongs to it."""

    revision: Revision
    workitem: Workitem | None
    deliveries: Sequence[Delivery]
    images: int  # of all revisions
    place: int | None  # in the queue of readings, 1 for the next one; None where it does not wait there
    waiting: int  # readings in that queue
    paused: frozenset[str]  # names of the switches that are on
    an_hour: float = 0.0  # readings that ended in an hour, lately; 0: nobody can say
    last_image_at: datetime | None = None
    sender: str = ""  # AE title
    report: Report | None = None  # of the study, as `drafts.foremost` says; none of shadow mode
    holder: Holder | None = None  # who has that open now
    offer: Offer | None = None  # to whom that is handed over
    glance: Glance | None = None
    withdrawn: Report | None = None  # the newest that a person took back, where a newer revision has taken its place
    backlog_hours: Hours | None = None  # None: always


@dataclass(frozen=True, slots=True)
class Standing:
    """One status, the sentence that explains it, and the commands that a person may need."""

    status: Status
    sentence: str
    commands: tuple[str, ...] = ()


# The same for every study: for who may know where one is, and nothing of its patient or of what was written about it.
MEANING: Final = MappingProxyType(
    {
        Status.RECEIVING: "Images are still coming.",
        Status.WAITING: "It waits to be read.",
        Status.READING: "It is being read.",
        Status.DRAFTED: "An AI draft is written and on its way.",
        Status.SIGNOFF: "An AI draft waits for a radiologist's signature.",
        Status.SECOND: "One person has signed, a second one must.",
        Status.SIGNED: "A radiologist has signed the report.",
        Status.IN_PACS: "A radiologist has signed the report, and it is where it was to go.",
        Status.REJECTED: "A person has rejected the AI draft.",
        Status.EXPIRED: "Nobody has signed the AI draft in time.",
        Status.WITHDRAWN: "It was withdrawn and is not valid any more.",
        Status.DELIVERED: "An AI draft was delivered.",
        Status.EXCLUDED: "It is not read.",
        Status.HELD: "A person must decide what happens with it.",
        Status.DEAD_LETTER: "It was given up; a person must look at it.",
        Status.CLOSED: "It was closed, and nothing was delivered.",
        Status.TAKEN_BACK: "What was delivered is not valid any more.",
        Status.UNCLEAR: "The books do not say what happens with it.",
    }
)
CAME_LATE: Final = "An image came after it was signed and was not read."
_LEFT = frozenset({DeliveryState.SENT, DeliveryState.COMMITTED})


_ENDS: Final = MappingProxyType(
    {
        ReportState.REJECTED: Status.REJECTED,
        ReportState.EXPIRED: Status.EXPIRED,
        ReportState.WITHDRAWN: Status.WITHDRAWN,
    }
)


def standing(facts: Facts, now: datetime) -> Standing:
    """The status of the study."""
    stands = _standing(facts, now)
    if facts.withdrawn is None or (facts.report is not None and facts.report.state is ReportState.VERIFIED):
        return stands
    why = f": {_sentence(facts.withdrawn.explanation)}" if facts.withdrawn.explanation else "."
    return replace(stands, sentence=f"{stands.sentence} The report of an older revision was withdrawn{why}")


def _standing(facts: Facts, now: datetime) -> Standing:
    by_book = _in_flight(facts, now) if facts.revision.book is Book.IN_FLIGHT else _with_hold(facts, _ended(facts))
    if facts.report is None:
        return by_book
    if facts.report.revision_id != facts.revision.id:
        return _with_older(facts, facts.report, by_book)
    return _by_report(facts, facts.report, by_book)


def _with_older(facts: Facts, report: Report, by_book: Standing) -> Standing:
    """Of a study whose newest revision has no report of its own, or one that people care less for."""
    if report.state in OPEN:
        final = any(one.stage in FINAL and one.state is not DeliveryState.CANCELED for one in facts.deliveries)
        sentence = f"An older draft is open, not signed. {(_signed(facts, by_book) if final else by_book).sentence}"
        status = by_book.status if facts.revision.book is Book.IN_FLIGHT and not final else Status.SIGNOFF
        return Standing(status, sentence, by_book.commands)
    if report.state is not ReportState.VERIFIED:
        return by_book
    return replace(by_book, sentence=f"{by_book.sentence} A report of an older revision is signed.")


def _by_report(facts: Facts, report: Report, by_book: Standing) -> Standing:
    """What people did with the draft says more than the books, unless something waits for a person."""
    status, sentence, commands = by_book.status, by_book.sentence, by_book.commands
    if status in {Status.DEAD_LETTER, Status.HELD, Status.UNCLEAR}:
        signed = "Signed. " if report.state is ReportState.VERIFIED else ""
        return Standing(status, f"{signed}{sentence}", commands)
    if report.state is ReportState.AWAITING_SECOND:
        return Standing(Status.SECOND, f"One person has signed, a second one must. {sentence}", commands)
    if report.state is ReportState.VERIFIED:
        return _with_late(facts, report, _signed(facts, by_book))
    if report.state in _ENDS and status in {Status.CLOSED, Status.TAKEN_BACK}:
        return Standing(_ENDS[report.state], sentence, commands)
    if status is Status.DELIVERED and facts.holder is None:
        return Standing(status, f"{sentence} Nobody has signed it here.", commands)
    return by_book


def _with_late(facts: Facts, report: Report, signed: Standing) -> Standing:
    """An image that comes after the signature opens no revision; nobody would hear of it."""
    if facts.last_image_at is None or facts.last_image_at <= report.changed_at:
        return signed
    return replace(signed, sentence=f"{CAME_LATE} {signed.sentence}")


def _signed(facts: Facts, by_book: Standing) -> Standing:
    final = [delivery for delivery in facts.deliveries if delivery.stage in FINAL]
    if by_book.status is Status.DELIVERED and final:
        return Standing(Status.IN_PACS, _proofs(final, "The signed report"), by_book.commands)
    if by_book.status is Status.DRAFTED:
        sentence = by_book.sentence.replace("Drafted.", "Signed, not yet in PACS.", 1)
        return Standing(Status.SIGNED, sentence, by_book.commands)
    return Standing(Status.SIGNED, f"Signed. {by_book.sentence}", by_book.commands)


def _ended(facts: Facts) -> Standing:
    revision = facts.revision
    why = revision.explanation or revision.reason or "no reason was recorded"
    match revision.book:
        case Book.DELIVERED:
            return Standing(Status.DELIVERED, _proofs(facts.deliveries, "The draft"))
        case Book.EXCLUDED:
            overrule = f"{_command('confirm', facts)} --overrule {revision.reason}"
            commands = (overrule,) if revision.reason in WORTH_OVERRULING else ()
            return Standing(Status.EXCLUDED, f"Not read: {_sentence(why)}", commands)
        case Book.DEAD_LETTERED:
            # The explanation of a held one names already who has it.
            there = "" if revision.reason in HOLDS else who_has_it(facts.deliveries)
            given_up = f"Given up: {_sentence(why)} {there}".rstrip()
            return Standing(Status.DEAD_LETTER, given_up, _remedies(facts))
        case Book.AWAITING_SIGNOFF:
            return Standing(Status.SIGNOFF, "Drafted. The destination gets only what a radiologist has signed.")
    was = taken_back(facts.deliveries)
    if was:
        return Standing(Status.TAKEN_BACK, f"No longer valid: {_sentence(why)} {was}")
    return Standing(Status.CLOSED, f"Nothing was delivered: {_sentence(why)}")


def _with_hold(facts: Facts, ended: Standing) -> Standing:
    """A study that ended although it is held says both."""
    reason = facts.revision.study.hold_reason
    if not reason or facts.revision.reason == EXCLUDED_BY_PERSON:  # then a person has decided already
        return ended
    commands = (_command("release", facts),) if ended.status is not Status.EXCLUDED else ()
    return Standing(ended.status, f"{ended.sentence} {_hold(reason)}", commands)


def _in_flight(facts: Facts, now: datetime) -> Standing:
    study, workitem = facts.revision.study, facts.workitem
    left = any(delivery.state in _LEFT for delivery in facts.deliveries)
    if study.hold_reason and not left:
        return Standing(Status.HELD, _hold(study.hold_reason), (_command("release", facts), _exclusion(facts)))
    if workitem is None:
        images = "1 image" if facts.images == 1 else f"{facts.images} images"
        return Standing(
            Status.RECEIVING, f"{images} so far, the last object {age(study.last_received_at, now)} ago; more may come."
        )
    return _with_hold(facts, _by_workitem(facts, workitem, now))


def _by_workitem(facts: Facts, workitem: Workitem, now: datetime) -> Standing:
    match workitem.state:
        case WorkitemState.SCHEDULED if workitem.hold_reason:
            return _gated(facts, workitem)
        case WorkitemState.SCHEDULED:
            return Standing(Status.WAITING, _queueing(facts, workitem, now))
        case WorkitemState.IN_PROGRESS:
            return Standing(
                Status.READING, f"Being read by {in_words(workitem.claimed_by)}, attempt {workitem.attempts}."
            )
        case WorkitemState.COMPLETED:
            return Standing(Status.DRAFTED, _on_its_way(facts, now))
    return Standing(Status.UNCLEAR, "The books do not say what happens with it.", ("wetread check",))


def _gated(facts: Facts, workitem: Workitem) -> Standing:
    why = workitem.last_error or workitem.hold_reason
    return Standing(
        Status.HELD,
        f"A person must decide whether it may be read: {_sentence(why)}",
        (_command("confirm", facts), _exclusion(facts)),
    )


def _queueing(facts: Facts, workitem: Workitem, now: datetime) -> str:
    parts = [f"Number {facts.place} of {facts.waiting} in the queue."]
    if workitem.attempts:
        parts.append(
            f"Attempt {workitem.attempts} failed: {_sentence(workitem.last_error or 'no reason was recorded')}"
        )
    if workitem.next_attempt_at > now:
        parts.append(f"Next attempt in {age(now, workitem.next_attempt_at)}.")
    if "pause-work" in facts.paused:
        parts.append("Reading is paused by a person.")
    elif (begins := _not_before(facts, workitem, now)) is not None:
        parts.append(f"Backlog is read in its hours, which begin in {age(now, begins)}.")
    elif facts.place and facts.an_hour and workitem.next_attempt_at <= now:
        parts.append(f"Expected in {age(now, now + timedelta(hours=facts.place / facts.an_hour))}.")
    return " ".join(parts)


def _not_before(facts: Facts, workitem: Workitem, now: datetime) -> datetime | None:
    """When the hours of backlog begin, where they keep it waiting."""
    hours = facts.backlog_hours
    if hours is None or workitem.priority <= ROUTINE or hours.hold(now):
        return None
    return hours.next_change(now)


def _on_its_way(facts: Facts, now: datetime) -> str:
    counted = [delivery for delivery in facts.deliveries if delivery.state is not DeliveryState.CANCELED]
    parts = list(dict.fromkeys(_leg(delivery, now) for delivery in counted))  # several forms go to one destination
    if "pause-send" in facts.paused:
        parts.append("Sending is paused by a person.")
    return " ".join(["Drafted.", *parts])


def _leg(delivery: Delivery, now: datetime) -> str:
    to = delivery.destination
    match delivery.state:
        case DeliveryState.COMMITTED:
            return f"{to} has it."
        case DeliveryState.SENT:
            failed = f" Last try: {_sentence(delivery.last_error)}" if delivery.last_error else ""
            return f"Sent to {to}, its proof is awaited.{failed}"
        case DeliveryState.FAILED:
            return f"Given up for {to}: {_sentence(delivery.last_error)}"
    if not delivery.last_error:
        return f"About to be sent to {to}."
    again = f" Next try in {age(now, delivery.next_attempt_at)}." if delivery.next_attempt_at > now else ""
    return f"{to} did not take it yet: {_sentence(delivery.last_error)}{again}"


def _proofs(deliveries: Sequence[Delivery], what: str) -> str:
    by_destination: dict[str, list[Delivery]] = {}
    for delivery in deliveries:
        if delivery.state is DeliveryState.COMMITTED:
            by_destination.setdefault(delivery.destination, []).append(delivery)
    proven = [f"{name} ({_forms(there)})" for name, there in by_destination.items()]
    return f"{what} is in {', '.join(proven)}."


def _forms(there: Sequence[Delivery]) -> str:
    forms = ", ".join(dict.fromkeys(delivery.kind for delivery in there))
    proofs = ", ".join(dict.fromkeys(delivery.proven_by for delivery in there))
    return f"{forms}; proof: {proofs}"


def _hold(reason: str) -> str:
    return f"{what_to_do(reason)} Nothing more is read or sent until then."


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _remedies(facts: Facts) -> tuple[str, ...]:
    """What a dead letter asks for: another try would find a destination that was removed, or turned off, as it is."""
    failed = [delivery for delivery in facts.deliveries if delivery.state is DeliveryState.FAILED]
    off = [delivery.id for delivery in failed if delivery.reason == DESTINATION_OFF]
    again = (_command("requeue", facts),) if len(off) < len(failed) or not off else ()
    return (*again, *(f'wetread queue close {number} --reason "..."' for number in off))


def _command(verb: str, facts: Facts) -> str:
    return f"wetread study {verb} '#{facts.revision.study_id}'"


def _exclusion(facts: Facts) -> str:
    return f'{_command("exclude", facts)} --reason "..."'
