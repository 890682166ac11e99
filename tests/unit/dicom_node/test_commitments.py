"""The books of storage commitment, on both databases: who waits for what, and what a report changes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from dicom_node import retention
from dicom_node.commitment_tables import Commitment
from dicom_node.errors import LeaseLost
from dicom_node.kinds import Kind
from dicom_node.tables import DeliveryState, Proof
from dicom_node.worklist import commitments
from dicom_node.worklist.commitments import Reference, Step
from tests.unit.dicom_node.desk import Desk, header

PATIENCE = timedelta(seconds=300)


@pytest.fixture
def sent(desk: Desk) -> Desk:
    """Two objects of one study that a peer took, whose promise is still to be asked for."""
    desk.peer(proof=Proof.COMMITMENT)
    desk.receive()
    desk.complete()
    desk.finish(desk.must_claim(), kinds=(Kind.BASIC_TEXT, Kind.KOS))
    for _ in range(2):
        desk.sent(desk.must_take())
    desk.wait(1)
    return desk


def ask(desk: Desk, uid: str = "2.25.1") -> tuple[Reference, ...]:
    """Take the next delivery, open a transaction and wait for its report."""
    held = desk.must_take()
    references = desk.do(
        lambda tx: commitments.open_transaction(tx, held, transaction_uid=uid, now=desk.now, patience=PATIENCE)
    )
    desk.do(lambda tx: commitments.wait_for_report(tx, held, until=desk.now + PATIENCE, now=desk.now))
    return references


def report(desk: Desk, *committed: str, failed: dict[str, int] | None = None, uid: str = "2.25.1") -> bool:
    return desk.do(lambda tx: commitments.book_report(tx, uid, committed=committed, failed=failed or {}, now=desk.now))


def next_step(desk: Desk) -> Step:
    held = desk.must_take()
    return desk.ask(lambda tx: commitments.standing_of(tx, held, desk.now, patience=PATIENCE)).step


def uids(desk: Desk) -> list[str]:
    return [delivery.sop_instance_uid for delivery in desk.deliveries()]


def test_all_that_wait_for_one_peer_are_asked_for_together(sent: Desk) -> None:
    assert [one.sop_instance_uid for one in ask(sent)] == uids(sent)
    assert sent.take() is None, "both wait for the report"


def test_what_was_called_off_is_not_asked_for(sent: Desk) -> None:
    sent.receive(header(instance="1.2.3.2"))  # a late image calls off the first revision
    assert len(ask(sent)) == 1, "the one that was claimed, and not the other"


def test_other_destinations_are_asked_in_transactions_of_their_own(desk: Desk) -> None:
    for title in ("PACS", "OTHER"):
        desk.peer(title, proof=Proof.COMMITMENT)
    desk.draft(destinations=("PACS", "OTHER"))
    for _ in range(2):
        desk.sent(desk.must_take())
    desk.wait(1)
    assert (len(ask(desk)), len(ask(desk, "2.25.2"))) == (1, 1)


def test_report_wakes_what_waits_for_it_and_nothing_else(sent: Desk) -> None:
    ask(sent)
    first, second = uids(sent)
    assert report(sent, first)
    assert next_step(sent) is Step.COMMITTED
    assert sent.take() is None
    sent.wait(301)
    assert sent.must_take().sop_instance_uid == first, "its claim ended"
    assert sent.must_take().sop_instance_uid == second


def test_report_that_is_quicker_than_its_sender_is_not_waited_for(sent: Desk) -> None:
    held = sent.must_take()
    sent.do(
        lambda tx: commitments.open_transaction(tx, held, transaction_uid="2.25.1", now=sent.now, patience=PATIENCE)
    )
    report(sent, *uids(sent))
    sent.do(lambda tx: commitments.wait_for_report(tx, held, until=sent.now + PATIENCE, now=sent.now))
    assert next_step(sent) is Step.COMMITTED
    assert next_step(sent) is Step.COMMITTED


def test_without_a_report_it_is_overdue(sent: Desk) -> None:
    ask(sent)
    sent.wait(301)
    assert next_step(sent) is Step.OVERDUE


@pytest.mark.parametrize("reason", [0x0110, 0x0112])
def test_failure_is_seen_with_its_reason_until_it_was_acted_on(sent: Desk, reason: int) -> None:
    ask(sent)
    first, second = uids(sent)
    report(sent, second, failed={first: reason})
    held = sent.must_take()
    standing = sent.ask(lambda tx: commitments.standing_of(tx, held, sent.now, patience=PATIENCE))
    assert (standing.step, standing.reason) == (Step.FAILED, reason)
    assert sent.do(lambda tx: commitments.spend(tx, held)) == 1
    standing = sent.ask(lambda tx: commitments.standing_of(tx, held, sent.now, patience=PATIENCE))
    assert standing.step is Step.ASK


def test_promise_about_an_earlier_sending_does_not_count(sent: Desk) -> None:
    ask(sent)
    sent.wait(301)
    held = sent.must_take()
    sent.missing(held)
    sent.wait(31)
    while (again := sent.must_take()).state is not DeliveryState.QUEUED:
        sent.retry(again)
    sent.sent(again)
    report(sent, *uids(sent))
    held = sent.must_take()
    while held.delivery_id != again.delivery_id:
        held = sent.must_take()
    assert sent.ask(lambda tx: commitments.standing_of(tx, held, sent.now, patience=PATIENCE)).step is Step.ASK


def test_question_about_an_earlier_sending_is_not_waited_for(desk: Desk) -> None:
    """The new question was answered before its sender began to wait; the old one never is."""
    desk.peer(proof=Proof.COMMITMENT)
    (uid,) = desk.draft()
    desk.sent(desk.must_take())
    desk.wait(1)
    ask(desk)
    desk.wait(301)
    desk.missing(desk.must_take())
    desk.wait(31)
    desk.sent(desk.must_take())
    desk.wait(1)
    held = desk.must_take()
    desk.do(
        lambda tx: commitments.open_transaction(tx, held, transaction_uid="2.25.2", now=desk.now, patience=PATIENCE)
    )
    report(desk, uid, uid="2.25.2")
    desk.do(lambda tx: commitments.wait_for_report(tx, held, until=desk.now + PATIENCE, now=desk.now))
    assert next_step(desk) is Step.COMMITTED


def test_failed_answers_are_counted_and_questions_are_no_failed_attempts(sent: Desk) -> None:
    first, second = uids(sent)
    ask(sent)
    report(sent, second, failed={first: 0x0110})
    for number in (1, 2, 3):
        held = sent.must_take()
        while held.sop_instance_uid != first:
            sent.proven(held)
            held = sent.must_take()
        standing = sent.ask(lambda tx, held=held: commitments.standing_of(tx, held, sent.now, patience=PATIENCE))  # type: ignore[misc]
        assert (held.attempt, standing.failures) == (number, number)
        sent.do(lambda tx, held=held: commitments.spend(tx, held))  # type: ignore[misc]
        sent.retry(held, 2)
        sent.wait(2)
        ask(sent, f"2.25.{number + 1}")
        report(sent, failed={first: 0x0110}, uid=f"2.25.{number + 1}")


def test_refused_question_is_asked_again_later_for_all(sent: Desk) -> None:
    ask(sent)
    sent.do(lambda tx: commitments.spend_transaction(tx, "2.25.1", retry_at=sent.now + timedelta(seconds=30)))
    assert sent.take() is None
    sent.wait(31)
    assert next_step(sent) is Step.ASK


def test_unknown_transaction_is_said_to_be_unknown(sent: Desk) -> None:
    ask(sent)
    assert not report(sent, *uids(sent), uid="2.25.2")
    assert sent.take() is None


def test_promise_is_kept_and_its_contradiction_audited(sent: Desk) -> None:
    ask(sent)
    first, second = uids(sent)
    report(sent, first, second)
    report(sent, failed={first: 0x0112})
    assert next_step(sent) is Step.COMMITTED
    assert "commitment-contradicted" in sent.events()


def test_transaction_is_only_for_who_holds_the_delivery(sent: Desk) -> None:
    held = sent.must_take()
    sent.wait(61)
    sent.must_take()
    with pytest.raises(LeaseLost):
        sent.do(
            lambda tx: commitments.open_transaction(tx, held, transaction_uid="2.25.1", now=sent.now, patience=PATIENCE)
        )


def test_what_was_asked_is_forgotten_once_no_proof_is_waited_for(sent: Desk, tmp_path: Path) -> None:
    first, second = uids(sent)
    ask(sent)
    report(sent, first)
    sent.proven(sent.must_take())
    keep = timedelta(days=30)
    retention.purge(sent.database, tmp_path, sent.now, keep=keep)
    asked = select(Commitment.sop_instance_uid).order_by(Commitment.id)
    assert sent.ask(lambda tx: tx.scalars(asked).all()) == [first, second], "a late report is still understood"
    retention.purge(sent.database, tmp_path, sent.now + keep + timedelta(seconds=1), keep=keep)
    assert sent.ask(lambda tx: tx.scalars(asked).all()) == [second]
