"""Tokens that are fetched with client credentials: when, how often, and what nobody gets to see of them."""

from __future__ import annotations

import base64
import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr, ValidationError
from structlog.testing import capture_logs

from agent.config import Config, DeliveryConfig
from agent.transports import try_out
from dicom_node.credentials import Credential, authorization
from dicom_node.errors import SendFailure
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Mode, Proof, Way
from dicom_node.transports import Destination, Parcel
from reports.rest.authority import Authority
from reports.rest.calls import Answer, Caller
from reports.rest.webhook import SIGNATURE, WebhookTransport
from tests.harness.node import wait_until

Script = Callable[[], tuple[int, object]]
SECRET = "s3cr:t/+é"


@dataclass
class House:
    """A token server at /token, and at every other path a service that wants one of its tokens.

    grants: what it was asked, with the header Authorization. calls: that of each call of the service.
    """

    url: str = ""
    grants: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    calls: list[dict[str, str]] = field(default_factory=list)
    script: Script | None = None
    life: object = 3600
    revoked: set[str] = field(default_factory=set)

    def grant(self) -> tuple[int, object]:
        if self.script:
            return self.script()
        return 200, {"access_token": f"t{len(self.grants)}", "token_type": "Bearer", "expires_in": self.life}

    def serve(self, header: str) -> int:
        token = header.removeprefix("Bearer ")
        return 401 if token in self.revoked or not token.startswith("t") else 200


@pytest.fixture
def house() -> Iterator[House]:
    made = House()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            header = self.headers.get("Authorization", "")
            if self.path == "/token":
                made.grants.append((header, parse_qs(body.decode())))
                status, said = made.grant()
                self._answer(status, said if isinstance(said, bytes) else json.dumps(said).encode())
            else:
                made.calls.append(dict(self.headers))
                self._answer(made.serve(header), b"{}")

        def do_GET(self) -> None:
            self.do_POST()

        def do_OPTIONS(self) -> None:
            self.do_POST()

        def _answer(self, status: int, body: bytes) -> None:
            with suppress(ConnectionError):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def caller() -> Iterator[Caller]:
    with Caller(seconds=60) as made:
        yield made


def client(house: House, **changes: object) -> dict[str, Credential]:
    values = {"token_url": f"{house.url}/token", "client_id": "wet:read", "client_secret": SECRET, "scope": "a b"}
    return {"ehr": Credential.model_validate({**values, **changes})}


def ehr(house: House, *, way: Way = Way.FHIR, url: str = "") -> Destination:
    where = url or f"{house.url}/fhir"
    return Destination("EHR", way, "", 0, where, Mode.DRAFT, Proof.QUERY, frozenset({Kind.FHIR}), credential="ehr")


@pytest.fixture
def authority(house: House, caller: Caller, clock: Clock) -> Authority:
    return Authority(client(house), caller, monotonic=clock)


def call(authority: Authority, house: House) -> int:
    return authority.call(ehr(house), "GET", f"{house.url}/fhir/metadata", headers={}).status


def test_a_token_is_fetched_once_and_used_until_shortly_before_its_end(
    authority: Authority, house: House, clock: Clock
) -> None:
    for at in (1000, 2000, 4569):  # 3600 s less 30
        clock.now = at
        assert call(authority, house) == 200
    assert len(house.grants) == 1
    clock.now = 4570
    assert call(authority, house) == 200
    assert len(house.grants) == 2
    assert [one["Authorization"] for one in house.calls] == ["Bearer t1"] * 3 + ["Bearer t2"]


def test_the_client_is_shown_as_the_standard_says(authority: Authority, house: House, caller: Caller) -> None:
    call(authority, house)
    header, form = house.grants[0]
    assert form == {"grant_type": ["client_credentials"], "scope": ["a b"]}
    assert base64.b64decode(header.removeprefix("Basic ")) == b"wet%3Aread:s3cr%3At%2F%2B%C3%A9"

    call(Authority(client(house, client_auth="body", scope=""), caller), house)
    header, form = house.grants[1]
    assert header == ""
    assert form == {"grant_type": ["client_credentials"], "client_id": ["wet:read"], "client_secret": [SECRET]}


def test_a_token_that_is_refused_is_fetched_anew_once(authority: Authority, house: House) -> None:
    call(authority, house)
    house.revoked = {"t1"}
    assert call(authority, house) == 200
    assert len(house.grants) == 2

    house.revoked = {f"t{number}" for number in range(100)}
    calls = len(house.calls)
    assert call(authority, house) == 401
    assert len(house.grants) == 3
    assert len(house.calls) == calls + 2


