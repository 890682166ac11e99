"""MLLP in: what `listen` serves beside DICOM, so that reports and merges from elsewhere reach us.

A message is answered AA only after the handler has returned, which commits. Nothing that a peer sends ends the server.
"""

from __future__ import annotations

import socket
import socketserver
import ssl
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

import structlog

from dicom_node.errors import WetreadError
from reports.hl7.incoming import Ack, Code, Incoming, Meaning, acknowledge, parse
from reports.hl7.mllp import END, START
from reports.hl7.reader import NotUnderstood

Handler = Callable[[Incoming], Ack]

_POLL_SECONDS: Final = 0.5  # how soon an open connection notices that the server stops
_CHUNK: Final = 65536
_TROUBLE: Final = Ack(Code.ERROR, "the message could not be processed now; send it again")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Hl7Config:
    """senders: networks that may connect; none: nobody. applications: MSH-3, or `MSH-3|MSH-4`; empty: any.

    idle_seconds: between messages; message_seconds: from a message's first byte to its last, and for the handshake of
    TLS. tls: None for plain TCP.
    """

    senders: tuple[IPv4Network | IPv6Network, ...]
    host: str = "127.0.0.1"
    port: int = 2575
    applications: frozenset[str] = frozenset()
    maximum_bytes: int = 1 << 20
    maximum_connections: int = 16
    idle_seconds: float = 300.0
    message_seconds: float = 30.0
    tls: ssl.SSLContext | None = None


