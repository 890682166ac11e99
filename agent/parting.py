"""What a node that stops still waits for, in words, for whoever has pressed Ctrl-C."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dicom_node import beats
from dicom_node.database import Database, clock
from dicom_node.tables import Delivery, ProcessBeat, Workitem, WorkitemState

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


def _words(tx: Session, name: str) -> str:
    found = {"listen": _associations, "work": _readings, "send": _deliveries}
    return next(found[name](tx), name) if name in found else name


def _readings(tx: Session) -> Iterator[str]:
    reading = select(func.count(Workitem.id)).where(Workitem.state == WorkitemState.IN_PROGRESS)
    if count := tx.scalar(reading):
        yield f"{count} {'study' if count == 1 else 'studies'} being read"


def _deliveries(tx: Session) -> Iterator[str]:
    sending = select(func.count(Delivery.id)).where(Delivery.claim_token != "", Delivery.lease_until >= clock(tx))
    if count := tx.scalar(sending):
        yield f"{count} {'object' if count == 1 else 'objects'} being sent"


def _associations(tx: Session) -> Iterator[str]:
    beat = tx.get(ProcessBeat, beats.name_here("listen"))
    if beat is not None and (words := beats.last_words(beat.detail)):
        yield words
