"""QIDO-RS searches against a service that answers whatever the test wants: nothing it sends keeps us for ever."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dicom_node import reconcile_web
from dicom_node.errors import SendFailure
from dicom_node.reconcile_web import searching_web
from dicom_node.tables import Way
from dicom_node.transports import Destination
from tests.harness.parcels import destination

KEYS = {"StudyInstanceUID": ""}


@contextmanager
def service(body: Callable[[], Iterator[bytes]], *, status: int = 200) -> Iterator[Destination]:
    """It answers every search with this status and these bytes, until nobody listens any more."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            try:
                for chunk in body():
                    self.wfile.write(chunk)
            except OSError:
                pass

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield destination(way=Way.STOW, name="ARCHIVE", url=f"http://127.0.0.1:{server.server_port}/dicom-web")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def search(to: Destination, *, seconds: float) -> list[str]:
    with searching_web(to, {}, seconds=seconds) as ask:
        return [answer["StudyInstanceUID"] for answer in ask("STUDY", KEYS)]


def test_answers_are_read() -> None:
    page = json.dumps([{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}]).encode()
    with service(lambda: iter([page[:7], page[7:]])) as to:
        assert search(to, seconds=60) == ["1.2.3"]


def test_answer_without_an_end_is_read_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile_web, "LONGEST_PAGE", 1 << 20)

    def spaces() -> Iterator[bytes]:
        yield b"["
        for _ in range(64):
            yield b" " * 65536
        yield b"]"

    with service(spaces) as to, pytest.raises(SendFailure, match="without an end"):
        search(to, seconds=60)


def test_answer_drop_by_drop_ends_at_the_deadline() -> None:
    """Each drop comes within the time-out; they go on for ten seconds after the second that the answer may take."""
    nobody_listens = threading.Event()

    def drops() -> Iterator[bytes]:
        yield b"["
        for _ in range(110):
            if nobody_listens.wait(0.1):
                return
            yield b" "
        yield b"]"

    with service(drops) as to:
        with pytest.raises(SendFailure, match=r"without an end|ReadTimeout"):
            search(to, seconds=1)
        nobody_listens.set()


def test_what_is_no_json_is_a_failure() -> None:
    with service(lambda: iter([b"[" * 100_000])) as to, pytest.raises(SendFailure, match="does not answer searches"):
        search(to, seconds=60)


@pytest.mark.parametrize(("status", "body"), [(404, b""), (404, b"[]"), (200, b"{}"), (200, b"null"), (200, b"")])
def test_what_is_no_list_of_studies_does_not_say_that_there_is_none(status: int, body: bytes) -> None:
    with service(lambda: iter([body]), status=status) as to:
        with pytest.raises(SendFailure) as failure:
            search(to, seconds=60)
        assert not failure.value.permanent


@pytest.mark.parametrize(("status", "body"), [(204, b""), (200, b"[]")])
def test_no_studies_are_none(status: int, body: bytes) -> None:
    with service(lambda: iter([body]), status=status) as to:
        assert search(to, seconds=60) == []


def test_study_without_series_may_be_told_by_404() -> None:
    with service(lambda: iter([b""]), status=404) as to, searching_web(to, {}, seconds=60) as ask:
        assert ask("SERIES", {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": ""}) == []
