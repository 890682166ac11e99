"""Messages without an answer: nobody there is one thing, silence after the bytes left another."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from dicom_node.errors import SendFailure
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Way
from dicom_node.transports import Destination, Parcel, Transport
from reports.hl7.mllp import MllpTransport
from reports.rest.calls import Caller
from reports.rest.webhook import WebhookTransport
from tests.harness.node import free_port
from tests.harness.parcels import destination

MESSAGE = b"MSH|^~\\&|A|B|C|D|20261122||ORU^R01^ORU_R01|4711|P|2.5.1\r"


def sending(way: Way, port: int) -> tuple[Transport, Parcel]:
    if way is Way.MLLP:
        return MllpTransport(connect_seconds=2, answer_seconds=1), _parcel(destination(port, way=way), MESSAGE)
    to = destination(way=way, url=f"http://127.0.0.1:{port}/x")
    return WebhookTransport(Caller(seconds=1), {}), _parcel(to, b"{}")


def _parcel(to: Destination, payload: bytes) -> Parcel:
    return Parcel(to, payload, Kind.ORU, Stage.DRAFT, "", "2.25.1", "1.2.3")


@contextmanager
def listener(act: Callable[[socket.socket], None]) -> Iterator[int]:
    """Takes one connection, reads what comes first, and does what `act` does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                act(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


@pytest.mark.parametrize("way", [Way.MLLP, Way.WEBHOOK])
def test_nobody_there_has_nothing(way: Way) -> None:
    transport, parcel = sending(way, free_port())
    with pytest.raises(SendFailure, match="cannot be reached") as failure:
        transport.send(parcel)

    assert (failure.value.unreachable, failure.value.may_be_there, failure.value.permanent) == (True, False, False)


@pytest.mark.parametrize("way", [Way.MLLP, Way.WEBHOOK])
@pytest.mark.parametrize("manner", ["closes", "stays silent", "talks nonsense"])
def test_who_took_the_bytes_and_does_not_answer_may_have_them(way: Way, manner: str) -> None:
    quiet = threading.Event()

    def act(connection: socket.socket) -> None:
        if manner == "talks nonsense":
            connection.sendall(b"nonsense\x1c\r")
        elif manner == "stays silent":
            quiet.wait(3)

    with listener(act) as port:
        transport, parcel = sending(way, port)
        with pytest.raises(SendFailure) as failure:
            transport.send(parcel)
        quiet.set()

    assert (failure.value.unreachable, failure.value.may_be_there, failure.value.permanent) == (False, True, False)
