"""A frontal chest film that nobody ever had: drawn, so that the demonstration needs no patient.

The drawing is a map of attenuation (thickness of tissue along the ray) in units in which the film is 1000 wide
and 1138 high, patient's right on the left. Air is subtracted, bone and soft tissue are added, and a film curve
turns the sum into 12-bit grey values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

ROWS, COLUMNS = 2048, 1800
WHITE = 4095  # 12 bits
PIXEL_MM = 0.2

Floats = NDArray[np.float64]
Points = Sequence[tuple[float, float]]

BODY: Points = (
    (428, -40), (424, 40), (400, 92), (320, 122), (200, 150), (100, 196), (30, 262), (-40, 330), (-60, 520),
    (20, 545), (52, 640), (46, 820), (40, 1000), (34, 1200), (60, 1400), (940, 1400), (966, 1200), (960, 1000),
    (954, 820), (948, 640), (980, 545), (1060, 520), (1040, 330), (970, 262), (900, 196), (800, 150), (680, 122),
    (600, 92), (576, 40), (572, -40),
)  # fmt: skip
RIGHT_LUNG: Points = (
    (352, 132), (398, 150), (438, 200), (450, 300), (448, 420), (440, 560), (436, 700), (428, 812),
    (396, 806), (340, 780), (272, 768), (206, 786), (152, 832), (112, 908), (98, 880), (96, 780), (100, 640),
    (112, 500), (140, 370), (186, 260), (246, 180), (302, 140),
)  # fmt: skip
LEFT_LUNG: Points = (
    (648, 132), (602, 150), (564, 200), (552, 300), (552, 420), (556, 560), (560, 700), (570, 846),
    (640, 838), (720, 812), (778, 808), (830, 832), (866, 880), (888, 942), (904, 900), (906, 780), (900, 640),
    (888, 500), (860, 370), (814, 260), (754, 180), (698, 140),
)  # fmt: skip
HEART: Points = (
    (448, 470), (420, 560), (400, 650), (402, 740), (430, 830), (520, 880), (640, 890), (706, 868), (736, 818),
    (728, 740), (690, 650), (640, 570), (606, 500), (588, 440), (520, 420),
)  # fmt: skip
MEDIASTINUM: Points = (
    (452, -20), (450, 120), (446, 220), (442, 330), (436, 430), (440, 520), (452, 700), (456, 1250), (556, 1250),
    (572, 700), (600, 560), (592, 450), (584, 390), (604, 352), (612, 308), (596, 270), (566, 246), (556, 200),
    (550, 120), (548, -20),
)  # fmt: skip
RIGHT_CLAVICLE: Points = ((468, 226), (420, 204), (350, 178), (270, 172), (190, 158), (110, 128), (60, 118))
RIGHT_SCAPULA: Points = (
    (118, 190), (168, 230), (170, 330), (150, 450), (118, 540), (96, 500), (84, 380), (60, 280), (40, 220),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plate:
    """A sheet that shapes are cast onto; `rows` x `columns` pixels."""

    rows: int
    columns: int

    @property
    def scale(self) -> float:
        """Pixels per drawing unit."""
        return self.columns / 1000

    def shape(self, points: Points, *, blur: float) -> Floats:
        """Coverage 0..1 of a smooth closed outline, its border `blur` units soft."""
        return self._cast(lambda pen: pen.polygon(self._pixels(_closed_curve(points)), fill=255), blur)

    def strokes(self, lines: Sequence[tuple[Points, float]], *, blur: float) -> Floats:
        """Coverage 0..1 of open curves, each with its width in units."""

        def draw(pen: ImageDraw.ImageDraw) -> None:
            for points, width in lines:
                pen.line(self._pixels(points), fill=255, width=max(1, round(width * self.scale)), joint="curve")

        return self._cast(draw, blur)

    def _pixels(self, points: Points) -> list[tuple[float, float]]:
        return [(x * self.scale, y * self.scale) for x, y in points]

    def _cast(self, draw: Callable[[ImageDraw.ImageDraw], None], blur: float) -> Floats:
        sheet = Image.new("L", (self.columns, self.rows))
        draw(ImageDraw.Draw(sheet))
        soft = sheet.filter(ImageFilter.GaussianBlur(blur * self.scale))
        return np.asarray(soft, np.float64) / 255


def _closed_curve(points: Points, steps: int = 12) -> list[tuple[float, float]]:
    """Catmull-Rom spline through the points and back to the first."""
    knots = np.asarray(points, float)
    before, after, beyond = np.roll(knots, 1, 0), np.roll(knots, -1, 0), np.roll(knots, -2, 0)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    curve = 0.5 * (
        2 * knots
        + (after - before) * t
        + (2 * before - 5 * knots + 4 * after - beyond) * t**2
        + (3 * knots - before - 3 * after + beyond) * t**3
    )
    return [(float(x), float(y)) for x, y in curve.transpose(1, 0, 2).reshape(-1, 2)]


def _mirrored(points: Points) -> Points:
    return [(1000 - x, y) for x, y in points]


def _bezier(start: tuple[float, float], *rest: tuple[float, float], steps: int = 40) -> Points:
    """Bezier curve of any order through its control points."""
    t = np.linspace(0, 1, steps)[:, None]
    layers = [np.tile(np.asarray(point, float), (steps, 1)) for point in (start, *rest)]
    while len(layers) > 1:
        layers = [(1 - t) * one + t * two for one, two in pairwise(layers)]
    return [(float(x), float(y)) for x, y in layers[0]]


def _posterior_ribs() -> list[Points]:
    """From the spine outward and down, of the patient's right side."""
    ribs = []
    for number in range(1, 11):
        y = 96 + 72 * number
        reach = (290, 196, 150, 122, 106, 98, 94, 92, 92, 96)[number - 1]
        drop = 26 + 15 * number
        middle = (reach + 470) / 2
        ribs.append(_bezier((478, y), (middle + 60, y - 46 - 2 * number), (reach - 4, y - 30), (reach, y + drop)))
    return ribs


