"""A client that is known by its key, at a token server that others wrote: SMART Backend Services, private_key_jwt."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select
from structlog.testing import capture_logs

from agent.cli import wetread
from agent.config import read_config
from agent.transports import open_transports
from dicom_node.database import Database
from dicom_node.errors import SendFailure
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Mode, ProcessBeat, Proof, Way
from dicom_node.transports import Destination, Parcel
from reports.rest.assertion import read_key
from tests.harness.keys import ec_key, rsa_key
from tests.harness.node import wait_until
from tests.harness.oidc import CLIENT, SECRET, token_server

SCOPE = "system/DiagnosticReport.crus"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The client's name -> its private key."""
    folder = tmp_path_factory.mktemp("keys")
    return {"of-rsa": rsa_key(folder / "rsa.pem"), "of-ec": ec_key(folder / "ec.pem")}


@pytest.fixture(scope="module")
def issuer(keys: Mapping[str, Path]) -> Iterator[str]:
    with token_server({name: read_key(path).public("2026-11") for name, path in keys.items()}) as address:
        yield address


class Service:
    """Answers whoever has a token that its issuer calls good; keeps of whom it was, and which."""

    def __init__(self, issuer: str) -> None:
        self.introspection = f"{issuer}/token/introspection"
        self.url = ""
        self.clients: list[str] = []
        self.tokens: list[str] = []

    def judge(self, header: str) -> int:
        token = header.removeprefix("Bearer ")
        self.tokens.append(token)
        told = httpx.post(self.introspection, data={"token": token}, auth=(quoted(CLIENT), quoted(SECRET))).json()
        if not told["active"] or told["scope"] != SCOPE:
            return 401
        self.clients.append(told["client_id"])
        return 200


def quoted(text: str) -> str:
    """As RFC 6749 2.3.1 wants it in HTTP Basic."""
    return str(httpx.QueryParams({"x": text}))[2:]


@pytest.fixture
def service(issuer: str) -> Iterator[Service]:
    made = Service(issuer)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(made.judge(self.headers.get("Authorization", "")))
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST = answer  # noqa: N815  the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


class Site:
    """A configuration with one credential, and the commands on it."""

    def __init__(self, folder: Path, issuer: str, client: str, key: Path) -> None:
        self.file = folder / "wetread.toml"
        self.values = {
            "token_url": f"{issuer}/token",
            "client_id": client,
            "client_auth": "private_key_jwt",
            "client_key": str(key),
            "client_key_id": "2026-11",
            "scope": SCOPE,
        }
        self.folder = folder
        self.write()

    def write(self, **changes: str) -> None:
        entries = "\n".join(f"{name} = {json.dumps(value)}" for name, value in {**self.values, **changes}.items())
        self.file.write_text(f'[node]\ndata_folder = "{self.folder}"\n[delivery.credentials.ehr]\n{entries}\n')

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(wetread, ["--config", str(self.file), *words])

    def post(self, service: Service) -> str:
        """An outcome for a webhook."""
        to = Destination(
            "QUALITY", Way.WEBHOOK, "", 0, service.url, Mode.DRAFT, Proof.QUERY, frozenset(), credential="ehr"
        )
        with open_transports(read_config(self.file)) as transports:
            return transports[Way.WEBHOOK].send(Parcel(to, b"{}", Kind.OUTCOME, Stage.DRAFT, "", "1.2.3", "1.2.3.4"))


@pytest.fixture(params=["of-rsa", "of-ec"])
def site(request: pytest.FixtureRequest, tmp_path: Path, issuer: str, keys: Mapping[str, Path]) -> Site:
    return Site(tmp_path, issuer, request.param, keys[request.param])


@pytest.fixture
def one(tmp_path: Path, issuer: str, keys: Mapping[str, Path]) -> Site:
    """With a key of its own."""
    own = tmp_path / "own.pem"
    shutil.copy(keys["of-ec"], own)
    return Site(tmp_path, issuer, "of-ec", own)


def test_a_client_is_known_by_its_key_and_its_token_is_good(site: Site, service: Service) -> None:
    assert site.post(service) == "200"
    assert service.clients == [site.values["client_id"]]


