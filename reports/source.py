"""What a report takes over from the images: patient, study and request, in Unicode, nothing invented.

A `source` is the header of one image. Only the elements named here are copied, so that no private element, no pixel
and no name of a machine reaches a document.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any

import structlog
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.valuerep import PersonName

from dicom_node.uids import is_uid
from reports.charset import UTF_8, Charset, SourceUnusable
from reports.config import ReportsConfig

# A wrong or cut value of these would bind the report to another patient or order: the study is held instead.
KEYS = ("PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyID")
TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
OPTIONAL = (
    "IssuerOfPatientID",
    "TypeOfPatientID",
    "StudyDescription",
    "Modality",
    "BodyPartExamined",
    "ViewPosition",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
)
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
SEQUENCES = ("IssuerOfPatientIDQualifiersSequence", "IssuerOfAccessionNumberSequence")
_REQUEST = ("RequestedProcedureID", "RequestedProcedureDescription")
_UNKNOWN_SEX = frozenset({"U", "X", "UNKNOWN"})
_CODE = ("CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning")

LENGTHS = MappingProxyType({"CS": 16, "SH": 16, "LO": 64})  # PS3.5 6.2, in characters
_TEXTS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})  # Specific Character Set rules these
_COPIED = frozenset(_TEXTS | {"CS", "SQ", "UI", "UR"})
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?")
_OFFSET = re.compile(r"[+-](0\d|1[0-4])[0-5]\d")

log = structlog.get_logger()


def normalize(source: Dataset, config: ReportsConfig) -> Dataset:
    """Copy what a report needs: Unicode, type 2 attributes present, values that DICOM does not allow left empty.

    Specific Character Set is that in which the report is to be written. The source may be any image header, with or
    without pixels, lazily read or not; it is not changed. Normalizing what is normal already changes nothing.

    Raises SourceUnusable: no usable UID, no Patient ID, an identifier too long or with control characters, text in an
    undeclared or unknown character set.
    """
    charset = _charset(source, Charset.declared([]))
    normal = Dataset()
    normal.SpecificCharacterSet = _terms(charset, config)
    for keyword in UIDS:
        setattr(normal, keyword, _uid(source, keyword))
    for keyword in (*TYPE_2, *OPTIONAL):
        text = _cleaned(keyword, _text(source, keyword, charset, config), config)
        if text or keyword in TYPE_2:
            setattr(normal, keyword, text)
    if config.study_id_from_accession and not normal.StudyID:
        normal.StudyID = normal.AccessionNumber  # both are SH
    if not normal.PatientID:
        raise SourceUnusable("no-patient-id", "Patient ID (0010,0020) is absent or empty; the patient is unidentified")
    offset = _text(source, "TimezoneOffsetFromUTC", charset, config)
    if is_timezone_offset(offset):
        normal.TimezoneOffsetFromUTC = offset
    for keyword in SEQUENCES:
        items = [_whole(item, charset, config) for item in source.get(keyword) or []]
        if any(items):
            setattr(normal, keyword, [item for item in items if item])
    _copy_codes(source, normal, "ProcedureCodeSequence", charset, config)
    requests = [_request(item, charset, config) for item in source.get("RequestAttributesSequence") or []]
    if requests:
        normal.RequestAttributesSequence = requests
    return normal


def legible(source: Dataset, keyword: str, config: ReportsConfig) -> str:
    """A text for people, in the character set of which `normalize` takes it; as it stands where it is in none."""
    try:
        return _text(source, keyword, _charset(source, Charset.declared([])), config)
    except SourceUnusable:
        return joined(source.get(keyword))


def of_one_study(sources: Sequence[Dataset]) -> None:
    """Make sure that normalized sources belong to one study of one patient. Raises SourceUnusable."""
    for keyword, code in (
        ("StudyInstanceUID", "studies-differ"),
        ("PatientID", "patients-differ"),
        ("IssuerOfPatientID", "patients-differ"),
        ("AccessionNumber", "accessions-differ"),
    ):
        if len({str(source.get(keyword, "")) for source in sources}) != 1:
            raise SourceUnusable(code, f"the images of the study differ in {keyword}; a person must say which is right")


def has_controls(text: str, *, allowed: str = "") -> bool:
    """Does a text hold control characters (PS3.5 6.1.3), other than those allowed?"""
    return any(unicodedata.category(character) == "Cc" for character in text if character not in allowed)


def _uid(source: Dataset, keyword: str) -> str:
    uid = str(source.get(keyword) or "").strip(" \0")
    if not is_uid(uid):
        raise SourceUnusable(
            f"no-{_words(keyword)}", f"{keyword} of an image is absent or no UID; nothing can refer to it"
        )
    return uid


def _words(keyword: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=SOP)(?=[A-Z])", "-", keyword).lower()


def _charset(source: Dataset, inherited: Charset) -> Charset:
    """Character set in force: an item of a sequence may declare its own (PS3.3 C.12.1.1.2)."""
    if "SpecificCharacterSet" not in source:
        return inherited
    value = source.SpecificCharacterSet
    terms = [value] if isinstance(value, str) else list(value or [])
    return Charset.declared([str(term) for term in terms])


def _terms(charset: Charset, config: ReportsConfig) -> list[str]:
    """Value of (0008,0005) of a report: UTF-8, which every text fits into, or as the film where that is configured."""
    if config.charset_mode == "source" and charset.is_default and config.assume_charset:
        charset = Charset.declared(config.assume_charset.split("\\"))
    # A film that declares nothing holds ASCII, which is the same bytes in UTF-8.
    return [UTF_8] if config.charset_mode == "utf-8" or charset.is_default else list(charset.terms)


def _text(source: Dataset, keyword: str, charset: Charset, config: ReportsConfig) -> str:
    """Value of a text element as Unicode, without the blanks that mean nothing; empty where absent."""
    element = source.get_item(keyword) if keyword in source else None
    if element is None:
        return ""
    vr = dictionary_VR(keyword)
    text = _decoded(element, vr, charset, config)
    # Leading blanks mean something in long texts and names only (PS3.5 6.2).
    return text.rstrip(" \0") if vr in {"PN", "ST", "LT", "UT", "UC"} else text.strip(" \0")


def _decoded(element: DataElement | RawDataElement, vr: str, charset: Charset, config: ReportsConfig) -> str:
    value: Any = element.value
    if isinstance(value, PersonName) and isinstance(value.original_string, bytes) and value.original_string:
        value = value.original_string
    if isinstance(value, bytes):
        return _from_bytes(value, vr, charset, config)
    text = joined(value)
    if charset.encodings == ("iso8859",) and not text.isascii():
        # pydicom reads undeclared bytes as Latin-1; this gives them back.
        try:
            return _from_bytes(text.encode("latin-1"), vr, charset, config)
        except UnicodeEncodeError:
            raise _undeclared() from None
    if "\ufffd" in text:
        raise SourceUnusable("undecodable-text", "a text in the image's header could not be decoded")
    return text


def joined(value: object) -> str:
    """Return an element's value as one text: several values with backslashes between, none as an empty text."""
    if value is None:
        return ""
    if isinstance(value, str | PersonName) or not isinstance(value, Iterable):
        return str(value)
    return "\\".join(str(part) for part in value)


