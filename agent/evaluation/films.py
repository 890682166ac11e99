"""Films of a manifest as a reader takes them: DICOM through the same child process as at work, pictures as they are."""

from __future__ import annotations

from pathlib import Path

from agent.imaging.decoder import DecoderProcess
from agent.imaging.judging import film_of
from agent.imaging.pixels import Film


def load(path: Path, decoder: DecoderProcess) -> Film:
    """The film with the digest of its picture. Raises UndecodableImage."""
    return film_of(path, decoder)
