"""The matrix of deploy/docs/peers.md: each service in each direction with each peer, tried, and written down.

WETREAD_WRITE_DOCS=1 writes the tables anew.
"""

from __future__ import annotations

import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import JPEG2000, UID, JPEG2000Lossless
from sqlalchemy import select

from agent.imaging.gate import is_elsewhere
from dicom_node import peer as peers_of_ours
from dicom_node import reconcile, retrieval
from dicom_node.commitment import Asker, NotCommitting
from dicom_node.commitment_service import Commitment, Reporter
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.dicomweb import StowTransport
from dicom_node.dimse import DimseTransport
from dicom_node.errors import SendFailure
from dicom_node.fetching import have_given
from dicom_node.kinds import Kind
from dicom_node.listener import Listener
from dicom_node.mpps import PerformedSteps
from dicom_node.peer import Address
from dicom_node.reconcile import Series
from dicom_node.reconcile_web import searching_web
from dicom_node.storage import Storage
from dicom_node.tables import Instance, RemoteAE, Way
from dicom_node.worklist.commitments import Reference
from tests.harness import dcmtk
from tests.harness.door import small_film
from tests.harness.node import free_port, wait_until
from tests.harness.orthanc import TITLE as ORTHANC
from tests.harness.orthanc import Orthanc
from tests.harness.parcels import destination, object_of, parcel
from tests.harness.qrscp import TITLE as QRSCP
from tests.harness.qrscp import qrscp

PAGE = Path(__file__).parents[2] / "deploy" / "docs" / "peers.md"
SERVICES, SYNTAXES = (
    "<!-- services, written by the test of peers -->",
    "<!-- syntaxes, written by the test of peers -->",
)
END = "<!-- end -->"

FOREIGN = ("Orthanc 1.10", "dcmqrscp", "storescu, storescp", "wlmscpfs")
PEERS = (*FOREIGN, "pynetdicom's qrscp")
YES, REFUSED, NONE = "yes", "refuses", "-"

ECHO, ECHOED = "C-ECHO, we ask", "C-ECHO, we answer"
SEND, RECEIVE = "C-STORE, we send documents", "C-STORE, we receive films"
FIND, MOVE = "C-FIND, we ask for documents and films", "C-MOVE, we have films sent"
GET, GIVE = "C-GET, we get documents back", "C-GET, we have films given"
COMMIT, COMMITTED = "storage commitment, we ask", "storage commitment, we answer"
STOW, QIDO = "STOW-RS, we send documents", "QIDO-RS, we ask for documents and films"
MPPS, IAN = "MPPS, we answer", "Instance Availability Notification, we answer"
ROWS = (ECHO, ECHOED, SEND, RECEIVE, FIND, MOVE, GIVE, GET, COMMIT, COMMITTED, STOW, QIDO, MPPS, IAN)

CODINGS = MappingProxyType(
    {
        "Implicit VR Little Endian": ("dcmconv", "+ti"),
        "Explicit VR Little Endian": ("dcmconv", "+te"),
        "Explicit VR Big Endian": ("dcmconv", "+tb"),
        "Deflated Explicit VR Little Endian": ("dcmconv", "+td"),
        "JPEG Lossless, First-Order Prediction": ("dcmcjpeg", "+e1"),
        "JPEG Lossless, other selection values": ("dcmcjpeg", "+el"),
        "JPEG Baseline, 8 bit": ("dcmcjpeg", "+eb"),
        "JPEG Extended, 12 bit": ("dcmcjpeg", "+ee"),
        "JPEG-LS Lossless": ("dcmcjpls", "+el"),
        "JPEG-LS Near Lossless": ("dcmcjpls", "+en"),
        "JPEG 2000 Lossless": (JPEG2000Lossless, ""),
        "JPEG 2000": (JPEG2000, ""),
        "RLE Lossless": ("dcmcrle", ""),
    }
)
DAY = "20261121"


class Us:
    """Our listener with all its services, in this process."""

    def __init__(self, folder: Path, url: str) -> None:
        self.config = NodeConfig(
            bind_address="127.0.0.1",
            port=free_port(),
            data_folder=folder,
            reserve_mebibytes=1,
            dimse_timeout_seconds=30,
        )
        self.database = Database(url, busy_seconds=10)
        self.listener = Listener(
            self.config, self.database, [Commitment(self.config, self.database), PerformedSteps(self.database)]
        )
        self.transport = DimseTransport("WETREAD", connect_seconds=10, answer_seconds=30)
        self._known: set[str] = set()

    def knows(self, title: str, port: int = 0) -> None:
        if title not in self._known:
            self._known.add(title)
            with self.database.write() as tx:
                host = "127.0.0.1" if port else ""
                tx.add(RemoteAE(ae_title=title, host=host, port=port, may_send=True, send_to=bool(port)))

    def syntaxes(self, title: str) -> dict[str, str]:
        """SOP Instance UID -> transfer syntax of what this peer sent."""
        with self.database.read() as tx:
            rows = tx.scalars(select(Instance).where(Instance.calling_ae_title == title)).all()
        return {row.sop_instance_uid: row.transfer_syntax_uid for row in rows}


