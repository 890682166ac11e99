"""A queue asked for a page at a time: first by the columns of its own table, then what of that page may go now.

So no plan of the database, however old the figures it is made from, compares a whole queue with another table:
PostgreSQL's figures are brought up to date a minute after a burst, and a burst is when queues are long.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import count
from typing import Final, TypeVar

_PAGES: Final = (64, 512, 4096)  # rows; the last size goes on: few of the first are held back, so one is enough

T = TypeVar("T")


def in_pages(ask: Callable[[int, int], Sequence[T]], allowed: Callable[[Sequence[T]], Collection[T]]) -> Iterator[T]:
    """Those of a queue that may go now, in its order, asked for as they are wanted.

    ask: gives so many of the queue behind the first so many. allowed: those of a page that may go.
    """
    passed = 0
    for number in count():
        size = _PAGES[min(number, len(_PAGES) - 1)]
        page = ask(size, passed)
        may_go = allowed(page) if page else ()
        yield from (one for one in page if one in may_go)
        if len(page) < size:
            return
        passed += size
