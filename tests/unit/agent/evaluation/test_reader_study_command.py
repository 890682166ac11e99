"""`wetread eval reader-study`: from a manifest to the result, and what each refusal says."""

from __future__ import annotations

import csv
import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from agent.cli import wetread
from agent.commands.reader_study import make
from agent.evaluation.blinding import TELLS
from agent.evaluation.readings import ReadingsError
from agent.readers import demonstration_checkpoint, learned
from dicom_node.database import clock
from dicom_node.errors import ConfigurationError, NotFound, WrongState
from reports.grading import grading, raters
from reports.grading.grading import Sheet
from reports.grading.package import PackageError, read_package
from reports.grading.tables import Grade, Turn
from tests.harness.grading_room import write_sources


def run(*arguments: object) -> Result:
    return CliRunner().invoke(wetread, ["eval", "reader-study", *map(str, arguments)])


@pytest.fixture
def study(tmp_path: Path) -> Path:
    manifest, texts = write_sources(tmp_path)
    made = run("make", "--manifest", manifest, "--readings", texts, "--output", tmp_path / "S", "--rater", "ann")
    assert made.exit_code == 0, made.output
    return tmp_path / "S"


def grade_all(study: Path, name: str, given: dict[str, str], *, leave: int = 0, finish: bool = True) -> None:
    """given: source to grade, by the key."""
    key = json.loads(study.with_name("S.key.json").read_text())
    sources = {row["item"]: row["source"] for row in key["items"]}
    package = read_package(study)
    with raters.open_grades(package) as database, database.write() as tx:
        rater = raters.named(tx, name)
        for turn in list(tx.query(Turn).filter_by(rater_id=rater.id).order_by(Turn.position))[leave:]:
            comment = "=looks good" if turn.position == 8 else ""
            sheet = Sheet(Grade(given[sources[turn.item]]), comment, 0, 4.0)
            grading.grade(tx, rater, turn.position, sheet, clock(tx))
        if finish:
            grading.finish(tx, rater, clock(tx), leaving=True)


def test_make_says_what_it_made_and_what_may_give_texts_away(tmp_path: Path) -> None:
    manifest, texts = write_sources(tmp_path)
    with manifest.open("a", encoding="utf-8") as rows:
        rows.write("patient-0.png,again,\n".replace("patient-0", "patient-9"))
    Image.new("L", (8, 8)).save(tmp_path / "patient-9.png")
    made = run(
        *("make", "--manifest", manifest, "--readings", texts, "--output", tmp_path / "S", "--json"),
        *("--rater", "ann", "--rater", "ben", "--address", "https://study.example/"),
    )

    told = json.loads(made.stdout)
    assert made.exit_code == 0
    assert (told["films"], told["left_out"]) == (4, {"have no report in the manifest": 1})
    assert told["burned_in_unknown"] == 4
    assert told["texts"]["ai"]["median_words"] == 12
    assert told["texts"]["original"]["median_words"] == 7
    assert all(link.startswith("https://study.example/enter/") for link in told["raters"].values())
    assert list(told["raters"]) == ["ann", "ben"]
    assert Path(told["key"]).stat().st_mode & 0o077 == 0
    assert json.loads(Path(told["key"]).read_text())["who"] == {"texts": "texts.jsonl"}


def test_make_takes_the_folder_of_an_evaluation(tmp_path: Path) -> None:
    manifest, texts = write_sources(tmp_path)
    folder = tmp_path / "evaluation"
    folder.mkdir()
    head = {"format": 1, "reader": "cxr_llava 2", "precision": "nf4", "digest": "ab", "notice": "", "scores": True}
    (folder / "readings.jsonl").write_text(json.dumps(head) + "\n" + texts.read_text())
    made = run("make", "--manifest", manifest, "--readings", folder, "--output", tmp_path / "S")
    assert made.exit_code == 0, made.output
    who = json.loads((tmp_path / "S.key.json").read_text())["who"]
    assert who == {"reader": "cxr_llava 2", "precision": "nf4", "digest": "ab"}


