"""The working copy of a report: who has it open, the text as edited, and whether it may be signed by now.

All functions are called with the study locked (`reports.life.lock`), so that two people cannot open one draft at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from sqlalchemy import delete
from sqlalchemy.orm import Session

from reports.findings import LABELS, State
from reports.signoff.errors import IdentityUnproven, NotShown, OpenedByAnother, StaleVersion, Unwritable
from reports.signoff.person import Person
from reports.signoff.tables import SILENCE as SILENCE  # noqa: PLC0414  pages take it from here
from reports.signoff.tables import FilmShown, Identity, WorkingCopy
from reports.tables import Report
from reports.text import DraftText

OFFERED: Final = timedelta(minutes=30)  # how long a draft is kept for whom it was handed to
IDENTITY_HOLDS: Final = timedelta(minutes=10)  # how long a check against the PACS is believed
_NO_CHIPS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a report open. since, heard_at: UTC."""

    user_id: int
    login: str
    name: str
    since: datetime
    heard_at: datetime


def copy_of(tx: Session, report: Report) -> WorkingCopy:
    """The working copy of a report, made where there is none yet."""
    found = tx.get(WorkingCopy, report.id, populate_existing=True)
    if found is None:
        found = WorkingCopy(report_id=report.id, version=1, chips="{}", identity="", holder_login="", edited_by="")
        found.findings = found.impression = found.holder_name = ""
        tx.add(found)
        tx.flush()
    return found


def holder_of(copy: WorkingCopy | None, now: datetime) -> Holder | None:
    """Who has it open; None where nobody has, or whoever had it has been silent for too long."""
    if copy is None or copy.holder_id is None or copy.held_since is None or copy.heard_at is None:
        return None
    if now - copy.heard_at >= SILENCE:
        return None
    return Holder(copy.holder_id, copy.holder_login, copy.holder_name, copy.held_since, copy.heard_at)


def take(copy: WorkingCopy, person: Person, now: datetime) -> bool:
    """Take it where it is free; False where somebody else has it.

    Taken over from somebody silent, it gets a new version: what that one may still have typed must not come over it.
    """
    held = holder_of(copy, now)
    if held is not None and held.user_id != person.user_id:
        return False
    if copy.holder_id != person.user_id:
        copy.version += copy.holder_id is not None
        copy.holder_id, copy.holder_login, copy.holder_name = person.user_id, person.login[:64], person.name
        copy.held_since = now
    copy.offered_to = None  # whoever has it does the work
    copy.held_since = copy.held_since or now
    copy.first_opened_at = copy.first_opened_at or now
    copy.heard_at = now
    return True


def must_be_free(copy: WorkingCopy, person: Person, version: int, now: datetime) -> None:
    """May this person change or sign the text of this version? Raises OpenedByAnother, StaleVersion."""
    held = holder_of(copy, now)
    if held is not None and held.user_id != person.user_id:
        raise OpenedByAnother(held.login, held.since)
    if copy.version != version:
        raise StaleVersion(copy.version, copy.edited_by or copy.holder_login)


def must_be_ready(tx: Session, report: Report, person: Person, version: int, now: datetime, *, unasked: bool) -> None:
    """Has this person looked at this text and this film, and does the PACS say that it is the patient's?

    unasked: the site signs where nobody can be asked. Raises NotShown, IdentityUnproven, OpenedByAnother, StaleVersion.
    """
    copy = tx.get(WorkingCopy, report.id, populate_existing=True)
    must_have_seen(tx, report, person)
    if copy is None:
        raise NotShown
    must_be_free(copy, person, version, now)
    _must_be_proven(copy, now, unasked=unasked)


def must_have_looked(tx: Session, report: Report, person: Person, now: datetime, *, unasked: bool) -> None:
    """As `must_be_ready`, of words that stand in no working copy. Raises NotShown, IdentityUnproven."""
    must_have_seen(tx, report, person)
    _must_be_proven(copy_of(tx, report), now, unasked=unasked)


