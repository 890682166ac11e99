"""Films for the pages: decoded elsewhere, a few at once, remembered within bounds; and their addresses."""

from __future__ import annotations

import fcntl
import os
import signal
import termios
import threading
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from sqlalchemy import delete, select
from starlette.testclient import TestClient

from agent.imaging.decoder import DecoderProcess
from agent.viewing import Bench, FilmRoom, Recollection
from dicom_node import worklist
from dicom_node.database import Database, clock
from dicom_node.files import stored_path
from dicom_node.headers import Header
from dicom_node.tables import AuditRow, Instance, Revision, Study
from reports.people.tables import StudyView
from reports.viewer_link import ViewerLink
from reports.web.app import make_app
from reports.web.doors import OpenHouse
from reports.web.film import FilmsBusy, FilmTrouble
from reports.web.rights import Role
from reports.web.site import Equipment, Premises
from tests.harness.node import wait_until
from tests.unit.agent.test_pixels import RAMP, make
from tests.unit.agent.test_viewable import values_of
from tests.unit.reports.films import DX
from tests.unit.reports.office import Badge

DIGESTS = ("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    for place, digest in enumerate(DIGESTS):
        path = stored_path(folder, digest)
        path.parent.mkdir()
        film = make(np.roll(RAMP, place), WindowCenter=2048, WindowWidth=2048, ViewPosition="PA", Modality="DX")
        if place == 2:
            film.NumberOfFrames = 3
        film.save_as(path, enforce_file_format=True)
    return folder


@pytest.fixture(scope="module")
def room(store: Path) -> Iterator[FilmRoom]:
    opened = FilmRoom(store, children=1)
    yield opened
    opened.close()


def children() -> list[psutil.Process]:
    """The decoding processes of this one."""
    found = []
    for child in psutil.Process().children():
        try:
            if "agent.imaging.decoder" in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def children_of(room: FilmRoom) -> list[psutil.Process]:
    """Those of one room: others may have been forgotten in this process, and not yet ended."""
    own = {decoder.pid for decoder, _ in room._bench._idle}
    return [one for one in children() if one.pid in own]


def unread(decoder: DecoderProcess) -> int:
    """Bytes that were sent to the child and that it has not taken yet."""
    assert decoder._pipe is not None
    count = array("i", [0])
    fcntl.ioctl(decoder._pipe.fileno(), termios.TIOCOUTQ, count)
    return count[0]


def test_the_products_of_a_film_come_from_another_process(room: FilmRoom) -> None:
    assert room.preview(DIGESTS[0]).content.startswith(b"\xff\xd8\xff")
    assert room.describe(DIGESTS[0])["view"] == "PA"
    pixels = room.pixels(DIGESTS[0])
    assert np.array_equal(values_of(pixels.content), RAMP)
    assert (pixels.media_type, pixels.encoding) == ("application/octet-stream", "gzip")
    assert len(children_of(room)) == 1


def test_a_child_that_is_killed_costs_nothing_but_time(room: FilmRoom) -> None:
    before = room.preview(DIGESTS[0])
    (child,) = children_of(room)
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: child.status() == psutil.STATUS_ZOMBIE, "the child to die")

    assert room.preview(DIGESTS[0]) == before  # remembered
    assert np.array_equal(values_of(room.pixels(DIGESTS[1]).content), np.roll(RAMP, 1))


def test_a_child_killed_with_a_film_in_its_hands_is_an_error_of_that_request_alone(store: Path) -> None:
    room = FilmRoom(store, children=1)
    room.describe(DIGESTS[0])
    decoder = room._bench._idle[0][0]
    (child,) = children_of(room)
    child.suspend()
    wait_until(lambda: child.status() == psutil.STATUS_STOPPED, "the child to stand still")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(room.preview, DIGESTS[0])
        wait_until(lambda: unread(decoder) > 0, "the child has the film")
        child.kill()
        with pytest.raises(FilmTrouble) as caught:
            asked.result(60)

    assert caught.value.code == "decoder-crashed"
    assert room.preview(DIGESTS[0]).content
    room.close()


def test_what_cannot_be_decoded_says_why(room: FilmRoom) -> None:
    with pytest.raises(FilmTrouble) as frames:
        room.preview(DIGESTS[2])
    with pytest.raises(FilmTrouble) as absent:
        room.pixels("d" * 64)

    assert (frames.value.code, absent.value.code) == ("multi-frame", "file-missing")
    assert "3 frames" in frames.value.explanation