def test_an_assertion_may_be_for_the_issuer_and_for_nobody_else(one: Site, service: Service, issuer: str) -> None:
    one.write(client_audience=issuer)
    assert one.post(service) == "200"
    one.write(client_audience="https://another.example.org/token")
    with pytest.raises(SendFailure, match=r"answered 401 \(invalid_client\)"):
        one.post(service)


def test_a_destination_is_tried_with_the_key(one: Site, service: Service) -> None:
    assert one.run("db", "upgrade").exit_code == 0
    added = one.run("destination", "add", "EHR", f"{service.url}/fhir", "--way", "fhir", "--credential", "ehr")
    assert added.exit_code == 0, added.output

    tried = one.run("destination", "test", "EHR")

    assert (tried.exit_code, tried.output) == (0, "EHR answers HTTP 200\n")
    assert service.clients == ["of-ec"]


def test_another_key_is_refused_and_nothing_of_it_is_told(one: Site, service: Service) -> None:
    ec_key(Path(one.values["client_key"]))
    with capture_logs() as log, pytest.raises(SendFailure) as refused:
        one.post(service)

    words = "the token server of QUALITY answered 401 (invalid_client): correct delivery.credentials; does it know our"
    assert words in str(refused.value)
    assert (refused.value.permanent, refused.value.may_be_there, service.tokens) == (False, False, [])
    assert "eyJ" not in f"{refused.value!r} {log}", "no assertion"


def test_a_new_key_is_used_without_a_start_and_a_lost_one_is_named(
    one: Site, service: Service, keys: Mapping[str, Path]
) -> None:
    own = Path(one.values["client_key"])
    own.unlink()
    with pytest.raises(SendFailure, match=rf"no token for QUALITY: the key {own} cannot be read") as failure:
        one.post(service)
    assert not failure.value.permanent

    shutil.copy(keys["of-ec"], own)
    assert one.post(service) == "200"


def test_the_public_key_is_printed_for_the_token_server_and_nothing_else(site: Site) -> None:
    said = site.run("destination", "jwks", "ehr")

    assert said.exit_code == 0, said.output
    (key,) = json.loads(said.stdout)["keys"]
    assert (key["kid"], key["use"], key["alg"]) == ("2026-11", "sig", "RS384" if key["kty"] == "RSA" else "ES384")
    assert not key.keys() & {"d", "p", "q", "dp", "dq", "qi"}


def test_check_names_a_key_that_cannot_be_used(one: Site) -> None:
    own = Path(one.values["client_key"])
    assert one.run("db", "upgrade").exit_code == 0

    def told() -> tuple[str, str]:
        found: list[dict[str, Any]] = json.loads(one.run("check", "--json").stdout)
        (line,) = [line for line in found if line["subject"] == "delivery.credentials.ehr.client_key"]
        return line["verdict"], line["words"]

    assert told() == ("ok", f"{own}: ES384, key 2026-11")
    own.chmod(0o604)
    assert told() == (
        "wrong",
        f"the key {own} is open to every user of this machine, so it is not used: chmod 640 {own}; make a new one if "
        "others may have read it",
    )


def test_send_names_a_key_that_cannot_be_used_when_it_starts_and_goes_on(one: Site) -> None:
    own = Path(one.values["client_key"])
    own.unlink()
    assert one.run("db", "upgrade").exit_code == 0
    log = one.folder / "send.log"
    command = [sys.executable, "-m", "agent", "--config", str(one.file), "send"]
    with log.open("w") as written, subprocess.Popen(command, stderr=written) as process:
        try:
            database = Database(read_config(one.file).node.database_url)
            wait_until(lambda: "send" in beating(database), "`send` to be at work")
        finally:
            process.terminate()
        assert process.wait(60) == 0
    database.close()
    (line,) = [json.loads(line) for line in log.read_text().splitlines() if "client_key_unusable" in line]
    assert line["explanation"] == f"the key {own} cannot be read (No such file or directory)"


def beating(database: Database) -> set[str]:
    with database.read() as tx:
        return {name.partition("@")[0] for name in tx.scalars(select(ProcessBeat.name))}
