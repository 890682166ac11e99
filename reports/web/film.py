"""The films of a study, as the pages know them: which there are, what is said of each, and who makes them visible.

Decoding is not done here: `Films` is handed in. The formats are described in deploy/docs/viewer.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from dicom_node.errors import WetreadError
from dicom_node.tables import Instance, Revision, Role, Study
from reports import drafts
from reports.tables import Report
from reports.web.report import papers

MOST_FILMS: Final = 24  # of a study; a radiograph of the chest has two
MOST_PRIORS: Final = 10

_NO_SUCH: Final = 2**31
# no fault of the film, or not surely: another day, or with other limits, it can be shown
_PASSING: Final = frozenset({"file-missing", "decoder-crashed", "decode-timeout", "out-of-memory", "no-decoder"})


class FilmTrouble(WetreadError):
    """A film cannot be shown. `code` is a word for programs; the sentence holds no patient data."""

    def __init__(self, code: str, explanation: str) -> None:
        super().__init__(explanation)
        self.code = code
        self.explanation = explanation

    @property
    def passes(self) -> bool:
        """May it be over in a while? Else it is the film's own, and nobody can be shown it here."""
        return self.code in _PASSING


class FilmsBusy(FilmTrouble):
    """Too many films are asked for at once; it is worth trying again."""

    @property
    def passes(self) -> bool:
        """Yes, and soon."""
        return True


NO_DECODER: Final = FilmTrouble("no-decoder", "This process shows no films.")


@dataclass(frozen=True, slots=True)
class Picture:
    """A film as bytes. encoding: its Content-Encoding; every browser takes gzip."""

    content: bytes
    media_type: str
    encoding: str = ""


class Films(Protocol):
    """Makes stored films visible, by the digest that names the file. For several threads.

    Each raises FilmTrouble, and FilmsBusy where too many are asked for.
    """

    def preview(self, digest: str) -> Picture:
        """A small picture with the film's own window, for the first moment."""

    def pixels(self, digest: str) -> Picture:
        """Every value, with what a viewer needs to window it itself."""

    def describe(self, digest: str) -> Mapping[str, Any]:
        """What the header says; the pixels are not looked at."""


@dataclass(frozen=True, slots=True)
class Shelved:
    """One stored film. read: its place among the films that the report shown is about, from 1; 0: it was not read."""

    instance_id: int
    digest: str
    size: int
    received_at: datetime
    conflict: bool
    set_aside: bool
    purged: bool
    read: int

    @property
    def words(self) -> list[str]:
        """What a person must know of it before anything else."""
        said = [
            (self.purged, "Deleted: it was kept as long as node.keep_days says."),
            (self.conflict, "These are other bytes under the UID of an earlier film; the first one is used."),
            (self.set_aside, "Set aside: it names no patient; it was not read."),
        ]
        return [sentence for is_so, sentence in said if is_so]


@dataclass(frozen=True, slots=True)
class Prior:
    """Another study of the same patient, with its films."""

    study_id: int
    received_at: datetime
    films: Sequence[Shelved]


@dataclass(frozen=True, slots=True)
class Shelf:
    """The films of a study, what was read first.

    report_id: the report that was read from them; 0: none. words: what must be known of the study, such as why it is
    held.
    """

    study: Study
    report_id: int
    films: Sequence[Shelved]
    words: Sequence[str]


def shelf(tx: Session, study_id: int, report_id: int = 0) -> Shelf | None:
    """The films that can be shown beside a draft; None where there is no such study.

    report_id: the report whose films are meant, as `papers` takes it; a study may have two.
    """
    papered = papers(tx, study_id, report_id)
    if papered is None:
        return None
    study, report = papered.study, papered.report
    held = [f"The study is held for a person: {study.hold_reason}."] if study.hold_reason else []
    if any(tx.scalars(select(Instance.patient_id).where(_is_film(study.id), Instance.patient_id != study.patient_id))):
        held.append("Its films name different patients.")
    return Shelf(study, report.id if report else 0, _films(tx, study, report), held)


@dataclass(frozen=True, slots=True)
class Found:
    """Where one film is, and of which study. purged: its file was deleted."""

    study_id: int
    digest: str
    purged: bool


