"""Drafts that destinations have although they count no more: nothing here can delete them there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from dicom_node.kinds import NOTES, TAKES_BACK, Kind, Stage
from dicom_node.tables import Delivery, DeliveryState

_THERE = frozenset({DeliveryState.SENT, DeliveryState.COMMITTED})
_MESSAGES: Final = frozenset({Kind.ORU, Kind.FHIR, Kind.OUTCOME})  # no objects: replaced by the next message
_STAYS: Final = "The objects stay in a PACS that does not know rejection notes."


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


def taken_back(deliveries: Sequence[Delivery]) -> str:
    """Where an ended report was, and who accepted that it is taken back; empty where nothing of it ever left."""
    left = [one for one in deliveries if one.sent_at is not None and _shows_the_report(one)]
    if not left:
        return ""
    told = [one for one in deliveries if one.stage in TAKES_BACK and one.state is DeliveryState.COMMITTED]
    notes = in_a_row(one.destination for one in told if one.kind is Kind.KOS)
    messages = in_a_row(one.destination for one in told if one.kind is not Kind.KOS)
    names = {one.destination for one in told}
    untold = in_a_row(one.destination for one in left if one.destination not in names)
    accepted = [f"{what} accepted by {who}" for what, who in (("note", notes), ("message", messages)) if who]
    place = "" if untold else " there"
    was = f"It was in {in_a_row(one.destination for one in left)}"
    parts = [f"{was}; taken back{place} ({', '.join(accepted)})." if accepted else f"{was}."]
    if untold:
        parts.append(f"No word that it is taken back is known to have reached {untold}: have it removed there.")
    if any(one.kind not in _MESSAGES for one in left):
        parts.append(_STAYS)
    return " ".join(parts)


def who_has_it(deliveries: Sequence[Delivery]) -> str:
    """Which destinations proved that they have the report and not that it is taken back; empty where none did."""
    proven = [one for one in deliveries if one.state is DeliveryState.COMMITTED]
    told = {one.destination for one in proven if one.stage in TAKES_BACK}
    names = [one.destination for one in proven if _shows_the_report(one) and one.destination not in told]
    if not names:
        return ""
    return f"{in_a_row(names)} {'has' if len(set(names)) == 1 else 'have'} it."


def in_a_row(names: Iterable[str]) -> str:
    """Each name once, in the order of their coming: A, B and C."""
    once = list(dict.fromkeys(names))
    return " and ".join([part for part in (", ".join(once[:-1]), *once[-1:]) if part])


def _shows_the_report(delivery: Delivery) -> bool:
    return delivery.stage not in NOTES and delivery.stage is not Stage.NOTICE
