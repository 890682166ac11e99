"""`wetread demo`: one film through everything, on this machine."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click

from agent import loop
from dicom_node.errors import ConfigurationError, NotFound, WetreadError

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

    if image is not None and image != "real" and not Path(image).is_file():
        raise NotFound(f"there is no file {image}; --image takes the path of a DICOM file, or the word `real`")
    folder = _folder(output)
    try:
        film = _film(image, folder)
    except WetreadError:
        with suppress(OSError):  # it was there before, with something in it
            folder.rmdir()
        raise
    now = datetime.now(UTC).astimezone()
    demonstration = Demonstration(folder, port=port, tell=click.echo)
    result = demonstration.run(film, now=now, keep=_wait_for_interrupt if keep else None)
    click.echo(f"\nfilm and draft side by side: {result.picture}")
    click.echo(f"logs of the processes:       {result.folder / 'logs'}")
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


def _film(image: str | None, folder: Path) -> Path | None:
    from agent.demo import films

    if image is None:
        return None
    path = films.real_film() if image == "real" else Path(image).absolute()
    usable = films.usable(path, folder)
    if usable != path:
        click.echo(f"{path.name} has no file meta information: {usable} is a copy that has")
    return usable
