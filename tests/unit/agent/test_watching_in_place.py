"""Our draft is a resource at a FHIR server, and a radiologist signs that very resource: it is theirs from then on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from dicom_node.kinds import Stage
from dicom_node.tables import Delivery, Endpoint, Mode, Way
from reports import drafts, life
from reports.messages.identity import URI, report_uid
from reports.rest.calls import Caller
from reports.tables import Event, Report, ReportState
from tests.harness.signing import Signer, signed, signer
from tests.unit.agent.ward import Ward, now
from tests.unit.agent.watched import Watched
from tests.unit.reports import films

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

STUDY = films.STUDY
NAME = {"system": URI, "value": f"urn:oid:{report_uid(STUDY)}"}


@pytest.fixture
def server() -> Iterator[Signer]:
    with signer() as made:
        yield made


@pytest.fixture
def watched(ward: Ward, server: Signer) -> Iterator[Watched]:
    """Its server gets our drafts, too."""
    with Caller(seconds=60) as caller:
        made = Watched(ward, server, caller)
        ward.do(lambda tx: setattr(tx.scalars(select(Endpoint)).one(), "mode", Mode.DRAFT))
        yield made


def document(report: Report) -> dict[str, str]:
    return {"system": "urn:dicom:uid", "value": f"urn:oid:{report.sop_instance_uid}"}


@pytest.mark.parametrize("kept", ["both", "name", "document", "document only"])
def test_a_draft_that_is_signed_in_place_ends_and_is_not_taken_back_there(
    watched: Watched, server: Signer, kept: str
) -> None:
    ward = watched.ward
    ward.service("OTHER", Way.FHIR)
    report = ward.study_with_draft()
    assert sorted(one.destination for one in ward.deliver()) == ["EHR", "OTHER"]
    own = {"both": [NAME, document(report)], "name": [NAME]}.get(kept, [document(report)])
    ward.do(lambda tx: setattr(tx.scalars(select(Endpoint).filter_by(name="OTHER")).one(), "url", "http://[::1]:9/"))
    server.put(signed(study="" if kept == "document only" else STUDY, identifier=own))

    with capture_logs() as log:
        watched.ask()

    assert ward.report().state is ReportState.WITHDRAWN
    assert ward.report().event == Event.FINAL_ELSEWHERE
    assert [one["log_level"] for one in log if one["event"] == "draft_signed_in_place"] == ["warning"]
    assert ward.events().count("seen-final-in-place") == 1
    ward.recaller.step()
    assert [(one.destination, one.stage) for one in ward.deliver()] == [("OTHER", Stage.REJECTION)]
    assert "report-left-behind" not in ward.events()


def test_nor_is_it_taken_back_there_when_it_had_ended_before(watched: Watched, server: Signer) -> None:
    ward = watched.ward
    ward.study_with_draft()
    ward.deliver()
    ward.do(lambda tx: life.expire(tx, now() + timedelta(hours=25), after=timedelta(hours=24)))
    server.put(signed(study=STUDY, identifier=[NAME]))
    watched.ask()
    ward.recaller.step()
    assert ward.report().state is ReportState.EXPIRED
    assert ward.deliver() == []


@pytest.mark.parametrize("way", ["verified", "sent"])
def test_what_was_signed_here_is_not_heard_when_it_comes_back(watched: Watched, server: Signer, way: str) -> None:
    ward = watched.ward
    report = ward.study_with_draft()
    ward.deliver()

    def sign(tx: Any) -> None:
        if way == "sent":
            tx.scalars(select(Delivery)).one().stage = Stage.SIGNED
        else:
            drafts.move(tx.get_one(Report, report.id), ReportState.VERIFIED, Event.DRAFTED, now())

    ward.do(sign)
    before = ward.report().state
    server.put(signed("1", study=STUDY, identifier=[NAME]))
    server.put(signed("2", accession="ACC0001", identifier=[document(report)]))
    watched.ask()
    assert ward.report().state is before
    assert not any(event.startswith("seen-final") for event in ward.events())
    assert watched.row().failing_since is None
