"""Asking the PACS whose study a draft is about, while a radiologist looks at the film: by C-FIND or QIDO-RS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog
from pydicom import Dataset

from agent.config import Config
from agent.reconciling import searching
from dicom_node.database import Database
from dicom_node.destinations import destinations
from dicom_node.errors import ConfigurationError, SendFailure
from dicom_node.identity import COMPARED, answer_of, differing, films_of
from dicom_node.tables import Mode, Proof, Way
from dicom_node.transports import Destination
from dicom_node.worklist import known
from dicom_node.worklist.known_films import Films
from reports.signoff.tables import Identity
from reports.web.identity import Checked

SECONDS: Final = 5.0  # for each destination; a person waits

log = structlog.get_logger("web")


class WhoseStudy:
    """Asks every destination that may be asked for identities. Used by several threads."""

    def __init__(self, config: Config, database: Database) -> None:
        self._config = config
        self._database = database

    def __call__(self, draft: Dataset) -> Checked:
        """Ask; one that differs outweighs all that agree."""
        with self._database.read() as tx:
            asked = [one for one in destinations(tx) if one.identity_check and one.mode is not Mode.SHADOW]
        if not asked:
            return Checked(Identity.NOBODY)
        names: dict[str, None] = {}
        trouble: list[str] = []
        same: list[str] = []
        lost: list[str] = []
        for to in asked:
            try:
                answers = self._answers(to, draft)
            except (SendFailure, ConfigurationError) as failure:
                trouble.append(f"{failure}.")
                continue
            names.update(dict.fromkeys(differing(draft, answers)))
            if not answers:
                trouble.append(self._not_there(to, str(draft.StudyInstanceUID)))
            elif _is_told(draft, answers):
                same.append(to.name)
                lost += self._lacking(to, draft)
            else:
                trouble.append(f"{to.name} does not tell the Patient ID.")
        if names:
            return Checked(Identity.DIFFERS, tuple(one.name for one in asked), tuple(names))
        if same:
            return Checked(Identity.SAME, tuple(same), lost=tuple(lost))
        return Checked(Identity.UNKNOWN, (), (), tuple(trouble))

    def _answers(self, to: Destination, draft: Dataset) -> list[Dataset]:
        keys = {"StudyInstanceUID": str(draft.StudyInstanceUID), **dict.fromkeys(COMPARED, "")}
        with searching(self._config, to, seconds=SECONDS) as search:
            answers = [answer_of(one) for one in search("STUDY", keys)]
        known.named(self._database, to.name, [str(one.StudyInstanceUID) for one in answers])
        return answers

    def _lacking(self, to: Destination, draft: Dataset) -> list[str]:
        """What a person is told of a destination without a film of the draft. Who does not answer is no objection."""
        if to.way is not Way.DIMSE or to.proof is not Proof.QUERY:  # as before a message
            return []
        uid = str(draft.StudyInstanceUID)
        films = Films(self._database, to.name, uid)
        wanted = films.among(films_of(draft))
        if not wanted:
            return []
        try:
            with searching(self._config, to, seconds=SECONDS) as search:
                for film in wanted:
                    keys = {"StudyInstanceUID": uid, "SeriesInstanceUID": film.series_instance_uid}
                    found = search("IMAGE", {**keys, "SOPInstanceUID": film.sop_instance_uid})
                    if any(one.get("SOPInstanceUID") == film.sop_instance_uid for one in found):
                        films.answered(film, there=True)
                    elif films.has_named(film):  # no miss: people look as often as they like
                        return [f"{to.name} no longer has a film of the draft, which it had before."]
        except (SendFailure, ConfigurationError) as failure:
            log.info("films_not_asked", destination=to.name, explanation=str(failure))
        return []

    def _not_there(self, to: Destination, uid: str) -> str:
        """What a person is told of a destination without it. That is no miss: people look as often as they like."""
        with self._database.read() as tx:
            had_it = known.has_named(tx, to.name, uid)
        said = "no longer has the study, which it had before" if had_it else "does not know the study"
        return f"{to.name} {said}."


def _is_told(draft: Dataset, answers: Sequence[Dataset]) -> bool:
    """Does an answer name the patient at all? An identifier beyond ASCII is not compared, as when sending."""
    return not str(draft.PatientID).isascii() or any(str(one.get("PatientID", "")).strip(" \0") for one in answers)
