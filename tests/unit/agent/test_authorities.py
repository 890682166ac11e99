"""HL7 and DICOM may spell one issuer of patients' identifiers in two ways: a table says which are the same."""

from __future__ import annotations

import pytest

from agent import incoming
from agent.desk import Desk
from agent.recalling import Recaller
from dicom_node.tables import Way
from reports import life
from reports.config import Hl7Config
from reports.hl7.incoming import parse
from reports.tables import Event
from tests.unit.agent.test_incoming import final, merge, update
from tests.unit.agent.ward import Ward, now
from tests.unit.reports import films

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

AUTHORITIES = {"ADT1": "HOSPITAL", "1.2.3.4": "HOSPITAL", "": "HOSPITAL", "OTHER": "CLINIC"}


def hear(ward: Ward, *lines: str, authorities: dict[str, str] = AUTHORITIES) -> None:
    hl7 = Hl7Config(authorities=authorities)
    desk = Desk(ward.desk.config.model_copy(update={"hl7": hl7}), ward.database)
    incoming.hear(desk, parse("\r".join(lines).encode()))


@pytest.mark.parametrize(
    ("patient", "heard"),
    [
        ("EX-0001^^^ADT1", True),
        ("EX-0001^^^NEW&1.2.3.4&ISO", True),
        ("EX-0001^^^HOSPITAL", True),
        ("EX-0001", True),
        ("EX-0001^^^OTHER", False),
        ("EX-0001^^^adt1", False),
        ("EX-0002^^^ADT1", False),
    ],
)
@pytest.mark.parametrize("early", [False, True], ids=["late", "early"])
def test_a_final_is_heard_where_the_names_differ_only_in_spelling(
    ward: Ward, patient: str, *, heard: bool, early: bool
) -> None:
    film = films.film(IssuerOfPatientID="HOSPITAL")
    if not early:
        ward.receive(film)
    hear(ward, *final(patient=patient))
    if early:
        ward.receive(film)

    assert ward.ask(lambda tx: life.silence(tx, 1)) is (Event.FINAL_ELSEWHERE if heard else None)


def test_without_the_table_another_spelling_is_another_issuer(ward: Ward) -> None:
    ward.receive(films.film(IssuerOfPatientID="HOSPITAL"))
    hear(ward, *final(patient="EX-0001^^^ADT1"), authorities={})
    assert ward.ask(lambda tx: life.silence(tx, 1)) is None


@pytest.mark.parametrize(
    ("lines", "held"),
    [
        (merge("EX-0001^^^ADT1"), True),
        (update("EX-0001^^^ADT1"), True),
        (update("EX-0001^^^OTHER"), False),
    ],
    ids=["merge", "update", "update of another"],
)
def test_merges_and_updates_are_of_the_same_issuer(ward: Ward, lines: list[str], *, held: bool) -> None:
    ward.receive(films.film(IssuerOfPatientID="HOSPITAL"))
    hear(ward, *lines)
    assert ward.study().hold_reason == ("patient-changed" if held else "")


def with_authorities(ward: Ward, authorities: dict[str, str]) -> None:
    hl7 = ward.desk.config.hl7.model_copy(update={"authorities": authorities})
    ward.desk = Desk(ward.desk.config.model_copy(update={"hl7": hl7}), ward.database)
    ward.recaller = Recaller(ward.desk)


def sent(ward: Ward) -> list[str]:
    """PID-3 of each message, after the sender's last look."""
    found = [ward.payload(one).decode() for one in ward.deliver()]
    return [message.split("\r")[1].split("|")[3] for message in found]


@pytest.mark.parametrize(
    ("authorities", "issuer", "identifier"),
    [
        ({}, "HOSPITAL", "EX-0001^^^HOSPITAL"),
        (AUTHORITIES, "HOSPITAL", "EX-0001^^^ADT1&1.2.3.4&ISO"),
        (AUTHORITIES, "ELSEWHERE", "EX-0001^^^ELSEWHERE"),
        ({"1.2.3.4": "HOSPITAL"}, "HOSPITAL", "EX-0001^^^HOSPITAL&1.2.3.4&ISO"),
        ({"ADT1": ""}, "", "EX-0001^^^ADT1"),
        ({"": "HOSPITAL"}, "HOSPITAL", "EX-0001^^^HOSPITAL"),
    ],
)
def test_what_we_send_names_the_issuer_as_the_hospital_does(
    ward: Ward, authorities: dict[str, str], issuer: str, identifier: str
) -> None:
    with_authorities(ward, authorities)
    ward.service("RIS", Way.MLLP)
    ward.study_with_draft(IssuerOfPatientID=issuer)
    assert sent(ward) == [identifier]
    ward.do(lambda tx: life.end_all(tx, 1, Event.WITHDRAWN, now(), actor="person:x"))
    ward.recaller.step()
    assert sent(ward) == [identifier], "what takes it back as well"
    said = parse("\r".join([*final(patient=identifier)]).encode())
    back = incoming.with_our_issuers(said, authorities).patient
    assert {one.issuer for one in back} == {issuer}, "heard back, it is the same issuer"


def test_what_was_queued_before_the_table_was_written_still_goes_out(ward: Ward) -> None:
    ward.service("RIS", Way.MLLP)
    ward.study_with_draft(IssuerOfPatientID="HOSPITAL")
    with_authorities(ward, AUTHORITIES)
    assert sent(ward) == ["EX-0001^^^HOSPITAL"]
