"""An answer is for whoever has asked, however late the association's own thread is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from dicom_node import peer
from dicom_node.checkpoint import Checkpoint

FIND = str(StudyRootQueryRetrieveInformationModelFind)
LATE = 0.05  # seconds; a busy machine


class Late(Checkpoint):
    """The association's thread is held up behind it, where it has not yet said that it goes on."""

    def wait(self, timeout: float | None = None) -> bool:
        passed = super().wait(timeout)
        time.sleep(LATE)
        return passed


@contextmanager
def archive() -> Iterator[peer.Address]:
    """Has one match for each question."""

    def match(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        yield 0xFF00, event.identifier

    entity = AE(ae_title="PACS")
    entity.add_supported_context(FIND)
    entity.add_supported_context(Verification)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, match)])
    try:
        yield peer.Address("WETREAD", "PACS", "127.0.0.1", server.server_address[1])
    finally:
        server.shutdown()


def matches(association: Association) -> int:
    keys = Dataset()
    keys.QueryRetrieveLevel, keys.StudyInstanceUID = "STUDY", "1.2.3"
    answers = association.send_c_find(keys, FIND)
    time.sleep(3 * LATE)  # they are there before anybody looks
    return sum(identifier is not None for _, identifier in answers)


def test_no_match_is_lost_to_a_thread_that_is_late() -> None:
    with archive() as address, peer.associated(address, [FIND]) as opened:
        opened.association._reactor_checkpoint = Late(opened.association)
        assert [matches(opened.association) for _ in range(8)] == [1] * 8


def test_every_association_that_we_ask_for_has_one() -> None:
    with archive() as address, peer.associated(address, [FIND]) as opened:
        assert isinstance(opened.association._reactor_checkpoint, Checkpoint)


def test_association_that_has_ended_is_not_waited_for() -> None:
    with archive() as address:
        opened = peer.associate(address, [FIND, str(Verification)])
        opened.association.abort()
        opened.association.join(30)
        began = time.monotonic()
        opened.association._reactor_checkpoint.clear()
        assert opened.association._is_paused
        with pytest.raises(RuntimeError):
            opened.association.send_c_echo()
        opened.close()
        assert time.monotonic() - began < 5


def test_whoever_speaks_from_a_handler_waits_for_nobody() -> None:
    """A handler runs in the association's own thread."""
    with archive() as address, peer.associated(address, [FIND]) as opened:
        closed = Checkpoint(opened.association)
        cleared = threading.Event()

        class Own(Checkpoint):
            def wait(self, timeout: float | None = None) -> bool:
                if not cleared.is_set():
                    closed.clear()
                    cleared.set()
                return super().wait(timeout)

        opened.association._reactor_checkpoint = Own(opened.association)
        assert cleared.wait(5)
        assert matches(opened.association) == 1
