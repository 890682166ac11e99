"""The outbox: what is due is checked once more, sent, and proven; what cannot be delivered becomes a dead letter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Final

import structlog

from dicom_node import mark, worklist
from dicom_node.commitment_proof import CommitmentProof
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.errors import LeaseLost, SendFailure, StoreAway, WetreadError
from dicom_node.files import read_document, require
from dicom_node.identity import FILM_GONE, GONE
from dicom_node.owner import this_process
from dicom_node.tables import DeliveryState, Way
from dicom_node.terms import AS_THE_NODE, Terms
from dicom_node.transports import Destination, Parcel, Transport
from dicom_node.worklist import Consignment, Outgoing, Refusal, known
from dicom_node.worklist.deliveries import own_delivery
from dicom_node.worklist.known_films import Films

log = structlog.get_logger("send")

Check = Callable[[bytes, Consignment], None]
Fallback = Callable[[bytes, Consignment], Outgoing | None]
Look = Callable[[Consignment], None]

# What a library may raise on a peer's odd answer, or the disk: booked as a failed attempt, so that it is not for ever.
_UNFORESEEN = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
MOST_ANSWERS: Final = 7  # in one attempt: whose study it is, two films, the storing, whose it is then; two to spare
_LOOK_AGAIN = 5  # questions without a hit before the object is sent again: an index may lag behind
_LOOK_AGAIN_FOR_CALLED_OFF = 15  # ... about 40 min: a busy peer may still book what it did not answer in time
_MISSING: Final = MappingProxyType({GONE: "study-missing", FILM_GONE: "film-missing"})
_CANNOT_BE_ASKED = frozenset({Way.MLLP, Way.WEBHOOK})  # their acknowledgement is all the proof there is


def nothing_instead(_payload: bytes, _held: Consignment) -> Outgoing | None:
    """Offer no other form of what a destination refuses."""
    return None


def asks_nobody(_held: Consignment) -> None:
    """Let everything leave without a question to others."""


class Sender:
    """Works off due deliveries, one call at a time; several threads may call `deliver_one`.

    `check` compares the bytes with the books just before they leave, and raises what keeps them here. `fallback` makes
    the same content in another form, its bytes in the store already, for a destination that takes no such class. `look`
    asks others whether it may leave; it raises SendFailure where it may not, and takes less than half a minute. Without
    `commitment` a query is the proof where storage commitment should be.
    """

    def __init__(
        self,
        config: NodeConfig,
        database: Database,
        transports: Mapping[Way, Transport],
        check: Check,
        new_token: Callable[[], str],
        *,
        fallback: Fallback = nothing_instead,
        look: Look = asks_nobody,
        commitment: CommitmentProof | None = None,
    ) -> None:
        self._config = config
        self._database = database
        self._transports = transports
        self._check = check
        self._new_token = new_token
        self._fallback = fallback
        self._look = look
        self._commitment = commitment

    def deliver_one(self) -> bool:
        """Send or prove the next due delivery; False when there is none. Raises StoreAway."""
        with self._database.read() as tx:
            require(self._config.store_folder, mark.named(tx))
            if not worklist.is_delivery_due(tx, clock(tx)):
                return False
        held = self._claim()
        if held is None:
            return False
        try:
            self._work_on(held)
        except LeaseLost:
            log.warning("lease_lost", delivery=held.delivery_id)
        except _UNFORESEEN as error:
            log.exception("sending_failed", delivery=held.delivery_id)
            words = f"{held.destination}: {type(error).__name__} while sending; the log of `send` says where"
            self._retry_or_bury(held, SendFailure(words, may_be_there=True))
        return True

    def _claim(self) -> Consignment | None:
        """The lease is by the destination's own time-outs: a slow one keeps the claims of no other for longer."""
        with self._database.write() as tx:
            now = clock(tx)
            lease = self._lease(AS_THE_NODE)
            held = worklist.claim_delivery(tx, sender=this_process(), token=self._new_token(), lease=lease, now=now)
            if held is not None and held.to is not None:
                own_delivery(tx, held).lease_until = now + self._lease(held.to.terms)
            return held

    def _lease(self, terms: Terms) -> timedelta:
        """Longer than one attempt can take."""
        return timedelta(seconds=terms.seconds_for(MOST_ANSWERS, usual=self._config.dimse_timeout_seconds))

    def _work_on(self, held: Consignment) -> None:
        try:
            to, transport = self._way_to(held)
            payload = read_document(self._config.store_folder, held.digest)
            self._check(payload, held)
        except StoreAway as away:
            self._wait_for_the_store(held, away)
            return
        except WetreadError as error:  # the check refused, or the document is gone: no retry mends that
            self._bury(held, str(error))
            return
        parcel = Parcel(
            destination=to,
            payload=payload,
            kind=held.kind,
            stage=held.stage,
            sop_class_uid=held.sop_class_uid,
            sop_instance_uid=held.sop_instance_uid,
            study_instance_uid=held.study_instance_uid,
            heard=partial(self._heard, held),
            films=Films(self._database, held.destination, held.study_instance_uid),
        )
        try:
            if held.state is DeliveryState.QUEUED:
                self._ask_others(held)
                self._send(held, transport, parcel)
            else:
                self._prove(held, transport, parcel)
        except SendFailure as failure:
            if failure.class_refused and held.state is DeliveryState.QUEUED:
                self._do_otherwise(held, payload, failure)
            else:
                self._retry_or_bury(held, failure)

    def _ask_others(self, held: Consignment) -> None:
        """Raises SendFailure where it may not leave. Whatever happens here, nothing has left."""
        try:
            self._look(held)
        except _UNFORESEEN as error:
            log.exception("asking_failed", delivery=held.delivery_id)
            words = f"{held.destination}: {type(error).__name__} while asking others; the log of `send` says where"
            raise SendFailure(words) from error

    def _way_to(self, held: Consignment) -> tuple[Destination, Transport]:
        if held.to is None:
            words = f"{held.destination} is no destination any more; see wetread ae list and wetread destination list"
            raise SendFailure(words, permanent=True)
        transport = self._transports.get(held.to.way)
        if transport is None:
            raise SendFailure(f"{held.destination}: nothing here sends by {held.to.way}", permanent=True)
        return held.to, transport

    def _heard(self, held: Consignment, named: bool) -> int:
        """Remember what a destination said of the study; how often in a row it has not named it, once it had."""
        if not named:
            return known.missed(self._database, held.destination, held.study_instance_uid)
        known.named(self._database, held.destination, [held.study_instance_uid])
        return 0

    def _send(self, held: Consignment, transport: Transport, parcel: Parcel) -> None:
        answer = transport.send(parcel)
        with self._database.write() as tx:
            worklist.mark_sent(tx, held, clock(tx))
        log.info("sent", destination=held.destination, sop_instance_uid=held.sop_instance_uid, answer=answer)

    def _prove(self, held: Consignment, transport: Transport, parcel: Parcel) -> None:
        if held.called_off and parcel.destination.way in _CANNOT_BE_ASKED:
            raise SendFailure(f"{held.destination} cannot be asked", permanent=True)
        commitment = self._commitment if self._commitment and self._commitment.is_for(held) else None
        if commitment and commitment.prove(held, parcel):
            return
        if self._is_there(transport, parcel, commitment, held):
            with self._database.write() as tx:
                worklist.mark_committed(tx, held, clock(tx))
            log.info("proven", destination=held.destination, sop_instance_uid=held.sop_instance_uid)
            return
        if held.attempt < (_LOOK_AGAIN_FOR_CALLED_OFF if held.called_off else _LOOK_AGAIN):
            raise SendFailure(f"{held.destination} does not find the object yet")
        with self._database.write() as tx:
            worklist.mark_missing(tx, held, clock(tx))
        log.warning("missing", destination=held.destination, sop_instance_uid=held.sop_instance_uid)

    def _is_there(
        self, transport: Transport, parcel: Parcel, commitment: CommitmentProof | None, held: Consignment
    ) -> bool:
        """Ask. Who did not report a commitment in time and takes no question either is asked for commitment again."""
        try:
            return transport.holds(parcel)
        except SendFailure as failure:
            if commitment and failure.permanent and commitment.ask_anew(held):
                words = f"{held.destination} reported no commitment in time, and cannot be asked"
                raise SendFailure(words) from failure
            raise

    def _do_otherwise(self, held: Consignment, payload: bytes, failure: SendFailure) -> None:
        """The destination takes no such class: another form, or without it; one refused form never stops the others."""
        try:
            instead = self._fallback(payload, held)
        except StoreAway as away:
            self._wait_for_the_store(held, away)
            return
        except WetreadError as error:
            log.warning("no_other_form", destination=held.destination, kind=held.kind, explanation=str(error))
            instead = None
        with self._database.write() as tx:
            done = worklist.mark_refused(tx, held, error=str(failure), instead=instead, now=clock(tx))
        tell = log.error if done is Refusal.DEAD_LETTER else log.warning
        tell("class_refused", destination=held.destination, kind=held.kind, done=done, explanation=str(failure))

    def _retry_or_bury(self, held: Consignment, failure: SendFailure) -> None:
        in_doubt = failure.may_be_there and held.state is DeliveryState.QUEUED
        rest = timedelta(seconds=self._config.retry_seconds[0]) if failure.unreachable else None
        with self._database.write() as tx:
            now = clock(tx)
            if failure.permanent or self._is_too_old(held, now):
                worklist.mark_failed(tx, held, error=str(failure), now=now, in_doubt=in_doubt, reason=failure.code)
                log.error("dead_letter", destination=held.destination, code=failure.code, explanation=str(failure))
                return
            wait, event = self._wait(held), _MISSING.get(failure.code, "delivery-attempt-failed")
            worklist.mark_retry(
                tx,
                held,
                error=str(failure),
                wait=wait,
                now=now,
                in_doubt=in_doubt,
                others_wait=rest,
                event=event,
                lost_by=failure.lost_by,
            )
        log.warning("will_retry", destination=held.destination, seconds=wait.total_seconds(), explanation=str(failure))

    def _wait_for_the_store(self, held: Consignment, away: StoreAway) -> None:
        """Try again, however old it is: nothing was said of it."""
        wait = self._wait(held)
        with self._database.write() as tx:
            worklist.mark_retry(tx, held, error=str(away), wait=wait, now=clock(tx))
        log.warning("will_retry", destination=held.destination, seconds=wait.total_seconds(), explanation=str(away))

    def _bury(self, held: Consignment, error: str) -> None:
        with self._database.write() as tx:
            worklist.mark_failed(tx, held, error=error, now=clock(tx))
        log.error("dead_letter", destination=held.destination, explanation=error)

    def _is_too_old(self, held: Consignment, now: datetime) -> bool:
        return now - held.queued_at > timedelta(hours=self._config.give_up_hours)

    def _wait(self, held: Consignment) -> timedelta:
        """Back-off grows with the attempts. A proof is asked for sooner than an object is sent again."""
        if held.state is DeliveryState.SENT:
            return timedelta(seconds=min(2**held.attempt, 300))
        waits = self._config.retry_seconds
        return timedelta(seconds=waits[min(held.attempt, len(waits)) - 1])
