"""A study whose workers all died is a dead letter like any other: counted, shown, and told of in the PACS."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from agent.bereaving import Bereaver
from agent.metrics import Exposition
from dicom_node import worklist
from dicom_node.files import stored_path
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Book, Study
from reports.checks import check_draft
from reports.render import as_text
from reports.web.standing import Status, standing
from reports.web.worklist import facts_of
from tests.unit.agent.ward import Ward, now
from tests.unit.reports import films


def lose(ward: Ward) -> None:
    """The worker dies with the last attempt; `dispatch` finds the lease ended."""
    ward.claim()
    later = now() + timedelta(hours=1)
    released = ward.do(
        lambda tx: worklist.release_lost(tx, later, is_dead=lambda _: False, attempts=1, wait=timedelta())
    )
    assert released.done == 1
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
