"""The PACS is asked whose study a draft is about, by real associations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from agent.asking import WhoseStudy
from agent.config import Config
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.tables import Mode, Proof, RemoteAE
from reports.signoff.tables import Identity
from reports.web.identity import Checked, in_words
from tests.harness.installation import install
from tests.harness.node import free_port
from tests.unit.reports import films

Answer = dict[str, str] | None
Says = Callable[[str, Answer], int]


@contextmanager
def pacs(title: str, answer: Answer) -> Iterator[int]:
    """An archive that knows one study, as `answer` says; None: it does not know it."""

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        if answer is not None:
            found = Dataset()
            found.QueryRetrieveLevel = "STUDY"
            found.StudyInstanceUID = event.identifier.StudyInstanceUID
            for keyword, value in answer.items():
                setattr(found, keyword, value)
            yield 0xFF00, found

    entity = AE(ae_title=title)
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    port = free_port()
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_FIND, find)])
    assert server is not None
    yield port
    server.shutdown()


class Site:
    """A database with peers, and who asks them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        config = Config(node=NodeConfig(data_folder=folder))
        self.database = Database(config.node.database_url)
        stack.callback(self.database.close)
        install(self.database)
        self.ask = WhoseStudy(config, self.database)
        self._stack = stack

    def peer(self, title: str, answer: Answer, **settings: object) -> None:
        self.known(title, self._stack.enter_context(pacs(title, answer)), **settings)

    def known(self, title: str, port: int, **settings: object) -> None:
        chosen = {"mode": Mode.DRAFT, "proof": Proof.QUERY, **settings}
        with self.database.write() as tx:
            tx.add(RemoteAE(ae_title=title, host="127.0.0.1", port=port, send_to=True, **chosen))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path, stack)


SAME: Answer = {
    "PatientID": "EX-0001",
    "AccessionNumber": "ACC0001",
    "IssuerOfPatientID": "",
    "PatientBirthDate": "19600102",
}


def test_pacs_that_has_the_same_patient_and_order_agrees(site: Site) -> None:
    site.peer("PACS", SAME)

    said = site.ask(films.draft())

    assert said == Checked(Identity.SAME, ("PACS",))
    assert in_words(said.outcome, said) == "The PACS agrees (PACS asked)"


def test_one_pacs_with_another_patient_outweighs_all_that_agree(site: Site) -> None:
    site.peer("PACS", SAME)
    site.peer("VNA", {"PatientID": "EX-0002", "AccessionNumber": "ACC9999"})

    said = site.ask(films.draft())

    assert said.outcome is Identity.DIFFERS
    assert said.differing == ("PatientID", "AccessionNumber")
    assert in_words(said.outcome, said) == (
        "The PACS has another patient or order: signing is blocked (Patient ID, Accession Number) (PACS, VNA asked)"
    )


def test_pacs_with_another_date_of_birth_keeps_a_signature_back(site: Site) -> None:
    site.peer("PACS", {**SAME, "PatientBirthDate": "19600201"})

    said = site.ask(films.draft())

    assert said.outcome is Identity.DIFFERS
    assert said.differing == ("PatientBirthDate",)
    assert "Patient's Birth Date" in in_words(said.outcome, said)


@pytest.mark.parametrize(
    ("answer", "words"),
    [(None, "PACS does not know the study."), ({"PatientID": ""}, "PACS does not tell the Patient ID.")],
)
def test_pacs_that_says_nothing_proves_nothing(site: Site, answer: Answer, words: str) -> None:
    site.peer("PACS", answer)

    said = site.ask(films.draft())

    assert said.outcome is Identity.UNKNOWN
    assert said.trouble == (words,)


def test_pacs_that_is_away_is_named_and_the_other_one_is_enough(site: Site) -> None:
    site.known("AWAY", free_port())
    assert site.ask(films.draft()).outcome is Identity.UNKNOWN
    assert "AWAY" in site.ask(films.draft()).trouble[0]

    site.peer("PACS", SAME)
    assert site.ask(films.draft()).outcome is Identity.SAME


def test_nobody_is_asked_who_may_not_be(site: Site) -> None:
    site.known("TAKER", free_port(), proof=Proof.ACKNOWLEDGEMENT)
    site.known("SHADOW", free_port(), mode=Mode.SHADOW)

    assert site.ask(films.draft()) == Checked(Identity.NOBODY)