def test_a_reader_of_ours_may_write_at_once(tmp_path: Path) -> None:
    manifest, _ = write_sources(tmp_path, 2)
    made = run(
        "make", "--manifest", manifest, "--reader", "cxr_llava", "--precision", "fp32", "--output", tmp_path / "S"
    )
    assert made.exit_code == 0, made.output
    who = json.loads((tmp_path / "S.key.json").read_text())["who"]
    assert "DEMONSTRATION MODEL" in who["notice"]
    assert (tmp_path / "S.readings.jsonl").is_file()
    assert (tmp_path / "S.readings.jsonl").stat().st_mode & 0o777 == 0o600
    assert not list((tmp_path / "S").rglob("*readings*"))
    assert "DEMONSTRATION" not in (tmp_path / "S" / "package.json").read_text()


def test_texts_about_films_that_the_model_learned_from_are_told(tmp_path: Path) -> None:
    manifest, _ = write_sources(tmp_path, 2)
    model = tmp_path / "model"
    shutil.copytree(demonstration_checkpoint(), model)
    learned.write(model, manifest.parent.rglob("*.png"))
    reader = ("--reader", "cxr_llava", "--precision", "fp32", "--model", model)
    made = run("make", "--manifest", manifest, *reader, "--output", tmp_path / "S", "--rater", "ann")
    assert made.exit_code == 0, made.output
    words = "2 of 2 films are among those that this model learned from"
    assert words in made.stderr
    assert words in run("result", tmp_path / "S", "--unfinished").stdout