@pytest.fixture
def us(tmp_path: Path, sqlite_url: str) -> Iterator[Us]:
    made = Us(tmp_path / "data", sqlite_url)
    made.listener.start()
    yield made
    made.transport.close()
    made.listener.stop(patience_seconds=5)
    made.database.close()


Cells = dict[str, str]


# --- what is tried with a peer; each returns a cell -------------------------------------------------------------------


def is_refusal(failure: SendFailure) -> bool:
    """Of the class; or, as wlmscpfs does where it takes no class of those asked for, of the association."""
    return failure.class_refused or "takes no" in str(failure) or "gives no reason" in str(failure)


def echo(title: str, port: int) -> str:
    peers_of_ours.echo(Address("WETREAD", title, "127.0.0.1", port, 10, 30))
    return YES


def send(us: Us, title: str, port: int) -> str:
    to = destination(port, name=title)
    try:
        assert us.transport.send(parcel(to, Kind.BASIC_TEXT)) == "0000"
        assert us.transport.send(parcel(to, Kind.KOS)) == "0000"
    except SendFailure as failure:
        if not is_refusal(failure):
            raise
        return REFUSED
    return YES


def find(us: Us, title: str, port: int, film: Dataset | None) -> str:
    """The document that was sent, and the series of a film that lies there."""
    to = destination(port, name=title)
    try:
        assert us.transport.holds(parcel(to, Kind.BASIC_TEXT))
        assert not us.transport.holds(parcel(to, Kind.BASIC_TEXT, 77))
        if film is not None:
            with reconcile.searching(Address("WETREAD", title, "127.0.0.1", port, 10, 30)) as search:
                found = reconcile.series_of(search, film.StudyInstanceUID, is_elsewhere=is_elsewhere)
                assert [one.modality for one in found] == ["DX"]
    except SendFailure as failure:
        if not is_refusal(failure):
            raise
        return REFUSED
    return YES


def move(us: Us, title: str, port: int, film: Dataset) -> str:
    address = Address("WETREAD", title, "127.0.0.1", port, 10, 30)
    us.knows(title, port)
    series = [Series(film.SeriesInstanceUID, "DX", 1)]
    try:
        assert reconcile.have_sent(address, film.StudyInstanceUID, series, to="WETREAD") == 1
    except SendFailure as failure:
        if not is_refusal(failure):
            raise
        return REFUSED
    assert film.SOPInstanceUID in us.syntaxes(title)
    return YES


def give(us: Us, title: str, port: int, folder: Path) -> str:
    """A film that lies there and never came."""
    film = small_film(StudyDate=DAY)
    address = Address("WETREAD", title, "127.0.0.1", port, 10, 30)
    series = [Series(film.SeriesInstanceUID, "DX", 1)]
    try:
        path = folder / f"given-by-{title}.dcm"
        film.save_as(path, enforce_file_format=True)
        dcmtk.store(port, path, called=title)
        storage = Storage(us.config, us.database)
        assert have_given(address, film.StudyInstanceUID, series, storage, maximum_pdu_size=16384) == 1
    except SendFailure as failure:
        if not is_refusal(failure):
            raise
        return REFUSED
    assert film.SOPInstanceUID in us.syntaxes(title)
    return YES


def get(title: str, port: int) -> str:
    """The document that was sent."""
    sent = object_of(Kind.BASIC_TEXT)
    try:
        got = retrieval.get(Address("WETREAD", title, "127.0.0.1", port, 10, 30), sent)
    except SendFailure as failure:
        if not is_refusal(failure):
            raise
        return REFUSED
    assert got is not None
    assert got.SOPInstanceUID == sent.SOPInstanceUID
    return YES


def commit(us: Us, title: str, port: int) -> str:
    """Does it take the question? That the report is booked is tested where commitment is."""
    sent = parcel(destination(port, name=title), Kind.BASIC_TEXT)
    asker = Asker(lambda _report: 0x0000, keep_seconds=0.1)
    try:
        reference = Reference(sent.sop_class_uid, sent.sop_instance_uid)
        assert asker.ask(Address("WETREAD", title, "127.0.0.1", port, 10, 30), f"2.25.{port}", [reference])
    except SendFailure as failure:
        if not (isinstance(failure, NotCommitting) or is_refusal(failure)):
            raise
        return REFUSED
    return YES


