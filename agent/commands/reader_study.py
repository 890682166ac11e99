"""`wetread eval reader-study`: radiologists grade AI drafts and original reports without knowing which is which."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.commands.raters import ADDRESS, add_all, opened, raters
from agent.commands.session import as_json, print_json
from agent.commands.study_words import show_made, stock_of, tells_of

if TYPE_CHECKING:
    from agent.cli import Surroundings
    from agent.evaluation.packing import Choice, Made
    from agent.evaluation.readings import FilmReading
    from agent.evaluation.verdicts import Verdicts
    from agent.manifest import Case
    from dicom_node.database import Database
    from reports.grading.package import Package

_ONE_SPARE_IN = 20  # films of a sample
_STUDY = click.argument("study", type=click.Path(path_type=Path, file_okay=False))
_KEY = click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File that says who wrote what. Default: STUDY.key.json beside the folder.",
)
_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group(name="reader-study")
def reader_study() -> None:
    """Radiologists grade AI drafts and original reports, blinded: the paper's table of acceptability.

    A acceptable, B acceptable after minor revision, C major revision, D unacceptable; A or B is a success.

    \b
    wetread eval reader-study make --manifest films.csv --readings evaluation --output STUDY --rater ann --rater ben
    wetread eval reader-study serve STUDY
    wetread eval reader-study raters list STUDY
    wetread eval reader-study result STUDY --output RESULT

    STUDY.key.json, beside the folder, says who wrote what: keep it from the raters until all have finished.
    """


reader_study.add_command(raters)


@dataclass(frozen=True, slots=True)
class _Making:
    """What the command line says of making a study."""

    manifest: Path
    images: Path | None
    readings: Path | None
    reader: str | None
    sample: int | None
    seed: str
    key: Path
    output: Path
    quiet: bool


@reader_study.command()
@click.option("--manifest", type=_FILE, required=True, help="CSV as for wetread eval, with a column `report`.")
@click.option("--images", type=_FOLDER, help="Folder of the films. Default: the manifest's.")
@click.option(
    "--readings",
    type=click.Path(path_type=Path),
    help='What the AI wrote: the --output folder of wetread eval, or JSON lines {"id", "text"}.',
)
@click.option("--reader", type=click.Choice(["cxr_llava"]), help="In place of --readings: let this reader write now.")
@click.option("--model", type=_FOLDER, help="Its folder. Default: reader.checkpoint, else the demonstration model.")
@click.option("--precision", type=click.Choice(["fp32", "bf16", "int8", "nf4"]), help="Default: as configured.")
@click.option("--output", type=_FOLDER, required=True, help="Folder of the study; must not be there yet.")
@_KEY
@click.option("--split", help="Only films of this split.")
@click.option("--adults", is_flag=True, help="Only films of people known to be 18 or more.")
@click.option("--sample", type=click.IntRange(2), help="So many films, drawn by the seed from all that can be used.")
@click.option(
    "--leave-out",
    "unwanted",
    multiple=True,
    type=click.Choice(["marks", "date", "number", "name", "call", "machine", "comparison"]),
    help="No films with a text that has this: marks of de-identification (XXXX), ...; can be repeated.",
)
@click.option(
    "--drop-sentence",
    "dropped",
    multiple=True,
    help="Take this sentence out of all texts, as one that make has named; can be repeated.",
)
@click.option("--seed", help="Of everything drawn by chance. Default: a new one; the key has it. No rater may know it.")
@click.option("--title", default="Reader study", show_default=True, help="Raters see it: name no model.")
@click.option("--rater", "names", multiple=True, help="A rater's name or code, shown to the rater; can be repeated.")
@click.option("--address", help=f"How the links of raters begin. Default: {ADDRESS}")
@as_json
@click.pass_obj
def make(
    surroundings: Surroundings, /, as_json: bool, names: tuple[str, ...], address: str | None, **options: Any
) -> None:
    """Make the blinded package: each film with its AI draft and its original report, under names by chance.

    Both texts get one dress: one paragraph, ordinary letters; no headings, lists, signatures, banners; nothing of
    history, comparison and technique that stands under a heading of its own. Films lose their headers. Length and
    wording stay: what may give a text away is counted and told, and so are sentences that most texts of one source have
    and few of the other (take them out of all by --drop-sentence), texts that lost words under no such heading
    and pictures whose header speaks of burnt-in words. Nobody looks at the pixels for you: look through the films
    before raters do.

    \b
    STUDY/            what raters are served: package.json, films/, later grades.db
    STUDY.key.json    who wrote what, seed, what was left out and why
    With --reader what it wrote lies in STUDY.readings.jsonl, readable by you only, as it tells what the key tells;
    a run that was broken off goes on there.

    \b
    Exit codes: 0 made; 2 wrong command line, manifest, or too few films; 3 no such file.
    """
    making = _making(options, names, quiet=as_json)
    texts, who, learned = _texts(surroundings, making, options)
    made, choice = _make(making, texts, who, learned, options)
    links = add_all(making.output, names, address)
    told = {
        "films": len(made.films),
        "sample": making.sample,
        "left_out": dict(made.left_out),
        "burned_in": list(made.burned_in),
        "burned_in_unknown": made.unsaid,
        "stock": stock_of(choice),
        "texts": tells_of(choice),
        "study": str(making.output),
        "key": str(making.key),
        "raters": links,
    }
    print_json(told) if as_json else show_made(told)


@reader_study.command()
@_STUDY
@click.option("--bind", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8090, show_default=True)
@click.option("--host", "hosts", multiple=True, help="Name by which raters call the pages; can be repeated.")
@click.option("--certificate", type=_FILE, help="PEM, ours; with it the port speaks https only.")
@click.option("--private-key", type=_FILE, help="PEM, without password. Default: in the file of the certificate.")
@click.option("--proxy", multiple=True, help="Address of a proxy that speaks https for these pages.")
def serve(study: Path, bind: str, port: int, **options: Any) -> None:
    """Serve the study to raters, each by an own link (raters add, raters link), until Ctrl-C.

    Beyond 127.0.0.1 only by https: --certificate, or --proxy. Each grade is on the disk before the page goes on; the
    program can be stopped and started at any time. It never opens the key, which may be elsewhere.

    \b
      wetread eval reader-study serve STUDY
      wetread eval reader-study serve STUDY --bind 10.0.0.7 --port 443 --host study.hospital.example --certificate c.pem

    \b
    Exit codes: 0 stopped; 1 the package was changed; 2 wrong command line, or the port is taken; 3 no such study.
    """
    from agent.serving import make_server
    from reports.grading.package import verify

    web = _web(bind, port, options)
    _must_be_free(bind, port)
    with opened(study) as (package, database):
        with _bar("checking", len(package.films), quiet=False) as progress:
            verify(package, told=progress)
        server = make_server(_app(package, database, web), web)
        click.echo(f"serving {package.title!r} at {web.address} (Ctrl-C ends it)", err=True)
        with suppress(KeyboardInterrupt):  # uvicorn ends in order, then passes Ctrl-C on
            server.run()


@reader_study.command()
@_STUDY
@_KEY
@click.option("--output", type=_FOLDER, help="Folder for result.md, result.json, grades.csv and the pictures.")
@click.option("--unfinished", is_flag=True, help="Although raters are still grading; the result says so.")
@as_json
def result(study: Path, key: Path | None, output: Path | None, unfinished: bool, as_json: bool) -> None:
    """Open the key and count: grades by source, success with intervals, agreement between raters.

    Refused while a rater has not finished: who knows an interim result is not blind any more. --unfinished shows it
    all the same, marked as preliminary; later results tell that it was shown before the last grade. --output also
    gets every single grade with its comment (grades.csv).

    \b
    Exit codes: 0 done; 1 package or key was changed; 3 no such study or key; 4 not everybody has finished.
    """
    from agent.evaluation.packing import read_key
    from agent.evaluation.verdict_words import markdown
    from agent.evaluation.verdicts import acts, collect, judge, sheet
    from agent.evaluation.verdicts import as_json as plain
    from dicom_node.database import clock
    from dicom_node.errors import WrongState
    from reports.grading.package import verify
    from reports.grading.raters import shown

    with opened(study) as (package, database):
        verify(package)
        whole = read_key(key or _key_beside(study), package)
        with database.read() as tx:
            (graded, waiting), every, told = collect(tx, whole, package), sheet(tx, whole), acts(tx)
        if not graded:
            raise WrongState(f"{study} has no raters yet: wetread eval reader-study raters add {study} NAME")
        if waiting and not unfinished:
            those = ", ".join(f"{name} ({done} of {of})" for name, (done, of) in waiting.items())
            raise WrongState(f"not everybody has finished: {those}; --unfinished shows what there is")
        with database.write() as tx:
            shown(tx, clock(tx))
    verdicts = judge(graded, whole, package, waiting, told)
    if output is not None:
        _write(verdicts, every, output)
    print_json(plain(verdicts)) if as_json else click.echo(markdown(verdicts))
    if output is not None:
        click.echo(f"written: {output}", err=True)


def _making(options: Mapping[str, Any], names: Sequence[str], *, quiet: bool) -> _Making:
    """What is wrong is said before anything is read."""
    from agent.evaluation.packing import must_be_new
    from reports.grading.raters import well_named

    if len({well_named(name) for name in names}) < len(names):
        raise click.UsageError("each --rater needs a name of its own")
    if (options["readings"] is None) == (options["reader"] is None):
        raise click.UsageError("name either --readings or --reader")
    output: Path = options["output"]
    must_be_new(output, options["key"] or _key_beside(output))
    return _Making(
        **{name: options[name] for name in ("manifest", "images", "readings", "reader", "sample", "output")},
        seed=options["seed"] or secrets.token_hex(16),
        key=options["key"] or _key_beside(output),
        quiet=quiet,
    )


def _key_beside(study: Path) -> Path:
    return study.absolute().with_name(f"{study.absolute().name}.key.json")


def _texts(
    surroundings: Surroundings, making: _Making, options: Mapping[str, Any]
) -> tuple[tuple[list[Case], dict[str, str]], dict[str, Any], Callable[[Sequence[Case]], str] | None]:
    """The films and what the AI wrote about them; who it was; and what tells, where it wrote just now, of how many
    films it had learned."""
    from agent.commands import eval as evaluating
    from agent.evaluation.beforehand import learned_from, warned
    from agent.evaluation.readings import must_be_of, read_head, read_texts
    from agent.manifest import read_manifest

    cases = evaluating.chosen_cases(
        read_manifest(making.manifest, images=making.images),
        split=options["split"],
        limit=None,
        adults=options["adults"],
    )
    if making.readings is not None:
        file = making.readings / "readings.jsonl" if making.readings.is_dir() else making.readings
        found, who, learned = read_texts(file), {**read_head(file), **warned(file)}, None
        must_be_of(file, found, cases)
    else:
        model = evaluating.chosen(surroundings, str(making.reader), {**options, "with_scores": False})
        file = making.key.with_name(f"{making.output.name}.readings.jsonl")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.chmod(0o600)  # of a run that was broken off, too: it tells who wrote what, as the key does
        cases, found, who = _read(partial(evaluating.read, chosen=model, file=file, quiet=making.quiet), cases, making)
        learned = partial(learned_from, model.folder, readings=found)
    return (cases, {name: reading.text for name, reading in found.items()}), who, learned


def _read(
    read: Callable[[Sequence[Case]], tuple[Mapping[str, FilmReading], dict[str, Any]]],
    cases: list[Case],
    making: _Making,
) -> tuple[list[Case], dict[str, FilmReading], dict[str, Any]]:
    """Have as many films read as the sample takes, by chance, and some more for those without a usable text."""
    from agent.evaluation.packing import in_turn, usable

    if making.sample is None:
        found, who = read(cases)
        return cases, dict(found), who
    order, number, missing = in_turn(cases, making.seed), 0, making.sample
    while True:
        number = min(len(order), number + missing + missing // _ONE_SPARE_IN)
        found, who = read(order[:number])
        missing = making.sample - usable(order[:number], {name: one.text for name, one in found.items()})
        if missing <= 0 or number == len(order):
            return order[:number], dict(found), who


def _make(
    making: _Making,
    found: tuple[list[Case], dict[str, str]],
    who: Mapping[str, Any],
    learned: Callable[[Sequence[Case]], str] | None,
    options: Mapping[str, Any],
) -> tuple[Made, Choice]:
    from agent import __version__
    from agent.evaluation.blinding import TELLS
    from agent.evaluation.packing import Recipe, choose, pack

    choice = choose(
        *found, making.seed, making.sample, [TELLS[word] for word in options["unwanted"]], options["dropped"]
    )
    warning = who.get("warning") or (learned([pair.case for pair in choice.pairs]) if learned else "")
    if warning:
        click.echo(f"warning: {warning}", err=True)
        who = {**who, "warning": f"**{warning}**"}
    recipe = Recipe(options["title"], making.seed, _now().isoformat(timespec="seconds"), f"wetread {__version__}", who)
    with _bar("packing", len(choice.pairs), quiet=making.quiet) as progress:
        made = pack(choice, recipe, making.output, making.key, progress)
    return made, choice


def _web(bind: str, port: int, options: Mapping[str, Any]) -> Any:
    """The same rules as for the pages. Raises ConfigurationError."""
    from pydantic import ValidationError

    from agent.config import WebConfig
    from dicom_node.errors import ConfigurationError

    try:
        return WebConfig(
            bind_address=bind,
            port=port,
            hosts=options["hosts"],
            tls_certificate=options["certificate"],
            tls_key=options["private_key"],
            proxy=options["proxy"],
        )
    except ValidationError as error:
        words = "; ".join(str(one["msg"]).removeprefix("Value error, ") for one in error.errors())
        for ours, theirs in (("tls_certificate", "--certificate"), ("tls_key", "--private-key")):
            words = words.replace(ours, theirs)
        raise ConfigurationError(words) from error


def _must_be_free(bind: str, port: int) -> None:
    """Raises ConfigurationError: the port cannot be opened."""
    import socket

    from dicom_node.errors import ConfigurationError

    try:
        socket.create_server((bind, port), family=socket.AF_INET6 if ":" in bind else socket.AF_INET).close()
    except OSError as error:
        raise ConfigurationError(f"port {port} of {bind} cannot be opened: {error.strerror}; see --port") from error


def _app(package: Package, database: Database, web: Any) -> Any:
    from agent import __version__
    from agent.pages import access
    from reports.web.grading import make_grading_app

    return make_grading_app(
        package, database, version=__version__, session=lambda: secrets.token_urlsafe(32), access=access(web)
    )


def _write(verdicts: Verdicts, every: str, output: Path) -> None:
    from agent.evaluation import verdict_plot
    from agent.evaluation.verdict_words import markdown
    from agent.evaluation.verdicts import as_json as plain

    output.mkdir(parents=True, exist_ok=True)
    verdict_plot.draw(verdicts, output / "acceptability.png", output / "acceptability.svg")
    (output / "result.md").write_text(markdown(verdicts, ("acceptability.png",)), encoding="utf-8")
    (output / "result.json").write_text(json.dumps(plain(verdicts), indent=2) + "\n", encoding="utf-8")
    (output / "grades.csv").write_text(every, encoding="utf-8")


@contextmanager
def _bar(words: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar that is told how many are done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(words), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        task = progress.add_task(words, total=total)
        yield lambda done: progress.update(task, completed=done)


def _now() -> datetime:
    return datetime.now(UTC)
