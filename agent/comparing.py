"""When an archive is taken into use: does it give an object back as it was sent? One that it has, or one for that."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, cast

from pydicom import Dataset, dcmread
from pydicom.uid import DigitalXRayImageStorageForPresentation
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent import __version__
from agent.config import Config
from agent.transports import open_transports
from dicom_node import audit, retrieval
from dicom_node.database import Database
from dicom_node.errors import ConfigurationError, NotFound
from dicom_node.files import read_document
from dicom_node.kinds import Kind, Stage
from dicom_node.peer import address_of
from dicom_node.tables import Delivery, Way
from dicom_node.transports import Destination, Parcel
from dicom_node.uids import derived_uid
from reports.checks import check_draft
from reports.config import ReportsConfig
from reports.objects.basic_text import build_notice
from reports.objects.frame import encode
from reports.provenance import Provenance

if TYPE_CHECKING:
    from dicom_node.dicomweb import StowTransport

_COMPARED: Final = (Kind.BASIC_TEXT, Kind.TID1500, Kind.KOS)
_WORDS: Final = "this object was sent to try the archive; it is about nobody, and may be deleted."


@dataclass(frozen=True, slots=True)
class Comparison:
    """An object and what became of it. differences: one phrase for each element, without a value.

    was_sent: for this comparison; else it is one that was delivered before.
    """

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    was_sent: bool
    found: bool
    differences: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        """Is it there, with nothing gone, added or changed?"""
        return self.found and not self.differences


def compare(
    config: Config, database: Database, to: Destination, *, send: bool, now: datetime, actor: str
) -> Comparison:
    """Get an object back and compare it.

    send: send one for that, about nobody; else the newest one that was delivered there.

    Raises NotFound: nothing was delivered there yet. SendFailure: it cannot be sent or asked for. ConfigurationError:
    it keeps no DICOM objects.
    """
    if to.way not in {Way.DIMSE, Way.STOW}:
        raise ConfigurationError(f"{to.name} keeps no DICOM objects that could be compared")
    payload = _sent(config, database, to, now, actor) if send else _delivered(config, database, to)
    document = dcmread(io.BytesIO(payload))
    kept = _kept(config, to, document)
    return Comparison(
        sop_instance_uid=str(document.SOPInstanceUID),
        sop_class_uid=str(document.SOPClassUID),
        study_instance_uid=str(document.StudyInstanceUID),
        was_sent=send,
        found=kept is not None,
        differences=() if kept is None else tuple(retrieval.differences(document, kept)),
    )


def probe_object(name: str, now: datetime, config: ReportsConfig) -> Dataset:
    """A notice that there is no draft, about a patient, a study and a film that do not exist."""
    seed = now.isoformat()
    film = Dataset()
    film.SOPClassUID, film.SOPInstanceUID = DigitalXRayImageStorageForPresentation, derived_uid(name, seed, "film")
    film.StudyInstanceUID, film.SeriesInstanceUID = derived_uid(name, seed, "study"), derived_uid(name, seed, "series")
    film.PatientID, film.PatientName = f"WETREAD-PROBE-{now:%Y%m%d%H%M%S}", "Wetread^Probe"
    film.StudyDescription, film.Modality = "Archive probe", "DX"
    identity = Provenance(
        reader_name="Archive probe",
        reader_version=__version__,
        manufacturer="wetread",
        precision="none",
        digest=hashlib.sha256(b"Archive probe").hexdigest(),
        notice="",
        generation="none",
        software_version=__version__,
        films=(str(film.SOPInstanceUID),),
    )
    document = build_notice([film], _WORDS, identity, revision=1, content_at=now, config=config)
    check_draft(document, [film], config)
    return document


def _delivered(config: Config, database: Database, to: Destination) -> bytes:
    with database.read() as tx:
        digest = _newest(tx, to.name)
    if digest is None:
        raise NotFound(f"nothing that can be compared was delivered to {to.name} yet; --send-probe sends something")
    return read_document(config.node.store_folder, digest)


def _newest(tx: Session, name: str) -> str | None:
    delivered = select(Delivery.digest).where(
        Delivery.destination == name, Delivery.kind.in_(_COMPARED), Delivery.committed_at.is_not(None)
    )
    return tx.scalar(delivered.order_by(Delivery.committed_at.desc(), Delivery.id.desc()).limit(1))


def _sent(config: Config, database: Database, to: Destination, now: datetime, actor: str) -> bytes:
    document = probe_object(to.name, now, config.reports)
    parcel = _parcel(replace(to, identity_check=False), document, encode(document))  # nobody knows this study
    with open_transports(config) as transports:
        transports[to.way].send(parcel)
    with database.write() as tx:
        audit.append(tx, "probe-sent", at=now, actor=actor, destination=to.name, uid=parcel.sop_instance_uid)
    return parcel.payload


def _kept(config: Config, to: Destination, document: Dataset) -> Dataset | None:
    if to.way is Way.DIMSE:
        return retrieval.get(address_of(to, config.node), document)
    with open_transports(config) as transports:
        stow = cast("StowTransport", transports[Way.STOW])
        return stow.fetch(_parcel(to, document, b""), str(document.SeriesInstanceUID))


def _parcel(to: Destination, document: Dataset, payload: bytes) -> Parcel:
    return Parcel(
        destination=to,
        payload=payload,
        kind=Kind.BASIC_TEXT,
        stage=Stage.NOTICE,
        sop_class_uid=str(document.SOPClassUID),
        sop_instance_uid=str(document.SOPInstanceUID),
        study_instance_uid=str(document.StudyInstanceUID),
    )
