"""A PACS that re-routes its archive: so many studies at once through a whole node, received, read, drafted, delivered.

    python deploy/benchmarks/backlog.py [--studies 10000] [--slots 8]

Films of 0.2 MB with a study each; the reader is the demonstration's checkpoint, or --checkpoint. Limits: 10,000 studies
drained within 60 minutes (fewer in proportion), a stat study begun within two batches of others, and memory of
all processes after the last study at most 1.1 times that after the first tenth. The PACS opposite takes drafts without
being asked for a proof, so that its own index is not what is measured. Exits 1 above a limit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydicom import Dataset
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from sqlalchemy import func, select

from agent.demo.phantom import film
from dicom_node.associations import prompt_handlers
from dicom_node.database import Database
from dicom_node.loopback import LoopbackPacs
from dicom_node.tables import AuditRow, Book, Revision, Study

ROWS, COLUMNS = 340, 300  # 16 bits: 0.2 MB
OWN, PACS = "WETREAD", "STORM"
SECONDS_A_STUDY = 0.36  # 10,000 in 60 minutes
BATCHES, MEMORY = 2, 1.1
STATS = (0.25, 0.5, 0.75)  # a stat study comes when so much of the backlog is done
OPEN = (Book.IN_FLIGHT,)
_MARKS = 16  # pixels in a corner


@dataclass
class Figures:
    """What was measured."""

    studies: int
    slots: int
    received_seconds: float = 0
    drained_seconds: float = 0
    first_mebibytes: float = 0
    last_mebibytes: float = 0
    stat_studies: list[str] = field(default_factory=list)  # Study Instance UIDs
    overtaken: list[int] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)  # when associations ended that nobody had released
    books: dict[str, int] = field(default_factory=dict)

    def judge(self) -> list[tuple[str, str, bool]]:
        """Each figure in words, its limit, and whether it holds."""
        limit = self.studies * SECONDS_A_STUDY
        memory = self.last_mebibytes / max(self.first_mebibytes, 1)
        delivered = self.books.get(Book.DELIVERED.value, 0)
        most = max(self.overtaken, default=0)
        return [
            (f"received in {self.received_seconds:.0f} s", "", True),
            (f"associations lost {len(self.lost)}", "0", not self.lost),
            (f"drained in {self.drained_seconds:.0f} s", f"{limit:.0f} s", self.drained_seconds <= limit),
            (f"delivered {delivered}", f"{self.studies}", delivered == self.studies),
            (
                f"a stat study began after {self.overtaken} others",
                f"{BATCHES * self.slots}",
                len(self.overtaken) == len(STATS) and most <= BATCHES * self.slots,
            ),
            (
                f"memory {self.first_mebibytes:.0f} MiB after a tenth, {self.last_mebibytes:.0f} at last: {memory:.2f}",
                f"{MEMORY}",
                memory <= MEMORY,
            ),
        ]


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def uid() -> str:
    """A new one."""
    return f"2.25.{uuid.uuid4().int}"


@contextmanager
def node(folder: Path, options: argparse.Namespace, pacs_port: int) -> Iterator[tuple[int, Database, int]]:
    """`wetread run` with its folder, ports and peer: its DICOM port, its database, its process."""
    port, data = free_port(), folder / "data"
    checkpoint = f"checkpoint = {json.dumps(str(options.checkpoint))}\n" if options.checkpoint else ""
    config = folder / "wetread.toml"
    config.write_text(
        f'[node]\nbind_address = "127.0.0.1"\nport = {port}\ndata_folder = {json.dumps(str(data))}\n'
        f"quiet_seconds = 2\nreserve_mebibytes = 64\n"
        f'[reader]\nprecision = "fp32"\nslots = {options.slots}\n{checkpoint}[web]\nport = {free_port()}\n'
    )
    run = [sys.executable, "-m", "agent", "--config", str(config)]
    subprocess.run([*run, "db", "upgrade"], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    peer = ["ae", "add", f"{PACS}@127.0.0.1:{pacs_port}", "--may-send", "--send-to", "--proof", "acknowledgement"]
    subprocess.run([*run, *peer], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    with (folder / "wetread.log").open("w") as log:
        process = subprocess.Popen([*run, "run"], stderr=log)  # noqa: S603
    database = Database(f"sqlite:///{data / 'wetread.db'}")
    try:
        wait_for_port(port, process)
        yield port, database, process.pid
    finally:
        database.close()
        process.send_signal(signal.SIGTERM)
        process.wait(120)


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until the node listens."""
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("wetread run ended; its log is beside its configuration")


def associate(port: int, pattern: Dataset) -> Association:
    """An association for films like the pattern."""
    context = build_context(pattern.SOPClassUID, pattern.file_meta.TransferSyntaxUID)
    return AE(ae_title=PACS).associate("127.0.0.1", port, [context], OWN, evt_handlers=prompt_handlers())


