"""The MLLP door: who may send, what is answered when, and that nothing closes it."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import pytest
from structlog.testing import capture_logs

from dicom_node.errors import NotFound
from reports.hl7.incoming import Ack, Code, Incoming, Meaning
from reports.hl7.server import Hl7Config, MllpServer
from tests.harness.node import wait_until

NOW = datetime(2025, 3, 2, 9, 0, 1, tzinfo=UTC)
LOOPBACK = (ip_network("127.0.0.0/8"),)
FINAL = (
    b"MSH|^~\\&|RIS|HOSP|WETREAD|AI|20250302||ORU^R01|C-%d|P|2.5.1\rPID|1||EX-1||Secret^Name\r"
    b"OBR|1||||||||||||||||||||||||F\r"
)

Start = Callable[..., MllpServer]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers on free ports; stops them, and by that proves that they still can be."""
    running: list[MllpServer] = []

    def start_one(handler: Callable[[Incoming], Ack] = lambda _: Ack(Code.ACCEPT), **changes: Any) -> MllpServer:
        config = Hl7Config(**{"senders": LOOPBACK, "port": 0, **changes})
        running.append(MllpServer(config, handler, lambda: NOW))
        running[-1].start()
        return running[-1]

    yield start_one
    for one in running:
        one.stop()


def connect(server: MllpServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def frame(message: bytes) -> bytes:
    return b"\x0b" + message + b"\x1c\r"


def read(connection: socket.socket) -> bytes:
    """One framed answer; what came before the end where the peer closes."""
    got = b""
    while not got.endswith(b"\x1c\r"):
        try:
            chunk = connection.recv(1)  # not a byte of the next one
        except ConnectionError:
            return got
        if not chunk:
            return got
        got += chunk
    return got


def ask(server: MllpServer, message: bytes) -> bytes:
    with connect(server) as connection:
        connection.sendall(frame(message))
        return read(connection)


def test_message_is_accepted_only_after_the_handler_has_returned(start: Start) -> None:
    entered, release = threading.Event(), threading.Event()
    seen: list[Incoming] = []

    def handler(incoming: Incoming) -> Ack:
        entered.set()
        release.wait(60)
        seen.append(incoming)
        return Ack(Code.ACCEPT)

    with connect(start(handler)) as connection:
        connection.sendall(frame(FINAL % 1))
        assert entered.wait(60)
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        release.set()
        connection.settimeout(60)
        assert b"\rMSA|AA|C-1" in read(connection)
    assert [one.meaning for one in seen] == [Meaning.REPORT_FINAL]


def test_several_messages_come_over_one_connection_also_in_one_piece_or_byte_by_byte(start: Start) -> None:
    with connect(start()) as connection:
        connection.sendall(frame(FINAL % 1) + frame(FINAL % 2))
        assert b"|C-1" in read(connection)
        assert b"|C-2" in read(connection)
        for byte in frame(FINAL % 3):
            connection.sendall(bytes([byte]))
        assert b"|C-3" in read(connection)


@pytest.mark.parametrize(
    "trouble", [NotFound("no such study"), OSError("disk full"), ZeroDivisionError("a defect with Secret^Name in it")]
)
def test_our_trouble_is_an_error_that_the_sender_hears_and_others_are_still_served(
    start: Start, trouble: Exception
) -> None:
    failing = threading.Event()
    failing.set()

    def handler(_: Incoming) -> Ack:
        if failing.is_set():
            raise trouble
        return Ack(Code.ACCEPT)

    server = start(handler)
    with capture_logs() as logs:
        assert b"\rMSA|AE|C-1" in ask(server, FINAL % 1)
        failing.clear()
        assert b"\rMSA|AA|C-2" in ask(server, FINAL % 2)
    assert "Secret" not in str(logs)


def test_what_means_nothing_is_accepted_without_the_handler(start: Start) -> None:
    def handler(_: Incoming) -> Ack:
        raise AssertionError

    answer = ask(start(handler), b"MSH|^~\\&|RIS|HOSP|W|A|2025||ADT^A01|C-9|P|2.5\rPID|1||EX-1\r")

    assert b"\rMSA|AA|C-9|ignored\r" in answer


def test_what_cannot_be_understood_is_rejected_and_the_connection_goes_on(start: Start) -> None:
    with connect(start()) as connection, capture_logs() as logs:
        connection.sendall(frame(b"MSH|^~\\&|RIS|HOSP|W|A|2025||ADT^A40|C-1|P|2.5\rPID|1||SECRET-1\r"))
        assert b"\rMSA|AR|C-1" in read(connection)
        connection.sendall(frame(FINAL % 2))
        assert b"\rMSA|AA|C-2" in read(connection)
    assert "SECRET" not in str(logs)


def test_sender_that_is_not_listed_is_not_heard(start: Start) -> None:
    server = start(senders=(ip_network("10.0.0.0/8"),))

    assert ask(server, FINAL % 1) == b""
    assert ask(start(senders=()), FINAL % 1) == b""


def test_application_that_is_not_listed_is_rejected(start: Start) -> None:
    assert b"\rMSA|AR|" in ask(start(applications=frozenset({"OTHER", "RIS|ELSEWHERE"})), FINAL % 1)
    assert b"\rMSA|AA|" in ask(start(applications=frozenset({"RIS"})), FINAL % 1)
    assert b"\rMSA|AA|" in ask(start(applications=frozenset({"RIS|HOSP"})), FINAL % 1)


def test_message_that_is_too_large_is_rejected_and_the_connection_closed(start: Start) -> None:
    server = start(maximum_bytes=4096)
    with connect(server) as connection:
        connection.sendall(b"\x0b" + FINAL % 1 + b"NTE|" + b"A" * 5000)
        assert b"\rMSA|AR||the message is larger" in read(connection)
        assert read(connection) == b""
    assert b"\rMSA|AA|" in ask(server, FINAL % 2)


def test_connections_beyond_the_limit_are_closed_and_places_come_back(start: Start) -> None:
    server = start(maximum_connections=2)
    first, second = connect(server), connect(server)
    for number, one in enumerate((first, second)):
        one.sendall(frame(FINAL % number))
        assert b"\rMSA|AA|" in read(one)

    assert ask(server, FINAL % 3) == b""
    first.close()
    second.close()
    wait_until(lambda: b"\rMSA|AA|" in ask(server, FINAL % 4), "a place to come back")


def test_half_a_message_is_not_waited_for_for_ever(start: Start) -> None:
    with connect(start(message_seconds=0.4)) as connection:
        connection.sendall(b"\x0bMSH|^~")
        assert read(connection) == b""


def test_idle_connection_is_closed_and_does_not_hold_up_the_end(start: Start) -> None:
    with connect(start(idle_seconds=0.4)) as connection:
        assert read(connection) == b""
    held = connect(start())  # stopping the server must not wait for it
    held.close()


def test_no_bytes_end_the_server(start: Start) -> None:
    server = start(message_seconds=30, maximum_bytes=2048)
    chance = random.Random(7)
    for _ in range(150):
        with connect(server) as connection:
            junk = bytearray(frame(FINAL % 1))
            for _ in range(chance.randrange(12)):
                junk[chance.randrange(len(junk))] = chance.randrange(256)
            try:
                connection.sendall(bytes(junk) if chance.random() < 0.7 else chance.randbytes(3000))
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                continue
            read(connection)

    assert b"\rMSA|AA|C-7" in ask(server, FINAL % 7)
