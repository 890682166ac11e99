"""What `wetread eval reader-study make` tells of the texts of a study, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from agent.commands.raters import tell
from dicom_node.counted import counted

if TYPE_CHECKING:
    from agent.evaluation.packing import Choice

_SHOWN: Final = 20  # lines of a manifest in one warning


def stock_of(choice: Choice) -> list[dict[str, Any]]:
    """Sentences that tell the sources apart, with the share of each."""
    return [
        {"sentence": one.sentence, **{f"share_{source}": share for source, share in one.shares.items()}}
        for one in choice.stock
    ]


def tells_of(choice: Choice) -> dict[str, Any]:
    """Of each source: median words, and the lines of the manifest whose texts may give it away or have lost words."""
    from statistics import median

    from agent.evaluation.packing import SOURCES

    found: dict[str, Any] = {}
    for source in SOURCES:
        texts = [(pair.case.line, getattr(pair, source)) for pair in choice.pairs]
        lines: dict[str, list[int]] = {}
        for line, text in texts:
            for what in text.tells:
                lines.setdefault(what, []).append(line)
        lost = [{"line": line, "words": text.lost} for line, text in texts if text.lost]
        median_words = median(text.words for _, text in texts)
        found[source] = {"median_words": median_words, "may_tell": lines, "lost": lost}
    return found


def show_made(told: Mapping[str, Any]) -> None:
    """In words, warnings as such."""
    fewer = f" (a sample of {told['sample']} was asked for)" if (told["sample"] or 0) > told["films"] else ""
    click.echo(f"{counted(told['films'], 'film')}{fewer}, {2 * told['films']} reports to grade, in {told['study']}")
    click.echo(f"the key is {told['key']}: keep it, and the seed in it, from the raters")
    for reason, number in told["left_out"].items():
        click.echo(f"left out: {counted(number, 'film')} {reason}", err=True)
    if told["burned_in"]:
        lines = _some(told["burned_in"])
        click.echo(f"warning: words are burnt into the picture, as its header says: lines {lines}", err=True)
    if told["burned_in_unknown"]:
        say = counted(told["burned_in_unknown"], "film does not say", "films do not say")
        click.echo(f"warning: {say} whether words are burnt in: look at each", err=True)
    for one in told["stock"]:
        shares = (
            f"{100 * one['share_ai']:.0f} % of the ai texts and {100 * one['share_original']:.0f} % of the originals"
        )
        words = f"{one['sentence']!r} stands in {shares}, and so tells whose they are"
        mend = "if it says nothing about the film, make the study again with --drop-sentence for it"
        click.echo(f"warning: {words}; {mend}", err=True)
    for source, texts in told["texts"].items():
        click.echo(f"{source} texts: median {texts['median_words']:g} words", err=True)
        for what, lines in texts["may_tell"].items():
            click.echo(f"  warning: {len(lines)} with {what}: lines {_some(lines)}", err=True)
        if texts["lost"]:
            worst = sorted(texts["lost"], key=lambda one: -one["words"])
            lines = _some([f"{one['line']} ({one['words']})" for one in worst])
            words = "lost words with signatures or banners, look whether findings are among them: lines (words)"
            click.echo(f"  warning: {len(worst)} {words} {lines}", err=True)
    if told["raters"]:
        tell(told["raters"], as_json=False)


def _some(lines: Sequence[object]) -> str:
    return ", ".join(map(str, lines[:_SHOWN])) + (", ..." if len(lines) > _SHOWN else "")
