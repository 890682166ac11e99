"""The sign-off service: what the pages and the JSON API call. Each act is one transaction, after all that is slow.

Documents are built, checked and durable before the transaction that names them; that one locks the study, compares
everything they depend on again, and commits the report's state, the signature, the deliveries, the decision and the
audit row together. A crash before the commit leaves files that no row names, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dicom_node.database import Database
from dicom_node.tables import DeliveryState
from reports.outbox import Workshop
from reports.signoff import edits
from reports.signoff.copies import Holder
from reports.signoff.edits import Contradiction
from reports.signoff.person import Person
from reports.signoff.reasons import Reason
from reports.signoff.tables import Identity, SignedKind
from reports.tables import ReportState
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
class Opened:
    """A report as the page shows it to one person.

    text: as edited, or as drafted where nobody has edited it. drafted: what the model wrote. chips: label to state,
    those that a person has set. version: to be given back with every change. holder: who has it open; None: nobody.
    mine: this person may edit it now. offered_to: user to whom it was handed over, until that one opens it.
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
class SignOff:
    """Passed down; holds nothing that changes. store_folder: where documents lie (`node.store_folder`).

    All moments are aware. Every method raises NotFound for a report or study that there is not.
    """

    database: Database
    store_folder: Path
    workshop: Workshop

    # --- the working copy ---------------------------------------------------------------------------------------------

    def look(self, report_id: int, person: Person, now: datetime) -> Opened:
        """Show a report to somebody who does not want to edit it."""
        raise NotImplementedError

    def open_(self, report_id: int, person: Person, now: datetime) -> Opened:
        """Open a report to edit and sign it; `mine` is False where somebody else has it open."""
        raise NotImplementedError

    def touch(self, report_id: int, person: Person, now: datetime) -> bool:
        """A sign of life of whoever has it open, every half minute; False where it is not theirs any more."""
        raise NotImplementedError

    def leave(self, report_id: int, person: Person) -> None:
        """Give it free; nothing happens where somebody else has it."""
        raise NotImplementedError

    def hand_over(self, report_id: int, person: Person, to_user_id: int, now: datetime) -> None:
        """Give it free for somebody: the worklist shows it to that one. Raises OpenedByAnother."""
        raise NotImplementedError

    def save(
        self, report_id: int, person: Person, text: DraftText, chips: Mapping[str, str], version: int, now: datetime
    ) -> int:
        """Keep the text as edited, also half-finished; returns the new version.

        Raises StaleVersion, OpenedByAnother, Unwritable, AlreadySigned, Ended.
        """
        raise NotImplementedError

    def film_shown(self, report_id: int, person: Person, now: datetime) -> None:
        """The film was displayed to this person."""
        raise NotImplementedError

    def identity_checked(self, report_id: int, outcome: Identity, now: datetime) -> None:
        """The PACS was asked whose study it is."""
        raise NotImplementedError

    # --- acts ---------------------------------------------------------------------------------------------------------

    def accept(self, report_id: int, person: Person, version: int, now: datetime) -> Signed:
        """Sign the words of the draft as they are. Raises as `sign`."""
        raise NotImplementedError

    def sign(self, report_id: int, person: Person, text: DraftText, version: int, now: datetime) -> Signed:
        """Sign: a radiologist's signature verifies, a trainee's attests and waits for a second one.

        Raises AlreadySigned, StaleVersion, OpenedByAnother, PatientChanged, NotShown, IdentityUnproven, NotAllowed,
        Ended, NotCurrent, Unwritable; CannotSign, DocumentRefused, TextRefused.
        """
        raise NotImplementedError

    def cosign(self, report_id: int, person: Person, text: DraftText, version: int, now: datetime) -> Signed:
        """Sign second what AWAITS it. Raises SamePerson, and as `sign`."""
        raise NotImplementedError

    def send_back(self, report_id: int, person: Person, words: str, now: datetime) -> None:
        """Refuse the second signature: a draft again; its first signature lapses. Raises NotAllowed, Unwritable."""
        raise NotImplementedError

    def reject(
        self, report_id: int, person: Person, reason: Reason, words: str, now: datetime, *, for_safety: bool = False
    ) -> None:
        """End a draft: whoever has it is told, by 113001, or 113037 for the patient's safety.

        words: more than the reason says, without a patient's data; may be empty. Raises AlreadySigned, NotAllowed,
        Ended, OpenedByAnother.
        """
        raise NotImplementedError

    def addendum(self, study_id: int, person: Person, words: str, now: datetime) -> Signed:
        """Add to the signed report of a study. Raises NotAllowed (a draft, a trainee), PatientChanged, Unwritable."""
        raise NotImplementedError

    def withdraw(self, study_id: int, person: Person, words: str, now: datetime, *, for_safety: bool = False) -> None:
        """Take the signed report of a study back, with its addenda and its draft, wherever they went.

        words: why; it goes to whoever has the report, so no patient's data. Raises NotAllowed, Unwritable.
        """
        raise NotImplementedError

    # --- questions ----------------------------------------------------------------------------------------------------

    def warnings(self, text: DraftText, chips: Mapping[str, str]) -> tuple[Contradiction, ...]:
        """Chips that contradict the text."""
        return edits.warnings(text, chips)

    def in_pacs(self, study_id: int) -> Mapping[str, DeliveryState]:
        """By destination how far the newest signed document is: the least of its objects. COMMITTED: it is there."""
        raise NotImplementedError
