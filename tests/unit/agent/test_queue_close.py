"""`wetread queue dead` and `close`: a dead letter that is meant ends, and nothing else changes."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from agent.cli import main, wetread
from dicom_node import worklist
from dicom_node.errors import NotFound, WetreadError, WrongState
from dicom_node.kinds import Stage
from dicom_node.tables import AuditRow, Book, DeliveryState, Mode
from reports import life
from reports.tables import Event, ReportState
from tests.unit.agent.test_incoming import final
from tests.unit.agent.ward import Ward, now

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def type_in(ward: Ward, *words: str, group: str = "queue") -> Result:
    """The ward's database is where this configuration says."""
    file = ward.folder / "wetread.toml"
    file.write_text(f'[node]\ndata_folder = "{ward.folder}"\n')
    return CliRunner().invoke(wetread, ["--config", str(file), group, *words])


def bury(ward: Ward, *destinations: str) -> int:
    """Let what goes to some destinations fail for ever, the rest go through; returns the last number that failed."""
    dead = 0
    while held := ward.take():
        if held.destination in destinations:
            ward.do(lambda tx, held=held: worklist.mark_failed(tx, held, error="refused", now=now()))  # type: ignore[misc]
            dead = held.delivery_id
        elif held.state is DeliveryState.QUEUED:
            ward.do(lambda tx, held=held: worklist.mark_sent(tx, held, now()))  # type: ignore[misc]
        else:
            ward.do(lambda tx, held=held: worklist.mark_committed(tx, held, now()))  # type: ignore[misc]
    return dead


def test_a_study_whose_only_delivery_is_closed_ends_closed_undelivered_and_keeps_its_draft(ward: Ward) -> None:
    ward.peer()
    ward.study_with_draft()
    ward.set_mode("PACS", Mode.SHADOW)
    assert ward.take() is None  # it finds out that the destination is off
    listed = json.loads(type_in(ward, "dead", "--json").stdout)
    assert [(one["destination"], one["reason"]) for one in listed] == [("PACS", "destination-off")]
    assert "destination-off" in type_in(ward, "dead").stdout

    result = type_in(ward, "close", str(listed[0]["delivery"]), "--reason", "the PACS was replaced")

    assert result.exit_code == 0
    assert "closed undelivered" in result.stdout
    revision = ward.revision()
    assert (revision.book, revision.reason) == (Book.CLOSED, "closed-by-person")
    assert "the PACS was replaced" in revision.explanation
    assert ward.report().state is ReportState.DRAFT
    assert type_in(ward, "dead").stdout == "no dead letters\n"
    row = ward.ask(lambda tx: tx.scalars(select(AuditRow).where(AuditRow.event == "delivery-closed")).one())
    assert row.actor.startswith("command:")
    detail = json.loads(row.detail)
    assert (detail["was"], detail["explanation"]) == ("destination-off", "the PACS was replaced")


def test_of_a_peer_that_was_removed_closing_is_offered_and_another_try_of_what_else_failed(ward: Ward) -> None:
    """Another try would find the peer gone again."""

    def offered() -> list[str]:
        shown = json.loads(type_in(ward, "show", "#1", "--json", group="study").stdout)
        return [str(command) for command in shown["commands"]]

    ward.peer("OLD")
    ward.peer("PACS")
    ward.study_with_draft()
    old = next(one.id for one in ward.deliveries() if one.destination == "OLD")
    said = type_in(ward, "remove", "OLD", group="ae").stdout
    assert "1 queued for it becomes a dead letter (destination-off) at the next attempt: then wetread queue c" in said
    other = bury(ward, "PACS")
    close = f'wetread queue close {old} --reason "..."'

    assert offered() == ["wetread study requeue '#1'", close]

    type_in(ward, "close", str(other), "--reason", "meant")
    assert offered() == [close]


def test_a_study_that_another_destination_has_is_delivered(ward: Ward) -> None:
    ward.peer("PACS")
    ward.peer("OLD")
    ward.study_with_draft()
    number = bury(ward, "OLD")
    assert ward.revision().book is Book.DEAD_LETTERED

    assert "delivered" in type_in(ward, "close", str(number), "--reason", "no longer used").stdout

    assert ward.revision().book is Book.DELIVERED
    assert ward.deliver() == []
    assert ward.do(lambda tx: worklist.requeue_for(tx, "OLD", now(), actor="person:x")) == 0


