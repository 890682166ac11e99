"""MLLP: HL7 v2 messages over TCP, one at a time (HL7 v2 transport specification, release 1), and the way out over it.

One connection carries one message: an answer that comes too late can then never be taken for that of the next message.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dicom_node.errors import ConfigurationError, SendFailure
from dicom_node.hosts import with_port
from dicom_node.transports import Destination, Parcel
from reports.hl7.tls import SCHEME, explain

START: Final = b"\x0b"
END: Final = b"\x1c\r"
MAXIMUM_ANSWER: Final = 65536  # bytes; an acknowledgment has some 200

_CHUNK: Final = 65536
_TAKEN: Final = frozenset({"AA", "CA"})
_TRY_AGAIN: Final = frozenset({"AE", "CE"})
_REFUSED: Final = frozenset({"AR", "CR"})


@dataclass(frozen=True, slots=True)
class MllpTransport:
    """Sends ORU messages. connect_seconds: for TCP and TLS; answer_seconds: until the whole acknowledgment is here.

    tls: how destinations with a URL of mllps:// are spoken to; made when the first of them is.
    """

    connect_seconds: float = 10.0
    answer_seconds: float = 60.0
    tls: Callable[[], ssl.SSLContext] = ssl.create_default_context

    def send(self, parcel: Parcel) -> str:
        """Send one message and wait for its acknowledgment.

        Raises SendFailure: no connection, no answer, one that is not ours, or AE; permanent for AR.
        """
        where = f"{parcel.destination.name} ({with_port(parcel.destination.host, parcel.destination.port)})"
        if not parcel.payload.startswith(b"MSH|") or START in parcel.payload or END[:1] in parcel.payload:
            raise SendFailure("the payload is no HL7 message that MLLP can carry", permanent=True)
        answer = self._exchange(parcel, where)
        code, control_id = _acknowledgment(answer)
        if control_id != _field(parcel.payload, 10):
            raise SendFailure(f"{where} acknowledged another message; it is sent again", may_be_there=True)
        if code in _TAKEN:
            return code
        if code in _TRY_AGAIN:
            raise SendFailure(f"{where} answered {code}: it could not process the message now; it is sent again")
        if code in _REFUSED:
            raise SendFailure(f"{where} answered {code}: it refuses this message; see its log", permanent=True)
        words = f"{where} answered with no acknowledgment code that HL7 knows; it is sent again"
        raise SendFailure(words, may_be_there=True)

    def holds(self, parcel: Parcel) -> bool:  # noqa: ARG002  the protocol of transports
        """Return True: HL7 v2 has no other proof than the acknowledgment."""
        return True

    def _exchange(self, parcel: Parcel, where: str) -> bytes:
        """The acknowledgment. Once the first byte has left, the receiver may have the message."""
        try:
            connection = connect(parcel.destination, seconds=self.connect_seconds, tls=self.tls)
        except ssl.SSLError as error:
            raise SendFailure(f"{where}: {explain(error, host=parcel.destination.host)}", unreachable=True) from None
        except ConfigurationError as error:  # of our own certificate: a person mends it
            raise SendFailure(f"{where}: {error}") from None
        except OSError as error:  # covers time-outs
            raise SendFailure(f"{where} cannot be reached ({type(error).__name__})", unreachable=True) from None
        try:
            with connection:
                connection.settimeout(self.answer_seconds)
                connection.sendall(START + parcel.payload + END)
                return self._answer(connection, where)
        except ssl.SSLError as error:
            # with TLS 1.3 it looks at our certificate only after we may send; it reads no message after an alert
            raise SendFailure(f"{where}: {explain(error)}", may_be_there="ALERT" not in str(error.reason)) from None
        except OSError as error:
            raise SendFailure(f"{where} did not answer ({type(error).__name__})", may_be_there=True) from None
        except SendFailure as failure:
            failure.may_be_there = True
            raise

    def _answer(self, connection: socket.socket, where: str) -> bytes:
        deadline = time.monotonic() + self.answer_seconds
        received = b""
        while (end := received.find(END)) < 0:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise SendFailure(f"{where} did not finish its answer within {self.answer_seconds:g} s")
            connection.settimeout(remaining)
            chunk = connection.recv(_CHUNK)
            if not chunk:
                raise SendFailure(f"{where} closed the connection before it had answered; the message is sent again")
            received += chunk
            if len(received) > MAXIMUM_ANSWER:
                raise SendFailure(f"{where} answered with more than {MAXIMUM_ANSWER} bytes; that is no acknowledgment")
        start = received.find(START)
        if not 0 <= start < end:
            raise SendFailure(f"{where} answered without an MLLP frame")
        return received[start + 1 : end]


def connect(destination: Destination, *, seconds: float, tls: Callable[[], ssl.SSLContext]) -> socket.socket:
    """Connect, by TLS where its URL says so. seconds: for each of TCP and TLS.

    Raises OSError, of which ssl.SSLError is one; ConfigurationError by `tls`.
    """
    plain = socket.create_connection((destination.host, destination.port), timeout=seconds)
    if not destination.url.startswith(f"{SCHEME}://"):
        return plain
    try:
        return tls().wrap_socket(plain, server_hostname=destination.host)
    except (OSError, ConfigurationError):
        plain.close()
        raise


def _acknowledgment(answer: bytes) -> tuple[str, str]:
    """MSA-1 and MSA-2, by the delimiter that the answer declares; empty texts where it has none."""
    field = answer[3:4]
    if not answer.startswith(b"MSH") or not field or field.isalnum():
        return "", ""
    for line in re.split(rb"[\r\n]+", answer):
        if line.startswith(b"MSA" + field):
            parts = [part.decode("ascii", "replace").strip() for part in line.split(field)]
            return parts[1].upper(), parts[2] if len(parts) > 2 else ""
    return "", ""


def _field(message: bytes, number: int) -> str:
    """MSH-`number` of a message of ours."""
    fields = message.split(b"\r", 1)[0].split(b"|")
    return fields[number - 1].decode("ascii", "replace") if len(fields) >= number else ""
