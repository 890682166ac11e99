"""What must be true after any number of kills: every acknowledged study has exactly one draft in the PACS."""

from __future__ import annotations

import hashlib
from collections import defaultdict

from sqlalchemy import select

from dicom_node import audit, books, worklist
from dicom_node.loopback import LoopbackPacs
from dicom_node.tables import Book, Study
from tests.harness.node import Node


def assert_one_draft_each(node: Node, pacs: LoopbackPacs, acknowledged: set[str]) -> None:
    """Hold the books and the PACS against what was answered with success. Raises AssertionError."""
    drafts: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for arrival in pacs.received:
        digest = hashlib.sha256(arrival.path.read_bytes()).hexdigest()
        drafts[arrival.study_instance_uid].add((arrival.sop_instance_uid, digest))
    lost = sorted(uid for uid in acknowledged if not drafts[uid])
    doubled = sorted(uid for uid, found in drafts.items() if len(found) > 1)
    assert not lost, f"{len(lost)} acknowledged studies have no draft in the PACS"
    assert not doubled, f"{len(doubled)} studies have more than one draft"
    with node.database.read() as tx:
        ends = {study.study_instance_uid: worklist.current_revision(tx, study) for study in tx.scalars(select(Study))}
        assert {uid for uid, revision in ends.items() if revision.book is Book.DELIVERED} == acknowledged
        assert {revision.number for revision in ends.values()} == {1}
        assert books.balance(tx).problems == ()
        assert audit.broken_seal(tx) is None
