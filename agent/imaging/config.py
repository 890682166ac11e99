"""What a site decides about its films."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from dicom_node.errors import ConfigurationError


class ImagingConfig(BaseModel):
    """Section [imaging]: what the image gate does with its doubts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    doubts: Literal["hold", "note"] = "hold"  # of the pixels: wait for a person, or read and say so in the draft
    unknown_age: Literal["read", "hold"] = "read"
    unknown_body_part: Literal["hold", "pixels"] = "hold"  # none in the header: wait, or read what looks like a chest
    same_film: Literal["hold", "note"] = "hold"  # the same pixels in the study of another patient
    gate_calibration: Path | None = None  # what `wetread gate calibrate` wrote; None: the shipped threshold

    @field_validator("gate_calibration")
    @classmethod
    def is_a_calibration(cls, file: Path | None) -> Path | None:
        """Every process refuses to start with a file that it could not use."""
        if file is not None:
            from agent.imaging import calibration  # noqa: PLC0415 -- loads numpy, which most commands do not need

            try:
                calibration.read(file)
            except ConfigurationError as error:
                raise ValueError(str(error)) from error
        return file
