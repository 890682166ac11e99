"""Procedure steps and availability notifications over the wire. No foreign SCU of either is at hand: pynetdicom's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import Dataset
from pynetdicom import AE
from sqlalchemy import select

from dicom_node import worklist
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.listener import Listener
from dicom_node.mpps import AVAILABILITY, PERFORMED_STEP, PerformedSteps
from dicom_node.rules.tables import Routing, Signal, Trigger
from dicom_node.tables import RemoteAE
from tests.harness.door import small_film, store
from tests.harness.node import free_port

STUDY = "1.2.826.0.1.3680043.10.77.1"
LONG = timedelta(days=1)
ONE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


class Modality:
    """A modality that sends films, and tells of its steps."""

    def __init__(self, port: int, database: Database) -> None:
        self.port = port
        self.database = database

    def send(self, uid: str) -> None:
        film = small_film(StudyInstanceUID=STUDY, SOPInstanceUID=uid)
        assert store(self.port, film, "CR1").Status == 0x0000

    def create(self, sop_class: str, uid: str | None, attributes: Dataset) -> int:
        return self._ask(sop_class, lambda line: line.send_n_create(attributes, sop_class, uid))

    def set(self, uid: str, changes: Dataset) -> int:
        return self._ask(PERFORMED_STEP, lambda line: line.send_n_set(changes, PERFORMED_STEP, uid))

    def _ask(self, sop_class: str, act: object) -> int:
        entity = AE(ae_title="CR1")
        entity.add_requested_context(sop_class)
        line = entity.associate("127.0.0.1", self.port, ae_title="WETREAD")
        assert line.is_established
        try:
            status, _ = act(line)  # type: ignore[operator]
        finally:
            line.release()
        return int(status.Status)

    def complete(self) -> str:
        """What completed the study, of what peers say; empty where nothing did."""
        with self.database.write() as tx:
            worklist.complete_studies(tx, clock(tx), quiet=LONG, deadline=LONG, triggers=[Trigger.MPPS, Trigger.IAN])
        with self.database.read() as tx:
            return tx.scalar(select(Routing.completed_by)) or ""

    def signals(self) -> int:
        with self.database.read() as tx:
            return len(tx.scalars(select(Signal)).all())


@pytest.fixture
def counted() -> tuple[Trigger, ...]:
    """Whose word completes a study here."""
    return (Trigger.IAN, Trigger.MPPS)


@pytest.fixture
def modality(database: Database, tmp_path: Path, counted: tuple[Trigger, ...]) -> Iterator[Modality]:
    with database.write() as tx:
        tx.add(RemoteAE(ae_title="CR1", may_send=True))
    config = NodeConfig(bind_address="127.0.0.1", port=free_port(), data_folder=tmp_path / "data", reserve_mebibytes=1)
    listener = Listener(config, database, [PerformedSteps(database, counted)])
    listener.start()
    yield Modality(config.port, database)
    listener.stop(patience_seconds=5)


def step(status: str = "", *, images: tuple[str, ...] = (), study: str = STUDY, studies: int = 1) -> Dataset:
    attributes = Dataset()
    if status:
        attributes.PerformedProcedureStepStatus = status
    if status == "IN PROGRESS":
        scheduled = [_item(StudyInstanceUID=f"{study}{'.1' * number}") for number in range(studies)]
        attributes.ScheduledStepAttributesSequence = scheduled
    if images:
        references = [_item(ReferencedSOPInstanceUID=uid) for uid in images]
        attributes.PerformedSeriesSequence = [_item(ReferencedImageSequence=references)]
    return attributes


def notification(*images: str, availability: str = "ONLINE") -> Dataset:
    objects = [_item(ReferencedSOPInstanceUID=uid, InstanceAvailability=availability) for uid in images]
    return _item(StudyInstanceUID=STUDY, ReferencedSeriesSequence=[_item(ReferencedSOPSequence=objects)])


def _item(**elements: object) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def test_a_completed_step_completes_its_study_once_its_images_are_here(modality: Modality) -> None:
    assert modality.create(PERFORMED_STEP, "2.25.1", step("IN PROGRESS")) == 0x0000
    modality.send("2.25.101")
    assert modality.complete() == ""
    assert modality.set("2.25.1", step("COMPLETED", images=("2.25.101", "2.25.102"))) == 0x0000
    assert modality.complete() == "", "an image of the step is still on its way"

    modality.send("2.25.102")
    assert modality.complete() == Trigger.MPPS


def test_a_study_of_two_steps_waits_for_both(modality: Modality) -> None:
    modality.send("2.25.101")
    for uid in ("2.25.1", "2.25.2"):
        modality.create(PERFORMED_STEP, uid, step("IN PROGRESS"))
    modality.set("2.25.1", step("COMPLETED", images=("2.25.101",)))
    assert modality.complete() == ""

    modality.set("2.25.2", step("DISCONTINUED"))
    assert modality.complete() == "", "a discontinued step says nothing; quiet time does"


def test_a_step_that_is_appended_takes_the_word_of_the_first_back(modality: Modality) -> None:
    modality.create(PERFORMED_STEP, "2.25.1", step("IN PROGRESS"))
    modality.send("2.25.101")
    modality.set("2.25.1", step("COMPLETED", images=("2.25.101",)))
    modality.create(PERFORMED_STEP, "2.25.2", step("IN PROGRESS"))
    assert modality.complete() == ""

    modality.set("2.25.2", step("COMPLETED", images=("2.25.102",)))
    modality.send("2.25.102")
    assert modality.complete() == Trigger.MPPS


def test_the_last_of_two_steps_speaks_for_both(modality: Modality) -> None:
    for uid in ("2.25.1", "2.25.2"):
        modality.create(PERFORMED_STEP, uid, step("IN PROGRESS"))
        modality.send(f"{uid}01")
    modality.set("2.25.1", step("COMPLETED", images=("2.25.101",)))
    modality.set("2.25.2", step("COMPLETED", images=("2.25.201",)))

    assert modality.complete() == Trigger.MPPS


def test_a_notification_completes_its_study_once_all_that_it_names_is_here(modality: Modality) -> None:
    assert modality.create(AVAILABILITY, None, notification("2.25.101", "2.25.102")) == 0x0000
    modality.send("2.25.101")
    assert modality.complete() == ""
    modality.send("2.25.102")

    assert modality.complete() == Trigger.IAN


@ONE
def test_what_is_unavailable_is_not_waited_for_and_says_nothing(modality: Modality) -> None:
    modality.send("2.25.101")
    assert modality.create(AVAILABILITY, "2.25.9", notification("2.25.101", availability="UNAVAILABLE")) == 0x0000

    assert modality.signals() == 0


@ONE
@pytest.mark.parametrize(
    ("uid", "attributes", "status"),
    [
        ("2.25.1", step("COMPLETED"), 0x0120),
        ("2.25.1", step("IN PROGRESS", studies=0), 0x0120),
        ("2.25.1", step("IN PROGRESS", study="not a uid"), 0x0120),
    ],
)
def test_a_step_that_cannot_begin_is_refused(modality: Modality, uid: str, attributes: Dataset, status: int) -> None:
    assert modality.create(PERFORMED_STEP, uid, attributes) == status


@ONE
def test_steps_keep_the_order_of_the_standard(modality: Modality) -> None:
    assert modality.set("2.25.1", step("COMPLETED")) == 0x0112, "N-SET of an unknown step"
    assert modality.create(PERFORMED_STEP, "2.25.1", step("IN PROGRESS")) == 0x0000
    assert modality.create(PERFORMED_STEP, "2.25.1", step("IN PROGRESS")) == 0x0111, "N-CREATE of a known step"
    assert modality.set("2.25.1", step("PAUSED")) == 0x0106
    assert modality.set("2.25.1", step("DISCONTINUED")) == 0x0000
    assert modality.set("2.25.1", step("COMPLETED", images=("2.25.101",))) == 0x0110, "an ended step"
    assert modality.signals() == 0


@ONE
def test_a_step_for_two_studies_concludes_nothing(modality: Modality) -> None:
    modality.create(PERFORMED_STEP, "2.25.1", step("IN PROGRESS", studies=2))
    assert modality.set("2.25.1", step("COMPLETED", images=("2.25.101",))) == 0x0000

    assert modality.signals() == 0


@ONE
def test_a_notification_without_a_study_is_refused(modality: Modality) -> None:
    assert modality.create(AVAILABILITY, None, _item(StudyInstanceUID=STUDY)) == 0x0120


@ONE
@pytest.mark.parametrize(
    ("counted", "kept"), [((), 0), ((Trigger.COMMITMENT,), 0), ((Trigger.IAN,), 1), ((Trigger.MPPS,), 1)]
)
def test_what_completes_no_study_here_is_answered_and_not_written(modality: Modality, kept: int) -> None:
    assert modality.create(AVAILABILITY, "2.25.3", notification("2.25.101")) == 0x0000
    assert modality.create(PERFORMED_STEP, "2.25.1", step("IN PROGRESS")) == 0x0000
    assert modality.set("2.25.1", step("COMPLETED", images=("2.25.101",))) == 0x0000
    assert modality.signals() == kept
