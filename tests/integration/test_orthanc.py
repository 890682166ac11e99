"""A real PACS routes a film to us, gets the draft into the same study, routes that back, and there is no loop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from pydicom import Dataset
from sqlalchemy import select

from agent.demo.phantom import film
from dicom_node.tables import Delivery, Outcome, Reception
from tests.harness import dcmtk
from tests.harness.node import Node, wait_until
from tests.harness.orthanc import TITLE, Orthanc

NUMBERS = count(1)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Orthanc]]:
    folder = tmp_path_factory.mktemp("orthanc")
    with Node(folder / "node") as node, Orthanc(folder / "pacs", wetread_port=node.port) as pacs:
        node.add_peer(TITLE, pacs.port, send_to=True)
        yield node, pacs


def store(pacs: Orthanc, folder: Path, *, seed: int = 4711, **elements: str) -> Dataset:
    """Store a film in the PACS as a modality does."""
    image = film(seed, now=datetime.now(UTC), new_uid=lambda: f"2.25.66{next(NUMBERS)}{time.time_ns()}")
    for keyword, value in elements.items():
        setattr(image, keyword, value)
    path = folder / f"{image.SOPInstanceUID}.dcm"
    image.save_as(path, enforce_file_format=True)
    sent = dcmtk.store(pacs.port, path, calling="DX1", called=TITLE, options=("-R",))
    assert sent.returncode == 0, sent.stdout
    return image


def own_objects_that_came_back(node: Node) -> int:
    with node.database.read() as tx:
        return len(tx.scalars(select(Reception).where(Reception.reason == "own-object")).all())


def book_of(node: Node, image: Dataset) -> str:
    for study in node.ask("study", "list"):
        if study["study_instance_uid"] == image.StudyInstanceUID:
            return str(study["book"])
    return "unknown"


@pytest.mark.timeout(600)
def test_draft_comes_back_into_the_study_and_nothing_loops(house: tuple[Node, Orthanc], tmp_path: Path) -> None:
    node, pacs = house
    image = store(pacs, tmp_path)
    wait_until(lambda: book_of(node, image) == "delivered", "the draft to be delivered", seconds=180)
    (draft,) = pacs.instances("SR")
    assert draft["StudyInstanceUID"] == image.StudyInstanceUID
    assert draft["PatientID"] == image.PatientID
    assert (draft["CompletionFlag"], draft["VerificationFlag"]) == ("PARTIAL", "UNVERIFIED")
    (study,) = pacs.ask("/studies?expand")
    assert len(study["Series"]) == 2
    assert len(pacs.ask("/patients")) == 1, "the draft made a second patient"

    wait_until(lambda: own_objects_that_came_back(node) == 1, "Orthanc to route our draft back")
    time.sleep(3)  # several quiet times: a loop would turn by now
    assert own_objects_that_came_back(node) == 1
    assert len(pacs.instances("SR")) == 1
    with node.database.read() as tx:
        (delivery,) = tx.scalars(select(Delivery)).all()
        outcomes = [row.outcome for row in tx.scalars(select(Reception).order_by(Reception.id))]
    assert delivery.proven_by == "query"
    assert outcomes == [Outcome.STORED, Outcome.DUPLICATE]
    (shown,) = [found for found in node.ask("study", "list") if found["study_instance_uid"] == image.StudyInstanceUID]
    assert (shown["revision"], shown["state"]) == (1, "COMPLETE")


@pytest.mark.timeout(600)
def test_check_finds_nothing_wrong_and_the_books_balanced(house: tuple[Node, Orthanc], tmp_path: Path) -> None:
    node, pacs = house
    image = store(pacs, tmp_path, PatientName="Hong^Gildong")
    wait_until(lambda: book_of(node, image) == "delivered", "the second draft to be delivered", seconds=180)
    findings = node.ask("check")
    assert [finding for finding in findings if finding["verdict"] == "wrong"] == []
    (books,) = [finding for finding in findings if finding["subject"] == "books"]
    assert books["words"].startswith("balanced")
    (peer,) = [finding for finding in findings if finding["subject"] == f"peer {TITLE}"]
    assert peer["verdict"] == "ok"
    assert node.cli("check").returncode == 0


@pytest.mark.timeout(600)
def test_late_image_gives_a_second_draft_and_no_third(house: tuple[Node, Orthanc], tmp_path: Path) -> None:
    node, pacs = house
    image = store(pacs, tmp_path)
    wait_until(lambda: book_of(node, image) == "delivered", "the draft to be delivered", seconds=180)
    same = ("StudyInstanceUID", "SeriesInstanceUID", "AccessionNumber")
    store(pacs, tmp_path, **{keyword: image[keyword].value for keyword in same})

    def drafts() -> int:
        return sum(draft["StudyInstanceUID"] == image.StudyInstanceUID for draft in pacs.instances("SR"))

    wait_until(lambda: drafts() == 2, "the draft of the second revision", seconds=180)
    wait_until(lambda: book_of(node, image) == "delivered", "its proof")
    time.sleep(3)
    assert drafts() == 2
    assert node.ask("study", "show", image.StudyInstanceUID)["revision"] == 2


@pytest.mark.timeout(600)
def test_pacs_promises_to_keep_the_draft_and_we_promise_to_keep_the_film(
    house: tuple[Node, Orthanc], tmp_path: Path
) -> None:
    """Storage commitment in both directions, by the processes that a site runs."""
    node, pacs = house
    edited = node.cli("ae", "edit", TITLE, "--proof", "commitment")
    assert edited.returncode == 0, edited.stderr
    image = store(pacs, tmp_path, seed=4712, PatientID="COMMITTED")
    wait_until(lambda: book_of(node, image) == "delivered", "the draft to be delivered", seconds=240)
    with node.database.read() as tx:
        newest = tx.scalars(select(Delivery).order_by(Delivery.id.desc())).first()
    assert newest is not None
    assert newest.proven_by == "commitment"

    film_here = {"DicomInstances": [[image.SOPClassUID, image.SOPInstanceUID]]}
    asked = pacs.post("/modalities/wetread/storage-commitment", film_here)
    wait_until(lambda: pacs.ask(asked["Path"])["Status"] != "Pending", "our report", seconds=120)
    assert pacs.ask(asked["Path"])["Status"] == "Success"
