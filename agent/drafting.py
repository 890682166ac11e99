"""From a model's text to the commit: the draft, or the notice that there is none, in every form for every destination.

Everything is built, checked, encoded and durable before the transaction that names it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog
from pydicom import Dataset
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from agent import gating
from agent.desk import Desk
from dicom_node import worklist
from dicom_node.database import clock
from dicom_node.destinations import destinations
from dicom_node.errors import NotFound, WetreadError
from dicom_node.files import write_document
from dicom_node.kinds import TAKES_BACK, Kind, Stage
from dicom_node.rules.tables import Routing
from dicom_node.tables import Book, Delivery, Mode, Revision
from dicom_node.transports import Destination
from dicom_node.worklist import Claim, Ending, Outgoing
from reports import drafts, glance, life, outbox, shelf
from reports.charset import SourceUnusable
from reports.checks import DocumentRefused, check_draft
from reports.config import ReportsConfig
from reports.findings import Finding
from reports.glance import Glance
from reports.messages.fhir import FhirSite
from reports.messages.oru import Parties
from reports.objects.basic_text import build_draft, build_notice
from reports.outbox import Made, Packet, Taking, Workshop
from reports.provenance import Provenance
from reports.source import normalize
from reports.tables import Event, Report
from reports.text import DraftText

log = structlog.get_logger("work")

_A_DRAFT_AFTER_ALL = "An AI draft of this study was written after all; this notice is void."

Earlier = Mapping[str, Mapping[Kind, Dataset]]


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft in every form that leaves, not stored yet. master: what is kept, whether it leaves or not.

    file: the master's bytes, as they were checked. void: by id of an older revision what takes back its notice, which
    says that there is no draft. summary: what the worklist page shows of it.
    """

    master: Dataset
    file: bytes
    made: Made
    modes: frozenset[Mode]
    void: Mapping[int, Made]
    summary: Glance


def write(desk: Desk, claim: Claim, sources: Sequence[Dataset], text: DraftText, provenance: Provenance) -> Draft:
    """Build and check the draft of a claimed study revision for all destinations.

    sources: headers of the study's images, as received; among them every one of `provenance.films`.

    Raises SourceUnusable, DocumentRefused.
    """
    everyone, earlier, formerly = _surroundings(desk, claim)
    files: dict[str, bytes] = {}

    def build(predecessor: Dataset | None) -> Dataset:
        draft = build_draft(
            sources,
            text,
            provenance,
            revision=claim.revision,
            content_at=claim.content_at,
            config=desk.config.reports,
            predecessor=predecessor,
        )
        files[str(draft.SOPInstanceUID)] = check_draft(draft, sources, desk.config.reports)
        return draft

    master, masters = outbox.editions(build, everyone, Stage.DRAFT, earlier)
    report = outbox.Report(
        draft=master,
        drafted_at=claim.content_at,
        at=claim.content_at,
        findings=shelf.findings_in(master),
        formerly=formerly,
        films=_films_read(sources, provenance, desk.config.reports),
    )
    made = outbox.parcels(masters, Stage.DRAFT, everyone, workshop_of(desk), report, earlier, files)
    modes, void = frozenset(one.mode for one in everyone), _void_notices(desk, claim, everyone, made)
    read = [source for source in sources if _uid(source) in provenance.films]
    return Draft(master, files[str(master.SOPInstanceUID)], made, modes, void, glance.glance_of(report.findings, read))


def commit(desk: Desk, claim: Claim, draft: Draft, report: Report) -> None:
    """The bytes first, durable; then report, deliveries and audit row in one commit.

    Where a final report was seen, or signed, meanwhile, the draft is kept and nothing leaves. Raises LeaseLost; and
    gating.Doubted where a film came in another patient's study meanwhile.
    """
    report.sop_instance_uid = str(draft.master.SOPInstanceUID)
    report.digest = write_document(desk.config.node.store_folder, draft.file)
    outgoing = store(desk, draft.made.packets)
    void = {revision_id: store(desk, made.packets) for revision_id, made in draft.void.items()}
    with desk.database.write() as tx:
        now = clock(tx)
        life.lock(tx, claim.study_id)
        why = life.silence(tx, claim.study_id, films=report.films)
        if why is None:
            gating.ask_again(tx, desk.config, claim, report.films)
        ending = (
            _nothing_leaves(tx, claim, draft.modes)
            if why is None
            else Ending(Book.CLOSED, why.value, life.RULES[why].words)
        )
        # first: it may find the lease lost
        worklist.finish(tx, claim, [] if why else outgoing, nothing_leaves=ending, now=now)
        life.record(tx, report, why, now, actor="work")
        glance.keep(tx, draft.summary, report.id)
        shelf.tell_of(tx, claim.study_id, draft.made.left_out, now, actor="work")
        for revision_id, notes in void.items() if why is None else ():
            worklist.enqueue(tx, tx.get_one(Revision, revision_id), notes, now, actor="work")


