"""Taking one report back: built from its documents, checked, durable, then queued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog
from pydicom import Dataset

from agent import drafting
from agent.desk import Desk
from dicom_node.database import clock
from dicom_node.kinds import FINAL, Kind, Stage
from dicom_node.transports import Destination
from reports import hidings, outbox, recalls, shelf
from reports.hidings import Hiding
from reports.messages.subject import message_uid
from reports.outbox import Made, Packet, Taking
from reports.recalls import Got, Recall
from reports.tables import Event

log = structlog.get_logger("dispatch")

_HIDING_NUMBERS = 10_000  # Instance Numbers above it, in the series of the rejections: those are numbered by revision
_DOCUMENTS = frozenset({Kind.BASIC_TEXT, Kind.TID1500, Kind.PDF, Kind.SC})
_REPLACING = frozenset({Kind.ORU, Kind.FHIR})  # of several that a destination got, the newest stands


def take_back(desk: Desk, recall: Recall, everyone: Sequence[Destination]) -> int:
    """Build, store and queue what takes one report back; returns how many objects are new.

    Raises NotFound: a document is missing in the store. DocumentRefused.
    """
    made = _made(desk, recall, everyone)
    outgoing = drafting.store(desk, made.packets)
    with desk.database.write() as tx:
        now = clock(tx)
        queued = recalls.finish(tx, recall, outgoing, now)
        shelf.tell_of(tx, recall.study_id, made.left_out, now, actor="dispatch")
    for name in recalls.left_behind(recall, outgoing):
        log.error("report_left_behind", study=recall.study_id, revision=recall.number, destination=name)
    return queued


def hide(desk: Desk, hiding: Hiding, everyone: Sequence[Destination]) -> int:
    """Build, store and queue the notes that hide a signed draft; returns how many are new.

    Raises NotFound: a document is missing in the store. DocumentRefused.
    """
    packets = _hidden(desk, hiding, everyone) if hiding.got else []
    outgoing = drafting.store(desk, packets)
    with desk.database.write() as tx:
        return hidings.finish(tx, hiding, outgoing, clock(tx))


def _hidden(desk: Desk, hiding: Hiding, everyone: Sequence[Destination]) -> list[Packet]:
    there = {
        name: ([drafting.load(desk, one.digest) for one in got], frozenset[Kind]()) for name, got in hiding.got.items()
    }
    taking = Taking(
        stage=Stage.REJECTION,  # the note is the same; what follows here from it is not
        event=Event.SIGNED,
        words=hidings.WORDS,
        drafted_at=hiding.drafted_at,
        at=hiding.at,
        number=_HIDING_NUMBERS + hiding.number,
    )
    made = outbox.take_back(drafting.load(desk, hiding.digest), there, everyone, drafting.workshop_of(desk), taking)
    return [replace(packet, stage=Stage.HIDING) for packet in made.packets]


def _made(desk: Desk, recall: Recall, everyone: Sequence[Destination]) -> Made:
    """By what each destination has last of it: the draft, or what a person signed."""
    draft, contents = drafting.load(desk, recall.digest), _contents(desk, recall)
    having: dict[str, list[str]] = {}
    for name, got in recall.got.items():
        having.setdefault(_master_of(got, recall), []).append(name)
    made = []
    for digest, names in having.items():
        master = draft if digest == recall.digest else drafting.load(desk, digest)
        there = {name: contents[name] for name in names}
        made.append(
            outbox.take_back(master, there, everyone, drafting.workshop_of(desk), _taking(recall, master, draft))
        )
    return Made(
        tuple(packet for one in made for packet in one.packets), tuple(words for one in made for words in one.left_out)
    )


def _taking(recall: Recall, master: Dataset, draft: Dataset) -> Taking:
    return Taking(
        stage=recall.stage,
        event=recall.event,
        words=recall.words,
        drafted_at=recall.drafted_at,
        at=recall.at,
        number=recall.number,
        findings=shelf.findings_in(master),
        draft=draft,
        reason=recall.reason,
    )


def _master_of(got: Sequence[Got], recall: Recall) -> str:
    """Digest of the narrative that the destination's newest message was made from."""
    there = {one.sop_instance_uid for one in got}
    for final in recall.finals:
        if any(message_uid(final.sop_instance_uid, kind, stage) in there for kind in _REPLACING for stage in FINAL):
            return final.digest
    return recall.digest


def _contents(desk: Desk, recall: Recall) -> Mapping[str, tuple[Sequence[Dataset], frozenset[Kind]]]:
    """By destination its documents, read from the store, and the forms of its messages."""
    contents = {}
    for name, got in recall.got.items():
        documents = [drafting.load(desk, one.digest) for one in got if one.kind in _DOCUMENTS]
        contents[name] = documents, frozenset(one.kind for one in got) - _DOCUMENTS
    return contents
