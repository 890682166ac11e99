"""The real films and hostile files, and a running node with a PACS for each module that sends them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from dicom_node.loopback import LoopbackPacs
from tests.harness.node import Node

DATA = Path(os.environ.get("WETREAD_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture(scope="session")
def dicom() -> Path:
    """The folder of real DICOM files. Its absence is a failure, never a skip."""
    folder = DATA / "dicom"
    assert folder.is_dir(), f"{folder} is missing; set WETREAD_TEST_DATA to the folder that holds `dicom`"
    return folder


@pytest.fixture(scope="module")
def start_site(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[float], AbstractContextManager[tuple[Node, LoopbackPacs]]]:
    """Starts, for a number of quiet seconds, a node and a PACS that takes its drafts and proves them by C-FIND."""

    @contextmanager
    def start(quiet_seconds: float) -> Iterator[tuple[Node, LoopbackPacs]]:
        folder = tmp_path_factory.mktemp("site")
        running = Node(folder / "node", quiet_seconds=quiet_seconds, deadline_seconds=600)
        with LoopbackPacs("PACS", 0, folder / "pacs") as pacs, running as node:
            node.add_peer("PACS", pacs.port, may_send=False, send_to=True)
            node.add_peer("MODALITY")
            yield node, pacs

    return start
