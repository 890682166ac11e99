"""Asking FHIR servers for reports that were signed elsewhere: a thread of `dispatch`, which must not wait for them."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent import hearing, loop
from agent.desk import Desk
from dicom_node.database import clock
from dicom_node.destinations import destinations
from dicom_node.errors import SendFailure
from dicom_node.kinds import FINAL
from dicom_node.tables import Delivery, Revision, Study, Way
from dicom_node.transports import Destination
from dicom_node.worklist.turns import take_turn
from reports import life, watches
from reports.messages.identity import URI, report_uid
from reports.rest.authority import Authority
from reports.rest.calls import Caller
from reports.rest.final_reports import FinalReport, Identifier, NotFhir, Page, order_numbers
from reports.rest.watch import Search
from reports.tables import Report, ReportState

log = structlog.get_logger("dispatch")

_FIRST: Final = timedelta(days=1)  # how far back a server is asked that never was
_OVERLAP: Final = timedelta(minutes=2)  # commits may pass each other at the server, too; what was heard is known
_STEP_SECONDS: Final = 1.0
_LONGEST_WAIT: Final = 900.0
_REMEMBERED: Final = 20_000  # versions of reports that were heard
_BROKEN: Final = 1000  # resources at which a server broke down
_LONGEST_SEARCH: Final = 600.0  # seconds: the other servers wait for it
_DICOM: Final = "urn:oid:"

# What we may raise on an answer that nobody thought of: the table says then that this server is not heard.
_UNFORESEEN = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


@contextmanager
def beside(desk: Desk, stop: threading.Event) -> Iterator[None]:
    """Ask in a thread of its own until `stop`."""
    with Caller(seconds=desk.config.node.dimse_timeout_seconds) as caller:
        watcher = Watcher(desk, caller, stopping=stop.is_set)
        with loop.beside("dispatch", watcher.step, stop, thread="watch", idle_seconds=_STEP_SECONDS):
            yield


class Watcher:
    """Asks each server that is due. Remembers what it heard lately, and how often each of them failed."""

    def __init__(
        self,
        desk: Desk,
        caller: Caller,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._desk = desk
        self._authority = Authority(desk.config.delivery.credentials, caller)
        self._monotonic = monotonic
        self._stopping = stopping
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._broken: dict[str, Counter[str]] = {}
        self._heard: OrderedDict[str, None] = OrderedDict()

    def step(self) -> bool:
        """Ask whoever is due, one after the other."""
        with self._desk.database.read() as tx:
            everyone = [to for to in destinations(tx) if to.way is Way.FHIR]
        for to in everyone:
            if self._monotonic() >= self._due.get(to.name, 0.0) and not self._stopping():
                went_well = False
                try:
                    went_well = self._ask(to)
                finally:  # whatever one server answers, the others have their turn before it is asked again
                    self._ask_again_later(to, went_well=went_well)
        return False

    def _ask_again_later(self, to: Destination, *, went_well: bool) -> None:
        failures = self._failures[to.name] = 0 if went_well else self._failures.get(to.name, 0) + 1
        wait = self._desk.config.fhir.watch_seconds * 2 ** min(failures, 10)
        self._due[to.name] = self._monotonic() + (min(wait, _LONGEST_WAIT) if failures else wait)

    def _ask(self, to: Destination) -> bool:
        """One search to its end; what was heard until it failed stays heard."""
        with self._desk.database.read() as tx:
            since = watches.cursor(tx, to.name, otherwise=clock(tx) - _FIRST)
        until = self._monotonic() + _LONGEST_SEARCH
        broken = self._broken.setdefault(to.name, Counter())
        if len(broken) > _BROKEN:
            broken.clear()
        search = Search(self._authority, to, is_over=lambda: self._monotonic() > until, broken=broken)
        try:
            newest = self._hear_all(search, since)
        except (SendFailure, NotFhir) as error:
            self._failed(to, since, str(error) if isinstance(error, SendFailure) else f"{to.name}: {error}")
            return False
        except _UNFORESEEN as error:  # no values: they may be a patient's
            self._failed(to, since, f"{to.name}: an answer could not be worked off ({type(error).__name__})")
            raise
        finally:
            if search.nameless:  # none of these can end a draft, however healthy all else looks
                log.warning("reports_without_patient", destination=to.name, reports=search.nameless)
        with self._desk.database.write() as tx:
            watches.succeed(tx, to.name, newest, clock(tx))
        return True

    def _failed(self, to: Destination, since: datetime, words: str) -> None:
        with self._desk.database.write() as tx:
            began = watches.fail(tx, to.name, since, words, clock(tx))
        if began:
            log.error("watch_failed", destination=to.name, explanation=words)

    def _hear_all(self, search: Search, since: datetime) -> datetime:
        """Every page; returns the newest stamp. Raises SendFailure, NotFhir."""
        newest, in_order = since, True
        for page in search.pages(since - _OVERLAP, self._desk.config.fhir.watch_category):
            heard = sum(self._hear(search, page, report) for report in page.reports)
            if heard:
                log.info("reports_heard", destination=search.to.name, studies=heard)
            stamps = page.stamps
            in_order = in_order and bool(stamps) and _are_sorted((newest - _OVERLAP, *stamps))
            newest = max((newest, *stamps))
            if in_order:  # a long search that breaks off goes on from here
                with self._desk.database.write() as tx:
                    watches.advance(tx, search.to.name, newest, clock(tx))
            if self._stopping():
                return since
        return newest

    def _hear(self, search: Search, page: Page, report: FinalReport) -> int:
        """Let happen what one report says, once; returns the number of studies."""
        key = life.key_of(search.to.name, report.key)
        if key in self._heard:
            return 0
        matched = 0
        if report.is_radiology:
            whole = search.read_more(report, page)
            with self._desk.database.write() as tx:
                matched = self._book(tx, whole, search.to.name)
        self._heard[key] = None
        while len(self._heard) > _REMEMBERED:
            self._heard.popitem(last=False)
        return matched

    def _book(self, tx: Session, report: FinalReport, destination: str) -> int:
        take_turn(tx, "watch")
        now, fhir, source = clock(tx), self._desk.config.fhir, f"fhir:{destination}"
        if not report.patients:
            return 0
        makers = _makers(tx, report)
        ours = bool(makers) or any(_has_our_name(report, uid) for uid in report.studies)
        mine = [one for one in makers if any(_is_of(one, patient, fhir.patient_systems) for patient in report.patients)]
        matched = sum(_book_in_place(tx, study.id, now, destination) for study in mine)
        for kind, value in _named(report, fhir.order_system):
            studies = _studies_named(tx, kind, value, report.patients, fhir.patient_systems)
            if studies is None and ours:
                continue
            if studies is None:
                digests = (
                    digest
                    for one in report.patients
                    for digest in life.early_digests_by_system(kind, value, one.value, one.system, fhir.patient_systems)
                )
                hearing.remember_early(tx, digests, now, source=source)
                continue
            for study in studies:
                if study in makers:
                    continue
                if _has_our_name(report, study.study_instance_uid):
                    matched += _book_in_place(tx, study.id, now, destination)
                elif not ours:
                    hearing.final_elsewhere(tx, study.id, now, way="fhir", source=source)
                    matched += 1
        return matched


def _book_in_place(tx: Session, study_id: int, now: datetime, destination: str) -> int:
    """A report of ours is final there: by what was signed here, or a person there has signed our draft."""
    if _was_signed_here(tx, study_id):
        return 0
    if hearing.final_in_place(tx, study_id, now, destination=destination):
        log.warning("draft_signed_in_place", destination=destination, study=study_id)
    return 1


def _named(report: FinalReport, order_system: str) -> list[tuple[str, str]]:
    """By what a report names its studies: Study Instance UIDs, else order numbers, as over HL7."""
    if report.studies:
        return [("study", uid) for uid in dict.fromkeys(report.studies)]
    return [("accession", number) for number in order_numbers(report.orders, order_system)]


def _studies_named(
    tx: Session, kind: str, value: str, patients: Sequence[Identifier], systems: Mapping[str, str]
) -> Sequence[Study] | None:
    """The studies of the report's patient; None where no study has this name at all."""
    column = Study.study_instance_uid if kind == "study" else Study.accession_number
    found = tx.scalars(select(Study).where(column == value).order_by(Study.id).limit(100)).all()
    agreeing = [study for study in found if any(_is_of(study, one, systems) for one in patients)]
    if found and not agreeing:
        log.warning("report_of_another_patient", named_by=kind, studies=len(found))
        return None
    return agreeing if found else None


