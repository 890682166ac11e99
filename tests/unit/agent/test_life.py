"""Every row of the state table: what an event does to a report, its deliveries and the books, and what goes out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from dicom_node import worklist
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Book, DeliveryState, Mode, Revision
from dicom_node.worklist.moves import where_it_is
from reports import drafts, life
from reports.life import RULES
from reports.objects import tree
from reports.signoff.tables import SignedDocument
from reports.tables import ENDED, REPORT_TRANSITIONS, Event, Report, ReportState
from tests.unit.agent.desk_of_readers import EDITED, RITA, TOM, ready, service, sign
from tests.unit.agent.ward import Ward, now
from tests.unit.reports import films

ENDING = [event for event in Event if RULES[event].to in ENDED]
MANUAL = Path(__file__).parents[3] / "deploy" / "docs" / "life.md"


def end(ward: Ward, event: Event, explanation: str = "") -> bool:
    return ward.do(
        lambda tx: life.end(
            tx, tx.get_one(Report, ward.report().id), event, now(), actor="test", explanation=explanation
        )
    )


def test_every_event_has_a_rule_and_every_rule_a_way() -> None:
    assert set(RULES) == set(Event)
    for event in ENDING:
        rule = RULES[event]
        assert rule.to in ENDED
        for state in rule.starts:
            direct = (state, rule.to) in REPORT_TRANSITIONS
            by_draft = {(state, ReportState.DRAFT), (ReportState.DRAFT, rule.to)} <= REPORT_TRANSITIONS
            assert direct or by_draft, event


@pytest.mark.parametrize("event", ENDING)
def test_a_delivered_draft_is_taken_back_and_its_book_closed(ward: Ward, event: Event) -> None:
    ward.peer()
    ward.study_with_draft()
    assert [one.stage for one in ward.deliver()] == [Stage.DRAFT]
    assert ward.revision().book is Book.DELIVERED

    assert end(ward, event)
    assert ward.recaller.step() == 1
    assert ward.revision().book is Book.IN_FLIGHT
    (note,) = ward.deliver()

    rule = RULES[event]
    assert (note.kind, note.stage) == (Kind.KOS, rule.goes_out)
    title, _ = tree.name_of(ward.document(note))
    assert title == {Stage.REJECTION: "113001", Stage.WITHDRAWAL: "113037"}[rule.goes_out]
    assert ward.report().state is rule.to
    assert (ward.revision().book, ward.revision().reason) == (Book.CLOSED, event.value)
    assert f"report-{rule.to.value.lower()}" in ward.events()
    assert ward.recaller.step() == 0, "it is taken back once"


@pytest.mark.parametrize("event", ENDING)
def test_a_draft_that_did_not_get_out_is_called_off(ward: Ward, event: Event) -> None:
    ward.peer()
    ward.study_with_draft()

    assert end(ward, event)

    assert [one.state for one in ward.deliveries()] == [DeliveryState.CANCELED]
    assert (ward.revision().book, ward.revision().reason) == (Book.CLOSED, event.value)
    assert ward.recaller.step() == 0
    assert ward.take() is None
    assert ward.report().taken_back_at is not None


@pytest.mark.parametrize("event", ENDING)
def test_nothing_happens_twice(ward: Ward, event: Event) -> None:
    ward.study_with_draft()
    assert end(ward, event)
    before = ward.events()
    assert not any(end(ward, other) for other in ENDING)
    assert ward.events() == before
    assert (ward.revision().book, ward.revision().reason) == (Book.CLOSED, event.value)


@pytest.mark.parametrize("event", ENDING)
@pytest.mark.parametrize("state", [ReportState.AWAITING_SECOND, ReportState.VERIFIED])
def test_what_a_person_has_signed_ends_only_where_the_table_says_so(
    ward: Ward, event: Event, state: ReportState
) -> None:
    ward.study_with_draft()
    ward.do(lambda tx: drafts.move(tx.get_one(Report, ward.report().id), state, Event.DRAFTED, now()))

    assert end(ward, event) is (state in RULES[event].starts)
    assert ward.report().state is (RULES[event].to if state in RULES[event].starts else state)


def test_the_words_of_a_person_go_out(ward: Ward) -> None:
    ward.peer()
    ward.study_with_draft()
    ward.deliver()
    end(ward, Event.WITHDRAWN, "The wrong film was read.")
    ward.recaller.step()
    (note,) = ward.deliver()
    assert "The wrong film was read." in tree.section_text(ward.document(note))


def test_only_who_has_it_is_told(ward: Ward) -> None:
    ward.peer("HAS")
    ward.peer("HOLDS", mode=Mode.HOLD)
    ward.peer("SHADOW", mode=Mode.SHADOW)
    ward.study_with_draft()
    ward.deliver()
    ward.peer("CAME-LATER")
    end(ward, Event.EXPIRED)
    assert ward.recaller.step() == 1
    assert [one.destination for one in ward.deliver()] == ["HAS"]


def test_who_takes_no_note_is_named_in_the_audit_trail(ward: Ward) -> None:
    ward.peer("PACS", Kind.BASIC_TEXT)
    ward.study_with_draft()
    ward.deliver()
    end(ward, Event.EXPIRED)
    assert ward.recaller.step() == 0
    assert "report-left-behind" in ward.events()
    assert (ward.revision().book, ward.revision().reason) == (Book.CLOSED, "expired")


def test_a_draft_that_is_being_sent_is_taken_back_only_when_it_is_there(ward: Ward) -> None:
    ward.peer()
    ward.study_with_draft()
    held = ward.must_take()
    end(ward, Event.FINAL_ELSEWHERE)
    assert ward.recaller.step() == 0
    assert ward.report().taken_back_at is None

    ward.do(lambda tx: worklist.mark_sent(tx, held, now()))
    assert ward.recaller.step() == 1
    assert [one.stage for one in ward.deliver()] == [Stage.REJECTION]
    assert (ward.revision().book, ward.revision().reason) == (Book.CLOSED, "final-elsewhere")


def test_a_draft_whose_sending_failed_is_not_taken_back(ward: Ward) -> None:
    ward.peer()
    ward.study_with_draft()
    held = ward.must_take()
    end(ward, Event.FINAL_ELSEWHERE)
    ward.do(lambda tx: worklist.mark_retry(tx, held, error="nobody there", wait=timedelta(), now=now()))
    assert ward.recaller.step() == 0
    assert ward.deliver() == []
    assert ward.report().taken_back_at is not None


def test_a_draft_that_may_have_arrived_is_taken_back(ward: Ward) -> None:
    ward.peer()
    ward.study_with_draft()
    held = ward.must_take()
    ward.do(lambda tx: worklist.mark_retry(tx, held, error="no answer", wait=timedelta(), now=now(), in_doubt=True))
    end(ward, Event.FINAL_ELSEWHERE)
    assert ward.recaller.step() == 1
    assert Stage.REJECTION in [one.stage for one in ward.deliver()]


def test_a_dead_letter_of_an_ended_report_cannot_be_requeued(ward: Ward) -> None:
    ward.peer()
    ward.study_with_draft()
    held = ward.must_take()
    ward.do(lambda tx: worklist.mark_failed(tx, held, error="refused", now=now()))
    assert ward.revision().book is Book.DEAD_LETTERED

    end(ward, Event.WITHDRAWN)

    assert (ward.revision().book, ward.revision().reason) == (Book.CLOSED, "withdrawn")
    assert [one.state for one in ward.deliveries()] == [DeliveryState.CANCELED]
    assert ward.recaller.step() == 0


def test_a_note_that_cannot_be_delivered_is_a_dead_letter(ward: Ward) -> None:
    """The draft is still there beside a final report: a person must be told."""
    ward.peer()
    ward.study_with_draft()
    ward.deliver()
    end(ward, Event.FINAL_ELSEWHERE)
    ward.recaller.step()
    held = ward.must_take()
    ward.do(lambda tx: worklist.mark_failed(tx, held, error="refused", now=now()))
    assert ward.revision().book is Book.DEAD_LETTERED


def test_two_dispatchers_queue_one_note(ward: Ward) -> None:
    ward.peer()
    ward.study_with_draft()
    ward.deliver()
    end(ward, Event.EXPIRED)
    from agent.retraction import take_back
    from dicom_node.destinations import destinations
    from reports import recalls

    everyone = ward.ask(destinations)
    (recall,) = ward.ask(recalls.pending)
    assert take_back(ward.desk, recall, everyone) == 1
    assert take_back(ward.desk, recall, everyone) == 0
    assert len(ward.deliveries()) == 2


# --- expiry -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "state"), [(23.9, ReportState.DRAFT), (24.1, ReportState.EXPIRED)])
def test_a_draft_expires_when_nobody_signs_it(ward: Ward, hours: float, state: ReportState) -> None:
    ward.study_with_draft()
    later = ward.report().drafted_at + timedelta(hours=hours)
    ward.do(lambda tx: life.expire(tx, later, after=timedelta(hours=24)))
    assert ward.report().state is state


def test_a_draft_does_not_expire_under_the_hands_of_who_edits_it(ward: Ward) -> None:
    """Nor before it has lain untouched for as long as any other."""
    ward.study_with_draft()
    opened = ready(ward)
    later, day = ward.report().drafted_at + timedelta(hours=25), timedelta(hours=24)
    service(ward).touch(opened.report_id, RITA, later - timedelta(seconds=90))
    ward.do(lambda tx: life.expire(tx, later, after=day))
    assert ward.report().state is ReportState.DRAFT, "it is open"

    service(ward).save(opened.report_id, RITA, EDITED, {}, opened.version, later)
    service(ward).leave(opened.report_id, RITA)
    ward.do(lambda tx: life.expire(tx, later + timedelta(hours=23), after=day))
    assert ward.report().state is ReportState.DRAFT, "it was edited less than a day ago"

    ward.do(lambda tx: life.expire(tx, later + timedelta(hours=25), after=day))
    assert ward.report().state is ReportState.EXPIRED


def test_the_first_signature_lapses_with_its_report(ward: Ward) -> None:
    ward.study_with_draft()
    sign(ward, TOM)
    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.2"))
    ward.draft()
    assert ward.report(1).state is ReportState.SUPERSEDED
    (first,) = ward.ask(lambda tx: tx.scalars(select(SignedDocument)).all())
    assert first.ended_at is not None


def test_what_a_person_has_signed_once_does_not_expire(ward: Ward) -> None:
    ward.study_with_draft()
    ward.do(lambda tx: drafts.move(tx.get_one(Report, 1), ReportState.AWAITING_SECOND, Event.DRAFTED, now()))
    ward.do(lambda tx: life.expire(tx, now() + timedelta(days=9), after=timedelta(hours=24)))
    assert ward.report().state is ReportState.AWAITING_SECOND


# --- a newer revision -------------------------------------------------------------------------------------------------


def test_a_late_image_gives_a_draft_with_a_predecessor_and_a_note_on_the_older_one(ward: Ward) -> None:
    ward.peer()
    first = ward.study_with_draft()
    ward.deliver()
    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.2"))
    second = ward.draft()
    ward.recaller.step()

    draft, note = ward.deliver()

    document = ward.document(draft)
    (before,) = document.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert (draft.stage, before.ReferencedSOPInstanceUID) == (Stage.DRAFT, first.sop_instance_uid)
    assert (document.SOPInstanceUID, note.stage) == (second.sop_instance_uid, Stage.REJECTION)
    assert first.sop_instance_uid in str(ward.document(note))
    assert (ward.report(1).state, ward.report(2).state) == (ReportState.SUPERSEDED, ReportState.DRAFT)
    assert (ward.revision(1).book, ward.revision(2).book) == (Book.CLOSED, Book.DELIVERED)


def test_who_never_had_the_older_draft_gets_no_predecessor(ward: Ward) -> None:
    ward.peer("OLD")
    ward.study_with_draft()
    ward.deliver()
    ward.peer("NEW")
    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.2"))
    ward.draft()
    ward.recaller.step()

    sent = {(one.destination, one.stage): one for one in ward.deliver()}

    assert set(sent) == {("OLD", Stage.DRAFT), ("NEW", Stage.DRAFT), ("OLD", Stage.REJECTION)}
    assert "PredecessorDocumentsSequence" in ward.document(sent["OLD", Stage.DRAFT])
    assert "PredecessorDocumentsSequence" not in ward.document(sent["NEW", Stage.DRAFT])


def test_the_manual_shows_the_table_as_it_is() -> None:
    rows = [line for line in MANUAL.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    shown = {tuple(cell.strip(" `") for cell in row.strip("|").split("|"))[:4] for row in rows}
    names = {Stage.REJECTION: "note 113001", Stage.WITHDRAWAL: "note 113037"}
    assert shown >= {
        (
            event.value,
            ", ".join(state.value for state in ReportState if state in RULES[event].starts),
            RULES[event].to.value,
            names[RULES[event].goes_out],
        )
        for event in ENDING
    }


def test_a_place_that_has_several_documents_of_a_held_study_is_named_once(ward: Ward) -> None:
    ward.peer("BOX", Kind.BASIC_TEXT, Kind.TID1500)
    ward.peer("PACS", Kind.BASIC_TEXT, Kind.TID1500)
    ward.study_with_draft()
    assert len(ward.deliver()) == 4
    said = ward.ask(lambda tx: where_it_is(tx, tx.get_one(Revision, 1)))
    assert said.endswith("is in BOX, PACS; have it removed there")
