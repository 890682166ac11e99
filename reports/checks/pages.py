"""What must hold of a report's pages: the Encapsulated PDF and the pictures, draft, notice or verified.

Both are looked at as people see them: the text of the PDF's pages is read back, and the banner of a picture is looked
for in its pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from dicom_node.kinds import FINAL, Stage
from reports.checks.elements import of_the_moment, of_the_reader, of_the_uids
from reports.objects.content import read_content
from reports.objects.encapsulated_pdf import MIME, films_of, series_description, side
from reports.objects.frame import FINAL_SERIES, NOTICE_SERIES, content_uid, series_uid
from reports.objects.secondary_capture import MODALITY
from reports.objects.tree import plain
from reports.page.picture import texts
from reports.page.sheet import NO_DRAFT
from reports.provenance import NOTICE

_ALWAYS = MappingProxyType({"ConversionType": ("SYN",), "BurnedInAnnotation": ("YES",)})
_OF_A_PDF = MappingProxyType({"Modality": ("DOC",), "MIMETypeOfEncapsulatedDocument": (MIME,)})
_OF_A_CAPTURE = MappingProxyType(
    {
        "Modality": (MODALITY,),
        "ImageType": ("DERIVED\\SECONDARY\\OTHER",),
        "PhotometricInterpretation": ("MONOCHROME2",),
        "SamplesPerPixel": ("1",),
        "BitsAllocated": ("8",),
        "BitsStored": ("8",),
        "HighBit": ("7",),
        "PixelRepresentation": ("0",),
    }
)
_MUST_STAND = MappingProxyType({Stage.DRAFT: NOTICE, Stage.NOTICE: NO_DRAFT})
_ACTIVE = (b"/JavaScript", b"/Launch", b"/EmbeddedFile", b"/Encrypt")
_DARK = 100  # of 255; the banner is darker, and letters never fill half a row
_BANNER_ROWS = 60  # 10 mm at the resolution of the pictures


def of_a_pdf(document: Dataset) -> Iterator[str]:
    """All problems of an Encapsulated PDF of ours, one phrase each."""
    stage = Stage.SIGNED if plain(document, "VerificationFlag") == "VERIFIED" else _unverified(document)
    flag = "VERIFIED" if stage in FINAL else "UNVERIFIED"
    yield from _of_the_frame(document, stage, EncapsulatedPDFStorage, f"pdf {side(stage)}")
    yield from _of_the_values(document, {**_OF_A_PDF, "VerificationFlag": (flag,)})
    yield from _of_the_films(document, "SourceInstanceSequence")
    notices = [notice for notice in _MUST_STAND.values() if notice in plain(document, "DocumentTitle")]
    if notices != ([] if stage in FINAL else [_MUST_STAND[stage]]):
        yield "DocumentTitle does not say what the document is"
    yield from _of_the_bytes(document, stage)


def of_a_capture(document: Dataset) -> Iterator[str]:
    """All problems of a picture of ours, one phrase each."""
    final = plain(document, "SeriesDescription") == FINAL_SERIES
    stage = Stage.SIGNED if final else _unverified(document)
    yield from _of_the_frame(document, stage, SecondaryCaptureImageStorage, f"sc {side(stage)}")
    yield from _of_the_values(document, _OF_A_CAPTURE)
    yield from _of_the_films(document, "SourceImageSequence")
    if "ViewPosition" in document or "WindowCenter" in document or "NumberOfFrames" in document:
        yield "it has elements of a film"
    yield from _of_the_pixels(document, stage)


def against_the_master(document: Dataset, master: Dataset) -> Iterator[str]:
    """Problems of pages beside the narrative that they were made from: same images, same stage, and they name it.

    Raises NotOurs: the master is no narrative of ours.
    """
    stage = read_content(master).stage
    sources = document.get("SourceInstanceSequence") or document.get("SourceImageSequence") or []
    if [one.to_json_dict() for one in sources] != [one.to_json_dict() for one in films_of(master)]:
        yield "the images are not those of the narrative"
    if plain(document, "SeriesDescription") != series_description(stage):
        yield "the stage is not that of the narrative"
    if "EncapsulatedDocument" in document:
        pages = texts(bytes(document.EncapsulatedDocument))
        if not all(_squeezed(plain(master, "SOPInstanceUID")) in _squeezed(page) for page in pages):
            yield "a page does not name the narrative"


def _unverified(document: Dataset) -> Stage:
    return Stage.NOTICE if plain(document, "SeriesDescription") == NOTICE_SERIES else Stage.DRAFT


def _of_the_frame(document: Dataset, stage: Stage, sop_class_uid: str, what: str) -> Iterator[str]:
    series = {"SOPClassUID": (sop_class_uid,), "SeriesDescription": (series_description(stage),)}
    yield from _of_the_values(document, {**_ALWAYS, **series})
    try:
        own = content_uid(document, what)
    except (AttributeError, IndexError):
        own = None
    study = plain(document, "StudyInstanceUID")
    yield from of_the_uids(document, series=series_uid(study, sop_class_uid, stage), instance=own)
    yield from of_the_reader(document)
    yield from of_the_moment(document)


def _of_the_values(document: Dataset, expected: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for name, allowed in expected.items():
        if plain(document, name) not in allowed:
            yield f"{name} is not {' or '.join(allowed)}"


def _of_the_films(document: Dataset, keyword: str) -> Iterator[str]:
    items = document.get(keyword) or []
    if not items:
        yield f"{keyword} names no image"
    for item in items:
        if not (plain(item, "ReferencedSOPClassUID") and plain(item, "ReferencedSOPInstanceUID")):
            yield f"{keyword} has an item that names no image"


def _of_the_bytes(document: Dataset, stage: Stage) -> Iterator[str]:
    stored = bytes(document.get("EncapsulatedDocument") or b"")
    length = int(plain(document, "EncapsulatedDocumentLength") or 0)
    if length + length % 2 != len(stored) or stored[length:].strip(b"\0"):
        yield "EncapsulatedDocumentLength is not that of the PDF"
    if any(word in stored for word in _ACTIVE):
        yield "the PDF holds something that acts or hides"
    try:
        pages = texts(stored[:length])
    except ValueError:
        yield "the document is no PDF"
        return
    for page in pages:
        yield from _of_a_page(_squeezed(page), document, stage)


def _of_a_page(page: str, document: Dataset, stage: Stage) -> Iterator[str]:
    if stage in _MUST_STAND and _squeezed(_MUST_STAND[stage]) not in page:
        yield "a page lacks the notice"
    if stage in FINAL and any(_squeezed(notice) in page for notice in _MUST_STAND.values()):
        yield "the notice of a draft stands in a verified report"
    for name in ("PatientID", "AccessionNumber"):
        value = _squeezed(plain(document, name))
        if value.isascii() and value not in page:  # readers disagree on the order of other scripts
            yield f"{name} does not stand on every page"


def _squeezed(text: str) -> str:
    """Without blanks and line ends: where a line breaks says nothing."""
    return re.sub(r"\s+", "", text)


def _of_the_pixels(document: Dataset, stage: Stage) -> Iterator[str]:
    rows, columns = (int(plain(document, name) or 0) for name in ("Rows", "Columns"))
    stored = bytes(document.get("PixelData") or b"")
    size = rows * columns
    if not size or size + size % 2 != len(stored):
        yield "the pixels are not as many as Rows and Columns say"
        return
    pixels = np.frombuffer(stored, np.uint8, size).reshape(rows, columns)
    dark = np.mean(pixels < _DARK, axis=1) > 0.5
    if stage in FINAL and dark.any():
        yield "the banner of a draft stands in the pixels of a verified report"
    if stage not in FINAL and np.count_nonzero(dark[: rows // 4]) < _BANNER_ROWS:
        yield "the banner is not burnt into the pixels"
