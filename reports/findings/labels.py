"""The two label sets, and which labels a thing said in a report speaks for."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final


class State(StrEnum):
    """What a text says about a label. Not mentioned is none of these, and never `absent`."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"


class Laterality(StrEnum):
    """Which side the words name."""

    LEFT = "left"
    RIGHT = "right"
    BILATERAL = "bilateral"


class Severity(StrEnum):
    """How much, in four steps."""

    MINIMAL = "minimal"
    MILD = "mild"
    MODERATE = "moderate"
    SEVERE = "severe"


NO_FINDING: Final = "No Finding"
NORMAL: Final = "normal"

# Irvin et al., AAAI 2019, in the order of its tables.
CHEXPERT: Final = (
    NO_FINDING,
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)

# Peng et al., AMIA 2018: the 14 of ChestX-ray14, spelled as in the human gold file.
NEGBIO: Final = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)

LABELS: Final = (*CHEXPERT, *(label for label in (*NEGBIO, NORMAL) if label not in CHEXPERT))

# A concept is what words name; it speaks for these labels and for no wider one: a consolidation is no "Lung Opacity"
# here, as in neither of the two published labelers. `other` is abnormal without a label of its own.
LABELS_OF: Final = MappingProxyType(
    {
        "atelectasis": ("Atelectasis",),
        "cardiomegaly": ("Cardiomegaly",),
        "mediastinum": ("Enlarged Cardiomediastinum",),
        "effusion": ("Pleural Effusion", "Effusion"),
        "infiltrate": ("Lung Opacity", "Infiltration"),
        "opacity": ("Lung Opacity",),
        "mass": ("Lung Lesion", "Mass"),
        "nodule": ("Lung Lesion", "Nodule"),
        "lesion": ("Lung Lesion",),
        "pneumonia": ("Pneumonia",),
        "infection": ("Pneumonia",),  # implied, never said: uncertain at most
        "pneumothorax": ("Pneumothorax",),
        "hydropneumothorax": ("Pneumothorax", "Pleural Effusion", "Effusion"),
        "consolidation": ("Consolidation",),
        "edema": ("Edema",),
        "emphysema": ("Emphysema",),
        "fibrosis": ("Fibrosis",),
        "pleural_thickening": ("Pleural Other", "Pleural_Thickening"),
        "pleural_other": ("Pleural Other",),
        "hernia": ("Hernia",),
        "fracture": ("Fracture",),
        "device": ("Support Devices",),
        "thickening": (),  # of the pleura where a pleural effusion or plaque stands beside it
        "scar": (),
        "other": (),
    }
)
