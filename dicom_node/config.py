"""Settings of the DICOM node: own AE title, ports, folders, limits and patience."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from dicom_node import tls
from dicom_node.aet import ae_title
from dicom_node.errors import InvalidAETitle
from dicom_node.rules.measures import minutes

_DAY: Final = 24 * 60.0  # minutes


def _ae_title(text: str) -> str:
    """As `ae_title`, with the error that pydantic collects together with all others."""
    try:
        return ae_title(text)
    except InvalidAETitle as error:
        raise ValueError(str(error)) from error


def _hours(text: str) -> str:
    """Empty, or two times of the day with some time between them."""
    if text:
        begin, _, end = text.partition("-")
        hours = minutes(begin), minutes(end)  # raise ValueError, which pydantic collects
        if hours[0] == hours[1] or hours == (_DAY, 0):
            raise ValueError(f"there is no time between {begin} and {end}; leave it empty for always")
    return text


AETitle = Annotated[str, AfterValidator(_ae_title)]


def _time(text: str) -> str:
    """A time of day such as 05:00, or nothing."""
    if text and not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise ValueError("write a time of day as HH:MM, such as 05:00, or nothing")
    return text


class NodeConfig(BaseModel):
    """Section [node] of the configuration file; each key is explained in deploy/wetread.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ae_title: AETitle = "WETREAD"
    further_ae_titles: tuple[AETitle, ...] = ()  # under which we may be called as well; rules can tell them apart
    bind_address: str = "0.0.0.0"  # noqa: S104  a PACS connects from another machine
    port: int = Field(11112, ge=1, le=65535)
    tls_port: int = Field(tls.PORT, ge=1, le=65535)  # opens where there is a certificate
    tls_certificate: Path | None = None  # PEM: ours, for those who call and those we call
    tls_key: Path | None = None  # PEM, without password; None: it stands in the file of the certificate
    tls_ca: Path | None = None  # PEM: who signs the certificates of the others
    tls_require_client_certificate: bool = True
    tls_only: bool = False  # no port in the clear
    data_folder: Path = Path("/var/lib/wetread")
    database: SecretStr = SecretStr("")  # SQLAlchemy URL, may hold a password; empty: SQLite in data_folder
    require_called_ae_title: bool = True
    strangers_may_verify: bool = True  # C-ECHO from AE titles that are not registered
    refuse_other_sop_classes: bool = False
    maximum_associations: int = Field(25, ge=1, le=500)
    maximum_pdu_size: int = Field(131072, ge=4096)
    idle_timeout_seconds: float = Field(60, gt=0)
    dimse_timeout_seconds: float = Field(60, gt=0)
    maximum_object_mebibytes: int = Field(512, ge=1)
    reserve_mebibytes: int = Field(2048, ge=1)  # free disk kept; below it C-STORE is answered 0xA700
    quarantine_mebibytes: int = Field(1024, ge=1)  # beyond it the oldest refused objects are deleted
    quiet_seconds: float = Field(60, gt=0)  # a study is complete when nothing came for so long
    deadline_seconds: float = Field(900, gt=0)  # ... and at the latest so long after its first instance
    complete_by: tuple[Literal["commitment", "ian", "mpps", "association-end"], ...] = ("ian", "mpps")  # ... or earlier
    count_peers: tuple[str, ...] = ()  # who is asked how many instances a study has
    count_quiet_seconds: float = Field(15, gt=0)  # count, ian and mpps: ... once nothing came for so long
    late_images: Literal["never", "replace", "add"] = "replace"  # after a study was complete
    backlog_hours: Annotated[str, AfterValidator(_hours)] = ""  # such as 22:00-06:00, site time; empty: always
    lease_seconds: float = Field(300, gt=0)
    maximum_attempts: int = Field(3, ge=1)
    retry_seconds: Annotated[tuple[float, ...], Field(min_length=1)] = (30, 60, 120, 300, 900, 1800, 3600, 7200, 14400)
    commitment_seconds: float = Field(300, gt=0)  # for the report of a storage commitment; then C-FIND is the proof
    reconcile_peers: tuple[str, ...] = ()  # who is asked every night for the films of the day before
    reconcile_at: Annotated[str, AfterValidator(_time)] = "05:00"  # site time; empty: never
    give_up_hours: float = Field(72, gt=0)  # a delivery that failed for so long becomes a dead letter
    keep_days: float = Field(30, ge=0)  # pixels of a study are deleted so long after its proven delivery

    @property
    def own_ae_titles(self) -> tuple[str, ...]:
        """All AE titles under which we may be called; the first is the one that we call ourselves."""
        return (self.ae_title, *self.further_ae_titles)

    @property
    def tls_files(self) -> tls.Files:
        """Our certificate and whom we trust."""
        return tls.Files(self.tls_certificate, self.tls_key, self.tls_ca)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Settings that need each other."""
        if self.tls_only and self.tls_certificate is None:
            raise ValueError("tls_only needs tls_certificate")
        return self

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the database."""
        return self.database.get_secret_value() or f"sqlite:///{self.data_folder / 'wetread.db'}"

    @property
    def incoming_folder(self) -> Path:
        """Where an object is written until it is whole; same file system as the store."""
        return self.data_folder / "incoming"

    @property
    def store_folder(self) -> Path:
        """Content-addressed, immutable files: received instances and our own documents."""
        return self.data_folder / "store"

    @property
    def quarantine_folder(self) -> Path:
        """Bytes of objects that were refused, for a person to look at."""
        return self.data_folder / "quarantine"
