"""Drafts after late images: one replaces the other, or both stand."""

from __future__ import annotations

import pytest

from agent.routing import Router
from dicom_node import worklist
from dicom_node.rules.tables import Late
from dicom_node.tables import Book
from reports.tables import ReportState
from tests.unit.agent.ward import Ward, now
from tests.unit.reports import films

LATE = f"{films.FILM}.7"


def receive_late(ward: Ward, policy: Late) -> None:
    """As the listener does with its setting."""
    ward.receive(films.film(SOPInstanceUID=LATE), late=policy)


@pytest.fixture
def out(ward: Ward) -> Ward:
    """A study whose draft is delivered."""
    ward.peer("PACS")
    ward.study_with_draft()
    assert len(ward.deliver()) == 1
    assert ward.revision().book is Book.DELIVERED
    return ward


def test_replace_supersedes_the_older_draft_and_names_it(out: Ward) -> None:
    receive_late(out, Late.REPLACE)
    out.draft()
    (sent,) = out.deliver()

    assert out.report(1).state is ReportState.SUPERSEDED
    assert "PredecessorDocumentsSequence" in out.document(sent)


def test_add_leaves_the_older_draft_standing(out: Ward) -> None:
    receive_late(out, Late.ADD)
    claim = out.claim()
    read = out.ask(lambda tx: [image.sop_instance_uid for image in worklist.to_read(tx, claim.revision_id)])
    assert read == [LATE]
    out.draft(claim)
    (sent,) = out.deliver()

    assert [out.report(number).state for number in (1, 2)] == [ReportState.DRAFT, ReportState.DRAFT]
    assert "PredecessorDocumentsSequence" not in out.document(sent)
    assert [out.revision(number).book for number in (1, 2)] == [Book.DELIVERED, Book.DELIVERED]


def test_reading_all_again_replaces_both(out: Ward) -> None:
    receive_late(out, Late.ADD)
    out.draft()
    out.deliver()
    study = out.revision().study_id
    out.do(lambda tx: worklist.reprocess(tx, worklist.find_study(tx, str(study)), now(), actor="person:a"))
    Router(out.desk).step()
    out.draft()

    states = [out.report(number).state for number in (1, 2, 3)]
    assert states == [ReportState.SUPERSEDED, ReportState.SUPERSEDED, ReportState.DRAFT]
