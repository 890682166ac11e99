"""Films of a manifest as a reader takes them: DICOM through the same child process as at work, pictures as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.imaging.decoder import DecoderProcess
from agent.imaging.judging import film_of


def load(path: Path, decoder: DecoderProcess) -> NDArray[np.uint8]:
    """The film, (rows, columns) uint8, 0 black. Raises UndecodableImage."""
    return film_of(path, decoder).pixels