def test_what_could_not_be_decoded_is_not_tried_again_for_some_minutes(store: Path, tmp_path: Path) -> None:
    path = stored_path(tmp_path, DIGESTS[0])
    path.parent.mkdir()
    path.write_bytes(stored_path(store, DIGESTS[2]).read_bytes())  # of several frames
    now = [1000.0]
    room = FilmRoom(tmp_path, children=1, seconds_of=lambda: now[0])
    with pytest.raises(FilmTrouble, match="3 frames"):
        room.preview(DIGESTS[0])
    path.write_bytes(stored_path(store, DIGESTS[0]).read_bytes())  # now a try would succeed

    with pytest.raises(FilmTrouble, match="3 frames") as again:
        room.preview(DIGESTS[0])
    assert again.value.code == "multi-frame"
    assert room.pixels(DIGESTS[0]).content  # another question
    now[0] += 301
    assert room.preview(DIGESTS[0]).content
    room.close()


def test_the_same_question_at_once_is_answered_once(store: Path) -> None:
    room = FilmRoom(store, children=2)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: room.preview(DIGESTS[0]).content, range(8)))

    assert len(set(answers)) == 1
    assert len({id(answer) for answer in answers}) == 1  # one object: it was made once
    room.close()


def test_a_room_that_was_started_has_its_process_before_the_first_film(store: Path) -> None:
    room = FilmRoom(store, children=2)
    assert children_of(room) == []

    room.start()

    (child,) = children_of(room)
    room.describe(DIGESTS[0])
    assert children_of(room) == [child]  # it is the one that is taken
    room.close()


def test_nothing_stays_when_the_room_is_closed_or_forgotten(store: Path) -> None:
    closed, forgotten = FilmRoom(store, children=1), FilmRoom(store, children=1)
    closed.describe(DIGESTS[0])
    forgotten.describe(DIGESTS[0])
    theirs = [*children_of(closed), *children_of(forgotten)]
    assert len(theirs) == 2

    closed.close()
    del forgotten

    wait_until(lambda: not set(theirs) & set(children()), "the children to end")


def test_what_is_remembered_never_takes_more_than_its_room() -> None:
    known = Recollection(10_000)
    for number in range(50):
        known.put(("values", str(number)), bytes(2000))
        assert known.size <= 10_000
    known.get(("values", "47"))
    known.put(("values", "new"), bytes(2000))

    assert known.get(("values", "47")) is not None  # used lately
    assert known.get(("values", "48")) is None
    known.put(("values", "huge"), bytes(9_900))
    assert known.get(("values", "huge")) is None
    assert known.get(("values", "new")) is not None


def test_a_bench_that_is_full_refuses_and_prefers_who_knows_the_film() -> None:
    first, second = DecoderProcess(), DecoderProcess()
    bench = Bench((first, second), most_waiting=0, patience_seconds=60)
    with bench.decoder("a") as one, bench.decoder("b") as other:
        assert {one, other} == {first, second}
        with pytest.raises(FilmsBusy), bench.decoder("c"):
            pass
    with bench.decoder("a") as again:
        assert again is one
    with bench.decoder("b") as again:
        assert again is other


def test_who_waits_gets_what_is_free_again_or_is_refused_in_time() -> None:
    bench = Bench((DecoderProcess(),), most_waiting=1, patience_seconds=0.05)
    got = threading.Event()

    def wait() -> None:
        with bench.decoder("b"):
            got.set()

    with bench.decoder("a"), pytest.raises(FilmsBusy), bench.decoder("b"):
        pass
    bench._patience = 60
    with bench.decoder("a"):
        thread = threading.Thread(target=wait)
        thread.start()
        wait_until(lambda: bench._waiting == 1, "somebody waits")
        assert not got.is_set()
    thread.join(60)
    assert got.is_set()


