"""Every object through three archives that others wrote: stored by us, given back equal, found by its flags.

Each patient has a study of its own: a plain DX, a CR with everything that a film may carry, and names in scripts where
the character set of the film is another one than that of the objects. Of four of them every object goes, of the others
the narrative.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable, Iterator
from email import message_from_bytes
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicom_node.dicomweb import StowTransport
from dicom_node.dimse import DimseTransport
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Way
from dicom_node.transports import Destination, Parcel
from reports.objects.frame import encode
from tests.golden.every_object import made_for, pages_of
from tests.harness import dcmtk
from tests.harness.node import free_port, wait_until
from tests.harness.orthanc import TITLE, Orthanc
from tests.harness.parcels import destination
from tests.unit.reports.films import STUDY, as_received, film, in_charset, ordered_cr

WHOLE = ("dx", "cr", "korean", "arabic")
NARRATIVES = ("chinese-gb18030", "chinese-gbk", "japanese", "cyrillic")
STUDIES = {name: f"{STUDY}.{number}" for number, name in enumerate((*WHOLE, *NARRATIVES), 71)}


@cache
def documents(name: str) -> dict[str, Dataset]:
    """Every object of one patient as it leaves, by name: read back from its bytes."""
    own = {"StudyInstanceUID": STUDIES[name], "SeriesInstanceUID": f"{STUDIES[name]}.1", "PatientID": f"EX-{name}"}
    if name == "cr":
        source = ordered_cr()
        for keyword, value in own.items():
            setattr(source, keyword, value)
    else:
        source = as_received(film(**own)) if name == "dx" else in_charset(name, **own)
    made = made_for(source)
    kinds = {**made, **pages_of(made)} if name in WHOLE else {kind: made[kind] for kind in ("draft", "signed")}
    return {kind: dcmread(BytesIO(encode(document))) for kind, document in kinds.items()}


def everything() -> list[Dataset]:
    return [document for name in STUDIES for document in documents(name).values()]


def parcel(to: Destination, document: Dataset) -> Parcel:
    """What the outbox would hand to a transport. Transports do not look at kind and stage."""
    return Parcel(
        destination=to,
        payload=encode(document),
        kind=Kind.BASIC_TEXT,
        stage=Stage.DRAFT,
        sop_class_uid=document.SOPClassUID,
        sop_instance_uid=document.SOPInstanceUID,
        study_instance_uid=document.StudyInstanceUID,
    )


def assert_equal(received: Iterable[Dataset], sent: Iterable[Dataset]) -> None:
    """All of them, once each, element for element. File meta information is the archive's own."""
    given_back = list(received)
    by_uid = {document.SOPInstanceUID: document for document in given_back}
    assert len(by_uid) == len(given_back)
    assert by_uid.keys() == {document.SOPInstanceUID for document in sent}
    for document in sent:
        assert by_uid[document.SOPInstanceUID] == document


@pytest.fixture(scope="module")
def transport() -> Iterator[DimseTransport]:
    made = DimseTransport("WETREAD", connect_seconds=5, answer_seconds=30)
    yield made
    made.close()


def files_below(folder: Path) -> list[Dataset]:
    return [dcmread(path) for path in folder.iterdir() if path.suffix != ".log"]


# --- storescp and dcmqrscp --------------------------------------------------------------------------------------------


def test_objects_are_made_of_every_class_and_none_is_equal_to_another() -> None:
    found = everything()

    assert len({document.SOPInstanceUID for document in found}) == len(found) == 16 * len(WHOLE) + 2 * len(NARRATIVES)
    assert len({document.SOPClassUID for document in found}) == 6
    assert found[0] != found[1]


def test_storescp_keeps_every_object_as_it_was_sent(tmp_path: Path, transport: DimseTransport) -> None:
    with dcmtk.receiver(tmp_path / "received", "+xa") as port:
        for document in everything():
            assert transport.send(parcel(destination(port, name="STORESCP"), document)) == "0000"
        wait_until(lambda: len(list((tmp_path / "received").iterdir())) > len(everything()), "all objects to arrive")

    assert_equal(files_below(tmp_path / "received"), everything())


@pytest.mark.timeout(600)
def test_dcmqrscp_gives_every_object_back_by_c_get(tmp_path: Path, transport: DimseTransport) -> None:
    with dcmtk.archive(tmp_path / "archive") as port:
        for document in everything():
            assert transport.send(parcel(destination(port, name="QRSCP"), document)) == "0000"
        for name, study in STUDIES.items():
            folder = tmp_path / name
            folder.mkdir()
            keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}")
            got = dcmtk.run("getscu", "-v", "-S", "-aec", "QRSCP", *keys, "-od", folder, "127.0.0.1", str(port))
            assert got.returncode == 0, got.stdout[-2000:]

            assert_equal(files_below(folder), documents(name).values())


