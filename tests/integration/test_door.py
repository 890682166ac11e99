"""The door as callers meet it: several AE titles, limits of a peer, and what is kept of those who were refused."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pynetdicom import AE, evt
from pynetdicom.pdu import A_ASSOCIATE_RJ

from dicom_node import peers, turned_away
from dicom_node.access_tables import RefusedCaller
from dicom_node.database import clock
from tests.harness.door import DX, Door, OpenDoor, associated, small_film
from tests.harness.node import wait_until

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # test_turned_away has both


def knock(port: int, calling: str, called: str, *, host: str = "127.0.0.1") -> tuple[int, int, int] | None:
    """Result, source and diagnostic of the rejection; None where there is an association."""
    rejections: list[tuple[int, int, int]] = []  # as they come: a fast one may escape pynetdicom's own notice

    def look(event: evt.Event) -> None:
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            rejections.append((event.pdu.result, event.pdu.source, event.pdu.reason_diagnostic))

    entity = AE(ae_title=calling)
    entity.add_requested_context(DX)
    association = entity.associate(host, port, ae_title=called, evt_handlers=[(evt.EVT_PDU_RECV, look)])
    if association.is_established:
        association.release()
        return None
    (answer,) = rejections
    return answer


def edit(door: Door, title: str, **changes: object) -> None:
    with door.database.write() as tx:
        peers.edit(tx, title, now=clock(tx), actor="test", **changes)  # type: ignore[arg-type]


def refused(door: Door) -> Sequence[RefusedCaller]:
    """The rows of the refused; they are written after the caller was answered."""

    def look() -> Sequence[RefusedCaller]:
        with door.database.read() as tx:
            return turned_away.newest(tx)

    found: Sequence[RefusedCaller] = wait_until(look, "a refusal to be written", seconds=30)
    return found


def test_called_title_is_kept_with_the_object(open_door: OpenDoor) -> None:
    door = open_door(further_ae_titles=("WETREAD_ER",))
    for called in ("WETREAD", "WETREAD_ER"):
        entity = AE(ae_title="PACS")
        entity.add_requested_context(DX, "1.2.840.10008.1.2.1")
        association = entity.associate("127.0.0.1", door.port, ae_title=called)
        assert association.send_c_store(small_film()).Status == 0
        association.release()
    assert [instance.called_ae_title for instance in door.instances()] == ["WETREAD", "WETREAD_ER"]
    assert knock(door.port, "PACS", "WETREAD_XX") == (1, 1, 7)


def test_refused_caller_is_told_in_the_log_and_kept_with_the_likely_cause(door: Door) -> None:
    assert knock(door.port, "pacs", "WETREAD") == (1, 1, 3)
    (row,) = refused(door)
    assert (row.calling_ae_title, row.called_ae_title, row.address, row.times) == ("pacs", "WETREAD", "127.0.0.1", 1)
    assert "only the case differs from 'PACS'" in row.explanation
    (line,) = door.logged("association_refused")
    assert line["explanation"] == row.explanation


def test_caller_that_knocks_without_end_is_counted_and_written_seldom(door: Door) -> None:
    for _ in range(5):
        knock(door.port, "XYZ", "WETREAD")
    (row,) = refused(door)
    assert 1 <= row.times <= 5
    wait_until(lambda: len(door.logged("association_refused")) == 5, "the last of them to be told", seconds=30)


def test_peer_calls_from_its_host_only(door: Door) -> None:
    edit(door, "PACS", host="localhost", calls_from="host")
    assert knock(door.port, "PACS", "WETREAD") is None
    edit(door, "PACS", calls_from="10.0.0.0/8")
    assert knock(door.port, "PACS", "WETREAD") == (1, 1, 3)


def test_peer_has_its_own_limit_and_others_still_get_in(door: Door) -> None:
    edit(door, "PACS", maximum_associations=1)
    with associated(door.port):
        assert knock(door.port, "PACS", "WETREAD") == (2, 3, 2)
        assert knock(door.port, "CR1", "WETREAD") is None
    wait_until(lambda: knock(door.port, "PACS", "WETREAD") is None, "the place to be free again", seconds=30)


def test_full_house_is_kept_as_well(open_door: OpenDoor) -> None:
    door = open_door(maximum_associations=1)
    with associated(door.port):
        assert knock(door.port, "CR1", "WETREAD") == (2, 3, 2)
    (row,) = refused(door)
    assert (row.code, row.calling_ae_title) == ("too-many-associations", "CR1")


def test_an_ipv6_port_knows_ipv4_callers_by_their_own_addresses(open_door: OpenDoor) -> None:
    door = open_door(bind_address="::")
    edit(door, "PACS", calls_from="127.0.0.1")
    assert knock(door.port, "PACS", "WETREAD") is None
    assert knock(door.port, "PACS", "WETREAD", host="::1") == (1, 1, 3)
    assert knock(door.port, "STRANGER", "WETREAD") == (1, 1, 3)
    told = wait_until(lambda: len(rows := refused(door)) == 2 and rows, "both refusals to be written", seconds=30)
    assert {row.calling_ae_title: row.address for row in told} == {"PACS": "::1", "STRANGER": "127.0.0.1"}
