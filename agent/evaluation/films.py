"""Films of a manifest as a reader takes them: DICOM through the same child process as at work, pictures as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from agent.imaging.decoder import DecoderProcess
from agent.imaging.stored import UndecodableImage

_PICTURES: Final = frozenset({".png", ".jpg", ".jpeg"})


def load(path: Path, decoder: DecoderProcess) -> NDArray[np.uint8]:
    """The film, (rows, columns) uint8, 0 black. Raises UndecodableImage."""
    if path.suffix.lower() not in _PICTURES:
        return decoder.render(path).pixels
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("L"), dtype=np.uint8)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise UndecodableImage("undecodable", "The picture cannot be decoded.") from error
