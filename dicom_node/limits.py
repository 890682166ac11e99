"""What a peer can make us hold: connections, the length of a PDU and how long it may take, an object, the disk.

pynetdicom reads and waits before anybody has looked at the AE titles. Its server hands out the socket that is read
from; ours counts (`pdu_socket`). Where we call, the socket is exchanged when it has connected.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any, cast

import structlog
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.pdu import A_ASSOCIATE_RJ, P_DATA_TF
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket, ThreadedAssociationServer

from dicom_node import files, tls
from dicom_node.associations import ends_of
from dicom_node.hosts import plain
from dicom_node.pdu_socket import Handshakes, PDUSocket, TlsPDUSocket, Watch, shake_hands
from dicom_node.terms import Terms

log = structlog.get_logger("listen")

LONGEST_ANSWER = 4 << 20  # bytes that a peer we called may send in one association; a status has some hundred
_HANDSHAKE_SECONDS = 10.0
_WAITING = 16  # connections that have not asked for an association; each costs two threads that poll
_MESSAGES_WAITING = 16
_TOO_LARGE = "the object is larger than node.maximum_object_mebibytes"
_SLACK = 4096  # some count headers that the standard does not, some the other way round


class _Server(ThreadedAssociationServer):
    """A server whose connections count, also those on which nobody has asked for anything.

    Such a connection ends by itself after `acse_timeout`. Where too many wait for that, the oldest end at once, so that
    there is always room for a caller who speaks.
    """

    request_queue_size = 128  # connections that the kernel keeps for us; 5 are lost in a burst

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.contexts = _Contexts(self.contexts)
        self._handshakes = Handshakes(2 * _WAITING)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """May the connection have threads of its own? If not, it is closed."""
        every = self.active_associations
        # Those who were hung up on are still here until their threads have seen it.
        if len(every) < AE.maximum_associations.fget(self.ae) + 2 * _WAITING:  # type: ignore[attr-defined]
            self._make_room([connection for one in every if (connection := _idle(one)) is not None])
            return True
        log.warning("connection_closed", address=client_address[0], explanation="too many connections at once")
        return False

    def _make_room(self, waiting: list[PDUSocket | TlsPDUSocket]) -> None:
        for connection in waiting[: max(0, len(waiting) + 1 - _WAITING)]:  # threads are listed as they started
            with suppress(OSError):
                log.warning(
                    "connection_closed",
                    address=connection.getpeername()[0],
                    explanation="it asked for no association, and others wait",
                )
            connection.hang_up()

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        assert self.socket is not None
        connection, address = self.socket.accept()
        caller = (plain(address[0]), *address[1:])
        return PDUSocket(connection, longest_data=self._longest, seconds=self._seconds), caller

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Runs in the connection's own thread: nobody else waits while hands are shaken."""
        if self.ssl_context is None:
            super().finish_request(request, client_address)
            return
        patience = min(_HANDSHAKE_SECONDS, self._seconds)
        try:
            secured = shake_hands(request, self.ssl_context, seconds=patience, among=self._handshakes)
        except OSError as error:
            self.ae.tls_failed(client_address[0], error)  # type: ignore[attr-defined]
            return
        secured.watch = Watch(longest_data=self._longest, seconds=self._seconds)
        super().finish_request(secured, client_address)

    @property
    def _longest(self) -> int:
        return self.ae.maximum_pdu_size + _SLACK

    @property
    def _seconds(self) -> float:
        return self.ae.dimse_timeout or 60


class _Contexts(list[PresentationContext]):
    """What the server supports. It is copied for each connection; a copy of every UID in it would take 40 ms."""

    def __deepcopy__(self, memo: dict[int, Any]) -> list[PresentationContext]:
        return [copy(context) for context in self]


