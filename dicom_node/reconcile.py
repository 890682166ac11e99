"""What a peer has of a day's chest films, asked by C-FIND or QIDO-RS; and having it sent to us by C-MOVE.

Body Part Examined is often empty or in words of the device: whatever may be a chest counts, the image gate decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from pydicom import Dataset
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from dicom_node.aet import typed
from dicom_node.counted import counted
from dicom_node.errors import SendFailure
from dicom_node.peer import Address, Opened, associated, named, shown
from dicom_node.uids import is_uid

FIND: Final = str(StudyRootQueryRetrieveInformationModelFind)
MOVE: Final = str(StudyRootQueryRetrieveInformationModelMove)
LONGEST_SEARCHES: Final = 128 << 20  # bytes of one association; a study and its series have less than one thousand
MODALITIES: Final = ("CR", "DX")
_PENDING: Final = frozenset({0xFF00, 0xFF01})
_RETRIEVAL_SECONDS: Final = 600.0  # a study on tape or in a cloud takes its time


class Unreadable(SendFailure):
    """Some answers to a search cannot be decoded. Left out, they would look as if the peer had them no more.

    answers: those that can; whoever asked may use them for what does not depend on the others.
    """

    def __init__(self, message: str, answers: Sequence[Mapping[str, str]]) -> None:
        super().__init__(message)
        self.answers = answers


Search = Callable[[str, Mapping[str, str]], Sequence[Mapping[str, str]]]
"""Searches at a level ("STUDY" or "SERIES") by keys; gives each answer's values by keyword."""
Elsewhere = Callable[[str], bool]
"""Does a Body Part Examined name another part than the chest? By the image gate's word: nothing is hidden from it."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series of chest films. instances: how many it has; 0 where the peer does not say."""

    series_instance_uid: str
    modality: str
    instances: int


@dataclass(frozen=True, slots=True)
class Found:
    """One study with chest films, as a peer tells of it."""

    study_instance_uid: str
    series: tuple[Series, ...]

    @property
    def instances(self) -> int:
        """Of all its chest series."""
        return sum(one.instances for one in self.series)


@dataclass(frozen=True, slots=True)
class Day:
    """What a peer tells of a day. trouble: why there may be more than was `found`; empty where that is all."""

    found: tuple[Found, ...]
    trouble: str = ""


def chest_films(search: Search, day: date, *, is_elsewhere: Elsewhere) -> Day:
    """All studies of that Study Date with series that may be chest radiographs. Raises SendFailure."""
    studies: dict[str, None] = {}
    troubles: list[str] = []
    for modality in MODALITIES:  # one value at a time: lists are for UIDs only (PS3.4 C.2.2.2)
        keys = {"StudyDate": f"{day:%Y%m%d}", "ModalitiesInStudy": modality, "StudyInstanceUID": ""}
        for answer in _readable(search, "STUDY", keys, troubles):
            if is_uid(answer.get("StudyInstanceUID", "")) and _has_films(answer.get("ModalitiesInStudy", "")):
                studies.setdefault(answer["StudyInstanceUID"])
    found = tuple(
        Found(uid, _chest_series(_readable(search, "SERIES", _series_keys(uid), troubles), is_elsewhere))
        for uid in studies
    )
    words = f"{troubles[0]}. The others were compared, and no gap was closed" if troubles else ""
    return Day(tuple(one for one in found if one.series), words)


def series_of(search: Search, study_instance_uid: str, *, is_elsewhere: Elsewhere) -> tuple[Series, ...]:
    """The series of one study that may be chest radiographs. Raises SendFailure, also where one cannot be read."""
    return _chest_series(search("SERIES", _series_keys(study_instance_uid)), is_elsewhere)


def _readable(search: Search, level: str, keys: Mapping[str, str], troubles: list[str]) -> Sequence[Mapping[str, str]]:
    try:
        return search(level, keys)
    except Unreadable as failure:
        troubles.append(str(failure))
        return failure.answers


def _series_keys(study_instance_uid: str) -> Mapping[str, str]:
    told = ("SeriesInstanceUID", "Modality", "BodyPartExamined", "NumberOfSeriesRelatedInstances")
    return {"StudyInstanceUID": study_instance_uid, **dict.fromkeys(told, "")}


def _chest_series(answers: Iterable[Mapping[str, str]], is_elsewhere: Elsewhere) -> tuple[Series, ...]:
    return tuple(
        Series(answer["SeriesInstanceUID"], answer["Modality"], _number(answer))
        for answer in answers
        if answer.get("Modality") in MODALITIES
        and not is_elsewhere(answer.get("BodyPartExamined", ""))
        and is_uid(answer.get("SeriesInstanceUID", ""))
    )


