"""`wetread report`: any structured report, ours or another maker's, as text, HTML, PDF or JSON; checked; compared."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import click

from agent.cli import EXIT_FAILED, Surroundings
from agent.commands.assess import assess
from agent.commands.outcomes import outcomes
from agent.commands.session import as_json, config_of, open_database, print_json
from agent.commands.withdraw import withdraw
from dicom_node.errors import NotFound, WetreadError

if TYPE_CHECKING:
    from pydicom import Dataset

    from reports.comparison import Change

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path, resolve_path=True)
_PLACES = ("/", "./", "../", "~")  # begins so: a file, and no number of a study
_COLORS = MappingProxyType({"-": "red", "+": "green"})


@click.group()
def report() -> None:
    """Reports: show, check, render and compare them.

    WHAT is a file that holds a structured report, or a study (number, Study Instance UID or accession number), whose
    newest document is taken. `validate` takes files only: `wetread study show WHAT --export FILE` writes one.
    Names and texts of patients are printed: for people, never for logs.
    """


report.add_command(withdraw)
report.add_command(assess)
report.add_command(outcomes)


@report.command()
@click.argument("what")
@as_json
@click.option("--width", default=100, show_default=True, help="Of a line, in characters.")
@click.option("--document", "number", type=int, help="Of a study: one of its signed documents; 0: the draft.")
@click.pass_obj
def show(surroundings: Surroundings, what: str, as_json: bool, width: int, number: int | None) -> None:
    """Print a report as text: flags first, then its items in the order of the document.

    Of a study that was signed here the newest document is shown, below a list of all that were signed.
    """
    from reports import render as pages

    document, state = _document(surroundings, what, number)
    if as_json:
        click.echo(json.dumps(_plain(document, state), indent=2, ensure_ascii=False))
        return
    click.echo(_stated(state) + pages.as_text(document, width=width), nl=False)


@report.command()
@click.argument("what")
@click.option("--to", "form", type=click.Choice(["text", "html", "pdf", "json"]), default="html", show_default=True)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="File. Default: standard output.")
@click.pass_obj
def render(surroundings: Surroundings, what: str, form: str, output: Path | None) -> None:
    """Write a report as a page: HTML and PDF need nothing else to be read, and load nothing."""
    payload = _rendered(*_document(surroundings, what), form)
    if output is None:
        if form == "pdf" and sys.stdout.isatty():
            raise click.UsageError("a PDF is not for the terminal; name a file with --output")
        sys.stdout.buffer.write(payload)
        return
    output.write_bytes(payload)
    click.echo(f"{output.resolve()}")


@report.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@as_json
@click.option("--own-only", is_flag=True, help="Only our own checks: they need no other program and answer at once.")
@click.pass_context
def validate(ctx: click.Context, files: tuple[Path, ...], as_json: bool, own_only: bool) -> None:
    """Check documents: our own checks, and dciodvfy, dsrdump and PixelMed where they are installed.

    Takes every object that this program sends (reports, PDF, captures, rejection notes) and reports of others, which
    are held against the checks that concern every document. Exit code 1 where anything is found. What validators print
    may quote the report.
    """
    results = []
    for file in files:
        found = list(_findings(file, own_only=own_only))
        results.append({"file": str(file), "checks": found})
        if not as_json:
            _print_findings(file, found)
    if as_json:
        print_json(results)
    if any(check["findings"] for result in results for check in result["checks"]):  # type: ignore[index]
        ctx.exit(EXIT_FAILED)


@report.command()
@click.argument("first")
@click.argument("second")
@as_json
@click.pass_context
def diff(ctx: click.Context, first: str, second: str, as_json: bool) -> None:
    """Compare two reports word by word, with their identity and flags. Exit code 1 where they differ."""
    from reports.comparison import compare

    changes = compare(_document(ctx.obj, first)[0], _document(ctx.obj, second)[0])
    if as_json:
        click.echo(json.dumps([{"where": one.where, "words": one.words} for one in changes], ensure_ascii=False))
    else:
        _print_changes(changes)
    if changes:
        ctx.exit(EXIT_FAILED)


def _document(surroundings: Surroundings, what: str, number: int | None = None) -> tuple[Dataset, str]:
    """The document and, of a study, where its report stands now. A file alone cannot say that: empty.

    number: of a signed document; 0 is the draft, None the newest of all.
    """
    from reports.outline import NoReport, read_report

    file = Path(what)
    if not file.is_file():
        if what.startswith(_PLACES) or file.suffix.lower() == ".dcm" or what in {".", ".."}:
            raise NotFound(f"{what}: no such file")
        payload, state = _of_a_study(surroundings, what, number)
        return read_report(payload), state
    try:
        return read_report(file.read_bytes()), ""
    except NoReport as error:
        raise WetreadError(f"{file}: {error}") from None


def _of_a_study(surroundings: Surroundings, key: str, number: int | None) -> tuple[bytes, str]:
    from dicom_node import worklist
    from dicom_node.files import read_document
    from reports.render import state_line
    from reports.signoff.chain import chain_of, one_of, standing_report

    config = config_of(surroundings)
    with open_database(config) as database, database.read() as tx:
        study = worklist.find_study(tx, key)
        report = standing_report(tx, study.id)
        if report is None:
            raise NotFound(f"study #{study.id} has no report; wetread study show '#{study.id}' says why")
        chain = chain_of(tx, report)
    digest = one_of(report, chain, number)
    listed = [("0: draft", report.digest), *((link.line, link.digest) for link in chain)] if chain else []
    lines = [f"Document {line}{' (shown)' if one == digest else ''}" for line, one in listed]
    return read_document(config.node.store_folder, digest), "\n".join([state_line(report), *lines])


def _stated(state: str) -> str:
    return f"{state}\n" if state else ""


def _plain(document: Dataset, state: str) -> dict[str, object]:
    from reports.render import as_json

    stated, *documents = state.split("\n")
    more = {"documents": documents} if documents else {}
    return {**({"state": stated} if stated else {}), **more, **as_json(document)}


def _rendered(document: Dataset, state: str, form: str) -> bytes:
    if form == "text":
        from reports.render import as_text

        return (_stated(state) + as_text(document)).encode()
    if form == "json":
        return json.dumps(_plain(document, state), indent=2, ensure_ascii=False).encode() + b"\n"
    from reports.page.foreign import compose_any

    sheet = compose_any(document)
    if state:
        sheet = replace(sheet, banner=(state.partition("\n")[0], *sheet.banner), loud=sheet.loud + 1)
    if form == "html":
        from reports.html import as_html

        return as_html(sheet).encode()
    from reports.page.fonts import find_fonts
    from reports.page.pdf import as_pdf

    return as_pdf(sheet, fonts=find_fonts(), created=_written_at(document))


def _written_at(document: Dataset) -> datetime:
    """When the content was written, for the file's own dates; another maker may have put anything there."""
    written = f"{document.get('ContentDate') or ''}{(document.get('ContentTime') or '')[:6]}"
    try:
        return datetime.strptime(written, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)


