"""`wetread eval reader-study raters`: who grades, and the links that let them in."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.commands.session import as_json, print_json, print_table

if TYPE_CHECKING:
    from dicom_node.database import Database
    from reports.grading.package import Package

_STUDY = click.argument("study", type=click.Path(path_type=Path, file_okay=False))
ADDRESS = "http://127.0.0.1:8090"  # where nobody said another one
_ADDRESS = click.option("--address", help=f"How the links of raters begin. Default: as last time, or {ADDRESS}")


@click.group()
def raters() -> None:
    """Who grades. Names are shown to the rater alone and stand in the result: initials or a code will do."""


@raters.command()
@_STUDY
@click.argument("names", nargs=-1, required=True)
@_ADDRESS
@as_json
def add(study: Path, names: tuple[str, ...], address: str | None, as_json: bool) -> None:
    """Add raters, each with an own random order, and print a link that opens once for each.

    Exit codes: 0 added; 2 no name; 3 no such study; 4 there is one of that name.
    """
    tell(add_all(study, names, address), as_json=as_json)


@raters.command()
@_STUDY
@click.argument("name")
@_ADDRESS
@as_json
def link(study: Path, name: str, address: str | None, as_json: bool) -> None:
    """A new link for a rater; the browser of the old one is let in no more. The grades stay.

    Exit codes: 0 done; 3 no such study or rater.
    """
    from reports.grading.raters import place, renew

    token = secrets.token_urlsafe(32)
    with opened(study) as (_, database), database.write() as tx:
        rater = renew(tx, name, token)
        there = place(tx, address) or ADDRESS
    tell({rater.name: _address(there, token)}, as_json=as_json)


@raters.command()
@_STUDY
@click.argument("name")
def reopen(study: Path, name: str) -> None:
    """Let a rater who has finished change grades again; what was changed stays in the books, and the result says so.

    Exit codes: 0 done; 3 no such study or rater; 4 has not finished.
    """
    from dicom_node.database import clock
    from reports.grading.grading import reopen as reopened
    from reports.grading.raters import named

    with opened(study) as (_, database), database.write() as tx:
        reopened(tx, named(tx, name), clock(tx))
    click.echo(f"{name} can grade again")


@raters.command()
@_STUDY
@click.argument("name")
@click.option(
    "--with-grades",
    is_flag=True,
    help="Although the rater has given grades: they are gone for good, and the result says so.",
)
def remove(study: Path, name: str, with_grades: bool) -> None:
    """Take a rater out, as one added by mistake or who never came: the link and the browser are let in no more.

    Exit codes: 0 removed; 3 no such study or rater; 4 has given grades.
    """
    from dicom_node.database import clock
    from reports.grading.raters import remove as removed

    with opened(study) as (_, database), database.write() as tx:
        graded = removed(tx, name, clock(tx), with_grades=with_grades)
    click.echo(f"{name} is removed{f' with {graded} grades' if graded else ''}")


@raters.command(name="list")
@_STUDY
@as_json
def show(study: Path, as_json: bool) -> None:
    """Who grades, and how far each is. No grade is shown.

    Exit codes: 0 done; 3 no such study.
    """
    from reports.grading.grading import progress
    from reports.grading.raters import everybody

    with opened(study) as (_, database), database.read() as tx:
        rows = [(rater, progress(tx, rater)) for rater in everybody(tx)]
    if as_json:
        print_json(
            [
                {"rater": rater.name, "graded": found.graded, "of": found.of, "finished_at": found.finished_at}
                for rater, found in rows
            ]
        )
        return
    print_table(
        ("RATER", "GRADED", "OF", "LINK", "FINISHED"),
        [
            (rater.name, found.graded, found.of, "not used yet" if rater.link_digest else "used", found.finished_at)
            for rater, found in rows
        ],
        empty="no raters yet: wetread eval reader-study raters add STUDY NAME",
    )


def add_all(study: Path, names: Sequence[str], address: str | None) -> dict[str, str]:
    """All or none of them; gives the link of each."""
    from dicom_node.database import clock
    from reports.grading.raters import add as added
    from reports.grading.raters import place

    links: dict[str, str] = {}
    with opened(study) as (package, database), database.write() as tx:
        there = place(tx, address) or ADDRESS
        for name in names:
            token = secrets.token_urlsafe(32)
            rater = added(tx, package, name, token, clock(tx))
            links[rater.name] = _address(there, token)
    return links


@contextmanager
def opened(study: Path) -> Iterator[tuple[Package, Database]]:
    """The package and its grades. Raises NotFound, PackageError."""
    from reports.grading.package import read_package
    from reports.grading.raters import open_grades

    package = read_package(study)
    with open_grades(package) as database:
        yield package, database


def _address(beginning: str, token: str) -> str:
    return f"{beginning.rstrip('/')}/enter/{token}"


def tell(links: Mapping[str, str], *, as_json: bool) -> None:
    """A line for each rater; a link is shown this once."""
    if as_json:
        print_json(dict(links))
    else:
        print_table(("RATER", "LINK (OPENS ONCE)"), list(links.items()), empty="")
