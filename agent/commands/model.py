"""`wetread model`: getting the model, and proving that this installation is the published one."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli import EXIT_FAILED
from agent.commands import model_place
from agent.commands.model_place import print_installed
from agent.commands.session import as_json, config_of, print_json, print_table

if TYPE_CHECKING:
    from agent.cli import Surroundings
    from agent.config import ReaderConfig
    from agent.readers.weights.structure import Size

_PRECISIONS = click.Choice(["fp32", "bf16", "int8", "nf4"])
_accept = click.option(
    "--accept-licence", "accepted", is_flag=True, help="You have read the licences and accept them; for scripts."
)


@click.group()
def model() -> None:
    """The model that reads."""


@model.command()
@model_place.to
@click.option("--endpoint", help="The hub or a mirror of it. Default: reader.hub_endpoint.")
@_accept
@as_json
@click.pass_obj
def pull(surroundings: Surroundings, target: Path | None, endpoint: str | None, accepted: bool, as_json: bool) -> None:
    """Fetch the published model (14 GB) from the Hugging Face hub.

    Exactly one revision, and of that only numbers and words: no program and no pickle is ever fetched. Each file is
    proved by the digest that the hub states. Run it again after a failure: what has come is kept. A model that is
    there already is looked through, and only what is missing or changed is fetched; one of your own is never replaced.

    Proxies by HTTPS_PROXY and NO_PROXY, another certificate authority by SSL_CERT_FILE, a mirror's token by HF_TOKEN.
    """
    config = config_of(surroundings)
    from agent.readers.weights.install import check_kind

    where = target or model_place.of_the_published(surroundings)
    check_kind(where, ())
    _agree(accepted)
    address = endpoint or config.reader.hub_endpoint
    _keep_to_one_address(address)
    from agent.readers.checkpoint import NAME, REVISION
    from agent.readers.weights.hub import Hub
    from agent.readers.weights.install import Wanted, install
    from agent.readers.weights.licence import PUBLISHED

    hub = Hub(address, os.environ.get("HF_TOKEN"))
    offer = hub.offer(NAME, REVISION)
    if offer.licence not in {"", PUBLISHED}:
        _say(f"Look again: the hub names the licence {offer.licence}, this program was made when it was {PUBLISHED}.")
    _say(f"Not fetched, since no numbers or words: {', '.join(offer.left) or 'nothing'}")
    wanted = Wanted(NAME, REVISION, offer.files)
    made = install(where, hub, wanted, say=_say, published=_published(surroundings))
    print_installed(where, made, as_json)


@model.command("import")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@model_place.to
@_accept
@as_json
@click.pass_obj
def import_(surroundings: Surroundings, folder: Path, target: Path | None, accepted: bool, as_json: bool) -> None:
    """Take the model from FOLDER, such as a mounted USB disk: for machines without a network.

    FOLDER was made elsewhere by `wetread model pull`, or by the hub's own tools (`hf download`, its cache). Both note
    digests, and every copied file is read back from the disk and compared. Where no digests are noted, the layout alone
    is checked, and a warning says so. What can be known without reading all of it is looked at before it is copied.
    """
    from agent.readers.weights.install import Folder, contents, install, look_at
    from agent.readers.weights.origin import CARD

    wanted = contents(folder)
    look_at(folder, wanted, _published(surroundings))
    where = target or model_place.of_a_copy(surroundings, folder)
    if not any(file.name == CARD for file in wanted.files):  # somebody's own model has their own terms
        _agree(accepted)
    if not any(file.provable for file in wanted.files):
        _say("No digests came with the files: only that they fit together can be checked, not that they are unchanged.")
    made = install(where, Folder(folder), wanted, say=_say, published=_published(surroundings))
    print_installed(where, made, as_json)


@model.command()
@model_place.looked_at
@as_json
@click.pass_context
def verify(ctx: click.Context, folder: Path | None, model_folder: Path | None, as_json: bool) -> None:
    """Is the model whole and unchanged? Reads all of it: digests, configuration, tokenizer, every tensor's shape.

    Exit code 1 where something is wrong; warnings alone are 0. Needs no GPU and loads no model.
    """
    from agent.readers.weights.proof import examine

    rows = []
    for row in examine(model_place.chosen(ctx.obj, folder, model_folder), _published(ctx.obj)):
        rows.append(row)
        if not as_json:
            click.echo(f"{row.verdict:8} {row.subject:34} {row.words}")
    holds = all(row.verdict != "wrong" for row in rows)
    if as_json:
        said = [{"subject": row.subject, "verdict": row.verdict, "words": row.words} for row in rows]
        print_json({"holds": holds, "rows": said})
    if not holds:
        ctx.exit(EXIT_FAILED)


@model.command()
@model_place.looked_at
@click.option("--precision", type=_PRECISIONS, help="Default: reader.precision.")
@as_json
@click.pass_obj
def info(
    surroundings: Surroundings, folder: Path | None, model_folder: Path | None, precision: str | None, as_json: bool
) -> None:
    """Which model is it? Revision, digest as in every draft, memory, licence, place, and with what it was made.

    Memory is what to expect of the weights, and of each study that is read at the same time.
    """
    where = model_place.chosen(surroundings, folder, model_folder)
    document = describe(config_of(surroundings).reader, where, precision)
    if as_json:
        print_json(document)
    else:
        for name, words in rows_of(document):
            click.echo(f"{name:16} {words}")


def describe(settings: ReaderConfig, where: Path, precision: str | None) -> dict[str, object]:
    """What `info` prints, and the page of models shows. Raises ConfigurationError, UsageError."""
    from agent.readers.checkpoint import Checkpoint
    from agent.readers.weights import licence, making, memory, origin, prequantized, structure

    card = prequantized.read(where)
    chosen = precision or (card.precision if card else settings.precision)
    if chosen == "auto":
        raise click.UsageError("reader.precision is auto, which a worker decides by its memory: name a --precision")
    checkpoint = Checkpoint.open(where, chosen, settings.framing)
    with checkpoint.unchanged():
        found = structure.read(where, checkpoint.shards)
        known = origin.read(where)
    identity = checkpoint.identity()
    return {
        "name": identity.name,
        "version": identity.version,
        "manufacturer": identity.manufacturer,
        "notice": identity.notice,
        "revision": known.revision if known else "",
        "digest": identity.digest,
        "precision": chosen,
        "framing": settings.framing,
        "quantized": f"{card.library} on {card.place}" if card else "",
        "tensors": len(found.tensors),
        "parameters": structure.parameters(checkpoint.config) if card else found.parameters,
        "memory_weights_bytes": found.bytes if card else memory.weights(found, chosen),
        "memory_study_bytes": memory.cache(checkpoint.config, chosen, checkpoint.positions),
        "licence": list(licence.NAMES) if not (where / origin.CARD).exists() else [],
        "folder": str(where.resolve()),
        **making.read(where),
    }


def rows_of(document: Mapping[str, object]) -> list[tuple[str, str]]:
    """What `describe` found, a row for each fact; with what it was made in a row for each part."""
    from agent.readers.weights import making
    from agent.readers.weights.install import in_units

    rows = []
    for key, value in document.items():
        if key not in {making.MADE_WITH, making.ADAPTED_FROM}:
            shown = in_units(value) if isinstance(value, int) and key.endswith("_bytes") else value
            words = ", ".join(shown) if isinstance(shown, list) else str(shown)
            rows.append((key.removesuffix("_bytes").replace("_", " "), words or "-"))
    return [*rows, *(("made with", line) for line in making.lines(document))]


@model.command()
@click.argument("folder", metavar="MODEL", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--precision", type=click.Choice(["nf4", "int8"]), required=True, help="Of the language model's layers.")
@click.option(
    "--output",
    "target",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the quantized model. Default: beside MODEL, with the precision in its name.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to compute; best on the kind of device that will read.",
)
@as_json
def quantize(folder: Path, precision: str, target: Path | None, device: str, as_json: bool) -> None:
    """Quantize MODEL once and save it, so that a worker that reads with it starts in seconds.

    The folder has the published layout, but for the layers of the language model. It reads as MODEL does at the same
    precision, and has the same digest. MODEL stays as it is, and is needed no more. Needs no GPU.
    """
    from agent.readers import hush

    hush()
    from agent.readers.cxr_llava import place
    from agent.readers.weights.install import free_bytes
    from agent.readers.weights.quantize import save

    where = target or folder.resolve().with_name(f"{folder.resolve().name}-{precision}")
    made = save(folder, where, precision, place(device), say=_say, free=free_bytes)
    print_installed(where, made, as_json)


@model.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    callback=lambda _context, _option, values: _precisions_in(values),
    help="Of the language model's layers: fp32, bf16, int8 or nf4. Default: bf16. With --images several, separated by "
    "commas; the first is what the others are compared with. Default: bf16,int8,nf4.",
)
@click.option(
    "--images",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="Compare precisions on these films instead: a folder, or DICOM and 8-bit PNG files; may be repeated.",
)
@model_place.model_option
@click.option(
    "--tokens", type=click.IntRange(1, 512), default=512, show_default=True, help="Of a report, with --images."
)
@click.option(
    "--markdown", type=click.Path(path_type=Path, dir_okay=False), help="Write the table there too, with --images."
)
@as_json
@click.pass_context
def parity(
    ctx: click.Context,
    folder: Path | None,
    precisions: tuple[str, ...],
    images: tuple[Path, ...],
    model_folder: Path | None,
    tokens: int,
    markdown: Path | None,
    as_json: bool,
) -> None:
    """Does this installation read as the authors' own code does? Or: what does a precision change?

    \b
      wetread model parity FOLDER
      wetread model parity --images FILMS --precision bf16,int8,nf4 --markdown precisions.md

    FOLDER holds a checkpoint `ckpt`, pictures `images` and the values `reference.npz`, as tests/reference/cxr_llava.
    Pixels within 1e-5, equal prompt ids, features and logits with cosine above 0.9995, equal greedy tokens.
    Exit code 1 where that does not hold.

    With --images the configured model (or --model) reads each film in each precision, one model in memory at a time.
    The table has, beside the first precision: how many tokens of its report the others would choose as well, how many
    from the start are the same, the cosine of the logits, and whether both reports state the same findings. What is
    much or little is yours to judge: the exit code is 0. No text of a report is shown.
    """
    if images:
        _compare_precisions(ctx.obj, images, precisions, model_folder, tokens, markdown, as_json)
        return
    if folder is None or len(precisions) > 1 or model_folder or markdown:
        raise click.UsageError("name a folder with reference values and one precision, or films with --images")
    from agent.readers.parity import compare

    report = compare(folder, *precisions)
    rows = [{"what": row.what, "limit": row.limit, "measured": row.measured, "holds": row.holds} for row in report.rows]
    if as_json:
        print_json({"holds": report.holds, "rows": rows})
    else:
        print_table(("WHAT", "LIMIT", "MEASURED", "HOLDS"), [list(row.values()) for row in rows], empty="nothing")
    if not report.holds:
        ctx.exit(EXIT_FAILED)


def _precisions_in(values: tuple[str, ...]) -> tuple[str, ...]:
    """ "bf16,nf4" or the option twice. Raises BadParameter."""
    return tuple(_PRECISIONS.convert(one.strip(), None, None) for value in values for one in value.split(","))


def _compare_precisions(
    surroundings: Surroundings,
    images: tuple[Path, ...],
    precisions: tuple[str, ...],
    folder: Path | None,
    tokens: int,
    markdown: Path | None,
    as_json: bool,
) -> None:
    from agent.imaging.decoder import DecoderProcess
    from agent.readers import hush
    from agent.readers import precisions as agreement

    hush()
    reader = config_of(surroundings).reader
    chosen = precisions or ("bf16", "int8", "nf4")
    with DecoderProcess(reader.decode_seconds, reader.decode_mebibytes) as decoder:
        films = {name: agreement.film_of(path, decoder) for name, path in agreement.pictures(images).items()}
    where = folder or model_place.configured(surroundings)
    rows = agreement.compare(
        where, films, chosen, device=reader.device, framing=reader.framing, tokens=tokens, say=_say
    )
    if markdown is not None:
        markdown.write_text("\n".join(agreement.markdown(rows, chosen[0], where.name)) + "\n", encoding="utf-8")
    if as_json:
        print_json({"first": chosen[0], "rows": [asdict(row) for row in rows]})
    else:
        print_table(agreement.HEADINGS, agreement.table(rows), empty="nothing")


def _agree(accepted: bool) -> None:
    """Show the licences; go on only with a yes. Without a terminal only --accept-licence is one."""
    from agent.readers.weights.licence import TEXT

    _say(TEXT)
    if accepted:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("the licences are not accepted: nobody is here to ask. Read them, then --accept-licence")
    click.confirm("Do you accept both licences?", abort=True, err=True)


def _keep_to_one_address(endpoint: str) -> None:
    """Before huggingface_hub is imported: it would ask the public hub for other things, and other hosts for chunks."""
    os.environ.update(
        HF_ENDPOINT=endpoint,
        HF_HUB_DISABLE_TELEMETRY="1",
        HF_HUB_DISABLE_XET="1",
        HF_HUB_DISABLE_IMPLICIT_TOKEN="1",  # noqa: S106  no secret: a switch
        HF_HUB_DISABLE_UPDATE_CHECK="1",
    )


def _published(surroundings: Surroundings) -> Size:
    """The size of the published model, without which nothing is taken for it."""
    from agent.readers.weights.structure import PUBLISHED, Size

    return Size(*surroundings.published) if surroundings.published else PUBLISHED


def _say(words: str) -> None:
    """To standard error, so that --json stays alone on standard output."""
    click.echo(words, err=True)