class MllpServer(socketserver.ThreadingTCPServer):
    """Serves until `stop`. Bound when it is made; port 0 takes a free one."""

    allow_reuse_address = True
    daemon_threads = False
    request_queue_size = 16

    def __init__(self, config: Hl7Config, handler: Handler, now: Callable[[], datetime]) -> None:
        """handler: commits before it returns; may raise WetreadError or OSError, which is answered AE. now: aware.

        Raises OSError: the address is taken or not ours.
        """
        self.config = config
        self.handler = handler
        self.now = now
        self.stopping = threading.Event()
        self._places = threading.BoundedSemaphore(config.maximum_connections)
        self._thread = threading.Thread(target=self.serve_forever, args=(_POLL_SECONDS,), name="hl7")
        self.address_family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        super().__init__((config.host, config.port), _Connection)

    @property
    def port(self) -> int:
        """Port that is really bound."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more connections, let messages in work be answered, and return when all is closed."""
        self.stopping.set()
        if self._thread.ident is not None:
            self.shutdown()
            self._thread.join()
        self.server_close()

    def verify_request(self, request: object, client_address: tuple[str, int]) -> bool:
        """Is the sender allow-listed? It hears nothing otherwise."""
        del request
        address = ip_address(client_address[0].split("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        if any(address in network for network in self.config.senders):
            return True
        log.warning("hl7_sender_refused", host=str(address))
        return False

    def process_request(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        """Give the connection a thread, as long as there is a place."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        log.warning("hl7_connection_refused", host=client_address[0], maximum=self.config.maximum_connections)
        self.shutdown_request(request)

    def process_request_thread(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        """Give the place back, whatever happens."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: tuple[str, int]) -> None:
        """Say that a connection ended badly; the default prints the values of the message."""
        del request
        kind = sys.exc_info()[0]
        log.error("hl7_connection_failed", host=client_address[0], error=kind.__name__ if kind else "")


class _Connection(socketserver.BaseRequestHandler):
    """Messages of one sender, one after the other."""

    server: MllpServer

    def finish(self) -> None:
        """The server closes what it accepted; the socket inside TLS is another one."""
        self.request.close()

    def handle(self) -> None:
        held = b""
        try:
            self._shake_hands()
            while True:
                message, held = self._next(held)
                if message is None:
                    return
                self._send(self._outcome(message))
        except ssl.SSLError as error:  # its reason is a word of OpenSSL, such as PEER_DID_NOT_RETURN_A_CERTIFICATE
            log.warning("hl7_tls_failed", host=self.client_address[0], error=error.reason or type(error).__name__)
        except OSError as error:
            log.info("hl7_connection_lost", host=self.client_address[0], error=type(error).__name__)

    def _shake_hands(self) -> None:
        """In this thread, and in small steps: a silent peer keeps neither others nor the end of the server waiting."""
        tls = self.server.config.tls
        if tls is None:
            return
        self.request = tls.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
        deadline = time.monotonic() + self.server.config.message_seconds
        while time.monotonic() < deadline and not self.server.stopping.is_set():
            self.request.settimeout(_POLL_SECONDS)
            try:
                self.request.do_handshake()
            except TimeoutError:
                continue
            return
        raise TimeoutError

    def _next(self, held: bytes) -> tuple[bytes | None, bytes]:
        """Read one message out of its frame; None where the connection ends. Returns also what came after it."""
        config = self.server.config
        buffer = bytearray(held)
        deadline = time.monotonic() + (config.message_seconds if held else config.idle_seconds)
        seen = 0  # where the search for the end goes on
        while (end := buffer.find(END, seen)) < 0:
            if len(buffer) > config.maximum_bytes:
                log.warning("hl7_message_too_large", host=self.client_address[0], maximum=config.maximum_bytes)
                self._refuse(b"", f"the message is larger than {config.maximum_bytes} bytes")
                return None, b""
            seen = max(0, len(buffer) - 1)
            chunk = self._receive(deadline)
            if not chunk:
                return None, b""
            if not buffer:
                deadline = time.monotonic() + config.message_seconds
            buffer += chunk
        start = buffer.find(START, 0, end)
        if start < 0 or end - start > config.maximum_bytes:
            self._refuse(b"", "what came is no MLLP frame, or a larger one than is taken")
            return None, b""
        return bytes(buffer[start + 1 : end]), bytes(buffer[end + len(END) :])

    def _receive(self, deadline: float) -> bytes:
        """Wait for bytes; none where the peer closed, the time is over, or the server stops."""
        while not self.server.stopping.is_set():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                log.info("hl7_connection_idle", host=self.client_address[0])
                return b""
            self.request.settimeout(min(remaining, _POLL_SECONDS))
            try:
                return bytes(self.request.recv(_CHUNK))
            except TimeoutError:
                continue
        return b""

    def _outcome(self, message: bytes) -> bytes:
        with ExitStack() as trouble:
            # a defect of ours: the sender keeps the message, the connection ends, the server goes on
            trouble.callback(lambda: self._send(acknowledge(message, _TROUBLE, self.server.now())))
            answer = self._answer(message)
            trouble.pop_all()
        return answer

    def _answer(self, message: bytes) -> bytes:
        try:
            incoming = parse(message)
        except NotUnderstood as error:
            log.warning("hl7_message_refused", host=self.client_address[0], reason=str(error))
            return acknowledge(message, Ack(Code.REJECT, str(error)), self.server.now())
        ack = self._handled(incoming)
        log.info(
            "hl7_message_answered",
            host=self.client_address[0],
            meaning=incoming.meaning.value,
            code=ack.code.value,
        )
        return acknowledge(message, ack, self.server.now())

    def _handled(self, incoming: Incoming) -> Ack:
        allowed = self.server.config.applications
        pair = f"{incoming.sending_application}|{incoming.sending_facility}"
        if allowed and not {incoming.sending_application, pair} & allowed:
            return Ack(Code.REJECT, "MSH-3 and MSH-4 name no sender that is known here")
        if incoming.meaning is Meaning.OTHER:
            log.info("hl7_message_ignored", host=self.client_address[0])
            return Ack(Code.ACCEPT, "ignored")
        try:
            return self.server.handler(incoming)
        except (WetreadError, OSError) as error:
            log.error("hl7_handler_failed", error=type(error).__name__)
            return _TROUBLE

    def _refuse(self, message: bytes, words: str) -> None:
        self._send(acknowledge(message, Ack(Code.REJECT, words), self.server.now()))

    def _send(self, answer: bytes) -> None:
        self.request.settimeout(self.server.config.message_seconds)
        self.request.sendall(START + answer + END)
