"""`wetread eval live`: what radiologists made of the drafts, the same sums as on the page of quality."""

from __future__ import annotations

import math
from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING

import click

from agent.commands.session import as_json, config_of, open_database, print_json, print_table
from dicom_node.database import clock

if TYPE_CHECKING:
    from agent.cli import Surroundings
    from reports.quality import Agreement, Case, Outcome, Share

_HEADER = (
    *("GROUP", "DRAFTS", "ACCEPTED", "MINOR", "MAJOR", "REJECTED", "SUCCESS", "95 %", "WORDS CHANGED"),
    *("FILM TO DRAFT S", "DRAFT TO DECISION S"),
)
_PARTS = MappingProxyType(
    {"week": "Week", "site": "Site", "device": "Device (station)", "reader": "Reader [digest]"}
)  # as quality.GROUPS has them
_FINDINGS = ("FINDING", "IN DRAFTS", "IN SIGNED", "ADDED", "TAKEN OUT", "AGREEMENT", "95 %", "KAPPA")


@click.command()
@click.option("--since", metavar="SPAN", default="90d", show_default=True, help="Of the last 90m, 24h or 7d.")
@as_json
@click.pass_obj
def live(surroundings: Surroundings, since: str, as_json: bool) -> None:
    """What radiologists made of the drafts: signed as they were, changed, rejected; by week, site, device and reader.

    Counted from their signatures and rejections, the same as on the page of quality: shares with 95 % intervals
    (Wilson), words changed, times from the film to the draft and to the decision, and for each finding whether draft
    and signed report agree, of all and of each week, site, device and reader. A site is the film's Institution Name.
    What has fewer than 30 drafts is marked "few". No text, no patient and no person is shown.

    \b
      wetread eval live --since 30d
      wetread eval live --since 365d --json
    """
    from agent.trials import span
    from reports import quality

    with open_database(config_of(surroundings)) as database, database.read() as tx:
        chosen = quality.cases(tx, clock(tx) - span(since))
    tables = _tables(chosen)
    findings = quality.agreement(chosen)
    parts = {name: dict(quality.agreements(chosen, quality.GROUPS[group])) for name, group in _PARTS.items()}
    if as_json:
        plain = {name: list(map(asdict, rows)) for name, rows in tables.items()}
        print_json(_plain({**plain, "findings": findings, "findings_by": parts}))
        return
    for name, rows in tables.items():
        print_table(_HEADER, [_row(one) for one in rows], empty="nobody has decided about a draft in that time")
        click.echo("")
        if name == "all" and rows[0].reasons:
            click.echo(f"rejected: {', '.join(f'{count} {reason}' for reason, count in rows[0].reasons)}\n")
    print_table(_FINDINGS, [_finding(one) for one in findings], empty="no signed report states a finding")
    for name, several in parts.items():
        if len(several) > 1:  # else it is the table above
            click.echo("")
            found = [(of, *_finding(one)) for of, agreements in several.items() for one in agreements]
            print_table((name.upper(), *_FINDINGS), found, empty="no signed report states a finding")
    click.echo(f"\n{quality.PAPER}")


def _tables(chosen: list[Case]) -> dict[str, list[Outcome]]:
    from reports import quality

    return {
        "all": [quality.outcome("all", chosen)],
        "weeks": quality.grouped(chosen, quality.week_of),
        "sites": quality.grouped(chosen, quality.site_of),
        "devices": quality.grouped(chosen, quality.device_of),
        "readers": quality.grouped(chosen, quality.reader_of),
    }


def _row(one: Outcome) -> tuple[object, ...]:
    return (
        f"{one.name}{' (few)' if one.few else ''}",
        one.drafts,
        *(share.count for share in one.verdicts.values()),
        _share(one.success),
        _interval(one.success),
        _figure(one.changed.median, 2),
        f"{_figure(one.drafting.median)} / {_figure(one.drafting.ninth)}",
        f"{_figure(one.deciding.median)} / {_figure(one.deciding.ninth)}",
    )


def _finding(one: Agreement) -> tuple[object, ...]:
    label = f"{one.label}{' (few)' if one.few else ''}"
    counts = (one.drafted, one.signed, one.added, one.dropped)
    return label, *counts, _share(one.same), _interval(one.same), _figure(one.kappa, 2)


def _share(share: Share) -> str:
    return _figure(100 * share.value, 1)


def _interval(share: Share) -> str:
    return "-" if math.isnan(share.low) else f"{100 * share.low:.0f}-{100 * share.high:.0f}"


def _figure(value: float, places: int = 0) -> str:
    return "-" if math.isnan(value) else f"{value:.{places}f}"


def _plain(value: object) -> object:
    """As JSON knows it: no NaN, and names as texts."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if hasattr(value, "__dataclass_fields__"):
        return _plain(asdict(value))  # type: ignore[call-overload]
    return value
