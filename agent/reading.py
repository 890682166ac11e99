"""One study, read: from the claim to the commit that holds the draft, its deliveries and the audit row."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import structlog
from PIL import Image
from pydicom import Dataset

from agent import __version__, drafting, gating, pairs
from agent.config import Config
from agent.desk import Desk
from agent.drafting import Draft
from agent.imaging.attributes import BROKEN, value
from agent.imaging.gate import BY_PIXELS, judge
from agent.imaging.pixels import Film, UndecodableImage
from agent.imaging.verdict import Verdict
from agent.pairs import Candidate, Text
from agent.readers.protocol import Generation, Reader, Reading, UnreadableText
from dicom_node import worklist
from dicom_node.database import Database, clock
from dicom_node.errors import CannotUnderstand, WetreadError
from dicom_node.files import require, stored_path
from dicom_node.headers import open_header
from dicom_node.identity import DIFFERS
from dicom_node.tables import Instance
from dicom_node.worklist import Claim, Outgoing
from reports import drafts
from reports.charset import SourceUnusable
from reports.checks import DocumentRefused
from reports.checks.document import differing
from reports.provenance import Provenance
from reports.tables import Event, Report
from reports.text import TextRefused, sections

log = structlog.get_logger("work")

_DELETED = "The films are no longer here (node.keep_days; a backup has none): send the study again, then confirm it."
_UNREADABLE = Verdict("exclude", "unreadable-file", "The header of the image cannot be read.")
_OF_ANOTHER_PATIENT = "film-of-another-patient"  # an alarm about the study, whichever of its films it is
# A person was asked about one film and had to say so of the whole study: it never speaks for a second film.
_CONFIRMED = "confirmed"
_FAILED = "The reading failed; a person is told."
_REJECTED = Verdict("exclude", Event.CANCELED.value, "The image was rejected or deleted in the PACS.")


class Decoder(Protocol):
    """Decodes one film in a process of its own."""

    def render(self, path: Path) -> Film:
        """Raises UndecodableImage."""


@dataclass(frozen=True, slots=True)
class Room:
    """Everything that a reading needs: made once per worker."""

    config: Config
    database: Database
    decoder: Decoder
    reader: Reader
    stopping: Callable[[], bool] = lambda: False
    pulse: Callable[[], None] = lambda: None

    @property
    def desk(self) -> Desk:
        """Where its drafts are written."""
        return Desk(self.config, self.database)


class Interrupted(WetreadError):
    """The worker is told to stop; the claim is given back and the attempt does not count."""


def read_study(room: Room, claim: Claim) -> str:
    """Read the study of a claim and commit the result; returns how it ended, in a word for the log.

    Raises LeaseLost where another process took over, Interrupted where the worker stops, StoreAway, and whatever else
    is no fault of the study: the caller retries.
    """
    lease = timedelta(seconds=room.config.node.lease_seconds)
    candidates = _candidates(room, claim)
    readable = [candidate for candidate in candidates if candidate.verdict.decision == "read"]
    if not readable:
        return _turn_away(room, claim, candidates)
    try:
        texts, left_out = _texts(room, claim, readable, _renewal(room, claim, lease))
        draft, report = _draft(room, claim, candidates, texts, left_out)
        drafting.commit(room.desk, claim, draft, report)
    except gating.Doubted as error:
        return _hold(room, claim, reason=error.code, explanation=str(error))
    except (UndecodableImage, UnreadableText, TextRefused, SourceUnusable) as error:
        require(room.config.node.store_folder)
        if error.code in gating.MAY_PASS:
            return _fail(room, claim, candidates, reason=error.code, explanation=str(error), attempts=2)
        return _exclude(room, claim, candidates, error.code, str(error))
    except DocumentRefused as error:
        return _fail(room, claim, candidates, reason="draft-refused", explanation=str(error), attempts=0)
    return "drafted"


def fail(room: Room, claim: Claim, *, reason: str, explanation: str) -> None:
    """Book an attempt that failed by no fault of the study; with the last one goes a notice, where that can be made.

    Raises LeaseLost.
    """
    node = room.config.node
    notice: list[Outgoing] = []
    if claim.attempt >= node.maximum_attempts:
        try:
            notice = _notice(room, claim, _candidates(room, claim), _FAILED)
        except (WetreadError, MemoryError, *BROKEN) as error:  # what ended the reading may end this as well
            log.warning("notice_left_out", workitem=claim.uid, kind=type(error).__name__)
    wait = timedelta(seconds=node.retry_seconds[min(claim.attempt, len(node.retry_seconds)) - 1])
    _book_failure(room, claim, notice, reason, explanation, node.maximum_attempts, wait)


def _candidates(room: Room, claim: Claim) -> list[Candidate]:
    """The images of the study that are still here, with their headers, in the order of their arrival.

    What the PACS has rejected is not read any more, whatever its header says. Raises StoreAway.
    """
    with room.database.read() as tx:
        instances = worklist.to_read(tx, claim.revision_id)
        rejected = drafts.rejected_images(tx, claim.study_id)
        overruled = worklist.overruled(tx, claim.study_id)
    said = _said(room, claim)
    found = []
    for instance in instances:
        path = _path(room, instance)
        if path.exists():
            known = frozenset(code for code, at in overruled.items() if instance.received_at <= at)
            by = partial(_verdict, said | {"received": instance.received_at.date()}, known)
            candidate = _judged(instance, path, by)
            gone = instance.sop_instance_uid in rejected
            found.append(replace(candidate, verdict=_REJECTED) if gone else candidate)
    if len(found) < len(instances):
        require(room.config.node.store_folder)
    return found


def _verdict(said: Mapping[str, Any], overruled: frozenset[str], header: Dataset) -> Verdict:
    """What the gate says; that somebody overruled an exclusion is a person's word as well."""
    verdict = judge(header, overruled=overruled, **said)
    if verdict.decision == "read" and judge(header, **said).decision == "exclude":
        return Verdict("read", _CONFIRMED, verdict.explanation, verdict.notes)
    return verdict


