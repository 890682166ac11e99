"""A reading room at work: people page through the worklist, open films, edit and sign while studies arrive.

    nice python deploy/benchmarks/office.py [--people 20] [--studies 200] [--json]

All five processes of `wetread run` with the demonstration's checkpoint, films by C-STORE, every person a browser with a
session of its own over a socket, with an open line for news; signatures with the PIN by the addresses that the page's
script calls. The PACS opposite counts what it was sent. There is nobody to ask whose study it is
(`reports.sign_unasked`); signed.py asks. Limits: 95 of 100 pages of a kind within 500 ms, no answer that is an error,
each study signed once, in the books and at the PACS, and nothing wrong in `wetread check`. Exits 1 above a limit.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from backlog import PACS, send, uid
from backlog import Figures as Sending
from browsing import Clockwork, Node, Person, Unwell, add_people, machine, node
from pydicom import dcmread
from sqlalchemy import func, select

from agent.demo.phantom import film
from dicom_node.loopback import Arrival, LoopbackPacs
from dicom_node.tables import Book, Revision, Study
from reports.signoff.tables import SignedDocument

LIMIT: Final = 0.5  # seconds
PAGES: Final = ("worklist", "older studies", "changed rows", "next report", "report page", "film list", "small picture")
SETTINGS: Final = "[reports]\nsign_unasked = true\n[reader]\nprecision = 'fp32'\n"
SENTENCES: Final = ("Seen.", "No change.", "Follow-up as usual.", "Compared with the history given.")
ONE_IN = 3  # drafts are accepted as they are
_LISTED = re.compile(r'href="/study/(\d+)')


@dataclass
class Figures:
    """What was found."""

    people: int
    studies: int
    machine_before: str
    machine_after: str = ""
    seconds: float = 0
    pages: dict[str, dict[str, float]] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    clicked: int = 0
    signed: int = 0
    in_pacs: int = 0
    lost_or_doubled: list[str] = field(default_factory=list)
    lost_associations: int = 0
    open_books: int = 0
    check: list[dict[str, str]] = field(default_factory=list)

    def faults(self) -> list[str]:
        """Which limits do not hold."""
        slow = [name for name in PAGES if self.pages.get(name, {}).get("p95", 0) > LIMIT]
        wrong = [one["words"] for one in self.check if one["verdict"] == "wrong"]
        return [
            *(f"{name}: above {LIMIT * 1000:.0f} ms" for name in slow),
            *(f"{number} times {words}" for words, number in self.errors.items()),
            *self.lost_or_doubled,
            *([f"{self.clicked} of {self.studies} studies were signed"] if self.clicked != self.studies else []),
            *([f"{self.lost_associations} associations were lost"] if self.lost_associations else []),
            *([f"{self.open_books} studies are still in flight"] if self.open_books else []),
            *(f"wetread check: {words}" for words in wrong),
        ]


class Inbox:
    """What came to the PACS as a verified report, by study; and when."""

    def __init__(self) -> None:
        self.objects: dict[str, set[tuple[str, str]]] = {}
        self.first: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, arrival: Arrival) -> None:
        """One object."""
        if dcmread(arrival.path, specific_tags=["VerificationFlag"]).get("VerificationFlag") != "VERIFIED":
            return
        with self._lock:
            known = self.objects.setdefault(arrival.study_instance_uid, set())
            known.add((arrival.sop_class_uid, arrival.sop_instance_uid))
            self.first.setdefault(arrival.study_instance_uid, time.perf_counter())


class Office:
    """The people and what they have signed."""

    def __init__(self, at: Node, options: argparse.Namespace, clockwork: Clockwork) -> None:
        self.clicks: dict[int, float] = {}  # study: when its signature was asked for
        self._node, self._options, self._clockwork = at, options, clockwork
        self._over = threading.Event()
        self._until = time.monotonic() + 60 * options.minutes

    @property
    def is_over(self) -> bool:
        """Everything signed, or time is up."""
        return time.monotonic() > self._until or len(self.clicks) >= int(self._options.studies)

    def open(self) -> None:
        """Let everybody work until it is over."""
        logins = [f"reader{number}" for number in range(1, self._options.people + 1)]
        add_people(self._node.database, logins)
        with ThreadPoolExecutor(len(logins)) as desks:
            for done in [desks.submit(self._work, login) for login in logins]:
                done.result()
        self._over.set()

    def _work(self, login: str) -> None:
        person, chance = Person(self._node.address, login, self._clockwork), random.Random(login)  # noqa: S311
        try:
            person.sign_in()
            threading.Thread(target=person.listen, args=(self._over,), daemon=True).start()
        except Unwell:
            return
        while not self.is_over:
            with suppress(Unwell):
                self._one(person, chance)
            self._think(chance)

    def _one(self, person: Person, chance: random.Random) -> None:
        shown = [int(one) for one in _LISTED.findall(person.get("worklist", "/?show=drafts").text)]
        person.get("older studies", f"/?show=all&before={max(shown, default=1)}")
        if shown:
            numbers = ",".join(map(str, dict.fromkeys(shown)))
            person.get("changed rows", f"/worklist/rows?show=drafts&shown={numbers}&changed={shown[0]}")
        there = person.get("next report", "/report/next").headers.get("location", "/")
        if there != "/":
            self._read(person, int(there.split("/")[2]), chance)

    def _read(self, person: Person, study: int, chance: random.Random) -> None:
        sheet = person.report(study)
        if not sheet.state.get("open") or (sheet.state["holder"] and not sheet.state["mine"]):
            return
        sheet.films()
        if not sheet.ready():
            return
        self._think(chance)
        if chance.randrange(ONE_IN):
            for sentence in chance.sample(SENTENCES, 2):
                sheet.type(sentence)
                self._think(chance)
        began = time.perf_counter()
        sheet.sign()
        if sheet.state.get("state") != "VERIFIED" or study in self.clicks:
            self._clockwork.went_wrong("signed, but not verified, or twice")
        self.clicks[study] = began

    def _think(self, chance: random.Random) -> None:
        time.sleep(chance.uniform(0.5, 1.5) * self._options.think)


def arrive(port: int, options: argparse.Namespace, sending: Sending) -> None:
    """Studies of one film each, one by one."""
    pattern = film(1, now=datetime.now(UTC), new_uid=uid, rows=options.rows, columns=options.rows * 7 // 8)
    for _ in range(options.studies):
        send(port, pattern, 1, sending)
        time.sleep(options.every)


def settled(at: Node, seconds: float) -> int:
    """Wait until nothing is under way; how many studies still are."""
    until = time.monotonic() + seconds
    while True:
        with at.database.read() as tx:
            open_ = tx.scalar(select(func.count(Revision.id)).where(Revision.book == Book.IN_FLIGHT)) or 0
        if not open_ or time.monotonic() > until:
            return open_
        time.sleep(0.5)


def compare(at: Node, office: Office, pacs: Inbox, clockwork: Clockwork, figures: Figures) -> None:
    """The clicks, the books and the PACS against each other."""
    with at.database.read() as tx:
        uids = {row.id: row.study_instance_uid for row in tx.execute(select(Study.id, Study.study_instance_uid))}
        signed = Counter(tx.scalars(select(SignedDocument.study_id)))
    figures.clicked, figures.signed, figures.in_pacs = len(office.clicks), signed.total(), len(pacs.objects)
    for study in sorted({*office.clicks, *signed, *(key for key, value in uids.items() if value in pacs.objects)}):
        objects = pacs.objects.get(uids[study], set())
        if not objects or len({one for one, _ in objects}) != len(objects):
            figures.lost_or_doubled.append(f"study {study}: {len(objects)} verified objects in the PACS")
        if (study in office.clicks, signed[study]) != (True, 1):
            figures.lost_or_doubled.append(f"study {study}: clicked {study in office.clicks}, signed {signed[study]}")
        elif uids[study] in pacs.first:
            clockwork.took("click until in PACS", pacs.first[uids[study]] - office.clicks[study])


def of(seconds: list[float]) -> Mapping[str, float]:
    """Number, median, 95th of 100, and the worst."""
    ordered = sorted(seconds)
    return {
        "number": len(ordered),
        "median": statistics.median(ordered),
        "p95": ordered[-(-95 * len(ordered) // 100) - 1],
        "worst": ordered[-1],
    }


def measure(options: argparse.Namespace, folder: Path) -> Figures:
    """A day of it."""
    figures, clockwork, inbox = Figures(options.people, options.studies, machine()), Clockwork(), Inbox()
    with LoopbackPacs(PACS, 0, folder / "pacs", inbox.take) as pacs:
        peer = [f"{PACS}@127.0.0.1:{pacs.port}", "--may-send", "--send-to", "--proof", "acknowledgement"]
        with node(folder, SETTINGS, peer) as at:
            began = time.monotonic()
            office = Office(at, options, clockwork)
            sending = Sending(options.studies, slots=0)
            arriving = threading.Thread(target=arrive, args=(at.port, options, sending))
            arriving.start()
            office.open()
            arriving.join()
            figures.seconds, figures.machine_after = time.monotonic() - began, machine()
            figures.open_books, figures.lost_associations = settled(at, 300), len(sending.lost)
            compare(at, office, inbox, clockwork, figures)
            figures.check = at.check()
    figures.pages = {kind: dict(of(seconds)) for kind, seconds in clockwork.seconds.items()}
    figures.errors = dict(Counter(clockwork.errors))
    return figures


def show(figures: Figures) -> None:
    """As a table."""
    print(f"before: {figures.machine_before}\nafter: {figures.machine_after}")
    print(f"{figures.people} people, {figures.studies} studies in {figures.seconds:.0f} s", end="; ")
    print(f"{figures.clicked} clicked, {figures.signed} signed, {figures.in_pacs} in the PACS\n")
    print("| ms | number | median | 95th of 100 | worst | limit |\n|---|---|---|---|---|---|")
    for kind in sorted(figures.pages, key=lambda one: (one not in PAGES, one)):
        one = figures.pages[kind]
        cells = " | ".join(f"{one[name] * 1000:.0f}" for name in ("median", "p95", "worst"))
        limit = f"{LIMIT * 1000:.0f}" if kind in PAGES else ""
        print(f"| {kind} | {one['number']:.0f} | {cells} | {limit} |")
    for finding in figures.check:
        print(f"wetread check: {finding['verdict']}: {finding['subject']}: {finding['words']}")
    print("\n".join(["", *(f"ABOVE: {fault}" for fault in figures.faults())]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--every", type=float, default=0.5, help="seconds between two studies")
    parser.add_argument("--think", type=float, default=2, help="seconds that a person looks before the next act")
    parser.add_argument("--rows", type=int, default=1144, help="of a film; it has 7/8 as many columns, of 16 bits")
    parser.add_argument("--minutes", type=float, default=30, help="until it is given up")
    parser.add_argument("--keep", type=Path, help="folder to work in and to leave behind, with the logs")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        figures = measure(options, folder)
    if options.json:
        told: dict[str, Any] = asdict(figures) | {"faults": figures.faults()}
        print(json.dumps(told, indent=2))
    else:
        show(figures)
    sys.exit(bool(figures.faults()))


if __name__ == "__main__":
    main()
