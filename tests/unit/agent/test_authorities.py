"""HL7 and DICOM may spell one issuer of patients' identifiers in two ways: a table says which are the same."""

from __future__ import annotations

import pytest

from agent import incoming
from agent.desk import Desk
from reports import life
from reports.config import Hl7Config
from reports.hl7.incoming import parse
from reports.tables import Event
from tests.unit.agent.test_incoming import final, merge, update
from tests.unit.agent.ward import Ward
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
