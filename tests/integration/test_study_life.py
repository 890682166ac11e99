"""What becomes of a study in every mode of its destinations, and with Redis away."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from sqlalchemy import select

from agent import broker
from agent.demo.phantom import film
from dicom_node import books, peers
from dicom_node.database import clock
from dicom_node.files import read_document
from dicom_node.loopback import LoopbackPacs
from dicom_node.tables import Book, Mode, Revision, Study
from reports.tables import Report, ReportState
from tests.harness import dcmtk
from tests.harness.node import Node, free_port, wait_until

NUMBERS = count(1)

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, LoopbackPacs]]:
    folder = tmp_path_factory.mktemp("life")
    with LoopbackPacs("PACS", 0, folder / "pacs") as pacs, Node(folder / "node") as node:
        node.add_peer("PACS", pacs.port)
        yield node, pacs
        with node.database.read() as tx:
            assert books.balance(tx).problems == ()


def change(node: Node, **settings: Any) -> None:
    with node.database.write() as tx:
        peers.edit(tx, "PACS", now=clock(tx), actor="test", **settings)


def send(node: Node, folder: Path, **elements: Any) -> str:
    image = film(
        4711, now=datetime.now(UTC), new_uid=lambda: f"2.25.77{next(NUMBERS)}{time.time_ns()}", rows=512, columns=448
    )
    for keyword, value in elements.items():
        setattr(image, keyword, value)
    path = folder / f"{image.SOPInstanceUID}.dcm"
    image.save_as(path, enforce_file_format=True)
    sent = dcmtk.store(node.port, path, options=("-R",))
    assert sent.returncode == 0, sent.stdout
    return str(image.StudyInstanceUID)


def revision_of(node: Node, study: str) -> Revision | None:
    newest = select(Revision).join(Study).where(Study.study_instance_uid == study).order_by(Revision.number.desc())
    with node.database.read() as tx:
        return tx.scalars(newest).first()


def ended_as(node: Node, study: str, book: Book) -> Revision:
    def there() -> Revision | None:
        revision = revision_of(node, study)
        return revision if revision is not None and revision.book is book else None

    found = wait_until(there, f"the study to be {book}", seconds=180)
    assert isinstance(found, Revision)
    return found


def report_of(node: Node, revision: Revision) -> Report:
    with node.database.read() as tx:
        return tx.scalars(select(Report).where(Report.revision_id == revision.id)).one()


def test_without_destination_the_draft_is_kept_and_a_person_is_told(
    house: tuple[Node, LoopbackPacs], tmp_path: Path
) -> None:
    node, pacs = house
    change(node, send_to=False)
    study = send(node, tmp_path)
    revision = ended_as(node, study, Book.DEAD_LETTERED)
    assert (revision.reason, "wetread ae add" in revision.explanation) == ("no-destination", True)
    assert dcm_of(node, revision).StudyInstanceUID == study
    change(node, send_to=True, mode=Mode.DRAFT)
    assert node.cli("study", "requeue", study).returncode == 0
    ended_as(node, study, Book.DELIVERED)
    assert study in {arrival.study_instance_uid for arrival in pacs.received}


def dcm_of(node: Node, revision: Revision) -> Any:
    from io import BytesIO

    return dcmread(BytesIO(read_document(node.config.node.store_folder, report_of(node, revision).digest)))


@pytest.mark.parametrize(("mode", "book"), [(Mode.SHADOW, Book.CLOSED), (Mode.HOLD, Book.AWAITING_SIGNOFF)])
def test_draft_that_may_not_leave_is_kept_here(
    house: tuple[Node, LoopbackPacs], tmp_path: Path, mode: Mode, book: Book
) -> None:
    node, pacs = house
    change(node, send_to=True, mode=mode)
    study = send(node, tmp_path)
    revision = ended_as(node, study, book)
    time.sleep(1.5)
    assert study not in {arrival.study_instance_uid for arrival in pacs.received}
    assert report_of(node, revision).state is ReportState.DRAFT
    assert dcm_of(node, revision).VerificationFlag == "UNVERIFIED"


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"BodyPartExamined": "HAND", "AnatomicRegionSequence": []}, "not-a-chest"),
        ({"PatientAge": "009Y", "PatientBirthDate": ""}, "child"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.59"}, "no-image"),
    ],
    ids=["hand", "child", "no image"],
)
def test_excluded_with_its_reason(
    house: tuple[Node, LoopbackPacs], tmp_path: Path, elements: dict[str, Any], reason: str
) -> None:
    node, pacs = house
    change(node, send_to=True, mode=Mode.DRAFT)
    study = send(node, tmp_path, **elements)
    revision = ended_as(node, study, Book.EXCLUDED)
    assert revision.reason == reason
    assert revision.explanation
    assert study not in {arrival.study_instance_uid for arrival in pacs.received}


def test_redis_away_costs_seconds_and_no_study(tmp_path: Path) -> None:
    nobody = f'[broker]\nurl = "redis://127.0.0.1:{free_port()}/0"'
    with LoopbackPacs("PACS", 0, tmp_path / "pacs") as pacs, Node(tmp_path / "node", reader=nobody) as node:
        node.add_peer("PACS", pacs.port, send_to=True)
        study = send(node, tmp_path)
        ended_as(node, study, Book.DELIVERED)
        assert [arrival.study_instance_uid for arrival in pacs.received] == [study]
        wait_until(lambda: "broker_away" in node.logs(), "the dispatcher to say so")
        ended_as(node, send(node, tmp_path), Book.DELIVERED)  # the dispatcher still closes studies
        found = {finding["subject"]: finding for finding in node.ask("check")}
        assert (found["broker"]["verdict"], found["books"]["verdict"]) == ("warning", "ok")


def test_redis_that_is_killed_comes_back_and_bells_ring_again(house: tuple[Node, LoopbackPacs], tmp_path: Path) -> None:
    node, _ = house
    change(node, send_to=True, mode=Mode.DRAFT)
    before = node.supervisor.process_ids()["redis"]
    os.kill(before, signal.SIGKILL)
    ended_as(node, send(node, tmp_path), Book.DELIVERED)
    wait_until(lambda: node.supervisor.process_ids()["redis"] != before, "Redis to be started again")
    wait_until(lambda: broker.answers(node.config), "Redis to answer")
    ended_as(node, send(node, tmp_path), Book.DELIVERED)
