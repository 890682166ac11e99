"""STOW-RS and QIDO-RS against a service that answers whatever the test wants: what counts, and what each failure is."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from dicom_node.credentials import Credential
from dicom_node.dicomweb import LONGEST_ANSWER, StowTransport
from dicom_node.errors import SendFailure
from dicom_node.kinds import Kind
from dicom_node.tables import Way
from dicom_node.transports import Destination
from tests.harness.node import free_port
from tests.harness.outbox import STUDY
from tests.harness.parcels import destination, parcel

CREDENTIALS = {
    "token": Credential(token=SecretStr("s3cret")),
    "person": Credential(user="wetread", password=SecretStr("pass:word")),
}
UID = parcel(destination()).sop_instance_uid


class Service:
    """What it was asked, and what it answers: status, headers and body."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.status, self.headers, self.body = 200, {"Content-Type": "application/dicom+json"}, b"{}"
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.drips, self.done = False, threading.Event()

    def drops(self) -> Iterator[bytes]:
        """The body, whole or byte by byte; nobody waits for more than this many."""
        if not self.drips:
            yield self.body
            return
        for at in range(len(self.body)):
            yield self.body[at : at + 1]
            if self.done.wait(0.1):
                return

    def say(self, status: int, body: Any = None, **headers: str) -> None:
        self.status, self.headers = status, {name.replace("_", "-"): value for name, value in headers.items()}
        self.body = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def to(service: Service) -> Iterator[Destination]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            service.asked.append((self.command, self.path, dict(self.headers), body))
            service.may_answer.wait(60)
            self.send_response(service.status)
            for name, value in service.headers.items():
                self.send_header(name, value)
            if service.status != 204:
                self.send_header("Content-Length", str(len(service.body)))
            self.end_headers()
            if service.status != 204:
                for drop in service.drops():
                    with suppress(OSError):  # whoever asked has gone
                        self.wfile.write(drop)

        do_GET = do_POST = answer  # noqa: N815  the library's names

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield destination(way=Way.STOW, name="ARCHIVE", url=f"http://127.0.0.1:{server.server_port}/dicom-web/")
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def transport() -> Iterator[StowTransport]:
    made = StowTransport(CREDENTIALS, connect_seconds=60, answer_seconds=60)
    yield made
    made.close()


def failed(reason: int | None, uid: str = UID) -> dict[str, Any]:
    item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    if reason is not None:
        item["00081197"] = {"vr": "US", "Value": [reason]}
    return {"00081198": {"vr": "SQ", "Value": [item]}}


def test_object_goes_as_one_part_of_a_related_body(service: Service, to: Destination, transport: StowTransport) -> None:
    sent = parcel(to)
    assert transport.send(sent) == "200"

    ((method, path, headers, body),) = service.asked
    message = message_from_bytes(b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + body, policy=HTTP)
    (part,) = message.iter_parts()
    assert (method, path, headers["Accept"]) == ("POST", "/dicom-web/studies", "application/dicom+json")
    assert message.get_content_type() == "multipart/related"
    assert message.get_param("type") == "application/dicom"
    assert part.get_content_type() == "application/dicom"
    assert b"\r\n\r\n" + sent.payload + b"\r\n--" in body


@pytest.mark.parametrize(
    ("credential", "header"),
    [("", None), ("token", "Bearer s3cret"), ("person", "Basic d2V0cmVhZDpwYXNzOndvcmQ=")],
)
def test_credential_is_sent_where_one_is_named(
    service: Service, to: Destination, transport: StowTransport, credential: str, header: str | None
) -> None:
    transport.send(parcel(destination(way=Way.STOW, url=to.url, credential=credential)))

    assert service.asked[0][2].get("Authorization") == header


def test_credential_is_not_sent_in_clear(transport: StowTransport) -> None:
    elsewhere = destination(way=Way.STOW, url="http://pacs.invalid/dicom-web", credential="token")
    with pytest.raises(SendFailure, match="no https") as failure:
        transport.send(parcel(elsewhere))
    assert failure.value.permanent


def test_credential_that_the_configuration_lacks_is_named(to: Destination, transport: StowTransport) -> None:
    with pytest.raises(SendFailure, match=r"'gone', which delivery\.credentials lacks") as failure:
        transport.send(parcel(destination(way=Way.STOW, url=to.url, credential="gone")))
    assert not failure.value.permanent, "the administrator adds it, and it goes on"


@pytest.mark.parametrize("values", [{}, {"user": "a", "token": "b"}, {"password": "b"}])
def test_half_a_credential_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="either token, or user and password"):
        Credential.model_validate(values)


@pytest.mark.parametrize(
    ("status", "body", "answer"),
    [
        (200, None, "200"),
        (200, b"<NativeDicomModel/>", "200"),
        (202, {"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": [UID]}}]}}, "202"),
        (409, failed(0x0111), "409 0111"),
        (
            202,
            {
                "00081199": {
                    "vr": "SQ",
                    "Value": [{"00081155": {"vr": "UI", "Value": [UID]}, "00081196": {"vr": "US", "Value": [0xB000]}}],
                }
            },
            "202 B000",
        ),
    ],
)
def test_success_duplicate_and_warnings_are_sent(
    service: Service, to: Destination, transport: StowTransport, status: int, body: Any, answer: str
) -> None:
    service.say(status, body)
    assert transport.send(parcel(to)) == answer