def _anterior_ribs() -> list[Points]:
    """From the chest wall inward and down to the cartilage, of the patient's right side."""
    ribs = []
    for number in range(1, 7):
        y = 200 + 92 * number
        reach = (230, 160, 124, 104, 96, 92)[number - 1]
        end = (400, 392, 376, 352, 318, 276)[number - 1]
        ribs.append(_bezier((reach, y - 62), (reach + 30, y + 26), (end - 60, y + 78), (end, y + 74)))
    return ribs


def _bones(plate: Plate, heart: Floats) -> Floats:
    """Ribs as tubes (their borders are denser than their middle), clavicles, scapulae and spine."""
    wall = plate.shape(RIGHT_LUNG, blur=16) + plate.shape(LEFT_LUNG, blur=16)
    seen = np.clip(0.22 + 2.2 * wall, 0, 1) * (1 - 0.45 * heart)
    both = [(side(rib), width) for rib, width in _rib_widths() for side in (list, _mirrored)]
    tubes = plate.strokes(both, blur=3.2)
    hollow = plate.strokes([(rib, width - 9) for rib, width in both], blur=3.2)
    front = [(side(rib), 26.0) for rib in _anterior_ribs() for side in (list, _mirrored)]
    front_tubes = plate.strokes(front, blur=5) - 0.4 * plate.strokes([(rib, 15.0) for rib, _ in front], blur=5)
    clavicles = [_smooth(RIGHT_CLAVICLE), _smooth(_mirrored(RIGHT_CLAVICLE))]
    clavicle = plate.strokes([(line, 30.0) for line in clavicles], blur=3)
    marrow = plate.strokes([(line, 17.0) for line in clavicles], blur=4)
    scapula = plate.shape(RIGHT_SCAPULA, blur=7) + plate.shape(_mirrored(RIGHT_SCAPULA), blur=7)
    return (
        0.125 * (tubes - 0.5 * hollow) * seen
        + 0.06 * front_tubes * seen
        + 0.17 * (clavicle - 0.45 * marrow) * (1 - 0.4 * heart)
        + 0.03 * scapula
        + _spine(plate)
    )


def _rib_widths() -> list[tuple[Points, float]]:
    return [(rib, 24.0 if number else 20.0) for number, rib in enumerate(_posterior_ribs())]


def _smooth(points: Points) -> Points:
    return _bezier(points[0], *points[1:])


def _spine(plate: Plate) -> Floats:
    """Vertebral bodies with paler disks between them, and a row of spinous processes."""
    column = plate.strokes([(((500, -40), (500, 1200)), 84.0)], blur=8)
    disks = plate.strokes([(((462, y), (538, y)), 9.0) for y in range(40, 1180, 62)], blur=4)
    processes = plate.strokes([(((500, y + 14), (500, y + 40)), 13.0) for y in range(40, 1180, 62)], blur=4)
    pedicles = plate.strokes(
        [(((x, y + 14), (x, y + 26)), 12.0) for y in range(40, 1180, 62) for x in (474, 526)], blur=4
    )
    return 0.07 * column - 0.025 * disks + 0.025 * processes + 0.02 * pedicles


