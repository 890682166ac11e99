"""What one resource or one server answers never keeps the other reports from being heard, and is never passed over."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from dicom_node.tables import Endpoint, Mode, Way
from reports.rest.calls import Caller
from reports.tables import ReportState
from reports.watches import Watch
from tests.harness.signing import Answer, Signer, signed, signer
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