class LimitedAE(AE):
    """An application entity whose servers read no more of a PDU than was negotiated."""

    def tls_failed(self, address: str, error: OSError) -> None:
        """Told of each handshake that came to nothing."""
        log.warning("tls_failed", address=address, explanation=tls.explain(error))

    @property
    def maximum_associations(self) -> int:
        """As `AE.maximum_associations`, and one more for each connection that is none: pynetdicom counts those too."""
        idle = sum(1 for one in self.active_associations if one.is_acceptor and not takes_place(one))
        return int(super().maximum_associations) + idle

    @maximum_associations.setter
    def maximum_associations(self, value: int) -> None:
        AE.maximum_associations.fset(self, value)  # type: ignore[attr-defined]

    def make_server(self, *arguments: Any, **settings: Any) -> ThreadedAssociationServer:
        """As `AE.make_server`, which `AE.start_server` calls."""
        server = super().make_server(*arguments, **{**settings, "server_class": _Server})
        assert isinstance(server, _Server)
        return server


def takes_place(association: Association) -> bool:
    """Has an association been asked for, and not been refused or ended?"""
    over = association.is_rejected or association.is_aborted or association.is_released
    return association.requestor.primitive is not None and not over


def _idle(association: Association) -> PDUSocket | TlsPDUSocket | None:
    """The open connection of what is no association, not yet or no more."""
    transport = association.dul.socket
    connection = None if transport is None else transport.socket
    if takes_place(association) or not isinstance(connection, PDUSocket | TlsPDUSocket) or connection.ended:
        return None
    return connection


def agree(association: Association, terms: Terms) -> None:
    """Have a caller's own terms in the association that it asks for, before it is negotiated."""
    association.dimse_timeout = terms.dimse_timeout_seconds or association.dimse_timeout
    association.network_timeout = terms.idle_timeout_seconds or association.network_timeout
    association.acse_timeout = terms.acse_timeout_seconds or association.acse_timeout
    if terms.maximum_pdu_size:
        association.acceptor.maximum_length = terms.maximum_pdu_size
    transport = association.dul.socket
    connection = None if transport is None else transport.socket
    if isinstance(connection, PDUSocket | TlsPDUSocket) and connection.watch is not None:
        most = terms.maximum_pdu_size and terms.maximum_pdu_size + _SLACK
        connection.watch.agree(longest_data=most, seconds=terms.dimse_timeout_seconds)


class Answers:
    """Bounds what a peer that we called makes us hold: each PDU, and all that it sends in this association."""

    def __init__(self, *, longest_pdu: int, seconds: float, most: int = LONGEST_ANSWER) -> None:
        """`longest_pdu`: what we negotiate; `seconds`: for a PDU from its first byte; `most`: bytes altogether."""
        self._longest_pdu = longest_pdu
        self._seconds = seconds
        self._left = most
        self._watch: Watch | None = None
        self._excess = ""
        self.connected_at: float | None = None
        """When the connection opened, by the monotonic clock; None: there was none."""
        self.heard_at = 0.0
        """When its last PDU came, by the same clock."""
        self.rejection: tuple[int, int] | None = None
        """Source and diagnostic (PS3.8 9.3.4). Where a peer rejects and hangs up faster than the association's thread
        wakes up, pynetdicom takes it for a failed connection (3.0.4)."""

    @property
    def trouble(self) -> str:
        """Why the association was ended, said of the peer; empty where it was not ended by us."""
        return self._excess or ("" if self._watch is None else self._watch.trouble)

    def handlers(self) -> list[tuple[Any, ...]]:
        """Event handlers to give to one `associate`, before all others."""
        return [(evt.EVT_CONN_OPEN, self._handle_open), (evt.EVT_PDU_RECV, self._handle_pdu)]

    def _handle_open(self, event: evt.Event) -> None:
        transport = cast(AssociationSocket, event.assoc.dul.socket)
        connected = cast(socket.socket, transport.socket)
        self.connected_at = time.monotonic()
        longest = self._longest_pdu + _SLACK
        if isinstance(connected, TlsPDUSocket):
            self._watch = connected.watch = Watch(longest_data=longest, seconds=self._seconds)
            return
        transport.socket = PDUSocket(connected, longest_data=longest, seconds=self._seconds)
        self._watch = transport.socket.watch

    def _handle_pdu(self, event: evt.Event) -> None:
        self.heard_at = time.monotonic()
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            self.rejection = (event.pdu.source or 0, event.pdu.reason_diagnostic or 0)
        self._left -= event.pdu.pdu_length
        if self._left < 0 and not self._excess:
            self._excess = "sends an answer without an end"
            log.warning("answer_too_long", ae_title=event.assoc.acceptor.ae_title)
            _cut_off(event.assoc)


