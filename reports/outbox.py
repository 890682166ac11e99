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

from pydicom import Dataset

from dicom_node.destinations import takes
from dicom_node.kinds import FINAL, OF_A_NOTICE, Kind, Stage
from dicom_node.transports import Destination
from reports import codes
from reports.checks import check_document
from reports.config import ReportsConfig
from reports.findings import Finding
from reports.messages.fhir import FhirSite, build_fhir, build_fhir_withdrawal
from reports.messages.fhir_elements import NoIdentifierSystem
from reports.messages.oru import Parties, build_oru, build_oru_withdrawal
from reports.messages.outcome import Outcome, Result, outcome_of, to_json
from reports.messages.subject import message_uid
from reports.objects.encapsulated_pdf import build_pdf
from reports.objects.frame import encode
from reports.objects.key_object import build_rejection
from reports.objects.measurement import NothingToCode, build_measurement_report
from reports.objects.secondary_capture import build_captures
from reports.page.fonts import Fonts, NotPrintable, find_fonts
from reports.tables import Event

_DICOM: Final = frozenset({Kind.BASIC_TEXT, Kind.TID1500, Kind.PDF, Kind.SC})
_REJECTED: Final = frozenset({Event.REJECTED, Event.REJECTED_FOR_SAFETY})
_NONE: Final[Mapping[str, Mapping[Kind, Dataset]]] = MappingProxyType({})
_NO_FILES: Final[Mapping[str, bytes]] = MappingProxyType({})


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
class LeftOut:
    """A form that could not be made for a destination; the others are sent, and a person must be told. words: why."""

    destination: str
    kind: Kind
    words: str


@dataclass(frozen=True, slots=True)
class Made:
    """What goes out, and what could not be made."""

    packets: tuple[Packet, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every object is made with. fonts: looked for only where pages are made."""

    config: ReportsConfig
    parties: Parties = field(default_factory=Parties)
    site: FhirSite = field(default_factory=FhirSite)
    fonts: Callable[[], Fonts] = find_fonts


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of the report beside its master.

    findings: what the text of the master says. formerly: what that of the report before it said. before: the narrative
    of that report. films: normalized headers of its images. draft: the machine's draft; the master itself where that is
    one. drafted_at, at: aware; when that was written, and when this happened. messaged: destinations that have, or may
    have, a draft of the study as ORU (`reports.signoff.possessions`); None: any may.
    """

    draft: Dataset
    drafted_at: datetime
    at: datetime
    findings: tuple[Finding, ...] = ()
    formerly: tuple[Finding, ...] = ()
    films: tuple[Dataset, ...] = ()
    before: Dataset | None = None
    messaged: frozenset[str] | None = None

    def replaced(self, stage: Stage, destination: str) -> tuple[Dataset, ...]:
        """Narratives whose ORU the destination has, or may have: the one before, and the draft of what is signed."""
        before = (self.before,) if self.before is not None else ()
        has_draft = self.messaged is None or destination in self.messaged
        return (*before, self.draft) if stage in FINAL and has_draft else before


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
) -> tuple[Dataset, Mapping[str, Dataset]]:
    """Make the master in as many editions as there are predecessors, and say which destination gets which.

    The predecessor of an edition is the narrative that its destinations have; none where they have none. The first of
    what is returned is the edition to keep, which names a predecessor where any does: messages are made from it.
    build: makes the master with a predecessor; called once for each.
    """
    made: dict[str, Dataset] = {}
    masters: dict[str, Dataset] = {}
    takers = [one for one in destinations if any(takes(one, kind, stage) for kind in Kind)]
    for destination in takers:
        if destination.objects & _DICOM:
            older = earlier.get(destination.name, {}).get(Kind.BASIC_TEXT)
            uid = str(older.SOPInstanceUID) if older is not None else ""
            if uid not in made:
                made[uid] = build(older)
            masters[destination.name] = made[uid]
    kept = next((made[uid] for uid in sorted(made, reverse=True)), None) or build(None)
    return kept, MappingProxyType({one.name: masters.get(one.name, kept) for one in takers})


