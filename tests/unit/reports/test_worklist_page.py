"""The worklist page: one status for each study, what waits for whom, filters, views of one's own, and what is new."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from sqlalchemy import text, update
from starlette.testclient import TestClient

from agent.pages import make_pages
from dicom_node.database import clock
from dicom_node.kinds import Kind
from dicom_node.rules.decision import BACKLOG
from dicom_node.tables import AuditRow, Mode, Workitem
from reports.people.rights import Role
from reports.signoff.tables import WorkingCopy
from reports.tables import Event, Report
from reports.web.news import News, Newsroom, Pace, told
from reports.web.wish import Show, Sort, Wish
from reports.web.worklist import find
from tests.harness.morning import CLEAR, DEVICES, DOUBTFUL, PNEUMOTHORAX, Morning
from tests.harness.people import add_user, signed_in
from tests.harness.reading_room import ReadingRoom
from tests.unit.agent.desk_of_readers import service
from tests.unit.agent.ward import now

HOSTILE = "<img src=x onerror=alert(1)>"


@dataclass
class Place:
    room: ReadingRoom
    morning: Morning
    rita: TestClient
    lee: TestClient

    def studies(self, address: str, client: TestClient | None = None) -> list[int]:
        """Numbers of the studies of a page, in its order."""
        page = (client or self.rita).get(address)
        assert page.status_code == 200
        return [int(number) for number in re.findall(r'<tr id="study-(\d+)"', page.text)]

    def row(self, number: int, address: str = "/?show=all") -> str:
        """One row as a person reads it."""
        found = re.search(rf'<tr id="study-{number}".*?</tr>', self.rita.get(address).text, re.DOTALL)
        assert found
        return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", found[0]).split()))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    room = ReadingRoom(tmp_path)
    room.peer()
    reader = add_user(room.database, "rita", Role.RADIOLOGIST)
    add_user(room.database, "lee", Role.RADIOLOGIST)
    clients = [signed_in(room.app, room.database, login) for login in ("rita", "lee")]
    yield Place(room, Morning(room, reader, "rita"), *clients)
    room.close()


# --- one status each ----------------------------------------------------------------------------------------------


def test_every_state_of_a_study_has_its_own_words(place: Place) -> None:
    place.morning.fill()

    page = place.rita.get("/?show=all").text
    said = re.findall(
        r'<span class="chip [^"]*">([^<]+)</span>', page[page.index('id="studies"') : page.index("Queues")]
    )

    assert set(said) == {
        "receiving",
        "waiting",
        "reading",
        "drafted, on its way",
        "delivered",
        "signed",
        "signed, in PACS",
        "rejected",
        "expired",
        "excluded",
        "held",
        "dead letter",
    }


def test_signed_report_says_until_when_it_is_not_in_the_pacs(place: Place) -> None:
    place.morning.sign(place.room.study(CLEAR))
    assert "signed Signed, not yet in PACS. About to be sent to PACS." in place.row(1)

    place.room.deliver()

    assert "signed, in PACS The signed report is in PACS" in place.row(1)


def test_signed_report_that_nobody_gets_is_signed_all_the_same(place: Place) -> None:
    place.room.set_mode("PACS", Mode.SHADOW)
    place.room.peer("ARCHIVE", Kind.BASIC_TEXT, mode=Mode.HOLD)
    report = place.room.study(CLEAR)
    place.room.set_mode("ARCHIVE", Mode.SHADOW)
    place.morning.sign(report)

    assert "signed Signed. Nothing was delivered" in place.row(1)


def test_first_signature_waits_for_the_second(place: Place) -> None:
    report = place.room.study(CLEAR)
    with place.room.database.write() as tx:
        tx.execute(text("UPDATE report SET state = 'AWAITING SECOND' WHERE id = :id"), {"id": report.id})

    assert "awaiting second One person has signed, a second one must." in place.row(1)


@pytest.mark.parametrize(("event", "status"), [(Event.EXPIRED, "expired"), (Event.WITHDRAWN, "withdrawn")])
def test_draft_that_ended_says_how(place: Place, event: Event, status: str) -> None:
    place.morning.end(place.room.study(CLEAR), event)

    assert status in place.row(1)


def test_row_says_who_has_the_draft_open_until_that_person_is_silent(place: Place) -> None:
    report = place.room.study(CLEAR)
    service(place.room).open_(report.id, place.morning.reader, now())
    assert "opened by rita" in place.row(1)

    with place.room.database.write() as tx:
        tx.execute(text("UPDATE working_copy SET heard_at = :at"), {"at": datetime(2020, 1, 1)})  # noqa: DTZ001

    assert "opened by" not in place.row(1)


def test_waiting_study_tells_when_it_will_be_read_once_readings_have_a_pace(place: Place) -> None:
    place.morning.arrive()
    place.morning.complete()
    assert "Expected" not in place.row(1)
    with place.room.database.write() as tx:
        for minutes in (1, 5, 10):
            at = clock(tx) - timedelta(minutes=minutes)
            tx.add(AuditRow(at=at, actor="work", event="draft-recorded", study_id=None, detail="{}"))

    assert re.search(r"Number 1 of 1 in the queue\. Expected in (3|4) min\.", place.row(1))
    assert ", 18 an hour lately: done about 2" in place.rita.get("/").text


def test_backlog_that_waits_for_its_hours_says_when_they_begin(place: Place) -> None:
    place.morning.arrive()
    place.morning.complete()
    place.room.do(lambda tx: tx.execute(update(Workitem).values(priority=BACKLOG)))
    begin = (now() + timedelta(hours=2, minutes=30)).replace(second=0, microsecond=0)
    hours = f"{begin:%H:%M}-{begin + timedelta(hours=1):%H:%M}"
    node = place.room.desk.config.node.model_copy(update={"backlog_hours": hours})
    config = place.room.desk.config.model_copy(update={"node": node})
    add_user(place.room.database, "ada", Role.ADMINISTRATOR)
    app = make_pages(config, place.room.database)
    rita, ada = (signed_in(app, place.room.database, login) for login in ("rita", "ada"))

    for page in (rita.get("/?show=all"), rita.get("/study/1")):
        assert "Number 1 of 1 in the queue. Backlog is read in its hours, which begin in 2 h." in page.text
    told = f"1 of them backlog, from {begin:%Y-%m-%d %H:%M} UTC on"
    assert told in rita.get("/").text
    assert told.replace(f"{begin:%Y}-", "") in ada.get("/queues").text
    assert ada.get("/api/v1/queues").json()["backlog_waiting"] == 1
    assert "its hours" not in place.row(1)


def test_findings_of_the_text_stand_in_the_row_the_urgent_ones_first(place: Place) -> None:
    place.room.study(PNEUMOTHORAX)
    place.room.study(DOUBTFUL)
    place.room.study(CLEAR)

    assert "critical" in place.row(1)
    assert "Pneumothorax Cardiomegaly" in place.row(1)
    assert "critical?" not in place.row(1)
    assert "critical?" in place.row(2)  # it comes behind stat
    assert "Pneumothorax?" in place.row(2)
    assert "none named" in place.row(3)
    assert "critical" not in place.row(3)


def test_nothing_of_a_shadow_draft_is_shown(place: Place) -> None:
    place.room.set_mode("PACS", Mode.SHADOW)
    place.room.study(PNEUMOTHORAX)

    assert "Pneumothorax" not in place.row(1)
    assert place.studies("/?show=drafts") == []
    assert place.studies("/?show=all&finding=Pneumothorax") == []


def test_header_with_markup_stays_text(place: Place) -> None:
    place.room.study(
        CLEAR, PatientID=HOSTILE, StationName=HOSTILE[:16], PatientName=HOSTILE, AccessionNumber=HOSTILE[:16]
    )

    for address in ("/?show=all", "/worklist/rows?show=all&shown=1&changed=1", f"/?q={HOSTILE}"):
        page = place.rita.get(address).text
        assert "<img" not in page
        assert "&lt;img" in page


# --- order, tabs, filters -----------------------------------------------------------------------------------------


def test_drafts_come_critical_first_then_stat_then_doubtful_then_by_age(place: Place) -> None:
    place.room.study(CLEAR)
    place.room.study(DEVICES)
    place.room.study(DOUBTFUL)
    place.morning.stat(place.room.study(CLEAR))
    place.room.study(PNEUMOTHORAX)
    place.room.study(CLEAR)

    assert place.studies("/?show=drafts") == [5, 4, 3, 2, 1, 6]
    assert place.studies("/?show=drafts&sort=newest") == [6, 5, 4, 3, 2, 1]
    assert place.studies("/?show=drafts&sort=oldest") == [1, 2, 3, 4, 5, 6]


def test_readers_see_first_what_waits_for_them_and_others_see_everything(place: Place) -> None:
    place.room.study(CLEAR)
    place.morning.arrive()
    add_user(place.room.database, "ada", Role.ADMINISTRATOR)

    assert place.studies("/") == [1]
    assert place.studies("/", signed_in(place.room.app, place.room.database, "ada")) == [2, 1]


def test_tabs_part_the_studies_and_count_those_that_wait(place: Place) -> None:
    place.morning.fill()
    everything = place.studies("/?show=all")
    parts = {show: place.studies(f"/?show={show}") for show in Show}

    assert set(everything) == set().union(*(set(found) for show, found in parts.items() if show is not Show.ALL))
    assert len(parts[Show.COMING]) == 5
    assert len(parts[Show.HELD]) == 2
    assert len(parts[Show.DEAD_LETTERS]) == 1
    page = place.rita.get("/?show=all").text
    for show in (Show.DRAFTS, Show.MINE, Show.COMING, Show.HELD, Show.DEAD_LETTERS):
        assert f'<b data-count="{show}">{len(parts[show])}</b>' in page


def test_mine_is_what_i_have_open_or_was_handed_to_me(place: Place) -> None:
    report, other = place.room.study(CLEAR), place.room.study(CLEAR)
    service(place.room).open_(report.id, place.morning.reader, now())
    service(place.room).open_(other.id, place.morning.reader, now())
    lee = replace(place.morning.reader, user_id=place.morning.reader.user_id + 1, login="lee", name="Lee^Test")
    service(place.room).hand_over(other.id, place.morning.reader, lee, now())

    assert place.studies("/?show=mine") == [1]
    assert place.studies("/?show=mine", place.lee) == [2]


FILTERS = {
    "finding=Pneumothorax": [2, 3],
    "finding=any": [2, 3],
    "finding=Edema": [4],
    "priority=stat": [5],
    "priority=backlog": [],
    "q=acc0002": [2],
    "q=EX-0003": [3],
    "older=1440": [],
    "since=2020-01-01&until=2020-12-31": [],
    "since=2020-01-01": [1, 2, 3, 4, 5],
    "reader=parrot+1": [1, 2, 3, 4, 5],
    "reader=nobody": [],
    "finding=Pneumothorax&q=ACC0003": [3],
}
NONSENSE = (
    "older=x",
    "older=-1",
    "since=2025-13-01",
    "since=9999-12-31",
    "until=0001-01-01",
    "sort=x",
    "before=1.2",
    "finding=x",
)


def test_filters_narrow_the_list(five: Place) -> None:
    found = {query: five.studies(f"/?show=all&sort=oldest&{query}") for query in FILTERS}

    assert found == FILTERS


@pytest.fixture
def five(place: Place) -> Place:
    for words in (CLEAR, PNEUMOTHORAX, DOUBTFUL, DEVICES):
        place.room.study(words)
    place.morning.stat(place.room.study(CLEAR))
    return place


def test_pages_are_turned_in_every_order_without_loss(five: Place) -> None:
    for sort in Sort:
        seen: list[int] = []
        wish = Wish(show=Show.ALL, sort=sort)
        with five.room.database.read() as tx:
            whole = find(tx, wish, clock(tx), user_id=0, limit=50)
            while True:
                page = find(tx, wish, clock(tx), user_id=0, limit=2)
                seen += [facts.revision.study_id for facts in page.facts]
                if not page.older:
                    break
                wish = Wish.of(dict(parse_qsl(wish.address(before=page.older))))

        assert seen == [facts.revision.study_id for facts in whole.facts]
        assert sorted(seen) == [1, 2, 3, 4, 5]


def test_nonsense_in_a_filter_is_left_out(five: Place) -> None:
    for query in NONSENSE:
        assert len(five.studies(f"/?show=all&{query}")) == 5


def test_address_of_a_wish_reads_as_the_same_wish() -> None:
    asked = {
        "q": "A&B=C",
        "show": "signed",
        "sort": "oldest",
        "priority": "stat",
        "finding": "Edema",
        "reader": "x y",
        "older": "60",
        "since": "2026-01-01",
        "until": "2026-02-01",
    }
    wish = Wish.of(asked)
    again = Wish.of(dict(parse_qsl(wish.address())))

    assert again == wish
    assert wish.is_narrow
    assert wish.is_filtered
    assert not Wish.of({}).is_narrow


def test_empty_answers_say_what_to_do(place: Place) -> None:
    assert "No draft waits for a radiologist." in place.rita.get("/?show=drafts").text
    assert "No study fits." in place.rita.get("/?q=nothing").text
    assert "PACS may send to WETREAD" in place.rita.get("/?show=all").text


def test_search_that_finds_nothing_in_its_tab_looks_through_all(five: Place) -> None:
    found = five.rita.get("/?show=excluded&q=ACC0002")

    assert (found.status_code, found.headers["location"]) == (303, "/?show=all&q=ACC0002")
    assert "ACC0002" in five.rita.get(found.headers["location"]).text
    assert "No study fits." in five.rita.get("/?show=excluded&q=nothing").text


def test_next_draft_is_the_most_urgent_that_nobody_else_has_open(five: Place) -> None:
    assert five.rita.get("/report/next").headers["location"] == "/study/2/report"
    service(five.room).open_(2, five.morning.reader, now())

    assert five.lee.get("/report/next").headers["location"] == "/study/5/report"
    assert five.rita.get("/report/next").headers["location"] == "/study/2/report"


def test_search_that_names_a_patient_is_in_the_trail_and_a_list_is_not(five: Place) -> None:
    five.rita.get("/?show=all")
    assert "study-seen" not in five.room.events()

    five.rita.get("/?q=EX-0003")

    assert five.room.events().count("study-seen") == 1


def test_search_that_names_one_patient_is_in_the_trail_however_many_studies_that_patient_has(place: Place) -> None:
    for _ in range(6):
        place.room.receive_film(PatientID="KIM-7")
    for _ in range(6):
        place.room.receive_film()

    place.rita.get("/?show=all&q=EX-")  # six patients: a list
    assert "study-seen" not in place.room.events()

    place.rita.get("/?show=all&q=kim-7")
    assert place.room.events().count("study-seen") == 6


# --- views --------------------------------------------------------------------------------------------------------


def test_kept_view_is_one_s_own_and_can_stand_first(five: Place) -> None:
    done = five.rita.post(
        "/worklist/views", data={"name": "Pneumothorax", "query": "show=all&finding=Pneumothorax", "default": "yes"}
    )

    assert (done.status_code, done.headers["location"]) == (303, "/?show=all&finding=Pneumothorax")
    assert five.studies("/") == [3, 2]
    assert len(five.studies("/?show=all")) == 5
    assert '<a href="/?show=all&amp;finding=Pneumothorax" data-view="1">Pneumothorax</a>' in five.rita.get("/").text
    assert "data-view" not in five.lee.get("/").text


def test_view_is_replaced_by_its_name_removed_and_no_longer_first(five: Place) -> None:
    for query in ("show=held", "show=signed"):
        five.rita.post("/worklist/views", data={"name": "Mine", "query": query, "default": "yes"})
    page = five.rita.get("/").text
    assert page.count("data-view=") == 1
    assert "show=signed" in page
    (number,) = set(re.findall(r'name="view" value="(\d+)"', page))

    five.lee.post("/worklist/views/remove", data={"view": number})
    assert "data-view=" in five.rita.get("/").text
    five.rita.post("/worklist/views/default", data={"view": ""})
    assert len(five.studies("/")) == 5
    five.rita.post("/worklist/views/remove", data={"view": number})

    assert "data-view=" not in five.rita.get("/").text


def test_view_without_a_name_and_a_tenth_one_are_refused_in_words(place: Place) -> None:
    refused = place.rita.post("/worklist/views", data={"name": " ", "query": ""})
    assert "Give the view a name" in place.rita.get(refused.headers["location"]).text
    for number in range(9):
        place.rita.post("/worklist/views", data={"name": f"View {number}", "query": f"q={number}"})

    refused = place.rita.post("/worklist/views", data={"name": "One more", "query": ""})

    assert "delete one first" in place.rita.get(refused.headers["location"]).text


def test_view_of_another_site_s_making_holds_only_what_the_worklist_knows(place: Place) -> None:
    place.rita.post("/worklist/views", data={"name": "x", "query": "q=1&next=//evil.example&<script>=1"})

    assert 'href="/?show=all&amp;q=1" data-view' in place.rita.get("/?show=all").text


# --- what is new --------------------------------------------------------------------------------------------------


def test_rows_that_changed_come_alone_and_new_and_gone_ones_are_told(five: Place) -> None:
    five.morning.sign(five.room.ask(lambda tx: tx.get_one(Report, 1)))
    five.room.study(CLEAR)

    answer = five.rita.get("/worklist/rows?show=drafts&shown=1,2,3&changed=1,9").text

    assert re.findall(r'<tr id="study-(\d+)"', answer) == ["1"]
    assert 'data-gone="1"' in answer
    assert 'data-fresh="3"' in answer
    assert 'data-drafts="5"' in answer


def look(room: Newsroom, change: Callable[[], None], *, answers: int = 1) -> list[News | None]:
    """What one listener is told after a change."""

    async def listen() -> list[News | None]:
        with room.seat() as seat:
            found: list[News | None] = []
            await room.ready()
            change()
            async for news in told(room, seat):
                if news is not None:
                    found.append(news)
                if len(found) == answers:
                    break
            return found

    return asyncio.run(asyncio.wait_for(listen(), 30))


QUICK = Pace(looks=0.05, beats=0.5, lasts=20)


def test_listener_hears_which_study_changed(five: Place) -> None:
    room = Newsroom(five.room.database, QUICK)

    (news,) = look(room, lambda: five.morning.end(five.room.ask(lambda tx: tx.get_one(Report, 2)), Event.EXPIRED))

    assert news == News(frozenset({2}))


def test_listener_hears_of_another_image_and_of_who_opened_a_draft(five: Place) -> None:
    room = Newsroom(five.room.database, QUICK)

    (image,) = look(room, five.morning.arrive)
    (opened,) = look(room, lambda: service(five.room).open_(1, five.morning.reader, now()) and None)

    assert image == News(frozenset({6}))
    assert opened == News(frozenset({1}))


def test_listener_hears_that_a_draft_is_free_again(five: Place) -> None:
    room, reader = Newsroom(five.room.database, QUICK), five.morning.reader

    def silence() -> None:
        with five.room.database.write() as tx:
            tx.get_one(WorkingCopy, 2).heard_at = clock(tx) - timedelta(minutes=3)

    for number in (1, 2):
        service(five.room).open_(number, reader, now())
    (left,) = look(room, lambda: service(five.room).leave(1, reader))
    (silent,) = look(room, silence)

    assert left == News(frozenset({1}))
    assert silent == News(frozenset({2}))


def test_listener_hears_of_a_commit_that_was_passed_by_a_later_one(five: Place) -> None:
    with five.room.database.write() as tx:
        tx.execute(text("UPDATE audit SET id = id + 10 WHERE id = (SELECT max(id) FROM audit)"))
        newest = tx.execute(text("SELECT max(id) FROM audit")).scalar_one()

    def late() -> None:
        with five.room.database.write() as tx:
            tx.add(AuditRow(id=newest - 5, at=clock(tx), actor="work", event="x", study_id=4, detail="{}"))

    (news,) = look(Newsroom(five.room.database, QUICK), late)

    assert news == News(frozenset({4}))


def test_listener_hears_of_silence_and_of_its_end(five: Place) -> None:
    database = five.room.database

    def break_it() -> None:
        with database.write() as tx:
            tx.execute(text("ALTER TABLE audit RENAME TO elsewhere"))

    def mend_it() -> None:
        with database.write() as tx:
            tx.execute(text("ALTER TABLE elsewhere RENAME TO audit"))

    async def listen() -> list[News]:
        room = Newsroom(database, QUICK)
        with room.seat() as seat:
            found: list[News] = []
            await room.ready()
            break_it()
            async for news in told(room, seat):
                if news is None:
                    continue
                found.append(news)
                if not news.silent:
                    return found
                mend_it()
            return found

    found = asyncio.run(asyncio.wait_for(listen(), 30))

    assert found == [News(None, silent=True), News(None)]


def test_no_more_browsers_are_let_in_than_there_are_seats(five: Place) -> None:
    room = Newsroom(five.room.database, Pace(seats=1))

    async def sit() -> tuple[bool, bool]:
        with room.seat():
            full = room.is_full
        return full, room.is_full

    assert asyncio.run(sit()) == (True, False)
