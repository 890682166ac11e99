"""A report as a page shows it, and what a signature made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from reports.signoff import copies
from reports.signoff.copies import Holder
from reports.signoff.documents import Written
from reports.signoff.person import Person
from reports.signoff.scene import Scene
from reports.signoff.tables import Identity, SignedKind, WorkingCopy
from reports.tables import ENDED, ReportState
from reports.text import DraftText


@dataclass(frozen=True, slots=True)
class FirstSignature:
    """Who has signed first, where a second signature is awaited."""

    user_id: int
    login: str
    name: str
    at: datetime
    may_verify: bool


@dataclass(frozen=True, slots=True)
class Beside:
    """The signed report beside a draft of the same study. number: of its newest signature, by whom and when."""

    report_id: int
    number: int
    login: str
    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Opened:
    """A report as the page shows it to one person.

    text: as edited, or as drafted where nobody has edited it. drafted: what the model wrote. chips: label to state,
    those that a person has set. version: to be given back with every change. holder: who has it open; None: nobody.
    mine: this person may edit it now. offered_to: user to whom it was handed over, until anybody opens it.
    """

    report_id: int
    study_id: int
    state: ReportState
    version: int
    text: DraftText
    drafted: DraftText
    chips: Mapping[str, str]
    holder: Holder | None
    mine: bool
    offered_to: int | None
    edited_by: str
    edited_at: datetime | None
    film_shown: bool
    identity: Identity | None
    identity_at: datetime | None
    first: FirstSignature | None
    beside: Beside | None


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature made. number: among the signatures of the study. destinations: who gets it; none: nobody."""

    report_id: int
    study_id: int
    kind: SignedKind
    number: int
    sop_instance_uid: str
    state: ReportState
    destinations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Handling:
    """Who works at a report, and whether one person has been shown its film. copy: None where nobody ever opened it."""

    copy: WorkingCopy | None
    film_shown: bool


def handling(tx: Session, report_id: int, person: Person) -> Handling:
    """Read with the scene, before the words, which lie in files."""
    return Handling(tx.get(WorkingCopy, report_id), copies.was_shown(tx, report_id, person))


def opened(
    scene: Scene, there: Handling, person: Person, drafted: DraftText, final: DraftText | None, now: datetime
) -> Opened:
    """A report as one person sees it now. final: the words that were signed last."""
    copy = there.copy
    held = copies.holder_of(copy, now)
    over = scene.state in ENDED or scene.state is ReportState.VERIFIED
    edited = copies.text_of(copy)
    return Opened(
        report_id=scene.report_id,
        study_id=scene.study_id,
        state=scene.state,
        version=copy.version if copy is not None else 1,
        text=final if final is not None else edited or drafted,
        drafted=drafted,
        chips=copies.chips_of(copy),
        holder=held,
        mine=not over and held is not None and held.user_id == person.user_id,
        offered_to=copy.offered_to if copy is not None else None,
        edited_by=copy.edited_by if copy is not None else "",
        edited_at=copy.edited_at if copy is not None else None,
        film_shown=there.film_shown,
        identity=Identity(copy.identity) if copy is not None and copy.identity else None,
        identity_at=copy.identity_at if copy is not None else None,
        first=_first(scene),
        beside=_beside(scene),
    )


def _first(scene: Scene) -> FirstSignature | None:
    one = scene.first
    return None if one is None else FirstSignature(one.user_id, one.login, one.name, one.at, one.may_verify)


def _beside(scene: Scene) -> Beside | None:
    one = scene.beside
    return None if one is None else Beside(one.report_id, one.number, one.login, one.name, one.at)


def signed(scene: Scene, written: Written, state: ReportState) -> Signed:
    """What became of it."""
    return Signed(
        report_id=scene.report_id,
        study_id=scene.study_id,
        kind=written.kind,
        number=scene.next_number,
        sop_instance_uid=written.sop_instance_uid,
        state=state,
        destinations=tuple(sorted({one.destination for one in written.outgoing})),
    )
