"""What one resource or one server answers never keeps the other reports from being heard, and is never passed over."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from dicom_node.tables import Endpoint, Mode, Way
from reports.rest.calls import Caller
from reports.tables import ReportState
from reports.watches import Watch
from tests.harness.signing import MRN, Answer, Signer, numbered, signed, signer
from tests.unit.agent.ward import Ward
from tests.unit.agent.watched import Watched
from tests.unit.reports import films

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

STUDY = films.STUDY


@pytest.fixture
def server() -> Iterator[Signer]:
    with signer() as made:
        yield made


@pytest.fixture
def watched(ward: Ward, server: Signer) -> Iterator[Watched]:
    with Caller(seconds=60) as caller:
        yield Watched(ward, server, caller)


def test_a_resource_of_no_kind_adds_nothing(watched: Watched, server: Signer) -> None:
    watched.ward.study_with_draft()
    kinds: tuple[object, ...] = ([], {}, 7, None)
    for number, _ in enumerate(kinds):
        server.put(signed(f"r{number}", accession="OTHER", subject={"reference": f"Patient/{number}"}))
    server.put(signed("last", study=STUDY))

    def answer(path: str) -> Answer | None:
        if "Patient/" not in path:
            return None
        return 200, json.dumps({"resourceType": kinds[int(path[-1])]}).encode()

    server.script = answer
    watched.ask()
    assert len(server.asked) == 1 + len(kinds)
    assert watched.row().failing_since is None
    assert watched.ward.report().state is ReportState.WITHDRAWN


def test_one_server_whose_answer_cannot_be_worked_off_does_not_starve_the_others(
    watched: Watched, server: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object) -> None:
        raise TypeError("unhashable: EX-0001")

    with signer() as other:
        watched.ward.service("ZOO", Way.FHIR, mode=Mode.SHADOW)
        watched.ward.do(lambda tx: setattr(tx.scalars(select(Endpoint).filter_by(name="ZOO")).one(), "url", other.url))
        server.put(signed("1", accession="OTHER", subject={"reference": "Patient/17"}))
        monkeypatch.setattr("reports.rest.watch.told_more", stumble)
        watched.at += 10_000
        with pytest.raises(TypeError), capture_logs() as log:
            watched.watcher.step()
        assert other.asked == []
        watched.watcher.step()
        assert len(other.searches()) == 1
        assert len(server.searches()) == 1, "it is asked again later"

    failed = watched.ward.ask(lambda tx: tx.scalars(select(Watch).filter_by(name="EHR")).one())
    assert failed.failing_since is not None
    assert "TypeError" in failed.last_error
    assert "EX-0001" not in str(log) + failed.last_error


PATIENT = {"resourceType": "Patient", "id": "17", "identifier": [{"system": MRN, "value": "EX-0001"}]}


def counted(log: list[MutableMapping[str, Any]], event: str) -> list[MutableMapping[str, Any]]:
    return [one for one in log if one["event"] == event]


@pytest.mark.parametrize("name", ["basedOn", "imagingStudy"])
def test_the_patient_is_read_however_many_other_things_a_report_refers_to(
    watched: Watched, server: Signer, name: str
) -> None:
    watched.ward.study_with_draft()
    kind = {"basedOn": "ServiceRequest", "imagingStudy": "ImagingStudy"}[name]
    many = [{"reference": f"{kind}/{number}"} for number in range(20)]
    about: dict[str, Any] = {"subject": {"reference": "Patient/17"}, "identifier": [numbered("ACC0001")], name: many}
    server.put(PATIENT)
    server.put(signed(**about))
    watched.ask()
    assert watched.ward.report().state is ReportState.WITHDRAWN
    assert len(server.asked) <= 1 + 6 + 1


@pytest.mark.parametrize("status", [403, 404])
def test_reports_without_a_patient_that_can_be_read_are_counted_aloud(
    watched: Watched, server: Signer, status: int
) -> None:
    for number in range(3):
        server.put(signed(str(number), study=STUDY, subject={"reference": "Patient/17"}))
    server.put(signed("4", study="1.2.3"))
    server.script = lambda path: (status, b"") if "Patient/17" in path else None
    with capture_logs() as log:
        watched.ask()
        watched.ask()
    (warned,) = counted(log, "reports_without_patient")
    assert (warned["log_level"], warned["destination"], warned["reports"]) == ("warning", "EHR", 3)
    assert watched.row().failing_since is None


@pytest.mark.parametrize("status", [302, 400, 403, 404, 406, 409, 410, 422, 451, 200])
def test_one_resource_that_is_refused_or_too_large_adds_nothing(
    watched: Watched, server: Signer, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.rest.watch.PAGE_BYTES", 5000)
    watched.ward.study_with_draft()
    about: dict[str, Any] = {"subject": {"reference": "Patient/17"}}
    server.put(signed("1", accession="OTHER", **about), at=datetime.now(UTC) - timedelta(minutes=5))
    server.put(signed("2", study=STUDY))
    server.script = lambda path: (status, b" " * 9000 if status == 200 else b"") if "Patient/17" in path else None
    watched.ask()
    assert watched.ward.report().state is ReportState.WITHDRAWN
    assert watched.row().failing_since is None


@pytest.mark.parametrize("status", [401, 407, 408, 425, 429])
def test_a_refusal_that_is_none_of_the_resource_is_a_failure_and_nothing_is_passed_over(
    watched: Watched, server: Signer, status: int
) -> None:
    watched.ward.study_with_draft()
    server.put(PATIENT)
    server.put(signed(study=STUDY, subject={"reference": "Patient/17"}))
    server.script = lambda path: (status, b"") if "Patient/17" in path else None
    for _ in range(5):
        watched.ask()
    assert str(status) in watched.row().last_error
    server.script = None
    watched.ask()
    assert watched.ward.report().state is ReportState.WITHDRAWN


def test_a_resource_at_which_the_server_breaks_down_is_left_out_after_some_tries(
    watched: Watched, server: Signer
) -> None:
    watched.ward.study_with_draft()
    about: dict[str, Any] = {"subject": {"reference": "Patient/17"}}
    server.put(signed("1", accession="OTHER", **about), at=datetime.now(UTC) - timedelta(minutes=5))
    server.put(signed("2", study=STUDY))
    server.script = lambda path: (500, b"EX-0001") if "Patient/17" in path else None
    with capture_logs() as log:
        watched.ask()
        watched.ask()
        assert watched.ward.report().state is ReportState.DRAFT
        assert "500" in watched.row().last_error
        watched.ask()
    assert watched.ward.report().state is ReportState.WITHDRAWN
    assert watched.row().failing_since is None
    (left_out,) = counted(log, "resource_left_out")
    assert left_out["resource"] == "Patient"
    assert "EX-0001" not in str(log)
    assert "17" not in str(left_out)
