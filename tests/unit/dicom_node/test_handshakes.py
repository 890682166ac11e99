"""Handshakes that go on at once: one more than the bound ends the oldest, and the log says so now and then."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest
import structlog

from dicom_node import pdu_socket
from dicom_node.pdu_socket import Handshakes, TlsPDUSocket


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


class Silent(TlsPDUSocket):
    """Nobody answers; it says under which lock it was ended."""

    def __init__(self, among: Handshakes) -> None:
        self.among = among
        self.was_locked = False

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_RDWR
        self.was_locked = self.among._lock.locked()


def test_the_oldest_is_ended_and_the_log_counts_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(pdu_socket, "time", clock)
    handshakes = Handshakes(2)
    silent = [Silent(handshakes) for _ in range(6)]
    with structlog.testing.capture_logs() as told, ExitStack() as going_on:
        for one in silent[:5]:
            going_on.enter_context(handshakes.one_more(one))
        clock.seconds += 61
        going_on.enter_context(handshakes.one_more(silent[5]))

    assert [one.ended for one in silent] == [True, True, True, True, False, False]
    assert all(one.was_locked for one in silent if one.ended), "its own thread cannot close it meanwhile"
    assert [line["count"] for line in told] == [1, 3]