def _from_bytes(value: bytes, vr: str, charset: Charset, config: ReportsConfig) -> str:
    if not charset.covers(value):
        if not config.assume_charset:
            raise _undeclared()
        charset = Charset.declared(config.assume_charset.split("\\"))
        if not charset.covers(value):
            raise _undeclared()
    return charset.decode(value, person_name=vr == "PN")


def _undeclared() -> SourceUnusable:
    return SourceUnusable(
        "undeclared-character-set",
        "the image's header holds characters beyond ASCII and declares no character set for them; "
        "set assume_charset in [reports] to what the sending device writes, or correct the study in the PACS",
    )


def _cleaned(keyword: str, text: str, config: ReportsConfig) -> str:
    """Return the value as DICOM allows it; empty where it does not. Raises SourceUnusable for identifiers."""
    if keyword == "PatientSex":
        text = _sex(text.upper(), config)
    if _is_valid(keyword, text):
        return text
    if keyword in KEYS:
        raise SourceUnusable(
            f"bad-{_words(keyword)}",
            f"{keyword} is longer than DICOM allows, or holds a backslash or control characters; it is never cut",
        )
    log.warning("attribute_left_empty", keyword=keyword)
    return ""


def _sex(text: str, config: ReportsConfig) -> str:
    """Words of devices for "not known", which DICOM lacks, become what is configured for them."""
    if text not in _UNKNOWN_SEX:
        return text
    log.info("sex_replaced", code="sex-written-as-other" if config.unknown_sex else "sex-left-out")
    return config.unknown_sex