def parcels(
    masters: Mapping[str, Dataset],
    stage: Stage,
    destinations: Iterable[Destination],
    workshop: Workshop,
    report: Report,
    earlier: Mapping[str, Mapping[Kind, Dataset]] = _NONE,
    files: Mapping[str, bytes] = _NO_FILES,
) -> Made:
    """Make what each destination gets, by its mode and its objects, in the order of `Kind`.

    masters: as `editions` gives them; a destination without one gets nothing. files: by SOP Instance UID what the check
    of a master returned, which is what leaves; one that is not there is encoded here.

    Raises DocumentRefused: an object does not pass its check.
    """
    press = _Press(workshop, report, files, {})
    packets: list[Packet] = []
    left_out: list[LeftOut] = []
    for destination in destinations:
        if destination.name not in masters:
            continue
        master = masters[destination.name]
        for kind in (kind for kind in Kind if takes(destination, kind, stage)):
            if stage is Stage.NOTICE and kind not in OF_A_NOTICE:
                continue
            try:
                older = earlier.get(destination.name, {}).get(kind)
                replaced = report.replaced(stage, destination.name) if kind is Kind.ORU else ()
                pieces = press.pieces(kind, stage, master, older, replaced)
            except (NotPrintable, NoIdentifierSystem, NothingToCode) as error:
                left_out.append(LeftOut(destination.name, kind, str(error)))
                continue
            packets += [_packet(destination, kind, stage, master, piece) for piece in pieces]
    return Made(tuple(packets), tuple(left_out))


@dataclass(frozen=True, slots=True)
class Taking:
    """Why something is taken back. number: of the revision; words: for people, without a patient's data.

    findings: what the text of the master says; servers that have it item by item are told of each. draft: the
    machine's, where the master is what a person signed. reason: of a person, as a code word; empty: the event is all.
    """

    stage: Stage
    event: Event
    words: str
    drafted_at: datetime
    at: datetime
    number: int
    findings: tuple[Finding, ...] = ()
    draft: Dataset | None = None
    reason: str = ""


def take_back(
    master: Dataset,
    got: Mapping[str, tuple[Sequence[Dataset], frozenset[Kind]]],
    destinations: Iterable[Destination],
    workshop: Workshop,
    taking: Taking,
) -> Made:
    """Make what takes a report back: a note on the DICOM objects, and the message after each message.

    got: by destination its DICOM objects, and the forms of the messages that it got. A destination that is not among
    `destinations`, or that takes no note, gets nothing, and a person must be told.

    Raises DocumentRefused.
    """
    packets: list[Packet] = []
    left_out: list[LeftOut] = []
    notes: dict[tuple[str, ...], _Piece] = {}
    for destination in destinations:
        documents, messages = got.get(destination.name, ((), frozenset()))
        if documents and takes(destination, Kind.KOS, taking.stage):
            key = tuple(str(document.SOPInstanceUID) for document in documents)
            if key not in notes:
                notes[key] = _note(documents, workshop, taking)
            packets.append(_packet(destination, Kind.KOS, taking.stage, master, notes[key]))
        for kind in (kind for kind in Kind if kind in messages and takes(destination, kind, taking.stage)):
            try:
                piece = _taken_back(kind, master, workshop, taking)
            except NoIdentifierSystem as error:
                left_out.append(LeftOut(destination.name, kind, str(error)))
                continue
            packets.append(_packet(destination, kind, taking.stage, master, piece))
    return Made(tuple(packets), tuple(left_out))


