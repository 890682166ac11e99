"""Findings in the text of a chest radiograph report: present, absent or uncertain, and where it says so."""

from reports.findings.extraction import extract
from reports.findings.labels import CHEXPERT, LABELS, NEGBIO, Laterality, Severity, State
from reports.findings.mentions import Finding, Findings, Mention, Span

__all__ = [
    "CHEXPERT",
    "LABELS",
    "NEGBIO",
    "Finding",
    "Findings",
    "Laterality",
    "Mention",
    "Severity",
    "Span",
    "State",
    "extract",
]
