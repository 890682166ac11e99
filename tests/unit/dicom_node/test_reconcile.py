"""C-FIND against a peer of pynetdicom that has as much to tell as the test wants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt

from dicom_node import reconcile
from dicom_node.errors import SendFailure
from dicom_node.limits import LONGEST_ANSWER
from dicom_node.peer import Address

KEYS = {"StudyInstanceUID": ""}
TOLD = 200_000  # bytes of one answer


@contextmanager
def archive(answers: int) -> Iterator[Address]:
    """A peer with so many long answers to every search."""

    def handle(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        for number in range(answers):
            told = Dataset()
            told.QueryRetrieveLevel = "STUDY"
            told.StudyInstanceUID = f"1.2.3.{number}"
            told.StudyComments = "x" * TOLD
            yield 0xFF00, told

    ae = AE(ae_title="PACS")
    ae.add_supported_context(reconcile.FIND)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, handle)])
    assert server is not None
    try:
        yield Address("WETREAD", "PACS", "127.0.0.1", server.server_address[1], answer_seconds=60)
    finally:
        server.shutdown()


def search(address: Address) -> int:
    with reconcile.searching(address) as ask:
        return len(ask("STUDY", KEYS))


def test_day_of_a_large_site_is_heard_to_its_end() -> None:
    answers = LONGEST_ANSWER // TOLD + 10
    with archive(answers) as address:
        assert search(address) == answers


def test_answers_without_an_end_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "LONGEST_SEARCHES", 1 << 20)
    with archive(40) as address, pytest.raises(SendFailure, match=r"without an end|broke off"):
        search(address)


def test_answer_that_cannot_be_read_is_no_study_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gap that stands open would be closed, as if the peer had the study no more."""
    broken = b"\x08\x00\x40\x11\xff\xff\xff\xff\x20\x00\x0d\x00\x04\x00\x00\x001.2\x00"  # a sequence without items
    monkeypatch.setattr("pynetdicom.service_class.encode", lambda *_arguments: broken)
    with archive(1) as address, pytest.raises(SendFailure, match="cannot be read"):
        search(address)
