"""Delivery to AE titles: associations are reused, replaced when they broke, and no answer passes for another's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find  # type: ignore[attr-defined]

from dicom_node.dimse import DimseTransport
from dicom_node.errors import SendFailure
from dicom_node.kinds import Kind
from tests.harness.node import free_port, wait_until
from tests.harness.parcels import CLASSES, destination, object_of, parcel


class Pacs:
    """Counts associations and what came; `manner` is called with each C-STORE before it is answered."""

    def __init__(self) -> None:
        self.associations: list[Any] = []
        self.ended = 0
        self.received: list[tuple[int, Dataset]] = []  # number of the association, data set
        self.manner: Callable[[evt.Event], int] = lambda _event: 0x0000
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()

    def accepted(self, event: evt.Event) -> None:
        self.associations.append(event.assoc)

    def over(self, _event: evt.Event) -> None:
        self.ended += 1

    def store(self, event: evt.Event) -> int:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.received.append((self.associations.index(event.assoc), event.dataset))
        try:
            return self.manner(event)
        finally:
            with self._lock:
                self.at_once -= 1

    def query(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        if any(draft.SOPInstanceUID == event.identifier.SOPInstanceUID for _, draft in self.received):
            yield 0xFF00, event.identifier
        yield 0x0000, None


@pytest.fixture
def pacs() -> Pacs:
    return Pacs()


@pytest.fixture
def port(pacs: Pacs) -> Iterator[int]:
    entity = AE(ae_title="PACS")
    for sop_class in (*CLASSES.values(), Find):
        entity.add_supported_context(sop_class)
    handlers: list[Any] = [
        (evt.EVT_ACCEPTED, pacs.accepted),
        (evt.EVT_RELEASED, pacs.over),
        (evt.EVT_ABORTED, pacs.over),
        (evt.EVT_C_STORE, pacs.store),
        (evt.EVT_C_FIND, pacs.query),
    ]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    yield server.server_address[1]
    server.shutdown()


@pytest.fixture
def transport() -> Iterator[DimseTransport]:
    made = DimseTransport("WETREAD", connect_seconds=30, answer_seconds=30)
    yield made
    made.close()


def test_objects_of_all_classes_and_their_proofs_share_one_association(
    pacs: Pacs, port: int, transport: DimseTransport
) -> None:
    to = destination(port)
    for kind in CLASSES:
        assert transport.send(parcel(to, kind)) == "0000"
        assert transport.holds(parcel(to, kind))
    assert not transport.holds(parcel(to, number=2))

    assert len(pacs.associations) == 1
    assert [draft for _, draft in pacs.received] == [object_of(kind) for kind in CLASSES]


def test_association_is_released_when_nothing_more_comes(pacs: Pacs, port: int) -> None:
    transport = DimseTransport("WETREAD", keep_seconds=1)
    began = time.monotonic()
    transport.send(parcel(destination(port)))

    wait_until(lambda: pacs.ended == 1, "the association to be released")
    assert time.monotonic() - began >= 1, "it was not kept"
    assert pacs.associations[0].is_released
    assert transport.send(parcel(destination(port), number=2)) == "0000"
    transport.close()


def test_close_releases_what_is_kept(pacs: Pacs, port: int) -> None:
    transport = DimseTransport("WETREAD", keep_seconds=60)
    transport.send(parcel(destination(port)))
    transport.close()

    wait_until(lambda: pacs.ended == 1, "the association to be released", seconds=30)


def test_two_threads_have_two_associations(pacs: Pacs, port: int, transport: DimseTransport) -> None:
    both = threading.Barrier(2)

    def slow(_event: evt.Event) -> int:
        both.wait(30)
        return 0x0000

    pacs.manner = slow
    threads = [
        threading.Thread(target=transport.send, args=(parcel(destination(port), number=number),)) for number in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (pacs.most_at_once, len(pacs.associations)) == (2, 2)
    pacs.manner = lambda _event: 0x0000
    transport.send(parcel(destination(port), number=3))
    assert len(pacs.associations) == 2


def test_kept_association_that_the_peer_ended_is_replaced(pacs: Pacs, port: int, transport: DimseTransport) -> None:
    transport.send(parcel(destination(port)))
    pacs.associations[0].abort()

    assert transport.send(parcel(destination(port), number=2)) == "0000"
    assert [association for association, _ in pacs.received] == [0, 1]


def test_kept_association_that_breaks_under_an_object_is_replaced_once(
    pacs: Pacs, port: int, transport: DimseTransport
) -> None:
    def once(event: evt.Event) -> int:
        if len(pacs.received) == 2:
            event.assoc.abort()
        return 0x0000

    pacs.manner = once
    transport.send(parcel(destination(port)))

    assert transport.send(parcel(destination(port), number=2)) == "0000"
    assert [(place, draft.SOPInstanceUID) for place, draft in pacs.received[1:]] == [
        (0, object_of(Kind.BASIC_TEXT, 2).SOPInstanceUID),
        (1, object_of(Kind.BASIC_TEXT, 2).SOPInstanceUID),
    ]


def test_fresh_association_that_breaks_is_a_failure_at_once(pacs: Pacs, port: int, transport: DimseTransport) -> None:
    def abort(event: evt.Event) -> int:
        event.assoc.abort()
        return 0x0000

    pacs.manner = abort
    with pytest.raises(SendFailure, match="broke off") as failure:
        transport.send(parcel(destination(port)))

    assert failure.value.may_be_there
    assert len(pacs.received) == 1


def test_doubt_about_the_broken_one_is_kept_where_the_fresh_one_is_refused(
    pacs: Pacs, port: int, transport: DimseTransport
) -> None:
    def break_then_refuse(event: evt.Event) -> int:
        if len(pacs.received) == 2:
            event.assoc.abort()
        return 0x0000 if len(pacs.received) == 1 else 0xA700

    pacs.manner = break_then_refuse
    transport.send(parcel(destination(port)))
    with pytest.raises(SendFailure, match="0xA700") as failure:
        transport.send(parcel(destination(port), number=2))

    assert failure.value.may_be_there


@pytest.mark.parametrize(
    ("status", "permanent", "class_refused"),
    [(0xA700, False, False), (0xA900, True, False), (0xC123, False, False), (0x0122, True, True)],
)
def test_refused_object_leaves_the_association_to_the_next_one(
    pacs: Pacs, port: int, transport: DimseTransport, status: int, permanent: bool, class_refused: bool
) -> None:
    pacs.manner = lambda _event: status
    with pytest.raises(SendFailure, match=f"0x{status:04X}") as failure:
        transport.send(parcel(destination(port)))
    assert (failure.value.permanent, failure.value.class_refused) == (permanent, class_refused)
    assert not failure.value.may_be_there

    pacs.manner = lambda _event: 0xB007
    assert transport.send(parcel(destination(port), number=2)) == "B007"
    assert len(pacs.associations) == 1


@pytest.mark.parametrize("moment", ["at once", "under the next object"])
def test_second_answer_to_one_object_does_not_pass_for_that_of_the_next(
    pacs: Pacs, port: int, transport: DimseTransport, moment: str
) -> None:
    """The peer says twice that it has the first; the second object, which it then refuses, must not count as taken."""
    first: list[int] = []

    def twice(event: evt.Event) -> int:
        first.append(event.message_id)
        if len(first) == (1 if moment == "at once" else 2):
            said = C_STORE()
            said.MessageIDBeingRespondedTo = first[0]
            said.AffectedSOPClassUID = event.request.AffectedSOPClassUID
            said.AffectedSOPInstanceUID = event.request.AffectedSOPInstanceUID  # type: ignore[union-attr]
            said.Status = 0x0000
            event.assoc.dimse.send_msg(said, event.context.context_id)
        return 0x0000 if len(first) == 1 else 0xA700

    pacs.manner = twice
    assert transport.send(parcel(destination(port))) == "0000"
    with pytest.raises(SendFailure, match=r"0xA700|another message") as failure:
        transport.send(parcel(destination(port), number=2))
    assert failure.value.may_be_there == ("another message" in str(failure.value))
    pacs.manner = lambda _event: 0x0000
    assert transport.send(parcel(destination(port), number=3)) == "0000"


def test_peer_that_takes_none_of_our_classes_refuses_the_class(transport: DimseTransport) -> None:
    entity = AE(ae_title="PACS")
    entity.add_supported_context("1.2.840.10008.5.1.4.1.1.2")
    server = entity.start_server(("127.0.0.1", 0), block=False)
    assert server is not None
    try:
        with pytest.raises(SendFailure, match=r"takes no Comprehensive 3D SR Storage") as failure:
            transport.send(parcel(destination(server.server_address[1]), Kind.TID1500))
    finally:
        server.shutdown()
    assert (failure.value.class_refused, failure.value.permanent) == (True, True)


def test_nobody_there_is_unreachable_and_nothing_is_there(transport: DimseTransport) -> None:
    with pytest.raises(SendFailure, match="cannot be reached") as failure:
        transport.send(parcel(destination(free_port())))

    assert (failure.value.unreachable, failure.value.may_be_there, failure.value.permanent) == (True, False, False)


def test_answer_that_cannot_be_read_does_not_say_that_the_object_is_gone(
    pacs: Pacs, port: int, transport: DimseTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = destination(port)
    transport.send(parcel(to))
    assert len(pacs.received) == 1
    broken = b"\x08\x00\x40\x11\xff\xff\xff\xff\x20\x00\x0d\x00\x04\x00\x00\x001.2\x00"  # a sequence without items
    with monkeypatch.context() as spoiled:
        spoiled.setattr("pynetdicom.service_class.encode", lambda *_arguments: broken)
        with pytest.raises(SendFailure, match="cannot be read") as failure:
            transport.holds(parcel(to))
    assert not failure.value.permanent
    assert transport.holds(parcel(to))
