"""Before a draft leaves as a message: the PACSs that had its study are asked whether it and its films are still there.

HL7, FHIR and webhooks have no such question. What a person signed is not held up by it: see decisions/0019.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from sqlalchemy import select

from agent.config import Config
from agent.reconciling import searching
from dicom_node.database import Database
from dicom_node.destinations import find
from dicom_node.errors import ConfigurationError, SendFailure
from dicom_node.identity import FILM_GONE, GONE, must_not_be_gone, must_not_lack
from dicom_node.kinds import Kind, Stage
from dicom_node.reconcile import Search
from dicom_node.tables import Delivery, Instance, Proof, Way
from dicom_node.transports import Destination
from dicom_node.worklist import Consignment, known
from dicom_node.worklist.known_films import Films
from reports.tables import Report

MESSAGES: Final = frozenset({Kind.ORU, Kind.FHIR, Kind.OUTCOME})
_SECONDS: Final = 5.0  # for each; a message does not wait for a PACS that is silent
_TOGETHER: Final = 10.0  # then no other is asked: an attempt must end within its lease
_REST: Final = 60.0  # who did not answer is left alone so long: else each message would wait for it

log = structlog.get_logger("send")


class _NotAsked(SendFailure):
    """It was not its turn."""


class Bystanders:
    """Asks by C-FIND or QIDO-RS who has named the study before. Used by several threads."""

    def __init__(self, config: Config, database: Database, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """monotonic: seconds of a clock that is never set back."""
        self._config = config
        self._database = database
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._rests_until: dict[str, float] = {}  # by name; under the lock

    def __call__(self, held: Consignment) -> None:
        """Raises SendFailure with code GONE or FILM_GONE: one has lost the study or a film of the draft, none has both.

        It is permanent once each of those has answered so several times. Who cannot be asked is no objection; but as
        long as one that has named the study does not answer, that of others is not permanent: it may be there.
        """
        if held.stage is not Stage.DRAFT or held.kind not in MESSAGES:
            return
        objections: list[SendFailure] = []
        all_answered = True
        until = self._monotonic() + _TOGETHER
        for to in self._who_had(held.study_instance_uid):
            try:
                self._must_be_awake(to, until)
                with searching(self._config, to, seconds=_SECONDS) as search:
                    self._ask(to, search, held)
            except (SendFailure, ConfigurationError) as failure:
                if isinstance(failure, SendFailure) and failure.code in {GONE, FILM_GONE}:
                    objections.append(failure)
                    continue
                all_answered = False
                if not isinstance(failure, _NotAsked):
                    self._let_rest(to)
                log.info("bystander_not_asked", destination=to.name, explanation=str(failure))
            else:
                return
        if objections:
            objection = min(objections, key=lambda one: one.permanent)
            objection.permanent = objection.permanent and all_answered
            raise objection

    def _must_be_awake(self, to: Destination, until: float) -> None:
        """Raises _NotAsked where it did not answer a moment ago, or the time for all is up."""
        now = self._monotonic()
        with self._lock:
            rests = now < self._rests_until.get(to.name, now)
        if rests:
            raise _NotAsked(f"{to.name} did not answer within the last {_REST:.0f} s")
        if now > until:
            raise _NotAsked(f"the others took {_TOGETHER:.0f} s")

    def _let_rest(self, to: Destination) -> None:
        with self._lock:
            self._rests_until[to.name] = self._monotonic() + _REST

    def _who_had(self, uid: str) -> list[Destination]:
        with self._database.read() as tx:
            named = (find(tx, name) for name in known.who_named(tx, uid))
            return [to for to in named if to is not None and to.identity_check]

    def _ask(self, to: Destination, search: Search, held: Consignment) -> None:
        """Raises SendFailure, with a code where it has lost something."""
        uid = held.study_instance_uid
        if not any(one.get("StudyInstanceUID") == uid for one in search("STUDY", {"StudyInstanceUID": uid})):
            must_not_be_gone(to.name, known.missed(self._database, to.name, uid))
            return
        known.named(self._database, to.name, [uid])
        if to.way is not Way.DIMSE or to.proof is not Proof.QUERY:  # as before an object
            return
        films = Films(self._database, to.name, uid)
        for film in films.among(self._films_of(held)):
            keys = {"StudyInstanceUID": uid, "SeriesInstanceUID": film.series_instance_uid}
            found = search("IMAGE", {**keys, "SOPInstanceUID": film.sop_instance_uid})
            there = any(one.get("SOPInstanceUID") == film.sop_instance_uid for one in found)
            must_not_lack(to.name, films.answered(film, there=there))

    def _films_of(self, held: Consignment) -> Sequence[str]:
        """SOP Instance UIDs of the one or two that the draft was written from."""
        written = select(Report).join(Delivery, Delivery.revision_id == Report.revision_id)
        with self._database.read() as tx:
            report = tx.scalar(written.where(Delivery.id == held.delivery_id))
            digests = () if report is None else report.films
            return tx.scalars(select(Instance.sop_instance_uid).where(Instance.digest.in_(digests))).all()
