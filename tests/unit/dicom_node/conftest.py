"""A desk whose books must balance when the test is over, whatever it did."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dicom_node.database import Database
from tests.unit.dicom_node.desk import Desk


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    at_work = Desk(database)
    yield at_work
    assert at_work.problems() == ()
