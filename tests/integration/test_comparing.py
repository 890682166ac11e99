"""Taking an archive into use: what it gives back is compared with what it was sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pydicom import Dataset, dcmread
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as Get  # type: ignore[attr-defined]

from agent.cli import wetread
from agent.comparing import probe_object
from agent.config import Config
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.errors import ConfigurationError, NotFound
from dicom_node.retrieval import differences, part_of
from dicom_node.tables import AuditRow, Proof
from reports.checks import problems_of
from reports.config import ReportsConfig
from reports.objects.content import read_content
from reports.objects.frame import encode
from tests.harness import dcmtk
from tests.harness.installation import install
from tests.harness.node import free_port
from tests.harness.orthanc import TITLE, Orthanc
from tests.harness.outbox import SR, Outbox
from tests.unit.reports.films import MOMENT, draft, in_charset


class Desk:
    """A configured node whose processes do not run, and one that serves C-GET beside it."""

    def __init__(self, folder: Path) -> None:
        self.config_file = folder / "wetread.toml"
        self.config_file.write_text(f'[node]\ndata_folder = "{folder / "data"}"\ndimse_timeout_seconds = 30.0\n')
        self.config = Config(node=NodeConfig(data_folder=folder / "data"))
        self.database = Database(self.config.node.database_url)
        install(self.database)

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(wetread, ["--config", str(self.config_file), *words], catch_exceptions=False)

    def tell(self, *words: str) -> str:
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result.stdout


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.database.close()


class Forger:
    """Takes objects, and gives back what `forge` makes of them."""

    def __init__(self) -> None:
        self.kept: list[Dataset] = []
        self.forge: Callable[[Dataset], Dataset | None] = lambda document: document

    def store(self, event: evt.Event) -> int:
        document = event.dataset
        document.file_meta = event.file_meta
        self.kept.append(document)
        return 0x0000

    def get(self, event: evt.Event) -> Iterator[Any]:
        uid = event.identifier.SOPInstanceUID
        made = [self.forge(one) for one in self.kept if one.SOPInstanceUID == uid]
        found = [one for one in made if one is not None]
        yield len(found)
        for one in found:
            yield 0xFF00, one


@pytest.fixture
def forger() -> Forger:
    return Forger()


@pytest.fixture
def port(forger: Forger) -> Iterator[int]:
    entity = AE(ae_title="PACS")
    entity.add_supported_context(Get)
    entity.add_supported_context(SR, scu_role=True, scp_role=True)
    handlers: list[Any] = [(evt.EVT_C_STORE, forger.store), (evt.EVT_C_GET, forger.get)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    yield server.server_address[1]
    server.shutdown()


def compare(desk: Desk, *words: str) -> dict[str, Any]:
    result = desk.run("ae", "probe", "PACS", "--compare", "--json", *words)
    assert result.stdout.startswith("{"), result.output
    found: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (0 if found["equal"] else 1)
    return found


def add(desk: Desk, port: int, title: str = "PACS") -> None:
    desk.tell("ae", "add", f"{title}@127.0.0.1:{port}", "--send-to", "--no-probe")


def test_nothing_is_sent_without_the_flag(desk: Desk, forger: Forger, port: int) -> None:
    add(desk, port)

    assert desk.run("ae", "probe", "PACS", "--send-probe").exit_code == 2
    with pytest.raises(NotFound, match="--send-probe"):
        desk.run("ae", "probe", "PACS", "--compare")

    assert forger.kept == []


def test_object_that_comes_back_as_it_was_sent_is_equal(desk: Desk, forger: Forger, port: int) -> None:
    add(desk, port)

    found = compare(desk, "--send-probe")

    (sent,) = forger.kept
    assert (found["equal"], found["found"], found["was_sent"], found["differences"]) == (True, True, True, [])
    assert found["sop_instance_uid"] == sent.SOPInstanceUID
    assert str(sent.PatientName) == "Wetread^Probe"
    with desk.database.read() as tx:
        assert "probe-sent" in {row.event for row in tx.query(AuditRow)}


def _other_patient(document: Dataset) -> Dataset:
    document.PatientID = "SECRET-17"
    return document


def _other_words(document: Dataset) -> Dataset:
    document.ContentSequence[-2].ContentSequence[0].TextValue = "Other words under the same UID."
    return document


def _without(document: Dataset) -> Dataset:
    del document.SeriesDescription
    document.InstitutionName = "SECRET HOSPITAL"
    return document


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (_other_patient, ["PatientID was changed"]),
        (_other_words, ["TextValue was changed"]),
        (_without, ["SeriesDescription is gone", "InstitutionName was added"]),
        (lambda _document: None, []),
    ],
)
def test_other_content_under_the_same_uid_is_told_without_its_values(
    desk: Desk, forger: Forger, port: int, forge: Callable[[Dataset], Dataset | None], words: list[str]
) -> None:
    add(desk, port)
    forger.forge = forge

    found = compare(desk, "--send-probe")

    assert (found["equal"], found["found"]) == (False, bool(words))
    assert len(found["differences"]) == len(words)
    for word in words:
        assert any(said.endswith(word) for said in found["differences"]), found
    assert "SECRET" not in str(found)


def test_newest_delivered_object_is_compared_with_what_was_sent(
    tmp_path: Path, desk: Desk, forger: Forger, port: int
) -> None:
    """What `send` delivered and proved; the comparison itself sends nothing."""
    box = Outbox(desk.database, tmp_path / "data", port=port, proof=Proof.ACKNOWLEDGEMENT)
    assert box.step().committed_at is not None
    before = len(forger.kept)

    assert compare(desk)["equal"]
    forger.forge = _other_patient
    assert compare(desk)["differences"] == ["PatientID was changed"]
    assert len(forger.kept) == before


def test_archive_that_gives_nothing_back_by_c_get_is_told_in_words(desk: Desk, tmp_path: Path) -> None:
    with dcmtk.receiver(tmp_path / "received", title="PACS") as port:
        add(desk, port)
        result = desk.run("ae", "probe", "PACS", "--compare", "--send-probe")

    assert result.exit_code == 1
    assert "GET" in result.output


def test_dcmqrscp_gives_the_probe_back(desk: Desk, tmp_path: Path) -> None:
    with dcmtk.archive(tmp_path / "archive", title="PACS") as port:
        add(desk, port)
        assert compare(desk, "--send-probe")["equal"]


def test_orthanc_gives_the_probe_back_by_c_get_and_by_wado(desk: Desk, tmp_path: Path) -> None:
    with Orthanc(tmp_path / "pacs", wetread_port=free_port(), dicom_web=True, routes=False) as pacs:
        add(desk, pacs.port, TITLE)
        desk.tell("destination", "add", "WEB", pacs.dicom_web_url, "--way", "stow")

        assert "equal, element for element" in desk.tell("ae", "probe", TITLE, "--compare", "--send-probe")
        assert "equal, element for element" in desk.tell("destination", "test", "WEB", "--compare", "--send-probe")


def test_destination_without_dicom_objects_cannot_be_compared(desk: Desk) -> None:
    desk.tell("destination", "add", "RIS", f"mllp://127.0.0.1:{free_port()}")

    with pytest.raises(ConfigurationError, match="keeps no DICOM objects"):
        desk.run("destination", "test", "RIS", "--compare", "--send-probe")


# --- pieces -----------------------------------------------------------------------------------------------------------


def test_probe_object_is_about_nobody_and_passes_every_check() -> None:
    document = probe_object("PACS", MOMENT, ReportsConfig())

    assert problems_of(document) == ()
    assert "about nobody" in read_content(document).warning
    assert document.PatientID.startswith("WETREAD-PROBE-")
    assert probe_object("OTHER", MOMENT, ReportsConfig()).StudyInstanceUID != document.StudyInstanceUID


def test_differences_do_not_depend_on_how_the_object_was_written() -> None:
    document = draft(in_charset("korean"))
    read = dcmread(BytesIO(encode(document)))

    assert list(differences(document, read)) == []
    implicit = BytesIO()
    Dataset({element.tag: element for element in document}).save_as(implicit, implicit_vr=True, little_endian=True)
    implicit.seek(0)
    assert list(differences(document, dcmread(implicit, force=True))) == []


def test_first_part_of_a_multipart_answer_is_the_object() -> None:
    payload = encode(draft())
    body = b"--b1\r\nContent-Type: application/dicom\r\n\r\n" + payload + b"\r\n--b1--\r\n"

    found = part_of(body, "b1")

    assert found is not None
    assert list(differences(draft(), found)) == []
    assert part_of(b"", "b1") is None
