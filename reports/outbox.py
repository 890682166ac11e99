"""Everything that goes out for one event of a report: which objects, for which destinations, as bytes.

Pure: no database, no file, no clock. Each object is made from the master (the narrative) of its destination, passes its
check, and is made once however many destinations get it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

import structlog
from pydicom import Dataset

from dicom_node.destinations import takes
from dicom_node.kinds import FINAL, Kind, Stage
from dicom_node.transports import Destination
from reports import codes
from reports.checks import check_document
from reports.config import ReportsConfig
from reports.findings import Finding
from reports.messages.oru import Parties, build_oru, build_oru_withdrawal
from reports.messages.outcome import Outcome, Result, outcome_of, to_json
from reports.messages.subject import message_uid
from reports.objects.encapsulated_pdf import build_pdf
from reports.objects.frame import encode
from reports.objects.key_object import build_rejection
from reports.objects.measurement import build_measurement_report
from reports.objects.secondary_capture import build_captures
from reports.page.fonts import Fonts, find_fonts
from reports.tables import Event

log = structlog.get_logger()

OF_A_NOTICE: Final = frozenset({Kind.BASIC_TEXT})  # one line of text; nothing else has anything to say
_DICOM: Final = frozenset({Kind.BASIC_TEXT, Kind.TID1500, Kind.PDF, Kind.SC})
_REJECTED: Final = frozenset({Event.REJECTED, Event.REJECTED_FOR_SAFETY})
_NONE: Final[Mapping[str, Mapping[Kind, Dataset]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Packet:
    """One object for one destination, as bytes. UIDs as in `dicom_node.transports.Parcel`."""

    destination: str
    kind: Kind
    stage: Stage
    sop_class_uid: str
    sop_instance_uid: str
    device_uid: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every object is made with. fonts: looked for only where pages are made."""

    config: ReportsConfig
    parties: Parties = field(default_factory=Parties)
    fonts: Callable[[], Fonts] = find_fonts


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of the report beside its master.

    findings: what the text of the master says. films: normalized headers of its images. draft: the machine's draft; the
    master itself where that is one. drafted_at, at: aware; when that was written, and when this happened.
    """

    draft: Dataset
    drafted_at: datetime
    at: datetime
    findings: tuple[Finding, ...] = ()
    films: tuple[Dataset, ...] = ()


@dataclass(frozen=True, slots=True)
class _Piece:
    sop_class_uid: str
    sop_instance_uid: str
    payload: bytes


def editions(
    build: Callable[[Dataset | None], Dataset],
    destinations: Iterable[Destination],
    stage: Stage,
    earlier: Mapping[str, Mapping[Kind, Dataset]] = _NONE,
) -> Mapping[str, Dataset]:
    """By destination the master that it gets: its predecessor is the narrative that this destination has, or none.

    build: makes the master with a predecessor; called once for each. Without any destination the result is empty.
    """
    made: dict[str, Dataset] = {}
    masters: dict[str, Dataset] = {}
    for destination in destinations:
        if any(takes(destination, kind, stage) for kind in Kind):
            older = earlier.get(destination.name, {}).get(Kind.BASIC_TEXT)
            uid = str(older.SOPInstanceUID) if older is not None else ""
            if uid not in made:
                made[uid] = build(older)
            masters[destination.name] = made[uid]
    return MappingProxyType(masters)


def parcels(
    masters: Mapping[str, Dataset],
    stage: Stage,
    destinations: Iterable[Destination],
    workshop: Workshop,
    report: Report,
    earlier: Mapping[str, Mapping[Kind, Dataset]] = _NONE,
) -> list[Packet]:
    """Make what each destination gets, by its mode and its objects, in the order of `Kind`.

    masters: as `editions` gives them; a destination without one gets nothing.

    Raises DocumentRefused: an object does not pass its check. FontMissing: a page cannot be printed.
    """
    press = _Press(workshop, report, {})
    packets = []
    for destination in destinations:
        master = masters.get(destination.name)
        if master is None:
            continue
        for kind in Kind:
            if takes(destination, kind, stage) and (stage is not Stage.NOTICE or kind in OF_A_NOTICE):
                older = earlier.get(destination.name, {}).get(kind)
                pieces = press.pieces(kind, stage, master, older)
                packets += [_packet(destination, kind, stage, master, piece) for piece in pieces]
    return packets


@dataclass(frozen=True, slots=True)
class Taking:
    """Why something is taken back. number: of the revision; words: for people, without a patient's data."""

    stage: Stage
    event: Event
    words: str
    drafted_at: datetime
    at: datetime
    number: int


