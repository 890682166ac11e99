"""What is said of drafts that left and count no more."""

from __future__ import annotations

from datetime import UTC, datetime

from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Delivery, DeliveryState
from reports.web.older import in_a_row, taken_back, who_has_it

AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
STAYS = " The objects stay in a PACS that does not know rejection notes."


def delivery(
    to: str,
    kind: Kind,
    stage: Stage = Stage.DRAFT,
    state: DeliveryState = DeliveryState.COMMITTED,
    *,
    sent: bool = True,
) -> Delivery:
    return Delivery(destination=to, kind=kind, stage=stage, state=state, sent_at=AT if sent else None)


def test_what_was_delivered_was_there_and_says_who_accepted_that_it_is_taken_back() -> None:
    deliveries = [
        delivery("PACS", Kind.BASIC_TEXT),
        delivery("PACS", Kind.PDF),
        delivery("RIS", Kind.ORU),
        delivery("PACS", Kind.KOS, Stage.REJECTION),
        delivery("RIS", Kind.ORU, Stage.REJECTION),
    ]

    said = "It was in PACS and RIS; taken back there (note accepted by PACS, message accepted by RIS)."
    assert taken_back(deliveries) == said + STAYS
    assert who_has_it(deliveries) == ""


def test_what_never_left_was_nowhere() -> None:
    canceled = delivery("PACS", Kind.BASIC_TEXT, state=DeliveryState.CANCELED, sent=False)
    notice = delivery("RIS", Kind.ORU, Stage.NOTICE)

    assert taken_back([canceled, notice]) == ""
    assert who_has_it([canceled, notice]) == ""


def test_a_destination_that_could_not_be_told_is_named() -> None:
    deliveries = [
        delivery("PACS", Kind.BASIC_TEXT),
        delivery("BOX", Kind.BASIC_TEXT),
        delivery("PACS", Kind.KOS, Stage.WITHDRAWAL),
    ]

    said = taken_back(deliveries)

    assert said.startswith("It was in PACS and BOX; taken back (note accepted by PACS). No word")
    assert "reached BOX: have it removed there." in said


def test_messages_alone_leave_no_objects() -> None:
    deliveries = [delivery("RIS", Kind.ORU), delivery("RIS", Kind.ORU, Stage.REJECTION)]

    assert taken_back(deliveries) == "It was in RIS; taken back there (message accepted by RIS)."


def test_a_dead_letter_names_who_has_the_report() -> None:
    failed = delivery("RIS", Kind.ORU, state=DeliveryState.FAILED, sent=False)

    assert who_has_it([delivery("PACS", Kind.BASIC_TEXT), delivery("PACS", Kind.PDF), failed]) == "PACS has it."
    assert who_has_it([delivery("PACS", Kind.PDF), delivery("BOX", Kind.PDF), failed]) == "PACS and BOX have it."


def test_names_stand_in_a_row_once_each() -> None:
    assert in_a_row([]) == ""
    assert in_a_row(["A", "B", "A", "C"]) == "A, B and C"