def test_no_more_films_are_read_than_the_sample_takes(tmp_path: Path) -> None:
    manifest, _ = write_sources(tmp_path, 6)
    reader = ("--reader", "cxr_llava", "--precision", "fp32", "--sample", "2", "--seed", "s")
    made = run("make", "--manifest", manifest, *reader, "--output", tmp_path / "S", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["films"] == 2
    read = [json.loads(line) for line in (tmp_path / "S.readings.jsonl").read_text().splitlines()]
    assert len([one for one in read if "id" in one]) == 2


def test_what_an_evaluation_of_the_texts_warned_of_is_told(tmp_path: Path) -> None:
    manifest, texts = write_sources(tmp_path)
    folder = tmp_path / "evaluation"
    folder.mkdir()
    (folder / "readings.jsonl").write_text(texts.read_text())
    words = "4 of 4 films are among those that this model learned from"
    (folder / "evaluation.json").write_text(json.dumps({"heading": {"warning": f"**{words}**"}}))
    made = run(*("make", "--manifest", manifest, "--readings", folder), "--output", tmp_path / "S", "--rater", "ann")
    assert made.exit_code == 0, made.output
    assert words in made.stderr
    assert words in run("result", tmp_path / "S", "--unfinished").stdout


def test_a_result_that_was_shown_before_the_last_grade_stays_known(study: Path) -> None:
    run("raters", "add", study, "ben")
    grade_all(study, "ann", {"ai": "C", "original": "A"})
    assert "shown before" not in run("result", study, "--unfinished").stdout
    run("raters", "reopen", study, "ann")
    grade_all(study, "ben", {"ai": "A", "original": "A"})
    shown = run("result", study, "--unfinished").stdout
    assert "**shown before the last grade**: the result of 8 grades" in shown
    assert "**opened again**: the rater ann" in shown


def test_links_begin_as_they_did_last_time(tmp_path: Path) -> None:
    manifest, texts = write_sources(tmp_path)
    study = tmp_path / "S"
    there = ("--address", "https://study.example")
    run("make", "--manifest", manifest, "--readings", texts, "--output", study, "--rater", "ann", *there)
    for arguments in (("link", study, "ann"), ("add", study, "ben")):
        (link,) = json.loads(run("raters", *arguments, "--json").stdout).values()
        assert link.startswith("https://study.example/enter/")
    moved = json.loads(run("raters", "link", study, "ann", "--address", "https://b.example", "--json").stdout)["ann"]
    assert moved.startswith("https://b.example/enter/")


def test_films_whose_texts_tell_can_be_left_out(tmp_path: Path) -> None:
    manifest, texts = write_sources(tmp_path)
    manifest.write_text(manifest.read_text().replace("FILM 1.", "FILM 1. XXXX IS NORMAL."))
    texts.write_text(texts.read_text().replace("film 2 is", "film 2 is unchanged and"))
    arguments = ("make", "--manifest", manifest, "--readings", texts, "--json")
    told = json.loads(run(*arguments, "--output", tmp_path / "S", "--leave-out", "marks").stdout)
    assert told["left_out"] == {"have a text with marks of de-identification": 1}
    both = ("--leave-out", "marks", "--leave-out", "comparison")
    assert json.loads(run(*arguments, "--output", tmp_path / "T", *both).stdout)["films"] == 2


def test_texts_that_lost_words_are_named_by_their_line_and_not_quoted(tmp_path: Path) -> None:
    manifest, texts = write_sources(tmp_path)
    manifest.write_text(manifest.read_text().replace("FILM 1.", "FILM 1. SECRET WET READ AGREES."))
    arguments = ("make", "--manifest", manifest, "--readings", texts)
    told = json.loads(run(*arguments, "--output", tmp_path / "S", "--json").stdout)
    assert told["texts"]["original"]["lost"] == [{"line": 5, "words": 4}]
    assert told["texts"]["ai"]["lost"] == []
    shown = run(*arguments, "--output", tmp_path / "T").output
    assert "1 lost words with signatures or banners" in shown
    assert "lines (words) 5 (4)" in shown
    assert "SECRET" not in shown.upper()


STOCK = "A radiologist has to read the film."


def test_a_sentence_of_one_source_alone_is_named_and_can_be_taken_out(tmp_path: Path) -> None:
    manifest, texts = write_sources(tmp_path)
    rows = [json.loads(line) for line in texts.read_text().splitlines()]
    texts.write_text("".join(json.dumps({**row, "text": f"{row['text']} {STOCK}"}) + "\n" for row in rows))
    arguments = ("make", "--manifest", manifest, "--readings", texts)
    told = json.loads(run(*arguments, "--output", tmp_path / "S", "--rater", "ann", "--json").stdout)
    assert {"sentence": STOCK, "share_ai": 1.0, "share_original": 0.0} in told["stock"]
    shown = run(*arguments, "--output", tmp_path / "T")
    assert f"{STOCK!r} stands in 100 % of the ai texts and 0 % of the originals" in shown.stderr
    grade_all(tmp_path / "S", "ann", {"ai": "C", "original": "A"})
    assert f"“{STOCK}” stands in 100 % of AI drafts, 0 % of original reports" in run("result", tmp_path / "S").stdout

    dropping = ("--drop-sentence", "a radiologist has to read the film", "--rater", "ann")
    without = json.loads(run(*arguments, "--output", tmp_path / "U", *dropping, "--json").stdout)
    assert STOCK not in [one["sentence"] for one in without["stock"]]
    assert "radiologist" not in (tmp_path / "U" / "package.json").read_text()
    result = run("result", tmp_path / "U", "--unfinished").stdout
    assert "taken out of all texts: “a radiologist has to read the film”" in result
    mistyped = run(*arguments, "--output", tmp_path / "V", "--drop-sentence", "a radiologist must read the film")
    assert isinstance(mistyped.exception, ConfigurationError)
    assert "no text has the sentence" in str(mistyped.exception)


def test_sentences_to_drop_may_be_named_together(tmp_path: Path) -> None:
    manifest, texts = write_sources(tmp_path)
    rows = [json.loads(line) for line in texts.read_text().splitlines()]
    texts.write_text("".join(json.dumps({**row, "text": f"{row['text']} {STOCK} Thank you."}) + "\n" for row in rows))
    both = ("--drop-sentence", f"{STOCK} Thank you.")
    assert run("make", "--manifest", manifest, "--readings", texts, "--output", tmp_path / "S", *both).exit_code == 0
    written = (tmp_path / "S" / "package.json").read_text()
    assert "radiologist" not in written
    assert "Thank you" not in written


def test_what_a_crash_left_of_a_key_blocks_no_study(tmp_path: Path) -> None:
    manifest, texts = write_sources(tmp_path)
    left = tmp_path / "S.key.json.partial"
    left.write_text("half")
    made = run("make", "--manifest", manifest, "--readings", texts, "--output", tmp_path / "S", "--rater", "ann")
    assert made.exit_code == 0, made.output
    assert not left.exists()


def test_the_words_for_what_tells_are_those_of_the_option() -> None:
    (option,) = [one for one in make.params if one.name == "unwanted"]
    assert list(option.type.choices) == list(TELLS)


def test_raters_are_added_listed_and_get_new_links(study: Path) -> None:
    link = json.loads(run("raters", "add", study, "ben", "--json").stdout)["ben"]
    assert link.startswith("http://127.0.0.1:8090/enter/")
    assert json.loads(run("raters", "link", study, "ben", "--json").stdout)["ben"] != link
    listed = json.loads(run("raters", "list", study, "--json").stdout)
    assert listed == [{"rater": name, "graded": 0, "of": 8, "finished_at": None} for name in ("ann", "ben")]
    assert "not used yet" in run("raters", "list", study).stdout
    for arguments, error in (
        (("add", study, "ann"), WrongState),
        (("link", study, "zoe"), NotFound),
        (("reopen", study, "ann"), WrongState),
        (("list", study / "films"), NotFound),
    ):
        assert isinstance(run("raters", *arguments).exception, error)


def test_a_rater_is_removed_and_not_with_grades_by_mistake(study: Path) -> None:
    run("raters", "add", study, "ben")
    grade_all(study, "ann", {"ai": "C", "original": "A"})
    assert run("raters", "remove", study, "ben").exit_code == 0
    refused = run("raters", "remove", study, "ann")
    assert isinstance(refused.exception, WrongState)
    assert "8 grades" in str(refused.exception)
    assert isinstance(run("raters", "remove", study, "ben").exception, NotFound)
    assert run("result", study).exit_code == 0  # nobody is waited for
    assert "8 grades" in run("raters", "remove", study, "ann", "--with-grades").stdout
    assert json.loads(run("raters", "list", study, "--json").stdout) == []
    run("raters", "add", study, "zoe")
    result = json.loads(run("result", study, "--unfinished", "--json").stdout)
    assert [one[:3] for one in result["acts"]] == [["removed", "ann", 8]], "ben had given none"
    assert "taken out**: the rater ann on " in run("result", study, "--unfinished").stdout


def test_several_raters_are_added_together_or_not_at_all(study: Path) -> None:
    assert isinstance(run("raters", "add", study, "ben", "ann").exception, WrongState)
    assert [one["rater"] for one in json.loads(run("raters", "list", study, "--json").stdout)] == ["ann"]


def test_no_result_before_everybody_has_finished(study: Path) -> None:
    grade_all(study, "ann", {"ai": "A", "original": "B"}, finish=False)
    refused = run("result", study)
    assert isinstance(refused.exception, WrongState)
    assert "ann (8 of 8)" in str(refused.exception)
    shown = run("result", study, "--unfinished")
    assert shown.exit_code == 0
    assert "**Preliminary. Not everybody has finished: ann (8 of 8 graded).**" in shown.stdout


def test_the_result_is_the_table_of_the_paper(study: Path, tmp_path: Path) -> None:
    run("raters", "add", study, "ben")
    grade_all(study, "ann", {"ai": "C", "original": "A"})
    grade_all(study, "ben", {"ai": "B", "original": "A"}, leave=1)
    out = tmp_path / "R"
    shown = run("result", study, "--output", out, "--json")
    assert shown.exit_code == 0, shown.output

    told = json.loads(shown.stdout)
    assert json.loads((out / "result.json").read_text()) == told
    table = {(row["rater"], row["source"]): row for row in told["rows"]}
    assert table["ann", "ai"]["success"]["value"] == 0
    assert table["ben", "ai"]["success"]["value"] == table["ben", "original"]["success"]["value"] == 1
    assert table["ben", "ai"]["missing"] + table["ben", "original"]["missing"] == 1
    assert table["all raters", "ai"]["counts"]["C"] == 4
    difference = {one["rater"]: one["figure"]["value"] for one in told["differences"]}
    assert difference["ann"] == -1
    assert difference["ben"] == 0
    assert told["published"]["success"] == {"CXR-LLaVA": 0.727, "reports by radiologists": 0.84}
    assert told["unfinished"] == {}

    words = (out / "result.md").read_text()
    assert "Lee et al., CXR-LLaVA" in words
    assert "## Published, not measured here" in words
    assert "| CXR-LLaVA | 72.7 % |" in words
    assert "Cohen's kappa" in words
    assert "Fewer than 30 patients" in words
    with Image.open(out / "acceptability.png") as picture:
        assert picture.width > 800
    assert "<svg" in (out / "acceptability.svg").read_text()


def test_every_grade_is_in_the_sheet(study: Path, tmp_path: Path) -> None:
    grade_all(study, "ann", {"ai": "C", "original": "A"}, leave=2)
    run("result", study, "--output", tmp_path / "R")
    with (tmp_path / "R" / "grades.csv").open(newline="") as opened:
        lines: list[dict[str, Any]] = list(csv.DictReader(opened))

    assert [line["position"] for line in lines] == [str(place) for place in range(1, 9)]
    assert {(line["source"], line["grade"]) for line in lines[2:]} <= {("ai", "C"), ("original", "A")}
    assert [line["grade"] for line in lines[:2]] == ["", ""]
    assert lines[7]["comment"] == "'=looks good"  # no formula
    assert {line["film"] for line in lines} == {f"patient-{number}" for number in range(4)}


def test_a_changed_package_or_a_wrong_key_gives_no_result(study: Path, tmp_path: Path) -> None:
    grade_all(study, "ann", {"ai": "C", "original": "A"})
    assert isinstance(run("result", study, "--key", tmp_path / "no.json").exception, NotFound)
    film = next((study / "films").glob("*.jpg"))
    film.write_bytes(b"another film")
    assert isinstance(run("result", study).exception, PackageError)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--bind", "0.0.0.0"), "beyond 127.0.0.1 the pages need TLS: set --certificate"),
        (("--bind", "10.0.0.7", "--proxy", "10.0.0.1"), "by which names"),
        (("--bind", "here"), "does not appear to be"),
    ],
)
def test_serve_never_speaks_in_the_clear_to_other_machines(study: Path, arguments: tuple[str, ...], words: str) -> None:
    refused = run("serve", study, *arguments)
    assert isinstance(refused.exception, ConfigurationError)
    assert words in str(refused.exception)


