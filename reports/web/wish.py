"""What a person wants to see on the worklist: read from a page's address, and written into one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar
from urllib.parse import urlencode

from reports.findings import CHEXPERT

_LONGEST_SEARCH = 64  # characters; longer than any UID, accession number or usual Patient ID
_LONGEST_READER = 128
_MOST_DIGITS = 9
_MOST_MINUTES = 60 * 24 * 366
NOT_SHOWN: Final = frozenset({"before"})  # no part of a saved view

Choice = TypeVar("Choice", bound=StrEnum)


class Show(StrEnum):
    """Which studies."""

    ALL = "all"
    DRAFTS = "drafts"
    MINE = "mine"
    COMING = "coming"
    HELD = "held"
    DEAD_LETTERS = "dead-letters"
    EXCLUDED = "excluded"
    SIGNED = "signed"
    ENDED = "ended"


class Sort(StrEnum):
    """In which order."""

    NEWEST = "newest"
    OLDEST = "oldest"
    URGENT = "urgent"  # critical findings, stat orders, the others; the oldest first


class Priority(StrEnum):
    """Of the reading, as rules decide it."""

    ANY = ""
    STAT = "stat"
    ROUTINE = "routine"
    BACKLOG = "backlog"


TABS: Final = MappingProxyType(
    {
        Show.DRAFTS: "To read",
        Show.MINE: "Mine",
        Show.COMING: "Coming",
        Show.HELD: "Held",
        Show.DEAD_LETTERS: "Failed",
        Show.EXCLUDED: "Excluded",
        Show.SIGNED: "Signed",
        Show.ENDED: "Ended",
        Show.ALL: "All",
    }
)
_URGENT_FIRST: Final = frozenset({Show.DRAFTS, Show.MINE})


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for.

    finding: a label of CheXpert that the AI's text has as present or uncertain; `any` for whatever is critical.
    reader: name of a reader as reports have it. older: minutes since the draft was written, or else since the study
    was opened. since, until: days (UTC) on which the revision was opened. before: where the page before this one
    ended; how pages are turned.
    """

    search: str = ""
    show: Show = Show.ALL
    sort: Sort = Sort.NEWEST
    priority: Priority = Priority.ANY
    finding: str = ""
    reader: str = ""
    older: int = 0
    since: str = ""
    until: str = ""
    before: tuple[int, ...] = ()

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Wish:
        """Read it from a page's address; what makes no sense is left out."""
        show = _one_of(Show, asked.get("show", ""), Show.ALL)
        usual = Sort.URGENT if show in _URGENT_FIRST else Sort.NEWEST
        sort = _one_of(Sort, asked.get("sort", ""), usual)
        finding = asked.get("finding", "")
        older = asked.get("older", "")
        return cls(
            search=_printable(asked.get("q", ""))[:_LONGEST_SEARCH],
            show=show,
            sort=sort,
            priority=_one_of(Priority, asked.get("priority", ""), Priority.ANY),
            finding=finding if finding in CHEXPERT or finding == "any" else "",
            reader=_printable(asked.get("reader", ""))[:_LONGEST_READER],
            older=min(_number(older) or 0, _MOST_MINUTES),
            since=_day(asked.get("since", "")),
            until=_day(asked.get("until", "")),
            before=_place(asked.get("before", ""), sort),
        )

    @property
    def is_plain(self) -> bool:
        """Is it the first page of everything?"""
        return self == Wish()

    @property
    def is_narrow(self) -> bool:
        """Does it leave studies out?"""
        return replace(self, sort=Sort.NEWEST, before=()) != Wish()

    @property
    def is_filtered(self) -> bool:
        """Is more chosen than what the tabs choose?"""
        return replace(self, show=Show.ALL, search="", sort=Sort.NEWEST, before=()) != Wish()

    def address(self, **changes: object) -> str:
        """The query of a page's address that says this, with changes; starts anew on the first page."""
        changed = replace(self, **{"before": (), **changes})  # type: ignore[arg-type]
        usual = Sort.URGENT if changed.show in _URGENT_FIRST else Sort.NEWEST
        said = {
            "q" if field.name == "search" else field.name: getattr(changed, field.name)
            for field in fields(Wish)
            if field.name not in {"show", "sort", "before"}
        }
        named = {"show": changed.show, **said, "sort": "" if changed.sort is usual else changed.sort}
        named["before"] = ".".join(str(number) for number in changed.before)
        return urlencode({name: value for name, value in named.items() if value})

    def moments(self, now: datetime) -> tuple[datetime | None, datetime | None, datetime | None]:
        """Opened at or after, opened before, drafted (or opened) at or before."""
        since = datetime.fromisoformat(self.since).replace(tzinfo=UTC) if self.since else None
        until = datetime.fromisoformat(self.until).replace(tzinfo=UTC) + timedelta(days=1) if self.until else None
        return since, until, now - timedelta(minutes=self.older) if self.older else None


def _one_of(kind: type[Choice], said: str, usual: Choice) -> Choice:
    return kind(said) if said and said in set(kind) else usual


def _printable(said: str) -> str:
    return "".join(character for character in said if character.isprintable()).strip()


def _number(said: str) -> int | None:
    return int(said) if said.isdecimal() and said.isascii() and len(said) <= _MOST_DIGITS else None


def _day(said: str) -> str:
    """An ISO date with a day before and after it."""
    try:
        day = datetime.strptime(said, "%Y-%m-%d")  # noqa: DTZ007  a day, no moment
    except ValueError:
        return ""
    return said if 1900 < day.year < 9999 else ""


def _place(said: str, sort: Sort) -> tuple[int, ...]:
    """What a page is to begin after: the study's number; where the urgent ones come first, three numbers."""
    numbers = tuple(_number(part) for part in said.split("."))
    wanted = 3 if sort is Sort.URGENT else 1
    if len(numbers) != wanted or any(number is None for number in numbers):
        return ()
    return tuple(number for number in numbers if number is not None)
