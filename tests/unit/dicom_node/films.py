"""Images and facts for rules: an adult's chest film from the emergency room, on a Sunday night."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydicom import Dataset

from dicom_node.rules.facts import Facts

SUNDAY_NIGHT = datetime(2026, 11, 22, 23, 30, tzinfo=ZoneInfo("Asia/Seoul"))


def image(**elements: Any) -> Dataset:
    made = Dataset()
    values = {
        "Modality": "DX",
        "StudyDescription": "Chest PA",
        "StationName": "ER_CR1",
        "PatientAge": "045Y",
        **elements,
    }
    for keyword, value in values.items():
        if value is not None:
            setattr(made, keyword, value)
    return made


def facts(*headers: Dataset, at: datetime = SUNDAY_NIGHT) -> Facts:
    return Facts(headers or (image(),), ("ER_CR1",), ("WETREAD_ER",), len(headers) or 1, at)
