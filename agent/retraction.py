"""Taking one report back: built from its documents, checked, durable, then queued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog
from pydicom import Dataset

from agent import drafting
from agent.desk import Desk
from dicom_node.database import clock
from dicom_node.kinds import Kind
from dicom_node.transports import Destination
from reports import outbox, recalls
from reports.outbox import Made, Taking
from reports.recalls import Recall

log = structlog.get_logger("dispatch")

_DOCUMENTS = frozenset({Kind.BASIC_TEXT, Kind.TID1500, Kind.PDF, Kind.SC})


def take_back(desk: Desk, recall: Recall, everyone: Sequence[Destination]) -> int:
    """Build, store and queue what takes one report back; returns how many objects are new.

    Raises NotFound: a document is missing in the store. DocumentRefused.
    """
    made = _made(desk, recall, everyone)
    outgoing = drafting.store(desk, made.packets)
    with desk.database.write() as tx:
        now = clock(tx)
        queued = recalls.finish(tx, recall, outgoing, now)
        drafting.tell_of(tx, recall.study_id, made.left_out, now, actor="dispatch")
    for name in recalls.left_behind(recall, outgoing):
        log.error("report_left_behind", study=recall.study_id, revision=recall.number, destination=name)
    return queued


def _made(desk: Desk, recall: Recall, everyone: Sequence[Destination]) -> Made:
    master = drafting.load(desk, recall.digest)
    taking = Taking(
        stage=recall.stage,
        event=recall.event,
        words=recall.words,
        drafted_at=recall.drafted_at,
        at=recall.at,
        number=recall.number,
        findings=drafting.findings_in(master),
    )
    return outbox.take_back(master, _contents(desk, recall), everyone, drafting.workshop_of(desk), taking)


def _contents(desk: Desk, recall: Recall) -> Mapping[str, tuple[Sequence[Dataset], frozenset[Kind]]]:
    """By destination its documents, read from the store, and the forms of its messages."""
    contents = {}
    for name, got in recall.got.items():
        documents = [drafting.load(desk, one.digest) for one in got if one.kind in _DOCUMENTS]
        contents[name] = documents, frozenset(one.kind for one in got) - _DOCUMENTS
    return contents
