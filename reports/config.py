"""Settings of the reports: language, regulatory claim, and what to assume where a source says too little."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

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


class ReportsConfig(BaseModel):
    """Section [reports] of the configuration file; each key is explained in deploy/wetread.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: Literal["en-US"] = "en-US"  # RFC 5646; what the readers write
    cleared: bool = False  # a regulatory statement: PRODUCT instead of RESEARCH in every document
    assume_charset: Annotated[str, AfterValidator(_character_set)] = (
        ""  # for sources that declare none; empty: such a study is excluded
    )
    unknown_sex: Literal["", "O"] = ""  # written for Patient's Sex U, which many devices send and DICOM lacks
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"  # of Content Date and Time; a source's own is first
    series_number: int = Field(9001, ge=1, le=2**31 - 1)  # of the drafts; far from those of devices
