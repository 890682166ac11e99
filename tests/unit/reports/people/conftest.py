"""A lobby on both databases, and a quick one for what no database decides."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dicom_node.database import Database
from tests.unit.reports.people.lobby import Lobby


@pytest.fixture
def lobby(database: Database) -> Lobby:
    return Lobby(database)


@pytest.fixture
def porch(sqlite_url: str, open_database: Callable[[str], Database]) -> Lobby:
    return Lobby(open_database(sqlite_url))
