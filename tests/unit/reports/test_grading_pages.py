"""The pages of a reader study: raters alone come in, nothing that is served tells who wrote a report."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from reports.grading.tables import Rater, Turn
from reports.web.doors import Door
from reports.web.rights import Right
from tests.harness.grading_room import Study, add_rater, grading_app, make_study

OURS = {"Sec-Fetch-Site": "same-origin"}
JSON = {**OURS, "Accept": "application/json"}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path)


def browser(app: object) -> TestClient:
    return TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)  # type: ignore[arg-type]


@pytest.fixture
def rater(study: Study) -> Iterator[TestClient]:
    """Ann, who has used her link."""
    with grading_app(study) as (app, database):
        link = add_rater(database, study.package, "ann")
        client = browser(app)
        assert client.post(link, headers=OURS).headers["location"] == "/"
        yield client


def item_of(page: str) -> str:
    found = re.search(r'<p class="report-text"[^>]*>(.*?)</p>', page, re.DOTALL)
    assert found
    return found[1]


def grade(client: TestClient, position: int, given: str, version: int = 0, **more: str) -> tuple[int, dict[str, str]]:
    fields = {"grade": given, "version": str(version), "seconds": "2", **more}
    answer = client.post(f"/item/{position}", json=fields, headers=JSON)
    return answer.status_code, answer.json()


def test_nobody_comes_in_without_a_link(study: Study) -> None:
    with grading_app(study) as (app, _):
        client = browser(app)
        film = next(iter(study.package.films))
        for path in ("/", "/item/1", "/finish", f"/film/{film}/preview", f"/film/{film}/pixels"):
            assert client.get(path).status_code == 401, path
            refused = client.get(path, headers={"Accept": "text/html"})
            assert refused.headers["location"].startswith("/sign-in?"), path
        assert "personal link" in client.get("/sign-in").text
        assert client.post("/item/1", json={}, headers=JSON).status_code == 401
        routes = [route for route in app.routes if isinstance(route, Route)]
        open_ones = {
            route.path for route in routes if isinstance(route.endpoint, Door) and route.endpoint.right is Right.OPEN
        }
        assert open_ones == {"/enter/{link}", "/sign-in", "/static/{name}", "/healthz"}
        assert all(isinstance(route.endpoint, Door) for route in routes)


def test_a_link_is_looked_at_by_mail_programs_and_used_by_one_browser(study: Study) -> None:
    with grading_app(study) as (app, database):
        link = add_rater(database, study.package, "ann")
        first, second = browser(app), browser(app)
        assert "ann" in first.get(link).text
        assert "ann" in second.get(link).text  # looking does not use it up
        came = first.post(link, headers=OURS)
        assert came.status_code == 303
        cookie = came.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert "max-age=" in cookie
        assert second.post(link, headers=OURS).status_code == 410
        assert second.get("/").status_code == 401
        assert first.get("/").status_code == 200
        assert first.get(link).headers["location"] == "/"


def test_a_form_of_another_site_grades_nothing(rater: TestClient) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site", "Accept": "application/json"}
    assert rater.post("/item/1", json={"grade": "A", "version": "0"}, headers=foreign).status_code == 403
    assert rater.post("/finish", data={"leaving": "yes"}, headers=foreign).status_code == 403
    assert "0 of 8 graded" in rater.get("/").text


def test_a_rater_grades_goes_back_changes_and_finishes(rater: TestClient) -> None:
    assert grade(rater, 1, "A", comment="fine") == (200, {"onward": "/item/2", "graded": 1})
    page = rater.get("/item/1").text
    assert "your grade" in page
    assert ">fine</textarea>" in page
    assert grade(rater, 1, "C", version=0)[0] == 409  # of a tab that knows nothing of it
    assert grade(rater, 1, "C", version=1) == (200, {"onward": "/item/2", "graded": 1})
    assert grade(rater, 8, "B")[1]["onward"] == "/item/2"  # back to what was left out
    for position in range(2, 8):
        grade(rater, position, "D")
    assert grade(rater, 7, "D")[1]["onward"] == "/finish"  # the same once more: a double click
    assert "All reports are graded" in rater.get("/finish").text
    assert rater.post("/finish", headers=OURS).headers["location"] == "/"
    assert "Finished. Thank you." in rater.get("/").text
    assert rater.get("/item/1").headers["location"] == "/"
    status, said = grade(rater, 1, "A", version=2)
    assert (status, "cannot be changed" in said["detail"]) == (409, True)


def test_what_has_no_grade_is_named_before_the_end(rater: TestClient) -> None:
    grade(rater, 2, "A")
    page = rater.get("/finish").text
    assert "I leave these 7 without a grade" in page
    assert '<a href="/item/8">8</a>' in page
    assert rater.post("/finish", headers=OURS).status_code == 409
    assert rater.post("/finish", data={"leaving": "yes"}, headers=OURS).status_code == 303
    assert "1 of 8 reports has your grade; 7 stay without one" in rater.get("/").text


def test_a_form_without_a_script_works(rater: TestClient) -> None:
    answer = rater.post("/item/1", data={"grade": "B", "version": "0", "seconds": "0", "comment": ""}, headers=OURS)
    assert (answer.status_code, answer.headers["location"]) == (303, "/item/2")


@pytest.mark.parametrize(
    "fields",
    [
        {"grade": "E", "version": "0"},
        {"grade": "", "version": "0"},
        {"grade": "A"},
        {"grade": "A", "version": "x"},
        {"grade": "A", "version": "0", "seconds": "soon"},
    ],
)
def test_nonsense_is_no_grade(rater: TestClient, fields: dict[str, str]) -> None:
    assert rater.post("/item/1", json=fields, headers=JSON).status_code == 400
    assert "0 of 8 graded" in rater.get("/").text


def test_numbers_and_films_that_are_not_there(rater: TestClient) -> None:
    for path in ("/item/0", "/item/9", "/item/99999999999999999999", "/film/00000000/preview", "/film/../preview"):
        assert rater.get(path).status_code == 404, path
    assert grade(rater, 9, "A")[0] == 404


def test_the_key_lies_where_no_page_reaches(study: Study, rater: TestClient) -> None:
    assert study.key.is_file()
    assert study.folder not in study.key.parents
    film = next(iter(study.package.films))
    for name in ("STUDY.key.json", "key.json", "package.json", "grades.db", "films"):
        for path in (
            f"/{name}",
            f"/static/{name}",
            f"/static/..%2f{name}",
            f"/film/{film}/{name}",
            f"/film/..%2f{name}/preview",
            f"/film/{name}/pixels",
            f"/%2e%2e/{name}",
        ):
            answer = rater.get(path)
            assert answer.status_code == 404, path
            assert '"source"' not in answer.text


def test_two_raters_know_nothing_of_each_other(study: Study) -> None:
    with grading_app(study) as (app, database):
        ann, ben = browser(app), browser(app)
        for client, name in ((ann, "Annabel"), (ben, "Benedict")):
            client.post(add_rater(database, study.package, name), headers=OURS)
        grade(ann, 1, "D", comment="dreadful")
        pages = [ben.get(path).text for path in ("/", "/finish", *(f"/item/{number}" for number in range(1, 9)))]
        assert not any("Annabel" in page or "dreadful" in page or "your grade" in page for page in pages)
        assert "0 of 8 graded" in pages[0]


def everything(study: Study) -> dict[str, bytes]:
    """All that is served to a rater, in the rater's order, with its headers; what changes at every start left out."""
    served: dict[str, bytes] = {}
    with grading_app(study) as (app, database):
        client = browser(app)
        client.post(add_rater(database, study.package, "ann"), headers=OURS)
        films = [f"/film/{film}/{kind}" for film in study.package.films for kind in ("preview", "pixels")]
        for path in ("/", "/finish", *films, *(f"/item/{number}" for number in range(1, 9))):
            answer = client.get(path)
            assert answer.status_code == 200, path
            kept = {name: value for name, value in answer.headers.items() if name not in {"last-modified", "etag"}}
            served[path] = json.dumps({**kept, "content-length": ""}, sort_keys=True).encode() + answer.content
    return served