def _is_valid(keyword: str, text: str) -> bool:
    vr = dictionary_VR(keyword)
    if not text:
        return True
    if keyword == "PatientSex":
        return text in {"F", "M", "O"}
    if vr == "DA":
        return _is_date(text)
    if vr == "TM":
        return _TIME.fullmatch(text) is not None
    if vr == "CS" and re.fullmatch(r"[A-Z0-9 _]*", text) is None:
        return False
    # A longer Person Name is kept: real ones exist, and every peer takes them.
    return len(text) <= LENGTHS.get(vr, 1 << 16) and "\\" not in text and not has_controls(text)


def _is_date(text: str) -> bool:
    if re.fullmatch(r"[0-9]{8}", text) is None:
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def is_timezone_offset(text: str) -> bool:
    """Is this the form of Timezone Offset From UTC (PS3.3 C.12.1.1.8)? -1200 to +1400, and no -0000."""
    return _OFFSET.fullmatch(text) is not None and text != "-0000" and -1200 <= int(text) <= 1400


def _whole(item: Dataset, inherited: Charset, config: ReportsConfig) -> Dataset:
    """Copy every standard element of an item: issuers must arrive as they are. Raises SourceUnusable."""
    charset = _charset(item, inherited)
    copy = Dataset()
    for keyword in item.dir():
        vr = dictionary_VR(keyword)
        if vr not in _COPIED or keyword == "SpecificCharacterSet":
            continue
        if vr == "SQ":
            setattr(copy, keyword, [_whole(part, charset, config) for part in item[keyword].value])
            continue
        text = _text(item, keyword, charset, config)
        if not _is_valid(keyword, text):
            raise SourceUnusable("bad-issuer", f"{keyword} of an issuer in the image's header is no valid value")
        if text:
            setattr(copy, keyword, text)
    return copy


def _request(item: Dataset, inherited: Charset, config: ReportsConfig) -> Dataset:
    charset = _charset(item, inherited)
    request = Dataset()
    for keyword in _REQUEST:
        setattr(request, keyword, _cleaned(keyword, _text(item, keyword, charset, config), config))
    accession = _text(item, "AccessionNumber", charset, config)
    if accession and _is_valid("AccessionNumber", accession):  # only to choose among several
        request.AccessionNumber = accession
    _copy_codes(item, request, "RequestedProcedureCodeSequence", charset, config)
    return request


def _copy_codes(source: Dataset, target: Dataset, keyword: str, inherited: Charset, config: ReportsConfig) -> None:
    """Copy the codes that are complete; half of a code says nothing, and validators refuse it."""
    codes = []
    for item in source.get(keyword) or []:
        charset = _charset(item, inherited)
        values = {name: _text(item, name, charset, config) for name in _CODE}
        complete = all(values[name] for name in _CODE if name != "CodingSchemeVersion")
        if complete and all(_is_valid(name, value) for name, value in values.items()):
            code = Dataset()
            for name, value in values.items():
                if value:
                    setattr(code, name, value)
            codes.append(code)
    if codes:
        setattr(target, keyword, codes)
