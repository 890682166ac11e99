"""The report's pages as pictures: Secondary Capture (PS3.3 A.8.1), the last resort where nothing else is shown.

One instance for each page, since viewers scale a long picture until nobody can read it. Nothing here may pass for a
film: the banner is in the pixels, the modality is none of radiographs', and the image is derived.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from dicom_node.kinds import Kind
from reports.config import ReportsConfig
from reports.objects.characters import settle_charset
from reports.objects.encapsulated_pdf import films_of, frame, side, written_at
from reports.objects.frame import content_uid
from reports.page.fonts import Fonts
from reports.page.pdf import Paper, as_pdf
from reports.page.picture import as_pictures
from reports.page.sheet import compose

MODALITY = "OT"
PAGES = 100  # Instance Numbers of a revision: revision 2 has 201, 202, ...


def build_captures(
    master: Dataset, *, fonts: Fonts, config: ReportsConfig, paper: Paper = Paper.A4
) -> tuple[Dataset, ...]:
    """Make one image for each page of a narrative of ours. Same narrative, fonts and libraries: same datasets and UIDs.

    Raises NotOurs: another kind of document; NotPrintable: a character without a font, or too long.
    """
    sheet = compose(master)
    pictures = as_pictures(as_pdf(sheet, fonts=fonts, paper=paper, created=written_at(master)))
    captures = []
    for number, picture in enumerate(pictures, 1):
        capture = frame(master, sheet, SecondaryCaptureImageStorage, Kind.SC, config)
        capture.Modality = MODALITY
        capture.BodyPartExamined = "CHEST"  # without it validators ask for a laterality
        capture.InstanceNumber = int(master.InstanceNumber) * PAGES + number
        capture.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
        capture.PatientOrientation = ""
        capture.ImageComments = f"{sheet.status}. Page {number} of {len(pictures)}; not a film."
        capture.SourceImageSequence = films_of(master)
        _add_pixels(capture, picture)
        settle_charset(capture, config)
        capture.SOPInstanceUID = content_uid(capture, f"sc {side(sheet.stage)}")
        captures.append(capture)
    return tuple(captures)


def _add_pixels(capture: Dataset, picture: NDArray[np.uint8]) -> None:
    """Image Pixel Module (PS3.3 C.7.6.3): 8-bit gray, without a window, so that every viewer shows it as it is."""
    capture.Rows, capture.Columns = picture.shape
    capture.SamplesPerPixel = 1
    capture.PhotometricInterpretation = "MONOCHROME2"
    capture.BitsAllocated = capture.BitsStored = 8
    capture.HighBit = 7
    capture.PixelRepresentation = 0
    capture.LossyImageCompression = "00"
    pixels = picture.tobytes()
    capture.add_new("PixelData", "OW", pixels + b"\0" * (len(pixels) % 2))
