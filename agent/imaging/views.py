"""From where was the film taken, and which way does it lie? What a header says against a frontal film as it hangs.

View Position is one of a few words by the standard and anything in real files; coded views come in any language; and a
lateral whose View Position says PA often has its name in a description. Nothing here proves that a film is frontal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

import pydicom

from agent.imaging.attributes import items, letters, text, texts
from agent.imaging.verdict import Verdict

_View = Literal["frontal", "lateral", "other", "silent", "unknown"]


def _names(written: str) -> frozenset[str]:
    return frozenset(written.split())


# Parts of words, in capitals and without accents: English, the Romance languages, German, Dutch, Polish, Czech,
# Russian, Japanese, Chinese, Korean.
_LATERAL: Final = re.compile(
    r"^[LR]L$|LATERA|LAT$|^LAT|(CHEST|THORAX|TORAX)LAT|^SEIT(?!EN?$|S$)|PROFIL(?!E)|PERFIL|BOCZN|BOCN|БОКОВ|^ZIJD|側面|侧面|측면"
)
_NOT_LATERAL: Final = re.compile(r"(BI|UNI|IPSI|[CK]ONTRA|COL)LAT|LATERALIT|PLAT|FLAT|DILAT|^LATE(R|ST|X)?$")
_OTHER: Final = re.compile(r"^(LLD|RLD|LLO|RLO|LAO|RAO|LPO|RPO|TAN|AXIAL)$|DECUB|^OBL|LORDO|TANGENT|SCHRAG")
_FRONTAL: Final = re.compile(
    r"^(PA|AP|PAAP|APPA|DV|VD|FACE)$|(CHEST|THORAX|TORAX)(PA|AP)$|FRONT|^FRENTE|ПРЯМ|正面|정면"
)
# Pairs of words, or of letters with points between, that mean one of the above.
_PAIRS: Final = (
    (re.compile(r"\bP A\b|\b(POSTERO|VENTRO) ?(ANT|DORS)\w*"), "PA"),
    (re.compile(r"\bA P\b|\b(ANTERO|DORSO) ?(POST|VENTR)\w*"), "AP"),
    (re.compile(r"\bD[EÉ]CUBIT\w* (DORS|SUPIN)\w*"), "SUPINE"),
)
# Words that say nothing of the view: posture, device, body part, or that nobody knows.
_SILENT: Final = _names(
    "ERECT SUPINE STANDING UPRIGHT SITTING LYING SEMI SEMIERECT SEMIUPRIGHT RECUMBENT STEHEND LIEGEND SITZEND BED "
    "BEDSIDE PORTABLE MOBILE ROUTINE ADULT GRID NON XR CR DX DR RX XRAY VIEW VIEWS SINGLE PROJECTION INSPIRATION "
    "EXPIRATION CHEST THORAX TORAX LUNG LUNGS UNKNOWN OTHER NONE NA XX NOT SPECIFIED NOTSPECIFIED UNSPECIFIED "
    "DEFAULT ANY"
)

# SNOMED CT and its older SRT identifiers (PS3.16 CID 4010, CID 501): views from the side, slanting or along the body,
# and frontal ones. What is in none of them is judged by its meaning.
_LATERAL_CODES: Final = _names(
    "399067008 R-102CD 399173006 R-10236 399198007 R-10232 399260004 R-10224 399352003 R-10228 49370004 G-A104 "
    "399118008 G-5223 399297009 G-5222 30730003 G-A145"
)
_OTHER_CODES: Final = _names(
    "399182000 R-102C1 399184004 R-10238 399236003 R-10234 399135007 R-10220 399356000 R-40985 399006002 R-10212 "
    "399038007 R-10210 399160007 R-10204 399312000 R-10208 399059000 R-10216 399099002 R-10230 399368009 R-10226 "
    "260427002 R-40783 260426006 R-40782 399225005 R-10250 399288005 R-10248 399004004 R-10246 399132005 R-10252 "
    "399325008 R-10254 399061009 R-10241 399110001 R-102C2 399162004 R-10242 399196006 R-10244"
)
_FRONTAL_CODES: Final = _names("399033003 R-10202 399348003 R-10206 272479007 R-40888 R-10214")

_DESCRIPTIONS: Final = (
    *(
        "SeriesDescription",
        "ProtocolName",
        "PerformedProcedureStepDescription",
        "AcquisitionDeviceProcessingDescription",
        "PostprocessingFunction",
    ),
)
_ORDERS: Final = ("StudyDescription", "RequestedProcedureDescription")
# An order for a lateral beside a frontal view, which it need not name: "chest with lateral", "Thorax in 2 Ebenen (LL)".
_SEVERAL: Final = re.compile(
    r"[+&]|\b(?:with|mit|con|com|avec|and|und|et|2|two|zwei|deux|due|dos|zwo|[12] ?vw?s?|both)\b", re.IGNORECASE
)
_PROCEDURES: Final = ("ProcedureCodeSequence", "RequestedProcedureCodeSequence", "PerformedProtocolCodeSequence")


def judge_view(header: pydicom.Dataset) -> Verdict | None:
    """A header that says that it is no frontal view is excluded; one that leaves it open, or disagrees, is a doubt."""
    position = {view for written in texts(header, "ViewPosition") for view in _views(written)}
    coded = {_coded(item) for item in items(header, "ViewCodeSequence")}
    lies = _lies(header)
    against = {*coded, lies} | (set() if "frontal" in position else position)
    if "other" in against:
        return _exclude("not-frontal", "The header says that the view is neither PA nor AP.")
    if "lateral" in against:
        return _exclude("lateral", "The header says that the view is lateral.")
    if position & {"other", "lateral"} or any(
        _tells_of_no_frontal_view(description) for description in _described(header)
    ):
        return _confirm(
            "view-conflict",
            "The header says in one place that the view is not frontal, and not in another.",
            "the header disagrees about the view",
        )
    if "unknown" in {*coded, lies} or ("unknown" in position and "frontal" not in position):
        return _confirm(
            "view-unknown", "The view is a word that is not known here.", "the view in the header is not known"
        )
    return None


def judge_orientation(header: pydicom.Dataset) -> Verdict | None:
    """A doubt where Patient Orientation (PS3.3 C.7.6.1.1.1) says that the film hangs mirrored or turned."""
    row, column = _directions(header)
    if {row, column} - {"L", "R", "H", "F", ""} or (row in {"L", ""} and column in {"F", ""}):
        return None
    if (row, column) in {("R", "H"), ("", "H"), ("F", "R"), ("H", "L")}:
        return _confirm(
            "looks-rotated", "Patient Orientation says that the film is turned.", "turned, by its Patient Orientation"
        )
    return _confirm(
        "looks-mirrored", "Patient Orientation says that the film is mirrored.", "mirrored, by its Patient Orientation"
    )


def _exclude(code: str, explanation: str) -> Verdict:
    return Verdict("exclude", code, explanation)


def _confirm(code: str, explanation: str, phrase: str) -> Verdict:
    return Verdict("confirm", code, explanation, (phrase,))


def _views(written: str) -> set[_View]:
    """What its words say, one by one."""
    spaced = re.sub(r"[\W_]+", " ", written.upper())
    for pair, view in _PAIRS:
        spaced = pair.sub(view, spaced)
    return {_view_of(letters(word)) for word in spaced.split()}


def _view_of(word: str) -> _View:
    if _OTHER.search(word):
        return "other"
    if _LATERAL.search(word) and not _NOT_LATERAL.search(word):
        return "lateral"
    if _FRONTAL.search(word):
        return "frontal"
    return "silent" if word in _SILENT or word.isdigit() else "unknown"


def _coded(item: pydicom.Dataset) -> _View:
    """By the code; where that is not known, by what its meaning says first against a frontal view."""
    code = text(item, "CodeValue")
    views = _views(text(item, "CodeMeaning"))
    if code in _OTHER_CODES or "other" in views:
        return "other"
    if code in _LATERAL_CODES or "lateral" in views:
        return "lateral"
    if code in _FRONTAL_CODES or "frontal" in views:
        return "frontal"
    return "unknown" if "unknown" in views or (code and not views) else "silent"


def _described(header: pydicom.Dataset) -> Iterator[str]:
    """Descriptions of the image and its series, and of its study where they are of one view, each for itself."""
    for keyword in _DESCRIPTIONS:
        yield from texts(header, keyword)
    ordered = [written for keyword in _ORDERS for written in texts(header, keyword)]
    for keyword in _PROCEDURES:
        ordered += [text(item, "CodeMeaning") for item in items(header, keyword)]
    yield from (written for written in ordered if not _SEVERAL.search(written))


def _tells_of_no_frontal_view(description: str) -> bool:
    """A description of a study with both views says nothing against its frontal one."""
    views = _views(description)
    return bool(views & {"lateral", "other"}) and "frontal" not in views


def _lies(header: pydicom.Dataset) -> _View:
    """What Patient Orientation says of the view: a film on which front and back can be told apart is no frontal one."""
    row, column = _directions(header)
    depth = {row, column} & {"A", "P"}
    if not depth:
        return "silent"
    if {row, column} & {"L", "R"}:
        return "other"
    return "unknown" if row in depth and column in depth else "lateral"


def _directions(header: pydicom.Dataset) -> tuple[str, str]:
    """Where rows and columns lead: the first letters of the values."""
    found = [written[:1].upper() for written in texts(header, "PatientOrientation")]
    row, column = (*found, "", "")[:2]
    return row, column
