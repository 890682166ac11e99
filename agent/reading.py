"""One study, read: from the claim to the commit that holds the draft, its deliveries and the audit row."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import structlog
from PIL import Image
from pydicom import Dataset
from sqlalchemy.orm import Session

from agent import __version__
from agent.config import Config
from agent.imaging.attributes import BROKEN
from agent.imaging.gate import Verdict, judge
from agent.imaging.pixels import Film, UndecodableImage
from agent.readers.protocol import Generation, Reader, Reading, UnreadableText
from dicom_node import worklist
from dicom_node.database import Database, clock
from dicom_node.destinations import destinations, takes
from dicom_node.errors import CannotUnderstand, WetreadError
from dicom_node.files import stored_path, write_document
from dicom_node.headers import open_header
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Book, Instance, Mode
from dicom_node.worklist import Claim, Ending, Outgoing
from reports import drafts
from reports.charset import SourceUnusable
from reports.checks import DocumentRefused, check_draft
from reports.objects.basic_text import build_draft
from reports.objects.frame import encode
from reports.provenance import Provenance
from reports.tables import Report
from reports.text import TextRefused, sections

log = structlog.get_logger("work")

# A busy machine does these to a sound film as well: tried twice, then a person is told.
_MAY_PASS = frozenset({"decode-timeout", "decoder-crashed", "out-of-memory"})
_DELETED = "The films are no longer here (node.keep_days): send the study again, then confirm it."
_UNREADABLE = Verdict("exclude", "unreadable-file", "The header of the image cannot be read.")


class Decoder(Protocol):
    """Decodes one film in a process of its own."""

    def render(self, path: Path) -> Film:
        """Raises UndecodableImage."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image of the study, its header and what the gate says of it."""

    instance: Instance
    header: Dataset
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Room:
    """Everything that a reading needs: made once per worker."""

    config: Config
    database: Database
    decoder: Decoder
    reader: Reader
    stopping: Callable[[], bool] = lambda: False
    pulse: Callable[[], None] = lambda: None


class Interrupted(WetreadError):
    """The worker is told to stop; the claim is given back and the attempt does not count."""


def read_study(room: Room, claim: Claim) -> str:
    """Read the study of a claim and commit the result; returns how it ended, in a word for the log.

    Raises LeaseLost where another process took over, Interrupted where the worker stops, and whatever else is no fault
    of the study: the caller retries.
    """
    lease = timedelta(seconds=room.config.node.lease_seconds)
    candidates = _candidates(room, claim)
    if not candidates:
        return _hold(room, claim, reason="film-deleted", explanation=_DELETED)
    readable = [candidate for candidate in candidates if candidate.verdict.decision == "read"]
    if not readable:
        return _turn_away(room, claim, candidates)
    try:
        chosen, film = _first_film(room, readable)
        _write_debug_image(room, chosen.instance, film)
        reading = _read(room, claim, film, _renewal(room, claim, lease))
        draft, payload, report = _draft(room, claim, candidates, chosen, film, reading)
    except (UndecodableImage, UnreadableText, TextRefused, SourceUnusable) as error:
        if error.code in _MAY_PASS:
            return _fail(room, claim, reason=error.code, explanation=str(error), attempts=2)
        return _exclude(room, claim, error.code, str(error))
    except DocumentRefused as error:
        return _fail(room, claim, reason="draft-refused", explanation=str(error), attempts=0)
    _commit(room, claim, draft, payload, report)
    return "drafted"


def _candidates(room: Room, claim: Claim) -> list[Candidate]:
    """The images of the study that are still here, with their headers, in the order of their arrival."""
    with room.database.read() as tx:
        instances = worklist.images_of(tx, claim.study_id)
    found = []
    for instance in instances:
        path = _path(room, instance)
        if path.exists():
            found.append(_judged(instance, path, confirmed=claim.confirmed))
    return found


