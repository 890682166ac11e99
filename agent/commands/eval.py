"""`wetread eval`: how good a reader is on films whose findings are known."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.cli import EXIT_FAILED
from agent.commands.live import live
from agent.commands.reader_study import reader_study
from agent.commands.session import config_of, print_json, print_table
from dicom_node.counted import counted

if TYPE_CHECKING:
    from agent.cli import Surroundings
    from agent.evaluation.judging import Evaluation
    from agent.evaluation.readings import FilmReading
    from agent.manifest import Case

_MISSING = "packages for judging are not installed: .venv/bin/pip install -e '.[eval]' in the folder of wetread"
_READERS = click.Choice(["cxr_llava"])
_SHOWN = ("f1", "sensitivity", "specificity")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which model reads, in which way."""

    reader: str
    folder: Path
    precision: str
    device: str
    framing: Any
    with_scores: bool


@click.group(name="eval", invoke_without_command=True)
@click.option("--manifest", type=click.Path(path_type=Path, dir_okay=False), help="CSV with one film a row; see below.")
@click.option(
    "--images", type=click.Path(path_type=Path, file_okay=False), help="Folder of the films. Default: the manifest's."
)
@click.option("--reader", type=_READERS, help="The reader that is judged, in place of --texts.")
@click.option(
    "--model",
    type=click.Path(path_type=Path, file_okay=False),
    help="Its folder. Default: reader.checkpoint, else the demonstration model.",
)
@click.option("--precision", type=click.Choice(["fp32", "bf16", "int8", "nf4"]), help="Default: as configured.")
@click.option(
    "--texts",
    type=click.Path(path_type=Path, dir_okay=False),
    help='In place of a reader: reports as JSON lines {"id", "text"}. A film without one counts as finding nothing.',
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the tables, the pictures and what was read.",
)
@click.option("--split", help="Only films of this split.")
@click.option("--limit", type=click.IntRange(1), help="Only the first films.")
@click.option("--adults", is_flag=True, help="Only films of people known to be 18 or more.")
@click.option(
    "--labels",
    "source",
    type=click.Choice(["auto", "labels", "reports"]),
    default="auto",
    show_default=True,
    help="Judge by the label columns, or by what our extractor finds in the reports. auto: labels where there are any.",
)
@click.option(
    "--uncertain",
    type=click.Choice(["absent", "present"]),
    default="absent",
    show_default=True,
    help="What an uncertain finding counts as where all films count.",
)
@click.option(
    "--scores/--no-scores",
    "with_scores",
    default=True,
    show_default=True,
    help="Also ask how likely each finding is: two readings more for each.",
)
@click.option(
    "--metric-models",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder with the weights of BERTScore, CheXbert and RadGraph.",
)
@click.option("--seed", type=int, default=20250601, show_default=True, help="Of the resampling.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@click.pass_context
def eval(ctx: click.Context, /, **options: Any) -> None:  # noqa: A001  the name of the command
    """Judge a reader by films whose findings are known, under two protocols, with intervals.

    The manifest is a CSV file in UTF-8. `image` (or `path`, `file`) names the film, DICOM, PNG or JPEG. A column for
    each label, such as `Edema` or `Pleural Effusion`, holds 1, 0, -1 (uncertain) or nothing; or `labels` lists what is
    present, as `Edema|Effusion`, and all else of ChestX-ray14 is absent. Also used where present: id, report, view,
    age, sex, patient, manufacturer, split. A patient in two splits is refused.

    \b
    --output gets evaluation.md, evaluation.json, f1.png, roc.png and readings.jsonl. A run that was broken off goes on
    where it was, when it is called again with the same folder and reader. A folder with an evaluation of other texts,
    or of a reader, is refused for --texts, and one of texts for --reader.

    \b
    Exit codes: 0 done; 1 there is no text for any film, and the page says why; 2 wrong command line, manifest, texts or
    reader; 3 no such file.
    """
    if ctx.invoked_subcommand is None:
        from agent import edge

        with edge.writing(options["output"] or Path(), "and run the same command again: it goes on where it was"):
            _evaluate(ctx, **options)


def _evaluate(
    ctx: click.Context,
    *,
    manifest: Path | None,
    output: Path | None,
    reader: str | None,
    texts: Path | None,
    images: Path | None,
    as_json: bool,
    source: Any,
    uncertain: str,
    seed: int,
    metric_models: Path | None,
    **rest: Any,
) -> None:
    if reader is not None and texts is not None:
        raise click.UsageError("name either --reader or --texts, not both")
    if manifest is None or output is None or (reader is None and texts is None):
        raise click.UsageError("name --manifest, --output, and either --reader or --texts")
    _must_have_packages()
    from agent.evaluation import beforehand, provenance
    from agent.evaluation.judging import Settings, evaluate
    from agent.evaluation.overlap import overlap
    from agent.evaluation.readings import complete
    from agent.manifest import read_manifest
    from reports.findings import State

    if texts is not None and texts.is_file():
        provenance.must_be_free(output, texts)
    everything = read_manifest(manifest, images=images, missing_images=texts is not None)
    cases = chosen_cases(everything, **_pick(rest))
    which = provenance.which(manifest, _now(), rest)  # of the file as it was read
    for warning in beforehand.check(manifest, cases, source):
        click.echo(f"warning: {warning}", err=True)
    listed = {case.id for case in everything}
    found, who = _from(ctx.obj, cases, texts, reader, output, {**rest, "quiet": as_json, "listed": listed})
    readings = complete(found, cases)
    settings = Settings(source, State(uncertain), seed)
    pairs = [(readings[case.id].text, case.report) for case in cases if case.report]
    words = overlap([text for text, _ in pairs], [report for _, report in pairs], models=metric_models)
    evaluation = evaluate(cases, readings, settings, words)
    heading = {**who, "films": str(len(cases)), **which}
    _write(evaluation, heading, cases, readings, output)
    _show(evaluation, heading, output, as_json=as_json)
    if sum(evaluation.troubles.values()) == len(cases):
        told = ", ".join(f"{number} {why}" for why, number in evaluation.troubles.items())
        click.echo(f"wetread: there is no text for any film of the manifest ({told})", err=True)
        ctx.exit(EXIT_FAILED)


def _from(
    surroundings: Surroundings,
    cases: Sequence[Case],
    texts: Path | None,
    reader: str | None,
    output: Path,
    options: Mapping[str, Any],
) -> tuple[Mapping[str, FilmReading], dict[str, Any]]:
    """What was written, and who wrote it."""
    from agent.evaluation import beforehand, provenance
    from agent.evaluation.readings import must_be_of, read_head, read_texts

    if texts is not None:
        found = read_texts(texts)
        must_be_of(texts, found, cases)
        without = sum(case.id not in found for case in cases)
        if without:
            click.echo(f"warning: {texts} has no text for {without} of {len(cases)} films: see the page", err=True)
        strange = len(found.keys() - options["listed"])
        if strange:
            click.echo(
                f"warning: {strange} of {len(found)} ids of {texts} are not in the manifest; they are ignored", err=True
            )
        return found, {"texts": texts.name, **read_head(texts), **provenance.of_texts(texts)}
    assert reader is not None
    provenance.must_have_no_texts(output)
    model = chosen(surroundings, reader, options)
    warning = beforehand.learned_from(model.folder, cases)
    if warning:
        click.echo(f"warning: {warning}", err=True)
    readings, who = read(cases, model, output / "readings.jsonl", quiet=options["quiet"])
    before, warning = warning, beforehand.learned_from(model.folder, cases, readings)  # their pictures are known now
    if warning != before:
        click.echo(f"warning: {warning}", err=True)
    if note := beforehand.unknown(model.folder, cases, readings):
        click.echo(f"note: {note}", err=True)
        who["not known again"] = note
    return readings, {**who, **({"warning": f"**{warning}**"} if warning else {})}


def _must_have_packages() -> None:
    from importlib.util import find_spec

    from dicom_node.errors import ConfigurationError

    if any(find_spec(name) is None for name in ("matplotlib", "rouge_score", "sacrebleu")):
        raise ConfigurationError(_MISSING)


def _pick(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("split", "limit", "adults")}


def chosen_cases(cases: Sequence[Case], *, split: str | None, limit: int | None, adults: bool) -> list[Case]:
    """Raises ConfigurationError where none is left."""
    from dicom_node.errors import ConfigurationError

    left = [
        case
        for case in cases
        if (split is None or case.split == split) and (not adults or (case.years is not None and case.years >= 18))
    ][:limit]
    if not left:
        splits = ", ".join(sorted({repr(case.split) for case in cases if case.split})) or "none"
        raise ConfigurationError(
            f"none of the {len(cases)} films of the manifest is chosen by --split and --adults; splits are {splits}"
        )
    return left


def chosen(surroundings: Surroundings, reader: str, options: Mapping[str, Any]) -> Chosen:
    """The model that the options name, else the configured one, else the demonstration."""
    from agent.readers import demonstration_checkpoint

    settings = config_of(surroundings).reader
    return Chosen(
        reader,
        options["model"] or settings.checkpoint or demonstration_checkpoint(),
        options["precision"] or settings.precision,
        settings.device,
        settings.framing,
        options["with_scores"],
    )


def read(
    cases: Sequence[Case], chosen: Chosen, file: Path, *, quiet: bool
) -> tuple[Mapping[str, FilmReading], dict[str, Any]]:
    """Let the reader write about every film that is not in the file of readings yet."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from agent.evaluation.readings import Readings, read_films
    from agent.readers import load_reader
    from agent.readers.protocol import Generation

    reader = load_reader(chosen.reader, chosen.folder, chosen.precision, device=chosen.device, framing=chosen.framing)
    who = {
        "reader": f"{reader.identity.name} {reader.identity.version}",
        "precision": reader.identity.precision,
        "digest": reader.identity.digest,
        "notice": reader.identity.notice,
    }
    readings = Readings(file, {**who, "scores": chosen.with_scores})
    before = sum(case.id in readings.done for case in cases)
    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        task = progress.add_task("reading", total=len(cases), completed=before)
        read_films(
            cases,
            reader,
            readings,
            generation=Generation(),
            with_scores=chosen.with_scores,
            progress=lambda number: progress.update(task, completed=before + number),
        )
    return readings.done, {name: value for name, value in who.items() if value}


def _write(
    evaluation: Evaluation,
    heading: Mapping[str, str],
    cases: Sequence[Case],
    readings: Mapping[str, FilmReading],
    output: Path,
) -> None:
    from agent.evaluation import document, plots
    from agent.evaluation.judging import judged_films

    output.mkdir(parents=True, exist_ok=True)
    pictures = ["f1.png"]
    plots.draw_f1(evaluation, output / "f1.png")
    scores = {case.id: readings[case.id].scores for case in cases}
    if plots.draw_roc(judged_films(cases, readings, evaluation.settings), scores, output / "roc.png"):
        pictures.append("roc.png")
    (output / "evaluation.md").write_text(document.markdown(evaluation, heading, pictures), encoding="utf-8")
    whole = json.dumps(document.whole(evaluation, heading), indent=2)
    (output / "evaluation.json").write_text(f"{whole}\n", encoding="utf-8")


def _show(evaluation: Evaluation, heading: Mapping[str, str], output: Path, *, as_json: bool) -> None:
    from agent.evaluation.judging import cautions

    for caution in cautions(evaluation):
        click.echo(f"warning: {caution}", err=True)
    if as_json:
        from agent.evaluation.document import whole

        print_json(whole(evaluation, heading))
        return
    for table in evaluation.tables:
        click.echo(f"protocol: {table.protocol}")
        rows = [
            (row.label, row.positives, row.negatives, *(_number(row.figures[name].value) for name in _SHOWN))
            for row in table.rows
        ]
        for name, figures in (("macro mean", table.macro), ("pooled", table.pooled)):
            rows.append((name, "", "", *(_number(figures[measure].value) for measure in _SHOWN)))
        print_table(("finding", "positive", "negative", *_SHOWN), rows, empty="no finding")
        click.echo("")
    for why, number in evaluation.troubles.items():
        click.echo(f"without a text: {counted(number, 'film')}, {why}", err=True)
    click.echo(f"with intervals, parts and pictures: {output / 'evaluation.md'}")


def _now() -> datetime:
    return datetime.now(UTC)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


eval.add_command(live)
eval.add_command(reader_study)
