"""MLLP inside TLS: our server and our client with each other, and each with what it must turn away."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.config import Config
from agent.transports import try_out
from dicom_node.endpoints import place
from dicom_node.errors import ConfigurationError, SendFailure
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Mode, Proof, Way
from dicom_node.transports import Destination, Parcel
from reports.config import Hl7Config
from reports.hl7 import server
from reports.hl7.incoming import Ack, Code, Incoming
from reports.hl7.mllp import MllpTransport
from reports.hl7.tls import client_context, server_context
from tests.harness.node import wait_until
from tests.harness.papers import Authority, Paper

NOW = datetime(2025, 3, 2, 9, 0, 1, tzinfo=UTC)
MESSAGE = b"MSH|^~\\&|A|B|C|D|20250302||ORU^R01|C-1|P|2.5.1\rPID|1||EX-1\rOBR|1||||||||||||||||||||||||F\r"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.founded(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def paper(authority: Authority) -> Paper:
    return authority.sign("node")


def settings(authority: Authority, paper: Paper | None, **changes: object) -> Hl7Config:
    shown = {} if paper is None else {"tls_certificate": paper.certificate, "tls_key": paper.key}
    return Hl7Config.model_validate({"tls_ca": authority.own.certificate, **shown, **changes})


@contextmanager
def serving(hl7: Hl7Config) -> Iterator[tuple[server.MllpServer, list[Incoming]]]:
    heard: list[Incoming] = []

    def handler(incoming: Incoming) -> Ack:
        heard.append(incoming)
        return Ack(Code.ACCEPT)

    door = server.Hl7Config(senders=(ip_network("127.0.0.0/8"),), port=0, tls=server_context(hl7))
    running = server.MllpServer(door, handler, lambda: NOW)
    running.start()
    try:
        yield running, heard
    finally:
        running.stop()


def parcel(port: int, *, host: str = "127.0.0.1", scheme: str = "mllps") -> Parcel:
    where = place(f"{scheme}://{host}:{port}")
    to = Destination(
        "RIS", Way.MLLP, where.host, where.port, where.url, Mode.DRAFT, Proof.ACKNOWLEDGEMENT, frozenset({Kind.ORU})
    )
    return Parcel(to, MESSAGE, Kind.ORU, Stage.DRAFT, "", "1.2.3", "1.2.3.4")


def transport(hl7: Hl7Config) -> MllpTransport:
    return MllpTransport(connect_seconds=60, answer_seconds=60, tls=partial(client_context, hl7))


def test_a_message_goes_through_where_both_show_certificates(authority: Authority, paper: Paper) -> None:
    hl7 = settings(authority, paper)
    with serving(hl7) as (running, heard):
        assert transport(hl7).send(parcel(running.port)) == "AA"
        trial = try_out(Config(hl7=hl7), parcel(running.port).destination)
    assert [one.control_id for one in heard] == ["C-1"]
    assert "takes connections" in trial


def failed(log: Sequence[Mapping[str, object]]) -> list[object]:
    return [one["event"] for one in log if one["event"] == "hl7_tls_failed"]


def test_a_sender_without_a_certificate_or_with_a_strange_one_is_not_heard(
    authority: Authority, paper: Paper, tmp_path: Path
) -> None:
    stranger = Authority.founded(tmp_path, "elsewhere").sign("stranger")
    with serving(settings(authority, paper)) as (running, heard), capture_logs() as log:
        for shown in (None, stranger):
            with pytest.raises(SendFailure) as caught:  # by an alert, or the end of the connection
                transport(settings(authority, shown)).send(parcel(running.port))
            assert not caught.value.permanent
        wait_until(lambda: len(failed(log)) == 2, "the port to say so of both", seconds=60)
    assert heard == []
    assert len(failed(log)) == 2


def test_client_certificates_may_be_left_out_where_a_person_says_so(authority: Authority, paper: Paper) -> None:
    with serving(settings(authority, paper, tls_require_client_certificate=False)) as (running, heard):
        assert transport(settings(authority, None)).send(parcel(running.port)) == "AA"
    assert len(heard) == 1


def test_without_tls_nothing_is_heard_at_a_port_with_tls(authority: Authority, paper: Paper) -> None:
    with serving(settings(authority, paper)) as (running, heard):
        with pytest.raises(SendFailure):
            transport(settings(authority, paper)).send(parcel(running.port, scheme="mllp"))
        assert heard == []
        assert transport(settings(authority, paper)).send(parcel(running.port)) == "AA"


def test_a_receiver_that_is_not_the_one_gets_nothing(authority: Authority, paper: Paper, tmp_path: Path) -> None:
    """Signed by somebody else, or for another host, or without TLS at all."""
    strange = Authority.founded(tmp_path, "elsewhere")
    other_host = authority.sign("other", host="DNS:ris.example")
    hl7 = settings(authority, paper)
    for theirs in (settings(strange, strange.sign("node")), settings(authority, other_host)):
        with serving(theirs) as (running, heard):
            with pytest.raises(SendFailure, match="its certificate is") as caught:
                transport(hl7).send(parcel(running.port))
            assert heard == []
            assert not caught.value.may_be_there
    with serving(Hl7Config()) as (running, heard):
        with pytest.raises(SendFailure):  # it never answers to the handshake
            replace(transport(hl7), connect_seconds=1).send(parcel(running.port))
        assert heard == []


def test_old_versions_of_tls_are_refused(authority: Authority, paper: Paper) -> None:
    hl7 = settings(authority, paper)
    made = server_context(hl7)
    assert made is not None
    assert made.minimum_version is ssl.TLSVersion.TLSv1_2
    assert client_context(hl7).minimum_version is ssl.TLSVersion.TLSv1_2
    names = {one["name"] for one in made.get_ciphers() if one["protocol"] == "TLSv1.2"}
    assert names
    assert all(name.startswith("ECDHE-") and ("GCM" in name or "CHACHA20" in name) for name in names)


def test_a_silent_peer_holds_up_neither_others_nor_the_end(authority: Authority, paper: Paper) -> None:
    hl7 = settings(authority, paper)
    with serving(hl7) as (running, heard), socket.create_connection(("127.0.0.1", running.port)):
        assert transport(hl7).send(parcel(running.port)) == "AA"
    assert len(heard) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tls_certificate": "/nowhere.pem"}, "hl7.tls_certificate"),
        ({"tls_ca": "/nowhere.pem"}, "hl7.tls_ca"),
        ({"tls_ca": None}, "hl7.tls_ca"),
        ({"tls_key": __file__}, "holds no PEM that fits"),
    ],
)
def test_what_is_wrong_with_the_files_is_said(
    authority: Authority, paper: Paper, changes: dict[str, str | None], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        server_context(settings(authority, paper, **changes))


def test_a_destination_whose_certificate_cannot_be_read_is_tried_again(authority: Authority, paper: Paper) -> None:
    lost = transport(settings(authority, paper, tls_certificate="/nowhere.pem"))
    said = pytest.raises(SendFailure, match=r"hl7\.tls_certificate")
    with serving(settings(authority, paper)) as (running, _), said as caught:
        lost.send(parcel(running.port))
    assert not caught.value.permanent
