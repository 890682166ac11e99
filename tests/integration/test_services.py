"""Further services on the port: each handles its own classes, for those with the right, and its faults are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import structlog
from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RJ

from dicom_node.access import Right
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.listener import Listener
from dicom_node.services import Handler, Offer
from dicom_node.tables import RemoteAE
from tests.harness.node import free_port

COMMITMENT = "1.2.840.10008.1.20.1"
MPPS = "1.2.840.10008.3.1.2.3.3"
AVAILABILITY = "1.2.840.10008.5.1.4.33"


pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # services bring their own questions


class Steps:
    """Answers N-CREATE for its class; a step without a state breaks it."""

    def __init__(self, sop_class_uid: str, status: int) -> None:
        self.offers: Sequence[Offer] = (Offer(sop_class_uid, frozenset({Right.SEND})),)
        self.handlers: Mapping[evt.InterventionEvent, Handler] = {evt.EVT_N_CREATE: self._create}
        self._status = status

    def _create(self, event: evt.Event) -> tuple[int, Dataset]:
        assert event.attribute_list.PerformedProcedureStepStatus
        return self._status, Dataset()


class Reports:
    """Hears what a PACS reports in an association of its own, in which it is the SCP."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.offers: Sequence[Offer] = (Offer(COMMITMENT, frozenset({Right.RECEIVE}), scu_role=True, scp_role=True),)
        self.handlers: Mapping[evt.InterventionEvent, Handler] = {evt.EVT_N_EVENT_REPORT: self._report}

    def _report(self, event: evt.Event) -> tuple[int, None]:
        self.heard.append(event.event_type)
        return 0x0000, None


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def port(database: Database, tmp_path: Path, reports: Reports) -> Iterator[int]:
    with database.write() as tx:
        tx.add(RemoteAE(ae_title="CR1", may_send=True))
        tx.add(RemoteAE(ae_title="PACS", host="127.0.0.1", port=104, send_to=True))
    config = NodeConfig(bind_address="127.0.0.1", port=free_port(), data_folder=tmp_path / "data", reserve_mebibytes=1)
    listener = Listener(config, database, [Steps(MPPS, 0x0000), Steps(AVAILABILITY, 0x0107), reports])
    listener.start()
    yield config.port
    listener.stop(patience_seconds=5)


def call(port: int, title: str, *classes: str, scp: bool = False, on_pdu: Handler = lambda _event: None) -> Association:
    entity = AE(ae_title=title)
    for uid in classes:
        entity.add_requested_context(uid)
    roles = [build_role(UID(uid), scp_role=True) for uid in classes] if scp else []
    return entity.associate(
        "127.0.0.1", port, ae_title="WETREAD", ext_neg=roles, evt_handlers=[(evt.EVT_PDU_RECV, on_pdu)]
    )  # type: ignore[arg-type]


def step(state: str) -> Dataset:
    dataset = Dataset()
    dataset.PerformedProcedureStepStatus = state
    return dataset


def test_same_event_goes_to_the_service_that_offers_the_class(port: int) -> None:
    association = call(port, "CR1", MPPS, AVAILABILITY)
    try:
        answers = [
            association.send_n_create(step("COMPLETED"), uid, "2.25.1")[0].Status for uid in (MPPS, AVAILABILITY)
        ]
    finally:
        association.release()
    assert answers == [0x0000, 0x0107]


def test_peer_may_be_the_provider_where_a_service_grants_it(port: int, reports: Reports) -> None:
    association = call(port, "PACS", COMMITMENT, scp=True)
    try:
        status, _ = association.send_n_event_report(step("X"), 1, COMMITMENT, "1.2.840.10008.1.20.1.1")
    finally:
        association.release()
    assert (status.Status, reports.heard) == (0x0000, [1])


def test_class_without_the_right_is_refused_and_the_others_are_not(port: int) -> None:
    association = call(port, "PACS", COMMITMENT, MPPS)
    try:
        assert [context.abstract_syntax for context in association.accepted_contexts] == [COMMITMENT]
        assert [context.abstract_syntax for context in association.rejected_contexts] == [MPPS]
    finally:
        association.release()


def test_stranger_gets_no_service(port: int) -> None:
    received: list[object] = []
    call(port, "XYZ", COMMITMENT, on_pdu=lambda event: received.append(event.pdu))
    (answer,) = received
    assert isinstance(answer, A_ASSOCIATE_RJ)
    assert (answer.result, answer.source, answer.reason_diagnostic) == (1, 1, 3)


def test_fault_of_a_service_is_told_and_answered(port: int) -> None:
    with structlog.testing.capture_logs() as log:
        association = call(port, "CR1", MPPS)
        try:
            status, _ = association.send_n_create(step(""), MPPS, "2.25.1")
        finally:
            association.release()
    assert status.Status == 0x0110
    (line,) = [line for line in log if line["event"] == "service_broken"]
    assert (line["request"], line["calling_ae_title"]) == ("EVT_N_CREATE", "CR1")
