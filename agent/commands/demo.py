"""`wetread demo`: one film through everything, on this machine."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import click

from agent import loop
from dicom_node.errors import ConfigurationError, NotFound

_NEEDED_MEBIBYTES = 512


@click.command()
@click.option(
    "--image", metavar="FILE.dcm|real", help="A DICOM file; or `real`: a chest film from pydicom's test data."
)
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Folder for the results.")
@click.option("--port", default=0, metavar="PORT", help="Port of our Storage SCP; default: a free one.")
@click.option("--keep", is_flag=True, help="Leave everything running until Ctrl-C.")
def demo(image: str | None, output: Path | None, port: int, keep: bool) -> None:
    """Send one chest film from a loopback PACS through all five processes, and show the draft that comes back.

    Without --image the film is a drawing. The last line printed is the path of the draft, a DICOM Structured Report;
    beside it lies a picture of the film and the draft. Nothing leaves this machine.
    """
    from agent.demo.story import Demonstration

    film = _film(image)
    folder = _folder(output)
    now = datetime.now(UTC).astimezone()
    demonstration = Demonstration(folder, port=port, tell=click.echo)
    result = demonstration.run(film, now=now, keep=_wait_for_interrupt if keep else None)
    click.echo(f"\nfilm and draft side by side: {result.picture}")
    click.echo(f"logs and configuration:      {result.folder}")
    click.echo("The draft as the PACS received it (DICOM Structured Report, AI draft, not verified):")
    click.echo(str(result.draft))


def _wait_for_interrupt() -> None:
    click.echo("\nEverything keeps running; Ctrl-C stops it.")
    loop.stop_on_signals().wait()


def _folder(output: Path | None) -> Path:
    folder = (output or Path("demo-output") / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}").absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cannot make {folder} ({error.strerror}); choose another with --output") from error
    free = shutil.disk_usage(folder).free >> 20
    if free < _NEEDED_MEBIBYTES:
        raise ConfigurationError(
            f"{free} MiB are free where {folder} lies and {_NEEDED_MEBIBYTES} are needed: free some space, or "
            "choose another disk with --output"
        )
    return folder


def _film(image: str | None) -> Path | None:
    if image is None:
        return None
    if image == "real":
        return _real_film()
    path = Path(image).absolute()
    if not path.is_file():
        raise NotFound(f"there is no file {path}; --image takes the path of a DICOM file, or the word `real`")
    return path


def _real_film() -> Path:
    """A chest radiograph with masses, from pydicom's external test data (downloaded once, MIT license)."""
    from pydicom.data import get_testdata_file

    found = None
    try:
        found = get_testdata_file("RG1_J2KI.dcm")
    except OSError as error:
        click.echo(f"download failed: {error}", err=True)
    if not found:
        raise NotFound("the film cannot be downloaded here (is there internet?); give one with --image FILE.dcm")
    return Path(str(found))
