"""The fitted numbers of the image gate: `chest_model.json` beside this module, made by `agent.imaging.fitting`."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FILE: Final = Path(__file__).with_name("chest_model.json")
POSES: Final = ("upright", "inverted", "rotated by 90", "rotated by 180", "rotated by 270", "part")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Model:
    """Linear maps of a thumbnail of 24 x 24 = 576 values.

    pose_weights: (576, 6), pose_bias: (6,): scores of `POSES` (linear discriminant analysis).
    mean: (576,), axes: (20, 576), deviations: (20,): principal components of frontal chests.
    sides_weights: (128,), sides_bias: (1,): what differs between left and right of the middle, 16 x 8.
    residual, distance: the 99.7th percentiles of frontal chests, for scale.
    """

    pose_weights: Floats
    pose_bias: Floats
    mean: Floats
    axes: Floats
    deviations: Floats
    sides_weights: Floats
    sides_bias: Floats
    residual: Floats
    distance: Floats


def as_text(model: Model, origin: Mapping[str, Any]) -> str:
    """JSON; arrays as base64 of little-endian half floats, which is more than the thresholds can tell apart."""
    arrays = {field.name: _packed(getattr(model, field.name)) for field in fields(Model)}
    return json.dumps({"origin": dict(origin), "arrays": arrays}, indent=1) + "\n"


def from_text(text: str) -> Model:
    """The reverse of `as_text`."""
    arrays = json.loads(text)["arrays"]
    return Model(**{field.name: _unpacked(arrays[field.name]) for field in fields(Model)})


@cache
def shipped() -> Model:
    """The model of this version."""
    return from_text(FILE.read_text(encoding="utf-8"))


def _packed(values: Floats) -> dict[str, Any]:
    return {"shape": list(values.shape), "half": base64.b64encode(values.astype("<f2").tobytes()).decode()}


def _unpacked(packed: Mapping[str, Any]) -> Floats:
    raw = np.frombuffer(base64.b64decode(packed["half"]), dtype="<f2")
    return raw.reshape(packed["shape"]).astype(np.float64)
