"""The chain of seals: a row that was changed or removed is found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, select, update

from dicom_node import audit
from dicom_node.database import Database
from dicom_node.tables import AuditRow

NOW = datetime(2026, 11, 22, 8, 0, 0, 123000, tzinfo=UTC)


def write(database: Database, count: int) -> None:
    with database.write() as tx:
        for number in range(count):
            at = NOW + timedelta(seconds=number)
            audit.append(tx, "study-opened", at=at, actor="listen", study_id=number or None, revision=number)


@pytest.fixture
def sealed(database: Database) -> Database:
    for _ in range(2):
        write(database, 5)
        with database.write() as tx:
            assert audit.seal(tx) == 5
    return database


def broken(database: Database) -> int | None:
    with database.read() as tx:
        return audit.broken_seal(tx)


def test_untouched_chain_holds(sealed: Database) -> None:
    assert broken(sealed) is None
    with sealed.write() as tx:
        assert audit.seal(tx) == 0
    write(sealed, 1)
    assert broken(sealed) is None, "a row that waits for its seal breaks nothing"


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "nobody"},
        {"event": "study-read"},
        {"detail": "{}"},
        {"study_id": 99},
        {"at": NOW},
        {"seal": "0" * 64},
        {"sealed_as": 77},
    ],
)
def test_changed_row_is_found(sealed: Database, change: dict[str, object]) -> None:
    with sealed.write() as tx:
        tx.execute(update(AuditRow).where(AuditRow.sealed_as == 4).values(**change))
    assert broken(sealed) == 4


@pytest.mark.parametrize("place", [1, 4, 9])
def test_removed_row_is_found(sealed: Database, place: int) -> None:
    with sealed.write() as tx:
        tx.execute(delete(AuditRow).where(AuditRow.sealed_as == place))
    assert broken(sealed) == place


def test_exchanged_rows_are_found(sealed: Database) -> None:
    with sealed.write() as tx:
        one, two = tx.scalars(select(AuditRow).where(AuditRow.sealed_as.in_([2, 3])).order_by(AuditRow.id))
        one.detail, two.detail = two.detail, one.detail
    assert broken(sealed) == 2


def test_many_rows_are_sealed_in_portions(database: Database) -> None:
    write(database, audit.SEALED_AT_ONCE + 1)
    with database.write() as tx:
        assert audit.seal(tx) == audit.SEALED_AT_ONCE
    with database.write() as tx:
        assert audit.seal(tx) == 1
    assert broken(database) is None


def test_long_actor_is_cut_not_refused(database: Database) -> None:
    with database.write() as tx:
        audit.append(tx, "workitem-claimed", at=NOW, actor="x" * 128)
