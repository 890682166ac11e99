"""Before a draft leaves as a message: the PACSs that had its study are asked whether it is still there.

HL7, FHIR and webhooks have no such question. What a person signed is not held up by it: see decisions/0019.
"""

from __future__ import annotations

import time
from typing import Final

import structlog

from agent.config import Config
from agent.reconciling import searching
from dicom_node.database import Database
from dicom_node.destinations import find
from dicom_node.errors import ConfigurationError, SendFailure
from dicom_node.identity import must_not_be_gone
from dicom_node.kinds import Kind, Stage
from dicom_node.transports import Destination
from dicom_node.worklist import Consignment, known

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
        """Raises SendFailure with code GONE: at least one has it no more, and none has it.

        It is permanent once each of those has answered so several times. Who cannot be asked is no objection.
        """
        if held.stage is not Stage.DRAFT or held.kind not in MESSAGES:
            return
        misses: dict[str, int] = {}
        until = time.monotonic() + _TOGETHER
        for to in self._who_had(held.study_instance_uid):
            if time.monotonic() > until:
                break
            answer = self._misses(to, held.study_instance_uid)
            if answer == 0:
                return
            if answer is not None:
                misses[to.name] = answer
        if misses:
            must_not_be_gone(" and ".join(misses), min(misses.values()))

    def _who_had(self, uid: str) -> list[Destination]:
        with self._database.read() as tx:
            named = (find(tx, name) for name in known.who_named(tx, uid))
            return [to for to in named if to is not None and to.identity_check]

    def _misses(self, to: Destination, uid: str) -> int | None:
        """How often in a row it has answered without the study, 0 where it has it; None where it does not say."""
        try:
            with searching(self._config, to, seconds=_SECONDS) as search:
                answers = search("STUDY", {"StudyInstanceUID": uid})
        except (SendFailure, ConfigurationError) as failure:
            log.info("bystander_not_asked", destination=to.name, explanation=str(failure))
            return None
        if not any(answer.get("StudyInstanceUID") == uid for answer in answers):
            return known.missed(self._database, to.name, uid)
        known.named(self._database, to.name, [uid])
        return 0
