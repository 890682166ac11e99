"""`wetread gate`: what the image gate says of files, and a site's own test for laterals."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from agent.cli import EXIT_FAILED, Surroundings
from agent.commands.session import as_json, config_of, print_json, print_table
from agent.config import Config
from dicom_node.errors import ConfigurationError, NotFound

if TYPE_CHECKING:
    from agent.imaging.decoder import DecoderProcess
    from agent.imaging.impression import Impression
    from agent.imaging.judging import Judged

VIEWS: Final = ("frontal", "lateral")
_FRONTAL: Final = frozenset({"frontal", "pa", "ap"})
_LATERAL: Final = frozenset({"lateral", "ll", "rl", "lat"})


class FilesOrCommand(click.Group):
    """`gate FILE...` judges files; a word that is the name of a command is that command (a file: ./calibrate)."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """A `--` before the first file is for the command that judges files, too: -x.dcm is a file behind it."""
        place = args.index("--") if "--" in args else len(args)
        if all(word.startswith("-") for word in args[:place]):
            args = [*args[:place], *args[place : place + 1], *args[place:]]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, else the one that judges files."""
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, "files")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The first word is a command's name or a file."""
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return "files", self.commands["files"], args


@click.group(
    cls=FilesOrCommand,
    context_settings={"ignore_unknown_options": True},
    subcommand_metavar="FILE... [--json] | calibrate FOLDER",
)
def gate() -> None:
    """The image gate: would these films be read, wait for a person, or be excluded, and why?

    `wetread gate FILE...` judges DICOM files by header and pixels, PNG and JPEG files by their pixels. Nothing is sent
    or stored; what was sent before, and rules, are not looked at. What else would keep the node from reading a file is
    told as well: no Patient ID, or a header that no draft can be bound to. The section [imaging] of the configuration
    counts as it does for what is received: with doubts = "note" a film that only its pixels speak against would be
    read, and the doubt is told beside.

    \b
    Exit codes: 0 all would be read; 1 at least one would not; 2 wrong command line or configuration; 3 no such file.
    """


@gate.command("files", hidden=True)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@as_json
@click.pass_obj
def judge(surroundings: Surroundings, files: Sequence[Path], as_json: bool) -> None:
    """Judge files.

    \b
    Exit codes: 0 all would be read; 1 at least one would not; 2 wrong command line or configuration; 3 no such file.
    """
    from agent.imaging import calibration
    from agent.imaging.judging import judge_files

    config = config_of(surroundings)
    absent = [file for file in files if not file.is_file()]
    if absent:
        raise NotFound(f"no such file: {', '.join(str(file) for file in absent)}")
    own = config.imaging.gate_calibration
    with _decoder(config) as decoder:
        judged = list(
            judge_files(
                files,
                decoder,
                None if own is None else calibration.read(own),
                received=datetime.now(UTC).date(),
                hold_unknown_age=config.imaging.unknown_age == "hold",
                pixels_name_the_part=config.imaging.unknown_body_part == "pixels",
                note_doubts=config.imaging.doubts == "note",
                reports=config.reports,
            )
        )
    if as_json:
        print_json([_told(one) for one in judged])
    else:
        print_table(("FILE", "VERDICT", "REASON", "IN WORDS"), [_row(one) for one in judged], empty="no file")
    if any(one.answer != "read" for one in judged):
        sys.exit(EXIT_FAILED)


def _decoder(config: Config) -> DecoderProcess:
    from agent.imaging.decoder import DecoderProcess

    return DecoderProcess(config.reader.decode_seconds, config.reader.decode_mebibytes)


def _told(one: Judged) -> dict[str, Any]:
    return {
        "file": str(one.file),
        "verdict": one.answer,
        "reason": "" if one.answer == "read" else one.worst.code,
        "explanation": one.worst.explanation,
        "reasons": [
            {"verdict": "hold" if verdict.decision == "confirm" else verdict.decision, **_words(verdict)}
            for verdict in one.verdicts
        ],
        "same_picture_as": None if one.same_as is None else str(one.same_as),
        "impression": None if one.impression is None else asdict(one.impression),
    }


