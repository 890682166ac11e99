"""`wetread train`: adapt the model to films of one's own, or make a small one from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.commands.session import as_json, print_json

if TYPE_CHECKING:
    from agent.training.choosing import Name

_MISSING = "packages for training are not installed: .venv/bin/pip install -e '.[train]' in the folder of wetread"
_settings = click.argument("settings", type=click.Path(path_type=Path, exists=True, dir_okay=False))
_output = click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the run."
)
_start = click.option(
    "--start", type=click.Path(path_type=Path, file_okay=False), help="Checkpoint to begin with, in place of `start`."
)


@click.group()
def train() -> None:
    """Train, in the three stages of the paper (Lee et al. 2025).

    SETTINGS is a TOML file, the same for all stages; deploy/training.toml is one with comments. The run's folder gets
    `model/`, a checkpoint that the reader loads as it stands, a picture of the losses, and what it was made from. Run
    the same command again after it was broken off: it goes on from its last saved step.

    \b
    Exit codes: 0 done; 2 wrong settings, manifest or films; 3 no such file.
    """


@train.command()
@_settings
@_output
@_start
@as_json
def encoder(**options: Any) -> None:
    """Stage 1: let the vision tower learn labels. Unknown and uncertain ones teach nothing."""
    _train("encoder", **options)


@train.command()
@_settings
@_output
@_start
@as_json
def align(**options: Any) -> None:
    """Stage 2: let the projection learn from reports; vision tower and language model stay as they are."""
    _train("align", **options)


@train.command()
@_settings
@_output
@_start
@as_json
def finetune(**options: Any) -> None:
    """Stage 3: let the language model learn to report, whole or through low-rank adapters (LoRA, QLoRA)."""
    _train("finetune", **options)


def _train(stage: Name, *, settings: Path, output: Path, start: Path | None, as_json: bool) -> None:
    from importlib.util import find_spec

    from dicom_node.errors import ConfigurationError, NotFound

    if any(find_spec(name) is None for name in ("peft", "matplotlib")):
        raise ConfigurationError(_MISSING)
    import agent.readers  # noqa: F401  before anything imports bitsandbytes, which names packages that nobody needs
    from agent.training import stages
    from agent.training.settings import read_settings

    chosen = read_settings(settings)
    if not chosen.data.manifest.is_file():
        words = "`manifest` in its section [data] names it, relative to the folder of that file"
        raise NotFound(f"{settings}: there is no manifest {chosen.data.manifest}: {words}")
    if start is not None:
        chosen = chosen.model_copy(update={"start": start})
    try:
        metrics = stages.run(stage, chosen, output, lambda line: click.echo(line, err=as_json))
    except KeyboardInterrupt:
        click.echo(f"broken off; the same command goes on from the last step that was saved in {output}", err=True)
        raise
    if as_json:
        print_json({name: value for name, value in metrics.items() if name != "history"})
