"""The documents of a signature: built, checked and durable before any transaction names them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from pydicom import Dataset

from dicom_node.errors import CannotUnderstand
from dicom_node.files import read_document, stored_path, write_document
from dicom_node.headers import open_header
from dicom_node.kinds import Kind, Stage
from dicom_node.transports import Destination
from dicom_node.uids import derived_uid
from dicom_node.worklist import Outgoing
from reports import outbox, shelf
from reports.charset import SourceUnusable
from reports.checks import check_document
from reports.checks.narrative import stage_of
from reports.departures import of_other_requests
from reports.findings import Finding
from reports.messages.subject import read_subject
from reports.objects.content import read_content
from reports.objects.signed import build_addendum, build_signed
from reports.objects.signer import Signature as Signing
from reports.objects.signer import Signer
from reports.objects.tree import plain
from reports.outbox import LeftOut, Workshop
from reports.signoff.edits import findings_of
from reports.signoff.errors import PatientChanged, Unwritable
from reports.signoff.person import Person
from reports.signoff.scene import Scene, Signature
from reports.signoff.tables import SignedKind
from reports.source import legible, normalize
from reports.text import MAXIMUM_BYTES, DraftText, clean

_KINDS = MappingProxyType(
    {
        Stage.SIGNED: SignedKind.SIGNED,
        Stage.COSIGNED: SignedKind.COSIGNED,
        Stage.ADDENDUM: SignedKind.ADDENDUM,
    }
)
_COMPARED = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "AccessionNumber")
_WHOSE = ("StudyInstanceUID", "PatientID", "IssuerOfPatientID", "AccessionNumber")


@dataclass(frozen=True, slots=True)
class Written:
    """What a signature made, durable and named by no row yet. findings: what its text says."""

    kind: SignedKind
    digest: str
    sop_instance_uid: str
    findings: tuple[Finding, ...]
    outgoing: tuple[Outgoing, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class Film:
    """What a decision says of the film's device and site. Empty where its file is gone."""

    device: str = ""
    station: str = ""
    institution: str = ""


def cleaned(text: DraftText) -> DraftText:
    """As documents hold it. Raises Unwritable: a section without words, or too many; TextRefused."""
    both = DraftText(clean(text.findings), clean(text.impression))
    for name, words in (("findings", both.findings), ("impression", both.impression)):
        if not any(character.isalnum() for character in words):
            raise Unwritable(f"the section {name} has no words; write what you found, or that you found nothing")
        if len(words.encode()) > MAXIMUM_BYTES:
            raise Unwritable(f"the section {name} is longer than {MAXIMUM_BYTES >> 10} KiB; shorten it")
    return both


def must_fit(text: DraftText) -> None:
    """Of text that is still being written: may it be kept? Raises Unwritable; TextRefused."""
    for name, words in (("findings", text.findings), ("impression", text.impression)):
        if len(words.encode("utf-8", "replace")) > MAXIMUM_BYTES or "\0" in words:
            raise Unwritable(f"the section {name} is longer than {MAXIMUM_BYTES >> 10} KiB, or holds what is no text")


def a_sentence(words: str, what: str) -> str:
    """A person's words for others. Raises Unwritable: none; TextRefused."""
    said = clean(words)
    if not any(character.isalnum() for character in said) or len(said.encode()) > MAXIMUM_BYTES:
        raise Unwritable(f"{what} needs words, at most {MAXIMUM_BYTES >> 10} KiB")
    return said


def text_of(document: Dataset) -> DraftText:
    """Findings and Impression of a narrative of ours."""
    content = read_content(document)
    return DraftText(content.findings, content.impression)


