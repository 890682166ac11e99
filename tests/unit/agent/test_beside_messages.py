"""Two drafts and one signature: of a study an ORU or FHIR receiver keeps one report, the last that it was sent."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from dicom_node import worklist
from dicom_node.kinds import FINAL, Kind, Stage
from dicom_node.rules.tables import Late
from dicom_node.tables import DeliveryState, Endpoint, Proof, Way
from dicom_node.worklist import Consignment
from reports.signoff.reasons import Reason
from reports.tables import Report
from tests.unit.agent.desk_of_readers import CARL, EDITED, RITA, ready, service
from tests.unit.agent.ward import Ward, now
from tests.unit.reports import films

KINDS = {Way.MLLP: Kind.ORU, Way.FHIR: Kind.FHIR}
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # no question of locks
ON_BOTH_WAYS = pytest.mark.parametrize("way", KINDS)
SOON = timedelta(seconds=1)


def first_draft(ward: Ward, way: Way) -> Report:
    ward.service("RIS", way)
    first = ward.study_with_draft()
    assert [one.kind for one in ward.deliver()] == [KINDS[way]]
    return first


def second_draft(ward: Ward) -> Report:
    """Of an image that came late, and of that alone."""
    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.7"), late=Late.ADD)
    return ward.draft()


def sign(ward: Ward, report: Report) -> None:
    opened = ready(ward, CARL, report.id)
    service(ward).sign(report.id, CARL, EDITED, opened.version, now() + SOON)


def close(ward: Ward, report: Report) -> None:
    ready(ward, RITA, report.id)
    service(ward).close(report.id, RITA, now())
    ward.recaller.step()


def retry(ward: Ward, held: Consignment, *, in_doubt: bool = False) -> None:
    ward.do(lambda tx: worklist.mark_retry(tx, held, error="no answer", wait=timedelta(), now=now(), in_doubt=in_doubt))


def asked_for(ward: Ward) -> Consignment:
    """The draft, sent to a receiver that is now asked whether it has it."""
    ward.do(lambda tx: setattr(tx.scalars(select(Endpoint)).one(), "proof", Proof.QUERY))
    held = ward.must_take()
    ward.do(lambda tx: worklist.mark_sent(tx, held, now()))
    asked = ward.must_take()
    assert (asked.stage, asked.state) == (Stage.DRAFT, DeliveryState.SENT)
    return asked


def stages(sent: list[Consignment]) -> list[Stage]:
    return [one.stage for one in sent]


@ON_BOTH_WAYS
def test_draft_in_doubt_is_not_sent_again_after_the_signature_of_the_older_one(ward: Ward, way: Way) -> None:
    first = first_draft(ward, way)
    second = second_draft(ward)
    retry(ward, ward.must_take(), in_doubt=True)
    sign(ward, first)

    assert stages(ward.deliver()) == [Stage.SIGNED]
    dropped = ward.deliveries()[1]
    assert (dropped.stage, dropped.state, dropped.reason) == (Stage.DRAFT, DeliveryState.CANCELED, "signed-instead")
    close(ward, second)
    assert ward.deliver() == [], "the signed report has replaced it, whether it came or not"


@ON_BOTH_WAYS
@pytest.mark.parametrize("arrives", [False, True], ids=["refused", "taken"])
def test_signed_report_comes_after_the_draft_that_is_being_transmitted(ward: Ward, way: Way, *, arrives: bool) -> None:
    first = first_draft(ward, way)
    second_draft(ward)
    held = ward.must_take()
    assert held.stage is Stage.DRAFT
    sign(ward, first)

    assert ward.take() is None, "the draft would come after it"
    if arrives:
        ward.do(lambda tx: worklist.mark_sent(tx, held, now()))
    else:
        retry(ward, held)

    assert stages(ward.deliver()) == [Stage.SIGNED]


@ON_SQLITE
@ON_BOTH_WAYS
def test_signed_report_comes_after_a_draft_that_was_rejected_during_its_transmission(ward: Ward, way: Way) -> None:
    first = first_draft(ward, way)
    second = second_draft(ward)
    held = ward.must_take()
    service(ward).reject(second.id, RITA, Reason.QUALITY, "", now())
    sign(ward, first)

    assert ward.take() is None
    ward.do(lambda tx: worklist.mark_sent(tx, held, now()))

    assert Stage.SIGNED in stages(ward.deliver())


@ON_SQLITE
def test_sender_that_died_with_the_draft_keeps_the_signed_report_waiting_no_longer_than_its_lease(ward: Ward) -> None:
    first = first_draft(ward, Way.MLLP)
    second_draft(ward)
    over = -timedelta(minutes=5)
    assert ward.do(lambda tx: worklist.claim_delivery(tx, sender="x", token="x" * 32, lease=over, now=now()))
    sign(ward, first)

    assert stages(ward.deliver()) == [Stage.SIGNED]


@ON_SQLITE
@ON_BOTH_WAYS
@pytest.mark.parametrize("beside", [False, True], ids=["its own draft", "the other draft"])
def test_draft_that_is_not_found_is_not_sent_again_after_the_signature(ward: Ward, way: Way, *, beside: bool) -> None:
    if beside:
        first = first_draft(ward, way)
        second_draft(ward)
    else:
        ward.service("RIS", way)
        first = ward.study_with_draft()
    asked = asked_for(ward)
    sign(ward, first)
    assert stages(ward.deliver()) == [Stage.SIGNED]

    ward.do(lambda tx: worklist.mark_missing(tx, asked, now() - timedelta(minutes=1)))  # due again, that is

    assert ward.deliver() == []
    assert [one.reason for one in ward.deliveries() if one.state is DeliveryState.CANCELED] == ["signed-instead"]


@ON_SQLITE
@ON_BOTH_WAYS
@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
def test_signed_report_that_is_withdrawn_is_taken_back_beside_a_later_draft(
    ward: Ward, way: Way, *, closed: bool
) -> None:
    """That draft came before the signature: the receiver has the signed report in its place."""
    first = first_draft(ward, way)
    second = second_draft(ward)
    assert stages(ward.deliver()) == [Stage.DRAFT]
    sign(ward, first)
    assert stages(ward.deliver()) == [Stage.SIGNED]
    if closed:
        close(ward, second)
        assert ward.deliver() == []

    service(ward).withdraw(ward.study().id, CARL, "Wrong side.", now() + 2 * SOON)
    ward.recaller.step()

    assert stages(ward.deliver()) == [Stage.REJECTION]


@ON_SQLITE
@ON_BOTH_WAYS
def test_note_on_a_draft_that_waits_when_the_other_is_signed_does_not_take_the_report_back(
    ward: Ward, way: Way
) -> None:
    first = first_draft(ward, way)
    second = second_draft(ward)
    ward.deliver()
    service(ward).reject(second.id, RITA, Reason.QUALITY, "", now())
    assert ward.recaller.step() == 1
    sign(ward, first)

    assert stages(ward.deliver())[-1] in FINAL