class _Press:
    """Makes each object once. Lives as long as one call of `parcels`."""

    def __init__(
        self,
        workshop: Workshop,
        report: Report,
        files: Mapping[str, bytes],
        made: dict[tuple[Kind, str, str, int], tuple[_Piece, ...]],
    ) -> None:
        self._workshop = workshop
        self._report = report
        self._files = files
        self._made = made

    def pieces(
        self, kind: Kind, stage: Stage, master: Dataset, older: Dataset | None, replaced: Sequence[Dataset]
    ) -> tuple[_Piece, ...]:
        before = str(older.SOPInstanceUID) if older is not None and kind is Kind.TID1500 else ""
        key = kind, str(master.SOPInstanceUID), before, len(replaced)
        if key not in self._made:
            if kind in _DICOM:
                documents = self._documents(kind, master, older)
                self._made[key] = tuple(self._checked(document, master) for document in documents)
            else:
                self._made[key] = tuple(self._messages(kind, stage, master, replaced))
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
        findings = _coded(self._report.findings)
        return (build_measurement_report(master, findings, films=films, config=config, predecessor=older),)

    def _messages(self, kind: Kind, stage: Stage, master: Dataset, replaced: Sequence[Dataset]) -> Iterable[_Piece]:
        workshop = self._workshop
        if kind is Kind.ORU:
            payload = build_oru(
                master,
                workshop.parties,
                workshop.config,
                findings=_coded(self._report.findings),
                formerly=_coded(self._report.formerly),
                replaced=replaced,
            )
            yield _Piece("", message_uid(master.SOPInstanceUID, kind, stage), payload)
        elif kind is Kind.FHIR:
            findings, formerly = _coded(self._report.findings), _coded(self._report.formerly)
            payload = build_fhir(master, workshop.site, workshop.config, findings=findings, formerly=formerly)
            yield _Piece("", message_uid(master.SOPInstanceUID, kind, stage), payload)
        elif kind is Kind.OUTCOME:
            yield _of_an_outcome(self._outcome(stage, master))

    def _outcome(self, stage: Stage, master: Dataset) -> Outcome:
        report = self._report
        signed = master if stage in FINAL else None
        result = Result.DRAFTED if signed is None else None
        return outcome_of(report.draft, drafted_at=report.drafted_at, at=report.at, result=result, signed=signed)

    def _checked(self, document: Dataset, master: Dataset) -> _Piece:
        if document is master:  # was checked when it was made
            return _of_a_document(document, self._files.get(str(document.SOPInstanceUID)) or encode(document))
        return _of_a_document(document, check_document(document, master, self._workshop.config))


def _coded(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those that have a code."""
    return tuple(finding for finding in findings if finding.label in codes.ROW_OF)


def _note(documents: Sequence[Dataset], workshop: Workshop, taking: Taking) -> _Piece:
    note = build_rejection(
        documents,
        safety=taking.stage is Stage.WITHDRAWAL,
        words=taking.words,
        at=taking.at,
        number=taking.number,
        config=workshop.config,
    )
    return _of_a_document(note, check_document(note, documents[0], workshop.config))


def _taken_back(kind: Kind, master: Dataset, workshop: Workshop, taking: Taking) -> _Piece:
    stage, words, at, config = taking.stage, taking.words, taking.at, workshop.config
    if kind is Kind.OUTCOME:
        result = Result.REJECTED if taking.event in _REJECTED else Result.WITHDRAWN
        reason = taking.reason or taking.event.value
        draft = taking.draft if taking.draft is not None else master
        return _of_an_outcome(outcome_of(draft, drafted_at=taking.drafted_at, at=at, result=result, reason=reason))
    findings = _coded(taking.findings)
    if kind is Kind.ORU:
        payload = build_oru_withdrawal(master, stage, words, at, workshop.parties, config, findings=findings)
    else:
        payload = build_fhir_withdrawal(master, stage, words, at, workshop.site, config, findings=findings)
    return _Piece("", message_uid(master.SOPInstanceUID, kind, stage), payload)


def _of_a_document(document: Dataset, payload: bytes) -> _Piece:
    return _Piece(str(document.SOPClassUID), str(document.SOPInstanceUID), payload)


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
