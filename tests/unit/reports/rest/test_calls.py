"""One request and its answer: what it may say in the log."""

from __future__ import annotations

import logging

import pytest

from dicom_node.kinds import Kind
from dicom_node.tables import Mode, Proof, Way
from dicom_node.transports import Destination
from reports.rest.calls import Caller
from tests.harness.signing import signer


def test_no_url_stands_in_the_log_on_any_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with signer() as server, Caller(seconds=60) as caller:
        to = Destination("EHR", Way.FHIR, "", 0, server.url, Mode.DRAFT, Proof.QUERY, frozenset({Kind.FHIR}))
        answer = caller.call(to, "GET", f"{server.url}/Patient/SECRET?identifier=SECRET", headers={})
    assert answer.status == 404
    assert "SECRET" not in caplog.text