def send(port: int, pattern: Dataset, number: int, figures: Figures, *, priority: str = "") -> str:
    """So many studies of one film each, over one association; the UID of the last one.

    A refusal for now is tried again, and over a new association where one ended, as a PACS does.
    """
    association = associate(port, pattern)
    image = deepcopy(pattern)  # data elements that threads share would change under the other's hands
    if priority:
        image.RequestedProcedurePriority = priority
    for _ in range(number):
        image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID = uid(), uid(), uid()
        marks = [byte for value in os.urandom(_MARKS) for byte in (value, 0)]  # no two films alike: that holds a study
        image.PixelData = bytes(marks) + pattern.PixelData[2 * _MARKS :]
        image.PatientID = image.AccessionNumber = image.StudyInstanceUID[-16:]
        while not association.is_established or association.send_c_store(image).get("Status") != 0x0000:
            time.sleep(1)
            if not association.is_established:
                figures.lost.append(time.monotonic())
                association = associate(port, pattern)
    association.release()
    return str(image.StudyInstanceUID)


def mebibytes(root: int) -> float:
    """Memory of a process and all below it, shared pages counted once (PSS)."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    total, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        waiting += children.get(process, [])
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def done(database: Database) -> int:
    """How many studies are through."""
    with database.read() as tx:
        return tx.scalar(select(func.count(Revision.id)).where(Revision.book.not_in(OPEN))) or 0


def overtaken_by(database: Database, uids: Sequence[str]) -> list[int]:
    """For each stat study: how many others were begun between its completion and its own beginning."""
    counts = []
    with database.read() as tx:
        for study in tx.scalars(select(Study.id).where(Study.study_instance_uid.in_(uids))).all():
            mine = select(func.min(AuditRow.id)).where(AuditRow.study_id == study)
            complete = tx.scalar(mine.where(AuditRow.event == "study-complete")) or 0
            begun = tx.scalar(mine.where(AuditRow.event == "workitem-claimed")) or 0
            between = (AuditRow.event == "workitem-claimed", AuditRow.id > complete, AuditRow.id < begun)
            counts.append(tx.scalar(select(func.count(AuditRow.id)).where(*between)) or 0)
    return counts


def drain(port: int, database: Database, process: int, pattern: Dataset, figures: Figures) -> None:
    """Wait until everything is through, with a stat study now and then."""
    began, stats, limit = time.monotonic(), list(STATS), 3 * figures.studies * SECONDS_A_STUDY + 120
    while (through := done(database)) < figures.studies and time.monotonic() - began < limit:
        if stats and through >= stats[0] * figures.studies:
            stats.pop(0)
            figures.stat_studies.append(send(port, pattern, 1, figures, priority="STAT"))
        if not figures.first_mebibytes and through >= figures.studies / 10:
            figures.first_mebibytes = mebibytes(process)
        time.sleep(0.5)
    figures.drained_seconds = time.monotonic() - began
    figures.last_mebibytes = mebibytes(process)


def measure(options: argparse.Namespace, folder: Path) -> Figures:
    """Fill the node with all but the stat studies, and let it work from the first one on."""
    figures = Figures(options.studies, options.slots)
    routine = options.studies - len(STATS)
    pattern = film(1, now=datetime.now(UTC), new_uid=uid, rows=ROWS, columns=COLUMNS)
    with (
        LoopbackPacs(PACS, 0, folder / "pacs") as pacs,
        node(folder, options, pacs.port) as (port, database, process),
    ):
        began = time.monotonic()
        watch = threading.Thread(target=drain, args=(port, database, process, pattern, figures))
        watch.start()
        shares = [routine // options.senders + (one < routine % options.senders) for one in range(options.senders)]
        with ThreadPoolExecutor(options.senders) as senders:
            for future in [senders.submit(send, port, pattern, share, figures) for share in shares]:
                future.result()
        figures.received_seconds = time.monotonic() - began
        watch.join()
        with database.read() as tx:
            counted = tx.execute(select(Revision.book, func.count()).group_by(Revision.book)).all()
        figures.books = {book.value: number for book, number in counted}
        figures.overtaken = overtaken_by(database, figures.stat_studies)
    return figures


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--slots", type=int, default=8, help="studies read at once")
    parser.add_argument("--senders", type=int, default=2, help="associations that send at once")
    parser.add_argument("--checkpoint", type=Path, help="folder of a model; default: the demonstration's")
    parser.add_argument("--keep", type=Path, help="folder to work in and to leave behind, with the logs")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the node is stopped as well
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        figures = measure(options, folder)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}"
    print(f"Python {platform.python_version()}, {machine}")
    print(f"{figures.studies} studies of 0.2 MB, {figures.slots} read at once, {options.senders} senders")
    verdicts = figures.judge()
    for words, limit, holds in verdicts:
        print(f"{words:70} {f'(limit {limit})' if limit else '':20} {'' if holds else 'ABOVE'}".rstrip())
    rate = figures.studies / max(figures.drained_seconds, 1)
    print(f"{rate * 60:.0f} studies a minute; 10,000 would take {10_000 / rate / 60:.0f} min at that rate")
    sys.exit(0 if all(holds for _, _, holds in verdicts) else 1)


if __name__ == "__main__":
    main()
