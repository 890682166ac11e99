"""A node on a busy day, for looking at the pages: peers, rules, queues, dead letters, and three months of decisions."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from dicom_node import audit, endpoints, peers, turned_away, worklist
from dicom_node.access import Caller, Refusal
from dicom_node.database import Database, clock
from dicom_node.rules import book
from dicom_node.rules.decision import Decision as ByRule
from dicom_node.rules.forms import make
from dicom_node.tables import Mode, Proof, RemoteAE, Revision
from reports.findings.labels import CHEXPERT
from reports.signoff.tables import Decision, Verdict
from reports.tables import Report, ReportState
from tests.unit.agent.ward import as_file
from tests.unit.reports import films
from tests.unit.reports.office import Office

DEVICES = (("Acme DigiRay 300", "ER1"), ("Acme DigiRay 300", "ROOM4"), ("Borealis Mobile", "ICU"))


class BusyOffice(Office):
    def __init__(self, folder: Path, *, decided: int = 150, database: Database | None = None) -> None:
        super().__init__(folder, database=database)
        self.folder = folder
        self.beat()
        self._register()
        self._rule()
        self._work()
        self._decide(decided)
        self._trail()

    def film(self) -> Path:
        """A film to try rules on."""
        path = self.folder / "film.dcm"
        path.write_bytes(as_file(films.film()))
        return path

    def _register(self) -> None:
        with self.database.write() as tx:
            now = clock(tx)
            for peer in (
                RemoteAE(ae_title="PACS", host="127.0.0.1", port=9, may_send=True, send_to=True, comment="the archive"),
                RemoteAE(ae_title="ER_CR1", may_send=True, calls_from="10.0.4.0/24", comment="emergency room"),
                RemoteAE(
                    ae_title="RESEARCH",
                    host="127.0.0.1",
                    port=9,
                    send_to=True,
                    mode=Mode.SHADOW,
                    proof=Proof.ACKNOWLEDGEMENT,
                ),
            ):
                peers.add(tx, peer, now=now, actor="person:kim")
            endpoints.add(tx, "RIS", endpoints.place("mllp://127.0.0.1:9"), now=now, actor="person:kim")
            stranger = Refusal(
                1,
                1,
                3,
                "calling-ae-title-not-recognized",
                "'Pacs' at 10.0.0.5 may not send: only the case differs from 'PACS'; AE titles are case-sensitive",
            )
            turned_away.record(tx, Caller("Pacs", "WETREAD", "10.0.0.5", frozenset()), stranger, now, times=12)

    def _rule(self) -> None:
        with self.database.write() as tx:
            for form in (
                {"name": "er-first", "owner": "Dr. Kim", "comment": "trauma room", "when": ["calling_ae ~ ^ER_"]}
                | {"priority": "stat"},
                {"name": "no-external", "owner": "Dr. Kim", "when": ["InstitutionName !~ ^City Hospital"]}
                | {"exclude": "film of another hospital"},
                {"name": "research", "enabled": False, "when": ["StudyDescription ~ (?i)study"]}
                | {"to": ["RESEARCH=shadow"]},
            ):
                book.add(tx, make(form), now=clock(tx), actor="person:kim")

    def _work(self) -> None:
        """Two dead letters, one that waits for its next attempt, three readings, a study that comes in."""
        errors = ("PACS at 10.0.0.5:104 answered 0xA900 to C-STORE", "it is not there after three more sendings")
        for number, error in enumerate(errors, 1):
            self._drafted(number)
            held = self.consign()
            with self.database.write() as tx:
                worklist.mark_failed(tx, held, error=error, now=clock(tx), reason="never-found" if number == 2 else "")
        self._drafted(3)
        held = self.consign()
        with self.database.write() as tx:
            wait = timedelta(minutes=5)
            worklist.mark_retry(tx, held, error="PACS at 10.0.0.5:104: no answer within 10 s", wait=wait, now=clock(tx))

    def _drafted(self, number: int) -> None:
        self.wait_for_a_reading(number, accession=f"ACC{number:04}", patient_id=f"EX-{number:04}")
        self._routed()
        self.draft_of(number)

    def _routed(self) -> None:
        with self.database.write() as tx:
            for one in worklist.undecided(tx, limit=50):
                worklist.decided(tx, one.revision_id, ByRule(), clock(tx))

    def _decide(self, decided: int) -> None:
        """Decisions need a report each; these are of studies that arrived in the last three months."""
        luck = random.Random(20261122)
        for number in range(4, 4 + decided):
            self.receive(number, accession=f"ACC{number:04}", patient_id=f"EX-{number:04}")
        self.complete()
        self._routed()
        with self.database.write() as tx:
            now = clock(tx)
            revisions = list(tx.scalars(select(Revision.id).order_by(Revision.id)))[3:]
            for number, revision_id in enumerate(revisions, 4):
                at = now - timedelta(days=luck.uniform(0, 84))
                report = a_report(number, revision_id, at)
                tx.add(report)
                tx.flush()
                tx.add(a_decision(luck, report, number))
        for number in (998, 999):
            self.receive(number, accession=f"ACC{number}", patient_id=f"EX-{number}")

    def _trail(self) -> None:
        with self.database.write() as tx:
            audit.seal(tx)
            worklist.record_quarantine(
                tx,
                clock(tx),
                calling_ae_title="ER_CR1",
                reason="cannot-understand",
                digest="5f" * 32,
                sop_class_uid="",
                sop_instance_uid="",
            )


def a_report(number: int, revision_id: int, at: datetime) -> Report:
    return Report(
        revision_id=revision_id,
        state=ReportState.VERIFIED,
        sop_instance_uid=f"2.25.47{number}",
        digest=f"{number:064x}",
        film_digest="f" * 64,
        reader="CXR-LLaVA v2 nf4",
        reader_digest=f"{'3a' if number % 3 else '7c'}" * 32,
        generation="greedy",
        drafted_at=at,
        changed_at=at,
        event="drafted",
    )


def a_decision(luck: random.Random, report: Report, number: int) -> Decision:
    """Mostly accepted, as people do who have read the draft first."""
    verdict = luck.choices(list(Verdict), (48, 26, 16, 10))[0]
    drafted = {label: luck.choice(("present", "absent")) for label in CHEXPERT[2:] if luck.random() < 0.25}
    signed = {label: state for label, state in drafted.items() if luck.random() < 0.85}
    if verdict is Verdict.MAJOR:
        signed[luck.choice(CHEXPERT[2:])] = "present"
    is_rejected = verdict is Verdict.REJECTED
    device, station = luck.choice(DEVICES)
    return Decision(
        report_id=report.id,
        study_id=number,
        verdict=verdict,
        reason=luck.choice(("missed-finding", "wrong-finding", "invented-finding")) if is_rejected else "",
        words_drafted=luck.randint(25, 60),
        words_signed=0 if is_rejected else 40,
        words_changed={Verdict.MINOR: 5, Verdict.MAJOR: 22}.get(verdict, 0),
        drafted=json.dumps(drafted),
        signed=json.dumps({} if is_rejected else signed if verdict is Verdict.MAJOR else drafted),
        received_at=report.drafted_at - timedelta(seconds=luck.uniform(9, 40)),
        drafted_at=report.drafted_at,
        opened_at=None,
        decided_at=report.drafted_at + timedelta(minutes=luck.expovariate(1 / 25)),
        reader=report.reader,
        reader_digest=report.reader_digest,
        device=device,
        station=station,
        user_id=1,
    )
