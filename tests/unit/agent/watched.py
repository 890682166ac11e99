"""A ward whose FHIR server is asked for signed reports."""

from __future__ import annotations

from sqlalchemy import select

from agent.desk import Desk
from agent.watching import Watcher
from dicom_node.tables import Endpoint, Mode, Way
from reports.rest.calls import Caller
from reports.watches import Watch
from tests.harness.signing import MRN, Signer
from tests.unit.agent.ward import Ward

SYSTEMS = {"": MRN, "HOSP": "urn:oid:4.5.6"}


class Watched:
    """A ward whose FHIR server is asked; `ask` is one step, as if the time for it had come."""

    def __init__(self, ward: Ward, server: Signer, caller: Caller, **fhir: object) -> None:
        self.ward = ward
        fhir = {"patient_systems": SYSTEMS, "watch": True, "watch_seconds": 60.0, **fhir}
        config = ward.desk.config.model_copy(update={"fhir": type(ward.desk.config.fhir).model_validate(fhir)})
        self.desk = Desk(config, ward.database)
        self.at = 0.0
        self.watcher = Watcher(self.desk, caller, monotonic=lambda: self.at)
        ward.service("EHR", Way.FHIR, mode=Mode.SHADOW)
        self.move(server.url)

    def move(self, url: str) -> None:
        self.ward.do(lambda tx: setattr(tx.scalars(select(Endpoint)).one(), "url", url))

    def ask(self) -> None:
        self.at += 10_000
        self.watcher.step()

    def row(self) -> Watch:
        return self.ward.ask(lambda tx: tx.scalars(select(Watch)).one())
