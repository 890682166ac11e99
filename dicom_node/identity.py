"""Whose study a peer says it is: asked by C-FIND before an object leaves, and again once it is there.

A patient may be corrected or merged in the PACS between reading and sending, and a PACS may coerce identifiers on
arrival (PS3.4 B.4.1.3): either way a report would stand under another patient than the one whose film was read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import structlog
from pydicom import Dataset

from dicom_node.errors import SendFailure
from dicom_node.kinds import NOTES, Stage
from dicom_node.tables import Proof
from dicom_node.transports import Parcel

COERCED: Final = "identity-coerced"
DIFFERS: Final = "identity-differs"
GONE: Final = "study-gone"
FILM_GONE: Final = "film-gone"
_BORN: Final = "PatientBirthDate"
COMPARED: Final = ("PatientID", "IssuerOfPatientID", _BORN, "AccessionNumber")
"""Keywords in which a peer must agree where it says them: a number may have been given to two people."""
_FILMS: Final = 2  # of a draft that are asked for: it has no more (decisions/0015)
_REFERENCES: Final = ("CurrentRequestedProcedureEvidenceSequence", "SourceInstanceSequence", "SourceImageSequence")
_ANSWERS: Final = 5  # without a study that it had, before that is believed: an archive may be at work on it
_DATE: Final = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")  # with dots: before DICOM 3.0
_WORDS: Final = MappingProxyType(
    {
        DIFFERS: "has the study with another {names} than the film had; nothing was sent",
        COERCED: "has the study with another {names} than the object that it took; look there for it",
    }
)

Ask = Callable[[Dataset], Sequence[Dataset] | None]
"""Puts a query for a study; the answers, or None where the peer cannot or will not say."""

Has = Callable[[Dataset], bool | None]
"""Puts a query for an image; whether it is found, or None where the peer cannot or will not say."""

log = structlog.get_logger("send")


def is_asked_of(parcel: Parcel) -> bool:
    """Is it configured, and has the answer a meaning?"""
    return parcel.destination.identity_check and matters_to(parcel)


def matters_to(parcel: Parcel) -> bool:
    """A note that takes a document back, or hides it, goes to where that is, whatever has become of the patient."""
    return parcel.stage not in NOTES


def must_be_the_same(document: Dataset, parcel: Parcel, ask: Ask, *, code: str) -> bool:
    """Ask the peer for the study and compare. That it never knew the study, or does not say, is no objection.

    code: DIFFERS before the object leaves, COERCED once it is there. Values that either side lacks are not compared.
    Returns whether it named the study.

    Raises SendFailure, permanent and with that code. GONE, before the object leaves: it had the study and has it no
    more, which is permanent once it has answered so several times.
    """
    name = parcel.destination.name
    answers = ask(keys_of_the_study(document))
    if answers or (answers is not None and code == DIFFERS):
        must_not_be_gone(name, parcel.heard(bool(answers)))
    if not answers:
        known = "not_asked" if answers is None else "not_found"
        log.info("identity_not_compared", destination=name, study_instance_uid=document.StudyInstanceUID, why=known)
        return False
    names = differing(document, answers)
    if names:
        words = _WORDS[code].format(names=" and ".join(names))
        raise SendFailure(f"{name} {words}", permanent=True, may_be_there=code == COERCED, code=code)
    return True


def must_not_be_gone(name: str, misses: int) -> None:
    """Raises SendFailure with code GONE. misses: answers in a row without the study, after one that had it."""
    if misses:
        words = "no longer has this study, which it had before: it may have been deleted there; this was not sent"
        raise SendFailure(f"{name} {words}", permanent=misses >= _ANSWERS, code=GONE, lost_by=name)


def must_have_the_films(document: Dataset, parcel: Parcel, has: Has) -> None:
    """Ask a peer that has named the study for the images of a draft. That it never named one is no objection.

    Only who is asked for our objects at this level as well is believed: elsewhere no answer may mean that the question
    is not understood. Raises SendFailure with code FILM_GONE, permanent once it has answered so several times.
    """
    if parcel.stage is not Stage.DRAFT or parcel.destination.proof is not Proof.QUERY or parcel.films is None:
        return
    for film in parcel.films.among(films_of(document))[:_FILMS]:
        there = has(keys_of_an_image(film.study_instance_uid, film.series_instance_uid, film.sop_instance_uid))
        if there is not None:
            must_not_lack(parcel.destination.name, parcel.films.answered(film, there=there))


def films_of(document: Dataset) -> list[str]:
    """SOP Instance UIDs of what a document says that it was made from."""
    listed = [item for keyword in _REFERENCES for item in document.get(keyword) or []]
    return [
        str(element.value)
        for item in listed
        for element in item.iterall()
        if element.keyword == "ReferencedSOPInstanceUID"
    ]


def must_not_lack(name: str, misses: int) -> None:
    """Raises SendFailure with code FILM_GONE. misses: answers in a row without a film, by one that had named it."""
    if misses:
        words = "no longer has a film that this was written from, and had it before: it may have been deleted there; "
        permanent = misses >= _ANSWERS
        raise SendFailure(f"{name} {words}this was not sent", permanent=permanent, code=FILM_GONE, lost_by=name)


def keys_of_an_image(study: str, series: str, image: str) -> Dataset:
    """The identifier of a query for one image at IMAGE level (PS3.4 C.6.2.1), by its UIDs."""
    keys = Dataset()
    keys.QueryRetrieveLevel = "IMAGE"
    keys.StudyInstanceUID, keys.SeriesInstanceUID, keys.SOPInstanceUID = study, series, image
    return keys


def keys_of_the_study(document: Dataset) -> Dataset:
    """The identifier of a query for the study of a document at STUDY level (PS3.4 C.6.2.1)."""
    keys = Dataset()
    keys.QueryRetrieveLevel = "STUDY"
    keys.StudyInstanceUID = document.StudyInstanceUID
    for keyword in COMPARED:
        setattr(keys, keyword, "")
    return keys


def answer_of(values: Mapping[str, str]) -> Dataset:
    """An answer that came as texts by keyword. A date of birth that is none is left out."""
    answer = Dataset()
    for keyword in ("StudyInstanceUID", *COMPARED):
        value = values.get(keyword, "")
        setattr(answer, keyword, _born(value) if keyword == _BORN else value)
    return answer


def differing(document: Dataset, answers: Iterable[Dataset]) -> tuple[str, ...]:
    """Keywords in which any answer differs from the document.

    A value beyond ASCII is not compared: many peers answer in a character set that they do not name. Nor is a date of
    birth that is no date. The name is not compared: too many peers write it in another way than images have it.
    """
    return tuple(
        keyword
        for keyword in COMPARED
        if (own := _value(document, keyword)).isascii()
        and own
        and any(_value(answer, keyword) not in {"", own} for answer in answers)
    )


def _value(dataset: Dataset, keyword: str) -> str:
    value = str(dataset.get(keyword) or "").strip(" \0")
    return _born(value) if keyword == _BORN else value


def _born(value: str) -> str:
    """As DICOM writes it; empty where it is no day: 00000000, or a year alone."""
    written = _DATE.fullmatch(value.strip(" \0"))
    if written is None or "00" in written.groups()[1:] or written[1] == "0000":
        return ""
    return "".join(written.groups())
