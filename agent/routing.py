"""What becomes of complete studies: their headers are held against the rules, outside of any transaction."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

import pydicom
import structlog
from pydicom.charset import convert_encodings

from agent.config import Config
from agent.desk import Desk
from dicom_node import worklist
from dicom_node.database import clock
from dicom_node.errors import CannotUnderstand
from dicom_node.files import require, stored_path
from dicom_node.headers import open_header
from dicom_node.hours import Hours, hours_of
from dicom_node.rules import book
from dicom_node.rules.decision import Decision, Standing, decide
from dicom_node.rules.facts import Facts
from dicom_node.tables import Instance
from dicom_node.worklist.sweeps import Swept, alone

log = structlog.get_logger("dispatch")

AT_ONCE = 100  # decisions in one transaction
HEADERS = 32  # of one study that are looked at


class Router:
    """Decides about every study revision that waits for it. Several of them do no harm."""

    def __init__(self, desk: Desk) -> None:
        self._config = desk.config
        self._database = desk.database

    def step(self) -> bool:
        """Decide about the oldest; true where there may be more."""
        with self._database.read() as tx:
            now = clock(tx)
            waiting = worklist.undecided(tx, limit=AT_ONCE)
            rules = book.everyone(tx) if waiting else []
        if not waiting:
            return False
        decisions = [(one, self._decide(one, rules, now)) for one in waiting]
        swept = Swept()
        with self._database.write() as tx:
            now = clock(tx)
            for one, decision in decisions:
                swept += alone(tx, one.study_id, partial(worklist.decided, tx, one.revision_id, decision, now))
        for stumble in swept.failed:
            log.error("study_skipped", study=stumble.study_id, error=stumble.error)
        return len(waiting) == AT_ONCE and not swept.failed

    def _decide(self, one: worklist.Undecided, rules: Sequence[Standing], now: datetime) -> Decision:
        decision = decide([] if one.no_rules else rules, facts_of(self._config, one.images, now))
        for remark in decision.remarks:
            log.warning("rule_not_asked", study=one.study_id, explanation=remark)
        if decision.rule:
            log.info("study_routed", study=one.study_id, rule=decision.rule, version=decision.version)
        return decision


def facts_of(config: Config, images: Sequence[Instance], at: datetime) -> Facts:
    """What the rules may ask of a study with these images; what cannot be read counts as absent. Raises StoreAway."""
    headers = [header for image in images[:HEADERS] if (header := _header(config, image)) is not None]
    if len(images) > HEADERS:
        log.warning("headers_not_asked", study=images[0].study_id, images=len(images), asked=HEADERS)
    return Facts(
        headers=tuple(headers),
        calling_ae_titles=tuple(dict.fromkeys(image.calling_ae_title for image in images)),
        called_ae_titles=tuple(dict.fromkeys(filter(None, (image.called_ae_title for image in images)))),
        images=len(images),
        at=at.astimezone(ZoneInfo(config.reports.time_zone)),
    )


def in_assumed_charset(header: pydicom.Dataset, assumed: str) -> pydicom.Dataset:
    """A header just opened, its texts read in `reports.assume_charset` where it declares none, as in the report."""
    if assumed and not header.get("SpecificCharacterSet"):
        implicit, little = header.original_encoding
        header.set_original_encoding(implicit, little, convert_encodings(assumed.split("\\")))
    return header


def is_backlog_time(config: Config, at: datetime) -> bool:
    """May studies of priority backlog be read at this moment (node.backlog_hours)?"""
    hours = backlog_hours(config)
    return hours is None or hours.hold(at)


def backlog_hours(config: Config) -> Hours | None:
    """node.backlog_hours in the site's time; None: always."""
    return hours_of(config.node.backlog_hours, config.reports.time_zone)


def _header(config: Config, image: Instance) -> pydicom.Dataset | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote what stands in the header
        try:
            header = open_header(stored_path(config.node.store_folder, image.digest))
            return in_assumed_charset(header, config.reports.assume_charset)
        except (CannotUnderstand, OSError, MemoryError) as error:
            require(config.node.store_folder)
            log.warning("header_unreadable", instance=image.id, kind=type(error).__name__)
            return None
