"""Sockets that follow the PDUs which pass (PS3.8 9.3.1), in the clear and inside TLS.

pynetdicom believes the length that a PDU declares, up to 4 GiB, and waits for it without an end.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import cast

import structlog

from dicom_node.tls import ClientContext

log = structlog.get_logger("listen")

_TELL_SECONDS = 60.0  # at most so often that handshakes were ended for others: a flood must not fill the log too
_HEADER = struct.Struct(">BxL")  # PDU type and length (PS3.8 9.3.1)
_P_DATA = 0x04
_LONGEST = MappingProxyType({0x01: 1 << 20, 0x02: 1 << 20, 0x03: 1024, 0x05: 1024, 0x06: 1024, 0x07: 1024})


class Watch:
    """What passes on one connection: how long each PDU may be, and how long it may take."""

    def __init__(self, *, longest_data: int, seconds: float) -> None:
        """`longest_data`: bytes of a P-DATA-TF PDU; `seconds`: from the first byte of a PDU to its last."""
        self.trouble = ""  # why reading ended, said of the peer
        self._longest = {**_LONGEST, _P_DATA: longest_data}
        self._seconds = seconds
        self._deadline: float | None = None  # of the PDU at hand
        self._header = b""
        self._rest = 0  # bytes of the PDU at hand that have not come

    def agree(self, *, longest_data: int, seconds: float) -> None:
        """Other bounds from the next PDU on; 0 leaves one as it is."""
        self._longest[_P_DATA] = longest_data or self._longest[_P_DATA]
        self._seconds = seconds or self._seconds

    def patience(self) -> float:
        """Seconds left for the PDU at hand. Raises TimeoutError where there are none."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self._seconds
        left = self._deadline - time.monotonic()
        if left <= 0:
            self.give_up()
            raise TimeoutError("the PDU takes too long")
        return left

    def give_up(self) -> None:
        """The time is over."""
        self.trouble = "does not finish what it began to send"

    def wanted(self, size: int) -> int:
        """Bytes that may be read now, so that no PDU is read into the next."""
        return min(size, self._rest or _HEADER.size - len(self._header))

    def follow(self, chunk: bytes, address: str) -> None:
        """Count what came. Raises OSError where a PDU is too long."""
        if self._rest:
            self._rest -= len(chunk)
        else:
            self._header += chunk
            self._measure(address)
        if not self._rest and not self._header:
            self._deadline = None

    def _measure(self, address: str) -> None:
        if len(self._header) < _HEADER.size:
            return
        kind, length = _HEADER.unpack(self._header)
        self._header = b""
        if kind not in self._longest:
            return  # pynetdicom aborts and reads no further
        if length > self._longest[kind]:
            self.trouble = "sends more at once than was negotiated"
            log.warning("pdu_too_long", address=address, kind=kind, length=length)
            raise OSError("the PDU is too long")
        self._rest = length


class PDUSocket(socket.socket):
    """The socket of one connection. `recv` follows the PDUs that pass and raises OSError at a bad one."""

    def __init__(self, accepted: socket.socket, *, longest_data: int, seconds: float) -> None:
        """As `Watch`."""
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self.watch = Watch(longest_data=longest_data, seconds=seconds)
        self.ended = False  # by `hang_up`

    def recv(self, size: int, flags: int = 0) -> bytes:
        """As `socket.recv`. Raises TimeoutError where a PDU takes too long, OSError where it is too long."""
        if self.ended:
            return b""  # whatever has come before it: an object that was cut off would still be taken
        try:
            self.settimeout(self.watch.patience())
            chunk = super().recv(self.watch.wanted(size), flags)
        except TimeoutError:
            self.watch.give_up()
            raise
        self.watch.follow(chunk, _address(self))
        return chunk

    def shutdown(self, how: int) -> None:
        """As `socket.shutdown`, but no error where the peer has gone: pynetdicom would leave the socket open then."""
        with suppress(OSError):
            super().shutdown(how)

    def hang_up(self) -> None:
        """End the connection from another thread: whoever reads sees its end, and closes the socket."""
        self.ended = True
        self.shutdown(socket.SHUT_RDWR)


class TlsPDUSocket(ssl.SSLSocket):
    """As `PDUSocket`, inside TLS. The ssl module makes it; `watch` is set afterwards."""

    watch: Watch | None = None
    ended = False

    def do_handshake(self, block: bool = False) -> None:
        """As `SSLSocket.do_handshake`; the context of a client keeps why it failed."""
        with _told(self.context):
            super().do_handshake(block)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As `PDUSocket.recv`."""
        if self.ended:
            return b""
        if self.watch is None:
            return super().recv(buflen, flags)
        try:
            self.settimeout(self.watch.patience())
            chunk = super().recv(self.watch.wanted(buflen), flags)
        except TimeoutError:
            self.watch.give_up()
            raise
        except ssl.SSLError as error:  # a server of TLS 1.3 refuses a client after the handshake
            if isinstance(self.context, ClientContext):
                self.context.trouble = error
            raise
        self.watch.follow(chunk, _address(self))
        return chunk

    def shutdown(self, how: int) -> None:
        """As `PDUSocket.shutdown`; the other thread may still read what is encrypted."""
        with suppress(OSError):
            socket.socket.shutdown(self, how)

    def hang_up(self) -> None:
        """As `PDUSocket.hang_up`."""
        self.ended = True
        self.shutdown(socket.SHUT_RDWR)


class Handshakes:
    """Those that go on now. One more than `most` ends the oldest: whoever is silent keeps nobody else out."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._unfinished: list[TlsPDUSocket] = []
        self._ended = 0  # since that was last said
        self._quiet_until = 0.0

    @contextmanager
    def one_more(self, secured: TlsPDUSocket) -> Iterator[None]:
        """Have it among them; it may be ended from now on, by a later one."""
        with self._lock:
            if len(self._unfinished) >= self._most:
                self._unfinished.pop(0).hang_up()  # before its own thread, which waits for the lock, can close it
                self._ended += 1
            self._unfinished.append(secured)
            ended = self._to_be_said(time.monotonic())
        if ended:
            log.warning("handshakes_ended", count=ended, most=self._most)
        try:
            yield
        finally:
            with self._lock:
                self._unfinished = [one for one in self._unfinished if one is not secured]

    def _to_be_said(self, now: float) -> int:
        """How many were ended, once that may be said again; the lock is held."""
        if not self._ended or now < self._quiet_until:
            return 0
        ended, self._ended = self._ended, 0
        self._quiet_until = now + _TELL_SECONDS
        return ended


def shake_hands(plain: socket.socket, context: ssl.SSLContext, *, seconds: float, among: Handshakes) -> TlsPDUSocket:
    """The server's side of a handshake, which takes no longer than `seconds` altogether, `among` those of others.

    Raises OSError.
    """
    context.sslsocket_class = TlsPDUSocket
    plain.settimeout(seconds)
    secured = cast(TlsPDUSocket, context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False))
    clock = threading.Timer(seconds, secured.hang_up)
    clock.daemon = True
    clock.start()
    try:
        with among.one_more(secured):
            secured.do_handshake()
    except OSError as error:
        secured.close()
        if secured.ended:
            raise TimeoutError("the handshake takes too long") from error
        raise
    finally:
        clock.cancel()
    return secured


class _told:  # noqa: N801  used as a statement
    """Keeps an error in the context of a client."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and isinstance(self._context, ClientContext):
            self._context.trouble = error


def _address(connection: socket.socket) -> str:
    try:
        return str(connection.getpeername()[0])
    except OSError:
        return ""
