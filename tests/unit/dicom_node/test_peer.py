"""A host that cannot be found is a failed attempt with a cause, not an exception that nobody books."""

from __future__ import annotations

import pytest

from dicom_node import peer
from dicom_node.errors import SendFailure


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "\N{SNOWMAN}" * 70])
def test_a_host_that_cannot_be_looked_up_is_named(host: str) -> None:
    with pytest.raises(SendFailure, match="cannot be looked up") as failure:
        peer.echo(peer.Address("WETREAD", "PACS", host, 104, connect_seconds=2, answer_seconds=2))

    assert not failure.value.permanent


@pytest.mark.parametrize(("status", "permanent"), [(0xA700, False), (0xC000, False), (0xA900, True), (0x0122, True)])
def test_only_what_is_said_of_the_object_is_final(status: int, permanent: bool) -> None:
    assert peer._is_permanent(status) is permanent
