"""`wetread report assess`: EXPERIMENTAL, what a person made of a draft as a DICOM file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli import Surroundings
from agent.commands.session import config_of
from dicom_node.errors import ConfigurationError, WetreadError
from dicom_node.headers import UNREADABLE

if TYPE_CHECKING:
    from pydicom import Dataset

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("draft", type=_FILE)
@click.option("--signed", type=_FILE, help="The report that was signed: accepted where no word was changed.")
@click.option("--rejected", metavar="CODE", help="It was rejected; a code word such as wrong-finding.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A new file.")
@click.pass_obj
def assess(surroundings: Surroundings, draft: Path, signed: Path | None, rejected: str | None, output: Path) -> None:
    """EXPERIMENTAL: write a DICOM object that says what became of the draft in a file.

    In the spirit of IHE AIRA, whose text is not public here: template and codes are private and will change. Nothing
    is sent. Needs reports.experimental = true.
    """
    from reports.messages.outcome import Result, outcome_of
    from reports.objects.assessment import EXPERIMENTAL, build_assessment
    from reports.objects.frame import encode

    if (signed is None) == (rejected is None):
        raise click.UsageError("say what became of it: either --signed FILE or --rejected CODE")
    config = config_of(surroundings).reports
    documents = [_document(one) for one in (draft, signed) if one is not None]
    after = documents[1] if signed is not None else None
    result = None if signed is not None else Result.REJECTED
    at = datetime.now(UTC)
    try:
        outcome = outcome_of(documents[0], drafted_at=at, at=at, result=result, signed=after, reason=rejected or "")
        payload = encode(build_assessment(documents[0], outcome, at=at, config=config, signed=after))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except UNREADABLE as error:
        raise WetreadError(f"{draft}: what an assessment needs is missing ({type(error).__name__})") from error
    try:
        with output.open("xb") as target:
            target.write(payload)
    except FileExistsError as error:
        raise ConfigurationError(f"{output} exists; choose another name") from error
    click.echo(f"{output}: {outcome.result}")
    click.echo(EXPERIMENTAL, err=True)


def _document(file: Path) -> Dataset:
    from reports.outline import NoReport, read_report

    try:
        return read_report(file.read_bytes())
    except NoReport as error:
        raise WetreadError(f"{file}: {error}") from None
