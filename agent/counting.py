"""Asking peers how many instances a study has: a thread of `dispatch`, which must not wait for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Final

import structlog

from agent import loop
from agent.desk import Desk
from agent.reconciling import searching
from dicom_node.aet import typed
from dicom_node.completeness import Open, conclude, number_of_instances, open_studies
from dicom_node.database import clock
from dicom_node.destinations import find
from dicom_node.errors import NotFound, SendFailure
from dicom_node.transports import Destination
from dicom_node.worklist import known

log = structlog.get_logger("dispatch")

_STEP_SECONDS: Final = 1.0
_STUDIES: Final = 200  # of one step
_AFTER_TROUBLE_SECONDS: Final = 60.0


def beside(desk: Desk, stop: threading.Event) -> AbstractContextManager[None]:
    """Ask in a thread of its own until `stop`."""
    return loop.beside("dispatch", Counter(desk).step, stop, thread="count", idle_seconds=_STEP_SECONDS)


class Counter:
    """Asks about each open study once it is quiet for a while, and again as often as that while has passed.

    A peer that cannot be asked is left alone for a minute; the study's quiet time goes on meanwhile.
    """

    def __init__(self, desk: Desk, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._config = desk.config
        self._database = desk.database
        self._monotonic = monotonic
        self._asked: dict[tuple[str, str], datetime] = {}  # peer and study: when it was asked
        self._resting: dict[str, float] = {}  # peers in trouble: until when

    def step(self) -> bool:
        """Ask what is due; never more to do at once."""
        node = self._config.node
        wait = timedelta(seconds=node.count_quiet_seconds)
        with self._database.read() as tx:
            now = clock(tx)
            studies = open_studies(tx, now, quiet=wait, limit=_STUDIES)
        open_now = {study.study_instance_uid for study in studies}
        self._asked = {key: at for key, at in self._asked.items() if key[1] in open_now}
        for peer in node.count_peers:
            due = [one for one in studies if now - self._asked.get((peer, one.study_instance_uid), now - wait) >= wait]
            if due and not self.rests(peer):
                self._ask(peer, due, now)
        return False

    def rests(self, peer: str) -> bool:
        """Was there trouble with it a moment ago?"""
        return self._monotonic() < self._resting.get(peer, 0)

    def _ask(self, peer: str, studies: Sequence[Open], now: datetime) -> None:
        try:
            with searching(self._config, self._find(peer)) as search:
                for study in studies:
                    self._asked[peer, study.study_instance_uid] = now
                    self._book(peer, study, number_of_instances(search, study.study_instance_uid))
        except (SendFailure, NotFound) as error:
            log.warning("not_counted", peer=peer, explanation=str(error))
            self._resting[peer] = self._monotonic() + _AFTER_TROUBLE_SECONDS

    def _book(self, peer: str, study: Open, number: int | None) -> None:
        if number is not None:
            known.named(self._database, peer, [study.study_instance_uid])
        with self._database.write() as tx:
            conclude(tx, study, peer, number, clock(tx))

    def _find(self, peer: str) -> Destination:
        with self._database.read() as tx:
            to = find(tx, peer)
        if to is None:
            raise NotFound(
                f"{peer!r} of node.count_peers is not registered: wetread ae add {typed(f'{peer}@HOST:PORT')}"
            )
        return to