@contextmanager
def searching(address: Address) -> Iterator[Search]:
    """C-FIND over one association. Raises SendFailure."""
    with associated(address, [FIND], longest_answer=LONGEST_SEARCHES) as opened:
        if not opened.takes(FIND):
            raise SendFailure(f"{address.where} takes no {named(FIND)}", class_refused=True)
        yield lambda level, keys: _find(opened, level, keys)


def have_sent(address: Address, study_instance_uid: str, series: Iterable[Series], *, to: str) -> int:
    """C-MOVE these series to the AE title `to`, which the peer must know with our address; how many objects came.

    Raises SendFailure: also where some of them failed.
    """
    with associated(patiently(address), [MOVE]) as opened:
        if not opened.takes(MOVE):
            raise SendFailure(f"{address.where} takes no {named(MOVE)}", class_refused=True)
        return sum(_move(opened, keys_of(study_instance_uid, one), to) for one in series)


def patiently(address: Address) -> Address:
    """The same for a retrieval: it takes its time, unless the peer has a time-out of its own."""
    if address.terms.dimse_timeout_seconds:
        return address
    terms = replace(address.terms, acse_timeout_seconds=address.accept_seconds)
    return replace(address, answer_seconds=max(address.answer_seconds, _RETRIEVAL_SECONDS), terms=terms)


def keys_of(study_instance_uid: str, one: Series) -> Dataset:
    """The identifier of a retrieval of one series (PS3.4 C.4.2.1.4)."""
    return _dataset("SERIES", {"StudyInstanceUID": study_instance_uid, "SeriesInstanceUID": one.series_instance_uid})


def _move(opened: Opened, keys: Dataset, to: str) -> int:
    title = opened.address.peer_ae_title
    final = Dataset()
    try:
        for status, _ in opened.association.send_c_move(keys, to, MOVE):
            final = status
    except RuntimeError as error:
        raise SendFailure(f"{title} ended the association during C-MOVE") from error
    if final.get("Status") == 0xA801:
        words = f"{title} does not know {to} as a destination: register our AE title, address and port there"
        raise SendFailure(f"{words}, or take what it gives: wetread ae edit {typed(title)} --retrieve get")
    return concluded(final, opened, "C-MOVE")


def concluded(final: Dataset, opened: Opened, service: str) -> int:
    """How many objects came by a C-MOVE or C-GET, as its last response says. Raises SendFailure."""
    code = final.get("Status")
    done, failed, warned = (
        int(final.get(f"NumberOf{kind}Suboperations", 0) or 0) for kind in ("Completed", "Failed", "Warning")
    )
    if code is None:
        raise SendFailure(opened.unanswered(service))
    if code not in {0x0000, 0xB000} or failed:
        words = (
            f"{opened.address.peer_ae_title} answered {service} with {shown(code)}, {counted(failed, 'object')} failed"
        )
        raise SendFailure(f"{words}; see its log, and wetread quarantine list")
    return done + warned


def _find(opened: Opened, level: str, keys: Mapping[str, str]) -> list[Mapping[str, str]]:
    title = opened.address.peer_ae_title
    answers: list[Mapping[str, str]] = []
    has_unread = False
    try:
        for response, identifier in opened.association.send_c_find(_dataset(level, keys), FIND):
            status = response.get("Status")
            if status is None:
                raise SendFailure(opened.unanswered("C-FIND"))
            if status in _PENDING and identifier is not None:
                answers.append({keyword: _text(identifier.get(keyword, "")) for keyword in keys})
            elif status in _PENDING:
                has_unread = True  # as pynetdicom says it; it holds its lock until the next
            elif status != 0x0000:
                raise SendFailure(f"{title} answered C-FIND with {shown(status)}")
    except RuntimeError as error:
        raise SendFailure(f"{title} ended the association during C-FIND") from error
    if has_unread:
        where = f"{title} answered C-FIND at level {level} with an identifier that cannot be read"
        raise Unreadable(f"{where}: have that {level.lower()} corrected there", answers)
    return answers


def _dataset(level: str, keys: Mapping[str, str]) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value or None)
    return identifier


def _text(value: Any) -> str:
    if value is None:
        return ""
    return (
        str(value) if isinstance(value, (str, int)) or not isinstance(value, Sequence) else "\\".join(map(str, value))
    )


def _has_films(modalities: str) -> bool:
    """Some peers do not match by modality, and some do not tell any."""
    return not modalities or any(one in MODALITIES for one in modalities.split("\\"))


def _number(answer: Mapping[str, str]) -> int:
    text = answer.get("NumberOfSeriesRelatedInstances", "").strip()
    return int(text) if text.isascii() and text.isdecimal() else 0
