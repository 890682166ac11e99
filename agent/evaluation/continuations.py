"""Pairs of sentences, one that says a finding and one that denies it: what a reader finds likelier is its score.

A label head that was thrown away after training would say how good the tower was; the likelihood of words says how good
the model is that writes the reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.readers.protocol import Scores

Pairs: TypeAlias = Mapping[str, tuple[str, str]]  # label: (says it, denies it)

USUAL: Final[Pairs] = MappingProxyType(
    {
        "Atelectasis": ("There is atelectasis.", "There is no atelectasis."),
        "Cardiomegaly": ("There is cardiomegaly.", "There is no cardiomegaly."),
        "Consolidation": ("There is consolidation.", "There is no consolidation."),
        "Edema": ("There is pulmonary edema.", "There is no pulmonary edema."),
        "Lung Opacity": ("There is a lung opacity.", "There is no lung opacity."),
        "Pleural Effusion": ("There is a pleural effusion.", "There is no pleural effusion."),
        "Pneumonia": ("There is pneumonia.", "There is no pneumonia."),
        "Pneumothorax": ("There is a pneumothorax.", "There is no pneumothorax."),
    }
)


def pairs_of(reader: Any) -> Pairs:
    """The sentences that the reader was trained on, where it names them; else the usual ones."""
    own = getattr(reader, "score_pairs", None)
    return USUAL if own is None else own


def score(reader: Scores, film: NDArray[np.uint8], pairs: Pairs) -> dict[str, float]:
    """For each label the log-likelihood of saying it less that of denying it: above 0 it is likelier than not."""
    return {
        label: reader.score(film, says).total - reader.score(film, denies).total
        for label, (says, denies) in pairs.items()
    }
