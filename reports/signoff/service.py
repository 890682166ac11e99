"""The sign-off service: what the pages and the JSON API call. Each act is one transaction, after all that is slow.

Documents are built, checked and durable before the transaction that names them; that one locks the study, compares
everything they depend on again, and commits the report's state, the signature, the deliveries, the decision and the
audit row together. A crash before the commit leaves files that no row names, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydicom import Dataset
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.database import Database, clock
from dicom_node.tables import DeliveryState
from reports import drafts, glance, life, shelf
from reports.outbox import Workshop
from reports.signoff import bookings, copies, documents, edits, endings, permits
from reports.signoff.documents import Written
from reports.signoff.edits import Contradiction
from reports.signoff.errors import NotAllowed, OpenedByAnother, Restless
from reports.signoff.opened import FirstSignature, Opened, Signed, handling, opened, signed
from reports.signoff.person import Person
from reports.signoff.reasons import WORDS, Reason
from reports.signoff.scene import Scene, look, report_of, signed_report_of, standing, study_of
from reports.signoff.tables import Identity, WorkingCopy
from reports.tables import Event, Report, ReportState
from reports.text import DraftText, clean

__all__ = ["FirstSignature", "Opened", "SignOff", "Signed"]

_TRIES: Final = 4
_CLOSED: Final = "A radiologist has closed this AI draft: another draft of the study became its signed report."
_TAKEN_OVER: Final = "A radiologist has taken this AI draft over, as an addendum to the signed report of the study."


@dataclass(frozen=True, slots=True)
class SignOff:
    """Passed down; holds nothing that changes. store_folder: where documents lie.

    All moments are aware. Every method raises NotFound for a report or study that there is not.
    """

    database: Database
    store_folder: Path
    workshop: Workshop

    # --- the working copy ---------------------------------------------------------------------------------------------

    def look(self, report_id: int, person: Person, now: datetime) -> Opened:
        """Show a report to somebody who does not want to edit it."""
        with self.database.read() as tx:
            scene = look(tx, report_id)
            there = handling(tx, report_id, person)
        return opened(scene, there, person, *self._texts(scene), now)

    def open_(self, report_id: int, person: Person, now: datetime) -> Opened:
        """Open a report to edit and sign it; `mine` is False where somebody else has it open, or it is signed or over,
        or waits for a second signature that cannot be this person's.

        Who has been silent for two minutes has it open no longer. `film_shown` comes after it: no older look counts.
        """
        with self.database.read() as tx:
            scene = look(tx, report_id)
            handled = handling(tx, report_id, person)
        drafted, final = self._texts(scene)
        there = opened(scene, handled, person, drafted, final, now)
        is_barred = not permits.could_save(scene, person) or (there.holder is not None and not there.mine)
        if is_barred and not there.film_shown:
            return there  # nothing to write, for which others would have to wait
        with self.database.write() as tx:
            life.lock(tx, scene.study_id)
            copies.forget_shown(tx, report_id, person)
            scene = look(tx, report_id)
            if permits.could_save(scene, person):
                copy = copies.copy_of(tx, report_of(tx, report_id))
                before = copy.holder_login if copy.holder_id not in {None, person.user_id} else ""
                if copies.take(copy, person, now) and before:
                    detail = {"silent": before}
                    self._audit(tx, "report-taken-over", scene.study_id, person, **detail)
            return opened(scene, handling(tx, report_id, person), person, drafted, final, now)

    def touch(self, report_id: int, person: Person, now: datetime) -> bool:
        """A sign of life of whoever has it open, every half minute; False where it is not theirs any more."""
        with self._locked(report_id) as (tx, report):
            copy = tx.get(WorkingCopy, report.id)
            mine = copy is not None and copy.holder_id == person.user_id
            if copy is not None and mine:
                copy.heard_at = now
            return mine

    def leave(self, report_id: int, person: Person) -> None:
        """Give it free; nothing happens where somebody else has it."""
        with self._locked(report_id) as (tx, report):
            copy = tx.get(WorkingCopy, report.id)
            if copy is not None and copy.holder_id == person.user_id:
                copies.let_go(copy)

    def hand_over(self, report_id: int, person: Person, to: Person, now: datetime) -> None:
        """Give it free for somebody: it is kept for that one for a while.

        Raises OpenedByAnother, AlreadySigned, Ended; NotAllowed where that one could not sign second.
        """
        with self._locked(report_id) as (tx, report):
            copy = copies.copy_of(tx, report)
            held = copies.holder_of(copy, now)
            if held is not None and held.user_id != person.user_id:
                raise OpenedByAnother(held.login, held.since)
            scene = look(tx, report_id)
            permits.may_be_handed(scene, to)
            copies.offer(copy, to.user_id, now)
            self._audit(tx, "report-handed-over", scene.study_id, person, to=to.login)

    def save(
        self, report_id: int, person: Person, text: DraftText, chips: Mapping[str, str], version: int, now: datetime
    ) -> int:
        """Keep the text as edited, also half-finished; returns the new version.

        Raises StaleVersion, OpenedByAnother, Unwritable, AlreadySigned, Ended; NotAllowed and SamePerson where it has a
        first signature and this person could not be the second.
        """
        documents.must_fit(text)
        with self._locked(report_id) as (tx, report):
            permits.may_save(look(tx, report_id), person)
            copy = copies.copy_of(tx, report)
            copies.must_be_free(copy, person, version, now)
            copies.take(copy, person, now)
            copies.write(copy, person, text, chips, now)
            return copy.version

    def film_shown(self, report_id: int, person: Person, now: datetime) -> None:
        """The film was displayed to this person."""
        with self._locked(report_id) as (tx, report):
            copies.copy_of(tx, report)
            copies.show(tx, report, person, now)

    def identity_checked(self, report_id: int, outcome: Identity, now: datetime) -> None:
        """The PACS was asked whose study it is."""
        with self._locked(report_id) as (tx, report):
            copy = copies.copy_of(tx, report)
            copy.identity, copy.identity_at = outcome.value, now

    # --- acts ---------------------------------------------------------------------------------------------------------

    def accept(self, report_id: int, person: Person, version: int, now: datetime) -> Signed:
        """Sign the words of the draft as they are. Raises as `sign`."""
        drafted = documents.text_of(self._draft(report_id))
        return self._sign(report_id, person, drafted, version, now, permits.may_sign)

    def sign(self, report_id: int, person: Person, text: DraftText, version: int, now: datetime) -> Signed:
        """Sign: a radiologist's signature verifies, a trainee's attests and waits for a second one.

        Raises AlreadySigned, StaleVersion, OpenedByAnother, PatientChanged, NotShown, IdentityUnproven, NotAllowed,
        Ended, NotCurrent, Unwritable; CannotSign, DocumentRefused, TextRefused.
        """
        return self._sign(report_id, person, documents.cleaned(text), version, now, permits.may_sign)

    def cosign(self, report_id: int, person: Person, text: DraftText, version: int, now: datetime) -> Signed:
        """Sign second what awaits it. Raises SamePerson, and as `sign`."""
        return self._sign(report_id, person, documents.cleaned(text), version, now, permits.may_cosign)

    def send_back(self, report_id: int, person: Person, words: str, now: datetime) -> None:
        """Refuse the second signature: a draft again, its words kept; the first signature lapses.

        words: why, without a patient's data. now: aware. Raises NotAllowed, AlreadySigned, Ended, Unwritable,
        OpenedByAnother.
        """
        said = documents.a_sentence(words, "sending a report back")
        drafted = shelf.findings_in(self._draft(report_id))
        with self._locked(report_id) as (tx, report):
            scene = look(tx, report_id)
            permits.may_send_back(scene, person)
            copy = copies.copy_of(tx, report)
            copies.must_be_free(copy, person, copy.version, now)
            copies.let_go(copy)
            moment = clock(tx)
            drafts.move(report, ReportState.DRAFT, Event.SENT_BACK, moment)
            report.explanation = said
            endings.lapse(tx, report_id, moment)
            glance.say_anew(tx, report_id, drafted)
            self._audit(tx, "report-sent-back", scene.study_id, person)

    def reject(
        self, report_id: int, person: Person, reason: Reason, words: str, now: datetime, *, for_safety: bool = False
    ) -> None:
        """End a draft: whoever has it is told, by 113001, or 113037 for the patient's safety.

        words: more than the reason says, without a patient's data; may be empty. Raises AlreadySigned, NotAllowed,
        Ended, OpenedByAnother; NotShown, of a draft beside a signed report.
        """
        more = clean(words)
        said = f"A person has rejected this AI draft for {WORDS[reason]}."
        scene = self._look(report_id)
        permits.may_reject(scene, person, for_safety=for_safety)
        edit = edits.refused(documents.text_of(shelf.load(self.store_folder, scene.draft_digest)))
        film = documents.film_of(self.store_folder, scene, self.workshop)
        with self._locked(report_id) as (tx, report):
            scene = look(tx, report_id)
            permits.may_reject(scene, person, for_safety=for_safety)
            if scene.beside is not None:  # nobody else looks at its film any more
                copies.must_have_seen(tx, report, person)
            copy = copies.copy_of(tx, report)
            copies.must_be_free(copy, person, copy.version, now)
            moment = clock(tx)
            event = Event.REJECTED_FOR_SAFETY if for_safety else Event.REJECTED
            life.end(tx, report, event, moment, actor=person.actor, explanation=f"{said} {more}".strip())
            bookings.decide(tx, scene, person, edit, film, moment, reason=reason.value)
            copies.let_go(copy)

    def close(self, report_id: int, person: Person, now: datetime) -> None:
        """End a draft that stands beside a signed report, without a judgment of its words; whoever has it is told.

        Raises AlreadySigned, NotAllowed, NotShown, Ended, OpenedByAnother.
        """
        with self._locked(report_id) as (tx, report):
            permits.may_close(look(tx, report_id), person)
            copies.must_have_seen(tx, report, person)
            copy = copies.copy_of(tx, report)
            copies.must_be_free(copy, person, copy.version, now)
            copies.let_go(copy)
            life.end(tx, report, Event.SIGNED_ALREADY, clock(tx), actor=person.actor, explanation=_CLOSED)

    def addendum(self, study_id: int, person: Person, words: str, now: datetime, *, seen: int | None = None) -> Signed:
        """Add to the signed report of a study.

        seen: number of the signed document that the person saw: one that was sent twice is added once. Raises
        NotAllowed (a draft, a trainee), NotShown, IdentityUnproven, SignedSince, PatientChanged, Unwritable.
        """
        report_id = self._signed_report(study_id, "an addendum")

        def ready(tx: Session) -> None:
            self._must_have_looked(tx, report_id, person, now)

        return self._add(report_id, person, words, now, seen, ready, lambda _tx: None)

    def take_over(
        self, report_id: int, person: Person, words: str, version: int, now: datetime, *, seen: int | None = None
    ) -> Signed:
        """Add words of a draft to the signed report that stands beside it, and end the draft, in one commit.

        version: of the draft's text. seen: as `addendum`. Raises as `addendum` and `close`; StaleVersion.
        """
        scene = self._look(report_id)
        permits.may_close(scene, person)

        def ready(tx: Session) -> None:
            permits.may_close(look(tx, report_id), person)
            copies.must_be_free(copies.copy_of(tx, report_of(tx, report_id)), person, version, now)
            self._must_have_looked(tx, report_id, person, now)

        def end(tx: Session) -> None:
            report = tx.get_one(Report, report_id, populate_existing=True, with_for_update=True)
            copies.let_go(copies.copy_of(tx, report))
            life.end(tx, report, Event.SIGNED_ALREADY, clock(tx), actor=person.actor, explanation=_TAKEN_OVER)

        return self._add(self._signed_report(scene.study_id, "an addendum"), person, words, now, seen, ready, end)

    def _add(
        self,
        report_id: int,
        person: Person,
        words: str,
        now: datetime,
        seen: int | None,
        ready: Callable[[Session], None],
        then: Callable[[Session], None],
    ) -> Signed:
        """ready: raises where the person has not looked; then: what else the commit does."""
        said = documents.a_sentence(words, "an addendum")
        for _ in range(_TRIES):
            scene = self._look(report_id)
            permits.may_add(scene, person, seen)
            draft = shelf.load(self.store_folder, scene.draft_digest)
            documents.must_agree(self.store_folder, scene, draft, self.workshop)
            written = documents.add(self.store_folder, scene, draft, person, said, now, self.workshop)
            with self._locked(report_id) as (tx, _report):
                again = look(tx, report_id)
                permits.may_add(again, person, seen)
                ready(tx)
                if again == scene:
                    state = bookings.enter(tx, scene, person, written, now, clock(tx))
                    then(tx)
                    return signed(scene, written, state)
        raise Restless

    def withdraw(self, study_id: int, person: Person, words: str, now: datetime, *, for_safety: bool = False) -> None:
        """Take the signed report of a study back, with its addenda and its draft, wherever they went.

        words: why; it goes to whoever has the report, so no patient's data. Raises NotAllowed, Unwritable.
        """
        said = documents.a_sentence(words, "a withdrawal")
        report_id = self._signed_report(study_id, "a withdrawal")
        with self._locked(report_id) as (tx, report):
            permits.may_withdraw(look(tx, report_id), person)
            moment = clock(tx)
            event = Event.WITHDRAWN_FOR_SAFETY if for_safety else Event.WITHDRAWN
            life.end(tx, report, event, moment, actor=person.actor, explanation=said)
            endings.take_back(tx, report_id, now)

    # --- questions ----------------------------------------------------------------------------------------------------

    def warnings(self, text: DraftText, chips: Mapping[str, str]) -> tuple[Contradiction, ...]:
        """Chips that contradict the text."""
        return edits.warnings(text, chips)

    def in_pacs(self, study_id: int) -> Mapping[str, DeliveryState]:
        """By destination how far the newest signed document is: the least of its objects. COMMITTED: it is there."""
        with self.database.read() as tx:
            return MappingProxyType(standing(tx, study_id))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _sign(
        self,
        report_id: int,
        person: Person,
        text: DraftText,
        version: int,
        now: datetime,
        permit: Callable[[Scene, Person], None],
    ) -> Signed:
        for _ in range(_TRIES):
            with self.database.read() as tx:
                scene = look(tx, report_id)
                permit(scene, person)
                self._must_be_ready(tx, report_id, person, version, now)
            draft = shelf.load(self.store_folder, scene.draft_digest)
            documents.must_agree(self.store_folder, scene, draft, self.workshop)
            edit = edits.compared(documents.text_of(draft), text)
            film = documents.film_of(self.store_folder, scene, self.workshop)
            written = self._write(scene, draft, person, text, now)
            with self._locked(report_id) as (tx, report):
                bookings.hold_drafts(tx, report.revision_id)
                again = look(tx, report_id)
                permit(again, person)
                self._must_be_ready(tx, report_id, person, version, now)
                if again != scene:
                    continue
                moment = clock(tx)
                state = bookings.enter(tx, scene, person, written, now, moment)
                if state is ReportState.VERIFIED:
                    bookings.decide(tx, scene, person, edit, film, moment)
                copies.close(copies.copy_of(tx, report), text if state is ReportState.AWAITING_SECOND else None)
                return signed(scene, written, state)
        raise Restless

    def _write(self, scene: Scene, draft: Dataset, person: Person, text: DraftText, now: datetime) -> Written:
        alone = scene.first is None
        if alone and (not person.may_verify or self.workshop.config.second_signature == "always"):
            return documents.attest(self.store_folder, scene, person, text, now)
        return documents.verify(self.store_folder, scene, draft, person, text, now, self.workshop)

    def _must_be_ready(self, tx: Session, report_id: int, person: Person, version: int, now: datetime) -> None:
        unasked = self.workshop.config.sign_unasked
        copies.must_be_ready(tx, report_of(tx, report_id), person, version, now, unasked=unasked)

    def _must_have_looked(self, tx: Session, report_id: int, person: Person, now: datetime) -> None:
        unasked = self.workshop.config.sign_unasked
        copies.must_have_looked(tx, report_of(tx, report_id), person, now, unasked=unasked)

    def _look(self, report_id: int) -> Scene:
        with self.database.read() as tx:
            return look(tx, report_id)

    def _draft(self, report_id: int) -> Dataset:
        with self.database.read() as tx:
            digest = report_of(tx, report_id).digest
        return shelf.load(self.store_folder, digest)

    def _texts(self, scene: Scene) -> tuple[DraftText, DraftText | None]:
        """The words of the draft, and those that were signed last."""
        drafted = documents.text_of(shelf.load(self.store_folder, scene.draft_digest))
        if scene.last is None:
            return drafted, None
        return drafted, documents.text_of(shelf.load(self.store_folder, scene.last.digest))

    def _signed_report(self, study_id: int, what: str) -> int:
        with self.database.read() as tx:
            report = signed_report_of(tx, study_id)
        if report is None:
            raise NotAllowed(f"{what} needs a signed report; study #{study_id} has none")
        return report.id

    @contextmanager
    def _locked(self, report_id: int) -> Iterator[tuple[Session, Report]]:
        """A transaction with the study locked before any other row, and its report: a draft may be expiring."""
        with self.database.write() as tx:
            life.lock(tx, study_of(tx, report_id))
            yield tx, tx.get_one(Report, report_id, populate_existing=True, with_for_update=True)

    def _audit(self, tx: Session, event: str, study_id: int, person: Person, **detail: str | int) -> None:
        audit.append(tx, event, at=clock(tx), actor=person.actor, study_id=study_id, **detail)