def must_agree(folder: Path, scene: Scene, draft: Dataset, workshop: Workshop) -> None:
    """Is the draft about the study's patient and order, by the books and by the image that came last?

    Raises PatientChanged.
    """
    for name, booked in zip(_WHOSE, scene.whose, strict=True):
        if plain(draft, name) != booked:
            raise PatientChanged(f"the study has another {name} now than the draft")
    if scene.newest is None or scene.newest[1] in scene.films:
        return
    header = _header(folder, scene.newest[1])
    if header is None:
        return
    try:
        film = normalize(header, workshop.config)
    except SourceUnusable:
        return  # it is no film that a draft could be of
    differing = [name for name in _COMPARED if plain(film, name) != plain(draft, name)]
    if differing:
        raise PatientChanged(f"an image that came later has another {' and '.join(differing)} than the draft")


def film_of(folder: Path, scene: Scene, workshop: Workshop) -> Film:
    """The device that made the film, and where."""
    header = _header(folder, scene.films[0]) if scene.films else None
    if header is None:
        return Film()
    names = ("Manufacturer", "ManufacturerModelName", "StationName", "InstitutionName")
    # PostgreSQL keeps no zeros in texts, and some devices write what follows the end of a name in their memory.
    maker, model, station, institution = (
        legible(header, name, workshop.config).replace("\0", "").strip() for name in names
    )
    return Film(
        device=" ".join(part for part in (maker, model) if part)[:128],
        station=station[:64],
        institution=institution[:64],
    )


def attest(folder: Path, scene: Scene, person: Person, text: DraftText, now: datetime) -> Written:
    """Keep the words of a first signature; nothing leaves for it."""
    payload = json.dumps(
        {"draft": scene.draft_digest, "findings": text.findings, "impression": text.impression}, ensure_ascii=False
    ).encode("utf-8")
    uid = derived_uid("attested", scene.draft_digest, str(person.user_id), now.isoformat())
    return Written(SignedKind.ATTESTED, write_document(folder, payload), uid, findings_of(text))


def verify(
    folder: Path, scene: Scene, draft: Dataset, person: Person, text: DraftText, now: datetime, workshop: Workshop
) -> Written:
    """Write the verified report in every form for every destination.

    Who signed first is named only for the words that were signed first: nobody vouches for those of another person.
    """
    own = Signing(person.signer, now)
    other = scene.first if scene.first is not None and _signed_words(folder, scene.first) == text else None
    first = Signing(_signer(other), other.at) if other is not None else None
    both = other is not None and other.may_verify
    read = _films(folder, scene, workshop)
    images = _of_the_request(folder, scene, read, workshop)

    def build(predecessor: Dataset | None) -> Dataset:
        return build_signed(
            draft,
            text,
            [*([first] if first is not None and both else []), own],
            number=scene.next_number,
            not_before=read_subject(draft, workshop.config).written,
            config=workshop.config,
            predecessor=predecessor,
            attested_by=None if both else first,
            images=images,
        )

    films = tuple(read.values())
    return _write(folder, scene, draft, None, films, build, Stage.COSIGNED if both else Stage.SIGNED, now, workshop)


def add(
    folder: Path, scene: Scene, draft: Dataset, person: Person, words: str, now: datetime, workshop: Workshop
) -> Written:
    """Write the signed report anew, with a section more."""
    assert scene.last is not None
    final = shelf.load(folder, scene.last.digest)

    def build(predecessor: Dataset | None) -> Dataset:
        return build_addendum(
            final,
            words,
            Signing(person.signer, now),
            number=scene.next_number,
            not_before=scene.last.at if scene.last is not None else now,
            config=workshop.config,
            predecessor=predecessor,
        )

    films = tuple(_films(folder, scene, workshop).values())
    return _write(folder, scene, draft, final, films, build, Stage.ADDENDUM, now, workshop)


