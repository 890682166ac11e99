"""Radiologists at work in a ward: a draft is opened, looked at, and signed."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydicom import Dataset

from agent import drafting
from reports.signoff.person import Person
from reports.signoff.service import Opened, Signed, SignOff
from reports.signoff.tables import Identity
from reports.text import DraftText
from tests.unit.agent.ward import Ward, now

RITA = Person(1, "rita", "Reader^Rita", "Example Hospital", "R-7", "99EXAMPLE", may_verify=True)
CARL = Person(2, "carl", "Chief^Carl", "Example Hospital", "C-1", "99EXAMPLE", may_verify=True)
TOM = Person(3, "tom", "Trainee^Tom", "Example Hospital", "T-3", "99EXAMPLE", may_verify=False)
EDITED = DraftText("Small left pleural effusion. The lungs are clear.", "Effusion on the left.")


def service(ward: Ward) -> SignOff:
    return SignOff(ward.database, ward.desk.config.node.store_folder, drafting.workshop_of(ward.desk))


def ready(ward: Ward, person: Person = RITA, report_id: int | None = None, at: datetime | None = None) -> Opened:
    """Open it, look at the film, have the PACS asked."""
    chosen = ward.report().id if report_id is None else report_id
    moment = at or now()
    signing = service(ward)
    signing.open_(chosen, person, moment)
    signing.film_shown(chosen, person, moment)
    signing.identity_checked(chosen, Identity.SAME, moment)
    return signing.look(chosen, person, moment)


def add(ward: Ward, person: Person, words: str, at: datetime, *, seen: int | None = None) -> Signed:
    """An addendum to the only study, by somebody who has looked."""
    ready(ward, person, at=at)
    return service(ward).addendum(ward.study().id, person, words, at, seen=seen)


def sign(ward: Ward, person: Person = RITA, text: DraftText = EDITED) -> Signed:
    opened = ready(ward, person)
    return service(ward).sign(opened.report_id, person, text, opened.version, now() + timedelta(seconds=1))


def predecessor(document: Dataset) -> str | None:
    """SOP Instance UID of the document that this one replaces."""
    for study in document.get("PredecessorDocumentsSequence") or []:
        return str(study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
    return None
