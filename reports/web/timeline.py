"""The audit rows of one study, in words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.owner import in_words
from dicom_node.tables import AuditRow

_MOST = 1000  # rows shown, the newest

WORDS: Final = MappingProxyType(
    {
        "study-opened": "The first object arrived.",
        "study-complete": "No more images were expected (by {by}); revision {revision} was complete.",
        "study-routed": "Rule {rule}, version {version}: priority {priority}.",
        "study-reprocessed": "A person wanted it read again.",
        "late-image": "An image came late and was kept; it is not read ({policy}).",
        "study-reopened": "Opened again as revision {revision}.",
        "study-held": "Held for a person: {reason}.",
        "study-confirmed": "A person confirmed that the film may be read (films shown here before: {shown}).",
        "exclusion-overruled": "A person wanted it read although it was excluded: {reason} (films shown here before: "
        "{shown}).",
        "film-of-two-patients": "The same picture was found in the study of another patient.",
        "study-released": "Released, to use what came last. It had been held because of: {reason}.",
        "study-requeued": "A person asked for another try: {done}.",
        "instance-conflict": "An object came again with other bytes; the first one was kept in use.",
        "workitem-claimed": "Reading started, attempt {attempt}.",
        "attempt-failed": "Attempt {attempt} failed: {reason}.",
        "draft-recorded": "The draft was recorded.",
        "report-signed": "Signed ({kind}); signature {number} of the study.",
        "report-attested": "Signed first; a second signature is awaited.",
        "report-addendum": "An addendum was signed; signature {number} of the study.",
        "report-sent-back": "Sent back from its second signature; a draft again.",
        "report-handed-over": "Handed over to user {to}.",
        "report-taken-over": "Opened, as {silent} had been silent.",
        "report-superseded": "A newer draft replaced that of revision {revision}.",
        "report-expired": "Nobody signed the draft of revision {revision} in time; it expired.",
        "report-withdrawn": "The report of revision {revision} was withdrawn: {reason}.",
        "report-rejected": "A radiologist rejected the draft of revision {revision}.",
        "report-recalled": "{destination} was told that the report is taken back.",
        "draft-hidden": "{destination} has the signed report, and was told to hide the draft.",
        "report-left-behind": "{destination} has the report and could not be told that it is taken back.",
        "object-left-out": "The form {kind} could not be made for {destination}; the others were sent.",
        "seen-final-in-place": "At {destination} a person has signed what our draft was there; it is not taken back.",
        "seen-final-elsewhere": "A signed report of this study, made elsewhere, was seen.",
        "seen-canceled-at-pacs": "The PACS rejected or deleted an image of this study.",
        "seen-canceled-for-safety": "The PACS rejected an image of this study for the patient's safety.",
        "seen-patient-changed": "A message said that the patient was merged or changed.",
        "delivery-sent": "Sent to {destination}, which answered success.",
        "delivery-committed": "{destination} proved that it had it, by {proof}.",
        "delivery-missing": "{destination} answered success but did not have it; it was queued again.",
        "delivery-attempt-failed": "{destination} did not take or prove it, attempt {attempt}.",
        "study-missing": "{lost_by} no longer had the study, attempt {attempt} for {destination}; it was asked again.",
        "film-missing": "{lost_by} no longer had a film of the draft, attempt {attempt} for {destination}; it was "
        "asked again.",
        "delivery-refused": "{destination} took no objects of the form {kind}; it was to get another, or do without.",
        "delivery-failed": "Given up for {destination}: a dead letter.",
        "commitment-not-reported": "{ae_title} was not told what is kept safely here; attempt {attempts} was the last.",
        "delivery-closed": "The dead letter for {destination} ({was}) was closed: {explanation}.",
        "revision-delivered": "Revision {revision} was delivered: every destination proved it.",
        "revision-excluded": "Revision {revision} was excluded: {reason}.",
        "revision-dead-lettered": "Revision {revision} became a dead letter: {reason}.",
        "revision-awaiting-sign-off": "Revision {revision} was drafted, to wait for a radiologist's signature.",
        "revision-closed-undelivered": "Revision {revision} was closed: {reason}.",
        "question-asked": "A question about the film was put to the reader.",
        "question-answered": "The reader answered a question about the film.",
        "question-failed": "A question about the film got no answer.",
        "study-seen": "Somebody looked at it: {what}.",
        "user-signed-in": "Signed in from {address}, by {way}.",
        "user-signed-out": "Signed out.",
        "sign-in-refused": "A sign-in from {address} was refused.",
        "pin-refused": "A PIN was wrong.",
        "sessions-ended": "Sessions of {user} that were ended: {count}.",
        "user-added": "User {user} was added, as {roles}.",
        "user-edited": "What is known of user {user} was changed.",
        "roles-changed": "User {user} was {before}, and is {after}.",
        "user-disabled": "User {user} was switched off.",
        "user-enabled": "User {user} was switched on.",
        "link-made": "A one-time link ({purpose}) was made for {user}.",
        "password-set": "A password was set, by {by}.",
        "pin-set": "A PIN was set.",
        "token-added": "Program {service} got a token: {scopes}.",
        "token-removed": "Program {service} lost its token.",
        "audit-exported": "The audit trail was taken out; rows: {rows}.",
        "switched": "The switch {switch} was set to {on}.",
        "pixels-deleted": "The received files were deleted; the books stayed.",
    }
)


_UNRECORDED: Final = MappingProxyType(
    {"reason": "no reason was recorded", "shown": "not recorded", "lost_by": "The PACS"}
)
_LISTS: Final = frozenset({"roles", "before", "after", "scopes"})  # with commas


class _Detail(dict[str, object]):
    """What an audit row says more; of a reason and of films it is said that it was not recorded, the rest is a mark."""

    def __missing__(self, key: str) -> str:
        return _UNRECORDED.get(key, "?")


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the timeline."""

    at: datetime
    actor: str
    sentence: str


def timeline(tx: Session, study_id: int) -> list[Happening]:
    """What happened to a study, in the order in which it happened."""
    rows = tx.scalars(
        select(AuditRow).where(AuditRow.study_id == study_id).order_by(AuditRow.id.desc()).limit(_MOST)
    ).all()
    return [Happening(row.at, in_words(row.actor), sentence(row)) for row in reversed(rows)]


def sentence(row: AuditRow) -> str:
    """One row of the audit trail in words."""
    told = {name: value for name, value in json.loads(row.detail).items() if value != ""}
    detail = _Detail(told | {name: told[name].replace(",", ", ") for name in _LISTS & told.keys()})
    if row.event in WORDS:
        return WORDS[row.event].format_map(detail)
    rest = ", ".join(f"{name} {value}" for name, value in detail.items())
    return f"{row.event.replace('-', ' ').capitalize()}{': ' if rest else '.'}{rest}"
