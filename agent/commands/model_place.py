"""Where a model lies and where one goes, as the commands of a model are told it or find it out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from agent.commands.session import config_of, print_json
from dicom_node.counted import counted

if TYPE_CHECKING:
    from agent.cli import Surroundings
    from agent.readers.weights.origin import Origin

_Function = TypeVar("_Function", bound=Callable[..., object])

to = click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the model. Default: reader.checkpoint, else in models of node.data_folder: CXR-LLAVA-v2, or the "
    "name of a model of your own.",
)
model_option = click.option(
    "--model",
    "model_folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the model. Default: reader.checkpoint, else the demonstration model.",
)


def looked_at(command: _Function) -> _Function:
    """FOLDER or --model, for commands that look at one model; see `chosen`."""
    folder = click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
    return folder(model_option(command))


def chosen(surroundings: Surroundings, folder: Path | None, option: Path | None) -> Path:
    """The model to look at. Raises UsageError: it is named twice."""
    if folder is not None and option is not None:
        raise click.UsageError("name the model once: as FOLDER, or with --model")
    return folder or option or configured(surroundings)


def configured(surroundings: Surroundings) -> Path:
    """What the workers read with."""
    from agent.readers import demonstration_checkpoint

    return config_of(surroundings).reader.checkpoint or demonstration_checkpoint()


def of_the_published(surroundings: Surroundings) -> Path:
    """Where the published model goes if nobody says it."""
    from agent.readers.weights.naming import PUBLISHED

    return _default(surroundings, PUBLISHED)


def of_a_copy(surroundings: Surroundings, folder: Path) -> Path:
    """Where the model in `folder` goes if nobody says it. Raises CheckpointError, and UsageError: it has no name."""
    from agent.readers.weights.naming import folder_name

    name = folder_name(folder)
    if not name and config_of(surroundings).reader.checkpoint is None:
        raise click.UsageError(
            f"the model in {folder} is not the published one, and has no name of its own in wetread.json that a folder "
            f"can be called by: name its folder with --to"
        )
    return _default(surroundings, name)


def _default(surroundings: Surroundings, name: str) -> Path:
    config = config_of(surroundings)
    return config.reader.checkpoint or config.node.data_folder / "models" / name


def print_installed(where: Path, made: Origin, as_json: bool) -> None:
    """What is there now, and the lines for the configuration, which can be copied as they are."""
    from agent.readers.weights import prequantized

    folder = where.resolve()
    if as_json:
        files = {name: file.sha256 for name, file in sorted(made.files.items())}
        print_json({"folder": str(folder), "revision": made.revision, "files": files})
        return
    click.echo(f"The model is in {folder}: {counted(len(made.files), 'file')}, each read back and compared.")
    click.echo("Write into wetread.toml, below the [reader] that is there or with it, then restart wetread-work:\n")
    card = prequantized.read(folder)
    click.echo("[reader]")
    click.echo(f"checkpoint = {json.dumps(str(folder), ensure_ascii=False)}")  # TOML quotes a text as JSON does
    if card:
        click.echo(f'precision = "{card.precision}"')
