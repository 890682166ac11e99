"""A draft as text for a terminal: the flags first, then the sections in the order of the document."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from pydicom import Dataset

_FLAGS = ("CompletionFlag", "VerificationFlag", "PreliminaryFlag", "ContentQualification")


def as_text(document: Dataset, *, width: int = 100) -> str:
    """Write the visible content of a structured report. Holds the patient's name: for people, never for logs.

    width: of a line in characters; blank lines between sections, LF at line ends.
    """
    title = _meaning(document, "ConceptNameCodeSequence")
    head = [
        " | ".join([title, *(str(document.get(flag, "?")) for flag in _FLAGS)]),
        f"Patient {document.get('PatientName', '')}  ID {document.get('PatientID', '')}  "
        f"born {document.get('PatientBirthDate', '')}  sex {document.get('PatientSex', '')}",
        f"Study {document.get('StudyDate', '')} {document.get('StudyTime', '')}  "
        f"accession {document.get('AccessionNumber', '')}",
    ]
    blocks = ["\n".join(line.rstrip() for line in head)]
    items = [item for item in document.get("ContentSequence") or [] if item.get("ValueType") == "CONTAINER"]
    blocks.extend("\n".join(_section(item, width)) for item in items)
    return "\n\n".join(blocks) + "\n"


def _section(section: Dataset, width: int) -> Iterator[str]:
    yield _meaning(section, "ConceptNameCodeSequence").upper()
    for item in section.get("ContentSequence") or []:
        if item.get("RelationshipType") == "CONTAINS":
            for line in _value(item).splitlines():
                yield from textwrap.wrap(line, width, initial_indent="  ", subsequent_indent="  ") or [""]


def _value(item: Dataset) -> str:
    kind = item.get("ValueType")
    if kind == "TEXT":
        return str(item.TextValue)
    if kind == "CODE":
        return f"{_meaning(item, 'ConceptNameCodeSequence')}: {_meaning(item, 'ConceptCodeSequence')}"
    if kind == "IMAGE":
        return f"image {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID}"
    return str(kind)


def _meaning(item: Dataset, keyword: str) -> str:
    return str(item[keyword].value[0].CodeMeaning) if item.get(keyword) else ""