def test_a_taken_port_is_said_at_once(study: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = run("serve", study, "--port", taken.getsockname()[1])
    assert isinstance(refused.exception, ConfigurationError)
    assert "--port" in str(refused.exception)


def test_what_is_not_there_or_there_already_is_said_before_anything_is_read(study: Path, tmp_path: Path) -> None:
    manifest, texts = tmp_path / "films.csv", tmp_path / "texts.jsonl"
    for options, error in (
        (("--manifest", tmp_path / "no.csv", "--readings", texts, "--output", tmp_path / "X"), NotFound),
        (("--manifest", manifest, "--readings", tmp_path / "no", "--output", tmp_path / "X"), NotFound),
        (("--manifest", tmp_path / "no.csv", "--readings", texts, "--output", study), ConfigurationError),
    ):
        assert isinstance(run("make", *options).exception, error)
    twice = ("--rater", "ann", "--rater", "ann")
    refused = run("make", "--manifest", manifest, "--readings", texts, "--output", tmp_path / "X", *twice)
    assert (refused.exit_code, "a name of its own" in refused.output) == (2, True)
    nameless = run("make", "--manifest", manifest, "--readings", texts, "--output", tmp_path / "X", "--rater", " ")
    assert isinstance(nameless.exception, ConfigurationError)
    assert not (tmp_path / "X").exists()


@pytest.mark.parametrize("sources", [(), ("--readings", "x", "--reader", "cxr_llava")])
def test_half_a_command_line_says_what_is_missing(tmp_path: Path, sources: tuple[str, ...]) -> None:
    manifest, _ = write_sources(tmp_path, 2)
    result = run("make", "--manifest", manifest, "--output", tmp_path / "S", *sources)
    assert (result.exit_code, "name either --readings or --reader" in result.output) == (2, True)


def test_no_film_is_packed_with_the_text_of_another(tmp_path: Path) -> None:
    manifest, texts = write_sources(tmp_path)
    rows = [json.loads(line) for line in texts.read_text().splitlines()]
    texts.write_text("".join(json.dumps({**row, "film": "0" * 16}) + "\n" for row in rows))
    refused = run("make", "--manifest", manifest, "--readings", texts, "--output", tmp_path / "S")
    assert isinstance(refused.exception, ReadingsError)
    assert "films are other files than those that were read under the same id" in str(refused.exception)
    assert not (tmp_path / "S").exists()