def film(tx: Session, instance_id: int) -> Found | None:
    """One stored film; None where there is none, or it is no film."""
    found = tx.get(Instance, instance_id) if instance_id < _NO_SUCH else None
    if found is None or found.role is Role.OTHER:
        return None
    return Found(found.study_id, found.digest, _is_purged(tx, tx.get_one(Study, found.study_id)))


def as_json(
    shelved: Shelved,
    facts: Mapping[str, Any] | None = None,
    trouble: FilmTrouble | None = None,
    *,
    whose: str = "",
    doubt: str = "",
) -> dict[str, Any]:
    """What the viewer asks of one film: `new FilmViewer(element, {film})` takes this object.

    whose: whom its header names, of a film of another study. doubt: why it may be another patient's.
    """
    address = f"/film/{shelved.instance_id}"
    return {
        "id": shelved.instance_id,
        "digest": shelved.digest[:12],
        "size": shelved.size,
        "received": f"{shelved.received_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "conflict": shelved.conflict,
        "read": shelved.read,
        "words": shelved.words,
        "whose": whose,
        "doubt": doubt,
        "preview": f"{address}/preview",
        "pixels": f"{address}/pixels",
        "facts": facts,
        "trouble": _told(trouble) if trouble else None,
    }


def _told(trouble: FilmTrouble) -> dict[str, Any]:
    return {"code": trouble.code, "sentence": trouble.explanation, "passes": trouble.passes}


def _is_film(study_id: int) -> Any:
    return (Instance.study_id == study_id) & (Instance.role != Role.OTHER)


def _is_purged(tx: Session, study: Study) -> bool:
    current = (Revision.study_id == study.id) & (Revision.number == study.revision)
    return tx.scalar(select(Revision.purged_at).where(current)) is not None


def all_films(tx: Session, study_id: int) -> list[Shelved] | None:
    """Every film of a study, also those that no page lists; None where there is no such study."""
    study = tx.get(Study, study_id) if study_id < _NO_SUCH else None
    return None if study is None else _films(tx, study, None, every=True)


def _films(
    tx: Session,
    study: Study,
    report: Report | None,
    wanted: ColumnElement[bool] | None = None,
    *,
    every: bool = False,
) -> list[Shelved]:
    """report: the one whose films were read. wanted: of them all. every: also beyond what a page lists."""
    places = {digest: place for place, digest in enumerate(report.films, start=1)} if report else {}
    purged = _is_purged(tx, study)
    which = _is_film(study.id) if wanted is None else _is_film(study.id) & wanted
    of_many = Instance.digest.not_in(places), Instance.id  # what was read is never beyond the limit
    found = tx.scalars(select(Instance).where(which).order_by(*of_many).limit(None if every else MOST_FILMS)).all()
    films = [
        Shelved(
            instance_id=one.id,
            digest=one.digest,
            size=one.size,
            received_at=one.received_at,
            conflict=one.conflict,
            set_aside=one.role is Role.SET_ASIDE,
            purged=purged,
            read=places.get(one.digest, 0),
        )
        for one in found
    ]
    return sorted(films, key=lambda one: (one.read == 0, one.read, one.conflict, one.set_aside, one.instance_id))


def _foremost(tx: Session, study: Study) -> Report | None:
    return drafts.foremost(drafts.of_study(tx, study.id))


def priors(tx: Session, study: Study) -> list[Prior]:
    """Other studies with the same Patient ID and issuer, what came last first; none where the study names no patient.

    A held study may be of somebody else, and so may a single film: neither is shown beside another patient's.
    """
    if not study.patient_id:
        return []
    same = (Study.patient_id == study.patient_id) & (Study.issuer_of_patient_id == study.issuer_of_patient_id)
    has_films = select(Instance.id).where(Instance.study_id == Study.id, Instance.role != Role.OTHER).exists()
    others = tx.scalars(
        select(Study)
        .where(same, Study.id != study.id, Study.hold_reason == "", has_films)
        .order_by(Study.first_received_at.desc(), Study.id.desc())
        .limit(MOST_PRIORS)
    ).all()
    issuers = {"", study.issuer_of_patient_id}  # within a study an absent issuer agrees with any one
    its = (Instance.patient_id == study.patient_id) & Instance.issuer_of_patient_id.in_(issuers)
    found = [Prior(other.id, other.first_received_at, _films(tx, other, _foremost(tx, other), its)) for other in others]
    return [prior for prior in found if not all(one.purged for one in prior.films)]
