"""A notice that there is no draft does not stay beside a draft that was written later."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom import Dataset

from agent import drafting
from dicom_node import worklist
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Book, Study
from reports.objects import tree
from tests.unit.agent.ward import Ward, now
from tests.unit.reports import films


def exclude(ward: Ward) -> None:
    claimed = ward.claim()
    notice = drafting.write_notice(ward.desk, claimed, [films.film()], "The film is a lateral.", films.provenance())

    def book(tx: Any) -> None:
        worklist.exclude(tx, claimed, reason="lateral", explanation="The film is a lateral.", now=now())
        drafting.queue_notice(tx, claimed, notice)

    ward.do(book)


def read_again(ward: Ward) -> None:
    study = ward.study().id
    ward.do(lambda tx: worklist.requeue(tx, tx.get_one(Study, study), now(), actor="test"))
    ward.draft()


def named(note: Dataset) -> list[str]:
    return [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in note.ContentSequence[-1:]]


def test_a_later_draft_takes_the_notice_back_where_it_is(ward: Ward) -> None:
    ward.peer("WANTS", notices=True)
    ward.peer("SILENT")
    ward.receive(films.film())
    exclude(ward)
    (notice,) = ward.deliver()

    read_again(ward)
    sent = ward.deliver()

    assert {(one.destination, one.kind, one.stage) for one in sent} == {
        ("SILENT", Kind.BASIC_TEXT, Stage.DRAFT),
        ("WANTS", Kind.BASIC_TEXT, Stage.DRAFT),
        ("WANTS", Kind.KOS, Stage.REJECTION),
    }
    (note,) = [ward.document(one) for one in sent if one.kind is Kind.KOS]
    assert tree.name_of(note)[0] == "113001"
    assert named(note) == [notice.sop_instance_uid]
    assert (ward.revision(1).book, ward.revision(1).reason) == (Book.CLOSED, "lateral")
    assert ward.revision(2).book is Book.DELIVERED
    assert ward.problems() == ()


def test_a_notice_is_taken_back_once(ward: Ward) -> None:
    ward.peer("WANTS", notices=True)
    ward.receive(films.film())
    exclude(ward)
    ward.deliver()
    read_again(ward)
    assert Kind.KOS in [one.kind for one in ward.deliver()]
    ward.receive(films.film(SOPInstanceUID="2.25.77"))
    ward.draft()

    assert [one.kind for one in ward.deliver()] == [Kind.BASIC_TEXT]


def test_a_notice_that_did_not_get_out_needs_no_note(ward: Ward) -> None:
    ward.peer("WANTS", notices=True)
    ward.receive(films.film())
    exclude(ward)

    read_again(ward)

    assert [one.kind for one in ward.deliver()] == [Kind.BASIC_TEXT]


@pytest.mark.parametrize("headers", [[Dataset(), films.film()], [films.film()]])
def test_a_notice_names_the_first_image_that_can_be_read(ward: Ward, headers: list[Dataset]) -> None:
    ward.peer("WANTS", notices=True)
    ward.receive(films.film())
    made_by = films.provenance(films=())

    (notice,) = drafting.write_notice(ward.desk, ward.claim(), headers, "It cannot be read.", made_by)

    document = drafting.load(ward.desk, notice.digest)
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == films.FILM
