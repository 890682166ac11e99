"""Whatever a peer is or does: a failed attempt with a cause, in bounded memory and time, and no other exception."""

from __future__ import annotations

import shlex
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import psutil
import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)
from structlog.testing import capture_logs

from dicom_node import dimse, peer
from dicom_node.errors import SendFailure
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Mode, Proof, Way
from dicom_node.transports import Destination, Parcel
from tests.harness.outbox import document, encoded


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "\N{SNOWMAN}" * 70])
def test_a_host_that_cannot_be_looked_up_is_named(host: str) -> None:
    with pytest.raises(SendFailure, match="cannot be looked up") as failure:
        peer.echo(peer.Address("WETREAD", "PACS", host, 104, connect_seconds=2, answer_seconds=2))

    assert not failure.value.permanent


@pytest.mark.parametrize(("silent", "there"), [("127.0.0.2", "127.0.0.1"), ("127.0.0.1", "::1")])
def test_a_host_with_several_addresses_is_called_where_it_answers(
    monkeypatch: pytest.MonkeyPatch, silent: str, there: str
) -> None:
    """As a cluster of two gateways under one name, or a name that has IPv6 as well."""
    look_up = socket.getaddrinfo

    def of_the_cluster(host: Any, *arguments: Any, **options: Any) -> Any:
        if host != "pacs.example":
            return look_up(host, *arguments, **options)
        return [one for place in (silent, there) for one in look_up(place, *arguments, **options)]

    entity = AE(ae_title="PACS")
    entity.add_supported_context(Verification)
    server = entity.start_server((there, 0), block=False)
    assert server is not None
    monkeypatch.setattr(socket, "getaddrinfo", of_the_cluster)
    address = peer.Address("WETREAD", "PACS", "pacs.example", server.server_address[1], connect_seconds=20)
    try:
        peer.echo(address)
    finally:
        server.shutdown()
    with pytest.raises(SendFailure, match=r"PACS at pacs\.example:.* nobody listens on that port"):
        peer.echo(address)


@pytest.mark.parametrize(("status", "permanent"), [(0xA700, False), (0xC000, False), (0xA900, True), (0x0122, True)])
def test_only_what_is_said_of_the_object_is_final(status: int, permanent: bool) -> None:
    assert dimse.is_permanent(status) is permanent


@pytest.mark.parametrize("title", ["PACS", "O'HARE X RAY 16B"])
def test_a_command_against_a_rejection_is_quoted(title: str) -> None:
    def reject(connection: socket.socket) -> None:
        connection.sendall(bytes.fromhex("03000000000400010101"))

    with answering(reject) as address, pytest.raises(SendFailure) as failure:
        peer.echo(replace(address, peer_ae_title=title))
    command = str(failure.value).partition("want TLS (")[2].partition(")")[0]
    assert shlex.split(command) == ["wetread", "ae", "edit", title, "--tls"]


# --- what a peer may send ---------------------------------------------------------------------------------------------


