"""What says that no more images are expected: the clock, a peer's word once all that it names is here, a person."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from dicom_node import worklist
from dicom_node.rules.tables import Late, PerformedStep, Routing, Signal, Trigger
from dicom_node.tables import AuditRow, Book, Study, StudyState
from dicom_node.worklist import Event
from tests.unit.dicom_node.desk import STUDY, Desk, header

HOUR = timedelta(hours=1)
ALL = frozenset(Trigger)


def tell(desk: Desk, *uids: str, trigger: Trigger = Trigger.MPPS, study: str = STUDY) -> None:
    event = Event(trigger, study, frozenset(uids), "CR1")
    desk.do(lambda tx: worklist.completed_by(tx, event, desk.now))


def sweep(
    desk: Desk,
    *,
    triggers: frozenset[Trigger] = ALL,
    quiet: timedelta = HOUR,
    deadline: timedelta = HOUR,
    settle: timedelta = timedelta(),
) -> int:
    return desk.do(
        lambda tx: worklist.complete_studies(
            tx, desk.now, quiet=quiet, deadline=deadline, triggers=triggers, settle=settle
        )
    ).done


def completed_by(desk: Desk, revision: int = 1) -> str:
    row = desk.revision(revision).id
    return desk.ask(lambda tx: tx.get_one(Routing, row)).completed_by


def test_quiet_time_and_deadline_are_told_apart(desk: Desk) -> None:
    desk.receive()
    desk.receive(header(study="1.2.7", instance="1.2.7.1"))
    desk.wait(30)
    desk.receive(header(study="1.2.7", instance="1.2.7.2"))
    desk.wait(31)
    assert sweep(desk, quiet=timedelta(seconds=60), deadline=timedelta(seconds=61)) == 2

    ids = (desk.revision(study=uid).id for uid in (STUDY, "1.2.7"))
    by = [desk.ask(lambda tx, row=row: tx.get_one(Routing, row)).completed_by for row in ids]  # type: ignore[misc]
    assert by == [Trigger.QUIET, Trigger.DEADLINE]
    said = desk.ask(lambda tx: tx.scalars(select(AuditRow.detail).where(AuditRow.event == "study-complete")).all())
    assert sorted(json.loads(detail)["by"] for detail in said) == ["deadline", "quiet"]


def test_a_peers_word_counts_once_all_that_it_names_is_here(desk: Desk) -> None:
    desk.receive(header(instance="1.2.3.1"))
    tell(desk, "1.2.3.1", "1.2.3.2")
    assert sweep(desk) == 0

    desk.receive(header(instance="1.2.3.2"))
    assert sweep(desk) == 1
    assert completed_by(desk) == Trigger.MPPS


def test_a_peers_word_may_come_before_the_first_image(desk: Desk) -> None:
    tell(desk, "1.2.3.1", trigger=Trigger.IAN)
    assert sweep(desk) == 0
    desk.receive(header(instance="1.2.3.1"))

    assert sweep(desk) == 1
    assert completed_by(desk) == Trigger.IAN


def test_only_the_triggers_that_the_site_wants_count(desk: Desk) -> None:
    desk.receive(header(instance="1.2.3.1"))
    tell(desk, "1.2.3.1", trigger=Trigger.COMMITMENT)

    assert sweep(desk, triggers=frozenset({Trigger.MPPS, Trigger.IAN})) == 0
    assert sweep(desk, triggers=frozenset()) == 0
    assert sweep(desk, triggers=frozenset({Trigger.COMMITMENT})) == 1


def test_words_without_instances_count_for_nothing(desk: Desk) -> None:
    desk.receive()
    tell(desk)
    tell(desk, "1.2.3.1", study="")

    assert sweep(desk) == 0
    assert desk.ask(lambda tx: tx.scalars(select(Signal)).all()) == []


def test_a_peers_word_holds_for_one_revision(desk: Desk) -> None:
    desk.receive(header(instance="1.2.3.1"))
    tell(desk, "1.2.3.1")
    sweep(desk)
    desk.receive(header(instance="1.2.3.9"))

    assert sweep(desk) == 0, "a late image must wait for its own quiet time"
    assert desk.complete() == 1
    assert completed_by(desk, 2) == Trigger.QUIET


@pytest.mark.parametrize("moment", ["after completion", "after the late image"])
def test_a_word_about_the_images_of_a_revision_says_nothing_of_late_ones(desk: Desk, moment: str) -> None:
    desk.receive(header(instance="1.2.3.1"))
    desk.complete()
    if moment == "after completion":
        tell(desk, "1.2.3.1", trigger=Trigger.IAN)
    desk.receive(header(instance="1.2.3.8"))
    if moment == "after the late image":
        tell(desk, "1.2.3.1", trigger=Trigger.IAN)
    assert sweep(desk) == 0, "another late image may follow"

    desk.receive(header(instance="1.2.3.9"))
    tell(desk, "1.2.3.1", "1.2.3.8", "1.2.3.9", trigger=Trigger.MPPS)
    assert sweep(desk) == 1
    assert (desk.study().revision, completed_by(desk, 2)) == (2, Trigger.MPPS)


@pytest.mark.parametrize(("trigger", "at_once"), [(Trigger.IAN, 0), (Trigger.MPPS, 0), (Trigger.COMMITMENT, 1)])
def test_a_word_that_may_be_about_a_part_waits_until_no_more_comes(desk: Desk, trigger: Trigger, at_once: int) -> None:
    settle = timedelta(seconds=15)
    desk.receive(header(instance="1.2.3.1"))
    tell(desk, "1.2.3.1", trigger=trigger)
    assert sweep(desk, settle=settle) == at_once
    if at_once:
        return
    desk.wait(14)
    desk.receive(header(instance="1.2.3.2"))
    desk.wait(14)
    assert sweep(desk, settle=settle) == 0, "the second film came 14 seconds ago"

    desk.wait(1)
    assert sweep(desk, settle=settle) == 1
    assert (desk.study().revision, completed_by(desk)) == (1, trigger)


def test_a_word_after_completion_counts_where_it_names_what_is_still_to_come(desk: Desk) -> None:
    desk.receive(header(instance="1.2.3.1"))
    desk.complete()
    tell(desk, "1.2.3.1", "1.2.3.8")
    desk.receive(header(instance="1.2.3.8"))

    assert sweep(desk) == 1
    assert completed_by(desk, 2) == Trigger.MPPS


def test_a_request_for_commitment_means_all_that_came(desk: Desk) -> None:
    desk.receive(header(instance="1.2.3.1"))
    desk.receive(header(instance="1.2.3.2"))
    study = desk.study().id
    desk.do(lambda tx: worklist.committed_by(tx, frozenset({study}), "CR1", desk.now))

    assert sweep(desk) == 1
    assert completed_by(desk) == Trigger.COMMITMENT


def test_old_words_of_studies_that_never_came_are_forgotten(desk: Desk) -> None:
    tell(desk, "1.2.3.1")
    desk.wait(8 * 86400)
    desk.do(lambda tx: worklist.forget_signals(tx, desk.now))
    desk.receive(header(instance="1.2.3.1"))

    assert sweep(desk) == 0


def test_what_is_used_up_or_old_is_deleted(desk: Desk) -> None:
    def step(uid: str) -> PerformedStep:
        return PerformedStep(
            sop_instance_uid=uid,
            study_instance_uid=STUDY,
            status="IN PROGRESS",
            peer="CR1",
            begun_at=desk.now,
            changed_at=desk.now,
        )

    desk.do(lambda tx: tx.add(step("2.25.1")))
    tell(desk, "1.2.7.1", study="1.2.7")
    desk.wait(8 * 86400)
    desk.do(lambda tx: tx.add(step("2.25.2")))
    desk.receive(header(instance="1.2.3.1"))
    tell(desk, "1.2.3.1")
    sweep(desk)
    tell(desk, "1.2.8.1", study="1.2.8")
    desk.do(lambda tx: worklist.forget_signals(tx, desk.now))

    assert desk.ask(lambda tx: tx.scalars(select(Signal.study_instance_uid)).all()) == ["1.2.8"]
    assert desk.ask(lambda tx: tx.scalars(select(PerformedStep.sop_instance_uid)).all()) == ["2.25.2"]


def test_a_study_without_images_is_excluded_whoever_calls_it_whole(desk: Desk) -> None:
    desk.receive(header(instance="1.2.3.1", sop_class="1.2.840.10008.5.1.4.1.1.88.11"))
    tell(desk, "1.2.3.1")

    assert sweep(desk) == 1
    assert (desk.revision().book, desk.revision().reason) == (Book.EXCLUDED, "no-image")


# --- late images ------------------------------------------------------------------------------------------------------


def receive_late(desk: Desk, policy: Late, instance: str = "1.2.3.9") -> None:
    head = header(instance=instance)
    arrival = worklist.Arrival(head, "1.2.840.10008.1.2.1", instance.ljust(64, "0"), 1000, "PACS")
    desk.do(lambda tx: worklist.record_instance(tx, arrival, desk.now, late=policy))


def delivered(desk: Desk) -> None:
    desk.peer()
    desk.draft(header(instance="1.2.3.1"))
    held = desk.must_take()
    desk.sent(held)
    desk.proven(desk.must_take())
    assert desk.revision().book is Book.DELIVERED


def to_read(desk: Desk, revision: int) -> list[str]:
    row = desk.revision(revision).id
    return desk.ask(lambda tx: [image.sop_instance_uid for image in worklist.to_read(tx, row)])


def test_never_keeps_a_late_image_unread(desk: Desk) -> None:
    delivered(desk)
    receive_late(desk, Late.NEVER)
    study = desk.study()

    assert (study.state, study.revision) == (StudyState.COMPLETE, 1)
    assert "late-image" in desk.events()
    assert to_read(desk, 1) == ["1.2.3.1", "1.2.3.9"], "a person who has it read again gets all"


def test_replace_reads_all_images_again(desk: Desk) -> None:
    delivered(desk)
    receive_late(desk, Late.REPLACE)

    assert desk.study().revision == 2
    assert to_read(desk, 2) == ["1.2.3.1", "1.2.3.9"]
    assert not desk.ask(lambda tx: worklist.stands_beside(tx, desk.revision(2).id))


def test_add_reads_the_late_images_only_once_the_older_draft_is_out(desk: Desk) -> None:
    delivered(desk)
    receive_late(desk, Late.ADD)
    receive_late(desk, Late.ADD, "1.2.3.10")
    desk.complete()
    assert to_read(desk, 2) == ["1.2.3.9", "1.2.3.10"]

    receive_late(desk, Late.ADD, "1.2.3.11")  # before the second draft is out: it tells of all that is new
    desk.complete()
    assert to_read(desk, 3) == ["1.2.3.9", "1.2.3.10", "1.2.3.11"]
    assert desk.ask(lambda tx: worklist.stands_beside(tx, desk.revision(3).id))
    assert desk.revision(1).book is Book.DELIVERED


def test_add_is_as_replace_while_the_older_draft_is_not_out(desk: Desk) -> None:
    desk.receive(header(instance="1.2.3.1"))
    desk.complete()
    receive_late(desk, Late.ADD)

    assert desk.study().revision == 2
    assert to_read(desk, 2) == ["1.2.3.1", "1.2.3.9"]


@pytest.mark.parametrize(("of_rule", "revision"), [("never", 1), ("replace", 2), ("", 2)])
def test_the_rule_of_a_study_is_stronger_than_the_setting(desk: Desk, of_rule: str, revision: int) -> None:
    delivered(desk)
    row = desk.revision().id
    desk.do(lambda tx: setattr(tx.get_one(Routing, row), "late", of_rule))
    receive_late(desk, Late.NEVER if of_rule == "replace" else Late.REPLACE)

    assert desk.ask(lambda tx: tx.scalars(select(Study.revision)).one()) == revision


def test_a_study_from_before_there_were_rules_follows_the_setting(desk: Desk) -> None:
    delivered(desk)
    row = desk.revision().id
    desk.do(lambda tx: tx.delete(tx.get_one(Routing, row)))
    receive_late(desk, Late.NEVER)

    assert desk.study().revision == 1
    assert desk.ask(lambda tx: tx.get(Routing, row)) is None
