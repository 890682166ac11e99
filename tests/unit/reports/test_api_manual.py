"""The examples of the API's manual are typed as they stand there, and answer what stands below them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from dicom_node.database import clock
from dicom_node.tables import Delivery, DeliveryState, Mode, Revision
from reports.people import tokens
from reports.people.rights import Right, Role
from reports.web.api.table import OPERATIONS
from tests.harness.people import add_user
from tests.harness.reading_room import ReadingRoom

MANUAL = Path(__file__).parents[3] / "deploy" / "docs" / "api.md"
HOUSE = "https://wetread.hospital.example"
PASSES = frozenset({"age_seconds"})  # values that no example can know


@pytest.fixture
def site(tmp_path: Path) -> Iterator[TestClient]:
    """The first study waits for a signature, the second could not be delivered."""
    room = ReadingRoom(tmp_path)
    add_user(room.database, "ada", Role.ADMINISTRATOR)
    room.peer("PACS", mode=Mode.HOLD)
    room.study()
    room.set_mode("PACS", Mode.DRAFT)
    room.study()
    with room.database.write() as tx:
        of_second = Delivery.revision_id == Revision.id, Revision.study_id == 2
        tx.execute(update(Delivery).where(*of_second).values(state=DeliveryState.FAILED, reason="undeliverable"))
        scopes = (Right.SEE, Right.QUALITY, Right.AUDIT, Right.ADMINISTER)
        tokens.add(tx, "ris", "of-a-test", scopes, expires_at=None, now=clock(tx), actor="test")
    yield TestClient(room.app, base_url="http://localhost")
    room.close()


def examples() -> list[tuple[str, str]]:
    """Each curl, with the JSON below its block; empty where there is none."""
    found = []
    for commands, below in re.findall(r"```sh\n(.*?)```\n(?:\n```json\n(.*?)```)?", MANUAL.read_text(), re.DOTALL):
        lines = [line for line in commands.splitlines() if line.startswith("curl ")]
        found += [(line, below if line is lines[-1] else "") for line in lines]
    return found


def type_in(site: TestClient, line: str) -> Any:
    """What curl would do."""
    words = shlex.split(line.replace("$TOKEN", "of-a-test"))[1:]
    address = words.pop()
    given = dict(zip(words[::2], words[1::2], strict=True))
    headers = dict(re.findall(r"-H (\S+): (.+?)(?= -[HXd] |$)", " ".join(words)))
    assert address.startswith(HOUSE)
    method = given.get("-X", "POST" if "-d" in given else "GET")
    return site.request(method, address.removeprefix(HOUSE), headers=headers, content=given.get("-d"))


def must_be_in(shown: Any, told: Any, place: str) -> None:
    """Everything that the manual shows is in the answer."""
    if isinstance(shown, dict):
        assert shown.keys() <= told.keys(), place
        for key, value in shown.items():
            must_be_in(value, told[key], f"{place}.{key}") if key not in PASSES else None
    elif isinstance(shown, list):
        assert bool(shown) == bool(told), place
        for one, other in zip(shown, told, strict=False):  # the first ones
            must_be_in(one, other, place)
    else:
        assert shown == told, place


def test_examples_of_the_manual_work(site: TestClient) -> None:
    shown = examples()

    for line, below in shown:
        answer = type_in(site, line)
        assert answer.status_code == 200, f"{line}: {answer.text}"
        if below:
            must_be_in(json.loads(below), answer.json(), line)
    assert len(shown) > 7
    assert sum(bool(below) for _, below in shown) == 4


def test_refusal_in_the_manual_is_the_one_that_is_told(site: TestClient) -> None:
    (block,) = [one for one in re.findall(r"```json\n(.*?)```", MANUAL.read_text(), re.DOTALL) if "about:blank" in one]

    told = type_in(
        site, f'curl -H "Authorization: Bearer $TOKEN" "{HOUSE}/api/v1/study?accession_number=ACC0001&patient_id=X"'
    )

    assert told.json() == json.loads(block)


def test_manual_and_table_agree_about_scopes() -> None:
    scopes = r"^\| `(status|see|quality|audit|queues|administer)` \| (.+) \|$"
    rows = dict(re.findall(scopes, MANUAL.read_text(), re.MULTILINE))

    assert {one.right.value for one in OPERATIONS} == rows.keys() == {scope.value for scope in tokens.SCOPES}