def write_notice(
    desk: Desk, claim: Claim, headers: Sequence[Dataset], words: str, identity: Provenance
) -> list[Outgoing]:
    """Build, check and store "No AI draft: <words>" for the destinations that want it; none where nobody does.

    headers: of the study's images, as received. The notice names the first of those that say which image they are.

    Without a usable identity of the patient there is no notice either: it would go to nobody's study.
    """
    with desk.database.read() as tx:
        wanted = [one for one in worklist.bound_for(tx, claim.revision_id, destinations(tx)) if one.notices]
    sources = [header for header in headers if "SOPInstanceUID" in header]
    if not wanted or not sources:
        return []
    identity = replace(identity, films=(_uid(sources[0]),))
    try:
        notice = build_notice(
            sources, words, identity, revision=claim.revision, content_at=claim.content_at, config=desk.config.reports
        )
        files = {str(notice.SOPInstanceUID): check_draft(notice, sources, desk.config.reports)}
    except (SourceUnusable, DocumentRefused) as error:
        log.warning("notice_left_out", workitem=claim.uid, kind=type(error).__name__)
        return []
    report = outbox.Report(draft=notice, drafted_at=claim.content_at, at=claim.content_at)
    _, masters = outbox.editions(lambda _: notice, wanted, Stage.NOTICE)
    made = outbox.parcels(masters, Stage.NOTICE, wanted, workshop_of(desk), report, files=files)
    return store(desk, made.packets)


def queue_notice(tx: Session, claim: Claim, outgoing: Sequence[Outgoing]) -> None:
    """Queue a notice in the transaction that excludes its study, or makes it a dead letter; else it is not true."""
    revision = tx.scalars(select(Revision).where(Revision.id == claim.revision_id)).one()
    if outgoing and revision.book in {Book.EXCLUDED, Book.DEAD_LETTERED} and not life.silence(tx, claim.study_id):
        worklist.enqueue(tx, revision, outgoing, clock(tx), actor="work")


def workshop_of(desk: Desk) -> Workshop:
    """What documents are made with."""
    hl7, fhir = desk.config.hl7, desk.config.fhir
    parties = Parties(
        sending_application=hl7.sending_application,
        sending_facility=hl7.sending_facility,
        receiving_application=hl7.receiving_application,
        receiving_facility=hl7.receiving_facility,
        filler_from_accession=hl7.filler_from_accession,
        authorities=hl7.authorities,
    )
    site = FhirSite(fhir.patient_systems, fhir.order_system, fhir.create_patient)
    return Workshop(desk.config.reports, parties, site)


def store(desk: Desk, packets: Sequence[Packet]) -> list[Outgoing]:
    """Make the bytes durable; what several destinations get is written once."""
    return shelf.store(desk.config.node.store_folder, packets)


def load(desk: Desk, digest: str) -> Dataset:
    """Read one of our own documents from the store. Raises NotFound."""
    return shelf.load(desk.config.node.store_folder, digest)