def lay(folder: Path, port: int, called: str) -> Dataset:
    """A film in the peer's store, sent by storescu."""
    film = small_film(StudyDate=DAY)
    path = folder / f"{called}.dcm"
    film.save_as(path, enforce_file_format=True)
    done = dcmtk.store(port, path, called=called)
    assert done.returncode == 0, done.stdout
    return film


# --- peers ------------------------------------------------------------------------------------------------------------


def with_orthanc(us: Us, folder: Path) -> tuple[Cells, Cells]:
    cells: Cells = {}
    with Orthanc(folder / "orthanc", wetread_port=us.config.port, dicom_web=True) as pacs:
        us.knows(ORTHANC, pacs.port)
        cells[ECHO] = echo(ORTHANC, pacs.port)
        pacs.post("/modalities/wetread/echo", {})
        cells[ECHOED] = YES
        cells[SEND] = send(us, ORTHANC, pacs.port)
        film = lay(folder, pacs.port, ORTHANC)
        wait_until(lambda: film.SOPInstanceUID in us.syntaxes(ORTHANC), "Orthanc to route the film")
        cells[RECEIVE] = YES
        cells[FIND] = find(us, ORTHANC, pacs.port, film)
        cells[MOVE] = move(us, ORTHANC, pacs.port, film)
        cells[GET] = get(ORTHANC, pacs.port)
        cells[GIVE] = give(us, ORTHANC, pacs.port, folder)
        cells[COMMIT] = commit(us, ORTHANC, pacs.port)
        asked = pacs.post(
            "/modalities/wetread/storage-commitment", {"DicomInstances": [[film.SOPClassUID, film.SOPInstanceUID]]}
        )
        wait_until(Reporter(us.config, us.database).report_one, "the report to be due")
        assert pacs.ask(asked["Path"])["Status"] == "Success"
        cells[COMMITTED] = YES
        web = destination(name="WEB", way=Way.STOW, url=pacs.dicom_web_url)
        stow = StowTransport({}, connect_seconds=10, answer_seconds=30)
        assert stow.send(parcel(web, Kind.KOS, 5)) == "200"
        cells[STOW] = YES
        assert stow.holds(parcel(web, Kind.KOS, 5))
        stow.close()
        with searching_web(web, {}, seconds=30) as search:
            found = reconcile.series_of(search, film.StudyInstanceUID, is_elsewhere=is_elsewhere)
            assert [one.modality for one in found] == ["DX"]
        cells[QIDO] = YES
        syntaxes = coded_through(us, folder / "o", pacs.port, called=ORTHANC, sender=ORTHANC)
    return cells, syntaxes


def with_dcmqrscp(us: Us, folder: Path) -> Cells:
    cells: Cells = {}
    with dcmtk.archive_that_moves(folder / "dcmqrscp", our_port=us.config.port, title="DCMQRSCP") as port:
        us.knows("DCMQRSCP", port)
        cells[ECHO] = echo("DCMQRSCP", port)
        cells[SEND] = send(us, "DCMQRSCP", port)
        film = lay(folder, port, "DCMQRSCP")
        cells[FIND] = find(us, "DCMQRSCP", port, film)
        cells[MOVE] = cells[RECEIVE] = move(us, "DCMQRSCP", port, film)
        cells[GET] = get("DCMQRSCP", port)
        cells[GIVE] = give(us, "DCMQRSCP", port, folder)
        cells[COMMIT] = commit(us, "DCMQRSCP", port)
    return cells


def with_storescp(us: Us, folder: Path) -> tuple[Cells, Cells]:
    cells: Cells = {}
    us.knows("PACS")
    with dcmtk.receiver(folder / "storescp") as port:
        cells[ECHO] = echo("STORESCP", port)
        cells[SEND] = send(us, "STORESCP", port)
        cells[FIND] = find(us, "STORESCP", port, None)
        cells[GET] = get("STORESCP", port)
        cells[GIVE] = give(us, "STORESCP", port, folder)
        cells[COMMIT] = commit(us, "STORESCP", port)
        cells[MOVE] = move(us, "STORESCP", port, small_film())
    assert dcmtk.echo(us.config.port).returncode == 0
    cells[ECHOED] = YES
    syntaxes = coded_through(us, folder / "s", us.config.port, called="WETREAD", sender="PACS")
    cells[RECEIVE] = YES
    return cells, syntaxes


def with_wlmscpfs(us: Us, folder: Path) -> Cells:
    """A Modality Worklist SCP: it answers C-ECHO, and refuses all that we ask of a PACS."""
    with wlmscpfs(folder / "worklists") as port:
        return {
            ECHO: echo("WORKLIST", port),
            SEND: send(us, "WORKLIST", port),
            FIND: find(us, "WORKLIST", port, None),
            GET: get("WORKLIST", port),
            GIVE: give(us, "WORKLIST", port, folder),
            COMMIT: commit(us, "WORKLIST", port),
            MOVE: move(us, "WORKLIST", port, small_film()),
        }


