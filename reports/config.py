"""Settings of the reports: language, regulatory claim, and what to assume where a source says too little."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, IPvAnyNetwork

from dicom_node.uids import ROOT, is_root
from reports.charset import Charset, SourceUnusable


def _character_set(text: str) -> str:
    try:
        Charset.declared(text.split("\\"))
    except SourceUnusable:
        raise ValueError(f"{text!r} is no DICOM character set, such as ISO_IR 100 or ISO 2022 IR 149") from None
    return text


def _time_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{text!r} is no IANA time zone, such as UTC or Asia/Seoul") from None
    return text


def _uid_root(text: str) -> str:
    if not is_root(text):
        raise ValueError(
            f"{text!r} is no root of UIDs, such as 1.2.840.99999.7: digits and points, no leading zeros, "
            "and at most 24 characters, so that 64 are enough for a UID below it"
        )
    return text


class ReportsConfig(BaseModel):
    """Section [reports] of the configuration file; each key is explained in deploy/wetread.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: Literal["en-US"] = "en-US"  # RFC 5646; what the readers write
    cleared: bool = False  # a regulatory statement: PRODUCT instead of RESEARCH in every document
    assume_charset: Annotated[str, AfterValidator(_character_set)] = (
        ""  # for sources that declare none; empty: such a study is excluded
    )
    charset_mode: Literal["utf-8", "source"] = "utf-8"  # source: as the film, where that carries every character
    unknown_sex: Literal["", "O"] = ""  # written for Patient's Sex U, X or UNKNOWN, which DICOM lacks
    study_id_from_accession: bool = False  # where the film has no Study ID; else it stays empty
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"  # of Content Date and Time; a source's own is first
    expire_hours: float = Field(24, ge=0)  # an unsigned draft is taken back so long after it was made; 0: never
    hide_draft_after_signing: bool = False  # a note 113001 names the draft once the signed report is proven there
    uid_root: Annotated[str, AfterValidator(_uid_root)] = ROOT  # of UIDs made here; for sites that refuse 2.25
    series_number: int = Field(9001, ge=1, le=2**31 - 1)  # of the drafts; far from those of devices
    experimental: bool = False  # `wetread report assess`: objects whose encoding is private and will change
    second_signature: Literal["trainees", "always"] = "trainees"  # whose first signature needs a second one
    sign_unasked: bool = False  # sign where no destination can be asked whose study it is


class Hl7Config(BaseModel):
    """Section [hl7]: reports and merges from elsewhere over MLLP, and how our own messages name the parties."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    senders: tuple[IPvAnyNetwork, ...] = ()  # networks that may connect; none: the port stays closed
    bind_address: str = "0.0.0.0"  # noqa: S104  a RIS connects from another machine
    port: int = Field(2575, ge=0, le=65535)
    applications: frozenset[str] = frozenset()  # MSH-3, or MSH-3|MSH-4, that are heard; none: all
    tls_certificate: Path | None = None  # PEM, ours at the port and at mllps:// destinations; None: the port is plain
    tls_key: Path | None = None  # PEM; None: it stands in the file of the certificate
    tls_ca: Path | None = None  # PEM: who signs the certificates of the others
    tls_require_client_certificate: bool = True
    hold_on_update: bool = True  # ADT^A08 of a patient holds what is not signed yet
    authorities: dict[str, str] = Field(default_factory=dict)  # HL7 assigning authority -> Issuer of Patient ID
    sending_application: str = "WETREAD"  # MSH-3 of what we send, to MSH-6
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    filler_from_accession: bool = False


class FhirConfig(BaseModel):
    """Section [fhir]: how FHIR servers know patients and orders."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patient_systems: dict[str, str] = Field(default_factory=dict)  # Issuer of Patient ID -> identifier system
    order_system: str = ""
    create_patient: bool = False
    watch: bool = False  # ask every FHIR destination for reports that were signed elsewhere
    watch_seconds: float = Field(60, ge=1)  # between two questions
    watch_category: str = Field("", pattern=r"^[^\s&=#?]*$")  # only reports of this category are asked for