def _write(
    folder: Path,
    scene: Scene,
    draft: Dataset,
    before: Dataset | None,
    films: tuple[Dataset, ...],
    build: Callable[[Dataset | None], Dataset],
    stage: Stage,
    now: datetime,
    workshop: Workshop,
) -> Written:
    files: dict[str, bytes] = {}

    def checked(predecessor: Dataset | None) -> Dataset:
        document = build(predecessor)
        files[str(document.SOPInstanceUID)] = check_document(document, draft, workshop.config)
        assert stage_of(document) is stage
        return document

    earlier = _load(folder, scene.earlier)
    everyone = [_as_taker(one, stage) for one in scene.everyone]
    master, masters = outbox.editions(checked, everyone, stage, earlier)
    report = outbox.Report(
        draft=draft,
        drafted_at=scene.drafted_at,
        at=now,
        findings=shelf.findings_in(master),
        formerly=shelf.findings_in(draft if before is None else before),
        films=films,
        before=before,
        messaged=scene.messaged,
    )
    made = [
        outbox.parcels(masters, stage, _those(everyone, names), workshop, what, earlier, files)
        for names, what in _by_what_they_know(scene, report)
    ]
    return Written(
        kind=_KINDS[stage],
        digest=write_document(folder, files[str(master.SOPInstanceUID)]),
        sop_instance_uid=str(master.SOPInstanceUID),
        findings=report.findings,
        outgoing=tuple(one for part in made for one in shelf.store(folder, part.packets)),
        left_out=tuple(one for part in made for one in part.left_out),
    )


def _by_what_they_know(scene: Scene, report: outbox.Report) -> list[tuple[frozenset[str], outbox.Report]]:
    """Only who was told of former findings is told that they are no longer said."""
    knowing = scene.drafted | frozenset(scene.earlier)
    everyone = frozenset(one.name for one in scene.everyone)
    if report.before is not None:  # they all got the report that is added to
        return [(everyone, report)]
    fresh = outbox.Report(
        draft=report.draft,
        drafted_at=report.drafted_at,
        at=report.at,
        findings=report.findings,
        films=report.films,
        messaged=report.messaged,
    )
    return [(everyone & knowing, report), (everyone - knowing, fresh)]


def _as_taker(destination: Destination, stage: Stage) -> Destination:
    """What became of the draft is told once: an addendum does not change it."""
    if stage is not Stage.ADDENDUM:
        return destination
    return replace(destination, objects=destination.objects - {Kind.OUTCOME})


def _those(everyone: Sequence[Destination], names: frozenset[str]) -> list[Destination]:
    return [one for one in everyone if one.name in names]


def _load(folder: Path, earlier: Mapping[str, Mapping[Kind, str]]) -> Mapping[str, Mapping[Kind, Dataset]]:
    documents = {digest: shelf.load(folder, digest) for kinds in earlier.values() for digest in kinds.values()}
    return {name: {kind: documents[digest] for kind, digest in kinds.items()} for name, kinds in earlier.items()}


def _films(folder: Path, scene: Scene, workshop: Workshop) -> Mapping[str, Dataset]:
    """By digest the headers of the films that were read; those whose files are gone are listed without details."""
    headers = {digest: _header(folder, digest) for digest in scene.films}
    return {digest: normalize(header, workshop.config) for digest, header in headers.items() if header is not None}


def _of_the_request(folder: Path, scene: Scene, read: Mapping[str, Dataset], workshop: Workshop) -> list[Dataset]:
    """Headers of the images of the film's requested procedure, the film among them; none where its file is gone.

    read: as `_films` gives them.
    """
    if not read:
        return []
    images = []
    for digest in scene.images:
        if digest in read:
            images.append(read[digest])
            continue
        header = _header(folder, digest)
        if header is not None:
            with suppress(SourceUnusable):  # of no patient or study: of no procedure either
                images.append(normalize(header, workshop.config))
    others = {id(one) for one in of_other_requests(images, next(iter(read.values())))}
    return [image for image in images if id(image) not in others]


def _header(folder: Path, digest: str) -> Dataset | None:
    try:
        return open_header(stored_path(folder, digest))
    except (FileNotFoundError, CannotUnderstand):
        return None


def _signed_words(folder: Path, first: Signature) -> DraftText:
    """What `attest` kept."""
    kept = json.loads(read_document(folder, first.digest))
    return DraftText(kept["findings"], kept["impression"])


def _signer(first: Signature) -> Signer:
    return Signer(first.name, first.organization, first.identifier, first.scheme)
