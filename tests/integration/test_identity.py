"""Whose study it is: asked before an object leaves and once it is there, over real associations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find  # type: ignore[attr-defined]

from dicom_node import peers
from dicom_node.database import Database, clock
from dicom_node.destinations import destinations
from dicom_node.dicomweb import StowTransport
from dicom_node.dimse import DimseTransport
from dicom_node.errors import SendFailure
from dicom_node.identity import COERCED, COMPARED, DIFFERS, answer_of, differing
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import DeliveryState, Endpoint, Proof, Way
from dicom_node.transports import Parcel
from tests.harness.node import free_port
from tests.harness.orthanc import Orthanc
from tests.harness.outbox import SR, Outbox, encoded
from tests.harness.parcels import CLASSES, destination, object_of, parcel


class Pacs:
    """Stores everything; says of the one study what `study` holds, and refuses that question where it has a status."""

    def __init__(self) -> None:
        self.status = 0x0000
        self.study: list[dict[str, str]] = []
        self.study_status = 0x0000
        self.after_storing: list[dict[str, str]] | None = None
        self.received: list[str] = []
        self.levels: list[str] = []

    def store(self, event: evt.Event) -> int:
        self.received.append(str(event.request.AffectedSOPInstanceUID))
        if self.after_storing is not None:
            self.study = self.after_storing
        return self.status

    def query(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        level = event.identifier.QueryRetrieveLevel
        self.levels.append(level)
        if level == "IMAGE" and event.identifier.SOPInstanceUID in self.received:
            yield 0xFF00, event.identifier
        for known in self.study if level == "STUDY" else ():
            answer = Dataset()
            answer.QueryRetrieveLevel, answer.StudyInstanceUID = "STUDY", event.identifier.StudyInstanceUID
            for keyword, value in known.items():
                setattr(answer, keyword, value)
            yield 0xFF00, answer
        yield (self.study_status if level == "STUDY" else 0x0000), None


Start = Callable[..., int]


@pytest.fixture
def pacs() -> Pacs:
    return Pacs()


@pytest.fixture
def start(pacs: Pacs) -> Iterator[Start]:
    servers: list[Any] = []

    def one(*classes: str) -> int:
        entity = AE(ae_title="PACS")
        for sop_class in classes or (*CLASSES.values(), Find):
            entity.add_supported_context(sop_class)
        handlers: list[Any] = [(evt.EVT_C_STORE, pacs.store), (evt.EVT_C_FIND, pacs.query)]
        servers.append(entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers))
        return int(servers[-1].server_address[1])

    yield one
    for server in servers:
        server.ae.shutdown()


@pytest.fixture
def transport() -> Iterator[DimseTransport]:
    made = DimseTransport("WETREAD", connect_seconds=30, answer_seconds=30)
    yield made
    made.close()


def identified(number: int = 1) -> Dataset:
    """A document with everything that is compared."""
    document = object_of(Kind.BASIC_TEXT, number)
    document.IssuerOfPatientID, document.AccessionNumber = "HOSPITAL", "ACC-7"
    document.PatientBirthDate = "19600102"
    return document


def identity() -> dict[str, str]:
    """What the document says."""
    return {name: str(identified()[name].value) for name in COMPARED}


def unasked(port: int, number: int = 1) -> Parcel:
    return replace(parcel(destination(port), number=number), payload=encoded(identified(number)))


def asking(port: int, **changes: Any) -> Parcel:
    one = unasked(port)
    return replace(one, destination=replace(one.destination, identity_check=True), **changes)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientID", "OTHER-1"),
        ("IssuerOfPatientID", "OTHER-1"),
        ("AccessionNumber", "OTHER-1"),
        ("PatientBirthDate", "19600201"),
    ],
)
def test_nothing_is_sent_to_a_study_of_another_patient_or_order(
    pacs: Pacs, start: Start, transport: DimseTransport, keyword: str, value: str
) -> None:
    pacs.study = [{**identity(), keyword: value}]

    with pytest.raises(SendFailure) as refused:
        transport.send(asking(start()))

    assert (refused.value.code, refused.value.permanent, refused.value.may_be_there) == (DIFFERS, True, False)
    assert pacs.received == []
    assert keyword in str(refused.value)
    assert value not in str(refused.value)
    assert identity()[keyword] not in str(refused.value)


@pytest.mark.parametrize("known", [[], [{}], [{"PatientID": "", "AccessionNumber": ""}]])
def test_study_that_the_peer_does_not_know_or_say_is_no_objection(
    pacs: Pacs, start: Start, transport: DimseTransport, known: list[dict[str, str]]
) -> None:
    pacs.study = known
    assert transport.send(asking(start())) == "0000"
    assert pacs.levels == ["STUDY"]


def test_one_study_under_two_patients_is_an_objection(pacs: Pacs, start: Start, transport: DimseTransport) -> None:
    pacs.study = [identity(), {**identity(), "PatientID": "OTHER-1"}]
    with pytest.raises(SendFailure, match="another PatientID"):
        transport.send(asking(start()))


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC001])
def test_peer_that_refuses_the_question_gets_the_object(
    pacs: Pacs, start: Start, transport: DimseTransport, status: int
) -> None:
    pacs.study_status = status
    assert transport.send(asking(start())) == "0000"


def test_peer_that_takes_no_questions_gets_the_object(pacs: Pacs, start: Start, transport: DimseTransport) -> None:
    assert transport.send(asking(start(SR))) == "0000"
    assert pacs.levels == []


def test_peer_is_not_asked_where_that_is_off(pacs: Pacs, start: Start, transport: DimseTransport) -> None:
    pacs.study = [{**identity(), "PatientID": "OTHER-1"}]
    to = unasked(start())

    assert transport.send(to) == "0000"
    assert transport.holds(to)
    assert pacs.levels == ["IMAGE"]


@pytest.mark.parametrize("stage", [Stage.REJECTION, Stage.WITHDRAWAL, Stage.HIDING])
def test_what_takes_a_document_back_goes_out_whatever_became_of_the_patient(
    pacs: Pacs, start: Start, transport: DimseTransport, stage: Stage
) -> None:
    pacs.study = [{**identity(), "PatientID": "OTHER-1"}]
    pacs.status = 0xB000
    note = asking(start(), stage=stage)

    assert transport.send(note) == "B000"
    assert transport.holds(note)


def test_object_that_was_put_under_another_patient_is_not_proven(
    pacs: Pacs, start: Start, transport: DimseTransport
) -> None:
    pacs.after_storing = [{**identity(), "PatientID": "OTHER-1"}]
    to = asking(start())
    assert transport.send(to) == "0000"

    with pytest.raises(SendFailure) as refused:
        transport.holds(to)

    assert (refused.value.code, refused.value.permanent, refused.value.may_be_there) == (COERCED, True, True)
    assert "OTHER-1" not in str(refused.value)


def test_peer_that_says_coerced_is_asked_at_once_even_where_asking_is_off(
    pacs: Pacs, start: Start, transport: DimseTransport
) -> None:
    pacs.status, pacs.after_storing = 0xB000, [{**identity(), "PatientID": "OTHER-1"}]
    with pytest.raises(SendFailure) as refused:
        transport.send(unasked(start()))
    assert (refused.value.code, refused.value.may_be_there) == (COERCED, True)

    pacs.after_storing = [identity()]
    assert transport.send(unasked(start(), 2)) == "B000"


def test_identifier_beyond_ascii_is_not_compared() -> None:
    """Many peers answer in a character set that they do not name."""
    own, answer = Dataset(), Dataset()
    own.PatientID, answer.PatientID = "환자1", "??1"
    assert differing(own, [answer]) == ()
    own.PatientID = " 17 "
    answer.PatientID = "17"
    assert differing(own, [answer]) == ()
    answer.PatientID = "017"
    assert differing(own, [answer]) == ("PatientID",)


@pytest.mark.parametrize(
    ("told", "differs"),
    [
        ("19600102", False),
        ("1960.01.02", False),
        (" 19600102 ", False),
        ("", False),
        ("00000000", False),
        ("1960", False),
        ("19000101", True),
        ("19600201", True),
        ("1960.02.01", True),
    ],
)
def test_date_of_birth_is_compared_where_both_sides_have_one(told: str, differs: bool) -> None:
    own = identified()
    answers = [answer_of({**identity(), "PatientBirthDate": told})]
    assert differing(own, answers) == (("PatientBirthDate",) if differs else ())
    del own.PatientBirthDate
    assert differing(own, answers) == ()


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [([{"PatientID": "OTHER-1"}], None, DIFFERS), ([], [{"PatientID": "OTHER-1"}], COERCED)],
    ids=["before sending", "once it is there"],
)
def test_a_person_is_told_by_a_dead_letter_with_the_reason(
    database: Database,
    tmp_path: Path,
    pacs: Pacs,
    start: Start,
    before: list[dict[str, str]],
    after: list[dict[str, str]] | None,
    reason: str,
) -> None:
    pacs.study, pacs.after_storing = before, after
    box = Outbox(database, tmp_path / "data", port=start())

    delivery = box.step()
    if after is not None:
        assert delivery.state is DeliveryState.SENT
        delivery = box.step()

    assert (delivery.state, delivery.reason) == (DeliveryState.FAILED, reason)
    assert (delivery.sent_at is not None) == (after is not None), "what is there can be taken back"
    assert len(pacs.received) == (after is not None)
    assert "OTHER-1" not in delivery.last_error


@pytest.mark.parametrize(
    ("chosen", "proof", "asks"),
    [
        (None, Proof.QUERY, True),
        (None, Proof.COMMITMENT, True),
        (None, Proof.ACKNOWLEDGEMENT, False),
        (True, Proof.ACKNOWLEDGEMENT, True),
        (False, Proof.QUERY, False),
    ],
)
def test_who_is_asked(database: Database, tmp_path: Path, chosen: bool | None, proof: Proof, asks: bool) -> None:
    Outbox(database, tmp_path / "data", port=104)
    with database.write() as tx:
        peers.edit(tx, "PACS", now=clock(tx), actor="test", proof=proof, identity_check=chosen)

    with database.read() as tx:
        assert [one.identity_check for one in destinations(tx)] == [asks]


# --- DICOMweb ---------------------------------------------------------------------------------------------------------


def test_dicomweb_service_is_asked_by_a_search_for_the_study(tmp_path: Path) -> None:
    """Orthanc keeps two patients with one Study Instance UID apart: what it says of the study is of both."""
    stow = StowTransport({}, connect_seconds=30, answer_seconds=30)
    with Orthanc(tmp_path / "pacs", wetread_port=free_port(), dicom_web=True, routes=False) as pacs:
        to = replace(destination(way=Way.STOW, name="WEB", url=pacs.dicom_web_url), identity_check=True)
        good = replace(unasked(0), destination=to)

        assert stow.send(good) == "200", "a study that it does not know is no objection"
        assert stow.holds(good)

        other = identified(2)
        other.PatientID = "OTHER-1"
        there = replace(unasked(0, 2), payload=encoded(other), destination=replace(to, identity_check=False))
        assert stow.send(there) == "200"
        with pytest.raises(SendFailure) as refused:
            stow.send(good)
        with pytest.raises(SendFailure) as coerced:
            stow.holds(good)
    stow.close()

    assert (refused.value.code, refused.value.permanent) == (DIFFERS, True)
    assert (coerced.value.code, coerced.value.may_be_there) == (COERCED, True)
    assert "PatientID" in str(refused.value)
    assert "OTHER-1" not in str(refused.value)


@pytest.mark.parametrize(("way", "proof", "asks"), [("stow", "query", True), ("stow", "acknowledgement", False)])
def test_which_service_is_asked(database: Database, way: str, proof: str, asks: bool) -> None:
    with database.write() as tx:
        tx.add(Endpoint(name="WEB", way=Way(way), url="http://127.0.0.1:1/", proof=Proof(proof), objects=""))

    with database.read() as tx:
        assert [one.identity_check for one in destinations(tx)] == [asks]