def _vessels(plate: Plate, chance: np.random.Generator) -> Floats:
    """Vessels that leave both hila and grow thinner as they branch."""
    lines: list[tuple[Points, float]] = []
    for root_x, root_y, outward in ((432.0, 452.0, -1.0), (590.0, 436.0, 1.0)):
        for angle in np.linspace(-1.25, 1.35, 13):
            heading = (outward, float(angle + chance.normal(0, 0.08)))
            lines += _branches((root_x, root_y), heading, 11.0, chance)
    fine, medium, coarse = (
        plate.strokes([line for line in lines if low <= line[1] < high], blur=soft)
        for low, high, soft in ((0, 4, 2.0), (4, 7, 3.0), (7, 99, 5.0))
    )
    return 0.05 * fine + 0.085 * medium + 0.12 * coarse


def _branches(
    start: tuple[float, float], heading: tuple[float, float], width: float, chance: np.random.Generator
) -> list[tuple[Points, float]]:
    """One vessel and all that come from it; `heading` is the side (-1, 1) and an angle in radians."""
    outward, angle = heading
    length = 26 + 9 * width * float(chance.uniform(0.75, 1.2))
    bend = angle + float(chance.normal(0, 0.22))
    half = (start[0] + outward * length / 2 * np.cos(angle), start[1] + length / 2 * np.sin(angle))
    end = (start[0] + outward * length * np.cos(bend), start[1] + length * np.sin(bend))
    found: list[tuple[Points, float]] = [(_bezier(start, half, end, steps=8), width)]
    if width > 2.2:
        spread = float(chance.uniform(0.15, 0.4))
        for turn in (-spread, spread):
            found += _branches(end, (outward, bend + turn), width * 0.72, chance)
    return found


def _lungs(plate: Plate, heart: Floats) -> Floats:
    """How much air the ray crosses, 0..1: most in the middle of each lung, little behind the heart."""
    mask = np.maximum(plate.shape(RIGHT_LUNG, blur=2.5), plate.shape(LEFT_LUNG, blur=2.5))
    depth = plate.shape(RIGHT_LUNG, blur=55) + plate.shape(LEFT_LUNG, blur=55)
    return mask * (0.35 + 0.65 * depth) * (1 - 0.80 * heart)


def attenuation(seed: int, *, rows: int = ROWS, columns: int = COLUMNS) -> Floats:
    """Relative attenuation along each ray: 0 is air, about 1 the mediastinum. Shape (rows, columns)."""
    chance = np.random.default_rng(seed)
    plate = Plate(rows, columns)
    body = plate.shape(BODY, blur=4)
    trunk = plate.shape(BODY, blur=90)
    swollen = 1 + float(chance.uniform(-0.03, 0.05))
    heart_outline = [(500 + (x - 500) * swollen, y) for x, y in HEART]
    heart = np.maximum(plate.shape(heart_outline, blur=5), plate.shape(MEDIASTINUM, blur=5))
    air = _lungs(plate, heart)
    trachea = plate.strokes([(_bezier((498, -20), (499, 200), (494, 380)), 36.0)], blur=6)
    bronchi = plate.strokes(
        [(_bezier((494, 372), (470, 410), (430, 452)), 22.0), (_bezier((494, 372), (540, 420), (588, 446)), 19.0)],
        blur=7,
    )
    stomach = plate.shape([(740, 880), (800, 862), (850, 900), (840, 960), (770, 975), (725, 930)], blur=9)
    height = np.linspace(0, 1138, rows, dtype=np.float64)[:, None]
    abdomen = np.clip((height - 820) / 240, 0, 1) * 0.16
    tissue = body * (0.34 + 0.42 * trunk) + body * abdomen
    shadow = 0.13 * heart * np.clip((900 - height) / 120, 0, 1)
    hila = plate.shape([(420, 380), (396, 450), (402, 520), (440, 540), (450, 440)], blur=16)
    hila += plate.shape([(584, 370), (618, 420), (612, 480), (590, 500), (570, 430)], blur=16)
    bones = _bones(plate, heart) * body
    total = tissue + shadow + bones + (_vessels(plate, chance) + 0.10 * hila) * air
    total -= 0.50 * air * np.clip(trunk + 0.15, 0, 1) + 0.13 * trachea + 0.06 * bronchi + 0.09 * stomach
    return np.clip(total, 0, None).astype(np.float64)