def test_with_both_sources_exchanged_only_the_texts_are_exchanged(tmp_path: Path) -> None:
    """Whatever is served, and the package itself: nothing but the words differs by who wrote them."""
    one, other = make_study(tmp_path / "one"), make_study(tmp_path / "other", swapped=True)
    served, swapped = everything(one), everything(other)
    texts = {item.id: item.text for item in one.package.items.values()}
    partner = {
        a.id: b.text
        for a in one.package.items.values()
        for b in one.package.items.values()
        if a.film == b.film and a.id != b.id
    }

    assert {item.id: item.text for item in other.package.items.values()} == partner
    assert partner != texts
    for path, content in served.items():
        if path.startswith("/item/"):
            mine, theirs = item_of(content.decode()), item_of(swapped[path].decode())
            assert mine != theirs
            assert content.decode().replace(mine, theirs) == swapped[path].decode()
        else:
            assert content == swapped[path], path

    listings = [json.loads((study.folder / "package.json").read_text()) for study in (one, other)]
    for listing in listings:
        del listing["key_sha256"]  # says nothing without the key
        for item in listing["items"]:
            del item["text"], item["digest"]
    assert listings[0] == listings[1]


def test_both_sources_wear_one_dress(study: Study) -> None:
    for item in study.package.items.values():
        assert re.fullmatch(r"([A-Z][a-z ,0-9]+\. ?)+", item.text), item.text
    assert {len(item.id) for item in study.package.items.values()} == {8}


def test_nothing_of_the_manifest_is_in_the_package_or_the_pages(study: Study, rater: TestClient) -> None:
    names = [f"patient-{number}" for number in range(4)]
    files = [path for path in study.folder.rglob("*") if path.is_file()]
    kept = [(path.name + path.read_bytes().decode("latin-1")) for path in files]
    unpacked = [gzip.decompress(path.read_bytes()).decode("latin-1") for path in files if path.suffix == ".film"]
    pages = [rater.get(f"/item/{number}").text for number in range(1, 9)]
    assert len(unpacked) == 4
    for text in (*kept, *unpacked, *pages):
        assert not any(name in text for name in names)


def test_every_page_says_that_some_reports_are_drafts_and_none_says_which(study: Study, rater: TestClient) -> None:
    key = json.loads(study.key.read_text())
    sources = {row["item"]: row["source"] for row in key["items"]}
    with grading_app(study) as (_, database), database.read() as tx:
        turns = {turn.position: turn.item for turn in tx.query(Turn).join(Rater, Rater.id == Turn.rater_id)}
    pages = {position: rater.get(f"/item/{position}").text for position in turns}
    assert set(sources.values()) == {"ai", "original"}
    for page in pages.values():
        assert "Some of these reports are AI drafts that nobody has verified" in page
        assert not any(item in page for item in turns.values())
        assert page.count("AI") == 1  # in that sentence
