"""The dispatcher: closes quiet studies, takes back lost claims and ended reports, rings bells, seals the audit trail.

It also looks at what came that is no image, and deletes old pixels.
"""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

import structlog
from celery import Celery

from agent import loop, tasks
from agent.bereaving import Bereaver
from agent.config import Config
from agent.desk import Desk
from agent.examining import Examiner, forget_early
from agent.recalling import Recaller
from agent.routing import Router
from dicom_node import audit, files, mark, retention, worklist
from dicom_node.database import Database, clock
from dicom_node.owner import is_dead
from dicom_node.rules.tables import Trigger
from reports.signoff.tables import SignedDocument
from reports.tables import Report

log = structlog.get_logger("dispatch")

_STEP_SECONDS = 0.5
_RING_AGAIN = timedelta(seconds=30)
_BELLS = 8  # at once: as many workers as a site may have
_HOUSEKEEPING_SECONDS = 600.0
_ORPHAN_AGE = timedelta(days=1)


class Dispatcher:
    """One step every half second. Several dispatchers do no harm: each change is a compare-and-swap."""

    def __init__(self, config: Config, database: Database, app: Celery) -> None:
        self._config = config
        self._database = database
        self._app = app
        self._kept_house = 0.0
        self._broker_away = False
        self._after = 0  # number of the last study that was looked at, where a sweep is not over
        self._failed: frozenset[worklist.Stumble] = frozenset()  # of the sweep before this one
        self._failing: frozenset[worklist.Stumble] = frozenset()  # of this one, until now
        self._desk = desk = Desk(config, database)
        self._examiner = Examiner(desk)
        self._recaller = Recaller(desk)
        self._bereaver = Bereaver(desk)
        self._router = Router(desk)

    def run(self, stop: threading.Event, pulse: loop.Pulse) -> None:
        """Work until told to stop."""
        with self._watching(stop), self._counting(stop):
            loop.run("dispatch", self.step, stop, idle_seconds=_STEP_SECONDS, pulse=pulse)

    def _watching(self, stop: threading.Event) -> AbstractContextManager[None]:
        if not self._config.fhir.watch:
            return nullcontext()
        from agent.watching import beside  # noqa: PLC0415  an HTTP client that few sites need here

        return beside(self._desk, stop)

    def _counting(self, stop: threading.Event) -> AbstractContextManager[None]:
        if not self._config.node.count_peers:
            return nullcontext()
        from agent.counting import beside  # noqa: PLC0415  a thread that few sites need

        return beside(self._desk, stop)

    def step(self) -> bool:
        """Everything that is due now. Raises StoreAway: without its films a study would be judged by nothing."""
        more = self._complete_and_release()
        with self._database.read() as tx:
            files.require(self._config.node.store_folder, mark.named(tx))
        more = self._router.step() or more
        self._ring()
        self._examiner.step()
        self._recaller.step()
        self._bereaver.step()
        self._seal()
        if time.monotonic() - self._kept_house > _HOUSEKEEPING_SECONDS or not self._kept_house:
            self._keep_house()
            self._kept_house = time.monotonic()
        return more

    def _complete_and_release(self) -> bool:
        """A part of what is due; true where there may be more."""
        node = self._config.node
        with self._database.write() as tx:
            now = clock(tx)
            completed = worklist.complete_studies(
                tx,
                now,
                quiet=timedelta(seconds=node.quiet_seconds),
                deadline=timedelta(seconds=node.deadline_seconds),
                triggers=[Trigger(word) for word in (*node.complete_by, *(["count"] if node.count_peers else []))],
                settle=timedelta(seconds=node.count_quiet_seconds),
                ask=True,
                after=self._after,
            )
            wait = timedelta(seconds=node.retry_seconds[0])
            released = worklist.release_lost(tx, now, is_dead=is_dead, attempts=node.maximum_attempts, wait=wait)
        if completed.done or released.done:
            log.info("studies", completed=completed.done, claims_taken_back=released.done)
        failed = frozenset(completed.failed + released.failed)
        for stumble in failed - self._failed - self._failing:  # told once, tried at every sweep
            log.error("study_skipped", study=stumble.study_id, error=stumble.error)
        self._after, self._failing = completed.last, self._failing | failed
        if not completed.last:
            self._failed, self._failing = self._failing, frozenset()
        return completed.last > 0

    def _ring(self) -> None:
        """Publish first, mark second: a crash between the two rings twice, which is harmless.

        A bell wakes a worker, and that works off all that is due: a few are enough, however long the worklist is, and
        the queue in Redis does not grow while no worker runs.
        """
        with self._database.read() as tx:
            due = worklist.due_workitems(tx, clock(tx), ring_again=_RING_AGAIN)
        if not due:
            return
        away = not all(tasks.publish(self._app, workitem.uid) for workitem in due[:_BELLS])
        if not away:
            with self._database.write() as tx:
                worklist.mark_rung(tx, [workitem.id for workitem in due], clock(tx))
        if away != self._broker_away:
            self._broker_away = away
            log.warning("broker_away" if away else "broker_back")

    def _seal(self) -> None:
        with self._database.write() as tx:
            audit.seal(tx)

    def _keep_house(self) -> None:
        node = self._config.node
        with self._database.read() as tx:
            now = clock(tx)
        keep = timedelta(days=node.keep_days)
        purged = retention.purge(self._database, node.store_folder, now, keep=keep)
        with self._database.write() as tx:
            forget_early(tx, clock(tx))
            worklist.forget_signals(tx, clock(tx))
        lost = retention.sweep(
            self._database, node.store_folder, older_than=_ORPHAN_AGE, also_named=(Report.digest, SignedDocument.digest)
        )
        refused = files.trim(
            node.quarantine_folder,
            older_than_seconds=keep.total_seconds(),
            most_bytes=node.quarantine_mebibytes << 20,
        )
        if refused:
            log.info("quarantine_trimmed", files=refused)
        if purged or lost:
            log.info("pixels_deleted", studies=purged, orphans=lost)
