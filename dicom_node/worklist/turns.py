"""One transaction after another where no row exists yet that they could both lock."""

from __future__ import annotations

import hashlib

from sqlalchemy import text
from sqlalchemy.orm import Session


def take_turn(tx: Session, name: str) -> None:
    """Wait until no other transaction has the turn of this name, and keep it until this one ends.

    What is asked afterwards sees what the others committed. On SQLite every writer has the database to itself already
    (BEGIN IMMEDIATE); on PostgreSQL it is an advisory lock. At most one turn in a transaction, before any row is
    locked: so two of them cannot wait for each other. Names that share the 64 bits wait for nothing, no more.
    """
    if tx.get_bind().dialect.name != "postgresql":
        return
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
    tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
