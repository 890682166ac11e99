"""From the click on "Sign" until a query to a real PACS finds the verified report.

    python deploy/benchmarks/signed.py [--reports 10] [--json]

Debian's Orthanc as the PACS, all five processes of `wetread run`, a browser's session over a socket. Orthanc has the
film as well and is asked whose study it is before each signature; the clock runs from the request that carries text and
PIN until a C-FIND for VERIFIED documents of the study finds one. Limit: 2 s, in the worst of all. Exits 1 above it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from backlog import free_port, uid, wait_for_port
from browsing import OWN, Clockwork, Node, Person, add_people, machine, node
from pydicom import Dataset
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]
from sqlalchemy import func, select

from agent.demo.phantom import film
from dicom_node.associations import prompt_handlers
from dicom_node.tables import Delivery, DeliveryState, Study
from reports.tables import Report

PROGRAM: Final = "/usr/sbin/Orthanc"
PACS: Final = "ORTHANC"
LIMIT: Final = 2.0  # seconds
PATIENCE: Final = 180.0  # seconds for anything else
READER: Final = "[reader]\nprecision = 'fp32'\n"


@dataclass(frozen=True, slots=True)
class Signed:
    """One report, in seconds since the click. answered: the page has the answer; found: the PACS finds it."""

    answered: float
    found: float


@contextmanager
def orthanc(folder: Path) -> Iterator[int]:
    """Orthanc with an empty archive; its DICOM port."""
    folder.mkdir()
    port = free_port()
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpServerEnabled": False,
        "DicomPort": port,
        "DicomAet": PACS,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, str(folder / "orthanc.json")], stdout=log, stderr=log)  # noqa: S603
    try:
        wait_for_port(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(60)


def calling(port: int, called: str, context: str) -> Association:
    """An association as the PACS itself would open it."""
    association = AE(ae_title=PACS).associate(
        "127.0.0.1", port, [build_context(context)], called, evt_handlers=prompt_handlers()
    )
    if not association.is_established:
        raise SystemExit(f"{called} on port {port} takes no association")
    return association


def send(image: Dataset, port: int, called: str) -> None:
    """One film."""
    association = calling(port, called, str(image.SOPClassUID))
    status = association.send_c_store(image).get("Status")
    association.release()
    if status != 0x0000:
        raise SystemExit(f"{called} answered {status} to a film")


def arrive(number: int, ports: Sequence[tuple[int, str]]) -> None:
    """So many studies, each first at the PACS and then at the node."""
    for one in range(1, number + 1):
        image = deepcopy(film(one, now=datetime.now(UTC), new_uid=uid, rows=572, columns=500))
        image.PatientID = image.AccessionNumber = image.StudyInstanceUID[-16:]
        for port, called in ports:
            send(image, port, called)


def is_verified(association: Association, study: str) -> bool:
    """Does the PACS find a verified document of this study?"""
    asked = Dataset()
    asked.QueryRetrieveLevel = "IMAGE"
    asked.StudyInstanceUID = study
    asked.SeriesInstanceUID = asked.SOPInstanceUID = ""
    asked.VerificationFlag = "VERIFIED"
    answers = association.send_c_find(asked, StudyRootQueryRetrieveInformationModelFind)
    found = [one for _, one in answers if one is not None]
    return any(one.get("VerificationFlag") == "VERIFIED" for one in found)


def wait_until_drafted(at: Node, number: int) -> list[tuple[int, str]]:
    """Every draft is written and proven, so that nothing else is under way: numbers and UIDs of the studies."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with at.database.read() as tx:
            drafted = tx.scalar(select(func.count(Report.id))) or 0
            waiting = select(func.count(Delivery.id)).where(Delivery.state != DeliveryState.COMMITTED)
            if drafted == number and not tx.scalar(waiting):
                return [
                    (row.id, row.study_instance_uid) for row in tx.execute(select(Study.id, Study.study_instance_uid))
                ]
        time.sleep(0.5)
    raise SystemExit(f"{drafted} of {number} drafts after {PATIENCE:.0f} s")


def sign(person: Person, association: Association, study: int, study_uid: str) -> Signed:
    """Read, edit and sign one report; wait for it at the PACS."""
    sheet = person.report(study)
    sheet.films()
    sheet.ready()
    if sheet.state["identity"]["outcome"] != "same":
        raise SystemExit(f"the PACS did not say whose study it is: {sheet.state['identity']['words']}")
    sheet.type("Seen.")
    if is_verified(association, study_uid):
        raise SystemExit("there is a verified report already")
    began = time.perf_counter()
    sheet.sign()
    answered = time.perf_counter() - began
    while not is_verified(association, study_uid):
        if time.perf_counter() - began > PATIENCE:
            raise SystemExit(f"no verified report after {PATIENCE:.0f} s")
        time.sleep(0.02)
    return Signed(answered, time.perf_counter() - began)


def measure(number: int, folder: Path) -> list[Signed]:
    """One after the other, by one person."""
    folder.mkdir(parents=True, exist_ok=True)
    with orthanc(folder / "pacs") as pacs:
        peer = [f"{PACS}@127.0.0.1:{pacs}", "--may-send", "--send-to"]
        with node(folder, READER, peer) as at:
            arrive(number, [(pacs, PACS), (at.port, OWN)])
            add_people(at.database, ["rita"])
            studies = wait_until_drafted(at, number)
            person = Person(at.address, "rita", Clockwork())
            person.sign_in()
            association = calling(pacs, PACS, str(StudyRootQueryRetrieveInformationModelFind))
            done = [sign(person, association, study, study_uid) for study, study_uid in studies]
            association.release()
            person.close()
    return done


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="folder to work in and to leave behind, with the logs")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        done = measure(options.reports, options.keep or Path(temporary))
    found, answered = [one.found for one in done], [one.answered for one in done]
    told = {
        "machine": machine(),
        "reports": len(done),
        "answered": {"median": statistics.median(answered), "worst": max(answered)},
        "found": {"median": statistics.median(found), "worst": max(found), "limit": LIMIT},
        "all": [round(one, 3) for one in found],
    }
    if options.json:
        print(json.dumps(told, indent=2))
    else:
        print(told["machine"])
        print(f"answered: median {statistics.median(answered):.2f} s, worst {max(answered):.2f} s")
        print(f"found in the PACS: median {statistics.median(found):.2f} s, worst {max(found):.2f} s (limit {LIMIT} s)")
    sys.exit(max(found) > LIMIT)


if __name__ == "__main__":
    main()