def test_of_two_dead_letters_the_other_one_keeps_the_study_and_is_told(ward: Ward) -> None:
    ward.peer("A")
    ward.peer("B")
    ward.study_with_draft()
    bury(ward, "A", "B")
    first, second = ward.deliveries()
    assert type_in(ward, "close", str(first.id), "--reason", "meant").exit_code == 0
    revision = ward.revision()
    assert revision.book is Book.DEAD_LETTERED
    assert revision.explanation.startswith(f"{second.destination}:")
    type_in(ward, "close", str(second.id), "--reason", "meant")
    assert ward.revision().book is Book.CLOSED


def test_a_closed_note_leaves_the_study_closed_and_not_delivered(ward: Ward) -> None:
    """The draft is still there; the person who closed the note knows."""
    ward.peer()
    ward.study_with_draft()
    ward.deliver()
    ward.hear(*final())
    ward.recaller.step()
    number = bury(ward, "PACS")
    assert ward.deliveries()[-1].stage is Stage.REJECTION
    type_in(ward, "close", str(number), "--reason", "removed there by hand")
    assert (ward.revision().book, ward.revision().reason) == (Book.CLOSED, "closed-by-person")


def test_what_may_be_there_all_the_same_is_still_taken_back(ward: Ward) -> None:
    ward.peer()
    ward.study_with_draft()
    held = ward.must_take()
    ward.do(lambda tx: worklist.mark_failed(tx, held, error="no answer", now=now(), in_doubt=True))
    type_in(ward, "close", str(held.delivery_id), "--reason", "meant")
    ward.hear(*final())
    ward.recaller.step()
    assert [one.stage for one in ward.deliver()] == [Stage.REJECTION]


def test_a_draft_that_was_closed_here_still_expires(ward: Ward) -> None:
    ward.peer()
    ward.study_with_draft()
    number = bury(ward, "PACS")
    type_in(ward, "close", str(number), "--reason", "meant")
    ward.do(lambda tx: life.expire(tx, now() + timedelta(days=2), after=timedelta(days=1)))
    assert ward.report().event == Event.EXPIRED
    ward.recaller.step()
    assert ward.deliver() == []


@pytest.mark.parametrize(
    ("number", "error"), [("4711", NotFound), ("1", WrongState)], ids=["no delivery", "no dead letter"]
)
def test_only_dead_letters_can_be_closed(ward: Ward, number: str, error: type[WetreadError]) -> None:
    ward.peer()
    ward.study_with_draft()
    result = type_in(ward, "close", number, "--reason", "meant")
    assert isinstance(result.exception, error)
    assert ward.deliveries()[0].state is DeliveryState.QUEUED


def test_a_reason_is_needed(ward: Ward) -> None:
    for words in (["close", "1"], ["close", "1", "--reason", " "], ["close", "1", "--reason", "..."]):
        assert type_in(ward, *words).exit_code == 2


def test_exit_codes(ward: Ward, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    file: Path = ward.folder / "wetread.toml"
    file.write_text(f'[node]\ndata_folder = "{ward.folder}"\n')
    monkeypatch.setattr("os.umask", lambda mask: mask)
    monkeypatch.setattr("sys.argv", ["wetread", "--config", str(file), "queue", "close", "4711", "--reason", "x"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    assert "wetread queue dead" in capsys.readouterr().err


def test_queue_says_which_destination_takes_nothing_since_when_why_and_what_to_type(ward: Ward) -> None:
    ward.peer()
    ward.study_with_draft()
    quiet = type_in(ward)
    assert "NOTHING GETS THROUGH" not in quiet.stdout
    assert json.loads(type_in(ward, "--json").stdout)["failing"] == []
    held, words = ward.must_take(), "PACS at 127.0.0.1:104 cannot be reached: connection refused"
    wait = timedelta(minutes=50)
    ward.do(lambda tx: worklist.mark_retry(tx, held, error=words, wait=wait, now=now()))

    shown = type_in(ward).stdout

    assert "NOTHING GETS THROUGH to PACS since 20" in shown
    assert words in shown
    assert "wait" in shown.split(words)[1]
    assert "wetread ae echo PACS" in shown
    failing = json.loads(type_in(ward, "--json").stdout)["failing"]
    assert [(one["destination"], one["words"], one["command"]) for one in failing] == [
        ("PACS", words, "wetread ae echo PACS")
    ]