def _words(verdict: Any) -> dict[str, Any]:
    return {"reason": verdict.code, "explanation": verdict.explanation, "notes": list(verdict.notes)}


def _row(one: Judged) -> tuple[str, ...]:
    words = [verdict.explanation for verdict in one.verdicts if one.answer == "read" or verdict.decision != "read"]
    if one.same_as is not None:
        words.append(f"The same picture as {one.same_as}.")
    return str(one.file), one.answer, "-" if one.answer == "read" else one.worst.code, " ".join(words)


@gate.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("lateral.json"),
    show_default=True,
    help="The file to write, which imaging.gate_calibration then names. Must not exist.",
)
@as_json
@click.pass_obj
def calibrate(surroundings: Surroundings, folder: Path, output: Path, as_json: bool) -> None:
    """Fit a test for laterals to your own films: FOLDER/frontal and FOLDER/lateral, or a CSV file.

    Put in at least 50 films of each kind, as they come from your devices (DICOM, PNG, JPEG), sorted by somebody who
    looked at them; a few hundred are better. The CSV has the columns file, view (frontal or lateral) and, if possible,
    patient, so that no patient is on both sides of the trial. One frontal film in a hundred will be held for a person;
    how many laterals are found is printed, measured on films of patients that the test was not fitted to.

    \b
    Exit codes: 0 written; 1 too few films, or the test would not help; 2 wrong command line; 3 no such folder.
    """
    from agent.imaging import calibration

    if output.exists():
        raise ConfigurationError(f"{output} exists; choose another name with --output")
    if not output.absolute().parent.is_dir():  # told before all films are measured
        raise ConfigurationError(f"{output}: there is no folder {output.parent}; make it, or name another")
    with _decoder(config_of(surroundings)) as decoder:
        films, unusable = _measured(_listed(folder), decoder)
    made = calibration.fit(films["frontal"], films["lateral"])
    calibration.write(made, output)
    if as_json:
        print_json({**asdict(made), "file": str(output), "undecodable": unusable})
        return
    click.echo(f"{made.frontal} frontal and {made.lateral} lateral films; {unusable} could not be decoded")
    click.echo(f"finds {made.found:.1%} of the laterals, holds {made.held:.1%} of the frontal films")
    click.echo(f'written: {output}; to use it, set gate_calibration = "{output.absolute()}" in [imaging]')


def _measured(
    listed: Iterator[tuple[Path, str, str]], decoder: DecoderProcess
) -> tuple[dict[str, list[tuple[str, Impression]]], int]:
    """By view: the patient (or file) and the impression of each film; and how many could not be decoded."""
    from agent.imaging.impression import measure
    from agent.imaging.judging import film_of
    from agent.imaging.pixels import UndecodableImage

    films: dict[str, list[tuple[str, Impression]]] = {view: [] for view in VIEWS}
    unusable = 0
    for file, view, patient in listed:
        try:
            film = film_of(file, decoder)
        except UndecodableImage:
            unusable += 1
            continue
        films[view].append((patient or str(file), film.impression or measure(film.pixels)))
    return films, unusable


def _listed(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """File, view and patient of each film. Raises NotFound, ConfigurationError."""
    if folder.is_file():
        yield from _of_table(folder)
        return
    for view in VIEWS:
        if not (folder / view).is_dir():
            raise NotFound(
                f"{folder / view} is no folder; FOLDER holds the folders frontal and lateral, or is a CSV file"
            )
        for file in sorted(path for path in (folder / view).rglob("*") if path.is_file()):
            yield file, view, ""


def _of_table(table: Path) -> Iterator[tuple[Path, str, str]]:
    from agent import edge

    lines = csv.DictReader(io.StringIO(edge.text_of(table), newline=""))
    for number, row in enumerate(lines, start=2):
        file, view = (row.get("file") or "").strip(), (row.get("view") or "").strip().lower()
        if not file or view not in _FRONTAL | _LATERAL:
            raise ConfigurationError(f"{table}, line {number}: needs a file, and a view that is frontal or lateral")
        path = table.parent / file
        if not path.is_file():
            raise NotFound(f"{table}, line {number}: no such file: {path}")
        yield path, "frontal" if view in _FRONTAL else "lateral", (row.get("patient") or "").strip()
