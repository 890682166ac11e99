"""The loopback PACS behaves like a PACS towards dcmtk and towards our own sender."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless
from pynetdicom import AE, _config, evt

from agent.demo.phantom import film
from dicom_node.aet import RemoteAddress
from dicom_node.errors import ConfigurationError, SendFailure
from dicom_node.loopback import Arrival, LoopbackPacs, send, stores

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NUMBERS = count(1)


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[LoopbackPacs]:
    with LoopbackPacs("PACS", 0, tmp_path / "pacs") as running:
        yield running


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "film.dcm"
    small = film(1, now=NOW, new_uid=lambda: f"2.25.77{next(NUMBERS)}", rows=128, columns=112)
    small.save_as(path, enforce_file_format=True)
    return path


def dcmtk(tool: str, pacs: LoopbackPacs, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [f"/usr/bin/{tool}", "-aec", "PACS", "127.0.0.1", str(pacs.port), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def find(pacs: LoopbackPacs, *keys: str) -> list[str]:
    """Ask with dcmtk's findscu; return the lines of the answers that hold UIDs."""
    asked = [part for key in keys for part in ("-k", key)]
    result = dcmtk("findscu", pacs, "-S", *asked)
    assert result.returncode == 0, result.stderr
    answers = (result.stdout + result.stderr).split("Find Response:")[1:]
    return [answer for answer in answers if "(Pending)" in answer]


def test_dcmtk_can_verify_and_store(pacs: LoopbackPacs, image: Path) -> None:
    assert dcmtk("echoscu", pacs).returncode == 0
    assert dcmtk("storescu", pacs, image).returncode == 0
    (arrival,) = pacs.received
    sent = dcmread(image)
    assert arrival.sop_instance_uid == sent.SOPInstanceUID
    assert arrival.study_instance_uid == sent.StudyInstanceUID
    assert dcmread(arrival.path) == sent


def test_a_wrong_called_ae_title_is_rejected(pacs: LoopbackPacs, image: Path) -> None:
    with pytest.raises(SendFailure, match="did not accept"):
        send(image, RemoteAddress("OTHER", "127.0.0.1", pacs.port), "SENDER")
    assert pacs.received == ()


def test_send_keeps_the_encoded_bytes_and_the_transfer_syntax(pacs: LoopbackPacs, image: Path) -> None:
    dataset = dcmread(image)
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    dataset.save_as(image)
    assert send(image, pacs.address, "SENDER") == 0
    (arrival,) = pacs.received
    assert arrival.calling_ae_title == "SENDER"
    assert dcmread(arrival.path).file_meta.TransferSyntaxUID == JPEG2000Lossless
    assert arrival.path.read_bytes().endswith(image.read_bytes()[-5000:])


@pytest.mark.parametrize("streamed", [True, False])
def test_it_stores_whether_or_not_pynetdicom_streams_to_files(
    pacs: LoopbackPacs, image: Path, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    monkeypatch.setattr(_config, "STORE_RECV_CHUNKED_DATASET", streamed)
    send(image, pacs.address, "SENDER")
    assert dcmread(pacs.received[0].path) == dcmread(image)


def test_a_uid_from_the_network_never_names_a_file(pacs: LoopbackPacs, image: Path, tmp_path: Path) -> None:
    dataset = dcmread(image)
    with pytest.warns(UserWarning, match="Invalid value for VR UI"):
        dataset.SOPInstanceUID = "../../evil"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    with pytest.warns(UserWarning, match="Invalid value for VR UI"):
        dataset.save_as(image)
    send(image, pacs.address, "SENDER")
    assert pacs.received[0].sop_instance_uid == "../../evil"
    assert pacs.received[0].path.parent == tmp_path / "pacs"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.dcm", "pacs"]


def test_find_answers_from_what_it_holds(pacs: LoopbackPacs, image: Path) -> None:
    dataset = dcmread(image)
    instance, study = f"SOPInstanceUID={dataset.SOPInstanceUID}", f"StudyInstanceUID={dataset.StudyInstanceUID}"
    assert find(pacs, "QueryRetrieveLevel=IMAGE", instance) == []
    send(image, pacs.address, "SENDER")
    send(image, pacs.address, "SENDER")
    (answer,) = find(pacs, "QueryRetrieveLevel=IMAGE", instance)
    assert dataset.SeriesInstanceUID in answer
    (answer,) = find(pacs, "QueryRetrieveLevel=STUDY", study)
    assert "[1 ]" in answer  # one instance, although it came twice
    (answer,) = find(pacs, "QueryRetrieveLevel=STUDY", study, "PatientID", "AccessionNumber")
    assert str(dataset.PatientID) in answer, "else nobody could sign in the demonstration"
    assert find(pacs, "QueryRetrieveLevel=IMAGE", "SOPInstanceUID=1.2.3") == []
    assert find(pacs, "QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.3") == []
    assert len(find(pacs, "QueryRetrieveLevel=IMAGE", study, "SOPInstanceUID")) == 1
    assert len(find(pacs, "QueryRetrieveLevel=IMAGE", f"{instance}\\1.2.3")) == 1


def test_arrivals_are_told_and_listed_in_order(tmp_path: Path, image: Path) -> None:
    told: list[Arrival] = []
    with LoopbackPacs("PACS", 0, tmp_path / "pacs", told.append) as pacs:
        senders = [threading.Thread(target=send, args=(image, pacs.address, f"S{number}")) for number in range(4)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        assert len(told) == len(pacs.received) == 4
        assert stores(tmp_path / "pacs") == tuple(arrival.path for arrival in pacs.received)


def test_a_taken_port_is_an_error_that_says_so(pacs: LoopbackPacs, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="another program has it"):
        LoopbackPacs("OTHER", pacs.port, tmp_path / "other").__enter__()


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # pynetdicom's, where a connection is refused
def test_the_port_is_closed_when_the_context_ends(tmp_path: Path, image: Path) -> None:
    with LoopbackPacs("PACS", 0, tmp_path / "pacs") as pacs:
        address = pacs.address
    with pytest.raises(SendFailure):
        send(image, address, "SENDER")


@pytest.mark.parametrize(("status", "permanent"), [(0xA700, False), (0xA900, True), (0xC000, True)])
def test_send_tells_apart_what_is_worth_another_try(image: Path, status: int, permanent: bool) -> None:
    fussy = AE("FUSSY")
    fussy.add_supported_context(dcmread(image).SOPClassUID, ExplicitVRLittleEndian)
    server = fussy.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _: status)])
    try:
        with pytest.raises(SendFailure, match=f"0x{status:04X}") as raised:
            send(image, RemoteAddress("FUSSY", "127.0.0.1", server.server_address[1]), "SENDER")
    finally:
        fussy.shutdown()
    assert raised.value.permanent is permanent
