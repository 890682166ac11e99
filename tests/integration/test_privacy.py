"""Who the patient is and what the report says stays out of logs, Redis and metrics, whatever goes wrong on the way."""

from __future__ import annotations

import os
import re
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.valuerep import PersonName

from agent.demo.phantom import film
from dicom_node import books
from dicom_node.loopback import LoopbackPacs
from reports.render import as_text
from tests.harness import dcmtk
from tests.harness.node import Node, free_port, wait_until

NUMBERS = count(1)
NAME, PATIENT, ACCESSION, OTHER = "Zzyzxova^Quillonia", "QX7731ZKID", "ACC99173X", "QX9942ZKID"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, LoopbackPacs]]:
    folder = tmp_path_factory.mktemp("privacy")
    before = os.environ.get("WETREAD_LOG__LEVEL")
    os.environ["WETREAD_LOG__LEVEL"] = "debug"  # the most that can be logged
    with LoopbackPacs("PACS", 0, folder / "pacs") as pacs, Node(folder / "node") as node:
        node.add_peer("PACS", pacs.port, send_to=True)
        yield node, pacs
    if before is None:
        del os.environ["WETREAD_LOG__LEVEL"]
    else:
        os.environ["WETREAD_LOG__LEVEL"] = before


def send(node: Node, folder: Path, image: Dataset) -> int:
    path = folder / f"{next(NUMBERS)}.dcm"
    image.save_as(path, enforce_file_format=True)
    return dcmtk.store(node.port, path, options=("-R",)).returncode


def new_film(**elements: str) -> Dataset:
    image = film(
        4711, now=datetime.now(UTC), new_uid=lambda: f"2.25.44{next(NUMBERS)}{time.time_ns()}", rows=512, columns=448
    )
    image.PatientName, image.PatientID, image.AccessionNumber = PersonName(NAME), PATIENT, ACCESSION
    for keyword, value in elements.items():
        setattr(image, keyword, value)
    return image


def sentences(text: str) -> list[str]:
    """The sentences of the draft that a film was described with."""
    found = [part.strip() for part in re.split(r"[.\n]", text)]
    return [part for part in found if len(part) > 12 and " " in part]  # UIDs of objects may be logged


def nothing_waits(node: Node) -> bool:
    with node.database.read() as tx:
        waiting = books.backlog(tx)
    return not (waiting.receiving or waiting.scheduled or waiting.in_progress or waiting.queued or waiting.sent)


@pytest.mark.timeout(600)
def test_nothing_of_the_patient_is_left_behind(house: tuple[Node, LoopbackPacs], tmp_path: Path) -> None:
    node, pacs = house
    good = new_film()
    assert send(node, tmp_path, good) == 0
    wait_until(lambda: pacs.received, "the draft", seconds=180)
    # and what goes wrong: a second patient, an undecodable film, a text that no decoder takes
    assert send(node, tmp_path, new_film(StudyInstanceUID=good.StudyInstanceUID, PatientID=OTHER)) == 0
    broken = new_film()
    broken.PixelData = broken.PixelData[:100]
    assert send(node, tmp_path, broken) == 0
    assert send(node, tmp_path, new_film(PatientBirthDate="QX7731ZKID")) == 0
    wait_until(lambda: nothing_waits(node), "all to be read", seconds=180)
    node.add_peer("GONE", free_port(), send_to=True)
    drafts = len(pacs.received)
    assert send(node, tmp_path, new_film()) == 0
    wait_until(lambda: len(pacs.received) > drafts, "the last draft", seconds=180)
    wait_until(lambda: "cannot be reached" in node.logs(), "the unreachable peer to be tried")

    with urllib.request.urlopen(f"http://127.0.0.1:{node.config.web.port}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()
    assert "wetread_" in metrics
    draft = as_text(dcmread(pacs.received[0].path))
    secrets = [*NAME.split("^"), PATIENT, OTHER, ACCESSION, *sentences(draft)]
    assert len(secrets) > 6
    places = {"metrics": metrics.encode()}
    redis = [path for path in (node.folder / "data" / "redis").rglob("*") if path.is_file()]
    assert any(b"wetread" in path.read_bytes() for path in redis), "Redis never carried a bell"
    logs = sorted((node.folder / "logs").glob("*.log"))
    assert {path.stem for path in logs} == {"listen", "dispatch", "work", "send", "web"}
    assert b"object_received" in (node.folder / "logs" / "listen.log").read_bytes()
    places |= {str(path): path.read_bytes() for path in (*redis, *logs)}
    told = [(where, secret) for where, content in places.items() for secret in secrets if secret.encode() in content]
    assert told == []
