"""The caretaker of the house: what the administrator's pages ask of the application, since `reports` cannot do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from dicom_node.rules.decision import Standing
from dicom_node.tables import Proof
from reports.handout import Handout


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt to reach somebody, and what came of it in words."""

    well: bool
    words: str


@dataclass(frozen=True, slots=True)
class Context:
    """One SOP class that a peer was asked for; syntaxes: names of those it takes, none where it refuses the class."""

    name: str
    uid: str
    syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Advised:
    """What a probe found. objects: forms with commas, as they are kept; empty for none."""

    at: datetime
    contexts: tuple[Context, ...]
    objects: str
    proof: Proof
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """One rule held against one study. matched: None where a condition could not be answered."""

    rule: str
    matched: bool | None
    conditions: tuple[tuple[str, bool | None, str], ...]  # condition, does it hold, why it is not told


@dataclass(frozen=True, slots=True)
class Trial:
    """What the rules would do with a study. then: the rule that decided when it came; empty: none."""

    subject: str
    study_id: int | None
    rule: str
    then: str
    outcome: str
    priority: str
    reader: str
    to: str
    answers: tuple[Answer, ...]
    remarks: tuple[str, ...]
    readable: bool


@dataclass(frozen=True, slots=True)
class Model:
    """The model of this configuration. rows: what it is, label and words. trouble: why nobody can tell."""

    rows: tuple[tuple[str, str], ...]
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of `wetread check`, or of `wetread model verify`. word: ok, warning or wrong."""

    subject: str
    word: str
    words: str


class Caretaker(Protocol):
    """Every call ends within seconds, and runs in a thread of its own page."""

    def echo(self, title: str) -> Tried:
        """C-ECHO. Raises NotFound."""

    def probe(self, title: str, actor: str) -> Advised:
        """Ask a peer what it takes, sending nothing, and keep the answer. Raises NotFound, SendFailure."""

    def try_out(self, name: str) -> Tried:
        """Reach a service without sending anything of a patient. Raises NotFound."""

    def credentials(self) -> Sequence[str]:
        """Names of the secrets that a service may use."""

    def readers(self) -> Sequence[str]:
        """Names of the readers that a rule may choose."""

    def of_file(self, content: bytes, rules: Sequence[Standing], calling: str, called: str) -> Trial:
        """Hold the rules against a dropped file, which is never written down. Raises CannotUnderstand."""

    def of_studies(self, rules: Sequence[Standing], span: str, most: int) -> Sequence[Trial]:
        """Hold them against the newest studies that came within 90m, 24h or 7d. Raises ConfigurationError."""

    def backlog_hours(self, at: datetime) -> tuple[str, bool]:
        """The hours in which studies of priority backlog are read (empty: always), and whether it is one of them."""

    def model(self) -> Model:
        """What the configured model is; nothing is loaded."""

    def verify_model(self) -> Sequence[Verdict]:
        """Read all of it and compare digests and shapes. Minutes for a model of many gigabytes."""

    def check(self) -> Sequence[Verdict]:
        """What `wetread check` says."""

    def quarantine_folder(self) -> Path:
        """Where the bytes of refused objects lie."""

    def sheet(self, host: str) -> Handout:
        """The sheet for the administrator of the PACS. Raises ConfigurationError."""

    def statement(self) -> Handout:
        """The DICOM conformance statement of this configuration."""

    def printed(self, handout: Handout) -> bytes:
        """As a PDF."""
