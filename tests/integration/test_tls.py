"""DICOM inside TLS, with dcmtk on the other side: who gets in, whom we call, and what is said where it fails."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from dicom_node import peer, peers, turned_away
from dicom_node.config import NodeConfig
from dicom_node.database import clock
from dicom_node.destinations import of_peer
from dicom_node.errors import ConfigurationError, SendFailure
from dicom_node.tables import RemoteAE
from dicom_node.tls import Files, Secured
from tests.harness import dcmtk
from tests.harness.certificates import DAY, Authority
from tests.harness.door import Door, OpenDoor
from tests.harness.node import free_port, wait_until


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


ON_ONE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # TLS knows no database
OpenTls = Callable[..., Door]


@pytest.fixture
def tls_door(open_door: OpenDoor, authority: Authority) -> OpenTls:
    """Opens a listener with a port for TLS beside the plain one."""

    def open_one(**settings: object) -> Door:
        ours = authority.issue("wetread")
        return open_door(
            tls_port=free_port(),
            tls_certificate=ours.certificate,
            tls_key=ours.key,
            tls_ca=ours.authorities,
            **settings,
        )

    return open_one


def options(files: Files) -> tuple[str, ...]:
    return ("+tls", str(files.key), str(files.certificate), "+cf", str(files.authorities))


def echo(port: int, *tls: str) -> str:
    done = dcmtk.run("echoscu", "-v", *tls, "-aet", "PACS", "-aec", "WETREAD", "localhost", str(port))
    return "" if done.returncode == 0 else done.stdout


def refused(door: Door) -> list[tuple[str, str]]:
    with door.database.read() as tx:
        return [(row.code, row.explanation) for row in turned_away.newest(tx)]


@ON_ONE
def test_film_comes_in_by_tls_with_certificates_on_both_sides(
    tls_door: OpenTls, authority: Authority, image: Path
) -> None:
    door = tls_door()
    pacs = options(authority.issue("pacs"))
    assert echo(door.config.tls_port, *pacs) == ""
    done = dcmtk.run(
        "storescu", "-v", *pacs, "-aet", "PACS", "-aec", "WETREAD", "localhost", str(door.config.tls_port), image
    )
    assert done.returncode == 0, done.stdout
    assert door.outcomes() == ["stored"]
    assert dcmtk.echo(door.port).returncode == 0, "the plain port is open beside it"


@ON_ONE
def test_peer_that_must_use_tls_is_refused_in_the_clear(tls_door: OpenTls, authority: Authority, image: Path) -> None:
    door = tls_door()
    with door.database.write() as tx:
        peers.edit(tx, "PACS", now=clock(tx), actor="test", must_use_tls=True)
    assert echo(door.port) != ""
    assert echo(door.config.tls_port, *options(authority.issue("pacs"))) == ""
    ((code, words),) = wait_until(lambda: refused(door), "the refusal to be written", seconds=30)
    assert (code, "must use TLS: let it call node.tls_port" in words) == ("tls-required", True)


def with_its_ca(files: Files, authority: Authority) -> Files:
    """The same, where the file of the certificate holds its CA as well, so that the handshake shows both."""
    assert files.certificate is not None
    files.certificate.write_bytes(files.certificate.read_bytes() + authority.file.read_bytes())
    return files


@ON_ONE
@pytest.mark.parametrize(
    ("caller", "words"),
    [
        ("nameless", "it showed no certificate"),
        ("of another CA", "is signed by nobody that we trust: put the CA that signed it into node.tls_ca"),
        ("with the other CA", "is signed by a CA that we do not trust: put that CA into node.tls_ca"),
        ("self-signed", "is self-signed"),
        ("expired", "has expired"),
        ("not yet valid", "is not valid yet: is a clock wrong"),
        ("in the clear", "it does not speak TLS on that port"),
    ],
)
def test_caller_that_is_not_let_in_is_told_to_us_in_words(
    tls_door: OpenTls, authority: Authority, tmp_path: Path, caller: str, words: str
) -> None:
    door = tls_door()
    stranger = Authority(tmp_path / "elsewhere", "Other CA")
    callers: dict[str, Callable[[], Files | None]] = {
        "nameless": lambda: None,
        "of another CA": lambda: stranger.issue("pacs", trusts=authority.file),
        "with the other CA": lambda: with_its_ca(stranger.issue("pacs", trusts=authority.file), stranger),
        "self-signed": lambda: authority.issue("pacs", self_signed=True),
        "expired": lambda: authority.issue("pacs", begins=-9 * DAY, ends=-DAY),
        "not yet valid": lambda: authority.issue("pacs", begins=DAY),
        "in the clear": lambda: None,
    }
    files = callers[caller]()
    how = options(files) if files else ("+tla", "-ic") if caller == "nameless" else ()
    assert echo(door.config.tls_port, *how) != ""
    ((code, told),) = wait_until(lambda: refused(door), "the refusal to be written", seconds=30)
    assert code == "tls-failed"
    assert words in told
    assert "127.0.0.1" in told


@ON_ONE
def test_caller_without_certificate_is_let_in_where_that_is_configured(tls_door: OpenTls) -> None:
    door = tls_door(tls_require_client_certificate=False)
    assert echo(door.config.tls_port, "+tla", "-ic") == ""


@ON_ONE
def test_silent_connection_keeps_nobody_waiting(tls_door: OpenTls, authority: Authority) -> None:
    door = tls_door()
    silent = [socket.create_connection(("127.0.0.1", door.config.tls_port)) for _ in range(5)]
    assert echo(door.config.tls_port, *options(authority.issue("pacs"))) == ""
    for connection in silent:
        connection.close()


@ON_ONE
def test_more_silent_connections_than_there_is_room_for_give_way(tls_door: OpenTls, authority: Authority) -> None:
    door = tls_door()
    with ExitStack() as silent:
        for _ in range(40):
            silent.enter_context(socket.create_connection(("127.0.0.1", door.config.tls_port)))
        assert echo(door.config.tls_port, *options(authority.issue("pacs"))) == ""
        assert echo(door.config.tls_port, *options(authority.issue("other"))) == ""


@ON_ONE
def test_tls_only_opens_no_port_in_the_clear(tls_door: OpenTls, authority: Authority) -> None:
    door = tls_door(tls_only=True)
    assert echo(door.config.tls_port, *options(authority.issue("pacs"))) == ""
    assert not dcmtk.listens(door.port)


@ON_ONE
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tls_ca": None}, "Set node.tls_ca, or node.tls_require_client_certificate = false"),
        ({"tls_key": "ca"}, "holds no PEM that fits"),
        ({"tls_certificate": "absent"}, "cannot be read (No such file or directory)"),
    ],
)
def test_wrong_files_are_named_before_the_port_opens(
    open_door: OpenDoor, authority: Authority, settings: dict[str, str | None], words: str
) -> None:
    ours = authority.issue("wetread")
    places = {"ca": authority.file, "absent": authority.folder / "absent.pem"}
    files = {"tls_certificate": ours.certificate, "tls_key": ours.key, "tls_ca": ours.authorities}
    files |= {name: None if place is None else places[place] for name, place in settings.items()}
    with pytest.raises(ConfigurationError) as raised:
        open_door(tls_port=free_port(), **files)
    assert words in str(raised.value)


# --- we call ----------------------------------------------------------------------------------------------------------


@contextmanager
def pacs(folder: Path, files: Files | None) -> Iterator[int]:
    with dcmtk.receiver(folder / "pacs", *(options(files) if files else ()), title="PACS") as port:
        yield port


def call(port: int, ours: Files, name: str = "localhost") -> None:
    peer.echo(peer.Address("WETREAD", "PACS", "127.0.0.1", port, 10, 10, Secured(ours, name)))


def test_peer_is_called_by_tls_with_certificates_on_both_sides(authority: Authority, tmp_path: Path) -> None:
    with pacs(tmp_path, authority.issue("pacs")) as port:
        call(port, authority.issue("wetread"))
        call(port, authority.issue("wetread"), name="127.0.0.1")


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        ("another name", "its certificate is for another name than 'localhost': correct its host, or name what it"),
        ("expired", "its certificate has expired: it must be renewed there (or a clock is wrong)"),
        ("self-signed", "its certificate is self-signed: put that very certificate into node.tls_ca"),
        (
            "of another CA",
            "its certificate is signed by nobody that we trust: put the CA that signed it into node.tls_",
        ),
        ("with the other CA", "its certificate is signed by a CA that we do not trust: put that CA into node.tls_ca"),
        ("in the clear", "does it speak TLS on that port?"),
    ],
)
def test_peer_that_is_not_the_right_one_gets_nothing_and_we_are_told_why(
    authority: Authority, tmp_path: Path, theirs: str, words: str
) -> None:
    stranger = Authority(tmp_path / "elsewhere", "Other CA")
    peers_there: dict[str, Callable[[], Files | None]] = {
        "another name": lambda: authority.issue("pacs", alternatives=["pacs.example.org"]),
        "expired": lambda: authority.issue("pacs", begins=-9 * DAY, ends=-timedelta(hours=1)),
        "self-signed": lambda: authority.issue("pacs", self_signed=True),
        "of another CA": lambda: stranger.issue("pacs", trusts=authority.file),
        "with the other CA": lambda: with_its_ca(stranger.issue("pacs", trusts=authority.file), stranger),
        "in the clear": lambda: None,
    }
    with pacs(tmp_path, peers_there[theirs]()) as port, pytest.raises(SendFailure) as raised:
        call(port, authority.issue("wetread"))
    assert words in str(raised.value)
    assert raised.value.unreachable


def test_peer_that_does_not_trust_us_says_so(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "elsewhere", "Other CA")
    with pacs(tmp_path, authority.issue("pacs")) as port:
        with pytest.raises(SendFailure, match=r"does not trust the CA of our|does not accept our"):
            call(port, stranger.issue("wetread", trusts=authority.file))
        with pytest.raises(SendFailure, match="wants a certificate of ours"):
            call(port, Files(authorities=authority.file))


def test_certificate_of_ours_that_is_gone_is_a_failure_of_this_call_alone(authority: Authority, tmp_path: Path) -> None:
    gone = Files(tmp_path / "gone.pem", None, authority.file)
    with pytest.raises(SendFailure, match=r"gone\.pem cannot be read"):
        call(free_port(), gone)


def test_address_of_a_peer_says_how_it_is_called(authority: Authority) -> None:
    ours = authority.issue("wetread")
    node = NodeConfig(tls_certificate=ours.certificate, tls_key=ours.key, tls_ca=ours.authorities)
    remote = RemoteAE(ae_title="PACS", host="10.0.0.5", port=2762, tls=True, tls_name="pacs.example.org")
    remote.own_ae_title, remote.objects, remote.probed = "WETREAD2", "", ""
    address = peer.address_of(of_peer(remote), node)
    assert (address.own_ae_title, address.tls) == ("WETREAD2", Secured(node.tls_files, "pacs.example.org"))