def pixels(seed: int, *, rows: int = ROWS, columns: int = COLUMNS, inverted: bool = False) -> NDArray[np.uint16]:
    """Stored values 0..4095, shape (rows, columns); bone is bright, unless `inverted` (MONOCHROME1)."""
    density = attenuation(seed, rows=rows, columns=columns)
    chance = np.random.default_rng([seed, 1])
    curve = 1 / (1 + np.exp(-5.6 * (density - 0.63)))
    grain = chance.normal(0, 1, (rows, columns)).astype(np.float64)
    grey = curve + grain * (0.006 + 0.012 * np.sqrt(curve * (1 - curve)))
    grey = np.maximum(grey, _marker(rows, columns) * 0.97)
    stored = np.clip(np.rint(grey * WHITE), 0, WHITE).astype(np.uint16)
    return WHITE - stored if inverted else stored


def _marker(rows: int, columns: int) -> Floats:
    """The lead L beside the patient's left shoulder."""
    sheet = Image.new("L", (columns, rows))
    size = columns * 0.05
    ImageDraw.Draw(sheet).text(
        (columns * 0.925, rows * 0.035), "L", fill=255, font=ImageFont.load_default(size), stroke_width=round(size / 22)
    )
    return np.asarray(sheet.filter(ImageFilter.GaussianBlur(columns / 1200)), np.float64) / 255


def film(
    seed: int,
    *,
    now: datetime,
    new_uid: Callable[[], str],
    inverted: bool = False,
    rows: int = ROWS,
    columns: int = COLUMNS,
) -> Dataset:
    """Return the drawing as a DX image for presentation (PS3.3 A.26), taken of PHANTOM^CHEST at `now`.

    `inverted` stores it as MONOCHROME1; it looks the same when displayed. `new_uid` is called for the study,
    series and instance, in this order. Ready to be written with `save_as(..., enforce_file_format=True)`.
    """
    image = Dataset()
    _describe_study(image, now, new_uid)
    _describe_film(image, now)
    _describe_pixels(image, pixels(seed, rows=rows, columns=columns, inverted=inverted), inverted=inverted)
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return image


def _describe_study(image: Dataset, now: datetime, new_uid: Callable[[], str]) -> None:
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    image.SpecificCharacterSet = "ISO_IR 192"
    image.PatientName = "PHANTOM^CHEST"
    image.PatientID = "PHANTOM-1"
    image.PatientBirthDate = f"{now.year - 55}0101"
    image.PatientSex = "O"
    image.PatientAge = "055Y"
    image.StudyInstanceUID = new_uid()
    image.StudyID = "1"
    image.StudyDate = image.SeriesDate = image.ContentDate = image.AcquisitionDate = date
    image.StudyTime = image.SeriesTime = image.ContentTime = image.AcquisitionTime = time
    image.AccessionNumber = f"P{now:%y%m%d%H%M%S}"
    image.ReferringPhysicianName = ""
    image.StudyDescription = "Chest PA (drawn phantom)"
    image.SeriesInstanceUID = new_uid()
    image.SeriesNumber = 1
    image.Modality = "DX"
    image.PresentationIntentType = "FOR PRESENTATION"
    image.SOPClassUID = DigitalXRayImageStorageForPresentation
    image.SOPInstanceUID = new_uid()
    image.InstanceNumber = 1


def _describe_film(image: Dataset, now: datetime) -> None:
    image.Manufacturer = "wetread"
    image.ManufacturerModelName = "Drawn phantom"
    image.DeviceSerialNumber = "0"
    image.SoftwareVersions = f"{now.year}"
    image.ImageType = ["DERIVED", "PRIMARY", ""]
    image.DerivationDescription = "Drawn by a program; no patient"
    image.BodyPartExamined = "CHEST"
    image.ImageLaterality = "U"
    image.AnatomicRegionSequence = _code("43799004", "SCT", "Thorax")
    image.PatientOrientation = ["L", "F"]
    image.ViewPosition = "PA"
    image.ViewCodeSequence = _code("399348003", "SCT", "postero-anterior")
    image.ViewCodeSequence[0].ViewModifierCodeSequence = DicomSequence()
    image.DetectorType = "DIRECT"
    image.ImagerPixelSpacing = [PIXEL_MM, PIXEL_MM]
    image.PositionerType = "NONE"
    image.AcquisitionContextSequence = DicomSequence()


def _code(value: str, scheme: str, meaning: str) -> DicomSequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return DicomSequence([item])


def _describe_pixels(image: Dataset, stored: NDArray[np.uint16], *, inverted: bool) -> None:
    image.Rows, image.Columns = stored.shape
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    image.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelRepresentation = 0
    image.PixelIntensityRelationship = "LOG"
    image.PixelIntensityRelationshipSign = 1 if inverted else -1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = 0, 1, "US"
    image.WindowCenter, image.WindowWidth = 2048, 4096
    image.BurnedInAnnotation = "NO"
    image.LossyImageCompression = "00"
    image.PixelData = stored.tobytes()