def must_have_seen(tx: Session, report: Report, person: Person) -> None:
    """Was the film displayed to this person? Raises NotShown."""
    if not was_shown(tx, report.id, person):
        raise NotShown


def close(copy: WorkingCopy, text: DraftText | None) -> None:
    """A signature ends the editing. text: what waits for a second one; None: the words lie in a document now."""
    copy.findings, copy.impression = (text.findings, text.impression) if text is not None else ("", "")
    if text is None:
        copy.chips, copy.edited_by = "{}", ""
    copy.version += 1
    let_go(copy)


def let_go(copy: WorkingCopy) -> None:
    """Nobody has it open any more, and it is kept for nobody."""
    copy.holder_id, copy.holder_login, copy.holder_name = None, "", ""
    copy.held_since = copy.heard_at = copy.offered_to = None


def offer(copy: WorkingCopy, to_user_id: int, now: datetime) -> None:
    """Keep it for somebody, until anybody opens it."""
    let_go(copy)
    copy.offered_to, copy.held_since = to_user_id, now


def write(copy: WorkingCopy, person: Person, text: DraftText, chips: Mapping[str, str], now: datetime) -> None:
    """Keep the text as edited. Raises as `must_be_known`."""
    must_be_known(chips)
    copy.findings, copy.impression = text.findings, text.impression
    copy.chips = json.dumps(dict(chips), sort_keys=True)
    copy.version += 1
    copy.edited_by, copy.edited_at = person.login[:64], now


def must_be_known(chips: Mapping[str, str]) -> None:
    """Raises Unwritable: a chip that no label or state has."""
    if set(chips) - set(LABELS) or set(chips.values()) - set(State):
        raise Unwritable("a chip names a finding or a state that there is not; load the page again")


def text_of(copy: WorkingCopy | None) -> DraftText | None:
    """The text as edited; None where nobody has edited it."""
    if copy is None or not (copy.edited_by or copy.findings or copy.impression):
        return None
    return DraftText(copy.findings, copy.impression)


def chips_of(copy: WorkingCopy | None) -> Mapping[str, str]:
    """Label to state, those that a person has set."""
    return MappingProxyType(json.loads(copy.chips)) if copy is not None else _NO_CHIPS


def show(tx: Session, report: Report, person: Person, now: datetime) -> None:
    """Book that the film was displayed to a person."""
    found = tx.get(FilmShown, (report.id, person.user_id))
    if found is None:
        tx.add(FilmShown(report_id=report.id, user_id=person.user_id, at=now))
    else:
        found.at = now


def forget_shown(tx: Session, report_id: int, person: Person) -> None:
    """A new opening has shown nothing yet: what was seen another day or on another screen is not what is signed now."""
    tx.execute(delete(FilmShown).where(FilmShown.report_id == report_id, FilmShown.user_id == person.user_id))


def was_shown(tx: Session, report_id: int, person: Person) -> bool:
    """Has this person seen the film since opening the report?"""
    return tx.get(FilmShown, (report_id, person.user_id)) is not None


def _must_be_proven(copy: WorkingCopy, now: datetime, *, unasked: bool) -> None:
    """Was the study's identity proven lately? unasked: the site signs where nobody can be asked.

    Raises IdentityUnproven.
    """
    fresh = copy.identity_at is not None and now - copy.identity_at < IDENTITY_HOLDS
    if fresh and copy.identity == Identity.SAME:
        return
    if fresh and copy.identity == Identity.NOBODY:
        if unasked:
            return
        words = (
            "no destination can be asked whose study this is: register one that answers C-FIND "
            "(wetread ae add), or set reports.sign_unasked"
        )
    elif copy.identity == Identity.DIFFERS:
        words = "the PACS has this study under another patient or order; do not sign, withdraw the draft"
    else:
        words = "the PACS has not confirmed in the last ten minutes whose study this is; check it again"
    raise IdentityUnproven(words)
