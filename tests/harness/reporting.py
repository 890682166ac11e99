"""Systems that take reports, on real sockets: an HL7 listener, a FHIR server with conditional requests, a web hook.

They read with libraries that have no part in writing: hl7apy, fhirclient and fhir.resources.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fhir.resources.R4B.bundle import Bundle
from fhirclient.models import bundle as fhirclient
from hl7apy.core import Message
from hl7apy.parser import parse_message

Script = Callable[[socket.socket, bytes], None]


@dataclass
class Ris:
    """An HL7 listener. `script` answers each message; by default AA. `messages` are those that were read."""

    port: int = 0
    messages: list[Message] = field(default_factory=list)
    script: Script | None = None

    def answer(self, connection: socket.socket, raw: bytes) -> None:
        message = parse_message(raw.decode("utf-8"), find_groups=False)
        self.messages.append(message)
        reply(connection, "AA", message.msh.msh_10.value)


def reply(connection: socket.socket, code: str, control_id: str) -> None:
    text = f"MSH|^~\\&|RIS|H|WETREAD||20250302||ACK^R01^ACK|1|P|2.5.1\rMSA|{code}|{control_id}\r"
    connection.sendall(b"\x0b" + text.encode() + b"\x1c\r")


@contextmanager
def ris() -> Iterator[Ris]:
    made = Ris()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made.port = listener.getsockname()[1]
        thread = threading.Thread(target=_serve, args=(listener, made))
        thread.start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _serve(listener: socket.socket, made: Ris) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(10)
            buffer = b""
            while b"\x1c\r" not in buffer:
                chunk = connection.recv(4096)
                if not chunk:
                    break
                buffer += chunk
            else:
                (made.script or made.answer)(connection, buffer[1:-2])


@dataclass
class Ehr:
    """A FHIR server and web hook. `script` may answer a request itself: (status, body, headers), or None to go on.

    store: resources by type and number. requests: method, path, headers and body of each request.
    """

    url: str = ""
    store: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    script: Callable[[str, str], tuple[int, bytes, dict[str, str]] | None] | None = None

    def find(self, kind: str, query: str) -> list[tuple[str, int]]:
        system, _, value = parse_qs(query)["identifier"][0].partition("|")
        return [
            key
            for key, resource in self.store.items()
            if key[0] == kind
            and any((one.get("system"), one["value"]) == (system, value) for one in resource["identifier"])
        ]

    def add(self, resource: dict[str, Any]) -> str:
        key = (resource["resourceType"], len(self.store) + 1)
        self.store[key] = resource
        return f"{key[0]}/{key[1]}"

    def transaction(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """Take all entries or none (FHIR R4 3.1.0.11.2): conditional creates and updates, references resolved."""
        Bundle.model_validate_json(body)
        fhirclient.Bundle(json.loads(body))
        before = dict(self.store)
        try:
            places = [self._take(entry) for entry in json.loads(body)["entry"]]
            names = {url: place for url, place, _ in places}
            for _, place, _ in places:
                kind, number = place.split("/")
                self.store[kind, int(number)] = self._resolved(self.store[kind, int(number)], names)
        except LookupError:
            self.store = before
            issue = {"severity": "error", "code": "not-found", "diagnostics": "Patient EX-0001 Secret is unknown"}
            return 412, {"resourceType": "OperationOutcome", "issue": [issue]}
        answers = [{"response": {"status": status}} for _, _, status in places]
        return 200, {"resourceType": "Bundle", "type": "transaction-response", "entry": answers}

    def _take(self, entry: dict[str, Any]) -> tuple[str, str, str]:
        request, resource = entry["request"], entry["resource"]
        kind, _, query = request["url"].partition("?")
        found = self.find(kind, query or request["ifNoneExist"])
        if len(found) > 1:
            raise LookupError
        if not found:
            return entry["fullUrl"], self.add(resource), "201 Created"
        if request["method"] == "PUT":
            self.store[found[0]] = resource
        return entry["fullUrl"], f"{found[0][0]}/{found[0][1]}", "200 OK"

    def _resolved(self, value: Any, names: dict[str, str]) -> Any:
        if isinstance(value, list):
            return [self._resolved(one, names) for one in value]
        if not isinstance(value, dict):
            return value
        made = {key: self._resolved(one, names) for key, one in value.items()}
        reference = made.get("reference")
        if isinstance(reference, str) and not reference.startswith("#"):
            kind, _, query = reference.partition("?")
            made["reference"] = names[reference] if not query and reference in names else reference
            if query:
                (key,) = self.find(kind, query) or [None]
                if key is None:
                    raise LookupError
                made["reference"] = f"{key[0]}/{key[1]}"
        return made


@contextmanager
def ehr() -> Iterator[Ehr]:
    made = Ehr()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.requests.append(("POST", self.path, dict(self.headers), body))
            scripted = made.script("POST", self.path) if made.script else None
            if scripted is None and urlsplit(self.path).path == "/hook":
                scripted = (204, b"", {})
            if scripted is None:
                status, answer = made.transaction(body)
                scripted = (status, json.dumps(answer).encode(), {})
            self._answer(*scripted)

        def do_GET(self) -> None:
            made.requests.append(("GET", self.path, dict(self.headers), b""))
            scripted = made.script("GET", self.path) if made.script else None
            if scripted is None:
                parts = urlsplit(self.path)
                found = made.find(parts.path.rsplit("/", 1)[1], parts.query)
                entries = [{"resource": made.store[key]} for key in found]
                scripted = (200, json.dumps({"resourceType": "Bundle", "entry": entries}).encode(), {})
            self._answer(*scripted)

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            with suppress(ConnectionError):  # a client that had enough has gone
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}/fhir"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()
