"""A place where people sign in, whose clock the test moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.database import Database
from dicom_node.tables import AuditRow
from reports.people.passwords import Hasher
from reports.people.rights import Visitor
from reports.people.service import People, SignedIn
from tests.harness.people import CHEAP, PASSWORD

HERE = "10.0.0.7"


class CountingHasher(Hasher):
    """A real one that counts how often it was asked to compare."""

    def __init__(self) -> None:
        super().__init__(CHEAP)
        self.compared: list[bool] = []
        self.meanwhile: Callable[[], None] | None = None  # what others do while it compares

    def fits(self, kept: str, secret: str) -> bool:
        self.compared.append(bool(kept))
        if self.meanwhile is not None:
            self.meanwhile()
        return super().fits(kept, secret)


class Lobby:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.moment = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
        self.hasher = CountingHasher()
        self.people = People(database, self.hasher, now=self.now)

    def now(self, tx: Session) -> datetime:
        return self.moment

    def wait(self, **time: float) -> None:
        self.moment += timedelta(**time)

    def sign_in(self, login: str, password: str = PASSWORD, *, address: str = HERE) -> SignedIn:
        return self.people.sign_in(login, password, address=address)

    def who(self, signed_in: SignedIn, *, attended: bool = True) -> Visitor | None:
        return self.people.by_session(signed_in.token, attended=attended)

    def audited(self) -> list[tuple[str, str]]:
        """Event and actor of each row."""
        with self.database.read() as tx:
            return [(row.event, row.actor) for row in tx.scalars(select(AuditRow).order_by(AuditRow.id))]

    def details(self, event: str) -> list[dict[str, object]]:
        with self.database.read() as tx:
            rows = tx.scalars(select(AuditRow).where(AuditRow.event == event).order_by(AuditRow.id))
            return [json.loads(row.detail) for row in rows]
