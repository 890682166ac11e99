"""Is a study whole? Peers are asked how many instances they have, and the end of an association may be an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from weakref import WeakKeyDictionary

import structlog
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RSP
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dicom_node.database import Database, clock
from dicom_node.reconcile import Search
from dicom_node.rules.tables import Trigger
from dicom_node.tables import Instance, Study, StudyState
from dicom_node.worklist import Event, completed_by

log = structlog.get_logger("listen")

_MOST: Final = 10_000  # instances of one association that are remembered; more are no single film
_TOGETHER: Final = 500


@dataclass(frozen=True, slots=True)
class Open:
    """A study that is still receiving, and what of it is here."""

    study_instance_uid: str
    last_received_at: datetime
    here: frozenset[str]


def open_studies(tx: Session, now: datetime, *, quiet: timedelta, limit: int) -> Sequence[Open]:
    """The studies for which nothing came for `quiet`, that which is quiet for longest first."""
    wanted = select(Study).where(Study.state == StudyState.RECEIVING, Study.last_received_at <= now - quiet)
    return [
        Open(study.study_instance_uid, study.last_received_at, _here(tx, study.id))
        for study in tx.scalars(wanted.order_by(Study.last_received_at).limit(limit)).all()
    ]


def number_of_instances(search: Search, study_instance_uid: str) -> int | None:
    """How many instances a peer has of a study (PS3.4 C.3.4); None where it does not know the study, or does not say.

    Raises SendFailure.
    """
    keys = {"StudyInstanceUID": study_instance_uid, "NumberOfStudyRelatedInstances": ""}
    for answer in search("STUDY", keys):
        told = answer.get("NumberOfStudyRelatedInstances", "").strip()
        if answer.get("StudyInstanceUID") == study_instance_uid and told.isascii() and told.isdecimal():
            return int(told)
    return None


def conclude(tx: Session, study: Open, peer: str, number: int | None, now: datetime) -> bool:
    """Is that all? Then it is booked as the peer's word."""
    if not number or len(study.here) < number:
        return False
    completed_by(tx, Event(Trigger.COUNT, study.study_instance_uid, study.here, peer), now)
    return True


class AssociationEnds:
    """Books, where a sender releases an association in order, that it brought all of its studies' images.

    What was aborted says nothing. Right for senders that send each study whole in one association, wrong for others.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._came: WeakKeyDictionary[Association, set[str]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def handlers(self) -> list[tuple[evt.NotificationEvent, Callable[[evt.Event], Any]]]:
        """For the listener."""
        return [(evt.EVT_DIMSE_SENT, self._note), (evt.EVT_RELEASED, self._conclude)]

    def _note(self, event: evt.Event) -> None:
        """What we answered with success is here."""
        message = event.message
        if not isinstance(message, C_STORE_RSP) or message.command_set.get("Status") != 0x0000:
            return
        with self._lock:
            self._came.setdefault(event.assoc, set()).add(str(message.command_set.AffectedSOPInstanceUID))

    def _conclude(self, event: evt.Event) -> None:
        with self._lock:
            came = self._came.pop(event.assoc, set())
        if not came or len(came) > _MOST:
            return
        peer = str(event.assoc.requestor.ae_title).strip()
        try:
            with self._database.write() as tx:
                _book_end(tx, sorted(came), peer, clock(tx))
        except SQLAlchemyError as error:  # quiet time will do it
            log.error("database_unavailable", error=type(error).__name__)


def _book_end(tx: Session, came: Sequence[str], peer: str, now: datetime) -> None:
    found: dict[str, set[str]] = {}
    for first in range(0, len(came), _TOGETHER):
        chosen = (
            select(Study.study_instance_uid, Instance.sop_instance_uid)
            .join(Study, Study.id == Instance.study_id)
            .where(Instance.sop_instance_uid.in_(came[first : first + _TOGETHER]), Study.state == StudyState.RECEIVING)
        )
        for study, uid in tx.execute(chosen):
            found.setdefault(study, set()).add(uid)
    for study, uids in found.items():
        completed_by(tx, Event(Trigger.ASSOCIATION, study, frozenset(uids), peer), now)


def _here(tx: Session, study_id: int) -> frozenset[str]:
    chosen = select(Instance.sop_instance_uid).where(Instance.study_id == study_id)
    return frozenset(tx.scalars(chosen))