def _judged(instance: Instance, path: Path, *, confirmed: bool) -> Candidate:
    """What the listener could store need not be readable to its end. Raises OSError where the disk is to blame."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote what stands in the header
        try:
            header = open_header(path)
        except (CannotUnderstand, MemoryError, *BROKEN) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            return Candidate(instance, Dataset(), _UNREADABLE)
        return Candidate(instance, header, judge(header, confirmed=confirmed))


def _first_film(room: Room, readable: Sequence[Candidate]) -> tuple[Candidate, Film]:
    """The first film that can be decoded: a broken one must not keep a sound one from being read.

    Raises UndecodableImage of the first film where none can be.
    """
    failures: list[UndecodableImage] = []
    for candidate in readable:
        try:
            return candidate, room.decoder.render(_path(room, candidate.instance))
        except UndecodableImage as error:
            if error.code in _MAY_PASS:
                raise
            failures.append(error)
    raise failures[0]


def _turn_away(room: Room, claim: Claim, candidates: Sequence[Candidate]) -> str:
    """No image can be read: wait for a person where the gate cannot tell, else exclude with the first reason."""
    unsure = next((candidate for candidate in candidates if candidate.verdict.decision == "confirm"), None)
    if unsure is None:
        first = candidates[0].verdict
        return _exclude(room, claim, first.code, first.explanation)
    return _hold(room, claim, reason=unsure.verdict.code, explanation=unsure.verdict.explanation)


def _hold(room: Room, claim: Claim, *, reason: str, explanation: str) -> str:
    with room.database.write() as tx:
        worklist.hold(tx, claim, reason=reason, explanation=explanation, now=clock(tx))
    return "held"


def _exclude(room: Room, claim: Claim, code: str, explanation: str) -> str:
    with room.database.write() as tx:
        worklist.exclude(tx, claim, reason=code, explanation=explanation, now=clock(tx))
    return f"excluded: {code}"


def _fail(room: Room, claim: Claim, *, reason: str, explanation: str, attempts: int) -> str:
    """Book a failed attempt: again after a pause, or a dead letter after `attempts`."""
    wait = timedelta(seconds=room.config.node.retry_seconds[0])
    with room.database.write() as tx:
        now = clock(tx)
        worklist.fail(tx, claim, reason=reason, explanation=explanation, attempts=attempts, wait=wait, now=now)
    return reason


def _read(room: Room, claim: Claim, film: Film, progress: Callable[[int], None]) -> Reading:
    """Greedy first; unusable text gets one more chance, sampled with a seed that can be repeated.

    Raises UnreadableText.
    """
    try:
        return room.reader.report(film.pixels, Generation(), progress)
    except UnreadableText as error:
        log.warning("text_unusable", code=error.code, workitem=claim.uid)
    digest = hashlib.sha256(f"{claim.uid} {claim.attempt}".encode()).digest()
    sampled = replace(Generation(), mode="sampled", seed=int.from_bytes(digest[:4], "big"))
    return room.reader.report(film.pixels, sampled, progress)


def _draft(
    room: Room, claim: Claim, candidates: Sequence[Candidate], chosen: Candidate, film: Film, reading: Reading
) -> tuple[Dataset, bytes, Report]:
    """Build and check the document. Raises SourceUnusable, TextRefused, DocumentRefused."""
    identity = room.reader.identity
    provenance = Provenance(
        reader_name=identity.name,
        reader_version=identity.version,
        manufacturer=identity.manufacturer,
        precision=identity.precision,
        digest=identity.digest,
        notice=identity.notice,
        generation=_in_words(reading.generation),
        software_version=__version__,
        films=(chosen.instance.sop_instance_uid,),
        assumptions=(*chosen.verdict.notes, *film.notes),
        unread=len(candidates) - 1,
    )
    sources = [candidate.header for candidate in candidates if candidate.instance is chosen.instance]
    draft = build_draft(
        sources,
        sections(reading.text),
        provenance,
        revision=claim.revision,
        content_at=claim.content_at,
        config=room.config.reports,
    )
    check_draft(draft, sources, room.config.reports)
    report = Report(
        revision_id=claim.revision_id,
        sop_instance_uid=draft.SOPInstanceUID,
        film_digest=chosen.instance.digest,
        reader=f"{identity.name} {identity.version} {identity.precision}",
        reader_digest=identity.digest,
        generation=provenance.generation,
    )
    return draft, encode(draft), report


def _commit(room: Room, claim: Claim, draft: Dataset, payload: bytes, report: Report) -> None:
    """The bytes first, durable; then report, deliveries and audit row in one commit. Raises LeaseLost."""
    report.digest = write_document(room.config.node.store_folder, payload)
    with room.database.write() as tx:
        now = clock(tx)
        outgoing, nothing_leaves = _deliveries(tx, draft, report.digest)
        worklist.finish(
            tx, claim, outgoing, nothing_leaves=nothing_leaves, now=now
        )  # first: it may find the lease lost
        drafts.record(tx, report, now)


def _deliveries(tx: Session, draft: Dataset, digest: str) -> tuple[list[Outgoing], Ending]:
    """What goes where, and what the books say where nothing leaves the house."""
    everyone = destinations(tx)
    outgoing = [
        Outgoing(
            destination=destination.name,
            kind=Kind.BASIC_TEXT,
            stage=Stage.DRAFT,
            sop_class_uid=draft.SOPClassUID,
            sop_instance_uid=draft.SOPInstanceUID,
            device_uid=draft.DeviceUID,
            digest=digest,
        )
        for destination in everyone
        if takes(destination, Kind.BASIC_TEXT, Stage.DRAFT)
    ]
    modes = {destination.mode for destination in everyone}
    if Mode.HOLD in modes:
        return outgoing, Ending(Book.AWAITING_SIGNOFF)
    if Mode.SHADOW in modes:
        return outgoing, Ending(Book.CLOSED, "shadow", "all destinations are in shadow mode")
    explanation = "no destination is registered: wetread ae add PACS@HOST:PORT --send-to, then wetread study requeue"
    return outgoing, Ending(Book.DEAD_LETTERED, "no-destination", explanation)


def _renewal(room: Room, claim: Claim, lease: timedelta) -> Callable[[int], None]:
    """A progress callback that prolongs the lease, at most four times a lease. It raises LeaseLost or Interrupted."""
    renewed = time.monotonic()

    def progress(_tokens: int) -> None:
        nonlocal renewed
        room.pulse()
        if room.stopping():
            raise Interrupted("the worker stops")
        if time.monotonic() - renewed < lease.total_seconds() / 4:
            return
        with room.database.write() as tx:
            worklist.renew(tx, claim, lease=lease, now=clock(tx))
        renewed = time.monotonic()

    return progress


def _write_debug_image(room: Room, instance: Instance, film: Film) -> None:
    folder = room.config.reader.debug_images
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(film.pixels).save(folder / f"{instance.digest}.png")


def _path(room: Room, instance: Instance) -> Path:
    return stored_path(room.config.node.store_folder, instance.digest)


def _in_words(generation: Generation) -> str:
    if generation.mode == "greedy":
        return "greedy"
    return (
        f"sampled, seed {generation.seed}, temperature {generation.temperature}, "
        f"top-p {generation.top_p}, top-k {generation.top_k}"
    )