def _findings(file: Path, *, own_only: bool) -> Iterator[dict[str, object]]:
    from reports.checks import problems_of
    from reports.checks.foreign import is_ours, problems_of_a_foreign
    from reports.outline import NoReport, has_content_items, read_object

    try:
        document = read_object(file.read_bytes())
    except NoReport as error:
        yield {"tool": "wetread", "installed": True, "findings": [str(error)]}
        return
    problems = problems_of(document) if is_ours(document) else problems_of_a_foreign(document)
    yield {"tool": "wetread", "installed": True, "findings": list(problems)}
    if own_only:
        return
    from reports.validators import opinions

    for opinion in opinions(file, has_content_items=has_content_items(document)):
        yield {"tool": opinion.tool, "installed": opinion.installed, "findings": list(opinion.findings)}


def _print_findings(file: Path, found: list[dict[str, object]]) -> None:
    from reports.validators import PACKAGES

    click.echo(f"{file}")
    for check in found:
        findings = check["findings"]
        assert isinstance(findings, list)
        if not check["installed"]:
            words = f"not installed ({PACKAGES[str(check['tool'])]})"
        else:
            words = "nothing found" if not findings else f"{len(findings)} found"
        click.echo(f"  {check['tool']:18} {words}")
        for line in findings:
            click.echo(f"    {line}")


def _print_changes(changes: tuple[Change, ...]) -> None:
    if not changes:
        click.echo("They say the same.")
    for change in changes:
        words = (
            click.style(f"[{mark}{text}{mark}]", fg=_COLORS[mark]) if mark in _COLORS else text
            for mark, text in change.words
        )
        click.echo(f"{click.style(change.where, bold=True)}: {' '.join(words)}")
