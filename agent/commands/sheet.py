"""`wetread sheet`: what the administrator of the PACS has to know and to type, from the running configuration."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent import __version__
from agent.cli import Surroundings
from agent.commands.session import config_of, open_database
from dicom_node.errors import ConfigurationError

if TYPE_CHECKING:
    from agent.config import Config
    from reports.handout import Handout

_FORMS = ("text", "markdown", "html", "pdf")


@click.command()
@click.option("--format", "form", type=click.Choice(_FORMS), help="Default: by the ending of --output, else text.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it there; PDF needs it.")
@click.option("--host", default="", help="What the PACS is to call this machine. Default: its own address and name.")
@click.option("--conformance", is_flag=True, help="Instead: the DICOM conformance statement of this configuration.")
@click.pass_obj
def sheet(surroundings: Surroundings, form: str | None, output: Path | None, host: str, conformance: bool) -> None:
    """A sheet for the PACS administrator: AE title, addresses, ports, what is accepted, and what to type where.

    For Orthanc, dcm4chee, mercure and any other PACS, with this node's own values: wetread sheet --output sheet.pdf
    """
    config = config_of(surroundings)
    form = form or _by_ending(output)
    if form == "pdf" and output is None:
        raise ConfigurationError("a PDF needs a file: --output sheet.pdf")
    handout = _statement(config) if conformance else _sheet(config, host)
    content = _written(handout, form)
    if output is None:
        click.echo(content.decode(), nl=False)
    else:
        output.write_bytes(content)
        click.echo(f"{output} written")


def _sheet(config: Config, host: str) -> Handout:
    """Raises ConfigurationError."""
    from agent.commands.processes import services
    from agent.papers.facts import gather
    from agent.papers.sheet import sheet as compose
    from dicom_node.services import Directory

    with open_database(config) as database:
        offers = Directory(tuple(services(config, database))).offers
        with database.read() as tx:
            return compose(gather(config, tx, host=host, offers=offers), datetime.now(UTC), version=__version__)


def _statement(config: Config) -> Handout:
    """Services are asked what they offer, and do nothing: their database is never opened."""
    from agent.commands.processes import services
    from agent.papers.conformance import statement
    from dicom_node.database import Database
    from dicom_node.services import Directory

    return statement(config, Directory(tuple(services(config, Database("sqlite://")))).offers)


def _by_ending(output: Path | None) -> str:
    endings = {".md": "markdown", ".html": "html", ".htm": "html", ".pdf": "pdf"}
    return endings.get(output.suffix.lower(), "text") if output is not None else "text"


def _written(handout: Handout, form: str) -> bytes:
    from reports import handout as forms

    if form == "pdf":
        from reports.page.fonts import find_fonts
        from reports.page.handout_pdf import handout_pdf

        return handout_pdf(handout, fonts=find_fonts(), created=datetime.now(UTC))
    write = {"text": forms.as_text, "markdown": forms.as_markdown, "html": forms.as_html}[form]
    return write(handout).encode()
