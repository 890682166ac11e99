"""How much the engine may use, and how many slots it has at present."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import structlog

_PATIENCE_SECONDS: Final = 60.0  # after a first lack of memory; twice as long after each further one
_LONGEST_SECONDS: Final = 3600.0

log = structlog.get_logger("engine")


@dataclass(frozen=True, slots=True)
class Limits:
    """What the engine may use.

    slots: studies at once. positions: of one study, film, prompt and answer together; a slot of the published model
    takes 0.5 MiB for each. chunk: positions of a prompt that are put in between two steps of the others; None for 512
    on a processor and whole prompts of 2,048 on a GPU, where nf4 and int8 unpack every matrix for each chunk.
    seconds: of one reading, from its first step on, where its request names none; None for no limit.

    Raises ValueError: a number below 1, with which no reading would ever end.
    """

    slots: int = 8
    positions: int = 2048
    chunk: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse what would let readings wait for ever."""
        for name, value in (("slots", self.slots), ("positions", self.positions), ("chunk", self.chunk)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}: an engine has 1 or more")


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the engine is: studies in slots, studies that wait, and how many slots there are."""

    running: int
    waiting: int
    slots: int

    @property
    def free(self) -> int:
        """How many more would be begun at once."""
        return max(0, self.slots - self.running - self.waiting)


class Slots:
    """How many studies may be read at once now: fewer for a while after the device lacked memory.

    What took the memory may be another program's, and gone in a moment. So they grow again, twice as many at a time,
    after a minute; after each further lack within an hour the wait is twice as long, an hour at most.
    """

    def __init__(self, most: int) -> None:
        self.count = most
        self._most = most
        self._patience = _PATIENCE_SECONDS
        self._lacked_at: float | None = None
        self._grows_at = 0.0

    def halve(self, present: int, now: float) -> None:
        """Let half of those go on who were present when memory lacked. now: in the engine's clock."""
        if self._lacked_at is not None:
            recent = now - self._lacked_at < _LONGEST_SECONDS
            self._patience = min(2 * self._patience, _LONGEST_SECONDS) if recent else _PATIENCE_SECONDS
        self._lacked_at = now
        self._set(max(1, (present + 1) // 2), now)

    @property
    def fewer(self) -> bool:
        """Whether they are to grow again."""
        return self.count < self._most

    def grow(self, now: float) -> None:
        """Have twice as many, where the time has come."""
        if self.fewer and now >= self._grows_at:
            self._set(min(2 * self.count, self._most), now)

    def _set(self, count: int, now: float) -> None:
        self.count = count
        self._grows_at = now + self._patience
        log.warning("slots_changed", slots=count, of=self._most, reason="memory lacked" if self.fewer else "all again")
