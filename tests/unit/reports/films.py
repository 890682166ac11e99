"""Headers of films that no device made, of nobody, in the character sets that hospitals send."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from reports.config import ReportsConfig
from reports.objects.basic_text import build_draft
from reports.provenance import Provenance
from reports.text import DraftText, sections

DX = "1.2.840.10008.5.1.4.1.1.1.1"
CR = "1.2.840.10008.5.1.4.1.1.1"
STUDY = "1.2.826.0.1.3680043.10.999.1"
FILM = f"{STUDY}.1.1"
MOMENT = datetime(2025, 3, 1, 23, 30, 5, 250000, tzinfo=UTC)
CONFIG = ReportsConfig()

# Specific Character Set and a name in it: example names of PS3.5 or words that mean "example" and "film".
CHARSETS: dict[str, tuple[str | list[str], str]] = {
    "ascii": ("", "Example^Film"),
    "latin1": ("ISO_IR 100", "Müster^Ärztin"),
    "latin2": ("ISO_IR 101", "Příklad^Snímek"),
    "cyrillic": ("ISO_IR 144", "Пример^Снимок"),
    "arabic": ("ISO_IR 127", "مثال^صورة"),
    "greek": ("ISO_IR 126", "Παράδειγμα^Ταινία"),
    "hebrew": ("ISO_IR 138", "דוגמה^סרט"),
    "thai": ("ISO_IR 166", "ตัวอย่าง^ฟิล์ม"),
    "katakana": ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    "korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "korean-without-escapes": ("ISO 2022 IR 149", "홍^길동"),
    "japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "chinese-2022": (["", "ISO 2022 IR 58"], "Zhang^XiaoDong=张^小东"),
    "chinese-gb18030": ("GB18030", "Wang^XiaoDong=王^小东"),
    "chinese-gbk": ("GBK", "Wang^XiaoDong=王^小东"),
    "utf8": ("ISO_IR 192", "Wang^XiaoDong=王^小東=홍^مثال"),
}
# pydicom writes this one without the escape sequences that it wants (PS3.5 K.3).
_WRITTEN = {"chinese-2022": b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab"}


def film(**changes: Any) -> Dataset:
    """Header of a DX with everything in it, in memory. A change to None removes the element."""
    header = Dataset()
    values: dict[str, Any] = {
        "SOPClassUID": DX,
        "SOPInstanceUID": FILM,
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": f"{STUDY}.1",
        "Modality": "DX",
        "ViewPosition": "PA",
        "BodyPartExamined": "CHEST",
        "PatientName": "Example^Film",
        "PatientID": "EX-0001",
        "PatientBirthDate": "19600102",
        "PatientSex": "F",
        "StudyDate": "20250301",
        "StudyTime": "101500",
        "StudyID": "17",
        "StudyDescription": "Chest PA",
        "AccessionNumber": "ACC0001",
        "ReferringPhysicianName": "Example^Referrer",
        **changes,
    }
    for keyword, value in values.items():
        if value is not None:
            setattr(header, keyword, value)
    return header


def as_received(header: Dataset) -> Dataset:
    """Write a header as a device would, in its own character set, and read it back: the elements are raw bytes."""
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.get("SOPClassUID", DX)
    header.file_meta.MediaStorageSOPInstanceUID = header.get("SOPInstanceUID", FILM)
    buffer = io.BytesIO()
    header.save_as(buffer, enforce_file_format=True)
    return dcmread(io.BytesIO(buffer.getvalue()))


def in_charset(name: str, **changes: Any) -> Dataset:
    """Header of a film in one of CHARSETS, as received."""
    charset, person = CHARSETS[name]
    header = as_received(film(SpecificCharacterSet=charset or None, PatientName=person, **changes))
    if name in _WRITTEN:
        element = header.get_item("PatientName")
        assert isinstance(element, RawDataElement)
        header[element.tag] = element._replace(value=_WRITTEN[name], length=len(_WRITTEN[name]))
    return header


def item(**values: Any) -> Dataset:
    """One item of a sequence."""
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def ordered_cr() -> Dataset:
    """Header of a CR from a departmental system: issuers, a time zone, two requested procedures, private data."""
    header = film(
        SOPClassUID=CR,
        Modality="CR",
        ViewPosition="AP",
        TimezoneOffsetFromUTC="+0900",
        IssuerOfPatientID="HOSPITAL",
        IssuerOfPatientIDQualifiersSequence=[item(UniversalEntityID="1.2.3", UniversalEntityIDType="ISO")],
        IssuerOfAccessionNumberSequence=[item(LocalNamespaceEntityID="RIS")],
        FillerOrderNumberImagingServiceRequest="FILL-9",
        ProcedureCodeSequence=[item(CodeValue="XR1", CodingSchemeDesignator="99HOSP", CodeMeaning="Chest AP")],
        RequestAttributesSequence=[
            item(RequestedProcedureID="RP1", RequestedProcedureDescription="Chest AP"),
            item(RequestedProcedureID="RP2", RequestedProcedureDescription="Chest lateral"),
        ],
        StationName="ROOM-4-WORKSTATION",
        InstitutionName="Example Hospital",
    )
    header.private_block(0x0029, "EXAMPLE MAKER", create=True).add_new(0x01, "LO", "private words")
    return as_received(header)


def provenance(**changes: Any) -> Provenance:
    """A reader that exists nowhere else."""
    values: dict[str, Any] = {
        "reader_name": "CXR-LLaVA demo",
        "reader_version": "1.0",
        "manufacturer": "wetread",
        "precision": "fp32",
        "digest": "0123456789abcdef" * 4,
        "notice": "DEMONSTRATION MODEL - DOES NOT SEE THE FILM",
        "generation": "greedy",
        "software_version": "0.1.0",
        "films": (FILM,),
        "assumptions": ("no window in the file, full range shown",),
        **changes,
    }
    return Provenance(**values)


def text() -> DraftText:
    """Sections as a reader writes them, with characters beyond Latin-1."""
    return sections("FINDINGS: The lungs are clear. Heart size ≤ normal.\nIMPRESSION: No acute process – “normal”.")


def draft(*headers: Dataset, **changes: Any) -> Dataset:
    """A draft for these films, or for the plain DX."""
    arguments: dict[str, Any] = {"revision": 1, "content_at": MOMENT, "config": CONFIG, **changes}
    written = arguments.pop("text", text())
    made_by = arguments.pop("provenance", provenance())
    return build_draft(headers or (film(),), written, made_by, **arguments)
