"""One request and its answer: what it may say in the log."""

from __future__ import annotations

import logging
import socket

import pytest

from dicom_node.errors import SendFailure
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


def test_one_request_may_have_less_time_than_the_others() -> None:
    """Whoever takes the connection and says nothing is not waited for as long as the caller has."""
    with socket.create_server(("127.0.0.1", 0)) as silent, Caller(seconds=600) as caller:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        to = Destination("EHR", Way.FHIR, "", 0, url, Mode.DRAFT, Proof.QUERY, frozenset({Kind.FHIR}))
        with pytest.raises(SendFailure, match="did not answer"):
            caller.call(to, "GET", url, headers={}, seconds=0.2)
