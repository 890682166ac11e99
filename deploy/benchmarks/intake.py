"""Films at the door, beside mercure in the same run: how fast they are taken, what kill -9 and a full disk lose.

    python deploy/benchmarks/intake.py --mercure DIR --mercure-python FILE [--films 200] [--disk 32]

DIR is a checkout of mercure with its programs in app/bin, FILE a Python with app/requirements.txt. Its receiver, router
and bookkeeper stand beside `wetread listen` and `wetread dispatch`, both with a quiet period of two seconds; the same
dcmtk sends the same films of 0.2 MB, a study each, first to one, then to the other. "Routed" is where mercure has put a
film into its outgoing folder, and where wetread has made a workitem of its study. kill -9 hits all processes of the
receiving service in the middle of an association; it is started again, and every film that was answered with success is
looked for. --disk does the same with a file system that fills up, of which a quarter is then freed (root only: tmpfs).
Exits 1 if wetread lost a film; without --mercure nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path

from backlog import COLUMNS, ROWS, free_port, uid
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from sqlalchemy import select

from agent.demo.phantom import film
from dicom_node.database import Database
from dicom_node.tables import Instance, Revision, Workitem

QUIET = 2
ROUTED, ASIDE, LYING, GONE = "routed", "set aside for a person", "on the disk, never routed", "gone"
_MARKS = 16  # pixels in a corner


class Side(ABC):
    """One of the two: its processes, and where films are in it."""

    name: str

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder, self.port = folder, free_port()
        self._running: list[subprocess.Popen[bytes]] = []
        self._receiver: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """What may be put on a file system of its own before `start`."""
        return self.folder / "data"

    @abstractmethod
    def start(self) -> None:
        """All but the receiver."""

    @abstractmethod
    def receive(self) -> None:
        """Start the receiver, also once more after `kill`."""

    @abstractmethod
    def routed(self) -> set[str]:
        """SOP Instance UIDs of films that are on their way to who wants them."""

    def aside(self) -> set[str]:
        """Those that wait for a person."""
        return set()

    def kill(self) -> None:
        """SIGKILL to every process of the receiving service."""
        assert self._receiver is not None
        with suppress(ProcessLookupError):
            os.killpg(self._receiver.pid, signal.SIGKILL)
        self._receiver.wait()

    def stop(self) -> None:
        """End all, in whatever state."""
        for process in [*self._running, *filter(None, [self._receiver])]:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def where(self, uids: set[str]) -> Counter[str]:
        """How many of these films are where."""
        routed, aside = self.routed(), self.aside()
        lying = films_below(self.data) - routed - aside
        places = ((ROUTED, routed), (ASIDE, aside - routed), (LYING, lying))
        found = Counter({place: len(uids & there) for place, there in places})
        found[GONE] = len(uids) - sum(found.values())
        return found

    def spawn(self, *command: str, folder: Path, extra: dict[str, str]) -> subprocess.Popen[bytes]:
        """A service in a session of its own; its words are in a log beside its data."""
        with (self.folder / f"{Path(command[-1]).stem}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603
                command, cwd=folder, env={**os.environ, **extra}, stdout=log, stderr=log, start_new_session=True
            )

    def wait_for_port(self, process: subprocess.Popen[bytes], port: int) -> None:
        """Until it listens."""
        while process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise SystemExit(f"{self.name}: {process.args} ended with {process.returncode}; its log is in {self.folder}")


class Mercure(Side):
    """Its receiver, router and bookkeeper (with SQLite, as in its own tests), from a checkout."""

    name = "mercure"

    def __init__(self, folder: Path, checkout: Path, python: Path) -> None:
        super().__init__(folder)
        self._app, self._python = checkout.resolve() / "app", python.absolute()
        self._settings = {"MERCURE_CONFIG_FOLDER": str(folder / "config"), "MERCURE_BASEPATH": str(folder)}

    def start(self) -> None:
        books, config = free_port(), self.folder / "config"
        config.mkdir()
        places = ("incoming", "studies", "outgoing", "success", "error", "discard", "processing", "jobs")
        for place in places:
            (self.data / place).mkdir(parents=True)
        target = {"target_type": "dicom", "ip": "127.0.0.1", "port": "104", "aet_target": "NOBODY"}
        settings: dict[str, object] = {f"{place}_folder": str(self.data / place) for place in places}
        settings |= {"port": self.port, "bookkeeper": f"127.0.0.1:{books}", "bookkeeper_api_key": uuid.uuid4().hex}
        settings |= {"series_complete_trigger": QUIET, "targets": {"nobody": target}}
        settings |= {"rules": {"films": {"rule": "tags.Modality == 'DX'", "action": "route", "target": "nobody"}}}
        (config / "mercure.json").write_text(json.dumps(settings))
        database = f"sqlite:///{self.data}/bookkeeper.sqlite3"
        (config / "bookkeeper.env").write_text(f"PORT={books}\nHOST=127.0.0.1\nDATABASE_URL={database}\nDEBUG=True\n")
        for service in ("bookkeeper.py", "router.py"):
            process = self.spawn(str(self._python), service, folder=self._app, extra=self._settings)
            self._running.append(process)
            if service == "bookkeeper.py":
                self.wait_for_port(process, books)

    def receive(self) -> None:
        self._receiver = self.spawn("./receiver.sh", folder=self._app, extra=self._settings)
        self.wait_for_port(self._receiver, self.port)

    def routed(self) -> set[str]:
        tasks = (path.parent for path in self.data.glob("outgoing/*/task.json"))
        found = set()
        for tags in (path for task in tasks for path in task.glob("*.tags")):
            with suppress(OSError, json.JSONDecodeError):  # it may be half written
                found.add(json.loads(tags.read_text(errors="replace"))["SOPInstanceUID"])
        return found

    def aside(self) -> set[str]:
        return films_below(self.data / "error")


class Wetread(Side):
    """`wetread listen` and `wetread dispatch`, with SQLite."""

    name = "wetread"
    _config: Path
    _database: Database

    def __init__(self, folder: Path, reserve_mebibytes: int = 64) -> None:
        super().__init__(folder)
        self._reserve = reserve_mebibytes

    def start(self) -> None:
        self._config = self.folder / "wetread.toml"
        self._config.write_text(
            f'[node]\nbind_address = "127.0.0.1"\nport = {self.port}\ndata_folder = {json.dumps(str(self.data))}\n'
            f"quiet_seconds = {QUIET}\nreserve_mebibytes = {self._reserve}\n"
        )
        for words in (("db", "upgrade"), ("ae", "add", "CR1", "--may-send")):
            subprocess.run([*self._command, *words], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        self._database = Database(f"sqlite:///{self.data / 'wetread.db'}")
        self._running.append(self.spawn(*self._command, "dispatch", folder=self.folder, extra={}))

    def receive(self) -> None:
        self._receiver = self.spawn(*self._command, "listen", folder=self.folder, extra={})
        self.wait_for_port(self._receiver, self.port)

    def routed(self) -> set[str]:
        revisions = select(Revision.study_id).join(Workitem, Workitem.revision_id == Revision.id)
        with self._database.read() as tx:
            return set(tx.scalars(select(Instance.sop_instance_uid).where(Instance.study_id.in_(revisions))))

    def stop(self) -> None:
        super().stop()
        self._database.close()

    @property
    def _command(self) -> tuple[str, ...]:
        return (sys.executable, "-m", "agent", "--config", str(self._config))


def films_below(folder: Path) -> set[str]:
    """SOP Instance UIDs of all films in files below a folder."""
    found = set()
    for path in folder.rglob("*"):
        with suppress(InvalidDicomError, OSError, EOFError, AttributeError):
            if path.is_file():
                found.add(str(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID))
    return found


def make_films(folder: Path, number: int) -> dict[Path, str]:
    """So many films with a study each: their files, and their SOP Instance UIDs."""
    folder.mkdir(parents=True)
    pattern = film(1, now=datetime.now(UTC), new_uid=uid, rows=ROWS, columns=COLUMNS)
    made = {}
    for one in range(number):
        image = deepcopy(pattern)
        image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID = uid(), uid(), uid()
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        marks = [byte for value in os.urandom(_MARKS) for byte in (value, 0)]  # no two films alike
        image.PixelData = bytes(marks) + pattern.PixelData[2 * _MARKS :]
        image.PatientID = image.AccessionNumber = image.StudyInstanceUID[-16:]
        path = folder / f"{one:04}.dcm"
        image.save_as(path, enforce_file_format=True)
        made[path] = str(image.SOPInstanceUID)
    return made


def send(storescu: Path, port: int, films: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """One association: each film with the answer to it, as it comes; ends where the association does."""
    words = ("-v", "-nh", "-aet", "CR1", "-aec", "WETREAD", "127.0.0.1", str(port))
    sender = subprocess.Popen(  # noqa: S603
        [str(storescu), *words, *map(str, films)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert sender.stdout is not None
    sent = films[0]
    for line in sender.stdout:
        if "Sending file: " in line:
            sent = Path(line.partition("Sending file: ")[2].strip())
        elif "Received Store Response (" in line:
            yield sent, line.partition("Response (")[2].rstrip().rstrip(")")
    sender.wait()


def settle(side: Side, wanted: set[str]) -> float:
    """Wait until all are routed, or nothing has moved for a while; the time of the last change (monotonic)."""
    seen, changed = -1, time.monotonic()
    while seen < len(wanted) and time.monotonic() - changed < QUIET + 10:
        now = len(wanted & side.routed())
        if now != seen:
            seen, changed = now, time.monotonic()
        time.sleep(0.1)
    return changed


def race(side: Side, storescu: Path, films: dict[Path, str]) -> tuple[float, float]:
    """Seconds until the last film was answered with success, and from there until the last was routed."""
    began = time.monotonic()
    answers = [answer for _, answer in send(storescu, side.port, list(films))]
    acknowledged = time.monotonic()
    if answers != ["Success"] * len(films):
        raise SystemExit(f"{side.name} answered {Counter(answers)} to {len(films)} films")
    return acknowledged - began, settle(side, set(films.values())) - acknowledged


def strike(side: Side, storescu: Path, films: dict[Path, str], after: int) -> Counter[str]:
    """kill -9 after so many successes; where the films are that were answered with success."""
    taken: set[str] = set()
    for path, answer in send(storescu, side.port, list(films)):
        if answer == "Success":
            taken.add(films[path])
        if len(taken) == after:
            side.kill()
    side.receive()
    settle(side, taken)
    return side.where(taken)


def fill(side: Side, storescu: Path, films: dict[Path, str], ballast: int) -> tuple[Counter[str], Counter[str]]:
    """Send until the disk is full, free `ballast` bytes: the answers, and where the films are that were taken."""
    (side.data / "ballast").write_bytes(os.urandom(ballast))
    answers = list(send(storescu, side.port, list(films)))
    taken = {films[path] for path, answer in answers if answer == "Success"}
    settle(side, taken)
    (side.data / "ballast").unlink()
    settle(side, taken)
    told = Counter(answer for _, answer in answers)
    told["association aborted"] = len(films) - len(answers)
    return +told, side.where(taken)


@contextmanager
def running(side: Side, mebibytes: int = 0) -> Iterator[Side]:
    """The side at work, on a file system of its own where it is to be small."""
    side.data.mkdir(mode=0o700)
    if mebibytes:
        size = f"size={mebibytes}m,mode=700"
        subprocess.run(["/usr/bin/mount", "-t", "tmpfs", "-o", size, "none", str(side.data)], check=True)  # noqa: S603
    try:
        side.start()
        side.receive()
        yield side
    finally:
        side.stop()
        if mebibytes:
            subprocess.run(["/usr/bin/umount", str(side.data)], check=True)  # noqa: S603


def compare(options: argparse.Namespace, folder: Path) -> bool:
    """Both sides in turn, and all in print; whether wetread lost nothing."""
    storescu = options.mercure / "app/bin/dcmtk/storescu"
    films = (make_films(folder / f"films{turn}", options.films) for turn in range(options.rounds + options.kills + 1))
    both = Wetread(folder / "wetread"), Mercure(folder / "mercure", options.mercure, options.mercure_python)
    times: dict[str, list[tuple[float, float]]] = {side.name: [] for side in both}
    fates: dict[str, Counter[str]] = {side.name: Counter() for side in both}
    with running(both[0]), running(both[1]):
        for turn in range(options.rounds):
            these = next(films)
            for side in both if turn % 2 else both[::-1]:
                times[side.name].append(race(side, storescu, these))
        for _ in range(options.kills):
            these, after = next(films), random.SystemRandom().randrange(10, options.films - 10)
            for side in both:
                fates[side.name] += strike(side, storescu, these, after)
    for side in both:
        taken, routed = (statistics.median(column) for column in zip(*times[side.name], strict=True))
        print(f"{side.name}: {taken:.1f} s until {options.films} films were answered, {routed:.1f} s more until routed")
    ours, theirs = ([one[0] for one in times[side.name]] for side in both)
    print(f"wetread's time to mercure's: {statistics.median(ours) / statistics.median(theirs):.2f}")
    for side in both:
        print(f"{side.name}: {options.kills} times kill -9; films answered with success: {dict(+fates[side.name])}")
    lost = fates["wetread"].total() - fates["wetread"][ROUTED]
    if options.disk:
        lost += full_disk(options, folder, storescu, next(films))
    return not lost


def full_disk(options: argparse.Namespace, folder: Path, storescu: Path, films: dict[Path, str]) -> int:
    """The same on a small disk; how many films wetread lost."""
    lost, reserve = 0, max(options.disk // 8, 1)
    mercure = Mercure(folder / "mercure-small", options.mercure, options.mercure_python)
    for side in (Wetread(folder / "wetread-small", reserve), mercure):
        with running(side, options.disk):
            told, fate = fill(side, storescu, films, options.disk * 2**20 // 4)
        print(f"{side.name}: a disk of {options.disk} MiB; answers: {dict(told)}; of the successes: {dict(+fate)}")
        lost += fate.total() - fate[ROUTED] if side.name == "wetread" else 0
    return lost


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mercure", type=Path, help="checkout of mercure")
    parser.add_argument("--mercure-python", type=Path, help="Python with its requirements")
    parser.add_argument("--films", type=int, default=200, help="of each measurement, at least 30")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--disk", type=int, default=0, metavar="MIB", help="also fill a tmpfs of so many MiB (root)")
    parser.add_argument("--keep", type=Path, help="folder to work in and to leave behind, with the logs")
    options = parser.parse_args()
    if options.films < 30:
        parser.error("--films: at least 30, since a kill comes among them, not at an end")
    if options.mercure is None or options.mercure_python is None:
        print("not measured: needs --mercure and --mercure-python, see --help")
        return
    folder = options.keep or Path(tempfile.mkdtemp(prefix="wetread-intake-"))
    try:
        holds = compare(options, folder)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}"
    print(f"Python {platform.python_version()}, {machine}")
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
