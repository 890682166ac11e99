"""`wetread rule`: which studies are read, by which reader, how soon and for whom; and what a rule would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent import edge
from agent.cli import EXIT_FAILED, Surroundings
from agent.commands.session import as_json, config_of, open_database, person, print_json, print_table
from dicom_node.counted import counted
from dicom_node.database import clock
from dicom_node.errors import ConfigurationError
from dicom_node.rules import book, forms
from dicom_node.rules.decision import RANKS, Standing
from dicom_node.rules.tables import Late

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from agent.trials import Trial
    from dicom_node.rules.decision import Decision
    from dicom_node.rules.forms import Rule

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_BEFORE = click.option("--before", metavar="NAME", default="", help="Stand before this rule. Default: at the end.")


@click.group()
def rule() -> None:
    """Rules for complete studies: the first one whose conditions all hold decides; without any, nothing changes.

    \b
    A condition is SUBJECT OPERATOR VALUE:
      SUBJECT   a DICOM keyword (StudyDescription), a tag ((0008,1030)), keywords with dots for sequences, or
                calling_ae, called_ae, age, images, time, weekday, modality, body_part, station, sop_class
      OPERATOR  = != ~ !~ < <= > >= in, not in, present, absent   (~: a regular expression matches somewhere)
      VALUE     the rest of the line; for `in` values and ranges with commas
    \b
      Modality = DX                        age >= 18Y
      StationName ~ ^ER                    time in 22:00..06:00
      calling_ae in ER_CR1,ER_CR2          weekday in Sat,Sun
    \b
    A tag that is absent answers no condition but `present` and `absent`: its rule does not match, which is remarked.
    Try before you add: wetread rule test FILE, and wetread rule test --since 24h --rules draft.toml
    """


def _choices(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that `add` and `edit` share."""
    options = (
        click.option("--when", multiple=True, metavar="CONDITION", help="Repeat it: all must hold. None: every study."),
        click.option("--exclude", metavar="REASON", help="Do not read these studies; the reason goes into the books."),
        click.option("--reader", help="Which reader reads them. Default: any."),
        click.option(
            "--priority",
            type=click.Choice(["", *RANKS]),
            help="Default: Requested Procedure Priority of the header, else routine.",
        ),
        click.option("--to", multiple=True, metavar="NAME[=MODE]", help="Repeat it: only these destinations get it."),
        click.option("--late", type=click.Choice(["", *Late]), help="Late images. Default: node.late_images."),
        click.option("--owner", help="Who answers for the rule."),
        click.option("--comment", help="Why it is there."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@rule.command()
@click.argument("name")
@_choices
@_BEFORE
@click.pass_obj
def add(surroundings: Surroundings, /, name: str, before: str, **fields: Any) -> None:
    """Add a rule at the end, or before another one.

    wetread rule add er-first --when 'calling_ae ~ ^ER_' --priority stat --owner 'Dr. Kim' --comment 'trauma room'
    """
    made = forms.make({"name": name, **_given(fields)})

    def change(tx: Session) -> str:
        _must_be_known(tx, made)
        book.add(tx, made, now=clock(tx), actor=person(), before=before)
        return f"{name} added; it decides about studies that are complete from now on"

    _change(surroundings, change)


@rule.command()
@click.argument("name")
@_choices
@click.pass_obj
def edit(surroundings: Surroundings, /, name: str, **fields: Any) -> None:
    """Change what is given and leave the rest; --when and --to replace all of theirs."""

    def change(tx: Session) -> str:
        _must_be_known(tx, book.edit(tx, name, now=clock(tx), actor=person(), **_given(fields)))
        return f"{name} changed, version {book.find(tx, name).version}"

    _change(surroundings, change)


@rule.command("list")
@as_json
@click.pass_obj
def list_rules(surroundings: Surroundings, as_json: bool) -> None:
    """All rules in the order in which they are asked."""
    with open_database(config_of(surroundings)) as database, database.read() as tx:
        rules = book.everyone(tx)
    if as_json:
        print_json([_as_plain(one) for one in rules])
        return
    rows = [(place, one.name, _state(one), *_in_words(one.rule), one.version) for place, one in enumerate(rules, 1)]
    header = ("#", "NAME", "STATE", "WHEN", "THEN", "OWNER", "VERSION")
    print_table(header, rows, empty="no rule: every study is read, and goes to every destination")


@rule.command()
@click.argument("name")
@as_json
@click.pass_obj
def show(surroundings: Surroundings, name: str, as_json: bool) -> None:
    """One rule, as TOML. Who changed it and when stands in the audit trail."""
    with open_database(config_of(surroundings)) as database, database.read() as tx:
        found = book.find(tx, name)
    if as_json:
        print_json(_as_plain(found))
    elif found.rule is None:
        raise ConfigurationError(f"rule {name} cannot be read: {found.trouble}")
    else:
        click.echo(f"# version {found.version}\n{forms.write([found.rule])}", nl=False)


@rule.command()
@click.argument("name")
@_BEFORE
@click.pass_obj
def move(surroundings: Surroundings, name: str, before: str) -> None:
    """Put a rule before another one, or at the end."""

    def change(tx: Session) -> str:
        book.move(tx, name, now=clock(tx), actor=person(), before=before)
        return f"{name} stands before {before}" if before else f"{name} is the last one"

    _change(surroundings, change)


@rule.command()
@click.argument("name")
@click.pass_obj
def disable(surroundings: Surroundings, name: str) -> None:
    """Ask a rule no more, and keep it."""
    _switch(surroundings, name, enabled=False)


@rule.command()
@click.argument("name")
@click.pass_obj
def enable(surroundings: Surroundings, name: str) -> None:
    """Ask a rule again."""
    _switch(surroundings, name, enabled=True)


@rule.command()
@click.argument("name")
@click.pass_obj
def remove(surroundings: Surroundings, name: str) -> None:
    """Remove a rule. What it said stays in the audit trail, and with the studies that it decided about."""

    def change(tx: Session) -> str:
        book.remove(tx, name, now=clock(tx), actor=person())
        return f"{name} removed"

    _change(surroundings, change)


@rule.command("export")
@as_json
@click.pass_obj
def export_rules(surroundings: Surroundings, as_json: bool) -> None:
    """Print all rules as a file for `rule apply` and `rule test --rules`."""
    with open_database(config_of(surroundings)) as database, database.read() as tx:
        plain = book.export(tx)
    if as_json:
        print_json(plain)
    else:
        click.echo(forms.write(forms.several(plain)), nl=False)


@rule.command("apply")
@click.argument("file", type=_FILE)
@click.option("--prune", is_flag=True, help="Remove rules that the file does not have.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.pass_obj
def apply_rules(surroundings: Surroundings, file: Path, prune: bool, dry_run: bool) -> None:
    """Make the rules those of a TOML or JSON file, in its order."""
    rules = forms.read(edge.text_of(file))
    plain = [one.filled() for one in rules]
    with open_database(config_of(surroundings)) as database, database.write() as tx:
        for one in rules:
            _must_be_known(tx, one)
        if dry_run:
            changes = book.plan(tx, plain, prune=prune)
        else:
            changes = book.apply(tx, plain, prune=prune, now=clock(tx), actor=person())
    for change in changes:
        click.echo(f"{change.what:8} {change.name}  {change.words}".rstrip())
    if not changes:
        click.echo("no change")


@rule.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--since", metavar="SPAN", help="Instead of files: the studies of the last 90m, 24h or 7d.")
@click.option("--rules", "draft", type=_FILE, help="Try the rules of this file instead of those in force.")
@click.option("--from", "calling", default="", metavar="AE", help="For files: the AE title that sends them.")
@click.option("--called", default="", metavar="AE", help="For files: the AE title of ours that it calls.")
@click.option("--at", "at", type=click.DateTime(["%Y-%m-%dT%H:%M"]), help="For files: when, in reports.time_zone.")
@as_json
@click.pass_obj
def test(
    surroundings: Surroundings,
    files: tuple[Path, ...],
    since: str | None,
    draft: Path | None,
    calling: str,
    called: str,
    at: datetime | None,
    as_json: bool,
) -> None:
    """What would the rules do? Nothing is stored or changed.

    For files (those of one study count as one) every condition is shown with its answer. With --since each study that
    came is shown with the rule that decided then and the one that would decide now. Exit code 1: a rule could not be
    asked of some study, because a tag was absent or no number.
    """
    from zoneinfo import ZoneInfo

    from agent import trials

    config = config_of(surroundings)
    if bool(files) == bool(since):
        raise click.UsageError("name files, or --since with a span of time")
    with open_database(config) as database:
        with database.read() as tx:
            now, rules = clock(tx), trials.drafted(draft) if draft else book.everyone(tx)
            for made in [one.rule for one in rules if one.rule] if draft else []:
                _must_be_known(tx, made)
        if since:
            found = list(trials.of_studies(config, database, rules, now - trials.span(since)))
        else:
            moment = at.replace(tzinfo=ZoneInfo(config.reports.time_zone)) if at else now
            found = trials.of_files(files, rules, calling=calling, called=called, at=moment, reports=config.reports)
    if as_json:
        print_json([_trial(one, explained=not since) for one in found])
    else:
        _print_trials(found, since=bool(since))
    if any(one.decision.remarks for one in found):
        raise SystemExit(EXIT_FAILED)


def _print_trials(found: Sequence[Trial], *, since: bool) -> None:
    header = [
        "STUDY" if since else "FILES",
        *(["THEN"] if since else []),
        "RULE",
        "OUTCOME",
        "PRIORITY",
        "READER",
        "TO",
    ]
    rows = [[one.subject, *([one.then or "none"] if since else []), *_outcome(one.decision)] for one in found]
    print_table(header, rows, empty="no study came in that time")
    if since and found:
        by_rule = Counter(one.decision.rule or "none" for one in found)
        changed = sum(one.then != one.decision.rule for one in found)
        click.echo(f"\n{counted(len(found), 'study')}; {changed} would be decided by another rule than then")
        print_table(("RULE", "STUDIES"), by_rule.most_common(), empty="")
        gone = sum(not one.readable for one in found)
        if gone:
            have = counted(gone, "study has no film left", "studies have no film left")
            click.echo(f"{have} (node.keep_days): tags of films count as absent there")
    for one in found if not since else ():
        _print_answers(one)
    for remark in dict.fromkeys(remark for one in found for remark in one.decision.remarks):
        click.echo(f"warning: {remark}", err=True)


def _print_answers(one: Trial) -> None:
    for asked in one.asked:
        click.echo(f"\n{asked.name}: {_told(asked.matched, ('matches', 'does not match', 'cannot be asked'))}")
        for text, holds, why in asked.answers:
            click.echo(f"  {_told(holds, ('yes', 'no', 'untold')):7} {text}{f'  ({why})' if why else ''}")


def _told(answer: bool | None, words: tuple[str, str, str]) -> str:
    return words[2] if answer is None else words[0] if answer else words[1]


def _outcome(decision: Decision) -> tuple[str, str, str, str, str]:
    ends = f"excluded: {decision.exclude}" if decision.exclude else "read"
    priority = "-" if decision.exclude else f"{decision.priority} ({decision.priority_from})"
    return decision.rule or "none", ends, priority, decision.reader or "any", ", ".join(decision.to) or "all"


def _trial(one: Trial, *, explained: bool) -> dict[str, object]:
    decision = one.decision
    found: dict[str, object] = {
        "subject": one.subject,
        "at": one.at,
        "rule": decision.rule,
        "then": one.then,
        "exclude": decision.exclude,
        "priority": decision.priority,
        "priority_from": decision.priority_from,
        "reader": decision.reader,
        "to": list(decision.to),
        "late": decision.late,
        "remarks": list(decision.remarks),
        "headers": one.readable,
    }
    if explained:
        found["rules"] = [
            {
                "name": asked.name,
                "matched": asked.matched,
                "conditions": [{"condition": text, "holds": holds, "why": why} for text, holds, why in asked.answers],
            }
            for asked in one.asked
        ]
    return found


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    """What was typed; an empty text takes a choice back."""
    return {name: value for name, value in fields.items() if value is not None and value != ()}


def _must_be_known(tx: Session, made: Rule) -> None:
    """Raises ConfigurationError where a rule names a reader or destinations that there are not."""
    from agent.readers import READERS

    unknown = book.unknown(tx, made, readers=frozenset(READERS))
    if unknown:
        raise ConfigurationError(f"rule {made.name!r}: {'; '.join(unknown)}")


def _switch(surroundings: Surroundings, name: str, *, enabled: bool) -> None:
    def change(tx: Session) -> str:
        book.edit(tx, name, now=clock(tx), actor=person(), enabled=enabled)
        return f"{name} is {'asked again' if enabled else 'not asked any more'}"

    _change(surroundings, change)


def _change(surroundings: Surroundings, change: Callable[[Session], str]) -> None:
    with open_database(config_of(surroundings)) as database, database.write() as tx:
        done = change(tx)
    click.echo(done)


def _state(one: Standing) -> str:
    if one.rule is None:
        return "cannot be read"
    return "asked" if one.rule.enabled else "disabled"


def _in_words(made: Rule | None) -> tuple[str, str, str]:
    if made is None:
        return "?", "?", "?"
    parts = [
        f"exclude: {made.exclude}" if made.exclude else "",
        made.priority,
        f"reader {made.reader}" if made.reader else "",
        f"to {', '.join(made.to)}" if made.to else "",
        f"late images: {made.late}" if made.late else "",
    ]
    return " and ".join(made.when) or "every study", "; ".join(filter(None, parts)) or "read", made.owner or "-"


def _as_plain(one: Standing) -> dict[str, object]:
    plain = one.rule.model_dump(mode="json") if one.rule else {"name": one.name, "trouble": one.trouble}
    return {**plain, "version": one.version}
