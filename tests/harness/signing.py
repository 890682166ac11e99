"""A FHIR server on a real socket where radiologists sign: searches by status and Last Updated, pages, single reads.

What it serves is validated by fhir.resources and fhirclient, which have no part in what reads it here.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.imagingstudy import ImagingStudy
from fhir.resources.R4B.patient import Patient
from fhir.resources.R4B.servicerequest import ServiceRequest
from fhirclient.models.bundle import Bundle as OtherBundle

Answer = tuple[int, bytes]
MODELS = {one.__name__: one for one in (DiagnosticReport, ImagingStudy, Patient, ServiceRequest)}
DICOM_UID = "urn:dicom:uid"
MRN = "urn:oid:1.2.3"


@dataclass
class Signer:
    """The server. script: answers a path itself, or None to go on. asked: each path with its query, as it came."""

    url: str = ""
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    script: Callable[[str], Answer | None] | None = None
    page: int = 50

    def put(self, resource: dict[str, Any], *, at: datetime | None = None) -> None:
        """Keep a resource, as a valid one."""
        stamp = (at or datetime.now(UTC)).isoformat(timespec="milliseconds")
        kept = {**resource, "meta": {**resource.get("meta", {}), "versionId": "1", "lastUpdated": stamp}}
        MODELS[kept["resourceType"]].model_validate(kept)
        self.resources[f"{kept['resourceType']}/{kept['id']}"] = kept

    def searches(self) -> list[dict[str, list[str]]]:
        return [parse_qs(urlsplit(path).query) for path in self.asked if "DiagnosticReport?status" in path]

    def answer(self, path: str) -> Answer:
        self.asked.append(path)
        if self.script and (scripted := self.script(path)):
            return scripted
        parts = urlsplit(path)
        place = parts.path.removeprefix("/fhir/")
        if place == "DiagnosticReport":
            return 200, json.dumps(self._search(parse_qs(parts.query), path)).encode()
        found = self.resources.get(place)
        return (404, b"") if found is None else (200, json.dumps(found).encode())

    def _search(self, query: dict[str, list[str]], path: str) -> dict[str, Any]:
        since = datetime.fromisoformat(query["_lastUpdated"][0].removeprefix("gt"))
        states = query["status"][0].split(",")
        found = [
            one
            for one in self.resources.values()
            if one["resourceType"] == "DiagnosticReport"
            and one["status"] in states
            and datetime.fromisoformat(one["meta"]["lastUpdated"]) > since
        ]
        found.sort(key=lambda one: one["meta"]["lastUpdated"])
        first = int(query.get("_offset", ["0"])[0])
        links = []
        if first + self.page < len(found):
            links = [
                {"relation": "next", "url": f"{path.split('&_offset', maxsplit=1)[0]}&_offset={first + self.page}"}
            ]
        bundle = {
            "resourceType": "Bundle",
            "type": "searchset",
            "link": links,
            "entry": [{"resource": one} for one in found[first : first + self.page]],
        }
        Bundle.model_validate(bundle)
        OtherBundle(json.loads(json.dumps(bundle)))
        return bundle


def signed(
    number: str = "1",
    *,
    status: str = "final",
    patient: str = "EX-0001",
    system: str = MRN,
    study: str = "",
    accession: str = "",
    **more: Any,
) -> dict[str, Any]:
    """A report that names its patient, and its study or its order, by identifiers."""
    report: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "id": number,
        "status": status,
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}]}],
        "code": {"text": "Chest"},
        "subject": {"identifier": {"system": system, "value": patient}, "display": "Secret Name"},
        "conclusion": "SECRET WORDS",
        "performer": [{"display": "Reader"}],
    }
    if study:
        report["imagingStudy"] = [{"identifier": {"system": DICOM_UID, "value": f"urn:oid:{study}"}}]
    if accession:
        report["basedOn"] = [{"identifier": numbered(accession)}]
    return {**report, **more}


def numbered(value: str, *, kind: str = "ACSN", system: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": kind}]},
        "value": value,
    }
    return {**made, "system": system} if system else made


@contextmanager
def signer() -> Iterator[Signer]:
    made = Signer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            made.headers.append(dict(self.headers))
            status, body = made.answer(self.path)
            with suppress(ConnectionError):  # a client that had enough has gone
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}/fhir"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
