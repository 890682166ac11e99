"""Storage commitment of what we received: who asked us about which objects, what we can promise, and who was told."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.commitment_tables import CommitmentRequest
from dicom_node.destinations import terms_of
from dicom_node.files import require, stored_path
from dicom_node.tables import Delivery, Instance, RemoteAE
from dicom_node.terms import AS_THE_NODE, Terms
from dicom_node.worklist.commitments import Reference

MOST: Final = 10_000  # objects in one request
_AT_ONCE: Final = 500  # UIDs in one question to the database
_NO_SUCH_INSTANCE, _CONFLICT = 0x0112, 0x0119  # PS3.3 C.14.1.1


class Booked(StrEnum):
    """What became of a request."""

    NEW = "new"
    AGAIN = "again"  # the same one: whoever asks twice was not told
    OTHER = "other"  # the transaction UID is in use for other objects


@dataclass(frozen=True, slots=True)
class Promise:
    """A report that is due. host: empty where the asker is not registered with an address."""

    request_id: int
    requested_at: datetime  # for the last time, when this report was made
    transaction_uid: str
    own_ae_title: str
    peer_ae_title: str
    host: str
    port: int
    tls_name: str  # that its certificate must carry; empty: it is called without TLS
    terms: Terms
    committed: tuple[Reference, ...]
    failed: tuple[tuple[Reference, int], ...]


def record_request(
    tx: Session,
    transaction_uid: str,
    references: Sequence[Reference],
    *,
    calling_ae_title: str,
    called_ae_title: str,
    now: datetime,
    report_after: timedelta,
) -> Booked:
    """Book a commitment request; its report is due after `report_after`, unless it went out before."""
    content = json.dumps([[one.sop_class_uid, one.sop_instance_uid] for one in references])
    known = tx.scalar(
        select(CommitmentRequest).where(
            CommitmentRequest.transaction_uid == transaction_uid,
            CommitmentRequest.calling_ae_title == calling_ae_title,
        )
    )
    if known is not None and known.instances != content:
        return Booked.OTHER
    audit.append(
        tx, "commitment-asked-of-us", at=now, actor="listen", ae_title=calling_ae_title, objects=len(references)
    )
    if known is not None:
        known.reported_at, known.next_attempt_at, known.requested_at = None, now + report_after, now
        known.attempts = 0  # who asks is there: what failed before says nothing of the waits from now on
        return Booked.AGAIN
    tx.add(
        CommitmentRequest(
            transaction_uid=transaction_uid,
            calling_ae_title=calling_ae_title,
            called_ae_title=called_ae_title,
            requested_at=now,
            instances=content,
            next_attempt_at=now + report_after,
        )
    )
    return Booked.NEW


def is_report_due(tx: Session, now: datetime) -> bool:
    """Is there one to claim? As a reader, for whoever asks often."""
    due = (CommitmentRequest.reported_at.is_(None), CommitmentRequest.next_attempt_at <= now)
    return tx.scalar(select(CommitmentRequest.id).where(*due).limit(1)) is not None


def claim_report(
    tx: Session, now: datetime, *, store: Path, wait: Callable[[Terms], timedelta], give_up: timedelta
) -> Promise | None:
    """The next report that is due, or None. Nobody else gets it before `wait`, by the asker's terms, is over.

    What was asked for longer than `give_up` ago is booked as over, so that it is not looked at for ever. Raises
    StoreAway, as `report_on` does.
    """
    due = (
        select(CommitmentRequest)
        .where(CommitmentRequest.reported_at.is_(None), CommitmentRequest.next_attempt_at <= now)
        .order_by(CommitmentRequest.next_attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    while (request := tx.scalar(due)) is not None:
        if request.requested_at > now - give_up:
            request.attempts += 1
            promise = _promise(tx, request, store)
            request.next_attempt_at = now + wait(promise.terms)
            return promise
        _give_up(tx, request, now)
    return None


def report_on(
    tx: Session, transaction_uid: str, calling_ae_title: str, *, now: datetime, store: Path, wait: timedelta
) -> Promise | None:
    """The report on this request, for the association that asked; None where it went out meanwhile."""
    request = tx.scalar(
        select(CommitmentRequest)
        .where(
            CommitmentRequest.transaction_uid == transaction_uid,
            CommitmentRequest.calling_ae_title == calling_ae_title,
            CommitmentRequest.reported_at.is_(None),
        )
        .with_for_update()
    )
    if request is None:
        return None
    request.attempts += 1
    request.next_attempt_at = now + wait
    return _promise(tx, request, store)


def mark_reported(tx: Session, promise: Promise, now: datetime) -> None:
    """The asker took the report. Where it has asked again since the report was made, it is owed another one.

    What failed then may have come in between.
    """
    request = tx.get_one(CommitmentRequest, promise.request_id, with_for_update=True)
    request.failures, request.last_error = len(promise.failed), ""
    if request.requested_at == promise.requested_at:
        request.reported_at = now
    audit.append(
        tx,
        "commitment-reported-by-us",
        at=now,
        actor="send",
        ae_title=promise.peer_ae_title,
        committed=len(promise.committed),
        failed=len(promise.failed),
    )


def mark_not_reported(tx: Session, promise: Promise, *, error: str, retry_at: datetime) -> None:
    """The asker could not be told this time."""
    request = tx.get_one(CommitmentRequest, promise.request_id, with_for_update=True)
    request.last_error = error
    if request.requested_at == promise.requested_at:  # else it was asked for again, and is due for that
        request.next_attempt_at = retry_at


def forget(tx: Session, before: datetime) -> int:
    """Delete requests that were reported on, or given up, before then; returns how many."""
    chosen = select(CommitmentRequest).where(CommitmentRequest.reported_at < before).limit(_AT_ONCE)
    old = tx.scalars(chosen.with_for_update(skip_locked=True)).all()
    for request in old:
        tx.delete(request)
    return len(old)


def attempts_of(tx: Session, promise: Promise) -> int:
    """How often this report was tried."""
    return tx.get_one(CommitmentRequest, promise.request_id).attempts


def studies_of(tx: Session, references: Sequence[Reference]) -> frozenset[int]:
    """Numbers of the studies that these objects belong to, of those that came."""
    found: set[int] = set()
    for uids in _slices([one.sop_instance_uid for one in references]):
        found.update(tx.scalars(select(Instance.study_id).where(Instance.sop_instance_uid.in_(uids)).distinct()))
    return frozenset(found)


def _give_up(tx: Session, request: CommitmentRequest, now: datetime) -> None:
    request.reported_at = now
    audit.append(
        tx,
        "commitment-not-reported",
        at=now,
        actor="send",
        ae_title=request.calling_ae_title,
        attempts=request.attempts,
    )
    tx.flush()


def _promise(tx: Session, request: CommitmentRequest, store: Path) -> Promise:
    references = [Reference(*pair) for pair in json.loads(request.instances)]
    kept = _kept(tx, references, store)
    failures = {one: reason for one in references if (reason := _failure(one, kept)) is not None}
    peer = tx.scalar(select(RemoteAE).where(RemoteAE.ae_title == request.calling_ae_title))
    return Promise(
        request_id=request.id,
        requested_at=request.requested_at,
        transaction_uid=request.transaction_uid,
        own_ae_title=request.called_ae_title,
        peer_ae_title=request.calling_ae_title,
        host="" if peer is None else peer.host,
        port=0 if peer is None else peer.port,
        tls_name=(peer.tls_name or peer.host) if peer is not None and peer.tls else "",
        terms=AS_THE_NODE if peer is None else terms_of(peer),
        committed=tuple(one for one in references if one not in failures),
        failed=tuple(failures.items()),
    )


def _kept(tx: Session, references: Sequence[Reference], store: Path) -> Mapping[str, frozenset[str]]:
    """SOP Instance UID -> the classes under which its bytes are in the store: the row was committed after the fsync.

    What we made ourselves counts as well: a router may send it back to us and ask, as with everything that it sends.
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    for uids in _slices([one.sop_instance_uid for one in references]):
        for room in (Instance, Delivery):
            rows = select(room.sop_instance_uid, room.sop_class_uid, room.digest).where(
                room.sop_instance_uid.in_(uids), room.sop_class_uid != ""
            )
            for uid, sop_class_uid, digest in tx.execute(rows):
                if stored_path(store, digest).exists():  # retention may have deleted it
                    found[uid].add(sop_class_uid)
                else:
                    require(store)
    return {uid: frozenset(classes) for uid, classes in found.items()}


def _failure(reference: Reference, kept: Mapping[str, frozenset[str]]) -> int | None:
    classes = kept.get(reference.sop_instance_uid)
    if classes is None:
        return _NO_SUCH_INSTANCE
    return None if reference.sop_class_uid in classes else _CONFLICT


def _slices(uids: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(uids), _AT_ONCE):
        yield uids[first : first + _AT_ONCE]
