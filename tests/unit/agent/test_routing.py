"""A complete study is held against the rules before anybody can claim it; what they say is what happens."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from agent import tasks
from agent.bereaving import Bereaver
from agent.cli import wetread
from agent.config import Config
from agent.dispatch import Dispatcher
from agent.routing import HEADERS, Router, is_backlog_time
from dicom_node import worklist
from dicom_node.config import NodeConfig
from dicom_node.errors import StoreAway, WrongState
from dicom_node.files import stored_path
from dicom_node.rules import book, forms
from dicom_node.rules.decision import Decision
from dicom_node.rules.tables import Routing, Trigger
from dicom_node.tables import AuditRow, Book, Mode, Study, Workitem, WorkitemState
from reports.config import ReportsConfig
from tests.unit.agent.ward import LEASE, Ward, now
from tests.unit.reports import films


def rule(ward: Ward, name: str, **fields: Any) -> None:
    ward.do(lambda tx: book.add(tx, forms.make({"name": name, **fields}), now=now(), actor="person:a"))


def close(ward: Ward, *, ask: bool = True) -> None:
    """As the dispatcher does: complete, then decide."""
    ward.do(lambda tx: worklist.complete_studies(tx, now(), quiet=timedelta(), deadline=timedelta(), ask=ask))


def decide(ward: Ward) -> None:
    Router(ward.desk).step()


def claim(ward: Ward, *, reader: str = "") -> worklist.Claim | None:
    return ward.do(lambda tx: worklist.claim(tx, worker="w", token="0" * 32, lease=LEASE, now=now(), reader=reader))


def routing(ward: Ward, revision: int = 1) -> Routing:
    revision_id = ward.revision(revision).id
    return ward.ask(lambda tx: tx.get_one(Routing, revision_id))


def priorities(ward: Ward) -> list[int]:
    return ward.ask(lambda tx: list(tx.scalars(select(Workitem.priority).order_by(Workitem.id))))


def events(ward: Ward) -> list[str]:
    return ward.ask(lambda tx: list(tx.scalars(select(AuditRow.event).order_by(AuditRow.id))))


def the_study(tx: Session) -> Study:
    return tx.scalars(select(Study)).one()


def test_without_rules_everything_is_as_before(ward: Ward) -> None:
    ward.receive(films.film())
    close(ward)
    decide(ward)

    assert claim(ward, reader="cxr_llava") is not None
    assert (routing(ward).rule, routing(ward).completed_by, priorities(ward)) == ("", Trigger.QUIET, [5])
    assert "study-routed" not in events(ward)


@pytest.mark.parametrize("ask", [True, False])
def test_nobody_claims_a_study_that_nobody_has_decided_about(ward: Ward, ask: bool) -> None:
    rule(ward, "all", priority="stat")
    ward.receive(films.film())
    close(ward, ask=ask)
    assert claim(ward) is None

    decide(ward)
    taken = claim(ward)

    assert taken is not None
    assert taken.urgent
    assert (routing(ward).rule, routing(ward).rule_version) == ("all", 1)


def test_priority_of_the_request_counts_without_any_rule(ward: Ward) -> None:
    ward.receive(films.film(RequestedProcedurePriority="STAT"))
    close(ward)
    decide(ward)

    assert (priorities(ward), routing(ward).priority_from) == ([0], "header")


@pytest.mark.parametrize("no_rules", [True, False])
def test_priority_of_the_request_counts_where_a_person_completes_or_reprocesses(ward: Ward, no_rules: bool) -> None:
    ward.receive(films.film(RequestedProcedurePriority="STAT"))
    ward.do(lambda tx: worklist.complete_now(tx, the_study(tx), now(), actor="person:a"))
    decide(ward)
    taken = claim(ward)
    assert taken is not None
    assert taken.urgent

    ward.draft(taken)
    ward.do(lambda tx: worklist.reprocess(tx, the_study(tx), now(), actor="person:a", no_rules=no_rules))
    decide(ward)
    assert (priorities(ward), routing(ward, 2).priority_from) == ([0, 0], "header")


def test_a_rule_excludes_with_its_reason(ward: Ward) -> None:
    rule(ward, "ours-only", when=["InstitutionName != City"], exclude="film of another hospital")
    ward.receive(films.film(InstitutionName="Elsewhere"))
    close(ward)
    decide(ward)
    revision = ward.revision()

    assert (revision.book, revision.reason) == (Book.EXCLUDED, "excluded-by-rule")
    assert revision.explanation == "rule ours-only: film of another hospital"
    assert claim(ward) is None


def test_who_wants_notices_is_told_the_reason_of_a_rule(ward: Ward) -> None:
    ward.peer("PACS", notices=True)
    rule(ward, "ours-only", exclude="film of another hospital")
    ward.receive(films.film())
    close(ward)
    decide(ward)
    assert Bereaver(ward.desk).step() == 1
    (sent,) = ward.deliver()

    assert b"film of another hospital" in ward.payload(sent)
    assert b"ours-only" not in ward.payload(sent)
    assert ward.revision().book is Book.EXCLUDED
    assert Bereaver(ward.desk).step() == 0


def test_a_person_overrules_the_exclusion(ward: Ward) -> None:
    rule(ward, "none", exclude="not today")
    ward.receive(films.film())
    close(ward)
    decide(ward)
    ward.do(lambda tx: worklist.reprocess(tx, the_study(tx), now(), actor="person:a"))
    decide(ward)
    assert ward.revision(2).book is Book.EXCLUDED, "the rules are asked anew"

    ward.do(lambda tx: worklist.reprocess(tx, the_study(tx), now(), actor="person:a", no_rules=True))
    decide(ward)
    taken = claim(ward)
    assert taken is not None
    assert (taken.revision, ward.revision(3).book) == (3, Book.IN_FLIGHT)
    assert events(ward).count("study-reprocessed") == 2


def test_an_absent_tag_stops_no_study(ward: Ward) -> None:
    rule(ward, "site", when=["InstitutionName ~ City"], exclude="never")
    ward.receive(films.film())
    close(ward)
    decide(ward)

    assert claim(ward) is not None
    assert json.loads(routing(ward).remarks) == ["rule site cannot be asked: InstitutionName is absent"]


def test_a_lost_file_stops_no_study(ward: Ward) -> None:
    rule(ward, "dx", when=["Modality = DX"], exclude="never")
    ward.receive(films.film())
    instance = ward.ask(lambda tx: worklist.images_of(tx, the_study(tx).id))[0]
    stored_path(ward.desk.config.node.store_folder, instance.digest).unlink()
    close(ward)
    decide(ward)

    assert claim(ward) is not None


def test_a_rule_chooses_the_reader(ward: Ward) -> None:
    rule(ward, "second", reader="other")
    ward.receive(films.film())
    close(ward)
    decide(ward)

    assert claim(ward, reader="cxr_llava") is None
    assert claim(ward, reader="other") is not None


def test_a_rule_chooses_destinations_and_only_tightens_their_mode(ward: Ward) -> None:
    ward.peer("A")
    ward.peer("B")
    ward.peer("C", mode=Mode.SHADOW)
    rule(ward, "some", to=["A", "C=draft"])
    ward.receive(films.film())
    close(ward)
    decide(ward)
    taken = claim(ward)
    assert taken is not None
    ward.draft(taken)

    assert {held.destination for held in ward.deliver()} == {"A"}


def test_a_rule_turns_draft_into_shadow(ward: Ward) -> None:
    ward.peer("A")
    rule(ward, "trial", to=["A=shadow"])
    ward.receive(films.film())
    close(ward)
    decide(ward)
    taken = claim(ward)
    assert taken is not None
    ward.draft(taken)

    assert ward.deliver() == []
    assert (ward.revision().book, ward.revision().reason) == (Book.CLOSED, "shadow")


def test_requeued_and_late_revisions_are_decided_as_well(ward: Ward) -> None:
    ward.receive(films.film())
    close(ward)
    decide(ward)
    rule(ward, "now", priority="stat")
    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.9"))
    close(ward)
    assert claim(ward) is None
    decide(ward)

    taken = claim(ward)
    assert taken is not None
    assert (taken.revision, taken.urgent, routing(ward, 2).rule) == (2, True, "now")


def test_two_dispatchers_decide_once(ward: Ward) -> None:
    rule(ward, "all", priority="stat")
    ward.receive(films.film())
    close(ward)
    (waiting,) = ward.ask(lambda tx: worklist.undecided(tx, limit=9))
    decide(ward)
    ward.do(lambda tx: worklist.decided(tx, waiting.revision_id, Decision(priority="backlog"), now()))

    assert priorities(ward) == [0]
    assert events(ward).count("study-routed") == 1


def test_the_dispatcher_completes_and_decides_in_one_step(ward: Ward) -> None:
    rule(ward, "all", priority="backlog")
    ward.receive(films.film())
    node = ward.desk.config.node.model_copy(update={"quiet_seconds": 1e-6})
    config = ward.desk.config.model_copy(update={"node": node})

    Dispatcher(config, ward.database, tasks.make_app("redis+socket:///nowhere", on_ring=lambda: None)).step()

    assert (priorities(ward), routing(ward).rule) == ([9], "all")
    assert claim(ward) is not None


def test_a_person_ends_the_waiting(ward: Ward) -> None:
    ward.receive(films.film())
    done = ward.do(lambda tx: worklist.complete_now(tx, the_study(tx), now(), actor="person:a"))

    assert done == "revision 1 is complete"
    assert routing(ward).completed_by == Trigger.PERSON
    decide(ward)
    assert claim(ward) is not None
    with pytest.raises(WrongState, match="reprocess"):
        ward.do(lambda tx: worklist.complete_now(tx, the_study(tx), now(), actor="person:a"))


def test_what_is_being_read_is_not_reprocessed(ward: Ward) -> None:
    ward.receive(films.film())
    with pytest.raises(WrongState, match="not complete"):
        ward.do(lambda tx: worklist.reprocess(tx, the_study(tx), now(), actor="person:a"))
    close(ward, ask=False)
    with pytest.raises(WrongState, match="waits"):
        ward.do(lambda tx: worklist.reprocess(tx, the_study(tx), now(), actor="person:a"))
    ward.ask(lambda tx: tx.scalars(select(Workitem).where(Workitem.state == WorkitemState.SCHEDULED)).one())


@pytest.mark.parametrize(
    ("hours", "at", "expected"),
    [
        ("", "12:00", True),
        ("22:00-06:00", "23:30", True),
        ("22:00-06:00", "05:59", True),
        ("22:00-06:00", "06:00", False),
        ("08:00-12:00", "11:00", True),
        ("08:00-12:00", "12:00", False),
        ("00:00-24:00", "00:00", True),
    ],
)
def test_backlog_hours_are_those_of_the_site(tmp_path: Path, hours: str, at: str, expected: bool) -> None:
    """Seoul is nine hours ahead of UTC."""
    config = Config(
        node=NodeConfig(data_folder=tmp_path, backlog_hours=hours), reports=ReportsConfig(time_zone="Asia/Seoul")
    )
    hour, minute = map(int, at.split(":"))
    moment = datetime(2026, 11, 22, hour, minute, tzinfo=UTC) - timedelta(hours=9)

    assert is_backlog_time(config, moment) is expected


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_queue_tells_what_waits_for_its_hours(ward: Ward) -> None:
    rule(ward, "all", priority="backlog")
    ward.receive(films.film())
    close(ward)
    decide(ward)
    begin, end = (now() + timedelta(hours=later) for later in (2, 3))
    file = ward.folder / "wetread.toml"
    file.write_text(f'[node]\ndata_folder = "{ward.folder}"\nbacklog_hours = "{begin:%H:%M}-{end:%H:%M}"\n')

    told = CliRunner().invoke(wetread, ["--config", str(file), "queue"]).stdout
    as_json = json.loads(CliRunner().invoke(wetread, ["--config", str(file), "queue", "--json"]).stdout)

    assert f"1  of them are backlog, read in {begin:%H:%M}-{end:%H:%M} (node.backlog_hours)" in told
    assert f"next at {begin:%Y-%m-%d %H:%M}Z" in told
    shown = CliRunner().invoke(wetread, ["--config", str(file), "study", "show", "#1"]).stdout
    assert "Backlog is read in its hours, which begin in" in shown
    assert (as_json["backlog_waiting"], as_json["backlog_from"][:16]) == (1, f"{begin:%Y-%m-%dT%H:%M}")


@pytest.mark.parametrize("hours", ["00:00-00:00", "6:00-06:00", "24:00-24:00", "24:00-00:00"])
def test_hours_without_any_time_between_them_are_refused(tmp_path: Path, hours: str) -> None:
    with pytest.raises(ValueError, match=r"there is no time between .* empty for always"):
        NodeConfig(data_folder=tmp_path, backlog_hours=hours)


def test_a_study_is_looked_at_as_a_whole(ward: Ward) -> None:
    rule(ward, "pair", when=["ViewPosition = LL", "images = 2"], priority="stat")
    ward.receive(films.film())
    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.2", ViewPosition="LL"))
    close(ward)
    decide(ward)

    assert routing(ward).rule == "pair"


def test_rules_read_undeclared_text_as_the_report_does(ward: Ward) -> None:
    hospital, asked = (text.encode("iso8859_5").decode("latin-1") for text in ("Больница N1", "Рентген"))
    request = Dataset()
    request.RequestedProcedureDescription = asked
    film = films.film(InstitutionName=hospital, RequestAttributesSequence=[request])
    film.SpecificCharacterSet = None
    ward.receive(film)
    declared = films.film(StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.3.1", InstitutionName="Köln")
    declared.SpecificCharacterSet = "ISO_IR 100"
    ward.receive(declared)
    rule(ward, "koeln", when=["InstitutionName = Köln"])
    rule(
        ward,
        "district",
        when=["InstitutionName = Больница N1", "RequestAttributesSequence.RequestedProcedureDescription = Рентген"],
    )
    close(ward)
    config = ward.desk.config.model_copy(update={"reports": ReportsConfig(assume_charset="ISO_IR 144")})
    Router(replace(ward.desk, config=config)).step()
    assert sorted(ward.ask(lambda tx: tx.scalars(select(Routing.rule)).all())) == ["district", "koeln"]


def test_no_rule_is_asked_about_films_that_are_away(ward: Ward) -> None:
    rule(ward, "chest", when=["Modality = DX"], priority="stat")
    ward.receive(films.film())
    close(ward)
    store = ward.desk.config.node.store_folder
    store.rename(ward.folder / "away")
    with pytest.raises(StoreAway):
        decide(ward)
    (ward.folder / "away").rename(store)
    decide(ward)
    assert routing(ward).rule == "chest"


def test_headers_that_are_not_asked_are_told(ward: Ward) -> None:
    for number in range(HEADERS + 1):
        ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.{number + 1}"))
    close(ward)
    with capture_logs() as log:
        decide(ward)
    (told,) = [line for line in log if line["event"] == "headers_not_asked"]
    assert (told["images"], told["asked"]) == (HEADERS + 1, HEADERS)
