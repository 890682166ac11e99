"""What a node that stops still waits for, in words, for whoever has pressed Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dicom_node import beats
from dicom_node.counted import counted
from dicom_node.database import Database, clock
from dicom_node.tables import Delivery, ProcessBeat, Workitem, WorkitemState

_MOMENT_SECONDS: Final = 1.0
AGAIN = "Ctrl-C again ends everything at once; nothing is lost, what is not finished is done again"


def waited_for(database_url: str, alive: Collection[str]) -> str:
    """What the processes that still run are busy with, such as "1 study being read, 2 associations, web"."""
    database = Database(database_url)
    try:
        with database.read() as tx:
            return ", ".join(_words(tx, name) for name in alive)
    except (SQLAlchemyError, OSError):  # their names say enough
        return ", ".join(alive)
    finally:
        database.close()


class Asking:
    """Asks in a thread of its own: a database that does not answer keeps nobody who has a deadline."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._known = ""
        self._thread: threading.Thread | None = None

    def waited_for(self, alive: Collection[str]) -> str:
        """As `waited_for`, where that is known in a moment; else what was known last, else their names."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._ask, args=(tuple(alive),), daemon=True, name="parting")
            self._thread.start()
        self._thread.join(_MOMENT_SECONDS)
        return self._known or ", ".join(alive)

    def _ask(self, alive: Collection[str]) -> None:
        self._known = waited_for(self._database_url, alive)


def _words(tx: Session, name: str) -> str:
    found = {"listen": _associations, "work": _readings, "send": _deliveries}
    return next(found[name](tx), name) if name in found else name


def _readings(tx: Session) -> Iterator[str]:
    reading = select(func.count(Workitem.id)).where(Workitem.state == WorkitemState.IN_PROGRESS)
    if count := tx.scalar(reading):
        yield f"{counted(count, 'study')} being read"


def _deliveries(tx: Session) -> Iterator[str]:
    sending = select(func.count(Delivery.id)).where(Delivery.claim_token != "", Delivery.lease_until >= clock(tx))
    if count := tx.scalar(sending):
        yield f"{count} {'object' if count == 1 else 'objects'} being sent"


def _associations(tx: Session) -> Iterator[str]:
    beat = tx.get(ProcessBeat, beats.name_here("listen"))
    if beat is not None and (words := beats.last_words(beat.detail)):
        yield words
