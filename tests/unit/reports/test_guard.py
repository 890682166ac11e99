"""What a browser may send, or stop sending, without an error of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message
from structlog.testing import capture_logs

from reports.people.rights import Role
from tests.harness.people import add_user, cookie_for, signed_in
from tests.harness.reading_room import ReadingRoom


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ReadingRoom]:
    made = ReadingRoom(tmp_path)
    add_user(made.database, "rita", Role.RADIOLOGIST, name="Reader^Rita")
    yield made
    made.close()


@pytest.mark.parametrize(
    "chips", [{"Edema": ["a"]}, {"Edema": "perhaps"}, {"Edema": None}, {"Broken heart": "present"}]
)
@pytest.mark.parametrize("act", ["reading", "save"])
def test_chip_that_no_finding_has_is_refused_in_words(room: ReadingRoom, act: str, chips: dict[str, Any]) -> None:
    report = room.study()
    rita = signed_in(room.app, room.database, "rita")
    address = f"/study/{room.number(report)}/report"
    version = rita.post(f"{address}/open", json={"report": report.id}).json()["version"]

    body = {"report": report.id, "findings": "f", "impression": "i", "chips": chips, "version": version}
    answer = rita.post(f"{address}/{act}", json=body)

    assert answer.status_code == 409
    assert answer.json()["detail"].startswith("A chip names a finding or a state that there is not")


def test_browser_that_goes_away_in_the_middle_is_no_error(room: ReadingRoom) -> None:
    report = room.study()
    name, value = cookie_for(room.database, "rita")
    path = f"/study/{room.number(report)}/report/leave"
    headers = {
        "cookie": f"{name}={value}",
        "host": "localhost:8080",
        "sec-fetch-site": "same-origin",
        "content-length": "20",
    }
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(key.encode(), words.encode()) for key, words in headers.items()],
        "client": ("127.0.0.1", 50000),
        "server": ("localhost", 8080),
    }
    parts: list[Message] = [{"type": "http.request", "body": b"{", "more_body": True}]
    sent: list[Message] = []

    async def receive() -> Message:
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    with capture_logs() as logs:
        asyncio.run(room.app(scope, receive, send))

    assert [one["event"] for one in logs if one["log_level"] in {"error", "critical"}] == []
    assert [one["event"] for one in logs] == ["visitor_left"]
