"""Drafts of older revisions that destinations have: nothing here can delete them there."""

from __future__ import annotations

from collections.abc import Sequence

from dicom_node.kinds import TAKES_BACK, Stage
from dicom_node.tables import Delivery, DeliveryState

_THERE = frozenset({DeliveryState.SENT, DeliveryState.COMMITTED})


def older_drafts(deliveries: Sequence[Delivery], *, revision: int) -> list[str]:
    """One sentence for each older revision whose draft is in destinations. revision: the newest one's number."""
    there: dict[int, list[str]] = {}
    told: dict[int, list[str]] = {}
    for delivery in deliveries:
        number = delivery.revision.number
        if number >= revision or delivery.state not in _THERE:
            continue
        book = there if delivery.stage is Stage.DRAFT else told if delivery.stage in TAKES_BACK else {}
        names = book.setdefault(number, [])
        if delivery.destination not in names:
            names.append(delivery.destination)
    return [_sentence(number, names, told.get(number, [])) for number, names in sorted(there.items())]


def _sentence(number: int, names: Sequence[str], told: Sequence[str]) -> str:
    replaced = f" A note that it is no longer valid was sent to {', '.join(sorted(told))}." if told else ""
    return f"An older draft (revision {number}) is in {', '.join(sorted(names))} and stays there.{replaced}"