class Reading:
    """The addresses of films, on a database and a store of their own."""

    def __init__(self, database: Database, store: Path, room: FilmRoom | None, *roles: Role) -> None:
        self.database, self.room = database, room
        porter = Badge(frozenset(roles)) if roles else OpenHouse()
        link = ViewerLink("https://pacs.example/v?uid={study_instance_uid}")
        app = make_app(
            Premises("WETREAD", 104, store, "0"),
            database,
            not_ready=list,
            metrics=bytes,
            equipment=Equipment(porter=porter, films=room, viewer_link=link),
        )
        self.web = TestClient(app, base_url="http://localhost:8080")

    def receive(self, study: int, digest: str, *, patient: str = "EX-1", issuer: str = "", uid: str = "") -> None:
        header = Header(
            sop_class_uid=DX,
            sop_instance_uid=uid or f"1.2.{study}.{int(digest[:2], 16)}",
            study_instance_uid=f"1.2.{study}",
            series_instance_uid=f"1.2.{study}.0",
            patient_id=patient,
            issuer_of_patient_id=issuer,
            accession_number="A1",
            device_uid="",
        )
        arrival = worklist.Arrival(header, "1.2.840.10008.1.2.1", digest, 1000, "PACS")
        with self.database.write() as tx:
            worklist.record_instance(tx, arrival, clock(tx))

    def priors(self, study: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.web.get(f"/study/{study}/priors.json").json()["priors"]
        return found

    def number(self, digest: str, study: int = 1) -> int:
        with self.database.read() as tx:
            found = tx.query(Instance).join(Study).filter(Study.study_instance_uid == f"1.2.{study}")
            return next(one.id for one in found if one.digest == digest)


@pytest.fixture
def reading(sqlite_url: str, store: Path, room: FilmRoom) -> Iterator[Reading]:
    database = Database(sqlite_url)
    made = Reading(database, store, room)
    made.receive(1, DIGESTS[0])
    yield made
    database.close()


def test_a_study_lists_its_films_and_what_is_known_of_each(reading: Reading) -> None:
    reading.receive(1, DIGESTS[2])

    told = reading.web.get("/study/1/films.json").json()

    first, second = told["films"]
    assert first["facts"]["view"] == "PA"
    assert (first["preview"], first["read"], first["conflict"], first["words"]) == ("/film/1/preview", 0, False, [])
    assert second["facts"]["width"] == 64  # its header can be read, its pixels cannot
    assert told["viewer"] == "https://pacs.example/v?uid=1.2.1"
    assert told["priors"] == "/study/1/priors.json"
    assert reading.priors(1) == []
    assert reading.web.get("/study/99/films.json").status_code == 404


def test_priors_are_of_the_same_patient_and_issuer_newest_first(reading: Reading) -> None:
    reading.receive(2, DIGESTS[1])
    reading.receive(3, DIGESTS[1], patient="EX-2")
    reading.receive(4, DIGESTS[1], issuer="ELSEWHERE")
    reading.receive(5, DIGESTS[1])
    reading.receive(6, DIGESTS[1], patient="")
    reading.receive(7, DIGESTS[1], patient="")

    assert [prior["study"] for prior in reading.priors(1)] == [5, 2]
    assert reading.priors(6) == []


def test_film_of_another_patient_is_no_prior(reading: Reading) -> None:
    reading.receive(2, DIGESTS[1])
    reading.receive(2, DIGESTS[2], patient="EX-2")  # now it is held: whose is it?
    reading.receive(3, DIGESTS[1])

    assert [prior["study"] for prior in reading.priors(1)] == [3]

    with reading.database.write() as tx:  # a person has decided
        tx.get_one(Study, 2).hold_reason = ""
    of_three, of_two = reading.priors(1)
    assert (of_three["study"], of_two["study"]) == (3, 2)
    assert [film["id"] for film in of_two["films"]] == [reading.number(DIGESTS[1], 2)]


def test_a_film_is_sent_once_and_then_known_by_its_tag(reading: Reading) -> None:
    picture = reading.web.get("/film/1/preview")
    pixels = reading.web.get("/film/1/pixels")
    facts = reading.web.get("/film/1/film.json")

    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.headers["cache-control"] == "private, max-age=300"
    assert picture.headers["vary"] == "Cookie"
    assert pixels.headers["content-encoding"] == "gzip"
    assert facts.json()["modality"] == "DX"
    assert len({answer.headers["etag"] for answer in (picture, pixels, facts)}) == 3
    again = reading.web.get("/film/1/pixels", headers={"If-None-Match": pixels.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert reading.web.head("/film/1/preview").content == b""


def test_who_looks_at_a_film_is_written_down_but_not_who_only_prepares_it(reading: Reading, store: Path) -> None:
    assert reading.room is not None
    kim = Reading(reading.database, store, reading.room, Role.RADIOLOGIST)

    def looks() -> list[str]:
        with reading.database.read() as tx:
            rows = tx.scalars(select(AuditRow).where(AuditRow.event == "study-seen")).all()
            return [f"{row.actor} {row.study_id} {row.detail}" for row in rows]

    assert kim.web.head("/film/1/preview").status_code == 200
    assert looks() == []
    kim.web.get("/film/1/preview")
    kim.web.get("/film/1/pixels")
    assert looks() == ['person:kim 1 {"what": "film"}']

    with reading.database.write() as tx:
        tx.execute(delete(StudyView))
    tag = kim.web.head("/film/1/pixels").headers["etag"]
    assert kim.web.get("/film/1/pixels", headers={"If-None-Match": tag}).status_code == 304  # the browser shows it
    assert len(looks()) == 2
    auditor = Reading(reading.database, store, reading.room, Role.AUDITOR)
    assert auditor.web.get("/film/1/pixels").status_code == 403
    assert auditor.web.get("/study/1/priors.json").status_code == 403
    assert auditor.web.get("/study/1/films.json").status_code == 403


def test_a_film_that_cannot_be_shown_says_why(reading: Reading) -> None:
    reading.receive(1, DIGESTS[2])
    frames = reading.web.get(f"/film/{reading.number(DIGESTS[2])}/pixels")
    assert (frames.status_code, frames.json()["code"]) == (422, "multi-frame")
    assert "frames" in frames.json()["detail"]

    reading.receive(1, "e" * 64)
    gone = reading.web.get(f"/film/{reading.number('e' * 64)}/preview")
    assert (gone.status_code, gone.json()["code"]) == (410, "file-missing")
    listed = reading.web.get("/study/1/films.json").json()["films"][2]
    assert (listed["facts"], listed["trouble"]["code"]) == (None, "file-missing")

    assert reading.web.get("/film/99/pixels").status_code == 404
    assert reading.web.get(f"/film/{2**40}/pixels").status_code == 404


def test_list_of_a_busy_moment_has_no_trouble_that_would_last(sqlite_url: str, store: Path) -> None:
    database = Database(sqlite_url)
    busy = FilmRoom(store, children=1, most_waiting=0)
    made = Reading(database, store, busy)
    made.receive(1, DIGESTS[0])

    with busy._bench.decoder("another film"):
        (film,) = made.web.get("/study/1/films.json").json()["films"]
        assert made.web.get(film["preview"]).status_code == 503  # the viewer asks again

    assert (film["facts"], film["trouble"]) == (None, None)
    assert made.web.get(film["preview"]).status_code == 200
    busy.close()
    database.close()


def test_list_of_films_waits_for_no_film_of_another_study(sqlite_url: str, store: Path) -> None:
    database = Database(sqlite_url)
    busy = FilmRoom(store, children=1, most_waiting=0)
    made = Reading(database, store, busy)
    made.receive(1, DIGESTS[0])
    made.receive(2, DIGESTS[1])
    assert made.web.head("/study/1/films.json").status_code == 200  # as the page before it asks: now it is known

    with busy._bench.decoder("another film"):
        told = made.web.get("/study/1/films.json").json()
        refused = made.web.get(told["priors"])
        assert made.web.head(told["priors"]).content == b""
    assert told["films"][0]["facts"]["view"] == "PA"
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "busy", "2")

    (prior,) = made.priors(1)
    assert (prior["study"], prior["films"][0]["facts"]["view"]) == (2, "PA")
    assert made.web.get("/study/99/priors.json").status_code == 404
    assert made.web.get("/study/1/priors.json?report=7").status_code == 409
    busy.close()
    database.close()


def test_what_was_deleted_is_gone_and_no_prior(reading: Reading) -> None:
    reading.receive(2, DIGESTS[1])
    with reading.database.write() as tx:
        revision = tx.query(Revision).filter(Revision.study_id == 2).one()
        revision.purged_at = clock(tx)

    gone = reading.web.get(f"/film/{reading.number(DIGESTS[1], 2)}/pixels")

    assert (gone.status_code, gone.json()["code"]) == (410, "purged")
    assert "keep_days" in gone.json()["detail"]
    assert reading.priors(1) == []
    (deleted,) = reading.web.get("/study/2/films.json").json()["films"]
    assert deleted["words"] == ["Deleted: it was kept as long as node.keep_days says."]


def test_a_conflict_and_another_patient_are_shown_with_words(reading: Reading) -> None:
    reading.receive(1, DIGESTS[1], uid=f"1.2.1.{int('aa', 16)}", patient="EX-2")

    told = reading.web.get("/study/1/films.json").json()

    assert told["films"][1]["conflict"] is True
    assert "first one is used" in told["films"][1]["words"][0]
    assert told["words"] != []
    assert reading.web.get(f"/film/{told['films'][1]['id']}/preview").status_code == 200


def test_pages_without_a_decoder_say_so(sqlite_url: str, store: Path) -> None:
    database = Database(sqlite_url)
    made = Reading(database, store, None)
    made.receive(1, DIGESTS[0])

    answer = made.web.get("/film/1/preview")

    assert (answer.status_code, answer.json()["code"]) == (503, "no-decoder")
    database.close()
