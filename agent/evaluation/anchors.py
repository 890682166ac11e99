"""Published figures, to stand beside ours: never measured here, and comparable only where protocol and films agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from agent.evaluation.agreement import Figure


@dataclass(frozen=True, slots=True)
class Anchor:
    """What somebody published of a reader: F1 for each finding, or one mean; None where it is not public."""

    reader: str
    films: str
    protocol: str
    source: str
    findings: Mapping[str, Figure] = field(default_factory=lambda: MappingProxyType({}))
    mean: float | None = None
    remark: str = ""


_PAPER: Final = "Lee et al., Eur Radiol 2025;35:4374-4386, doi 10.1007/s00330-024-11339-6"
_PREPRINT: Final = "arXiv 2310.18341v3, table 4"
_DEFINITE: Final = "definite: CheXpert labeler on both texts, uncertain and blank dropped"

ANCHORS: Final = (
    Anchor(
        "CXR-LLaVA",
        "Indiana University, 3,689 pairs",
        _DEFINITE,
        _PREPRINT,
        MappingProxyType(
            {
                "Cardiomegaly": Figure(0.62, 0.57, 0.65),
                "Consolidation": Figure(0.31, 0.09, 0.50),
                "Edema": Figure(0.67, 0.33, 0.86),
                "Lung Opacity": Figure(0.85, 0.80, 0.89),
                "Pleural Effusion": Figure(0.55, 0.48, 0.62),
                "Pneumonia": Figure(0.63, 0.42, 0.79),
                "Pneumothorax": Figure(0.05, 0.00, 0.13),
            }
        ),
        0.62,
        "the published mean is not the plain mean of these seven (0.526); how it was formed is not known",
    ),
    Anchor("CXR-LLaVA", "MIMIC-CXR, 3,000 films", _DEFINITE, _PAPER, mean=0.81, remark="six findings"),
    Anchor(
        "CXR-LLaVA",
        "Indiana University",
        _DEFINITE,
        _PAPER,
        mean=0.56,
        remark="six findings, without lung opacity",
    ),
    Anchor(
        "GPT-4-vision",
        "MIMIC-CXR and Indiana University",
        _DEFINITE,
        _PAPER,
        remark="worse than CXR-LLaVA on both; its figures are not public enough to quote",
    ),
    Anchor(
        "GPT-4V",
        "MIMIC-CXR",
        "all: CheXbert, 14 labels, micro mean",
        "README of Stanford-AIMI/CheXagent",
        mean=0.355,
        remark="macro mean 0.204",
    ),
    Anchor(
        "LLaVA-Rad",
        "MIMIC-CXR",
        "all: CheXbert, 14 labels, micro mean",
        "README of Stanford-AIMI/CheXagent",
        mean=0.573,
        remark="macro mean 0.395",
    ),
    Anchor(
        "MAIRA-2",
        "MIMIC-CXR",
        "all: CheXbert, 14 labels, micro mean",
        "README of Stanford-AIMI/CheXagent",
        mean=0.581,
        remark="macro mean 0.416",
    ),
    Anchor(
        "CheXagent-2-3b",
        "MIMIC-CXR",
        "all: CheXbert, 14 labels, micro mean",
        "README of Stanford-AIMI/CheXagent",
        mean=0.580,
        remark="macro mean 0.449",
    ),
)
ACCEPTABLE: Final = MappingProxyType({"CXR-LLaVA": 0.727, "reports by radiologists": 0.840})  # A or B, same paper
