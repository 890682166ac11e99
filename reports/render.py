"""A structured report as text for a terminal, or as JSON: the flags first, then the items as they stand in it."""

from __future__ import annotations

import textwrap
from typing import Any

from pydicom import Dataset

from dicom_node.characters import disarm
from reports.outline import Line, outline, shown
from reports.tables import ENDED, Report

_UNKNOWN = "\ufffd"  # a header may hold anything
_LONGEST_REASON = 160  # characters: the line stands on every page of a PDF


def as_text(document: Dataset, *, width: int = 100) -> str:
    """Write the visible content of a structured report. Holds the patient's name: for people, never for logs.

    width: of a line in characters; blank lines between sections, LF at line ends. Raises NoReport.
    """
    found = outline(document)
    flags = dict(found.flags)
    patient, study = dict(found.patient), dict(found.study)
    head = [
        " | ".join([found.title, *(value or "?" for value in flags.values())]),
        f"Patient {patient['PatientName'] or '-'}  ID {patient['PatientID'] or '-'}  "
        f"born {patient['PatientBirthDate'] or '-'}  sex {patient['PatientSex'] or '-'}",
        f"Study {study['StudyDate'] or '-'} {study['StudyTime']}  accession {study['AccessionNumber'] or '-'}",
        *(f"Verified by {who}" for who in found.verified_by),
    ]
    lines = [line.rstrip() for line in head]
    for line in shown(found):
        lines.extend(_written(line, width))
    if found.cut:
        lines.extend(["", "(There is more than is shown here.)"])
    return "\n".join(disarm(line, instead=_UNKNOWN) for line in lines) + "\n"


def state_line(report: Report) -> str:
    """One line that says where a report of ours stands now, which its document, once written, cannot say.

    Holds a person's sentence where there is one, shortened; the moment is in UTC.
    """
    since = f"{report.changed_at:%Y-%m-%d %H:%M} UTC"
    if report.state not in ENDED:
        return f"{report.state} since {since}"
    why = textwrap.shorten(report.explanation or report.event.replace("-", " "), _LONGEST_REASON, placeholder=" ...")
    return disarm(f"{report.state} {since}: {why} - do not use", instead=_UNKNOWN)


def as_json(document: Dataset) -> dict[str, Any]:
    """Everything of the outline as plain values. Raises NoReport."""
    found = outline(document)
    return {
        "title": found.title,
        "sop_class": found.sop_class,
        "flags": dict(found.flags),
        "patient": dict(found.patient),
        "study": dict(found.study),
        "verified_by": list(found.verified_by),
        "items": [
            {
                "depth": line.depth,
                "value_type": line.value_type,
                "relationship": line.relationship,
                "name": line.name,
                "value": line.value,
            }
            for line in found.lines
        ],
        "cut": found.cut,
    }


def _written(line: Line, width: int) -> list[str]:
    indent = "  " * line.depth
    if line.value_type == "CONTAINER":
        return ["", f"{indent}{line.name.upper() if line.depth == 0 else line.name}"]
    words = line.value or "-"
    # A text under the heading of its section needs no label; everything else does, what modifies the section as well.
    is_content = line.value_type == "TEXT" and line.depth == 1 and line.relationship == "CONTAINS"
    labeled = words if is_content or not line.name else f"{line.name}: {words}"
    wrapped = [
        part
        for paragraph in labeled.splitlines()
        for part in textwrap.wrap(paragraph, max(width, 20), initial_indent=indent, subsequent_indent=indent) or [""]
    ]
    return wrapped or [indent.rstrip()]
