"""A reading room: the real pages on a real database, with films that have pixels and drafts as they are written."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.config import Config
from agent.pages import make_pages
from dicom_node import worklist
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.rules.tables import Late
from dicom_node.tables import AuditRow, Revision
from reports import life
from reports.tables import Event, Report
from tests.harness.installation import empty_database
from tests.unit.agent.ward import LEASE, Ward, now
from tests.unit.reports import films

TEXT: Final = (
    "FINDINGS: The heart is mildly enlarged. No pneumothorax. Small left pleural effusion, unchanged compared to the "
    "prior radiograph.\nIMPRESSION: Small left pleural effusion."
)


class ReadingRoom(Ward):
    """No PACS can be asked unless a test registers one; the site signs all the same."""

    def __init__(self, folder: Path, *, sign_unasked: bool = True, **reports: Any) -> None:
        (folder / "wetread.db").write_bytes(empty_database())
        self.made = Database(Config(node=NodeConfig(data_folder=folder)).node.database_url)
        super().__init__(folder, self.made, sign_unasked=sign_unasked, **reports)
        self.app = make_pages(self.desk.config, self.made)
        self._studies = 0

    def close(self) -> None:
        self.made.close()

    def study(self, text: str = TEXT, pixels: NDArray[np.uint16] | None = None, **changes: Any) -> Report:
        """A study with one film and its draft. changes: of the film's header."""
        self.receive_film(pixels, **changes)
        return self.draft(text=text)

    def receive_film(self, pixels: NDArray[np.uint16] | None = None, **changes: Any) -> None:
        """The only film of a new study arrives."""
        self._studies += 1
        root = f"{films.STUDY}.{self._studies}"
        header = {
            "StudyInstanceUID": root,
            "SeriesInstanceUID": f"{root}.1",
            "SOPInstanceUID": f"{root}.1.1",
            "PatientID": f"EX-{self._studies:04d}",
            "AccessionNumber": f"ACC{self._studies:04d}",
            "StationName": "ROOM-4",
        }
        self.receive(with_pixels(films.film(**{**header, **changes}), chest() if pixels is None else pixels))

    def late_film(self, late: Late = Late.REPLACE) -> None:
        """One more film of the newest study."""
        root = f"{films.STUDY}.{self._studies}"
        header = {"StudyInstanceUID": root, "SeriesInstanceUID": f"{root}.1", "SOPInstanceUID": f"{root}.1.2"}
        whose = {"PatientID": f"EX-{self._studies:04d}", "AccessionNumber": f"ACC{self._studies:04d}"}
        self.receive(with_pixels(films.film(**header, **whose), chest()), late=late)

    def end_all(self) -> None:
        """Take back whatever is open or signed."""
        moment = now()

        def end(tx: Session) -> None:
            for report in tx.scalars(select(Report)).all():
                life.end(tx, report, Event.WITHDRAWN, moment, actor="person:test")

        self.do(end)

    def complete(self) -> None:
        """No more images are expected: what has come is due."""
        self.do(lambda tx: worklist.complete_studies(tx, now(), quiet=timedelta(), deadline=timedelta(), most=20_000))

    def take_reading(self) -> worklist.Claim | None:
        """Claim what is due."""
        return self.do(lambda tx: worklist.claim(tx, worker="w", token=self._token(), lease=LEASE, now=now()))

    def details(self) -> list[str]:
        """What the audit trail says beside each event."""
        return self.ask(lambda tx: list(tx.scalars(select(AuditRow.detail))))

    def number(self, report: Report) -> int:
        """Of the study of a report, as it stands in addresses."""
        chosen = select(Revision.study_id).where(Revision.id == report.revision_id)
        return self.ask(lambda tx: tx.scalars(chosen).one())


def chest(rows: int = 160, columns: int = 128) -> NDArray[np.uint16]:
    """Something like a chest in 12 bits: two dark fields beside a bright middle."""
    y, x = np.mgrid[0:rows, 0:columns] / max(rows, columns)
    fields = sum(np.exp(-(((x - at) / 0.12) ** 2) - ((y - 0.5) / 0.28) ** 2) for at in (0.22, 0.58))
    return np.clip(3000 - 2200 * np.asarray(fields), 0, 4095).astype(np.uint16)


def with_pixels(header: Dataset, pixels: NDArray[np.uint16]) -> Dataset:
    """A header becomes a film of 12 bits."""
    header.Rows, header.Columns = pixels.shape
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
    header.WindowCenter, header.WindowWidth = "2000", "3600"
    header.PixelData = pixels.tobytes()
    header["PixelData"].VR = "OW"
    return header
