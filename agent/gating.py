"""Which film of a study is read: the first whose pixels raise no doubt, seen in no other patient's study.

The header has been judged before (`imaging.gate`); here the films are decoded, and a picture that came twice in the
study is read once and named twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog
from sqlalchemy.orm import Session

from agent.config import Config
from agent.imaging import calibration
from agent.imaging.gate import who_confirmed
from agent.imaging.impression import measure
from agent.imaging.picture import judge_picture
from agent.imaging.pixels import Film, UndecodableImage
from agent.imaging.verdict import AS_CONFIGURED, Verdict
from dicom_node import audit, films
from dicom_node.database import Database, clock
from dicom_node.errors import WetreadError
from dicom_node.tables import Instance
from dicom_node.worklist import Claim
from dicom_node.worklist.turns import take_turn

log = structlog.get_logger("work")

# A busy machine does these to a sound film as well: tried twice, then a person is told.
MAY_PASS: Final = frozenset({"decode-timeout", "decoder-crashed", "out-of-memory", "reading-timeout"})
_READ_ONCE: Final = "the same picture came in several images of the study; read once"
_LOOKED_AT: Final = 20  # films that are decoded to find one without a doubt; what cannot be decoded is not counted
_COPIES_SOUGHT: Final = 4  # further films that are decoded to find copies; a study rarely has more of one size


@dataclass(frozen=True, slots=True)
class Shot:
    """An image whose header may be read. shape: its rows and columns, as its header says.

    unnamed: the header names no body part, so that a doubt of the pixels is never passed over.
    """

    instance: Instance
    shape: tuple[object, object]
    render: Callable[[], Film]
    unnamed: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """The film to read. place: in the list of shots; notes: what was doubted; copies: places with the same pixels."""

    place: int
    film: Film
    notes: tuple[str, ...]
    copies: tuple[int, ...]


class SamePicture(WetreadError):
    """Every film that is left, and can be decoded, holds the picture that has been read: there is no second film."""


class Doubted(WetreadError):
    """A person must look first. `code` is a word for the books; the sentence holds no patient data."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.explanation)
        self.code = verdict.code


def choose(config: Config, database: Database, claim: Claim, shots: Sequence[Shot], *, besides: str = "") -> Choice:
    """Decode one film after the other until one may be read. besides: digest of a picture that has been read already.

    A broken film must not keep a sound one from being read, and neither must a doubted one. Raises Doubted where all
    are doubted and nobody has confirmed the study, or where a picture is known from another patient's study;
    UndecodableImage of the first film where none can be decoded; SamePicture where nothing else is left.
    """
    failures: list[UndecodableImage] = []
    doubted: tuple[Choice, Verdict] | None = None  # the first one only: a film is tens of megabytes
    digests: dict[int, str] = {}  # of the films that were looked at
    for place, shot in enumerate(shots):
        if place - len(failures) == _LOOKED_AT:
            break
        try:
            film = shot.render()
        except UndecodableImage as error:
            if error.code in MAY_PASS:
                raise
            failures.append(error)
            digests[place] = ""
            continue
        digests[place] = film.digest
        if besides and film.digest == besides:
            continue
        choice = Choice(place, film, _known_elsewhere(config, database, claim, shot.instance, film), ())
        doubt = _doubt(config, film)
        if doubt is None:
            return _with_copies(choice, shots, digests)
        doubted = doubted or (choice, doubt)
    if doubted is None:
        raise failures[0] if failures else SamePicture("no other picture is left in the study")
    choice, doubt = doubted
    doubt = _of_so_many(doubt, digests, shots)
    if shots[choice.place].unnamed and not claim.confirmed:
        raise Doubted(doubt)
    return _with_copies(_in_spite_of(config, claim, choice, doubt), shots, digests)


def _of_so_many(doubt: Verdict, digests: Mapping[int, str], shots: Sequence[Shot]) -> Verdict:
    """The doubt, and that not every image was looked at, where that is so."""
    if len(digests) == len(shots):
        return doubt
    said = f"only the first {len(digests)} of {len(shots)} images were looked at"
    return replace(doubt, explanation=f"{doubt.explanation} {said.capitalize()}.", notes=(*doubt.notes, said))


def _in_spite_of(config: Config, claim: Claim, choice: Choice, doubt: Verdict) -> Choice:
    """The film in spite of its doubt, where somebody or the site wants it so. Raises Doubted."""
    if not claim.confirmed and config.imaging.doubts == "hold":
        raise Doubted(doubt)
    return replace(choice, notes=(*choice.notes, *doubt.notes, _because(claim)))


def _because(claim: Claim) -> str:
    if claim.confirmed:
        return f"confirmed as a frontal adult chest film by {who_confirmed(claim.confirmed_by)}"
    return AS_CONFIGURED


def _doubt(config: Config, film: Film) -> Verdict | None:
    file = config.imaging.gate_calibration
    own = None if file is None else calibration.read(file)
    return judge_picture(film.impression or measure(film.pixels), own)


def _known_elsewhere(
    config: Config, database: Database, claim: Claim, instance: Instance, film: Film
) -> tuple[str, ...]:
    """What is to be said where the picture came in another study before.

    Raises Doubted where that is another patient's: one of the two has the wrong film, and nobody here knows which.
    """
    if not film.digest:
        return ()
    with database.write() as tx:
        take_turn(tx, "films")  # two at once would each miss what the other has not committed yet
        new = films.remember(tx, instance, film.digest)
        found = films.twins(tx, instance, film.digest)
        strangers = [twin.study_id for twin in found if not twin.same_patient]
        if new and strangers:
            for study_id in (claim.study_id, *strangers):
                audit.append(tx, "film-of-two-patients", at=clock(tx), actor="work", study_id=study_id)
    if not strangers:
        return ("the same picture came in another study of the patient",) if found else ()
    alarm = _of_another_patient()
    log.warning("film_of_two_patients", workitem=claim.uid, studies=strangers)
    if not claim.confirmed and config.imaging.same_film == "hold":
        raise Doubted(alarm)
    return (*alarm.notes, _because(claim))


def ask_again(tx: Session, config: Config, claim: Claim, read: Collection[str]) -> None:
    """Ask before a draft leaves whether its films came in another patient's study while they were being read.

    read: digests of the files of the films. Raises Doubted.
    """
    if claim.confirmed or config.imaging.same_film == "note":
        return
    if films.of_two_patients(tx, claim.study_id, read):
        raise Doubted(_of_another_patient())


def _of_another_patient() -> Verdict:
    return _confirm(
        "film-of-another-patient",
        "The same picture came in the study of another patient: whose is it?",
        "the same picture came in the study of another patient",
    )


def _confirm(code: str, explanation: str, phrase: str) -> Verdict:
    return Verdict("confirm", code, explanation, (phrase,))


def _with_copies(choice: Choice, shots: Sequence[Shot], digests: Mapping[int, str]) -> Choice:
    """Name the other images of the study that hold the same picture; only those of its size are decoded for that."""
    own = shots[choice.place]
    alike = [place for place, shot in enumerate(shots) if place != choice.place and shot.shape == own.shape]
    if not alike or not choice.film.digest:
        return choice
    found = {place: digests[place] if place in digests else _digest(shots[place]) for place in alike[:_COPIES_SOUGHT]}
    copies = tuple(place for place, digest in found.items() if digest == choice.film.digest)
    return replace(choice, copies=copies, notes=(*choice.notes, _READ_ONCE)) if copies else choice


def _digest(shot: Shot) -> str:
    try:
        return shot.render().digest
    except UndecodableImage:
        return ""
