"""`wetread findings`: what a report says, label by label, and where it says so."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli import EXIT_NOT_FOUND, EXIT_USAGE
from dicom_node.characters import UNPRINTABLE, disarm

if TYPE_CHECKING:
    from reports.findings import Finding, Findings, Mention, Span

_STDIN = "-"
_WIDTH = 60  # characters of the words shown in a table


@click.command()
@click.argument("texts", nargs=-1, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document a line and report, for scripts.")
@click.option(
    "--uncertain-map",
    is_flag=True,
    help='Print what a scorer takes `uncertain` for, {label: "present" or "absent"}, as JSON. Reads no FILE.',
)
@click.pass_context
def findings(ctx: click.Context, texts: tuple[str, ...], as_json: bool, uncertain_map: bool) -> None:
    """What does the text of a chest radiograph report say? For each label present, absent or uncertain.

    FILE is the text of one report, UTF-8; its name without the ending is the id. `-` reads JSON lines from standard
    input, one report a line: {"id": "4711", "text": "..."}.

    \b
    --json prints a line for each report, with the mentioned labels only (not mentioned is not absent):
      {"id": "4711", "findings": {"Pleural Effusion": {"state": "present", "laterality": "left",
       "severity": "mild", "evidence": [{"state": ..., "words": [...], "cues": [...], "sentence": ...}]}}}

    Both label sets are keys, the 14 of CheXpert ("Pleural Effusion") and the 14 of NegBio
    ("Effusion", "Pleural_Thickening"); "No Finding" and "normal" say the same. Needs no configuration, database or GPU.

    \b
    Exit codes: 0 done; 2 wrong command line, or a line or file that cannot be read as text or JSON; 3 no such file.
    """
    if uncertain_map:
        from reports.findings.scoring import uncertain_map as read_map

        click.echo(json.dumps(dict(read_map()), indent=2))
        return
    if not texts:
        raise click.UsageError("name the file of a report, or - for JSON lines on standard input")
    for identifier, text in _reports(ctx, texts):
        _show(identifier, text, as_json)


def _reports(ctx: click.Context, texts: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name in texts:
        if name == _STDIN:
            yield from _lines(ctx, sys.stdin.buffer)
            continue
        path = Path(name)
        if not path.is_file():
            _fail(ctx, f"there is no file {name}", EXIT_NOT_FOUND)
        try:
            yield path.stem, path.read_text(encoding="utf-8-sig")
        except (UnicodeDecodeError, OSError) as error:
            _fail(ctx, f"{name} cannot be read as UTF-8 text ({type(error).__name__})", EXIT_USAGE)


def _lines(ctx: click.Context, stream: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    number = 0
    try:
        for number, line in enumerate(stream, start=1):  # noqa: B007 # the message below names it
            if line.strip():
                yield _report_in(line)
    except (ValueError, RecursionError):  # no UTF-8, no JSON, or another shape; the line may hold report text
        _fail(ctx, f'line {max(number, 1)} of standard input is not {{"id": ..., "text": ...}} in UTF-8', EXIT_USAGE)


def _report_in(line: bytes) -> tuple[str, str]:
    """The identifier and the text of one line. Raises ValueError."""
    document = json.loads(line.decode("utf-8-sig"))
    if not isinstance(document, dict) or not isinstance(document.get("text"), str) or "id" not in document:
        raise ValueError("not a report")
    return str(document["id"]), document["text"]


def _show(identifier: str, text: str, as_json: bool) -> None:
    from reports.findings import extract

    found = extract(text)
    if as_json:
        document = {label: _document(finding, text) for label, finding in found.by_label.items()}
        click.echo(json.dumps({"id": identifier, "findings": document}))
        return
    _table(identifier, text, found)


def _document(finding: Finding, text: str) -> dict[str, object]:
    return {
        "state": finding.state,
        "laterality": finding.laterality,
        "severity": finding.severity,
        "evidence": [_evidence(mention, text) for mention in finding.mentions],
    }


def _evidence(mention: Mention, text: str) -> dict[str, object]:
    return {
        "state": mention.state,
        "concept": mention.concept,
        "words": [_quoted(span, text) for span in mention.words],
        "cues": [_quoted(span, text) for span in mention.cues],
        "sentence": _quoted(mention.sentence, text),
    }


def _quoted(span: Span, text: str) -> dict[str, object]:
    return {"start": span[0], "end": span[1], "text": text[span[0] : span[1]]}


def _table(identifier: str, text: str, found: Findings) -> None:
    from agent.commands.session import print_table

    rows = [
        (label, finding.state, finding.laterality or "", finding.severity or "", _words(finding, text))
        for label, finding in found.by_label.items()
    ]
    click.echo(_printable(identifier))
    print_table(("label", "state", "side", "severity", "words"), rows, empty="no finding is mentioned")
    click.echo("")


def _words(finding: Finding, text: str) -> str:
    """The words of the evidence with its cues, in the order of the text."""
    spans = sorted({span for mention in finding.evidence for span in (*mention.cues, *mention.words)})
    shown = _printable(" ... ".join(" ".join(text[start:end].split()) for start, end in spans))
    return shown if len(shown) <= _WIDTH else f"{shown[: _WIDTH - 3]}..."


def _printable(words: str) -> str:
    """Nothing that could steer a terminal, or that cannot be written."""
    return disarm(words, instead="?", also=UNPRINTABLE, keep=" ")


def _fail(ctx: click.Context, message: str, code: int) -> None:
    click.echo(f"wetread: {message}", err=True)
    sys.stdout.flush()
    ctx.exit(code)
