"""A connection that we end is at its end."""

from __future__ import annotations

import socket
import struct

from dicom_node.pdu_socket import PDUSocket


def test_nothing_is_read_of_what_had_come_before_we_hung_up() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as door,
        socket.create_connection(door.getsockname()) as peer,
        PDUSocket(door.accept()[0], longest_data=1024, seconds=5) as ours,
    ):
        pdu = struct.pack(">BxL", 0x04, 8) + b"12345678"
        peer.sendall(pdu + pdu)
        assert ours.recv(1024) == pdu[:6]
        assert ours.recv(1024) == pdu[6:]

        ours.hang_up()

        assert ours.recv(1024) == b""
