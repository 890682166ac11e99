"""What became of a draft, as JSON (`wetread.outcome/1`) and as a row of CSV: for monitoring, without a report's words.

deploy/docs/messages.md describes every field. As DICOM, experimental: `reports.objects.assessment`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Final

from pydicom import Dataset

from dicom_node.uids import derived_uid
from reports.objects.content import Content, read_content
from reports.objects.tree import plain

SCHEMA: Final = "wetread.outcome/1"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run these
_WORD: Final = re.compile(r"\w+")


class Result(StrEnum):
    """What became of the draft."""

    DRAFTED = "drafted"
    ACCEPTED = "accepted"  # signed without a change of a word
    MODIFIED = "modified"  # signed with changes
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"  # replaced, expired, called off, or taken back after signing


@dataclass(frozen=True, slots=True)
class Outcome:
    """One fact. The order of the fields is that of the JSON members and of the CSV columns.

    id: the same fact has the same one. at: UTC, ISO 8601. reason: a code word, never a sentence of a person.
    words_drafted, words_signed, words_kept: counts; 0 where nothing was signed. report: empty unless its words are
    asked for.
    """

    schema: str
    id: str
    result: str
    reason: str
    at: str
    drafted_at: str
    study_instance_uid: str
    accession_number: str
    draft_uid: str
    signed_uid: str
    reader_name: str
    reader_version: str
    reader_digest: str
    software_version: str
    words_drafted: int
    words_signed: int
    words_kept: int
    report: str = ""


COLUMNS: Final = tuple(field.name for field in fields(Outcome))


def outcome_of(
    draft: Dataset,
    *,
    drafted_at: datetime,
    at: datetime,
    result: Result | None = None,
    signed: Dataset | None = None,
    reason: str = "",
    with_words: bool = False,
) -> Outcome:
    """Say what became of a draft. drafted_at, at: aware.

    result: needed where nothing was signed; what was signed is accepted where Findings and Impression are those of the
    draft, word for word, else modified. reason: such as `wrong-finding` or `expired`.
    with_words: put the signed words, or the draft's, into it; off by default, since that is a patient's data.

    Raises NotOurs; ValueError: neither a result nor a signed report, a reason that is no code word, a naive moment.
    """
    if result is None and signed is None:
        raise ValueError("an outcome without a signed report needs a result")
    if reason and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", reason) is None:
        raise ValueError("a reason is a code word such as wrong-finding, never a sentence")
    before = read_content(draft)
    after = read_content(signed) if signed is not None else None
    became = result or _compared(before, after)
    equipment = draft.ContributingEquipmentSequence[0]
    drafted, written = _words(before.narrative), _words(after.narrative) if after else []
    return Outcome(
        schema=SCHEMA,
        id=derived_uid("outcome", draft.SOPInstanceUID, became.value, signed.SOPInstanceUID if signed else "", reason),
        result=became.value,
        reason=reason,
        at=_utc(at),
        drafted_at=_utc(drafted_at),
        study_instance_uid=plain(draft, "StudyInstanceUID"),
        accession_number=plain(draft, "AccessionNumber"),
        draft_uid=plain(draft, "SOPInstanceUID"),
        signed_uid=plain(signed, "SOPInstanceUID") if signed is not None else "",
        reader_name=plain(equipment, "ManufacturerModelName"),
        reader_version=plain(equipment, "SoftwareVersions"),
        reader_digest=plain(equipment, "DeviceSerialNumber"),
        software_version=plain(draft, "SoftwareVersions"),
        words_drafted=len(drafted),
        words_signed=len(written),
        words_kept=_kept(drafted, written),
        report=(after or before).narrative if with_words else "",
    )


def to_json(outcome: Outcome) -> bytes:
    """One JSON object in UTF-8; `report` is left out where it is empty."""
    members = asdict(outcome)
    if not outcome.report:
        del members["report"]
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def to_csv(outcomes: Iterable[Outcome], *, header: bool = True) -> str:
    """Write rows after RFC 4180. What a spreadsheet would run as a formula gets an apostrophe in front."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    if header:
        writer.writerow(COLUMNS)
    for outcome in outcomes:
        writer.writerow([_cell(value) for value in asdict(outcome).values()])
    return buffer.getvalue()


def _cell(value: str | int) -> str | int:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _compared(before: Content, after: Content | None) -> Result:
    same = after is not None and (before.findings, before.impression) == (after.findings, after.impression)
    return Result.ACCEPTED if same else Result.MODIFIED


def _kept(drafted: list[str], written: list[str]) -> int:
    """How many words are in both, in the same order."""
    blocks = SequenceMatcher(None, drafted, written, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks)


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _utc(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError("the moment needs a time zone")
    return moment.astimezone(UTC).isoformat(timespec="seconds")
