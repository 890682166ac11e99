"""What every association of ours does, as acceptor and as requestor: no Nagle, no delayed ACK, no identifiers in logs.

Nagle's algorithm and delayed acknowledgements together cost 40 to 90 ms for every object between pynetdicom and a
default dcmtk, up to 77 times the transfer itself (measured); both are switched off here with public events alone.
"""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass
from typing import Any, cast

from pynetdicom import _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux; elsewhere the kernel decides


@dataclass(frozen=True, slots=True)
class Ends:
    """Who is at the other end of an association, from where, and by which of our AE titles it knows us there."""

    ae_title: str
    address: str
    own_ae_title: str


def ends_of(association: Association) -> Ends:
    """Whoever asked for it."""
    if association.is_requestor:
        there, own = association.acceptor, str(association.requestor.ae_title)
    else:
        # What pynetdicom says of the acceptor is always the first of our AE titles.
        there, own = association.requestor, str(cast(A_ASSOCIATE, association.requestor.primitive).called_ae_title)
    return Ends(str(there.ae_title).strip()[:16], there.address or "", own.strip()[:16])


def keep_identifiers_out_of_logs() -> None:
    """Switch off pynetdicom's logging of data sets and identifiers, which is on by default. Once per process."""
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)


def answer_at_once(event: evt.Event) -> None:
    """Switch off Nagle's algorithm and arm the quick acknowledgement when a connection opens."""
    connection = _socket(event)
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _acknowledge(connection)


def acknowledge_at_once(event: evt.Event) -> None:
    """Arm the quick acknowledgement again: the kernel forgets it."""
    connection = _socket(event)
    if connection is not None:
        _acknowledge(connection)


def prompt_handlers() -> list[tuple[Any, ...]]:
    """Event handlers to give to every `associate` and `start_server`."""
    return [
        (evt.EVT_CONN_OPEN, answer_at_once),
        (evt.EVT_PDU_RECV, acknowledge_at_once),
        (evt.EVT_PDU_SENT, acknowledge_at_once),
    ]


def _acknowledge(connection: socket.socket) -> None:
    if _QUICKACK is not None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        except OSError:  # the peer has gone; whoever reads next is told
            return


def _socket(event: evt.Event) -> socket.socket | None:
    transport = event.assoc.dul.socket
    return None if transport is None else transport.socket
