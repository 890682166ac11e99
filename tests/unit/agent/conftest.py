"""A ward whose books must balance when the test is over, whatever it did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.imaging.decoder import DecoderProcess
from dicom_node.database import Database
from tests.unit.agent.ward import Ward


@pytest.fixture
def ward(database: Database, tmp_path: Path) -> Iterator[Ward]:
    """On both databases."""
    at_work = Ward(tmp_path, database)
    yield at_work
    assert at_work.problems() == ()


@pytest.fixture(scope="module")
def decoder_process() -> Iterator[DecoderProcess]:
    """One for the films of a file, as a worker has it: each start loads numpy and the codecs."""
    with DecoderProcess(30.0, 512) as process:
        yield process
