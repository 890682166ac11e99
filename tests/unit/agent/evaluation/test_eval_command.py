"""`wetread eval`: tables, pictures and files, from texts of another program and from a reader of ours."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from agent import __version__
from agent.cli import wetread
from agent.evaluation import films
from agent.evaluation.continuations import USUAL
from agent.evaluation.readings import ReadingsError
from agent.imaging import likeness
from agent.imaging.decoder import DecoderProcess
from agent.manifest import ManifestError
from agent.readers import demonstration_checkpoint, learned, signs
from agent.training.sentences import FINDINGS
from reports.findings import State, extract

ROWS = (
    # id, patient, sex, age, Edema, Pleural Effusion, what the reader wrote, the report
    ("a", "1", "F", "30", "1", "0", "Pulmonary edema. No pleural effusion.", "There is pulmonary edema."),
    ("b", "2", "M", "70", "0", "1", "No edema. Small left pleural effusion.", "Left effusion. No edema."),
    ("c", "2", "M", "71", "0", "0", "Pulmonary edema.", "Normal chest."),
    ("d", "3", "F", "411", "1", "1", "The heart is normal.", "Edema and effusion."),
)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    lines = ["image,patient,sex,age,Edema,Pleural Effusion,report"]
    for number, (name, patient, sex, age, edema, effusion, _, report) in enumerate(ROWS):
        Image.fromarray(np.full((64, 64), 40 * number + 40, np.uint8)).save(tmp_path / f"{name}.png")
        lines.append(f'{name}.png,{patient},{sex},{age},{edema},{effusion},"{report}"')
    path = tmp_path / "manifest.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"id": row[0], "text": row[6]}) + "\n" for row in ROWS), encoding="utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(wetread, ["eval", *map(str, arguments)])


def table(result: Result, protocol: str) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    (found,) = [one for one in json.loads(result.stdout)["tables"] if one["protocol"] == protocol]
    return {row["label"]: row for row in found["rows"]} | {"pooled": found["pooled"]}


def test_texts_are_judged_under_both_protocols(manifest: Path, texts: Path, tmp_path: Path) -> None:
    arguments = ("--manifest", manifest, "--texts", texts, "--output", tmp_path / "out", "--json")
    definite, whole = (table(run(*arguments), protocol) for protocol in ("definite", "all"))

    edema = definite["Edema"]
    assert (edema["positives"], edema["negatives"]) == (1, 2)  # of d the text says nothing
    assert edema["figures"]["f1"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert (whole["Edema"]["positives"], whole["Edema"]["figures"]["sensitivity"]["value"]) == (2, 0.5)
    assert whole["Pleural Effusion"]["figures"]["sensitivity"]["value"] == 0.5
    assert whole["pooled"]["f1"]["value"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 2), abs=1e-6)


def test_files_are_written_and_name_what_is_not_measured(manifest: Path, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("--manifest", manifest, "--texts", texts, "--output", out)
    assert result.exit_code == 0, result.output

    words = (out / "evaluation.md").read_text(encoding="utf-8")
    assert words.count("not measured: weights absent") == 3
    assert "Published figures, not measured here" in words
    assert "| ROUGE-1 | 0." in words
    assert "4 films of 3 patients" in words
    assert "| age" not in words  # of too few films; an age of 411 is none
    with Image.open(out / "f1.png") as picture:
        assert picture.width > 500
    assert not (out / "roc.png").exists()  # texts have no scores
    assert json.loads((out / "evaluation.json").read_text(encoding="utf-8"))["heading"]["films"] == "4"


def test_reports_may_be_the_measure(manifest: Path, texts: Path, tmp_path: Path) -> None:
    arguments = (
        "--manifest",
        manifest,
        "--texts",
        texts,
        "--output",
        tmp_path / "out",
        "--json",
        "--labels",
        "reports",
    )
    found = table(run(*arguments), "all")
    assert found["Edema"]["positives"] == 2
    assert "No Finding" in found  # of the report "Normal chest."


def test_a_reader_is_run_once_and_its_readings_serve_again(manifest: Path, tmp_path: Path) -> None:
    arguments = ("--manifest", manifest, "--reader", "cxr_llava", "--output", tmp_path / "out", "--precision", "fp32")
    first = run(*arguments)
    assert first.exit_code == 0, first.output
    kept = (tmp_path / "out" / "readings.jsonl").read_bytes()
    readings = [json.loads(line) for line in kept.splitlines()][1:]
    assert [one["id"] for one in readings] == ["a", "b", "c", "d"]
    assert all(set(one["scores"]) == set(FINDINGS) and one["text"] for one in readings)
    with Image.open(tmp_path / "out" / "roc.png") as picture:
        assert picture.width > 500
    assert "NOT FOR CLINICAL USE" in (tmp_path / "out" / "evaluation.md").read_text(encoding="utf-8")

    assert run(*arguments).exit_code == 0
    assert (tmp_path / "out" / "readings.jsonl").read_bytes() == kept
    other = run(*arguments, "--no-scores")
    assert (other.exit_code, "other settings" in str(other.exception or other.output)) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--manifest"),
        (("--manifest", "m.csv", "--output", "out"), "either --reader or --texts"),
        (("--manifest", "m.csv", "--output", "out", "--reader", "cxr_llava", "--texts", "t"), "--texts, not both"),
    ],
)
def test_half_a_command_line_says_what_is_missing(arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, words in result.output) == (2, True)


def test_a_film_without_a_text_counts_as_one_of_which_nothing_is_said(
    manifest: Path, texts: Path, tmp_path: Path
) -> None:
    kept = texts.read_text(encoding="utf-8").splitlines()
    texts.write_text("\n".join((*kept[1:3], json.dumps({"id": "d", "text": " "}))), encoding="utf-8")
    result = run("--manifest", manifest, "--texts", texts, "--output", tmp_path / "out", "--json")
    whole = table(result, "all")
    assert (whole["Edema"]["positives"], whole["Edema"]["figures"]["sensitivity"]["value"]) == (2, 0)
    told = json.loads(result.stdout)
    assert told["troubles"] == {"not-in-the-texts": 1, "empty-text": 1}
    assert told["without_text"] == {"not-in-the-texts": [2], "empty-text": [5]}
    assert "no text for 1 of 4 films" in result.stderr
    assert "| not-in-the-texts | 1 | 2 |" in (tmp_path / "out" / "evaluation.md").read_text(encoding="utf-8")


def test_without_any_text_there_is_a_page_that_says_why(manifest: Path, tmp_path: Path) -> None:
    texts = tmp_path / "other.jsonl"
    texts.write_text('{"id": "z", "text": "Edema."}\n', encoding="utf-8")
    result = run("--manifest", manifest, "--texts", texts, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert "no text for any film of the manifest (4 not-in-the-texts)" in result.stderr
    assert "| not-in-the-texts | 4 |" in (tmp_path / "out" / "evaluation.md").read_text(encoding="utf-8")


def test_texts_of_films_that_the_manifest_lacks_are_counted(manifest: Path, texts: Path, tmp_path: Path) -> None:
    with texts.open("a", encoding="utf-8") as opened:
        opened.write('{"id": "z", "text": "Edema."}\n')
    arguments = ("--manifest", manifest, "--texts", texts, "--output", tmp_path / "out")
    for more in ((), ("--limit", 2)):  # a film that is not chosen is in the manifest all the same
        assert "warning: 1 of 5 ids" in run(*arguments, *more).stderr


def test_no_finding_pulls_no_mean(manifest: Path, texts: Path, tmp_path: Path) -> None:
    rows = manifest.read_text(encoding="utf-8").splitlines()
    lines = [f"{rows[0]},No Finding", *(f"{row},{int(row[0] == 'c')}" for row in rows[1:])]
    manifest.write_text("\n".join(lines), encoding="utf-8")
    arguments = ("--manifest", manifest, "--texts", texts, "--output", tmp_path / "out", "--json")
    result = run(*arguments)
    definite, whole = (table(result, protocol) for protocol in ("definite", "all"))
    assert "No Finding" not in definite
    assert whole["No Finding"]["positives"] == 1
    assert whole["pooled"]["f1"]["value"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 2), abs=1e-6)
    words = (tmp_path / "out" / "evaluation.md").read_text(encoding="utf-8")
    assert words.count("No Finding is in no mean") == 1


def test_how_it_was_counted_is_in_the_files(manifest: Path, texts: Path, tmp_path: Path) -> None:
    arguments = ("--manifest", manifest, "--texts", texts, "--output", tmp_path / "out", "--uncertain", "present")
    assert run(*arguments, "--seed", 5).exit_code == 0
    told = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert told["settings"] == {"source": "auto", "uncertain_counts_as": "present", "seed": 5, "replicates": 1000}
    assert told["published"][0]["reader"] == "CXR-LLaVA"
    assert told["left_out"]["sex"] == {"F": 2, "M": 2}
    words = (tmp_path / "out" / "evaluation.md").read_text(encoding="utf-8")
    assert "Left out: fewer than 10 films: sex F (2), sex M (2)" in words
    assert "1000 times, seed 5" in words


def test_wrong_labels_are_told_before_any_film_is_read(manifest: Path, tmp_path: Path) -> None:
    text = manifest.read_text(encoding="utf-8").replace("Edema,Pleural Effusion,report", "oedema,pleural efusion,words")
    manifest.write_text(text, encoding="utf-8")
    result = run("--manifest", manifest, "--reader", "cxr_llava", "--output", tmp_path / "out")
    assert isinstance(result.exception, ManifestError)
    assert "neither labels nor reports" in str(result.exception)
    assert "'oedema' is none that we know; did you mean 'Edema'?" in str(result.exception)
    assert "'Pleural Effusion'" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_labels_that_judge_nothing_are_told_before_any_film_is_read(manifest: Path, tmp_path: Path) -> None:
    (manifest.parent / "films.csv").write_text("image,normal,Finding\na.png,1,Edema\n", encoding="utf-8")
    result = run("--manifest", manifest.parent / "films.csv", "--reader", "cxr_llava", "--output", tmp_path / "out")
    assert isinstance(result.exception, ManifestError)
    assert "neither labels nor reports" in str(result.exception)
    assert "'No Finding'" not in str(result.exception), "a column of that name would turn each into its contrary"
    assert not (tmp_path / "out").exists()


def test_what_resampling_cannot_say_is_not_shown_as_certain(manifest: Path, texts: Path, tmp_path: Path) -> None:
    rows = manifest.read_text(encoding="utf-8").splitlines()
    manifest.write_text("\n".join([f"{rows[0]},Mass", *(f"{row},0" for row in rows[1:])]), encoding="utf-8")
    scored = [
        {"id": row[0], "text": row[6], "scores": {"Edema": 1.0 - number, "Mass": 0.5}}
        for number, row in enumerate(ROWS[:3])
    ]
    texts.write_text("\n".join(map(json.dumps, scored)), encoding="utf-8")
    result = run("--manifest", manifest, "--texts", texts, "--output", tmp_path / "out", "--json")
    found = table(result, "all")
    assert found["Mass"]["figures"]["f1"]["value"] is None
    assert found["Mass"]["figures"]["specificity"]["low"] < 0.5
    told = json.loads(result.stdout)
    assert (told["ranked"][0]["auc"]["value"], told["ranked"][0]["auc"]["low"]) == (1, None)
    assert told["not_ranked"] == {"positive film": ["Mass"]}

    words = (tmp_path / "out" / "evaluation.md").read_text(encoding="utf-8")
    assert "| Mass * | 0 | 4 | – |" in words
    assert "| Edema * | 1 | 2 | 1.00 (–) |" in words  # the area under the curve
    assert "No positive film: Mass." in words
    assert "have Wilson's interval" in words
    assert "(0.00–0.00)" not in words
    assert "(1.00–1.00)" not in words


def test_films_without_patients_are_told_of(manifest: Path, texts: Path, tmp_path: Path) -> None:
    arguments = ("--manifest", manifest, "--texts", texts, "--output", tmp_path / "out")
    page = tmp_path / "out" / "evaluation.md"
    few = "Fewer than 30 patients: the figures say little"

    result = run(*arguments)
    words = page.read_text(encoding="utf-8")
    assert "names no patient" not in result.stderr + words
    assert few in words
    assert few in result.stderr
    assert "by resampling patients" in words

    whole = manifest.read_text(encoding="utf-8")
    manifest.write_text(whole.replace("a.png,1,", "a.png,,"), encoding="utf-8")
    result = run(*arguments, "--json")
    told = "The manifest names no patient for 1 of the 4 films"
    assert told in result.stderr
    assert told in page.read_text(encoding="utf-8")
    assert "4 films of 2 patients; of 1 of them the patient is unknown." in page.read_text(encoding="utf-8")
    assert json.loads(result.stdout)["without_patient"] == 1
    assert told in json.loads(result.stdout)["cautions"][0]

    manifest.write_text(whole.replace("patient", "nobody"), encoding="utf-8")
    assert "names no patient for any of the 4 films" in run(*arguments).stderr
    words = page.read_text(encoding="utf-8")
    assert "4 films of unknown patients." in words
    assert "by resampling films" in words


def test_page_and_json_say_which_films(manifest: Path, texts: Path, tmp_path: Path) -> None:
    arguments = ("--manifest", manifest, "--texts", texts, "--output", tmp_path / "out")
    result = run(*arguments, "--limit", 2, "--adults", "--json")
    heading = json.loads(result.stdout)["heading"]
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    assert (heading["manifest"], heading["manifest_sha256"]) == ("manifest.csv", digest)
    assert (heading["split"], heading["limit"], heading["adults"]) == ("all", "2", "only")
    assert heading["wetread"] == __version__
    assert datetime.now(UTC) - datetime.fromisoformat(heading["date"]) < timedelta(hours=1)
    words = (tmp_path / "out" / "evaluation.md").read_text(encoding="utf-8")
    assert f"- manifest_sha256: {digest}" in words
    assert f"- date: {heading['date']}" in words


def test_texts_do_not_go_where_others_were_judged(manifest: Path, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--manifest", manifest, "--output", out, "--texts")
    assert run(*arguments, texts).exit_code == 0
    same = texts.rename(tmp_path / "renamed.jsonl")
    assert run(*arguments, same).exit_code == 0

    other = tmp_path / "other.jsonl"
    other.write_text('{"id": "a", "text": "Edema."}\n', encoding="utf-8")
    kept = (out / "evaluation.md").read_bytes()
    refused = run(*arguments, other)
    assert isinstance(refused.exception, ReadingsError)
    assert "the evaluation of other texts; name another --output" in str(refused.exception)
    assert (out / "evaluation.md").read_bytes() == kept


def test_texts_do_not_go_where_a_reader_wrote(manifest: Path, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "readings.jsonl").write_text('{"format": 1, "reader": "gray 1"}\n', encoding="utf-8")
    refused = run("--manifest", manifest, "--output", out, "--texts", texts)
    assert isinstance(refused.exception, ReadingsError)
    assert "has the readings of a reader" in str(refused.exception)
    assert not (out / "evaluation.json").exists()

    (out / "readings.jsonl").write_bytes(texts.read_bytes())  # its own readings may be judged once more
    assert run("--manifest", manifest, "--output", out, "--texts", out / "readings.jsonl").exit_code == 0


def test_a_reader_does_not_go_where_texts_were_judged(manifest: Path, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("--manifest", manifest, "--output", out, "--texts", texts).exit_code == 0
    kept = (out / "evaluation.md").read_bytes()
    of_a_reader = ("--reader", "cxr_llava", "--precision", "fp32", "--no-scores")
    refused = run("--manifest", manifest, "--output", out, *of_a_reader)
    assert isinstance(refused.exception, ReadingsError)
    assert "the evaluation of texts, not of a reader; name another --output" in str(refused.exception)
    assert (out / "evaluation.md").read_bytes() == kept

    again = tmp_path / "again"  # what a reader wrote, judged as texts too, is still the reader's
    assert run("--manifest", manifest, "--output", again, *of_a_reader).exit_code == 0
    assert run("--manifest", manifest, "--output", again, "--texts", again / "readings.jsonl").exit_code == 0
    assert run("--manifest", manifest, "--output", again, *of_a_reader).exit_code == 0


def test_a_misspelled_column_beside_good_ones_is_named(manifest: Path, texts: Path, tmp_path: Path) -> None:
    manifest.write_text(manifest.read_text("utf-8").replace("Edema", "Edemas", 1), encoding="utf-8")
    result = run("--manifest", manifest, "--texts", texts, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "'Edemas' is none that we know; did you mean 'Edema'? It is ignored." in result.stderr


def test_a_model_judged_by_films_that_it_learned_from_says_so(manifest: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(demonstration_checkpoint(), model)
    learned.write(model, [manifest.parent / "a.png", manifest.parent / "b.png"])
    arguments = ("--manifest", manifest, "--reader", "cxr_llava", "--model", model, "--precision", "fp32")
    result = run(*arguments, "--output", tmp_path / "out", "--no-scores")
    assert result.exit_code == 0, result.output
    words = "2 of 4 films are among those that this model learned from"
    assert words in result.stderr
    assert words in (tmp_path / "out" / "evaluation.md").read_text(encoding="utf-8")
    assert words in json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))["heading"]["warning"]


def test_films_that_were_learned_under_another_name_are_known_again(manifest: Path, tmp_path: Path) -> None:
    """By their pixels, which are known once they are read; also in a run that goes on."""
    model = tmp_path / "model"
    shutil.copytree(demonstration_checkpoint(), model)
    Image.open(manifest.parent / "c.png").save(tmp_path / "other.png", compress_level=0)
    with DecoderProcess() as decoder:
        picture = films.load(tmp_path / "other.png", decoder).digest
    learned.write(model, [manifest.parent / "a.png", tmp_path / "other.png"], pictures=[picture])
    arguments = ("--manifest", manifest, "--reader", "cxr_llava", "--model", model, "--precision", "fp32")
    for _ in range(2):
        result = run(*arguments, "--output", tmp_path / "out", "--no-scores")
        assert result.exit_code == 0, result.output
        words = "2 of 4 films are among those that this model learned from (1 of them in another file)"
        assert words in result.stderr
        assert words in json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))["heading"]["warning"]


def test_copies_of_learned_films_with_other_pixels_are_known_again(manifest: Path, tmp_path: Path) -> None:
    """Known as soon as they are read. A model without fingerprints says that it cannot know them."""
    model, readings = tmp_path / "model", tmp_path / "out" / "readings.jsonl"
    shutil.copytree(demonstration_checkpoint(), model)
    noise = Image.fromarray(np.random.default_rng(8).integers(0, 255, (9, 7), np.uint8))
    film = noise.resize((210, 280), Image.Resampling.BICUBIC)
    film.save(tmp_path / "learned.png")
    learned.write(model, [tmp_path / "learned.png"])
    signs.write(model, [likeness.fingerprint(np.asarray(film))])
    film.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((90, 120)).save(manifest.parent / "a.png")
    film.crop((8, 10, 202, 270)).save(manifest.parent / "c.png")
    arguments = ("--manifest", manifest, "--reader", "cxr_llava", "--model", model, "--precision", "fp32")
    result = run(*arguments, "--output", tmp_path / "out", "--no-scores")
    words = "2 films look like one that this model learned from"
    lines = "line 2 [mirrored], line 4 [cropped]. Compare"
    heading = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))["heading"]
    assert words in result.stderr
    assert lines in result.stderr
    assert words in heading["warning"]
    assert ("not known again" in heading, "note:" in result.stderr) == (False, False)

    kept = [json.loads(line) for line in readings.read_text("utf-8").splitlines()]
    older = [{name: value for name, value in one.items() if name != "sign"} for one in kept]
    readings.write_text("".join(f"{json.dumps(one)}\n" for one in older), encoding="utf-8")
    result = run(*arguments, "--output", tmp_path / "out", "--no-scores")
    assert "note: of 4 films the file of readings has no fingerprint: a film that was resized" in result.stderr
    (model / "learned-signs.txt").unlink()
    result = run(*arguments, "--output", tmp_path / "out", "--no-scores")
    assert result.exit_code == 0, result.output
    note = (
        "the model has no fingerprints of the films that it learned from (learned-signs.txt): a film that was resized"
    )
    assert note in result.stderr
    assert note in (tmp_path / "out" / "evaluation.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "words"),
    [("image,Edema\na.png,7\n", "not 1, 0, -1"), ("image,Edmea\na.png,1\n", "did you mean 'Edema'")],
)
def test_a_wrong_manifest_ends_with_code_2(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "films.csv").write_text(text, encoding="utf-8")
    (tmp_path / "texts.jsonl").write_text('{"id": "a", "text": "Edema."}', encoding="utf-8")
    command = [sys.executable, "-m", "agent", "eval", "--manifest", "films.csv", "--texts", "texts.jsonl"]
    done = subprocess.run([*command, "--output", "out"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr


def test_texts_that_are_no_json_lines_end_with_code_2(tmp_path: Path) -> None:
    (tmp_path / "films.csv").write_text("image,Edema\na.png,1\n", encoding="utf-8")
    (tmp_path / "texts.json").write_text('[{"id": "a", "text": "Edema."}]', encoding="utf-8")
    command = [sys.executable, "-m", "agent", "eval", "--manifest", "films.csv", "--texts", "texts.json"]
    done = subprocess.run([*command, "--output", "out"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "line 1: is a list" in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_of_metrics_that_is_not_there_is_a_mistake(manifest: Path, texts: Path, tmp_path: Path) -> None:
    arguments = ("--manifest", manifest, "--texts", texts, "--output", tmp_path / "out")
    result = run(*arguments, "--metric-models", tmp_path / "no")
    assert (result.exit_code, "does not exist" in result.output) == (2, True)


def test_films_may_be_chosen(manifest: Path, texts: Path, tmp_path: Path) -> None:
    arguments = ("--manifest", manifest, "--texts", texts, "--output", tmp_path / "out", "--json")
    adults = run(*arguments, "--adults")
    assert json.loads(adults.stdout)["tables"][0]["films"] == 3
    assert json.loads(run(*arguments, "--limit", 2).stdout)["tables"][0]["films"] == 2
    assert "splits are none" in str(run(*arguments, "--split", "test").exception)


def test_sentences_that_are_scored_say_and_deny_what_they_should() -> None:
    for label, (says, denies) in USUAL.items():
        assert extract(says).by_label[label].state is State.PRESENT
        assert extract(denies).by_label[label].state is State.ABSENT
