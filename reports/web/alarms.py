"""What stands above every page until somebody has done something about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node import peers
from dicom_node.beats import SILENT, is_stopped, why_not
from dicom_node.books import Backlog
from dicom_node.destinations import destinations
from dicom_node.tables import ProcessBeat
from dicom_node.worklist import gaps
from dicom_node.worklist.pauses import pauses
from reports.web.standing import age

PROCESSES = ("listen", "dispatch", "work", "send", "web")
_FORGOTTEN = timedelta(hours=1)  # a host that is silent for so long was taken down on purpose


@dataclass(frozen=True, slots=True)
class Alarm:
    """One warning: a sentence, what to type, and the page that shows more."""

    sentence: str
    command: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Pulse:
    """The last sign of life of one process; None where it never gave one."""

    name: str  # listen, or listen@host
    at: datetime | None
    detail: str = ""


def alarms(
    tx: Session, now: datetime, waiting: Backlog, not_ready: Sequence[str], known: Sequence[Pulse] | None = None
) -> list[Alarm]:
    """Everything that needs a person, the most urgent first. known: the pulses, where they have been asked already."""
    beats = pulses(tx, now) if known is None else known
    return [
        *(Alarm(reason, "wetread check") for reason in not_ready),
        *_studies(waiting),
        *_silence([pulse for pulse in beats if is_silent(pulse, now)], now),
        *_switches(tx),
        *_destinations(tx),
        *_gaps(tx),
    ]


def pulses(tx: Session, now: datetime) -> list[Pulse]:
    """Each process of each host, and those of the five that never gave a sign of life.

    Rows of hosts that are long gone are left out while the same process lives elsewhere.
    """
    found = [
        Pulse(beat.name, beat.beat_at, beat.detail)
        for beat in tx.scalars(select(ProcessBeat).order_by(ProcessBeat.beat_at.desc()))
    ]
    shown = []
    for name in PROCESSES:
        same = [pulse for pulse in found if pulse.name.partition("@")[0] == name]
        recent = [pulse for pulse in same if pulse.at is not None and now - pulse.at <= _FORGOTTEN]
        shown.extend(recent or same[:1] or [Pulse(name, None)])
    return shown


def is_silent(pulse: Pulse, now: datetime) -> bool:
    """Has the process given no sign of life lately, or said that it cannot work?"""
    return pulse.at is None or now - pulse.at > SILENT or is_stopped(pulse.detail) or bool(why_not(pulse.detail))


def _silence(silent: Sequence[Pulse], now: datetime) -> Iterator[Alarm]:
    never = ", ".join(pulse.name for pulse in silent if pulse.at is None)
    if never:
        yield Alarm(f"Never given a sign of life: {never}. wetread run starts all five processes.", "wetread check")
    for pulse in silent:
        if pulse.at is not None:
            sentence = f"{pulse.name} has given no sign of life for {age(pulse.at, now)}: it hangs or does not run."
            if is_stopped(pulse.detail):
                sentence = f"{pulse.name} was stopped {age(pulse.at, now)} ago."
            elif why_not(pulse.detail):
                sentence = f"{pulse.name} {pulse.detail}."
            yield Alarm(sentence, "wetread check")


def _studies(waiting: Backlog) -> Iterator[Alarm]:
    if waiting.dead_letters:
        noun = "study is a dead letter" if waiting.dead_letters == 1 else "studies are dead letters"
        sentence = f"{waiting.dead_letters} {noun}: nothing more happens until a person has looked."
        yield Alarm(sentence, link="/?show=dead-letters")
    if waiting.held:
        noun = "study is held" if waiting.held == 1 else "studies are held"
        yield Alarm(f"{waiting.held} {noun} until a person decides.", link="/?show=held")
    if waiting.conflicts:
        noun = "study has" if waiting.conflicts == 1 else "studies have"
        sentence = f"{waiting.conflicts} {noun} newer bytes under a SOP Instance UID; the first bytes are used."
        yield Alarm(sentence, "wetread study list --conflicts")


def _switches(tx: Session) -> Iterator[Alarm]:
    for brake in pauses(tx):
        yield Alarm(f"{brake.sentence} by {brake.by} since {brake.at:%Y-%m-%d %H:%M} UTC.", brake.command)


def _destinations(tx: Session) -> Iterator[Alarm]:
    if not destinations(tx) and peers.everyone(tx):
        sentence = "No destination is registered: drafts have nowhere to go and become dead letters."
        yield Alarm(sentence, "wetread ae edit PACS --address 10.0.0.5:104 --send-to")


def _gaps(tx: Session) -> Iterator[Alarm]:
    if missing := gaps.count_open(tx):
        noun = "study that a peer has is" if missing == 1 else "studies that a peer has are"
        yield Alarm(f"{missing} {noun} missing here.", "wetread reconcile --retrieve")
