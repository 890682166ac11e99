"""The four real chest films, end to end: what the PACS gets back, and what the reader saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid
from sqlalchemy import select

from agent.imaging.pixels import render
from dicom_node.aet import RemoteAddress
from dicom_node.loopback import LoopbackPacs, send
from dicom_node.tables import Instance
from tests import validators
from tests.harness.node import OWN, Node, wait_until

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

CHESTS = ("cxr", "RG1_J2KI", "NIH_DX_no_finding", "SIIM_CR_jpegbaseline")
COPIED = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyInstanceUID"),
    *("StudyDate", "StudyTime", "StudyID", "ReferringPhysicianName"),
)


@dataclass(frozen=True, slots=True)
class Site:
    """A node and its PACS, and the film of each name as it was sent."""

    node: Node
    pacs: LoopbackPacs
    sent: dict[str, Path]

    def send(self, film: Path) -> None:
        assert send(film, RemoteAddress(OWN, "127.0.0.1", self.node.port), "MODALITY") == 0

    def standing(self, film: Path) -> str:
        return str(self.node.ask("study", "show", dcmread(film, stop_before_pixels=True).StudyInstanceUID)["where"])

    def draft_of(self, film: Path) -> Path:
        """Wait for its draft in the PACS; there is never more than one."""
        uid = dcmread(film, stop_before_pixels=True).StudyInstanceUID
        found = wait_until(
            lambda: [arrival.path for arrival in self.pacs.received if arrival.study_instance_uid == uid],
            f"the draft of {film.name}",
        )
        assert len(found) == 1
        return Path(found[0])


@pytest.fixture(scope="module")
def site(
    dicom: Path,
    tmp_path_factory: pytest.TempPathFactory,
    start_site: Callable[[float], AbstractContextManager[tuple[Node, LoopbackPacs]]],
) -> Iterator[Site]:
    originals = {name: dicom / "cr_dx" / f"{name}.dcm" for name in CHESTS}
    named = tmp_path_factory.mktemp("named") / "cxr.dcm"
    with_a_patient(originals["cxr"], named)
    with start_site(0.5) as (node, pacs):
        site = Site(node, pacs, originals | {"cxr": named})
        for film in (*originals.values(), named):
            site.send(film)
        yield site


def with_a_patient(film: Path, target: Path) -> None:
    """The same film in a study of its own, with the Patient ID that it lacks."""
    dataset = dcmread(film)
    dataset.PatientID = "KNOWN-1"
    dataset.StudyInstanceUID, dataset.SOPInstanceUID = generate_uid(prefix=None), generate_uid(prefix=None)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(target)


@pytest.fixture(scope="module")
def drafts(site: Site, dicom: Path) -> dict[str, Path]:
    """All four drafts. One film is held until a person confirms that it is a chest."""
    unsure = site.sent["NIH_DX_no_finding"]
    wait_until(lambda: site.standing(unsure) == "held: body-part-unknown", "the film without a body part to be held")
    confirmed = site.node.cli("study", "confirm", dcmread(unsure, stop_before_pixels=True).StudyInstanceUID)
    assert confirmed.returncode == 0, confirmed.stderr
    return {name: site.draft_of(film) for name, film in site.sent.items()}


def test_a_film_without_patient_id_is_held_and_nothing_is_sent(
    site: Site, dicom: Path, drafts: dict[str, Path]
) -> None:
    film = dicom / "cr_dx" / "cxr.dcm"
    assert site.standing(film) == "held: no-patient-id"
    assert site.node.cli("study", "confirm", dcmread(film).StudyInstanceUID).returncode != 0
    assert len(site.pacs.received) == len(drafts) == 4


def test_three_validators_find_no_error_in_the_drafts(drafts: dict[str, Path]) -> None:
    found = {
        name: [*validators.iod_findings(path), *validators.content_findings(path)] for name, path in drafts.items()
    }
    assert found == {name: [] for name in CHESTS}
    assert validators.template_findings(list(drafts.values())) == {path: [] for path in drafts.values()}


@pytest.mark.parametrize("name", CHESTS)
def test_a_draft_belongs_to_its_film(site: Site, drafts: dict[str, Path], name: str) -> None:
    film, draft = dcmread(site.sent[name], stop_before_pixels=True), dcmread(drafts[name])
    assert {keyword: text(draft, keyword) for keyword in COPIED} == {keyword: text(film, keyword) for keyword in COPIED}
    assert draft.SeriesInstanceUID != film.SeriesInstanceUID
    (study,) = draft.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    (evidence,) = series.ReferencedSOPSequence
    assert (evidence.ReferencedSOPClassUID, evidence.ReferencedSOPInstanceUID) == (
        film.SOPClassUID,
        film.SOPInstanceUID,
    )
    assert (draft.CompletionFlag, draft.VerificationFlag, draft.PreliminaryFlag) == (
        "PARTIAL",
        "UNVERIFIED",
        "PRELIMINARY",
    )


def text(dataset: Dataset, keyword: str) -> str:
    """The value; an absent one and an empty one say the same."""
    found = dataset.get(keyword)
    return "" if found is None else str(found)


@pytest.mark.parametrize("name", CHESTS)
def test_the_reader_saw_the_film_as_it_is_rendered(site: Site, drafts: dict[str, Path], name: str) -> None:
    uid = dcmread(site.sent[name], stop_before_pixels=True).SOPInstanceUID
    with site.node.database.read() as tx:
        digest = tx.scalars(select(Instance.digest).where(Instance.sop_instance_uid == uid)).one()
    with Image.open(site.node.folder / "films" / f"{digest}.png") as seen:
        assert seen.mode == "L"
        assert np.array_equal(np.asarray(seen), render(site.sent[name]).pixels)


def test_only_films_that_were_read_were_written(site: Site, drafts: dict[str, Path]) -> None:
    assert len(list((site.node.folder / "films").iterdir())) == len(drafts)
