"""Programs that others wrote, as destinations: what they take, refuse and do to us, and what becomes of each object."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_node import probe
from dicom_node.dicomweb import StowTransport
from dicom_node.dimse import DimseTransport
from dicom_node.errors import SendFailure
from dicom_node.kinds import Kind
from dicom_node.peer import Address
from dicom_node.tables import Proof, Way
from tests.harness import dcmtk
from tests.harness.node import free_port
from tests.harness.orthanc import TITLE, Orthanc
from tests.harness.parcels import CLASSES, destination, object_of, parcel

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
IMPLICIT, EXPLICIT = str(ImplicitVRLittleEndian), str(ExplicitVRLittleEndian)


@pytest.fixture
def transport() -> Iterator[DimseTransport]:
    made = DimseTransport("WETREAD", connect_seconds=60, answer_seconds=60)
    yield made
    made.close()


def ask(port: int, title: str = "PACS") -> probe.Probed:
    return probe.probe(Address("WETREAD", title, "127.0.0.1", port, 30, 30), NOW)


# --- storescp ---------------------------------------------------------------------------------------------------------


def test_storescp_takes_every_form_and_is_no_query_provider(tmp_path: Path, transport: DimseTransport) -> None:
    with dcmtk.receiver(tmp_path) as port:
        for kind in CLASSES:
            assert transport.send(parcel(destination(port), kind)) == "0000"
        with pytest.raises(SendFailure, match="--proof acknowledgement") as failure:
            transport.holds(parcel(destination(port)))
        probed = ask(port)

    assert failure.value.permanent
    advice = probe.advise(probed)
    assert advice.objects == {Kind.BASIC_TEXT, Kind.TID1500, Kind.KOS}
    assert advice.proof is Proof.ACKNOWLEDGEMENT
    assert probed.accepted[probe.BASIC_TEXT] == (EXPLICIT, IMPLICIT)
    received = {dcmread(path).SOPInstanceUID: dcmread(path) for path in tmp_path.iterdir() if path.suffix != ".log"}
    for kind in CLASSES:
        assert received[object_of(kind).SOPInstanceUID] == object_of(kind)


def test_storescp_that_takes_implicit_only_gets_the_same_content(tmp_path: Path, transport: DimseTransport) -> None:
    with dcmtk.receiver(tmp_path, "+xi") as port:
        assert transport.send(parcel(destination(port))) == "0000"
        probed = ask(port)

    assert probed.accepted[probe.BASIC_TEXT] == (IMPLICIT,)
    (received,) = [dcmread(path) for path in tmp_path.iterdir() if path.suffix != ".log"]
    assert received.file_meta.TransferSyntaxUID == IMPLICIT
    assert received == object_of(Kind.BASIC_TEXT)


def test_storescp_with_a_limited_profile_refuses_one_class_and_takes_the_others(
    tmp_path: Path, transport: DimseTransport
) -> None:
    options = dcmtk.profile(tmp_path / "profile", CLASSES[Kind.BASIC_TEXT], probe.COMPREHENSIVE, CLASSES[Kind.KOS])
    with dcmtk.receiver(tmp_path / "store", *options) as port:
        to = destination(port)
        assert transport.send(parcel(to)) == "0000"
        with pytest.raises(SendFailure, match="takes no Comprehensive 3D SR Storage") as failure:
            transport.send(parcel(to, Kind.TID1500))
        assert transport.send(parcel(to, Kind.KOS)) == "0000"
        advice = probe.advise(ask(port))

    assert failure.value.class_refused
    assert advice.objects == {Kind.BASIC_TEXT, Kind.TID1500, Kind.KOS}
    assert (
        "tid1500: it refuses Comprehensive 3D SR; the same goes as Comprehensive SR, which it takes" in advice.reasons
    )


@pytest.mark.parametrize(
    ("classes", "objects"),
    [
        ((probe.PDF, probe.CAPTURE), {Kind.PDF}),
        ((probe.CAPTURE, probe.KEY_OBJECT), {Kind.SC, Kind.KOS}),
        ((probe.BASIC_TEXT, probe.PDF), {Kind.BASIC_TEXT}),
        (("1.2.840.10008.5.1.4.1.1.2",), set()),
    ],
)
def test_advice_is_one_narrative_in_a_form_that_the_peer_takes(
    tmp_path: Path, classes: tuple[str, ...], objects: set[Kind]
) -> None:
    with dcmtk.receiver(tmp_path / "store", *dcmtk.profile(tmp_path, *classes)) as port:
        assert probe.advise(ask(port)).objects == objects


@pytest.mark.parametrize("option", ["--abort-during", "--abort-after"])
def test_storescp_that_aborts_leaves_doubt(tmp_path: Path, transport: DimseTransport, option: str) -> None:
    with dcmtk.receiver(tmp_path, option) as port, pytest.raises(SendFailure, match="broke off") as failure:
        transport.send(parcel(destination(port)))

    assert failure.value.may_be_there
    assert not failure.value.permanent


def test_storescp_that_sleeps_is_not_awaited_for_ever(tmp_path: Path) -> None:
    hasty = DimseTransport("WETREAD", connect_seconds=60, answer_seconds=4)
    began = time.monotonic()
    with dcmtk.receiver(tmp_path, "--sleep-during", "120") as port, pytest.raises(SendFailure) as failure:
        hasty.send(parcel(destination(port)))
    hasty.close()

    assert time.monotonic() - began < 60
    assert failure.value.may_be_there


def test_storescp_that_is_slow_is_waited_for(tmp_path: Path, transport: DimseTransport) -> None:
    with dcmtk.receiver(tmp_path, "--sleep-during", "1") as port:
        assert transport.send(parcel(destination(port))) == "0000"


def test_storescp_that_refuses_associations_is_tried_again(tmp_path: Path) -> None:
    transport = DimseTransport("WETREAD", connect_seconds=30, answer_seconds=30)
    with dcmtk.receiver(tmp_path, "--refuse") as port:
        with pytest.raises(SendFailure, match="rejected the association") as failure:
            transport.send(parcel(destination(port)))
        with pytest.raises(SendFailure, match="rejected the association"):
            ask(port)

    assert (failure.value.permanent, failure.value.may_be_there, failure.value.unreachable) == (False, False, False)


def test_probe_of_nobody_is_unreachable() -> None:
    with pytest.raises(SendFailure, match="cannot be reached"):
        ask(free_port())


# --- dcmqrscp ---------------------------------------------------------------------------------------------------------


def test_dcmqrscp_takes_and_finds(tmp_path: Path, transport: DimseTransport) -> None:
    with dcmtk.archive(tmp_path) as port:
        to = destination(port, name="QRSCP")
        assert not transport.holds(parcel(to))
        for kind in (Kind.BASIC_TEXT, Kind.KOS):
            assert transport.send(parcel(to, kind)) == "0000"
            assert transport.holds(parcel(to, kind))
        probed = ask(port, "QRSCP")

    assert probe.advise(probed).proof is Proof.QUERY
    assert probed.takes(probe.BASIC_TEXT)


# --- Orthanc ----------------------------------------------------------------------------------------------------------


def test_orthanc_takes_and_finds_by_c_store_and_by_stow(tmp_path: Path, transport: DimseTransport) -> None:
    with Orthanc(tmp_path / "pacs", wetread_port=free_port(), dicom_web=True) as pacs:
        dimse = destination(pacs.port, name=TITLE)
        web = destination(name="WEB", way=Way.STOW, url=pacs.dicom_web_url)
        stow = StowTransport({}, connect_seconds=60, answer_seconds=60)
        assert not stow.holds(parcel(web))
        for kind in CLASSES:
            assert transport.send(parcel(dimse, kind, 1)) == "0000"
            assert stow.send(parcel(web, kind, 2)) == "200"
        for kind in CLASSES:
            assert transport.holds(parcel(dimse, kind, 2)), "sent by STOW-RS, asked by C-FIND"
            assert stow.holds(parcel(web, kind, 1)), "sent by C-STORE, asked by QIDO-RS"
        assert not stow.holds(parcel(web, Kind.KOS, 3))
        assert stow.send(parcel(web, Kind.KOS, 2)) == "200", "a second time is no failure"
        advice = probe.advise(ask(pacs.port, TITLE))
        kept = {pacs.dataset(kind_uid).SOPInstanceUID: pacs.dataset(kind_uid) for kind_uid in pacs.ask("/instances")}
        stow.close()

    for kind in CLASSES:
        for number in (1, 2):
            assert kept[object_of(kind, number).SOPInstanceUID] == object_of(kind, number)
    assert advice.objects == {Kind.BASIC_TEXT, Kind.TID1500, Kind.KOS}
    assert advice.proof is Proof.QUERY


def test_dcmqrscp_really_stores(tmp_path: Path, transport: DimseTransport) -> None:
    with dcmtk.archive(tmp_path) as port:
        transport.send(parcel(destination(port, name="QRSCP")))
        (stored,) = (tmp_path / "storage").rglob("SR*")
        shown = subprocess.run([str(dcmtk.FOLDER / "dcmdump"), str(stored)], capture_output=True, text=True, check=True)

    assert object_of(Kind.BASIC_TEXT).SOPInstanceUID in shown.stdout
