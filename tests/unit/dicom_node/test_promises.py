"""The books of what we promise and of what never came, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from dicom_node import retention
from dicom_node.commitment_tables import CommitmentRequest
from dicom_node.files import make_store, stored_path
from dicom_node.reconcile import Day, Found, Series
from dicom_node.tables import Instance, RemoteAE
from dicom_node.terms import Terms
from dicom_node.worklist import gaps, promises
from dicom_node.worklist.commitments import Reference
from dicom_node.worklist.promises import Booked, Promise
from tests.unit.dicom_node.desk import DX, SR, STUDY, Desk, header

WAIT, GIVE_UP = timedelta(seconds=30), timedelta(hours=72)
DAY = date(2026, 11, 21)


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> None:
    make_store(tmp_path, "here")


def request(desk: Desk, *uids: str, uid: str = "2.25.1", sop_class: str = DX) -> Booked:
    return desk.do(
        lambda tx: promises.record_request(
            tx,
            uid,
            [Reference(sop_class, one) for one in uids],
            calling_ae_title="PACS",
            called_ae_title="WETREAD",
            now=desk.now,
            report_after=timedelta(seconds=3),
        )
    )


def due(desk: Desk, store: Path, waits: Callable[[Terms], timedelta] = lambda _: WAIT) -> Promise | None:
    return desk.do(lambda tx: promises.claim_report(tx, desk.now, store=store, wait=waits, give_up=GIVE_UP))


def keep(desk: Desk, store: Path, instance: str) -> None:
    """Receive an object, and have its bytes in the store."""
    desk.receive(header(instance=instance))
    wanted = select(Instance.digest).where(Instance.sop_instance_uid == instance)
    have_bytes(store, desk.ask(lambda tx: tx.scalars(wanted).one()))


def have_bytes(store: Path, digest: str) -> None:
    path = stored_path(store, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"film")


def test_report_is_due_after_a_moment_and_for_one_at_a_time(desk: Desk, tmp_path: Path) -> None:
    keep(desk, tmp_path, "1.2.3.1")
    assert request(desk, "1.2.3.1", "1.2.3.2") is Booked.NEW
    assert due(desk, tmp_path) is None
    desk.wait(3)
    promise = due(desk, tmp_path)
    assert promise is not None
    assert promise.committed == (Reference(DX, "1.2.3.1"),)
    assert promise.failed == ((Reference(DX, "1.2.3.2"), 0x0112),)
    assert (promise.own_ae_title, promise.peer_ae_title, promise.host) == ("WETREAD", "PACS", "")
    assert due(desk, tmp_path) is None
    desk.wait(31)
    again = due(desk, tmp_path)
    assert again is not None
    desk.do(lambda tx: promises.mark_reported(tx, again, desk.now))
    desk.wait(3600)
    assert due(desk, tmp_path) is None


def test_a_claim_is_by_the_time_outs_of_the_one_who_asked(desk: Desk, tmp_path: Path) -> None:
    desk.peer()
    slow = RemoteAE(ae_title="SLOW", host="10.0.0.6", port=104, dimse_timeout_seconds=3600)
    desk.do(lambda tx: tx.add(slow))
    request(desk, "1.2.3.1")
    desk.wait(3)
    assert due(desk, tmp_path, lambda terms: timedelta(seconds=30 + terms.dimse_timeout_seconds)) is not None
    desk.wait(31)
    assert due(desk, tmp_path) is not None, "another, slower peer keeps it from nobody"


def test_our_own_document_that_is_sent_back_is_promised_as_long_as_it_is_here(desk: Desk, tmp_path: Path) -> None:
    desk.peer()
    (uid,) = desk.draft()
    desk.sent(desk.must_take())
    desk.receive(header(instance=uid, sop_class=SR))
    for number, kept in enumerate((False, True)):
        if kept:
            have_bytes(tmp_path, desk.deliveries()[0].digest)
        request(desk, uid, uid=f"2.25.{number + 1}", sop_class=SR)
        desk.wait(3)
        promise = due(desk, tmp_path)
        assert promise is not None
        assert promise.failed == (() if kept else ((Reference(SR, uid), 0x0112),))


def test_same_request_again_is_due_again_and_another_under_its_uid_is_none(desk: Desk, tmp_path: Path) -> None:
    request(desk, "1.2.3.1")
    desk.wait(3)
    promise = due(desk, tmp_path)
    assert promise is not None
    desk.do(lambda tx: promises.mark_reported(tx, promise, desk.now))
    assert request(desk, "1.2.3.1") is Booked.AGAIN
    assert request(desk, "1.2.3.9") is Booked.OTHER
    desk.wait(3)
    assert due(desk, tmp_path) is not None


@pytest.mark.parametrize("taken", [True, False])
def test_who_asks_again_while_he_is_told_is_told_again_at_once(desk: Desk, tmp_path: Path, *, taken: bool) -> None:
    """A modality that hears of a film that we lack sends it and asks again; the first report may end after that."""
    request(desk, "1.2.3.1")
    desk.wait(3)
    first = due(desk, tmp_path)
    assert first is not None
    assert first.failed
    keep(desk, tmp_path, "1.2.3.1")
    assert request(desk, "1.2.3.1") is Booked.AGAIN
    later = desk.now + timedelta(hours=4)
    if taken:
        desk.do(lambda tx: promises.mark_reported(tx, first, desk.now))
    else:
        desk.do(lambda tx: promises.mark_not_reported(tx, first, error="away", retry_at=later))
    desk.wait(3)
    second = due(desk, tmp_path)
    assert second is not None
    assert (second.failed, second.committed) == ((), (Reference(DX, "1.2.3.1"),))
    assert desk.ask(lambda tx: promises.attempts_of(tx, second)) == 1
    desk.do(lambda tx: promises.mark_reported(tx, second, desk.now))
    desk.wait(3600)
    assert due(desk, tmp_path) is None


def test_report_is_given_up_in_the_end(desk: Desk, tmp_path: Path) -> None:
    request(desk, "1.2.3.1")
    request(desk, "1.2.3.1", uid="2.25.2")
    desk.wait(GIVE_UP.total_seconds() + 1)
    request(desk, "1.2.3.1", uid="2.25.3")
    desk.wait(3)
    promise = due(desk, tmp_path)
    assert promise is not None
    assert promise.transaction_uid == "2.25.3", "those that are over do not stand in its way"
    assert due(desk, tmp_path) is None
    assert desk.events().count("commitment-not-reported") == 2, "it is booked once that nobody is told"
    waiting = select(CommitmentRequest.transaction_uid).where(CommitmentRequest.reported_at.is_(None))
    assert desk.ask(lambda tx: tx.scalars(waiting).all()) == ["2.25.3"]


def test_request_is_forgotten_after_its_end_and_not_before(desk: Desk, tmp_path: Path) -> None:
    for uid in ("2.25.1", "2.25.2"):
        request(desk, "1.2.3.1", uid=uid)
    desk.wait(3)
    promise = due(desk, tmp_path)
    assert promise is not None
    desk.do(lambda tx: promises.mark_reported(tx, promise, desk.now))
    keep_days = timedelta(days=30)
    assert desk.do(lambda tx: promises.forget(tx, desk.now - keep_days)) == 0
    desk.wait(keep_days.total_seconds() + 1)
    retention.purge(desk.database, tmp_path, desk.now, keep=keep_days)
    assert desk.ask(lambda tx: tx.scalars(select(CommitmentRequest.transaction_uid)).all()) == ["2.25.2"]


def test_studies_of_a_request_are_those_that_came(desk: Desk) -> None:
    desk.receive()
    references = [Reference(DX, "1.2.3.1"), Reference(DX, "1.2.3.77")]
    assert desk.ask(lambda tx: promises.studies_of(tx, references)) == {desk.study(STUDY).id}


# --- what never came --------------------------------------------------------------------------------------------------


def found(study: str, films: int = 1) -> Found:
    """A study as a PACS tells of it; its series is that of `header`."""
    return Found(study, (Series(f"{study}.9", "DX", films),))


def missing(desk: Desk) -> list[str]:
    return desk.ask(lambda tx: [gap.study_instance_uid for gap in gaps.open_gaps(tx)])


def compare(desk: Desk, *studies: Found, day: date = DAY) -> int:
    return desk.do(lambda tx: gaps.record(tx, "PACS", day, Day(studies), now=desk.now, actor="t").missing)


def test_gap_is_open_until_all_films_came(desk: Desk) -> None:
    assert compare(desk, found("1.2.7", 2), found(STUDY)) == 2
    desk.receive(header(study="1.2.7", instance="1.2.7.1"))
    desk.receive()
    assert compare(desk, found("1.2.7", 2), found(STUDY)) == 1
    assert missing(desk) == ["1.2.7"]
    desk.receive(header(study="1.2.7", instance="1.2.7.2"))
    assert compare(desk, found("1.2.7", 2), found(STUDY)) == 0
    assert missing(desk) == []


def test_gap_is_closed_when_the_peer_has_the_study_no_more_and_opened_when_it_does_again(desk: Desk) -> None:
    compare(desk, found("1.2.7"))
    compare(desk, found("1.2.8"), day=date(2026, 11, 20))
    compare(desk)
    assert missing(desk) == ["1.2.8"], "that is of another day"
    compare(desk, found("1.2.7"))
    assert desk.ask(gaps.count_open) == 2


def test_trouble_opens_and_closes_nothing(desk: Desk) -> None:
    compare(desk, found("1.2.7"))
    desk.do(lambda tx: gaps.record_trouble(tx, "PACS", DAY, trouble="away", now=desk.now, actor="t"))
    assert missing(desk) == ["1.2.7"]
    newest = desk.ask(lambda tx: gaps.newest(tx, "PACS", DAY))
    assert newest is not None
    assert newest.trouble == "away"
