"""Each pair of states is allowed or forbidden, as the tables in the design say and as the code enforces."""

from __future__ import annotations

from itertools import product

import pytest

from dicom_node.errors import WrongState
from dicom_node.tables import Delivery, DeliveryState, Study, StudyState, Workitem, WorkitemState
from dicom_node.worklist.moves import move_delivery, move_study, move_workitem

STUDY = {("RECEIVING", "COMPLETE"), ("COMPLETE", "RECEIVING")}
WORKITEM = {
    ("SCHEDULED", "IN PROGRESS"),
    ("SCHEDULED", "CANCELED"),
    ("IN PROGRESS", "COMPLETED"),
    ("IN PROGRESS", "CANCELED"),
    ("IN PROGRESS", "SCHEDULED"),
}
DELIVERY = {
    ("QUEUED", "SENT"),
    ("QUEUED", "FAILED"),
    ("QUEUED", "CANCELED"),
    ("CANCELED", "SENT"),
    ("SENT", "COMMITTED"),
    ("SENT", "QUEUED"),
    ("SENT", "FAILED"),
    ("FAILED", "QUEUED"),
}


@pytest.mark.parametrize(("before", "after"), product(StudyState, repeat=2))
def test_study(before: StudyState, after: StudyState) -> None:
    study = Study(state=before)
    if (before.value, after.value) in STUDY:
        move_study(study, after)
        assert study.state is after
        return
    with pytest.raises(WrongState, match="study cannot go"):
        move_study(study, after)
    assert study.state is before


@pytest.mark.parametrize(("before", "after"), product(WorkitemState, repeat=2))
def test_workitem(before: WorkitemState, after: WorkitemState) -> None:
    workitem = Workitem(state=before, claim_token="t")
    if (before.value, after.value) in WORKITEM:
        move_workitem(workitem, after)
        assert workitem.state is after
        assert workitem.claim_token == ("t" if after is WorkitemState.IN_PROGRESS else "")
        return
    with pytest.raises(WrongState, match="workitem cannot go"):
        move_workitem(workitem, after)
    assert workitem.state is before


@pytest.mark.parametrize(("before", "after"), product(DeliveryState, repeat=2))
def test_delivery(before: DeliveryState, after: DeliveryState) -> None:
    delivery = Delivery(state=before, claim_token="t")
    if (before.value, after.value) in DELIVERY:
        move_delivery(delivery, after)
        assert (delivery.state, delivery.claim_token, delivery.lease_until) == (after, "", None)
        return
    with pytest.raises(WrongState, match="delivery cannot go"):
        move_delivery(delivery, after)
    assert delivery.state is before