def test_many_threads_fetch_one_token(authority: Authority, house: House) -> None:
    threads = [threading.Thread(target=call, args=(authority, house)) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(house.calls) == 8
    assert len(house.grants) == 1


def test_a_token_server_that_hangs_keeps_no_other_credential_waiting(house: House, caller: Caller) -> None:
    """It is let go when another credential has fetched its token, and has used it again."""
    both = client(house)
    both["sound"] = client(house, scope="sound")["ehr"]
    authority = Authority(both, caller)
    hangs, served = threading.Event(), threading.Event()
    in_time: list[bool] = []

    def grant() -> tuple[int, object]:
        if house.grants[-1][1]["scope"] != ["sound"]:
            hangs.set()
            in_time.append(served.wait(45))
        return 200, {"access_token": "t", "token_type": "Bearer"}

    def wait() -> None:
        with suppress(SendFailure):
            call(authority, house)

    house.script = grant
    waiting = threading.Thread(target=wait)
    waiting.start()
    try:
        assert hangs.wait(60)
        found = [authority.headers(replace(ehr(house), credential="sound")) for _ in range(2)]
    finally:
        served.set()
        waiting.join()
    assert found == [{"Authorization": "Bearer t"}] * 2
    wait_until(lambda: in_time == [True], "the token server to be let go before it gave up")
    assert len(house.grants) == 2


def test_a_token_is_not_waited_for_as_long_as_an_answer(house: House, caller: Caller) -> None:
    """A delivery may ask for two within its lease, beside its own two calls."""
    asked: list[float] = []

    class Watched(Caller):
        def call(self, *arguments: Any, **options: Any) -> Answer:
            asked.append(options.get("seconds", math.inf))
            return caller.call(*arguments, **options)

    with Watched(seconds=60) as watched:
        assert call(Authority(client(house), watched), house) == 200
    assert asked == [10, math.inf]


@pytest.mark.parametrize(
    ("life", "used_until"),
    [(60, 54), ("600", 570), (None, 270), ("soon", 270), (-1, 270), (1e9, 86370), (10**400, 270)],
    ids=["short", "text", "untold", "nonsense", "negative", "long", "endless"],
)
def test_a_token_lives_as_long_as_it_is_said(
    authority: Authority, house: House, clock: Clock, life: object, used_until: int
) -> None:
    house.life = life
    call(authority, house)
    clock.now = 1000.0 + used_until - 1
    call(authority, house)
    assert len(house.grants) == 1
    clock.now = 1000.0 + used_until
    call(authority, house)
    assert len(house.grants) == 2


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        (401, {"error": "invalid_client", "error_description": "SECRET"}, "401 (invalid_client)"),
        (400, {"error": "SECRET"}, "answered 400: correct"),
        (500, b"SECRET", "answered 500"),
        (302, b"", "answered 302"),
        (200, b"SECRET", "without a token"),
        (200, b"[" * 60_000, "without a token"),
        (200, [], "without a token"),
        (200, {"access_token": "SEC\r\nRET", "token_type": "Bearer"}, "without a token"),
        (200, {"access_token": 5, "token_type": "Bearer"}, "without a token"),
        (200, {"access_token": "SECRET", "token_type": "mac"}, "another kind"),
        (200, b" " * 70_000, "more than"),
    ],
)
def test_a_token_server_that_fails_is_tried_again_and_not_quoted(
    authority: Authority, house: House, status: int, said: object, words: str
) -> None:
    house.script = lambda: (status, said)
    with capture_logs() as log, pytest.raises(SendFailure) as caught:
        call(authority, house)
    failure = caught.value
    assert words in str(failure)
    assert not any(hidden in f"{failure!r} {log}" for hidden in ("SECRET", SECRET, "s3cr"))
    assert not failure.permanent
    assert not failure.may_be_there
    assert house.calls == []
    house.script = None
    assert call(authority, house) == 200


def test_a_token_server_that_is_away_is_said_to_be(house: House, caller: Caller) -> None:
    authority = Authority(client(house, token_url="http://127.0.0.1:9/token"), caller)
    with pytest.raises(SendFailure, match="the token server of EHR cannot be reached") as caught:
        call(authority, house)
    assert caught.value.unreachable


def test_no_token_and_no_secret_is_sent_in_clear(authority: Authority, house: House) -> None:
    with pytest.raises(SendFailure, match="no https"):
        authority.headers(ehr(house, url="http://ehr.example/fhir"))
    assert house.grants == []
    with pytest.raises(ValidationError, match="must be https"):
        client(house, token_url="http://login.example/token")


@pytest.mark.parametrize("lacking", ["client_id", "client_secret"])
def test_half_a_client_is_refused(house: House, lacking: str) -> None:
    with pytest.raises(ValidationError, match="needs client_id and client_secret"):
        client(house, **{lacking: ""})
    with pytest.raises(ValidationError, match="needs either"):
        client(house, token="t")


def test_the_secret_is_shown_nowhere(house: House) -> None:
    credential = client(house)["ehr"]
    assert SECRET not in f"{credential!r} {credential} {credential.model_dump()}"


def test_dicomweb_says_that_it_has_no_such_thing(house: House) -> None:
    with pytest.raises(SendFailure, match="FHIR and webhooks only"):
        authorization(ehr(house, way=Way.STOW), client(house))


def test_a_webhook_gets_the_token_and_no_signature(house: House, caller: Caller) -> None:
    parcel = Parcel(ehr(house, way=Way.WEBHOOK), b"{}", Kind.OUTCOME, Stage.DRAFT, "", "1.2.3", "1.2.3.4")
    assert WebhookTransport(caller, client(house)).send(parcel) == "200"
    assert house.calls[0]["Authorization"] == "Bearer t1"
    assert SIGNATURE not in house.calls[0]

    signing = {"ehr": Credential(token=SecretStr("k3y"))}
    house.revoked = {""}
    with pytest.raises(SendFailure, match="401"):  # this house takes tokens only
        WebhookTransport(caller, signing).send(parcel)
    assert SIGNATURE in house.calls[1]
    assert "Authorization" not in house.calls[1]


def test_a_trial_of_the_destination_fetches_a_token_too(house: House) -> None:
    config = Config(delivery=DeliveryConfig(credentials=client(house)))
    assert try_out(config, ehr(house)) == "answers HTTP 200"
    assert len(house.grants) == 1
