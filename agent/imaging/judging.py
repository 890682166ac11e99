"""A file as the gate sees it, header and pixels: for a person who wants to know before it counts."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from PIL import Image

from agent.imaging.attributes import BROKEN
from agent.imaging.calibration import Calibration
from agent.imaging.decoder import DecoderProcess
from agent.imaging.gate import BY_PIXELS, judge
from agent.imaging.impression import Impression, measure
from agent.imaging.picture import judge_picture
from agent.imaging.pixels import Film, UndecodableImage, digest_of
from agent.imaging.verdict import AS_CONFIGURED, Verdict
from dicom_node.errors import CannotUnderstand
from dicom_node.headers import open_header, read_header
from dicom_node.worklist.holds import HOLDS, NO_PATIENT_ID
from reports.charset import SourceUnusable
from reports.config import ReportsConfig
from reports.source import normalize

PICTURES: Final = frozenset({".png", ".jpg", ".jpeg"})  # plain ones: without a header, so only pixels are judged

Answer = Literal["read", "hold", "exclude"]
_ANSWERS: Final = ("read", "confirm", "exclude")
_UNREADABLE: Final = Verdict("exclude", "unreadable-file", "The header of the image cannot be read.")


@dataclass(frozen=True, slots=True)
class Judged:
    """What would become of one file. verdicts: of whose it is where that holds it, of the header, then of the pixels,
    as far as it got.

    impression: None where no film could be made. same_as: an earlier one of the files with the same picture.
    """

    file: Path
    verdicts: tuple[Verdict, ...]
    impression: Impression | None = None
    same_as: Path | None = None

    @property
    def worst(self) -> Verdict:
        """The verdict that counts. A study without a Patient ID is held as it comes: nothing of it is judged."""
        if self.verdicts[0].code == NO_PATIENT_ID:
            return self.verdicts[0]
        return max(self.verdicts, key=lambda verdict: _ANSWERS.index(verdict.decision))

    @property
    def answer(self) -> Answer:
        """Read, wait for a person, or exclude."""
        decision = self.worst.decision
        return "hold" if decision == "confirm" else decision


def judge_files(
    files: Iterable[Path],
    decoder: DecoderProcess,
    calibration: Calibration | None,
    *,
    received: date,
    hold_unknown_age: bool = False,
    pixels_name_the_part: bool = False,
    note_doubts: bool = False,
    reports: ReportsConfig | None = None,
) -> Iterator[Judged]:
    """Judge DICOM files and plain pictures, one after the other; of an excluded header the pixels are not looked at.

    received: the day on which they came, or would come. note_doubts: a film is read in spite of what its pixels say,
    unless they must say which part of the body it is. reports: how drafts are written here; with it is told as well
    what the node would not take, hold for its patient, or write no draft for. Without it the gate alone is asked.
    """
    known: dict[str, Path] = {}
    for file in files:
        header = Verdict("read", "no-header", "A plain picture: only its pixels are judged.")
        if not is_picture(file):
            header = judge_header(
                file,
                received=received,
                hold_unknown_age=hold_unknown_age,
                pixels_name_the_part=pixels_name_the_part,
            )
        asked = None if is_picture(file) or header.code == _UNREADABLE.code else reports
        verdicts = (*_at_the_port(file, asked), header)
        if any(one.decision == "exclude" for one in verdicts):
            yield Judged(file, verdicts)
            continue
        try:
            film = film_of(file, decoder)
        except UndecodableImage as error:
            yield Judged(file, (*verdicts, Verdict("exclude", error.code, error.explanation)))
            continue
        seen = film.impression or measure(film.pixels)
        doubt = judge_picture(seen, calibration)
        if doubt is not None:
            verdicts = (*verdicts, _noted(doubt) if note_doubts and header.code != BY_PIXELS else doubt)
        if all(one.decision == "read" for one in verdicts):
            verdicts = (*verdicts, *_in_a_draft(file, asked))
        same_as = known.setdefault(film.digest, file) if film.digest else file
        yield Judged(file, verdicts, seen, None if same_as is file else same_as)


def _noted(doubt: Verdict) -> Verdict:
    words = f"{doubt.explanation} It is {AS_CONFIGURED} (imaging.doubts)."
    return Verdict("read", doubt.code, words, (*doubt.notes, AS_CONFIGURED))


def _at_the_port(file: Path, reports: ReportsConfig | None) -> Iterator[Verdict]:
    """What happens as the file comes, before anybody judges it."""
    if reports is None:
        return
    try:
        if not read_header(file).patient_id:
            yield Verdict("confirm", NO_PATIENT_ID, HOLDS[NO_PATIENT_ID])
    except CannotUnderstand as error:
        yield Verdict("exclude", error.reason, f"It is refused as it comes: {error}.")


def _in_a_draft(file: Path, reports: ReportsConfig | None) -> Iterator[Verdict]:
    """What keeps a draft from naming patient, study and order of a film that may be read."""
    if reports is None:
        return
    try:
        # what is left empty in a draft is logged, and without a process that has a log that means printed
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # they quote what stands in the header
            normalize(open_header(file), reports)
    except SourceUnusable as error:
        sentence = str(error)
        yield Verdict("exclude", error.code, f"{sentence[:1].upper()}{sentence[1:]}.")
    except BROKEN:
        yield _UNREADABLE


def is_picture(file: Path) -> bool:
    """By its name: a plain picture, not DICOM."""
    return file.suffix.lower() in PICTURES


def judge_header(file: Path, **said: Any) -> Verdict:
    """What the gate says of the header of a DICOM file. said: the keywords of `gate.judge`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote what stands in the header
        try:
            return judge(open_header(file), **said)
        except (CannotUnderstand, MemoryError, *BROKEN):
            return _UNREADABLE


def film_of(file: Path, decoder: DecoderProcess) -> Film:
    """The film of a DICOM file or a plain picture. Raises UndecodableImage."""
    if not is_picture(file):
        return decoder.render(file)
    try:
        with Image.open(file) as picture:
            if picture.mode.startswith(("I", "F")):  # how its numbers become grays nobody says; Pillow cuts them off
                raise UndecodableImage(
                    "undecodable", "The picture has more than 8 bits; convert it to 8 bits, or to DICOM."
                )
            grays = np.asarray(picture.convert("L"), dtype=np.uint8)
            return Film(grays, (), digest_of(grays))
    except (MemoryError, *BROKEN) as error:
        raise UndecodableImage("undecodable", "The picture cannot be decoded.") from error
