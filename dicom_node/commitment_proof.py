"""Proof by storage commitment for the outbox: ask, wait, act on what the peer reports; a query where it does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final, Protocol

import structlog

from dicom_node.commitment import Asker, NotCommitting, in_words
from dicom_node.commitment_service import book_report
from dicom_node.database import Database, clock
from dicom_node.errors import SendFailure
from dicom_node.peer import Address
from dicom_node.tables import Proof, Way
from dicom_node.transports import Destination, Parcel
from dicom_node.uids import derived_uid
from dicom_node.worklist import Consignment, commitments, mark_committed, mark_missing
from dicom_node.worklist.commitments import Standing, Step

log = structlog.get_logger("send")

_GONE: Final = 0x0112  # it has no such object: sent again
_OTHER_CLASS: Final = 0x0119
_NOT_ITS_CLASS: Final = 0x0122  # it stores the class but commits none of it
_ASK_AGAIN: Final = 3  # reports that did not promise it before a query decides: asked for ever, a peer says the same
_RETRY: Final = timedelta(seconds=30)  # of what was asked together with what a peer refused


class Addresses(Protocol):
    """Where a destination is."""

    def address(self, to: Destination) -> Address:
        """Both ends of an association with it."""


class CommitmentProof:
    """Asks the destinations that are to prove by storage commitment. Several threads may call it at once."""

    def __init__(
        self,
        database: Database,
        addresses: Addresses,
        new_token: Callable[[], str],
        *,
        patience: timedelta,
        keep_seconds: float = 10,
    ) -> None:
        """patience: how long a report is waited for; keep_seconds: how long on the association that asked."""
        self._database = database
        self._addresses = addresses
        self._new_token = new_token
        self._patience = patience
        self._asker = Asker(lambda report: book_report(database, report), keep_seconds=keep_seconds)

    def close(self) -> None:
        """Release the associations that wait for reports."""
        self._asker.close()

    @staticmethod
    def is_for(held: Consignment) -> bool:
        """Is that the proof? What was called off is only asked for by a query: nobody wants it kept."""
        to = held.to
        return to is not None and to.proof is Proof.COMMITMENT and to.way is Way.DIMSE and not held.called_off

    def prove(self, held: Consignment, parcel: Parcel) -> bool:
        """Take the next step; False where a query is the proof. Raises SendFailure to ask again later, LeaseLost."""
        with self._database.read() as tx:
            standing = commitments.standing_of(tx, held, clock(tx), patience=self._patience)
        if standing.step is Step.ASK:
            return self._ask(held, parcel)
        if standing.step is Step.FAILED:
            return self._act_on(standing, held)
        if standing.step is Step.OVERDUE:
            log.warning("commitment_overdue", destination=held.destination, sop_instance_uid=held.sop_instance_uid)
            return False
        with self._database.write() as tx:
            now = clock(tx)
            if standing.until is not None:
                commitments.wait_for_report(tx, held, until=standing.until, now=now)
                return True
            mark_committed(tx, held, now, Proof.COMMITMENT)
        log.info("committed", destination=held.destination, sop_instance_uid=held.sop_instance_uid)
        return True

    def ask_anew(self, held: Consignment) -> bool:
        """Forget what was asked, so that the next attempt asks again; False where nothing was, or in vain."""
        with self._database.write() as tx:
            standing = commitments.standing_of(tx, held, clock(tx), patience=self._patience)
            return standing.reason != _NOT_ITS_CLASS and commitments.spend(tx, held) > 0

    def _ask(self, held: Consignment, parcel: Parcel) -> bool:
        uid = derived_uid("commitment", self._new_token())
        with self._database.write() as tx:
            now = clock(tx)
            references = commitments.open_transaction(tx, held, transaction_uid=uid, now=now, patience=self._patience)
        try:
            answered = self._asker.ask(self._addresses.address(parcel.destination), uid, references)
        except SendFailure as failure:
            with self._database.write() as tx:
                commitments.spend_transaction(tx, uid, retry_at=clock(tx) + _RETRY)
            if not isinstance(failure, NotCommitting):
                raise
            log.warning("no_commitment", destination=held.destination, explanation=str(failure))
            return False
        with self._database.write() as tx:
            now = clock(tx)
            commitments.wait_for_report(tx, held, until=now + self._patience, now=now)
        log.info("commitment_asked", destination=held.destination, objects=len(references), answered=answered)
        return True

    def _act_on(self, standing: Standing, held: Consignment) -> bool:
        """The peer does not commit: send again, ask again, ask by a query, or tell a person.

        An answer that leaves the query stays in the books, so that a query without a hit is not followed by the same
        question but by the next query, and in the end by the object once more.
        """
        reason = standing.reason
        words = f"{held.destination} does not commit to the object: {in_words(reason)}"
        log.warning("not_committed", destination=held.destination, sop_instance_uid=held.sop_instance_uid, words=words)
        leaves_query = standing.failures >= _ASK_AGAIN and reason not in {_GONE, _OTHER_CLASS}
        if reason == _NOT_ITS_CLASS or leaves_query:
            return False
        with self._database.write() as tx:
            commitments.spend(tx, held)
            if reason == _GONE:
                mark_missing(tx, held, clock(tx))
                return True
        raise SendFailure(words, permanent=reason == _OTHER_CLASS)