@pytest.mark.parametrize("status", [200, 202, 409])
@pytest.mark.parametrize(
    ("reason", "permanent", "class_refused"),
    [
        (0xA700, False, False),
        (0xA900, True, False),
        (0xC000, False, False),
        (0x0110, False, False),
        (0x0122, True, True),
        (None, False, False),
    ],
)
def test_reason_in_the_answer_counts_whatever_the_http_status_is(
    service: Service,
    to: Destination,
    transport: StowTransport,
    status: int,
    reason: int | None,
    permanent: bool,
    class_refused: bool,
) -> None:
    service.say(status, failed(reason))
    with pytest.raises(SendFailure, match="ARCHIVE") as failure:
        transport.send(parcel(to))
    assert (failure.value.permanent, failure.value.class_refused) == (permanent, class_refused)
    assert not failure.value.may_be_there


def test_failure_of_another_object_is_not_ours(service: Service, to: Destination, transport: StowTransport) -> None:
    service.say(202, failed(0xA700, uid="1.2.3"))
    assert transport.send(parcel(to)) == "202"


@pytest.mark.parametrize(
    ("status", "permanent", "may_be_there", "words"),
    [
        (400, True, False, "HTTP 400"),
        (401, False, False, "does not accept our credential"),
        (403, False, False, "may not"),
        (404, False, False, "is the URL right"),
        (409, False, False, "HTTP 409"),
        (413, True, False, "too large"),
        (415, True, False, "multipart/related"),
        (429, False, False, "too much to do"),
        (302, False, False, "register the URL"),
        (500, False, True, "HTTP 500"),
        (503, False, True, "HTTP 503"),
    ],
)
def test_http_status_is_told_in_words(
    service: Service,
    to: Destination,
    transport: StowTransport,
    status: int,
    permanent: bool,
    may_be_there: bool,
    words: str,
) -> None:
    service.say(status, None, Location=f"{to.url}elsewhere")
    with pytest.raises(SendFailure, match=words) as failure:
        transport.send(parcel(to))
    assert (failure.value.permanent, failure.value.may_be_there) == (permanent, may_be_there)
    assert len(service.asked) == 1, "it followed a redirect"


def test_silence_after_the_bytes_left_is_doubt(service: Service, to: Destination) -> None:
    hasty = StowTransport(CREDENTIALS, connect_seconds=60, answer_seconds=2)
    service.may_answer.clear()
    with pytest.raises(SendFailure, match="did not answer within the time-out") as failure:
        hasty.send(parcel(to))
    service.may_answer.set()
    hasty.close()
    assert (failure.value.may_be_there, failure.value.unreachable) == (True, False)


def test_nobody_there_is_unreachable(transport: StowTransport) -> None:
    away = destination(way=Way.STOW, url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(SendFailure, match="cannot be reached") as failure:
        transport.send(parcel(away))
    assert (failure.value.may_be_there, failure.value.unreachable) == (False, True)


def test_answer_without_an_end_is_not_read(service: Service, to: Destination, transport: StowTransport) -> None:
    service.say(200, b" " * (LONGEST_ANSWER + 65537))
    with pytest.raises(SendFailure, match="without an end"):
        transport.send(parcel(to))


def test_answer_that_drips_ends_with_the_time_out_and_not_with_its_last_drop(service: Service, to: Destination) -> None:
    service.say(200, b" " * 3000)  # five minutes of drops, none of them late
    service.drips = True
    quick = StowTransport(CREDENTIALS, connect_seconds=60, answer_seconds=1)
    began = time.monotonic()
    with pytest.raises(SendFailure, match="without an end"):
        quick.send(parcel(to))
    assert time.monotonic() - began < 120
    service.done.set()
    quick.close()


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (200, [{"00080018": {"vr": "UI", "Value": [UID]}}], True),
        (200, [{"00080018": {"vr": "UI", "Value": ["1.2.3"]}}], False),
        (200, [], False),
        (200, b"<html>", False),
        (204, None, False),
        (404, None, False),
    ],
)
def test_proof_is_what_a_search_finds(
    service: Service, to: Destination, transport: StowTransport, status: int, body: Any, found: bool
) -> None:
    service.say(status, body)
    asked = parcel(to)

    assert transport.holds(asked) is found
    assert service.asked[0][:2] == (
        "GET",
        f"/dicom-web/studies/{asked.study_instance_uid}/instances?SOPInstanceUID={asked.sop_instance_uid}",
    )


def test_search_that_fails_is_no_answer(service: Service, to: Destination, transport: StowTransport) -> None:
    service.say(503)
    with pytest.raises(SendFailure, match="HTTP 503") as failure:
        transport.holds(parcel(to))
    assert not failure.value.may_be_there


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, [{"0020000D": {"vr": "UI", "Value": [STUDY]}}], [True]),
        (200, [], [False]),
        (204, None, [False]),
        (200, b"<html>", []),
        (404, None, []),
        (503, None, []),
    ],
    ids=["there", "none", "no content", "a page", "no such service", "out of order"],
)
def test_only_a_search_that_found_nothing_says_that_a_study_is_not_there(
    service: Service, to: Destination, transport: StowTransport, status: int, body: Any, told: list[bool]
) -> None:
    service.say(status, body)
    heard: list[bool] = []

    def hear(named: bool) -> int:
        heard.append(named)
        return int(not named)

    asked = replace(parcel(replace(to, identity_check=True)), heard=hear)
    with pytest.raises(SendFailure) if told == [False] else suppress(SendFailure):
        transport.send(asked)

    assert heard == told
    assert [method for method, *_ in service.asked] == (["GET"] if told == [False] else ["GET", "POST"])


def test_boundary_is_not_in_the_object(service: Service, to: Destination, transport: StowTransport) -> None:
    first = parcel(to, Kind.PDF)
    transport.send(first)
    boundary = service.asked[0][2]["Content-Type"].partition("boundary=")[2]

    assert boundary.encode() not in first.payload
    assert service.asked[0][3].count(boundary.encode()) == 2
