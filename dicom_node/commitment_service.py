"""Storage commitment at our port, in both directions: peers ask us about what they sent, and report on what we sent.

A request is booked before it is answered. Its report goes out on the association that asked, where that serves
nothing else and still stands a moment later without a word; else `send` reports on an association of its own, and again
until it is taken.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, cast

import structlog
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.pdu_primitives import A_ASSOCIATE
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dicom_node import commitment, mark
from dicom_node.access import Right
from dicom_node.aet import typed
from dicom_node.commitment import PUSH_MODEL, WELL_KNOWN, Malformed, Report
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.errors import SendFailure, StoreAway
from dicom_node.files import require
from dicom_node.peer import Address
from dicom_node.services import Handler, Offer
from dicom_node.terms import Terms
from dicom_node.tls import Secured
from dicom_node.worklist import commitments, promises
from dicom_node.worklist.commitments import Reference
from dicom_node.worklist.promises import Booked, Promise

log = structlog.get_logger("commitment")

SAME_ASSOCIATION_SECONDS: Final = 1.0  # without a word: whoever wants to send does so, whoever waits is silent
_LEASE = timedelta(seconds=15)  # of the report on the same association, before `send` takes it over
_REPORT_NOW = 1  # Action Type ID of a request (PS3.4 J.3.2.1.1)

Asked = Callable[[Session, frozenset[int], str, datetime], None]


def nothing_more(_tx: Session, _study_ids: frozenset[int], _calling_ae_title: str, _now: datetime) -> None:
    """Conclude nothing from a request."""


class Commitment:
    """The service that the listener offers. `on_request` is told, in the transaction of the request, which studies it
    is about and who asks: a modality that asks for commitment has sent all of them.
    """

    def __init__(self, config: NodeConfig, database: Database, on_request: Asked = nothing_more) -> None:
        self._config = config
        self._database = database
        self._on_request = on_request

    @property
    def offers(self) -> Sequence[Offer]:
        """Senders ask us; those that we send to report, as the SCP of an association that they open."""
        return (Offer(PUSH_MODEL, frozenset({Right.SEND, Right.RECEIVE}), scu_role=True, scp_role=True),)

    @property
    def handlers(self) -> Mapping[evt.InterventionEvent, Handler]:
        """N-ACTION and N-EVENT-REPORT."""
        return MappingProxyType({evt.EVT_N_ACTION: self._handle_request, evt.EVT_N_EVENT_REPORT: self._handle_report})

    def _handle_report(self, event: evt.Event) -> tuple[int, None]:
        return commitment.answer_report(event, lambda report: book_report(self._database, report)), None

    def _handle_request(self, event: evt.Event) -> tuple[int, Dataset | None]:
        if event.action_type != _REPORT_NOW:
            return commitment.NO_SUCH_ACTION, None
        if str(cast(N_ACTION, event.request).RequestedSOPInstanceUID) != WELL_KNOWN:
            return commitment.NO_SUCH_INSTANCE, None
        try:
            transaction_uid, references = commitment.read_request(event.action_information)
        except Malformed as malformed:
            log.warning("commitment_request_malformed", explanation=str(malformed), **_caller(event.assoc))
            return malformed.status, None
        try:
            booked = self._book(event.assoc, transaction_uid, references)
        except SQLAlchemyError as error:
            log.error("database_unavailable", error=type(error).__name__, **_caller(event.assoc))
            return commitment.RESOURCE_LIMITATION, None
        if booked is Booked.OTHER:
            return commitment.DUPLICATE_INVOCATION, None
        log.info("commitment_asked_of_us", objects=len(references), transaction_uid=transaction_uid, booked=booked)
        if _is_for_commitment_only(event.assoc):
            Quiet(event.assoc, lambda quiet: self._report_on(quiet, transaction_uid)).start()
        return commitment.SUCCESS, None

    def _book(self, association: Association, transaction_uid: str, references: Sequence[Reference]) -> Booked:
        calling = _title(association.requestor.ae_title)
        with self._database.write() as tx:
            now = clock(tx)
            booked = promises.record_request(
                tx,
                transaction_uid,
                references,
                calling_ae_title=calling,
                called_ae_title=_title(cast(A_ASSOCIATE, association.requestor.primitive).called_ae_title),
                now=now,
                report_after=timedelta(seconds=3 * SAME_ASSOCIATION_SECONDS),
            )
            self._on_request(tx, promises.studies_of(tx, references), calling, now)
        return booked

    def _report_on(self, quiet: Quiet, transaction_uid: str) -> None:
        """On the association that asked; what fails here, or is too late for that, is tried by `send`."""
        association = quiet.association
        calling = _title(association.requestor.ae_title)
        try:
            with self._database.read() as tx:
                named = mark.named(tx)
            require(self._config.store_folder, named)  # before anything is locked: the disk may hang
            with self._database.write() as tx:
                now = clock(tx)
                promise = promises.report_on(
                    tx, transaction_uid, calling, now=now, store=self._config.store_folder, wait=_LEASE
                )
            if promise is None or not quiet.lasts():
                return
            commitment.send_report(association, promise)
            _reported(self._database, promise)
        except (SendFailure, StoreAway) as failure:
            log.info("commitment_not_reported", explanation=str(failure), **_caller(association))
        except SQLAlchemyError as error:
            log.error("database_unavailable", error=type(error).__name__, **_caller(association))


class Quiet(threading.Thread):
    """Waits until an association was silent for a moment, and acts if it still stands then."""

    def __init__(self, association: Association, act: Callable[[Quiet], None]) -> None:
        super().__init__(name="commitment", daemon=True)
        self.association = association
        self._act = act
        self._spoke = threading.Event()
        association.bind(evt.EVT_PDU_RECV, self._handle_pdu)

    def run(self) -> None:
        """Wait, and act. Whoever speaks on has his report on another association."""
        try:
            self._spoke.wait(SAME_ASSOCIATION_SECONDS)
            if self.lasts():
                self._act(self)
        finally:
            self.association.unbind(evt.EVT_PDU_RECV, self._handle_pdu)

    def lasts(self) -> bool:
        """Does the association stand, and was nothing said on it? To be asked again after whatever takes time."""
        return not self._spoke.is_set() and self.association.is_established

    def _handle_pdu(self, _event: evt.Event) -> None:
        self._spoke.set()


class Reporter:
    """Reports on associations of our own what could not be said on those that asked. For a thread of `send`."""

    def __init__(self, config: NodeConfig, database: Database) -> None:
        self._config = config
        self._database = database

    def report_one(self) -> bool:
        """Send the next report that is due; False when there is none. Raises StoreAway: who asks is told later."""
        with self._database.read() as tx:
            if not promises.is_report_due(tx, clock(tx)):
                return False
            require(self._config.store_folder, mark.named(tx))
        with self._database.write() as tx:
            promise = promises.claim_report(
                tx,
                clock(tx),
                store=self._config.store_folder,
                wait=self._patience,
                give_up=timedelta(hours=self._config.give_up_hours),
            )
        if promise is None:
            return False
        try:
            commitment.report_to(self._address(promise), promise)
        except SendFailure as failure:
            self._try_again(promise, failure)
        else:
            _reported(self._database, promise)
        return True

    def _patience(self, terms: Terms) -> timedelta:
        """Longer than one report to a peer with these terms can take."""
        return timedelta(seconds=terms.seconds_for(2, usual=self._config.dimse_timeout_seconds))

    def _address(self, promise: Promise) -> Address:
        if not promise.host:
            title = promise.peer_ae_title
            raise SendFailure(f"{title} has no address: wetread ae edit {typed(title)} --address HOST:PORT")
        patience = promise.terms.dimse_timeout_seconds or self._config.dimse_timeout_seconds
        return Address(
            promise.own_ae_title,
            promise.peer_ae_title,
            promise.host,
            promise.port,
            min(10, patience),
            patience,
            Secured(self._config.tls_files, promise.tls_name) if promise.tls_name else None,
            promise.terms,
        )

    def _try_again(self, promise: Promise, failure: SendFailure) -> None:
        with self._database.write() as tx:
            waits = self._config.retry_seconds
            wait = waits[min(promises.attempts_of(tx, promise), len(waits)) - 1]
            retry_at = clock(tx) + timedelta(seconds=wait)
            promises.mark_not_reported(tx, promise, error=str(failure), retry_at=retry_at)
        log.warning("commitment_not_reported", seconds=wait, explanation=str(failure))


def book_report(database: Database, report: Report) -> int:
    """Enter what a peer reports on what we sent; returns the status to answer with."""
    try:
        with database.write() as tx:
            is_known = commitments.book_report(
                tx, report.transaction_uid, committed=report.committed, failed=report.failed, now=clock(tx)
            )
    except SQLAlchemyError as error:
        log.error("database_unavailable", error=type(error).__name__)
        return commitment.RESOURCE_LIMITATION
    if not is_known:
        log.warning("commitment_report_unknown", transaction_uid=report.transaction_uid)
        return commitment.INVALID_ARGUMENT
    log.info(
        "commitment_reported",
        transaction_uid=report.transaction_uid,
        committed=len(report.committed),
        failed=len(report.failed),
    )
    return commitment.SUCCESS


def _reported(database: Database, promise: Promise) -> None:
    with database.write() as tx:
        promises.mark_reported(tx, promise, clock(tx))
    log.info(
        "commitment_reported_by_us",
        transaction_uid=promise.transaction_uid,
        ae_title=promise.peer_ae_title,
        committed=len(promise.committed),
        failed=len(promise.failed),
    )


def _is_for_commitment_only(association: Association) -> bool:
    """Where it may carry anything else, the peer's next C-STORE could be taken for its answer to our report."""
    return all(context.abstract_syntax == PUSH_MODEL for context in association.accepted_contexts)


def _title(text: object) -> str:
    return str(text).strip()[:16]


def _caller(association: Association) -> dict[str, str]:
    return {
        "calling_ae_title": _title(association.requestor.ae_title),
        "address": association.requestor.address or "",
    }
