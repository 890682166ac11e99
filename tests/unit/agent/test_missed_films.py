"""What reconciliation calls a chest film is what the image gate would not exclude for its body part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from agent.imaging.gate import is_elsewhere
from dicom_node.reconcile import series_of


@pytest.mark.parametrize(
    ("body_part", "counts"),
    [
        ("CHEST", True),
        ("", True),
        ("PECHO", True),
        ("PULMÓN", True),
        ("ГРУДНАЯ КЛЕТКА", True),
        ("Thorax a.p.", True),
        ("UNKNOWN", True),  # the gate holds it: a person decides
        ("PORTABLE", True),
        ("HAND", False),
        ("CHESTABDOMEN", False),
        ("THORACIC SPINE", False),
    ],
)
def test_reconciliation_hides_nothing_from_the_gate(body_part: str, counts: bool) -> None:
    def search(level: str, keys: Mapping[str, str]) -> Sequence[Mapping[str, str]]:
        assert (level, keys["StudyInstanceUID"]) == ("SERIES", "1.2")
        return [{"SeriesInstanceUID": "1.2.1", "Modality": "DX", "BodyPartExamined": body_part}]

    assert len(series_of(search, "1.2", is_elsewhere=is_elsewhere)) == counts
