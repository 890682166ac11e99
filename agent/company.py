"""Who reads beside whom in one worker: several at once, but alone whoever has failed before.

What ends the process ends every reading in it, and each has used an attempt. Were they then read together again, one
deadly film would use up the attempts of its neighbors. Read alone, it can only use up its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from dicom_node.errors import WetreadError

_PATIENCE_SECONDS: Final = 1.0


class Occupied(WetreadError):
    """One reads alone just now; come again later."""


class Company:
    """The readings of one worker, each in a thread of its own."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._beside = 0
        self._alone = False

    @property
    def is_open(self) -> bool:
        """Whether a new reading could begin now: false while one reads alone, or waits to."""
        return not self._alone

    @property
    def is_empty(self) -> bool:
        """Does nobody read, or wait to?"""
        return not self._alone and self._beside == 0

    @contextmanager
    def reading(self, waiting: Callable[[], None], *, alone: bool) -> Iterator[None]:
        """Read; alone once the others are done, for which `waiting` is called each second. What it raises ends it.

        Raises Occupied at once while another reads alone or waits to: whoever waited here could die with it.
        """
        if not self._held(self._take_over if alone else self._sit_down, 0):
            raise Occupied("another study is read alone")
        try:
            while alone and not self._held(lambda: self._beside == 0, _PATIENCE_SECONDS):
                waiting()
            yield
        finally:
            self._leave(alone=alone)

    def _held(self, condition: Callable[[], bool], seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, seconds)

    def _sit_down(self) -> bool:
        if not self._alone:
            self._beside += 1
            return True
        return False

    def _take_over(self) -> bool:
        if not self._alone:
            self._alone = True
            return True
        return False

    def _leave(self, *, alone: bool) -> None:
        with self._changed:
            if alone:
                self._alone = False
            else:
                self._beside -= 1
            self._changed.notify_all()
