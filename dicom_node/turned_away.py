"""Callers who were refused an association: counted in the database, for commands and pages."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from dicom_node.access import Caller, Refusal
from dicom_node.access_tables import RefusedCaller
from dicom_node.database import Database, clock

log = structlog.get_logger("listen")

MOST: Final = 200  # rows: strangers must not fill the database
KEPT: Final = timedelta(days=30)


class Register:
    """Counts for one listener. A caller that knocks again and again is written down every few seconds.

    What was said last is never lost: a timer writes it down, and `close` what is left.
    """

    def __init__(self, database: Database, *, every_seconds: float = 5) -> None:
        self._database = database
        self._every = every_seconds
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, str, str, str], _Pending] = {}
        self._timer: threading.Timer | None = None

    def note(self, caller: Caller, refusal: Refusal) -> None:
        """Count it; that the database does not answer is told in the log alone."""
        key = (caller.calling_ae_title, caller.called_ae_title, caller.address, refusal.code)
        now = time.monotonic()
        with self._lock:
            if len(self._pending) > MOST:
                self._pending.clear()
            pending = self._pending.setdefault(key, _Pending(caller, refusal))
            pending.times, pending.refusal = pending.times + 1, refusal
            if now < pending.quiet_until:
                self._write_later()
                return
            times, pending.times, pending.quiet_until = pending.times, 0, now + self._every
        self._keep(caller, refusal, times)

    def close(self) -> None:
        """Write down what was only counted so far."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
        self._write_pending()

    def _write_later(self) -> None:
        """Start the timer, unless it runs; the lock is held."""
        if self._timer is None:
            self._timer = threading.Timer(self._every, self._write_pending)
            self._timer.daemon = True
            self._timer.start()

    def _write_pending(self) -> None:
        with self._lock:
            self._timer = None
            waiting = [(one.caller, one.refusal, one.times) for one in self._pending.values() if one.times]
            for pending in self._pending.values():
                pending.times = 0
        for caller, refusal, times in waiting:
            self._keep(caller, refusal, times)

    def _keep(self, caller: Caller, refusal: Refusal, times: int) -> None:
        try:
            self._write(caller, refusal, times)
        except IntegrityError:  # another listener met the same caller at the same moment
            log.info("refusal_counted_elsewhere", code=refusal.code)
        except SQLAlchemyError as error:
            log.error("database_unavailable", error=type(error).__name__)

    def _write(self, caller: Caller, refusal: Refusal, times: int) -> None:
        with self._database.write() as tx:
            record(tx, caller, refusal, clock(tx), times=times)


@dataclass(slots=True)
class _Pending:
    """What was not written down yet, the newest cause, and until when nothing is."""

    caller: Caller
    refusal: Refusal
    times: int = 0
    quiet_until: float = 0.0


def record(tx: Session, caller: Caller, refusal: Refusal, now: datetime, *, times: int = 1) -> None:
    """Count one refused association, and forget what is old or too much."""
    key = {
        "calling_ae_title": printable(caller.calling_ae_title, 16),
        "called_ae_title": printable(caller.called_ae_title, 16),
        "address": caller.address[:64],
        "code": refusal.code,
    }
    row = tx.scalar(select(RefusedCaller).filter_by(**key))
    if row is None:
        row = RefusedCaller(**key, times=0, first_at=now)
        tx.add(row)
    row.times += times
    row.last_at = now
    row.explanation = printable(refusal.explanation, 2000)
    tx.flush()
    kept = select(RefusedCaller.id).order_by(RefusedCaller.last_at.desc(), RefusedCaller.id.desc()).limit(MOST)
    newest = tx.scalars(kept).all()
    tx.execute(
        delete(RefusedCaller).where((RefusedCaller.last_at < now - KEPT) | RefusedCaller.id.not_in(newest)),
        execution_options={"synchronize_session": False},
    )


def newest(tx: Session, *, limit: int = MOST, since: datetime | None = None) -> Sequence[RefusedCaller]:
    """Who was refused, the last one first; only after `since` where given."""
    wanted = select(RefusedCaller).order_by(RefusedCaller.last_at.desc(), RefusedCaller.id.desc()).limit(limit)
    return tx.scalars(wanted if since is None else wanted.where(RefusedCaller.last_at > since)).all()


def printable(text: str, length: int) -> str:
    """What came over the network, as it may stand in a database and on a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)[:length]
