"""What the destinations have of a study, or may have: a signature replaces it, and takes back what said otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from dicom_node.kinds import FINAL, Kind, Stage
from dicom_node.tables import Delivery, DeliveryState, Revision

_PREDECESSORS: Final = frozenset({Kind.BASIC_TEXT, Kind.TID1500})  # forms that name the document they replace


@dataclass(frozen=True, slots=True)
class Known:
    """earlier: by destination and form, digest of the newest document of ours that it has or will have.

    messaged: who has, or may have, a draft as ORU; drafted: in any form.
    """

    earlier: Mapping[str, Mapping[Kind, str]]
    messaged: frozenset[str]
    drafted: frozenset[str]


def known_of(tx: Session, study_id: int, number: int) -> Known:
    """What is known of a study where its revision of this number is read. One question.

    Drafts count where they are or may be; what is signed counts also while it waits, as it goes out first.
    """
    earlier: dict[str, dict[Kind, str]] = {}
    messaged, drafted = set(), set()
    for one in tx.execute(_of_study(), {"study": study_id}):
        may_be_there = one.sent_at is not None or one.claim_token != ""
        is_draft = one.stage is Stage.DRAFT and may_be_there
        if is_draft:
            drafted.add(one.destination)
        if is_draft and one.kind is Kind.ORU:
            messaged.add(one.destination)
        on_its_way = one.stage in FINAL and one.state is not DeliveryState.CANCELED
        if one.kind in _PREDECESSORS and one.number <= number and (is_draft or on_its_way):
            earlier.setdefault(one.destination, {})[one.kind] = one.digest
    frozen = {name: MappingProxyType(kinds) for name, kinds in earlier.items()}
    return Known(MappingProxyType(frozen), frozenset(messaged), frozenset(drafted))


@cache
def _of_study() -> Select[str, Kind, Stage, DeliveryState, str, object, str, int]:
    chosen = select(
        Delivery.destination,
        Delivery.kind,
        Delivery.stage,
        Delivery.state,
        Delivery.digest,
        Delivery.sent_at,
        Delivery.claim_token,
        Revision.number,
    )
    joined = chosen.join(Revision, Revision.id == Delivery.revision_id)
    return joined.where(Revision.study_id == bindparam("study")).order_by(Delivery.id)
