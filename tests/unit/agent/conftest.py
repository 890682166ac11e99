"""A ward whose books must balance when the test is over, whatever it did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.database import Database
from tests.unit.agent.ward import Ward


@pytest.fixture
def ward(database: Database, tmp_path: Path) -> Iterator[Ward]:
    """On both databases."""
    at_work = Ward(tmp_path, database)
    yield at_work
    assert at_work.problems() == ()