# --- Orthanc, by DIMSE and by DICOMweb --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory, transport: DimseTransport) -> Iterator[Orthanc]:
    """An archive with all objects: those of half of the patients sent by C-STORE, the others' by STOW-RS."""
    folder = tmp_path_factory.mktemp("orthanc")
    with Orthanc(folder / "pacs", wetread_port=free_port(), dicom_web=True) as running:
        stow = StowTransport({}, connect_seconds=5, answer_seconds=30)
        web = destination(name="WEB", way=Way.STOW, url=running.dicom_web_url)
        for name in STUDIES:
            for document in documents(name).values():
                if name in {"dx", "korean", "japanese", "chinese-gbk"}:
                    assert transport.send(parcel(destination(running.port, name=TITLE), document)) == "0000"
                else:
                    assert stow.send(parcel(web, document)) == "200"
        stow.close()
        yield running


def by_wado(pacs: Orthanc, study: str) -> list[Dataset]:
    """Retrieve a study by WADO-RS (PS3.18 10.4)."""
    wanted = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    request = urllib.request.Request(f"{pacs.dicom_web_url}/studies/{study}", headers=wanted)
    with urllib.request.urlopen(request, timeout=60) as answer:
        head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
        parts = list(message_from_bytes(head + answer.read()).walk())[1:]
    return [dcmread(BytesIO(bytes(part.get_payload(decode=True)))) for part in parts]


def by_qido(pacs: Orthanc, query: str) -> list[dict[str, dict[str, list[str]]]]:
    """Search for instances by QIDO-RS (PS3.18 10.6)."""
    with urllib.request.urlopen(f"{pacs.dicom_web_url}/instances?{query}", timeout=60) as answer:
        return list(json.load(answer))


def uids(pacs: Orthanc, query: str) -> set[str]:
    return {one["00080018"]["Value"][0] for one in by_qido(pacs, query)}


@pytest.mark.timeout(600)
def test_orthanc_gives_every_object_back_in_its_patients_study(pacs: Orthanc) -> None:
    assert_equal((pacs.dataset(number) for number in pacs.ask("/instances")), everything())
    assert len(pacs.ask("/patients")) == len(pacs.ask("/studies")) == len(STUDIES)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", STUDIES)
def test_orthanc_gives_every_object_back_by_dicomweb(pacs: Orthanc, name: str) -> None:
    assert_equal(by_wado(pacs, STUDIES[name]), documents(name).values())


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("flag", "forms"), [("UNVERIFIED", 5), ("VERIFIED", 7)])
def test_a_search_for_the_flag_finds_drafts_and_finals(pacs: Orthanc, flag: str, forms: int) -> None:
    expected = {one.SOPInstanceUID for one in everything() if one.get("VerificationFlag") == flag}

    assert len(expected) == forms * len(WHOLE) + len(NARRATIVES)
    assert uids(pacs, f"VerificationFlag={flag}") == expected


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["korean", "arabic"])
def test_a_search_in_one_study_finds_its_drafts_only(pacs: Orthanc, name: str) -> None:
    drafts = {one.SOPInstanceUID for one in documents(name).values() if one.get("VerificationFlag") == "UNVERIFIED"}

    assert uids(pacs, f"VerificationFlag=UNVERIFIED&StudyInstanceUID={STUDIES[name]}") == drafts


@pytest.mark.timeout(600)
def test_orthanc_shows_each_name_in_its_script(pacs: Orthanc) -> None:
    """By its own interface. Its QIDO-RS answers in the character set of its option DefaultEncoding, here Latin-1."""
    shown = {found["SOPInstanceUID"]: found["PatientName"] for found in pacs.instances("SR")}

    assert len(shown) == 10 * len(WHOLE) + 2 * len(NARRATIVES)
    for document in everything():
        if document.Modality == "SR":
            assert shown[document.SOPInstanceUID] == str(document.PatientName)


@pytest.mark.timeout(600)
def test_each_kind_has_series_of_its_own_and_drafts_never_share_one_with_finals(pacs: Orthanc) -> None:
    series: dict[str, set[tuple[str, str]]] = {}
    for document in everything():
        stage = str(document.get("VerificationFlag", "-")), str(document.SOPClassUID)
        series.setdefault(document.SeriesInstanceUID, set()).add(stage)

    assert {len(kinds) for kinds in series.values()} == {1}
    assert len(pacs.ask("/series")) == len(series)
