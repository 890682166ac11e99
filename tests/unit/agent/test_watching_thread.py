"""`dispatch` asks FHIR servers in a thread of its own, on both databases."""

from __future__ import annotations

import threading

from agent import watching
from dicom_node.tables import Book
from reports.rest.calls import Caller
from reports.tables import ReportState
from tests.harness.node import wait_until
from tests.harness.signing import signed, signer
from tests.unit.agent.ward import Ward
from tests.unit.agent.watched import Watched
from tests.unit.reports import films


def test_dispatch_asks_in_a_thread_of_its_own(ward: Ward) -> None:
    with signer() as server:
        with Caller(seconds=60) as caller:
            watched = Watched(ward, server, caller, watch_seconds=1.0)
        ward.study_with_draft()
        server.put(signed(study=films.STUDY))
        stop = threading.Event()
        with watching.beside(watched.desk, stop):
            try:
                wait_until(lambda: ward.report().state is ReportState.WITHDRAWN, "the withdrawal")
            finally:
                stop.set()
    assert ward.revision().book in {Book.CLOSED, Book.DEAD_LETTERED}