def _said(room: Room, claim: Claim) -> dict[str, Any]:
    """What people and the site say of the study, for the gate."""
    imaging = room.config.imaging
    return {
        "confirmed": claim.confirmed,
        "by": claim.confirmed_by,
        "hold_unknown_age": imaging.unknown_age == "hold",
        "pixels_name_the_part": imaging.unknown_body_part == "pixels",
    }


def _judged(instance: Instance, path: Path, judge: Callable[[Dataset], Verdict]) -> Candidate:
    """What the listener could store need not be readable to its end. Raises OSError where the disk is to blame."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote what stands in the header
        try:
            header = open_header(path)
        except (CannotUnderstand, MemoryError, *BROKEN) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            return Candidate(instance, Dataset(), _UNREADABLE)
        return Candidate(instance, header, judge(header))


def _film_to_read(
    room: Room, claim: Claim, readable: Sequence[Candidate], progress: Callable[[int], None], besides: str = ""
) -> tuple[Candidate, Film, Sequence[Candidate]]:
    """The film that the pixels' gate chooses; images with the same picture are named beside it. And what is left.

    Raises what `gating.choose` raises.
    """
    codes = ("", BY_PIXELS, _CONFIRMED)  # the undoubted first
    ordered = sorted(readable, key=lambda one: codes.index(one.verdict.code) if one.verdict.code in codes else 0)
    shots = [
        gating.Shot(
            candidate.instance,
            (value(candidate.header, "Rows"), value(candidate.header, "Columns")),
            partial(_decoded, room, candidate.instance, progress),
            unnamed=candidate.verdict.code == BY_PIXELS,
        )
        for candidate in ordered
    ]
    choice = gating.choose(room.config, room.database, claim, shots, besides=besides)
    candidate = ordered[choice.place]
    verdict = replace(candidate.verdict, notes=(*candidate.verdict.notes, *choice.notes))
    copies = tuple(
        ordered[place].instance.sop_instance_uid
        for place in choice.copies
        if not differing(ordered[place].header, candidate.header, room.config.reports)
    )
    left = [one for one in ordered[choice.place + 1 :] if one.instance.sop_instance_uid not in copies]
    return replace(candidate, verdict=verdict, copies=copies), choice.film, left


def _decoded(room: Room, instance: Instance, progress: Callable[[int], None]) -> Film:
    """Decode a film; that is progress, whatever comes of it. Raises UndecodableImage, and what `progress` raises."""
    try:
        return room.decoder.render(_path(room, instance))
    finally:
        progress(0)


def _texts(
    room: Room, claim: Claim, readable: Sequence[Candidate], progress: Callable[[int], None]
) -> tuple[list[Text], tuple[str, ...]]:
    """What the reader writes about the film to read, and about a second one; else why that was left out.

    Raises gating.Doubted, UndecodableImage, UnreadableText, SourceUnusable.
    """
    chosen, film, others = _film_to_read(room, claim, readable, progress)
    first = _text(room, claim, chosen, film, progress)
    undoubted = [candidate for candidate in others if candidate.verdict.code != _CONFIRMED]
    others = [one for one in undoubted if not differing(one.header, chosen.header, room.config.reports)]
    if not others:
        return [first], (_left_out(DIFFERS),) if undoubted else ()
    try:
        # that a person confirmed the study says nothing of a film that the person was not asked about
        chosen, film, _ = _film_to_read(room, replace(claim, confirmed=False), others, progress, film.digest)
        second = _text(room, claim, chosen, film, progress)
        sections(second.reading.text)
        return [first, second], ()
    except gating.SamePicture:
        return [first], ()
    except (gating.Doubted, UndecodableImage, UnreadableText, TextRefused) as error:
        if error.code == _OF_ANOTHER_PATIENT and not claim.confirmed:
            raise
        log.info("second_film_left_out", workitem=claim.uid, code=error.code)
        return [first], (_left_out(error.code),)


def _left_out(code: str) -> str:
    return f"another frontal image was left out ({code})"


def _text(room: Room, claim: Claim, of: Candidate, film: Film, progress: Callable[[int], None]) -> Text:
    _write_debug_image(room, of.instance, film)
    return Text(of, film, _read(room, claim, film, progress))


def _turn_away(room: Room, claim: Claim, candidates: Sequence[Candidate]) -> str:
    """No image can be read: wait for a person where the gate cannot tell, else exclude with the first reason."""
    if not candidates:
        return _hold(room, claim, reason="film-deleted", explanation=_DELETED)
    unsure = next((candidate for candidate in candidates if candidate.verdict.decision == "confirm"), None)
    if unsure is None:
        first = candidates[0].verdict
        return _exclude(room, claim, candidates, first.code, first.explanation)
    return _hold(room, claim, reason=unsure.verdict.code, explanation=unsure.verdict.explanation)


def _hold(room: Room, claim: Claim, *, reason: str, explanation: str) -> str:
    with room.database.write() as tx:
        worklist.hold(tx, claim, reason=reason, explanation=explanation, now=clock(tx))
    log.info("study_held", workitem=claim.uid, code=reason)
    return "held"


def _exclude(room: Room, claim: Claim, candidates: Sequence[Candidate], code: str, explanation: str) -> str:
    notice = _notice(room, claim, candidates, explanation)
    with room.database.write() as tx:
        worklist.exclude(tx, claim, reason=code, explanation=explanation, now=clock(tx))
        drafting.queue_notice(tx, claim, notice)
    return f"excluded: {code}"


def _fail(
    room: Room, claim: Claim, candidates: Sequence[Candidate], *, reason: str, explanation: str, attempts: int
) -> str:
    """Book a failed attempt: again after a pause, or a dead letter after `attempts`."""
    wait = timedelta(seconds=room.config.node.retry_seconds[0])
    notice = _notice(room, claim, candidates, _FAILED) if claim.attempt >= attempts else []
    _book_failure(room, claim, notice, reason, explanation, attempts, wait)
    return reason


def _book_failure(
    room: Room,
    claim: Claim,
    notice: Sequence[Outgoing],
    reason: str,
    explanation: str,
    attempts: int,
    wait: timedelta,
) -> None:
    with room.database.write() as tx:
        now = clock(tx)
        worklist.fail(tx, claim, reason=reason, explanation=explanation, attempts=attempts, wait=wait, now=now)
        drafting.queue_notice(tx, claim, notice)


def _notice(room: Room, claim: Claim, candidates: Sequence[Candidate], words: str) -> list[Outgoing]:
    identity = _provenance(room, (), "nothing generated")
    return drafting.write_notice(room.desk, claim, _headers(candidates), words, identity)


def _headers(candidates: Sequence[Candidate]) -> list[Dataset]:
    """What says whose study it is: every header that can be read, without what the PACS has rejected where more is."""
    readable = [candidate for candidate in candidates if "SOPInstanceUID" in candidate.header]
    standing = [candidate for candidate in readable if candidate.verdict is not _REJECTED]
    return [candidate.header for candidate in standing or readable]


def _read(room: Room, claim: Claim, film: Film, progress: Callable[[int], None]) -> Reading:
    """Greedy first; unusable text gets one more chance, sampled with a seed that can be repeated.

    Raises UnreadableText.
    """
    try:
        return room.reader.report(film.pixels, Generation(), progress, urgent=claim.urgent)
    except UnreadableText as error:
        if error.code in gating.MAY_PASS:
            raise
        log.warning("text_unusable", code=error.code, workitem=claim.uid)
    digest = hashlib.sha256(f"{claim.uid} {claim.attempt}".encode()).digest()
    sampled = replace(Generation(), mode="sampled", seed=int.from_bytes(digest[:4], "big"))
    return room.reader.report(film.pixels, sampled, progress, urgent=claim.urgent)


def _draft(
    room: Room, claim: Claim, candidates: Sequence[Candidate], texts: Sequence[Text], left_out: tuple[str, ...]
) -> tuple[Draft, Report]:
    """Build and check the draft in every form. Raises SourceUnusable, TextRefused, DocumentRefused."""
    identity = room.reader.identity
    films = pairs.films(texts)
    made = _provenance(room, films, pairs.generation(texts))
    notes = (*pairs.notes(texts), *left_out)
    provenance = replace(made, assumptions=notes, unread=len(candidates) - len(films))
    draft = drafting.write(room.desk, claim, _headers(candidates), pairs.words(texts), provenance)
    report = Report(
        revision_id=claim.revision_id,
        film_digest=texts[0].of.instance.digest,
        second_film_digest=texts[1].of.instance.digest if len(texts) > 1 else "",
        reader=f"{identity.name} {identity.version} {identity.precision}",
        reader_digest=identity.digest,
        generation=provenance.generation,
    )
    return draft, report


def _provenance(room: Room, films: tuple[str, ...], generation: str) -> Provenance:
    identity = room.reader.identity
    return Provenance(
        reader_name=identity.name,
        reader_version=identity.version,
        manufacturer=identity.manufacturer,
        precision=identity.precision,
        digest=identity.digest,
        notice=identity.notice,
        generation=generation,
        software_version=__version__,
        films=films,
    )


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
