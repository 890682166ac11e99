"""Rules tried without consequence: on files that somebody dropped, and on the studies of the last hours."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

import pydicom
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.config import Config
from agent.edge import text_of
from agent.routing import facts_of, in_assumed_charset
from dicom_node import worklist
from dicom_node.database import Database
from dicom_node.errors import CannotUnderstand, ConfigurationError, NotFound
from dicom_node.headers import UNREADABLE, open_header
from dicom_node.rules.decision import Asked, Decision, Standing, ask, decide
from dicom_node.rules.facts import Facts
from dicom_node.rules.forms import read
from dicom_node.rules.tables import Routing
from dicom_node.tables import Instance, Revision, Study
from reports.config import ReportsConfig

MOST_STUDIES: Final = 20_000
_TOGETHER: Final = 200  # studies asked of the database at once
_DEFLATED: Final = str(DeflatedExplicitVRLittleEndian).encode()
_META_BYTES: Final = 4096  # the file meta information stands in these
_FIRST_PIXELS: Final = 0x7FE00001
_UNITS: Final = MappingProxyType({"m": 60, "h": 3600, "d": 86400})


@dataclass(frozen=True, slots=True)
class Trial:
    """One study, or the files of one, held against the rules."""

    subject: str  # a file's name, or the number of a study
    at: datetime
    decision: Decision
    asked: tuple[Asked, ...]
    then: str = ""  # the rule that decided when it came; empty: none
    readable: bool = True  # false: no header is left, so every tag is absent


def drafted(file: Path) -> list[Standing]:
    """Rules of a file that nobody has applied yet. Raises ConfigurationError."""
    try:
        return [Standing(rule.name, 0, rule) for rule in read(text_of(file))]
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read ({type(error).__name__})") from error


def span(text: str) -> timedelta:
    """90m, 24h or 7d. Raises ConfigurationError."""
    found = re.fullmatch(r"(\d{1,5})([mhd])", text.strip())
    if found is None:
        raise ConfigurationError(f"{text!r} is no span of time; write 90m, 24h or 7d")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def of_files(
    files: Sequence[Path], rules: Sequence[Standing], *, calling: str, called: str, at: datetime, reports: ReportsConfig
) -> list[Trial]:
    """Each study among the files. Raises NotFound, CannotUnderstand."""
    studies: dict[str, list[tuple[Path, pydicom.Dataset]]] = {}
    for file in files:
        header = in_assumed_charset(_dropped(file), reports.assume_charset)
        studies.setdefault(str(header.get("StudyInstanceUID", file)), []).append((file, header))
    trials = []
    for members in studies.values():
        facts = _facts([header for _, header in members], calling, called, at, reports.time_zone)
        trials.append(_trial(", ".join(file.name for file, _ in members), facts, rules))
    return trials


def of_content(
    content: bytes, rules: Sequence[Standing], *, calling: str, called: str, at: datetime, reports: ReportsConfig
) -> Trial:
    """One dropped file, of which nothing is written down. Raises CannotUnderstand."""
    if _DEFLATED in content[:_META_BYTES]:  # its header may inflate to any length
        raise CannotUnderstand("a deflated file: try it with wetread rule test FILE")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote what stands in the header
            header = read_partial(BytesIO(content), stop_when=_is_pixels)
    except (*UNREADABLE, OSError) as error:
        raise CannotUnderstand(f"that is no DICOM file ({type(error).__name__})") from error
    if "SOPClassUID" not in header:
        raise CannotUnderstand("that is no DICOM file (it names no SOP Class)")
    headers = [in_assumed_charset(header, reports.assume_charset)]
    return _trial("the file", _facts(headers, calling, called, at, reports.time_zone), rules)


def _is_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) >= _FIRST_PIXELS


def _facts(headers: Sequence[pydicom.Dataset], calling: str, called: str, at: datetime, time_zone: str) -> Facts:
    return Facts(
        headers=tuple(headers),
        calling_ae_titles=(calling,) if calling else (),
        called_ae_titles=(called,) if called else (),
        images=len(headers),
        at=at.astimezone(ZoneInfo(time_zone)),
    )


def of_studies(
    config: Config, database: Database, rules: Sequence[Standing], since: datetime, *, most: int = MOST_STUDIES
) -> Iterator[Trial]:
    """Every study that came since then and is complete, with its newest revision, oldest first; the newest `most`."""
    with database.read() as tx:
        chosen = (
            select(Revision.id)
            .join(Study, (Study.id == Revision.study_id) & (Study.revision == Revision.number))
            .where(Revision.opened_at >= since, Study.completed_at.is_not(None))
            .order_by(Revision.id.desc())
        )
        revisions = tx.scalars(chosen.limit(most)).all()[::-1]
    for first in range(0, len(revisions), _TOGETHER):
        for revision, images, then in _contents(database, revisions[first : first + _TOGETHER]):
            facts = facts_of(config, images, revision.study.completed_at or revision.opened_at)
            yield _trial(f"#{revision.study_id}", facts, rules, then=then, readable=bool(facts.headers))


def _contents(database: Database, revisions: Sequence[int]) -> list[tuple[Revision, Sequence[Instance], str]]:
    """Each with its images and the rule that decided about it."""
    with database.read() as tx:
        return [(tx.get_one(Revision, one), worklist.to_read(tx, one), _rule(tx, one)) for one in revisions]


def _rule(tx: Session, revision_id: int) -> str:
    routing = tx.get(Routing, revision_id)
    return routing.rule if routing else ""


def _trial(subject: str, facts: Facts, rules: Sequence[Standing], *, then: str = "", readable: bool = True) -> Trial:
    asked = tuple(ask(standing.rule, facts) for standing in rules if standing.rule is not None)
    return Trial(subject, facts.at, decide(rules, facts), asked, then, readable)


def _dropped(file: Path) -> pydicom.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote what stands in the header
        try:
            return open_header(file)
        except FileNotFoundError as error:
            raise NotFound(f"{file} does not exist") from error
        except CannotUnderstand as error:
            raise CannotUnderstand(f"{file.name} is no DICOM file: {error}") from error
