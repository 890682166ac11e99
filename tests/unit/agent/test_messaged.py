"""Where the draft of a study went as a message: what is signed takes back its notice there, and nowhere else."""

from __future__ import annotations

import pytest

from dicom_node.kinds import Kind
from dicom_node.tables import Mode, Way
from reports.signoff.possessions import known_of
from tests.unit.agent.ward import Ward
from tests.unit.reports import films


def messaged(ward: Ward) -> frozenset[str]:
    study = ward.study().id
    return ward.ask(lambda tx: known_of(tx, study, 1).messaged)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_draft_is_where_it_was_sent_or_may_have_been(ward: Ward) -> None:
    ward.peer("PACS")
    ward.service("RIS", Way.MLLP)
    ward.service("HELD", Way.MLLP, mode=Mode.HOLD)
    ward.receive(films.film())
    ward.draft()
    assert messaged(ward) == frozenset()

    held = ward.must_take()
    while held.kind is not Kind.ORU:
        held = ward.must_take()
    assert messaged(ward) == {"RIS"}, "it is being sent"

    ward.service("LATER", Way.MLLP)
    ward.deliver()
    assert messaged(ward) == {"RIS"}
