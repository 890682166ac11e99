"""Before a draft leaves as a message: the PACSs that had its study are asked whether it and its films are still there.

HL7, FHIR and webhooks have no such question. What a person signed is not held up by it: see decisions/0019.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
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

log = structlog.get_logger("send")


class Bystanders:
    """Asks by C-FIND or QIDO-RS who has named the study before. Used by several threads."""

    def __init__(self, config: Config, database: Database) -> None:
        self._config = config
        self._database = database

    def __call__(self, held: Consignment) -> None:
        """Raises SendFailure with code GONE or FILM_GONE: one has lost the study or a film of the draft, none has both.

        It is permanent once each of those has answered so several times. Who cannot be asked is no objection.
        """
        if held.stage is not Stage.DRAFT or held.kind not in MESSAGES:
            return
        objections: list[SendFailure] = []
        until = time.monotonic() + _TOGETHER
        for to in self._who_had(held.study_instance_uid):
            if time.monotonic() > until:
                break
            try:
                with searching(self._config, to, seconds=_SECONDS) as search:
                    self._ask(to, search, held)
            except SendFailure as failure:
                if failure.code not in {GONE, FILM_GONE}:
                    log.info("bystander_not_asked", destination=to.name, explanation=str(failure))
                    continue
                objections.append(failure)
            except ConfigurationError as error:
                log.info("bystander_not_asked", destination=to.name, explanation=str(error))
            else:
                return
        if objections:
            raise min(objections, key=lambda one: one.permanent)

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