def _is_of(study: Study, patient: Identifier, systems: Mapping[str, str]) -> bool:
    """Is it this patient's? An absent system agrees with any issuer; else it is that of the study's issuer."""
    expected = systems.get(study.issuer_of_patient_id)
    agrees = patient.system == expected if expected is not None else patient.system not in systems.values()
    return study.patient_id == patient.value and (not patient.system or agrees)


def _makers(tx: Session, report: FinalReport) -> Sequence[Study]:
    """The studies here whose documents it names: as we sent it, or what has become of that."""
    uids = {one.value.removeprefix(_DICOM) for one in report.own}
    made = select(Revision.study_id).join(Delivery).where(Delivery.sop_instance_uid.in_(uids))
    kept = select(Revision.study_id).join(Report).where(Report.sop_instance_uid.in_(uids))
    return tx.scalars(select(Study).where(Study.id.in_(made) | Study.id.in_(kept)).order_by(Study.id)).all()


def _was_signed_here(tx: Session, study_id: int) -> bool:
    """Also what was withdrawn since: the server may have been asked before it heard of that."""
    sent = select(Delivery.id).join(Revision).where(Revision.study_id == study_id, Delivery.stage.in_(FINAL))
    kept = select(Report.id).join(Revision).where(Revision.study_id == study_id, Report.state == ReportState.VERIFIED)
    return tx.scalar(sent.limit(1)) is not None or tx.scalar(kept.limit(1)) is not None


def _has_our_name(report: FinalReport, study_instance_uid: str) -> bool:
    name = f"{_DICOM}{report_uid(study_instance_uid)}"
    return any((one.system, one.value) == (URI, name) for one in report.own)


def _are_sorted(stamps: Sequence[datetime]) -> bool:
    return all(earlier <= later for earlier, later in pairwise(stamps))
