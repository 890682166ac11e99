"""What a caller can make us hold: the length of a PDU, and how long it may take to come.

pynetdicom believes the length that a PDU declares, up to 4 GiB, and waits for it without an end, both before anybody
has looked at the AE titles. Its server hands out the socket that is read from; ours counts.
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import structlog
from pynetdicom import AE
from pynetdicom.transport import ThreadedAssociationServer

log = structlog.get_logger("listen")

_HEADER = struct.Struct(">BxL")  # PDU type and length (PS3.8 9.3.1)
_P_DATA = 0x04
_SLACK = 4096  # some count headers that the standard does not, some the other way round
_LONGEST = MappingProxyType({0x01: 1 << 20, 0x02: 1 << 20, 0x03: 1024, 0x05: 1024, 0x06: 1024, 0x07: 1024})


class PDUSocket(socket.socket):
    """The socket of an accepted connection. `recv` follows the PDUs that pass and raises OSError at a bad one."""

    def __init__(self, accepted: socket.socket, *, longest_data: int, seconds: float) -> None:
        """`longest_data`: bytes of a P-DATA-TF PDU; `seconds`: from the first byte of a PDU to its last."""
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self._longest = {**_LONGEST, _P_DATA: longest_data}
        self._seconds = seconds
        self._deadline: float | None = None  # of the PDU at hand
        self._header = b""
        self._rest = 0  # bytes of the PDU at hand that have not come

    def recv(self, size: int, flags: int = 0) -> bytes:
        """As `socket.recv`. Raises TimeoutError where a PDU takes too long, OSError where it is too long."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self._seconds
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the PDU takes too long")
        self.settimeout(left)
        chunk = super().recv(min(size, self._rest or _HEADER.size - len(self._header)), flags)
        if self._rest:
            self._rest -= len(chunk)
        else:
            self._header += chunk
            self._measure()
        if not self._rest and not self._header:
            self._deadline = None
        return chunk

    def shutdown(self, how: int) -> None:
        """As `socket.shutdown`, but no error where the peer has gone: pynetdicom would leave the socket open then."""
        with suppress(OSError):
            super().shutdown(how)

    def _measure(self) -> None:
        if len(self._header) < _HEADER.size:
            return
        kind, length = _HEADER.unpack(self._header)
        self._header = b""
        if kind not in self._longest:
            return  # pynetdicom aborts and reads no further
        if length > self._longest[kind]:
            log.warning("pdu_too_long", address=self.getpeername()[0], kind=kind, length=length)
            raise OSError("the PDU is too long")
        self._rest = length


class _Server(ThreadedAssociationServer):
    """A server whose connections count."""

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        connection, address = super().get_request()
        longest, seconds = self.ae.maximum_pdu_size + _SLACK, self.ae.dimse_timeout or 60
        return PDUSocket(connection, longest_data=longest, seconds=seconds), address


class LimitedAE(AE):
    """An application entity whose servers read no more of a PDU than was negotiated."""

    def make_server(self, *arguments: Any, **settings: Any) -> ThreadedAssociationServer:
        """As `AE.make_server`, which `AE.start_server` calls."""
        server = super().make_server(*arguments, **{**settings, "server_class": _Server})
        assert isinstance(server, _Server)
        return server
