"""Where a site wants it, a draft is hidden once the signed report is proven to be beside it; never before, nor else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from dicom_node import worklist
from dicom_node.database import Database
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Book, DeliveryState, Mode, Study, Way
from dicom_node.worklist import Consignment
from dicom_node.worklist.holds import hold_study
from dicom_node.worklist.moves import next_revision
from reports import hidings
from reports.objects import tree
from reports.tables import Report, ReportState
from reports.web import letters
from tests.unit.agent.desk_of_readers import RITA, add, service, sign
from tests.unit.agent.ward import Ward, now

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def ward(database: Database, tmp_path: Path) -> Iterator[Ward]:
    at_work = Ward(tmp_path, database, hide_draft_after_signing=True)
    yield at_work
    assert at_work.problems() == ()


def stages(sent: list[Consignment]) -> list[tuple[str, Kind, Stage]]:
    return [(one.destination, one.kind, one.stage) for one in sent]


def named(ward: Ward, note: Consignment) -> set[str]:
    """SOP Instance UIDs that a note names."""
    items = [item for item in ward.document(note).ContentSequence if "ReferencedSOPSequence" in item]
    return {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in items}


def test_the_draft_is_hidden_once_the_signed_report_is_proven_to_be_there(ward: Ward) -> None:
    ward.peer("PACS", Kind.BASIC_TEXT, Kind.TID1500, Kind.KOS)
    ward.study_with_draft()
    drafts = {one.sop_instance_uid for one in ward.deliver()}
    sign(ward)
    assert ward.recaller.step() == 0, "the signed report has not left yet"
    while (held := ward.must_take()).kind is not Kind.TID1500:
        ward.do(lambda tx, held=held: worklist.mark_sent(tx, held, now()))  # type: ignore[misc]
    ward.do(lambda tx: worklist.mark_sent(tx, held, now()))
    assert ward.recaller.step() == 0, "the signed report is not proven yet"
    ward.deliver()
    assert ward.revision().book is Book.DELIVERED

    assert ward.recaller.step() == 1

    (note,) = ward.deliver()
    assert (note.kind, note.stage) == (Kind.KOS, Stage.HIDING)
    assert tree.name_of(ward.document(note))[0] == "113001"
    assert named(ward, note) == drafts, "and nothing that was signed"
    assert (ward.report().state, ward.revision().book) == (ReportState.VERIFIED, Book.DELIVERED)
    assert service(ward).in_pacs(ward.study().id) == {"PACS": DeliveryState.COMMITTED}
    assert "draft-hidden" in ward.events()
    assert (ward.recaller.step(), ward.deliver()) == (0, []), "once"


@ON_SQLITE
def test_it_is_off_unless_that_is_wanted(database: Database, tmp_path: Path) -> None:
    ward = Ward(tmp_path, database)
    assert ward.desk.config.reports.hide_draft_after_signing is False
    ward.peer("PACS")
    ward.study_with_draft()
    ward.deliver()
    sign(ward)
    ward.deliver()
    assert (ward.recaller.step(), ward.deliver()) == (0, [])


@ON_SQLITE
def test_each_destination_is_told_when_its_own_is_proven_and_only_who_has_a_draft_and_takes_notes(ward: Ward) -> None:
    ward.peer("FAST")
    ward.peer("SLOW")
    ward.peer("HOLDS", mode=Mode.HOLD)
    ward.peer("NO NOTES", Kind.BASIC_TEXT)
    ward.service("RIS", Way.MLLP)
    ward.study_with_draft()
    ward.deliver()
    sign(ward)
    later: list[Consignment] = []
    while held := ward.take():
        if held.destination == "SLOW":
            later.append(held)
            continue
        step = worklist.mark_sent if held.state is DeliveryState.QUEUED else worklist.mark_committed
        ward.do(lambda tx, held=held, step=step: step(tx, held, now()))  # type: ignore[misc]

    assert ward.recaller.step() == 1
    assert stages(ward.deliver()) == [("FAST", Kind.KOS, Stage.HIDING)]
    assert ward.recaller.step() == 0
    for held in later:
        ward.do(lambda tx, held=held: worklist.mark_sent(tx, held, now()))  # type: ignore[misc]
    ward.deliver()
    assert ward.recaller.step() == 1
    assert stages(ward.deliver()) == [("SLOW", Kind.KOS, Stage.HIDING)]
    assert ward.revision().book is Book.DELIVERED
    assert ward.ask(lambda tx: hidings.pending(tx, now())) == [], "nothing is asked any more"


@ON_SQLITE
def test_a_signed_report_that_does_not_arrive_hides_nothing(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    ward.deliver()
    sign(ward)
    held = ward.must_take()
    ward.do(lambda tx: worklist.mark_failed(tx, held, error="refused", now=now()))

    assert (ward.recaller.step(), ward.revision().book) == (0, Book.DEAD_LETTERED)

    ward.do(lambda tx: worklist.requeue_for(tx, "PACS", now(), actor="person:a"))
    assert stages(ward.deliver()) == [("PACS", Kind.BASIC_TEXT, Stage.SIGNED)]
    assert ward.recaller.step() == 1


@ON_SQLITE
def test_an_addendum_goes_out_as_ever_after_the_draft_is_hidden(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    ward.deliver()
    sign(ward)
    ward.deliver()
    ward.recaller.step()
    ward.deliver()

    add(ward, RITA, "Seen with the clinician.", now() + timedelta(seconds=5))

    assert stages(ward.deliver()) == [("PACS", Kind.BASIC_TEXT, Stage.ADDENDUM)]
    assert (ward.recaller.step(), ward.revision().book) == (0, Book.DELIVERED)


@ON_SQLITE
def test_a_withdrawal_takes_all_of_it_back_and_stops_a_note_that_is_queued(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    (draft,) = ward.deliver()
    sign(ward)
    (signed,) = ward.deliver()
    assert ward.recaller.step() == 1

    service(ward).withdraw(ward.study().id, RITA, "The wrong film.", now())
    assert ward.recaller.step() == 1

    (note,) = ward.deliver()
    assert note.stage is Stage.REJECTION
    assert named(ward, note) == {draft.sop_instance_uid, signed.sop_instance_uid}
    assert (ward.report().state, ward.revision().book) == (ReportState.WITHDRAWN, Book.CLOSED)


@ON_SQLITE
def test_what_was_signed_long_before_the_option_came_is_left_alone(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    ward.deliver()
    sign(ward)
    ward.deliver()

    def age(tx: Session) -> None:
        tx.execute(update(Report).values(changed_at=now() - hidings.PATIENCE - timedelta(hours=1)))

    ward.do(age)
    assert ward.recaller.step() == 0


def signed_and_hidden(ward: Ward) -> None:
    """The note that hides the draft is queued."""
    ward.peer("PACS")
    ward.study_with_draft()
    ward.deliver()
    sign(ward)
    ward.deliver()
    assert ward.recaller.step() == 1


@ON_SQLITE
def test_a_note_outlives_a_hold_and_goes_out_after_the_release(ward: Ward) -> None:
    signed_and_hidden(ward)

    ward.do(lambda tx: hold_study(tx, tx.get_one(Study, 1), "patient-changed", now()))
    assert (ward.take(), ward.revision().book) == (None, Book.IN_FLIGHT), "it waits, and is no dead letter"
    ward.do(lambda tx: worklist.release_study(tx, tx.get_one(Study, 1), now(), actor="person:a"))

    assert stages(ward.deliver()) == [("PACS", Kind.KOS, Stage.HIDING)]
    assert (ward.revision().book, ward.revision().reason) == (Book.DELIVERED, "")


@ON_SQLITE
def test_a_note_that_is_a_dead_letter_can_be_requeued_though_newer_images_came(ward: Ward) -> None:
    signed_and_hidden(ward)
    held = ward.must_take()
    ward.do(lambda tx: worklist.mark_failed(tx, held, error="refused", now=now()))
    ward.do(lambda tx: next_revision(tx, tx.get_one(Study, 1), now(), actor="listen"))
    every = letters.Wish()

    assert [one.hindrance for one in ward.ask(lambda tx: letters.letters(tx, every))] == [""]
    assert ward.ask(lambda tx: letters.studies_of(tx, every)) == [1]
    assert ward.do(lambda tx: worklist.requeue_for(tx, "PACS", now(), actor="person:a")) == 1
    assert stages(ward.deliver()) == [("PACS", Kind.KOS, Stage.HIDING)]
    assert ward.revision().book is Book.DELIVERED


@ON_SQLITE
def test_a_draft_that_is_not_proven_is_not_hidden_yet_for_it_may_be_sent_again(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    draft = ward.must_take()
    ward.do(lambda tx: worklist.mark_sent(tx, draft, now()))
    unproven = ward.must_take()
    sign(ward)
    signed = ward.must_take()
    assert signed.stage is Stage.SIGNED
    ward.do(lambda tx: worklist.mark_sent(tx, signed, now()))
    asked = ward.must_take()
    ward.do(lambda tx: worklist.mark_committed(tx, asked, now()))
    again = timedelta(seconds=0)
    ward.do(lambda tx: worklist.mark_retry(tx, unproven, error="not yet", wait=again, now=now()))

    assert ward.recaller.step() == 0, "what is found missing would be sent after the note"

    ward.deliver()
    assert ward.recaller.step() == 1
    assert stages(ward.deliver()) == [("PACS", Kind.KOS, Stage.HIDING)]


@ON_SQLITE
def test_a_note_that_takes_the_report_back_later_has_another_number_in_the_series(ward: Ward) -> None:
    signed_and_hidden(ward)
    (hiding,) = ward.deliver()
    service(ward).withdraw(ward.study().id, RITA, "The wrong film.", now())
    ward.recaller.step()
    (rejection,) = ward.deliver()

    assert (hiding.stage, rejection.stage) == (Stage.HIDING, Stage.REJECTION)
    documents = [ward.document(note) for note in (hiding, rejection)]
    assert len({one.SeriesInstanceUID for one in documents}) == 1
    assert len({one.InstanceNumber for one in documents}) == 2