@contextmanager
def answering(act: Callable[[socket.socket], None], *, patience: float = 60) -> Iterator[peer.Address]:
    """A peer that takes one connection, reads what is asked, and answers as `act` does; we wait `patience` seconds."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                act(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield peer.Address("WETREAD", "PACS", "127.0.0.1", server.getsockname()[1], answer_seconds=patience)
        thread.join(90)
        assert not thread.is_alive()


@contextmanager
def scp(sop_class_uid: str, *handlers: tuple[object, ...], patience: float = 60) -> Iterator[peer.Address]:
    entity = AE(ae_title="PACS")
    entity.add_supported_context(sop_class_uid)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(handlers))  # type: ignore[arg-type]
    assert server is not None
    try:
        yield peer.Address("WETREAD", "PACS", "127.0.0.1", server.server_address[1], answer_seconds=patience)
    finally:
        server.shutdown()


def transport(address: peer.Address) -> dimse.DimseTransport:
    return dimse.DimseTransport(address.own_ae_title, answer_seconds=address.answer_seconds)


def parcel(address: peer.Address, draft: Dataset | None = None) -> Parcel:
    draft = draft or document()
    to = Destination(
        name=address.peer_ae_title,
        way=Way.DIMSE,
        host=address.host,
        port=address.port,
        url="",
        mode=Mode.DRAFT,
        proof=Proof.QUERY,
        objects=frozenset({Kind.BASIC_TEXT}),
    )
    return Parcel(
        to,
        encoded(draft),
        Kind.BASIC_TEXT,
        Stage.DRAFT,
        draft.SOPClassUID,
        draft.SOPInstanceUID,
        draft.StudyInstanceUID,
    )


def pour(connection: socket.socket, kind: int) -> None:
    connection.sendall(struct.pack(">BBL", kind, 0, 0xFFFFFFF0))
    for _ in range(64):
        connection.sendall(bytes(1 << 20))


def resident() -> int:
    return psutil.Process().memory_info().rss


@pytest.mark.parametrize("kind", [0x02, 0x03, 0x04, 0x07], ids=hex)
def test_answer_of_endless_length_is_not_read(kind: int) -> None:
    before = resident()
    with (
        capture_logs() as log,
        answering(lambda connection: pour(connection, kind)) as address,
        pytest.raises(SendFailure, match="PACS sends more at once than was negotiated") as failure,
    ):
        peer.echo(address)

    assert not failure.value.permanent
    assert resident() - before < 16 << 20
    assert [line["length"] for line in log if line["event"] == "pdu_too_long"] == [0xFFFFFFF0]


def test_data_of_endless_length_is_not_read() -> None:
    def answer(event: evt.Event) -> int:
        with suppress(OSError):
            pour(event.assoc.dul.socket.socket, 0x04)  # type: ignore[union-attr, arg-type]
        return 0

    before = resident()
    with scp(Verification, (evt.EVT_C_ECHO, answer)) as address, pytest.raises(SendFailure, match="more at once"):
        peer.echo(address)

    assert resident() - before < 16 << 20


def test_answer_drop_by_drop_is_not_awaited() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(struct.pack(">BBL", 0x02, 0, 4096))
        for _ in range(600):
            connection.sendall(bytes(1))
            time.sleep(0.1)

    with answering(drip, patience=1) as address:
        began = time.monotonic()
        with pytest.raises(SendFailure, match="does not finish"):
            peer.echo(address)
        assert time.monotonic() - began < 30, "the peer goes on for a minute"


def test_matches_without_an_end_are_not_counted_for_ever() -> None:
    def match(_: evt.Event) -> Iterator[tuple[int, Dataset]]:
        answer = Dataset()
        answer.QueryRetrieveLevel, answer.SOPInstanceUID = "IMAGE", "1.2.3"
        answer.TextValue = "x" * (1 << 20)
        for _ in range(64):  # pynetdicom queues what is not sent yet, and goes on when nobody listens any more
            yield 0xFF00, answer

    with (
        scp(StudyRootQueryRetrieveInformationModelFind, (evt.EVT_C_FIND, match), patience=5) as address,
        pytest.raises(SendFailure, match="PACS sends an answer without an end"),
    ):
        transport(address).holds(parcel(address))


def test_reset_is_no_excess() -> None:
    """A peer that closes with unread bytes resets the connection; that says nothing of what it sent."""

    def reset(connection: socket.socket) -> None:
        connection.sendall(struct.pack(">BBL", 0x02, 0, 4096))
        time.sleep(0.2)  # we wait for the rest
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with answering(reset) as address, pytest.raises(SendFailure, match=r"hung up|aborted"):
        peer.echo(address)


def test_who_connects_and_hangs_up_is_not_called_out_of_reach() -> None:
    words = "hung up without an answer"
    with answering(lambda _connection: None) as address, pytest.raises(SendFailure, match=words) as failure:
        peer.echo(address)

    assert "cannot be reached" not in str(failure.value)
    assert failure.value.unreachable


def test_who_rejects_faster_than_we_look_is_still_said_to_reject() -> None:
    """On a busy machine the connection is over before the thread that asked has woken up."""

    def sleep(event: evt.Event) -> None:
        deadline = time.monotonic() + 30
        while not (event.assoc.dul.socket is None or event.assoc.dul.socket._ready.is_set()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        while event.assoc.dul.socket is not None and event.assoc.dul.socket._is_connected:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    rejected = struct.pack(">BBLBBBB", 0x03, 0, 4, 0, 1, 1, 7)  # permanent, service user, called AE title
    with (
        answering(lambda connection: connection.sendall(rejected)) as address,
        pytest.raises(SendFailure, match="its AE title is not PACS"),
    ):
        peer.associate(address, [str(Verification)], [(evt.EVT_REQUESTED, sleep)])
