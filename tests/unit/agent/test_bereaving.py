"""A study whose workers all died is a dead letter like any other: counted, shown, and told of in the PACS."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from datetime import timedelta
from types import ModuleType

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from agent import bereaving, drafting
from agent.bereaving import Bereaver
from agent.metrics import Exposition
from dicom_node import worklist
from dicom_node.files import stored_path
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Book, Study
from reports import shelf
from reports.checks import check_draft
from reports.render import as_text
from reports.tables import Event, Sighting
from reports.web.standing import Status, standing
from reports.web.worklist import facts_of
from tests.unit.agent.ward import Ward, now
from tests.unit.reports import films


def bury(ward: Ward) -> None:
    """The worker dies with the last attempt; `dispatch` finds the lease ended."""
    ward.claim()
    later = now() + timedelta(hours=1)
    released = ward.do(
        lambda tx: worklist.release_lost(tx, later, is_dead=lambda _: False, attempts=1, wait=timedelta())
    )
    assert released.done == 1


def lose(ward: Ward) -> None:
    """As `bury`, where there is only one study."""
    bury(ward)
    assert (ward.revision().book, ward.revision().reason) == (Book.DEAD_LETTERED, "worker-lost")


def test_a_lost_lease_that_is_buried_gives_the_notice_where_it_is_wanted(ward: Ward) -> None:
    ward.peer("WANTS", notices=True)
    ward.peer("SILENT")
    ward.receive(films.film())
    lose(ward)

    assert Bereaver(ward.desk).step() == 1

    (sent,) = ward.deliver()
    assert (sent.destination, sent.kind, sent.stage) == ("WANTS", Kind.BASIC_TEXT, Stage.NOTICE)
    notice = ward.document(sent)
    check_draft(notice, [films.film()], ward.desk.config.reports)
    assert "No AI draft: The reading failed; a person is told." in as_text(notice)
    assert notice.ContributingEquipmentSequence[0].ManufacturerModelName == "wetread dispatch"
    assert ward.revision().book is Book.DEAD_LETTERED
    assert Bereaver(ward.desk).step() == 0


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_it_is_counted_and_shown_as_other_dead_letters_are(ward: Ward) -> None:
    ward.peer(notices=True)
    ward.receive(films.film())
    lose(ward)
    Bereaver(ward.desk).step()

    metrics = Exposition(ward.database, ward.folder, version="1", monotonic=time.monotonic).text().decode()
    assert "wetread_dead_letters 1.0" in metrics
    assert 'wetread_revisions{book="dead-lettered"} 1.0' in metrics
    revision = ward.revision()
    shown = ward.ask(lambda tx: standing(facts_of(tx, [revision])[0], now()))
    assert shown.status is Status.DEAD_LETTER


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_nobody_is_told_where_nobody_asks_or_the_study_lives_again_or_has_a_report(ward: Ward) -> None:
    ward.peer("SILENT")
    ward.receive(films.film())
    lose(ward)
    assert Bereaver(ward.desk).step() == 0

    ward.peer("WANTS", notices=True)
    study = ward.study().id
    ward.do(lambda tx: worklist.requeue(tx, tx.get_one(Study, study), now(), actor="test"))
    assert Bereaver(ward.desk).step() == 0
    assert ward.deliver() == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_study_without_readable_films_gets_none_and_is_said_once(ward: Ward) -> None:
    ward.peer(notices=True)
    ward.receive(films.film())
    lose(ward)
    digest = ward.ask(lambda tx: worklist.images_of(tx, ward.study().id))[0].digest
    stored_path(ward.desk.config.node.store_folder, digest).unlink()
    bereaver = Bereaver(ward.desk)
    with capture_logs():
        assert [bereaver.step() for _ in range(3)] == [0, 0, 0]
    assert ward.deliver() == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_notice_waits_for_a_store_that_is_away(ward: Ward) -> None:
    ward.peer(notices=True)
    ward.receive(films.film())
    lose(ward)
    store = ward.desk.config.node.store_folder
    store.rename(ward.folder / "away")
    bereaver = Bereaver(ward.desk)
    assert bereaver.step() == 0
    (ward.folder / "away").rename(store)
    assert bereaver.step() == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_studies_for_which_none_can_be_made_keep_no_other_waiting(ward: Ward) -> None:
    ward.peer(notices=True)
    for number in (1, 2, 3):
        uids = {"StudyInstanceUID": f"1.2.{number}", "SeriesInstanceUID": f"1.2.{number}.1"}
        ward.receive(films.film(**uids, SOPInstanceUID=f"1.2.{number}.2", PatientID=f"EX-{number}"))
        ward.claim()
        later = now() + timedelta(hours=1)
        ward.do(
            lambda tx, at=later: worklist.release_lost(tx, at, is_dead=lambda _: False, attempts=1, wait=timedelta())
        )
    studies = ward.ask(lambda tx: tx.scalars(select(Study.id).order_by(Study.id)).all())
    for study in studies[:2]:
        digest = ward.ask(lambda tx, of=study: worklist.images_of(tx, of))[0].digest
        stored_path(ward.desk.config.node.store_folder, digest).unlink()

    bereaver = Bereaver(ward.desk, at_once=2)
    assert sum(bereaver.step() for _ in range(3)) == 1
    assert [sent.study_instance_uid for sent in ward.deliver()] == ["1.2.3"]


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def locked(*_: object) -> None:
    raise OperationalError("", {}, Exception("database is locked"))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("module", "step", "fails"),
    [
        (shelf, "write_document", full),
        (drafting, "queue_notice", locked),
        (bereaving, "open_header", full),
    ],
    ids=["no room", "database", "disk"],
)
def test_a_failure_that_passes_is_said_once_and_loses_no_notice(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, module: ModuleType, step: str, fails: Callable[..., None]
) -> None:
    ward.peer(notices=True)
    ward.receive(films.film())
    lose(ward)
    bereaver = Bereaver(ward.desk)
    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(module, step, fails)
        assert [bereaver.step() for _ in range(3)] == [0, 0, 0]
    assert [one["event"] for one in logs] == ["notice_left_out"]
    assert bereaver.step() == 1
    assert [sent.stage for sent in ward.deliver()] == [Stage.NOTICE]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_study_that_has_a_final_report_meanwhile_gets_none_and_is_not_counted(ward: Ward) -> None:
    ward.peer(notices=True)
    ward.receive(films.film())
    lose(ward)
    seen = Sighting(key="0" * 64, study_id=ward.study().id, event=Event.FINAL_ELSEWHERE, source="RIS", at=now())
    ward.do(lambda tx: tx.add(seen))
    with capture_logs() as logs:
        assert Bereaver(ward.desk).step() == 0
    assert logs == []
    assert ward.deliver() == []