@contextmanager
def wlmscpfs(folder: Path) -> Iterator[int]:
    (folder / "WORKLIST").mkdir(parents=True)
    (folder / "WORKLIST" / "lockfile").touch()
    port = free_port()
    with (folder / "wlmscpfs.log").open("w") as log:
        command = [str(dcmtk.FOLDER / "wlmscpfs"), "-dfp", str(folder), str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until(lambda: dcmtk.listens(port), "wlmscpfs to open its port", seconds=30)
            yield port
        finally:
            process.kill()
            process.wait()


def with_qrscp(us: Us, folder: Path) -> Cells:
    cells: Cells = {}
    with qrscp(folder / "qrscp", our_port=us.config.port) as port:
        us.knows(QRSCP, port)
        cells[ECHO] = echo(QRSCP, port)
        cells[SEND] = send(us, QRSCP, port)
        film = lay(folder, port, QRSCP)
        cells[FIND] = find(us, QRSCP, port, film)
        cells[MOVE] = cells[RECEIVE] = move(us, QRSCP, port, film)
        cells[GET] = get(QRSCP, port)
        cells[GIVE] = give(us, QRSCP, port, folder)
        cells[COMMIT] = commit(us, QRSCP, port)
    return cells


def coded_through(us: Us, folder: Path, port: int, *, called: str, sender: str) -> Cells:
    """A film in each transfer syntax by storescu to `port`; in which of them it came to us from `sender`."""
    folder.mkdir()
    sent: dict[str, tuple[str, UID]] = {}
    for name, (tool, option) in CODINGS.items():
        film = small_film(StudyDate=DAY)
        plain, coded = folder / "plain.dcm", folder / f"{len(sent)}.dcm"
        if not isinstance(tool, UID):
            film.save_as(plain, enforce_file_format=True)
            done = dcmtk.run(tool, *filter(None, [option]), plain, coded)
            assert done.returncode == 0, done.stdout
        else:
            film.compress(tool, generate_instance_uid=False, **({"j2k_cr": [8]} if tool == JPEG2000 else {}))
            film.save_as(coded, enforce_file_format=True)
        head = dcmread(coded, stop_before_pixels=True)
        propose = dcmtk.profile(folder, head.SOPClassUID, syntaxes=(head.file_meta.TransferSyntaxUID,))
        stored = dcmtk.store(port, coded, called=called, options=propose)
        assert stored.returncode == 0, f"{name}: {stored.stdout}"
        sent[name] = (str(head.SOPInstanceUID), head.file_meta.TransferSyntaxUID)
    wait_until(lambda: {uid for uid, _ in sent.values()} <= us.syntaxes(sender).keys(), "all films to come")
    came = us.syntaxes(sender)
    return {name: _as_it_came(came[uid], syntax) for name, (uid, syntax) in sent.items()}


def _as_it_came(came: str, sent: UID) -> str:
    return YES if came == sent else f"as {UID(came).name}"


# --- the page ---------------------------------------------------------------------------------------------------------


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def by_whom(row: str, cells: dict[str, Cells]) -> str:
    """Who stands opposite where it works: none of ours, and not the library that we are made of."""
    foreign = [name for name in FOREIGN if cells[name].get(row) == YES]
    return ", ".join(foreign) or "no foreign peer"


def written(page: str, mark: str, text: str) -> str:
    before, rest = page.split(f"{mark}\n")
    return f"{before}{mark}\n{text}\n{END}{rest.partition(END)[2]}"


def test_page_of_peers_says_what_was_tried(us: Us, tmp_path: Path) -> None:
    cells: dict[str, Cells] = defaultdict(dict)
    cells["Orthanc 1.10"], through_orthanc = with_orthanc(us, tmp_path)
    cells["dcmqrscp"] = with_dcmqrscp(us, tmp_path)
    cells["storescu, storescp"], from_storescu = with_storescp(us, tmp_path)
    cells["wlmscpfs"] = with_wlmscpfs(us, tmp_path)
    cells["pynetdicom's qrscp"] = with_qrscp(us, tmp_path)
    services = table(
        ("service", *PEERS, "a foreign peer"),
        [(row, *(cells[name].get(row, NONE) for name in PEERS), by_whom(row, cells)) for row in ROWS],
    )
    syntaxes = table(
        ("transfer syntax of a film", "storescu to us", "Orthanc routes to us"),
        [(name, from_storescu[name], through_orthanc[name]) for name in CODINGS],
    )
    page = PAGE.read_text(encoding="utf-8")
    current = written(written(page, SERVICES, services), SYNTAXES, syntaxes)
    if os.environ.get("WETREAD_WRITE_DOCS") == "1":
        PAGE.write_text(current, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == current
    assert from_storescu == dict.fromkeys(CODINGS, YES)
