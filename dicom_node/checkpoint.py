"""Where the thread of an association waits while another one speaks on it: nobody takes an answer that is not theirs.

pynetdicom's thread of an association says that it has paused (`_is_paused`) a moment before it looks whether it has to,
and takes that back a moment after it has gone on. Whoever sends in between believes that it waits, and it takes the
answer off the queue: a match of a C-FIND is missing, or a status never comes. On a busy machine that moment is long.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from pynetdicom.association import Association

_PATIENCE: Final = 10.0  # seconds; then as pynetdicom does it alone
_LOOK: Final = 0.05  # seconds; an association may end meanwhile, which nobody tells


class Checkpoint:
    """In place of `Association._reactor_checkpoint`, a threading.Event of which these three are used.

    It is closed only once the association's thread is seen to wait at it.
    """

    def __init__(self, association: Association) -> None:
        self._association = association
        self._turn = threading.Condition()
        self._is_open = True
        self._waits = False

    def set(self) -> None:
        """Let the association's thread go on."""
        with self._turn:
            self._is_open = True
            self._turn.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        """What the association's thread does before it looks for messages."""
        with self._turn:
            self._waits = not self._is_open
            self._turn.notify_all()
            passed = self._turn.wait_for(lambda: self._is_open, timeout)
            self._waits = False
            return passed

    def clear(self) -> None:
        """What whoever sends does first: returns when the association's thread waits, or has ended."""
        with self._turn:
            self._is_open = False
            if threading.current_thread() is self._association:
                return
            until = time.monotonic() + _PATIENCE
            while not self._waits and self._association.is_alive() and time.monotonic() < until:
                self._turn.wait(_LOOK)
        if not self._association.is_alive():
            self._association._is_paused = True  # which it would be waited for, although nobody is left to say it


def install(association: Association) -> None:
    """Into an association that was asked for, before anything is sent on it."""
    association._reactor_checkpoint = Checkpoint(association)  # type: ignore[assignment]