def _surroundings(desk: Desk, claim: Claim) -> tuple[tuple[Destination, ...], Earlier, tuple[Finding, ...]]:
    """The destinations, the earlier drafts that they have, and what the newest of those says."""
    with desk.database.read() as tx:
        everyone = worklist.bound_for(tx, claim.revision_id, destinations(tx))
        if worklist.stands_beside(tx, claim.revision_id):
            return everyone, {}, ()
        digests = drafts.earlier_drafts(tx, claim.study_id, before=claim.revision)
        before = drafts.of_study(tx, claim.study_id)[:1]
    earlier: dict[str, dict[Kind, Dataset]] = {}
    formerly: tuple[Finding, ...] = ()
    try:
        for name, of_kinds in digests.items():
            earlier[name] = {kind: load(desk, digest) for kind, digest in of_kinds.items()}
        formerly = tuple(finding for report in before for finding in shelf.findings_in(load(desk, report.digest)))
    except NotFound:  # a lost file must not keep a new draft back
        log.warning("predecessor_missing", workitem=claim.uid)
    return everyone, earlier, formerly


def _void_notices(desk: Desk, claim: Claim, everyone: Sequence[Destination], made: Made) -> Mapping[int, Made]:
    """What takes back the notices of older revisions where this draft goes; a notice that is lost stays."""
    drafted = {packet.destination for packet in made.packets}
    with desk.database.read() as tx:
        standing = _standing_notices(tx, claim, drafted)
    void = {}
    for (revision_id, number, digest), names in standing.items():
        taking = Taking(
            stage=Stage.REJECTION,
            event=Event.SUPERSEDED,
            words=_A_DRAFT_AFTER_ALL,
            drafted_at=claim.content_at,
            at=claim.content_at,
            number=number,
        )
        try:
            notice = load(desk, digest)
            got = {name: ([notice], frozenset[Kind]()) for name in names}
            void[revision_id] = outbox.take_back(notice, got, everyone, workshop_of(desk), taking)
        except WetreadError as error:  # it must not keep the draft back
            log.error("notice_not_taken_back", workitem=claim.uid, kind=type(error).__name__)
    return void


def _standing_notices(tx: Session, claim: Claim, names: set[str]) -> Mapping[tuple[int, int, str], list[str]]:
    """By revision (id, number) and digest: which of the destinations have, or may have, a notice not taken back."""
    told = (
        select(Delivery.revision_id, Delivery.destination)
        .join(Revision, Revision.id == Delivery.revision_id)
        .where(Revision.study_id == claim.study_id, Delivery.stage.in_(TAKES_BACK))
    )
    taken_back = {(revision_id, name) for revision_id, name in tx.execute(told)}
    chosen = (
        select(Revision.id, Revision.number, Delivery.digest, Delivery.destination)
        .join(Revision, Revision.id == Delivery.revision_id)
        .where(
            Revision.study_id == claim.study_id,
            Revision.number < claim.revision,
            Delivery.stage == Stage.NOTICE,
            Delivery.destination.in_(names),
            or_(Delivery.sent_at.is_not(None), Delivery.claim_token != ""),
        )
        .order_by(Delivery.id)
    )
    found: dict[tuple[int, int, str], list[str]] = {}
    for revision_id, number, digest, name in tx.execute(chosen):
        if (revision_id, name) not in taken_back:
            found.setdefault((revision_id, number, digest), []).append(name)
    return found


def _films_read(sources: Sequence[Dataset], provenance: Provenance, config: ReportsConfig) -> tuple[Dataset, ...]:
    return tuple(normalize(source, config) for source in sources if _uid(source) in provenance.films)


def _uid(source: Dataset) -> str:
    return str(source.SOPInstanceUID).strip(" \0")


def _nothing_leaves(tx: Session, claim: Claim, modes: frozenset[Mode]) -> Ending:
    """What the books say where nothing leaves the house."""
    if Mode.HOLD in modes:
        return Ending(Book.AWAITING_SIGNOFF)
    if Mode.SHADOW in modes:
        return Ending(Book.CLOSED, "shadow", "all destinations are in shadow mode")
    explanation = "no destination is registered: wetread ae add PACS@HOST:PORT --send-to, then wetread study requeue"
    routing = tx.get(Routing, claim.revision_id)
    if routing is not None and routing.destinations:
        named = ", ".join(target.partition("=")[0] for target in json.loads(routing.destinations))
        explanation = (
            f"rule {routing.rule} sends it to {named} alone, and no destination of that name is registered: "
            f"wetread rule edit {routing.rule} --to NAME, then wetread study requeue"
        )
    return Ending(Book.DEAD_LETTERED, "no-destination", explanation)