class Intake:
    """Counts what one association sends, as it comes, and aborts when an object or the disk has no room for it.

    Its handlers run in the thread that reads from the connection. An exception in them would be swallowed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        longest_object: int,
        least_free_mebibytes: int,
        longest_pdu: int,
        book_too_large: Callable[[str, C_STORE_RQ], None],
    ) -> None:
        """`longest_object`: bytes; `folder`: where objects are written, `least_free_mebibytes` must stay free there.

        `book_too_large` is called with the calling AE title and the request before the association is aborted.
        """
        self._folder = folder
        self._book_too_large = book_too_large
        self._longest_object = longest_object
        self._least_free = least_free_mebibytes
        # A message that is no C-STORE is held in memory; so is a command set. Two PDUs may come before we know.
        self._longest_other = max(1 << 20, 2 * longest_pdu)
        self._came = 0
        self.trouble = ""
        """Why the association was ended, for a sentence; empty where it was not ended by us."""

    def watch(self, association: Association) -> None:
        """From now on."""
        association.bind(evt.EVT_PDU_RECV, self._handle_pdu)
        association.bind(evt.EVT_DIMSE_RECV, self._handle_message)
        association.bind(evt.EVT_CONN_CLOSE, _drop_part)

    def _handle_pdu(self, event: evt.Event) -> None:
        pdu = event.pdu
        if self.trouble or not isinstance(pdu, P_DATA_TF):
            return
        self._came += pdu.pdu_length
        trouble = self._trouble(event.assoc.dimse)
        if trouble:
            self.trouble = trouble
            title = ends_of(event.assoc).ae_title
            log.error("association_aborted", calling_ae_title=title, explanation=trouble)
            try:
                if trouble == _TOO_LARGE:
                    request = cast(C_STORE_RQ, event.assoc.dimse.message)
                    self._book_too_large(title, request)
            finally:
                _cut_off(event.assoc)

    def _handle_message(self, _event: evt.Event) -> None:
        self._came = 0

    def _trouble(self, dimse: DIMSEServiceProvider) -> str:
        if isinstance(dimse.message, C_STORE_RQ):
            if self._came > self._longest_object:
                return _TOO_LARGE
        elif self._came > self._longest_other:
            return "a message that is no image is larger than 1 MiB"
        if dimse.msg_queue.qsize() > _MESSAGES_WAITING:
            return "too many requests at once; none beyond one was negotiated"
        try:
            free = files.free_mebibytes(self._folder)
        except OSError:
            return ""  # nothing is written then: whoever sends is answered, with 0xA700
        return "the disk is below a quarter of node.reserve_mebibytes" if free < self._least_free else ""


def _drop_part(event: evt.Event) -> None:
    """Delete what there is of an object that will not be finished: a sender that tries again would fill the disk."""
    message = event.assoc.dimse.message
    part, opened = (getattr(message, name, None) for name in ("_data_set_path", "_data_set_file"))
    if opened is not None:
        opened.close()
    if part is not None:
        with suppress(OSError):  # of a disk that is away, where nothing was written
            Path(part).unlink(missing_ok=True)


def _cut_off(association: Association) -> None:
    """End it at once. Where we asked for it, somebody waits for an answer.

    pynetdicom wakes him up where a connection closes; where we abort it leaves him waiting for his time-out.
    """
    transport = association.dul.socket
    connection = None if transport is None else transport.socket
    if association.is_requestor and isinstance(connection, PDUSocket | TlsPDUSocket):
        connection.hang_up()
    else:
        association.abort()
