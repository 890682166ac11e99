"""A morning in a reading room: a study in each state that the worklist page knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicom_node import worklist
from dicom_node.database import clock
from dicom_node.tables import ProcessBeat, Study, Workitem
from reports import life
from reports.signoff.person import Person
from reports.signoff.reasons import Reason
from reports.tables import Event, Report
from reports.text import DraftText
from reports.web.alarms import PROCESSES
from tests.harness.reading_room import ReadingRoom, with_pixels
from tests.unit.agent.desk_of_readers import RITA, ready, service
from tests.unit.agent.ward import now
from tests.unit.reports import films

PNEUMOTHORAX: Final = (
    "FINDINGS: There is a moderate right pneumothorax. The heart is mildly enlarged. No pleural effusion.\n"
    "IMPRESSION: Moderate right pneumothorax."
)
DOUBTFUL: Final = "FINDINGS: A small left pneumothorax cannot be excluded.\nIMPRESSION: Possible pneumothorax."
CLEAR: Final = "FINDINGS: The lungs are clear. No pneumothorax.\nIMPRESSION: No acute process."
DEVICES: Final = (
    "FINDINGS: Endotracheal tube in place. Bibasilar atelectasis. Small left pleural effusion. Pulmonary edema. The "
    "heart is enlarged. Possible pneumonia.\nIMPRESSION: Pulmonary edema with small left pleural effusion."
)


class Morning:
    """Fills a reading room. reader: number of the account that signs and that has a draft open."""

    def __init__(self, room: ReadingRoom, reader: int, login: str) -> None:
        self.room = room
        self.reader: Person = replace(RITA, user_id=reader, login=login)
        self._arrivals = 0

    def fill(self, of_held: NDArray[np.uint16] | None = None) -> None:
        """All of it, the oldest first. of_held: pixels of the film that is held."""
        room = self.room
        self.sign(room.study(CLEAR))
        room.deliver()
        service(room).reject(
            room.study(CLEAR).id, self.reader, Reason.WRONG_PATIENT_OR_VIEW, "", now() + timedelta(seconds=1)
        )
        self.end(room.study(CLEAR), Event.EXPIRED)
        room.deliver()
        for text in (CLEAR, DEVICES, CLEAR, DOUBTFUL):
            room.study(text, StationName="ICU-MOBILE")
        room.deliver()
        self.excluded()
        self.held(of_held)
        self.arrive(PatientID=None)
        self.complete()
        self.dead_letter()
        self.sign(room.study(DEVICES))
        self.stat(room.study(CLEAR, StationName="ER-1"))
        room.study(PNEUMOTHORAX, StationName="ER-1")
        opened = room.study(DEVICES)
        service(room).open_(opened.id, self.reader, now())
        self.arrive()
        room.claim()
        for _ in range(3):
            self.arrive()
        self.complete()
        self.arrive()
        self.beat()

    def arrive(self, pixels: NDArray[np.uint16] | None = None, **changes: object) -> None:
        """A study of one film, that nobody has read yet. pixels: None where nobody looks at it."""
        self._arrivals += 1
        root = f"{films.STUDY}.9{self._arrivals:03d}"
        header = {
            "StudyInstanceUID": root,
            "SeriesInstanceUID": f"{root}.1",
            "SOPInstanceUID": f"{root}.1.1",
            "PatientID": f"EX-9{self._arrivals:03d}",
            "AccessionNumber": f"ACC9{self._arrivals:03d}",
        }
        film = films.film(**{**header, **changes})
        self.room.receive(film if pixels is None else with_pixels(film, pixels))

    def complete(self) -> None:
        """No more images are expected of any study."""
        self.room.do(
            lambda tx: worklist.complete_studies(tx, now(), quiet=timedelta(), deadline=timedelta(), most=20_000)
        )

    def sign(self, report: Report) -> None:
        """As it is."""
        opened = ready(self.room, self.reader, report.id)
        text = DraftText(opened.text.findings, f"{opened.text.impression} Read.")
        service(self.room).sign(report.id, self.reader, text, opened.version, now() + timedelta(seconds=1))

    def end(self, report: Report, event: Event) -> None:
        """End a report by something that happened."""
        self.room.do(lambda tx: life.end(tx, tx.get_one(Report, report.id), event, clock(tx), actor="dispatch"))

    def stat(self, report: Report) -> None:
        """Make its reading one that was ordered as stat."""
        with self.room.database.write() as tx:
            tx.query(Workitem).where(Workitem.revision_id == report.revision_id).update({"priority": 0})

    def excluded(self) -> None:
        """By the gate, as a child."""
        self.arrive()
        held = self.room.claim()
        words = "The patient is under 18 years."
        self.room.do(lambda tx: worklist.exclude(tx, held, reason="child", explanation=words, now=clock(tx)))

    def held(self, pixels: NDArray[np.uint16] | None = None) -> None:
        """By the gate, until a person has looked."""
        self.arrive(pixels)
        held = self.room.claim()
        words = "The body part is absent."
        self.room.do(lambda tx: worklist.hold(tx, held, reason="body-part-unknown", explanation=words, now=clock(tx)))

    def dead_letter(self) -> None:
        """Refused by its destination for good."""
        self.room.study(CLEAR)
        held = self.room.must_take()
        error = "0x0122 SOP class not supported"
        self.room.do(lambda tx: worklist.mark_failed(tx, held, error=error, now=clock(tx)))

    def beat(self) -> None:
        """All five processes live."""
        with self.room.database.write() as tx:
            for name in PROCESSES:
                tx.merge(ProcessBeat(name=f"{name}@reading-1", pid=1, started_at=clock(tx), beat_at=clock(tx)))

    def number_of(self, accession: str) -> int:
        """Of a study, as addresses have it."""
        with self.room.database.read() as tx:
            return tx.query(Study.id).where(Study.accession_number == accession).one()[0]
