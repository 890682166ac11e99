"""A peer's own time-outs and longest PDU, in associations that we ask for and in those that it asks for."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from dicom_node import peer, peers
from dicom_node.config import NodeConfig
from dicom_node.database import clock
from dicom_node.destinations import of_peer
from dicom_node.dimse import DimseTransport
from dicom_node.errors import SendFailure
from dicom_node.tables import RemoteAE
from tests.harness import dcmtk
from tests.harness.door import OpenDoor, associated
from tests.harness.node import wait_until
from tests.harness.parcels import parcel

NODE = NodeConfig(dimse_timeout_seconds=600)
_THEIRS = re.compile(r"Their Max PDU Receive Size: +(\d+)")


def give(door_database: object, title: str, **terms: int) -> None:
    with door_database.write() as tx:  # type: ignore[attr-defined]
        peers.edit(tx, title, now=clock(tx), actor="test", **terms)  # type: ignore[arg-type]


def pacs(port: int, **terms: int) -> RemoteAE:
    return RemoteAE(ae_title="PACS", host="127.0.0.1", port=port, own_ae_title="", tls=False, tls_name="", **terms)


def address(port: int, **terms: int) -> peer.Address:
    registered = pacs(port, **terms)
    registered.objects = registered.probed = ""
    return peer.address_of(of_peer(registered), NODE)


# --- the peer asks for the association --------------------------------------------------------------------------------


def test_longest_pdu_is_said_to_each_caller(open_door: OpenDoor) -> None:
    door = open_door(maximum_pdu_size=65536)
    give(door.database, "PACS", maximum_pdu_size=8192)

    def told(calling: str) -> int:
        done = dcmtk.run("echoscu", "-d", "-aet", calling, "-aec", "WETREAD", "127.0.0.1", str(door.port))
        return int(_THEIRS.findall(done.stdout)[-1])

    assert (told("PACS"), told("CR1"), told("STRANGER")) == (8192, 65536, 65536)


def test_films_come_in_pdus_of_the_callers_own_length(open_door: OpenDoor, image: Path) -> None:
    door = open_door(maximum_pdu_size=4096)
    give(door.database, "PACS", maximum_pdu_size=131072)
    sent = dcmtk.store(door.port, image, options=("-d", "-pdu", "131072"))
    assert sent.returncode == 0, sent.stdout
    assert _THEIRS.findall(sent.stdout)[-1] == "131072"
    assert door.outcomes() == ["stored"]


def test_who_sends_more_at_once_than_was_agreed_is_cut_off(open_door: OpenDoor) -> None:
    door = open_door(maximum_pdu_size=131072)
    give(door.database, "PACS", maximum_pdu_size=4096)
    with associated(door.port) as association:
        association.dul.socket.send(struct.pack(">BBL", 0x04, 0, 65536))
        wait_until(lambda: not association.is_established, "the association to end", seconds=60)


def test_silence_ends_the_association_of_the_impatient_peer_only(open_door: OpenDoor) -> None:
    door = open_door()
    give(door.database, "PACS", idle_timeout_seconds=1)
    with associated(door.port, title="CR1") as patient, associated(door.port, title="PACS") as impatient:
        wait_until(lambda: not impatient.is_established, "the association to end", seconds=60)
        assert patient.is_established


def test_pdu_that_does_not_end_is_not_waited_for_beyond_the_callers_time(open_door: OpenDoor) -> None:
    door = open_door(dimse_timeout_seconds=600, idle_timeout_seconds=600)
    give(door.database, "PACS", dimse_timeout_seconds=1)
    with associated(door.port) as association:
        association.dul.socket.send(struct.pack(">BBL", 0x04, 0, 4000))
        wait_until(lambda: not association.is_established, "the association to end", seconds=60)


# --- we ask for the association ---------------------------------------------------------------------------------------


def test_longest_pdu_is_said_to_each_peer_that_we_call(tmp_path: Path) -> None:
    with dcmtk.receiver(tmp_path, "-d", title="PACS") as port:
        peer.echo(address(port))
        peer.echo(address(port, maximum_pdu_size=32768))
    told = _THEIRS.findall((tmp_path / "storescp.log").read_text())
    assert list(dict.fromkeys(told)) == [str(peer.USUAL_PDU), "32768"]


@contextmanager
def silent() -> Iterator[int]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as taken:

        def serve() -> None:
            while True:
                try:
                    taken.enter_context(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("option", ["acse_timeout_seconds", "dimse_timeout_seconds"])
def test_who_accepts_nothing_is_waited_for_by_its_own_time(option: str) -> None:
    with silent() as port, pytest.raises(SendFailure, match="gave no answer within 1 s: is this the port") as failure:
        peer.echo(address(port, **{option: 1}))
    assert "hung up" not in str(failure.value)


def test_who_answers_nothing_is_waited_for_by_its_own_time() -> None:
    let_go = threading.Event()

    def wait(_event: evt.Event) -> int:
        let_go.wait(120)
        return 0x0000

    entity = AE(ae_title="PACS")
    entity.add_supported_context(Verification)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, wait)])
    assert server is not None
    began = time.monotonic()
    try:
        with pytest.raises(SendFailure, match="answered C-ECHO with no status"):
            peer.echo(address(server.server_address[1], dimse_timeout_seconds=1, acse_timeout_seconds=60))
        assert time.monotonic() - began < 60
    finally:
        let_go.set()
        server.shutdown()


def test_documents_are_sent_with_the_terms_of_the_peer() -> None:
    with silent() as port:
        registered = pacs(port, acse_timeout_seconds=1, dimse_timeout_seconds=7)
        registered.objects = registered.probed = ""
        transport = DimseTransport("WETREAD", answer_seconds=600)
        to = of_peer(registered)
        assert transport.address(to).answer_seconds == 7
        with pytest.raises(SendFailure, match="gave no answer within 1 s"):
            transport.send(parcel(to))
        transport.close()


def test_person_waits_no_longer_than_a_person_does() -> None:
    registered = pacs(104, acse_timeout_seconds=900, dimse_timeout_seconds=900)
    registered.objects = registered.probed = ""
    asked = peer.address_of(of_peer(registered), NODE, seconds=5)
    assert (asked.answer_seconds, asked.accept_seconds) == (5, 5)
