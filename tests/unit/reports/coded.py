"""Coded reports, notes and findings to test with, made from films that no device made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydicom import Dataset

from reports.findings import Finding, Laterality, Severity, State
from reports.objects.key_object import build_rejection
from reports.objects.measurement import build_measurement_report
from tests.unit.reports.films import CONFIG, MOMENT, draft


def finding(
    label: str, state: State, laterality: Laterality | None = None, severity: Severity | None = None
) -> Finding:
    """A finding without the mentions that it came from; the coded report does not look at them."""
    return Finding(label, state, laterality, severity, ())


FOUND = (
    finding("Cardiomegaly", State.PRESENT, None, Severity.MILD),
    finding("Pneumonia", State.UNCERTAIN, Laterality.RIGHT),
    finding("Pneumothorax", State.ABSENT, Laterality.LEFT),
    finding("Pleural Effusion", State.PRESENT, Laterality.LEFT, Severity.SEVERE),
    finding("Effusion", State.PRESENT, Laterality.LEFT, Severity.SEVERE),
    finding("Enlarged Cardiomediastinum", State.ABSENT),
)


def coded(master: Dataset | None = None, findings: Sequence[Finding] = FOUND, **changes: Any) -> Dataset:
    """The coded report of a narrative, or of the draft for the plain DX."""
    return build_measurement_report(master or draft(), findings, **{"config": CONFIG, **changes})


def note(*documents: Dataset, **changes: Any) -> Dataset:
    """A rejection of these documents, or of the draft for the plain DX and its coded report."""
    arguments: dict[str, Any] = {
        "safety": False,
        "words": "Describes a tube that is not there.",
        "at": MOMENT,
        "number": 1,
        "config": CONFIG,
        **changes,
    }
    return build_rejection(documents or (draft(), coded()), **arguments)


def direct_lines(document: Dataset) -> list[str]:
    """What a viewer prints that knows headings and what stands directly below them, and drops everything deeper."""
    lines: list[str] = []
    for item in document.get("ContentSequence") or []:
        name = item.ConceptNameCodeSequence[0].CodeMeaning if "ConceptNameCodeSequence" in item else ""
        if item.ValueType == "CONTAINER":
            lines += [name.upper(), *direct_lines(item)]
        elif item.ValueType == "CODE":
            lines.append(f"{name}: {item.ConceptCodeSequence[0].CodeMeaning}")
        elif item.ValueType == "TEXT":
            lines.append(f"{name}: {item.TextValue}")
    return lines
