"""The pages on real sockets: TLS as configured, in the clear never, and patience that ends."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from agent import certificates, health, serving
from agent.config import Config, WebConfig, read_config
from agent.pages import make_pages
from agent.serving import make_server
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.errors import ConfigurationError
from dicom_node.tls import Files
from reports.people.rights import Role
from tests.harness.certificates import DAY, Authority
from tests.harness.node import free_port, wait_until
from tests.harness.people import add_user

NAME = "wetread.hospital.example"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


@pytest.fixture
def serve(tmp_path: Path, sqlite_url: str) -> Iterator[Callable[[WebConfig], int]]:
    """Serves the real pages with these settings in a thread; gives the port."""
    database = Database(sqlite_url)
    running = []

    def start(web: WebConfig) -> int:
        config = Config(node=NodeConfig(data_folder=tmp_path, reserve_mebibytes=1), web=web)
        server = make_server(make_pages(config, database), config.web)
        thread = threading.Thread(target=server.run, daemon=True)
        running.append((server, thread))
        thread.start()
        wait_until(lambda: server.started, "the pages are served")
        return web.port

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()
    database.close()


def secured(ours: Files) -> WebConfig:
    """All cards, with a certificate."""
    return WebConfig(
        bind_address="0.0.0.0",
        port=free_port(),
        hosts=(NAME,),
        tls_certificate=ours.certificate,
        tls_key=ours.key,
    )


def client(authority: Authority) -> httpx.Client:
    """A browser that trusts the hospital's CA."""
    return httpx.Client(verify=ssl.create_default_context(cafile=str(authority.file)), timeout=60)


def test_pages_by_tls_show_nothing_to_strangers_and_say_so_to_browsers(
    authority: Authority, serve: Callable[[WebConfig], int]
) -> None:
    port = serve(secured(authority.issue("web", alternatives=("127.0.0.1", NAME))))

    with client(authority) as browser:
        house = f"https://127.0.0.1:{port}"
        ours = {"Host": f"{NAME}:{port}"}
        probe = browser.get(f"{house}/healthz", headers=ours)
        page = browser.get(f"{house}/", headers=ours | {"Accept": "text/html"})
        foreign = browser.get(f"{house}/", headers={"Host": "evil.example"})

    assert probe.text == "alive\n"
    assert probe.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert (page.status_code, page.headers["Location"]) == (303, "/sign-in?next=%2F")
    assert (foreign.status_code, foreign.text) == (421, f"These pages answer to {NAME} only.\n")


def test_port_for_tls_answers_nothing_in_the_clear(authority: Authority, serve: Callable[[WebConfig], int]) -> None:
    port = serve(secured(authority.issue("web")))

    with socket.create_connection(("127.0.0.1", port), timeout=60) as wire:
        wire.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        assert b"HTTP/" not in everything_from(wire)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_is_of_this_decade(
    authority: Authority, serve: Callable[[WebConfig], int], version: ssl.TLSVersion
) -> None:
    port = serve(secured(authority.issue("web")))
    context = ssl.create_default_context(cafile=str(authority.file))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = version

    def greet() -> str | None:
        wire = socket.create_connection(("127.0.0.1", port), timeout=60)
        with wire, context.wrap_socket(wire, server_hostname="localhost") as secure:
            return secure.version()

    if version is ssl.TLSVersion.TLSv1_1:
        with pytest.raises(ssl.SSLError):
            greet()
    else:
        assert greet() == version.name.replace("_", ".")