def take_back(
    master: Dataset,
    got: Mapping[str, tuple[Sequence[Dataset], frozenset[Kind]]],
    destinations: Iterable[Destination],
    workshop: Workshop,
    taking: Taking,
) -> list[Packet]:
    """Make what takes a report back: a note on the DICOM objects, and the message after each message.

    got: by destination its DICOM objects, and the forms of the messages that it got. A destination that is not among
    `destinations`, or that takes no note, gets nothing, and a person must be told.

    Raises DocumentRefused.
    """
    packets: list[Packet] = []
    notes: dict[tuple[str, ...], _Piece] = {}
    for destination in destinations:
        documents, messages = got.get(destination.name, ((), frozenset()))
        if documents and takes(destination, Kind.KOS, taking.stage):
            key = tuple(str(document.SOPInstanceUID) for document in documents)
            if key not in notes:
                notes[key] = _note(documents, workshop, taking)
            packets.append(_packet(destination, Kind.KOS, taking.stage, master, notes[key]))
        for kind in sorted(messages):
            if takes(destination, kind, taking.stage):
                piece = _taken_back(kind, master, workshop, taking)
                packets.append(_packet(destination, kind, taking.stage, master, piece))
    return packets


class _Press:
    """Makes each object once. Lives as long as one call of `parcels`."""

    def __init__(
        self, workshop: Workshop, report: Report, made: dict[tuple[Kind, str, str], tuple[_Piece, ...]]
    ) -> None:
        self._workshop = workshop
        self._report = report
        self._made = made

    def pieces(self, kind: Kind, stage: Stage, master: Dataset, older: Dataset | None) -> tuple[_Piece, ...]:
        before = str(older.SOPInstanceUID) if older is not None and kind is Kind.TID1500 else ""
        key = kind, str(master.SOPInstanceUID), before
        if key not in self._made:
            if kind in _DICOM:
                documents = self._documents(kind, master, older)
                self._made[key] = tuple(self._checked(document, master) for document in documents)
            else:
                self._made[key] = tuple(self._messages(kind, stage, master))
        return self._made[key]

    def _documents(self, kind: Kind, master: Dataset, older: Dataset | None) -> Sequence[Dataset]:
        config = self._workshop.config
        if kind is Kind.BASIC_TEXT:
            return (master,)
        if kind is Kind.PDF:
            return (build_pdf(master, fonts=self._workshop.fonts(), config=config),)
        if kind is Kind.SC:
            return build_captures(master, fonts=self._workshop.fonts(), config=config)
        films = self._report.films
        return (build_measurement_report(master, self._coded(), films=films, config=config, predecessor=older),)

    def _messages(self, kind: Kind, stage: Stage, master: Dataset) -> Iterable[_Piece]:
        workshop = self._workshop
        if kind is Kind.ORU:
            payload = build_oru(master, workshop.parties, workshop.config, findings=self._coded())
            yield _Piece("", message_uid(master.SOPInstanceUID, kind, stage), payload)
        elif kind is Kind.OUTCOME:
            yield _of_an_outcome(self._outcome(stage, master))

    def _outcome(self, stage: Stage, master: Dataset) -> Outcome:
        report = self._report
        signed = master if stage in FINAL else None
        result = Result.DRAFTED if signed is None else None
        return outcome_of(report.draft, drafted_at=report.drafted_at, at=report.at, result=result, signed=signed)

    def _coded(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self._report.findings if finding.label in codes.ROW_OF)

    def _checked(self, document: Dataset, master: Dataset) -> _Piece:
        if document is not master:
            check_document(document, master, self._workshop.config)
        return _of_a_document(document)


def _note(documents: Sequence[Dataset], workshop: Workshop, taking: Taking) -> _Piece:
    note = build_rejection(
        documents,
        safety=taking.stage is Stage.WITHDRAWAL,
        words=taking.words,
        at=taking.at,
        number=taking.number,
        config=workshop.config,
    )
    check_document(note, documents[0], workshop.config)
    return _of_a_document(note)


def _taken_back(kind: Kind, master: Dataset, workshop: Workshop, taking: Taking) -> _Piece:
    if kind is Kind.ORU:
        payload = build_oru_withdrawal(master, taking.stage, taking.words, taking.at, workshop.parties, workshop.config)
        return _Piece("", message_uid(master.SOPInstanceUID, kind, taking.stage), payload)
    result = Result.REJECTED if taking.event in _REJECTED else Result.WITHDRAWN
    return _of_an_outcome(
        outcome_of(master, drafted_at=taking.drafted_at, at=taking.at, result=result, reason=taking.event.value)
    )


def _of_a_document(document: Dataset) -> _Piece:
    return _Piece(str(document.SOPClassUID), str(document.SOPInstanceUID), encode(document))


def _of_an_outcome(outcome: Outcome) -> _Piece:
    return _Piece("", outcome.id, to_json(outcome))


def _packet(destination: Destination, kind: Kind, stage: Stage, master: Dataset, piece: _Piece) -> Packet:
    return Packet(
        destination=destination.name,
        kind=kind,
        stage=stage,
        sop_class_uid=piece.sop_class_uid,
        sop_instance_uid=piece.sop_instance_uid,
        device_uid=str(master.DeviceUID),
        payload=piece.payload,
    )
