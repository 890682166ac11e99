"""The film that a person names for the demonstration: looked at before anything is started."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Final

import pydicom.data
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_node.errors import ConfigurationError, NotFound

_NEEDED: Final = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID")
_BROKEN: Final = (InvalidDicomError, AttributeError, KeyError, ValueError, TypeError, NotImplementedError, EOFError)
_DUMP: Final = "a bare data set needs file meta information: dcmconv IN.dcm OUT.dcm makes a DICOM file of it"


def usable(path: Path, folder: Path) -> Path:
    """The file to send: this one, or a copy of it in `folder` with the file meta information that it lacks.

    Raises NotFound, ConfigurationError.
    """
    if not path.is_file():
        raise NotFound(f"there is no file {path}; --image takes the path of a DICOM file, or the word `real`")
    with path.open("rb") as stream:
        is_file = stream.read(132)[128:] == b"DICM"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote what stands in the header
        try:
            found = dcmread(path, force=not is_file, stop_before_pixels=is_file)
            missing = [keyword for keyword in _NEEDED if not found.get(keyword)]
        except _BROKEN as error:
            raise ConfigurationError(f"{path} cannot be read as DICOM ({type(error).__name__}); {_DUMP}") from error
        if missing:
            what = "is a DICOM file without" if is_file else "is no DICOM file: it has no"
            raise ConfigurationError(f"{path} {what} {', '.join(missing)}; name a chest radiograph (CR or DX)")
        return path if is_file and "TransferSyntaxUID" in found.file_meta else _with_meta(path, found, folder)


def _with_meta(path: Path, found: Dataset, folder: Path) -> Path:
    """A copy as a Part 10 file. Raises ConfigurationError where nothing says how the pixels are encoded."""
    whole = dcmread(path, force=True)
    implicit, little = whole.original_encoding
    if not little or found.get("LossyImageCompressionMethod"):
        raise ConfigurationError(f"{path} does not say its transfer syntax; {_DUMP}")
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = whole.SOPClassUID, whole.SOPInstanceUID
    whole.file_meta = meta
    copy = folder / "film.dcm"
    try:
        whole.save_as(copy, enforce_file_format=True)
    except _BROKEN as error:
        raise ConfigurationError(f"{path} cannot be made a DICOM file ({type(error).__name__}); {_DUMP}") from error
    return copy


def real_film() -> Path:
    """A chest radiograph with masses, from pydicom's external test data (downloaded once, MIT license).

    Raises NotFound where it cannot be had.
    """
    found = None
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the download has words of its own for every attempt
        try:
            found = pydicom.data.get_testdata_file("RG1_J2KI.dcm")
        except (OSError, RuntimeError, ValueError):
            found = None
    if not found:
        raise NotFound("the film cannot be downloaded here (is there internet?); give one with --image FILE.dcm")
    return Path(str(found))