def test_pages_behind_a_proxy_answer_to_it_alone(serve: Callable[[WebConfig], int]) -> None:
    ours = {"Host": NAME, "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
    elsewhere = serve(WebConfig(port=free_port(), hosts=(NAME,), proxy=("10.0.0.3/32",)))  # type: ignore[arg-type]
    here = serve(WebConfig(port=free_port(), hosts=(NAME,), proxy=("127.0.0.1/32",)))  # type: ignore[arg-type]

    refused = httpx.get(f"http://127.0.0.1:{elsewhere}/", headers=ours, timeout=60)
    direct = httpx.get(f"http://127.0.0.1:{here}/", timeout=60)
    through = httpx.get(f"http://127.0.0.1:{here}/readyz", headers=ours, timeout=60)
    plain = httpx.get(f"http://127.0.0.1:{here}/", headers=ours | {"X-Forwarded-Proto": "http"}, timeout=60)

    assert (refused.status_code, "through the proxy" in refused.text) == (403, True)
    assert (direct.status_code, "X-Forwarded-Proto" in direct.text) == (403, True)
    assert (through.status_code, "Strict-Transport-Security" in through.headers) == (200, True)
    assert (plain.status_code, plain.headers["Location"]) == (308, f"https://{NAME}/")


def test_words_of_an_expired_certificate_and_of_one_for_another_name(authority: Authority) -> None:
    old = authority.issue("old", alternatives=("old.example", "*.hospital.example"), begins=-9 * DAY, ends=-DAY)
    web = secured(old).model_copy(update={"hosts": (NAME, "wetread")})

    told = list(certificates.examine(Config(web=web), datetime.now(UTC)))

    assert [(setting, verdict) for setting, verdict, _ in told] == [
        ("web.tls_certificate", "wrong"),
        ("web.hosts", "warning"),
    ]
    assert "has expired on" in told[0][2]
    assert "is not for wetread: browsers will refuse it" in told[1][2]  # the star covers the other


def test_check_says_that_pages_for_others_are_shut_without_users(tmp_path: Path, sqlite_url: str) -> None:
    node = NodeConfig(data_folder=tmp_path, database=SecretStr(sqlite_url))
    behind = WebConfig(hosts=(NAME,), proxy=("10.0.0.3/32",))  # type: ignore[arg-type]

    def told(web: WebConfig) -> list[str]:
        return [one.words for one in health.findings(Config(node=node, web=web)) if one.subject == "pages"]

    here, shut = told(WebConfig()), told(behind)
    database = Database(sqlite_url)
    add_user(database, "ada", Role.ADMINISTRATOR)
    database.close()

    assert shut == [f"https://{NAME} shows nothing, since there are no users; make the first: wetread user first"]
    assert here == told(behind) == []


def test_wrong_key_is_told_in_words(authority: Authority) -> None:
    ours, other = authority.issue("ours"), authority.issue("other")
    web = secured(Files(ours.certificate, other.key))

    with pytest.raises(ConfigurationError, match=r"web\.tls_certificate with web\.tls_key: .*holds no PEM that fits"):
        make_server(nothing, web)


async def nothing(scope: object, receive: object, send: object) -> None:
    """An app that answers nobody."""


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('bind_address = "0.0.0.0"', "beyond 127.0.0.1 the pages need TLS"),
        ('bind_address = "10.0.0.7"\ntls_certificate = "a.pem"', "by which names do others call the pages"),
        ('bind_address = "0.0.0.0"\nhosts = ["a.example"]', "beyond 127.0.0.1 the pages need TLS"),
        ('hosts = ["a.example"]', "hosts are for others than this machine"),
        ('proxy = ["127.0.0.1/32"]', "by which names do others call the pages"),
        ('hosts = ["a.example"]\nproxy = ["10.0.0.3/32"]\ntls_certificate = "a.pem"', "choose one"),
        ('hosts = ["https://a.example"]\nproxy = ["10.0.0.3/32"]', "web.hosts.0"),
        ('bind_address = "everywhere"', "web.bind_address"),
    ],
)
def test_settings_that_would_be_unsafe_are_refused(tmp_path: Path, settings: str, words: str) -> None:
    file = tmp_path / "wetread.toml"
    file.write_text(f"[web]\n{settings}\n")

    with pytest.raises(ConfigurationError, match=words):
        read_config(file)


@pytest.mark.parametrize(
    ("web", "address"),
    [
        (WebConfig(), "http://127.0.0.1:8080"),
        (WebConfig(bind_address="::1", port=81), "http://[::1]:81"),
        (WebConfig(hosts=(NAME,), proxy=("10.0.0.3/32",)), f"https://{NAME}"),  # type: ignore[arg-type]
        (WebConfig(hosts=(NAME,), tls_certificate=Path("a.pem"), port=8443), f"https://{NAME}:8443"),
        (WebConfig(hosts=(NAME,), tls_certificate=Path("a.pem"), port=443), f"https://{NAME}"),
    ],
)
def test_links_for_people_begin_with_the_address_that_they_can_reach(web: WebConfig, address: str) -> None:
    assert web.address == address


def test_web_process_serves_by_tls_and_ends_in_order(authority: Authority, tmp_path: Path, sqlite_url: str) -> None:
    ours, port = authority.issue("web"), free_port()
    file = tmp_path / "wetread.toml"
    settings = {"tls_certificate": str(ours.certificate), "tls_key": str(ours.key)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    node = f"[node]\ndata_folder = {json.dumps(str(tmp_path))}\ndatabase = {json.dumps(sqlite_url)}\n"
    file.write_text(f"{node}[web]\nport = {port}\n" + "\n".join(lines))
    command = [sys.executable, "-m", "agent", "--config", str(file), "web"]

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, client(authority) as browser:
        answer = wait_until(lambda: tried(browser, f"https://localhost:{port}/healthz"), "the pages are there")
        process.terminate()
        _, told = process.communicate(timeout=60)

    assert answer.text == "alive\n"
    assert "Traceback" not in told


def tried(browser: httpx.Client, address: str) -> httpx.Response | None:
    try:
        return browser.get(address)
    except httpx.TransportError:
        return None


# --- patience -----------------------------------------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server that waits a quarter of a second for a request; gives its port."""
    monkeypatch.setattr(serving, "REQUEST_SECONDS", 0.25)
    web = WebConfig(port=free_port())
    server = make_server(greeting, web)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, "the server is up")
    yield web.port
    server.should_exit = True
    thread.join(60)


async def greeting(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
    """Answers without a look at the body."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b""),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx", b"HTTP/1.1 200 OK"),
    ],
)
def test_whoever_never_finishes_is_hung_up_on(hasty: int, sent: bytes, answer: bytes) -> None:
    with socket.create_connection(("127.0.0.1", hasty), timeout=60) as wire:
        wire.sendall(sent)
        assert everything_from(wire).startswith(answer)  # ends only because the server hangs up


def test_dribbling_prolongs_nothing(hasty: int) -> None:
    with socket.create_connection(("127.0.0.1", hasty), timeout=0.05) as wire:
        wire.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")

        def is_over() -> bool:
            try:
                wire.sendall(b"x")
                return wire.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        wait_until(is_over, "the server to hang up")


def everything_from(wire: socket.socket) -> bytes:
    """Until the other side ends it."""
    found = b""
    try:
        while part := wire.recv(65_536):
            found += part
    except ConnectionResetError:
        pass
    return found
