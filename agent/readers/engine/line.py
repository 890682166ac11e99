"""Who waits for a slot: urgent first, then in the order of coming."""

from __future__ import annotations

from bisect import insort
from collections import deque
from concurrent.futures import Future

from agent.readers.engine.answer import Answer


class Line:
    """Readings without a slot. `come` from any thread, the rest in the engine's."""

    def __init__(self) -> None:
        self._arrived: deque[Answer] = deque()
        self._waiting: list[Answer] = []

    def __len__(self) -> int:
        return len(self._waiting) + len(self._arrived)

    def come(self, answer: Answer) -> None:
        """A new one."""
        self._arrived.append(answer)

    def put_back(self, answer: Answer) -> None:
        """One that had a slot: it stands where it stood."""
        insort(self._waiting, answer, key=_order)

    def sorted(self) -> list[Answer]:
        """Everybody who waits, the first to enter first."""
        while self._arrived:
            self.put_back(self._arrived.popleft())
        return list(self._waiting)

    def leave(self, answer: Answer) -> None:
        """It enters, or wants no more."""
        self._waiting.remove(answer)

    def dissolve(self) -> list[Answer]:
        """Send everybody away; returns who was here."""
        everybody, self._waiting = self.sorted(), []
        return everybody

    def first(self) -> Answer | None:
        """The first whose film is ready: who is still being prepared holds nobody up."""
        return next((answer for answer in self._waiting if _is_ready(answer)), None)


def _is_ready(answer: Answer) -> bool:
    return not isinstance(answer.request.pixels, Future) or answer.request.pixels.done()


def _order(answer: Answer) -> tuple[bool, int]:
    return not answer.request.urgent, answer.number
