"""What a worklist shows of a report at a glance: which findings its text names, how urgent they are, and of which film.

Kept beside the report, in the commit that records it, and in that of each signature: what a person has signed counts,
not what the AI had said. Ten thousand drafts cannot be read for one page. No word of the
report and nothing of the patient is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from pydicom import Dataset
from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, Session, mapped_column

from dicom_node.tables import Base
from reports.findings import CHEXPERT, Finding, State

_MARK: Final = "|"  # around each label in a row: a search for "|Edema|" finds no "Pulmonary Edema"
_HEADER: Final = 64


class Urgency(IntEnum):
    """How soon a person should look, by what the text says: the smaller, the sooner."""

    CRITICAL = 0
    DOUBTFUL = 1  # critical if it is true; the text is not sure
    NOTABLE = 2
    PLAIN = 3


# Our choice, which no clinician has signed off; classes after Larson et al., "Actionable Findings and the Role of IT
# Support", J Am Coll Radiol 2014;11:552-558. Critical: pneumothorax, since a text seldom tells whether it is under
# tension. Notable: what means disease today rather than a note for later.
URGENCIES: Final = MappingProxyType(
    {
        ("Pneumothorax", State.PRESENT): Urgency.CRITICAL,
        ("Pneumothorax", State.UNCERTAIN): Urgency.DOUBTFUL,
        ("Edema", State.PRESENT): Urgency.NOTABLE,
        ("Consolidation", State.PRESENT): Urgency.NOTABLE,
        ("Pneumonia", State.PRESENT): Urgency.NOTABLE,
        ("Pneumonia", State.UNCERTAIN): Urgency.NOTABLE,
        ("Lung Lesion", State.PRESENT): Urgency.NOTABLE,
        ("Lung Lesion", State.UNCERTAIN): Urgency.NOTABLE,
        ("Enlarged Cardiomediastinum", State.PRESENT): Urgency.NOTABLE,
    }
)


class Glance(Base):
    """One row for each report that was drafted since this table exists."""

    __tablename__ = "glance"
    __table_args__ = (Index("ix_glance_urgency", "urgency"),)

    report_id: Mapped[int] = mapped_column(ForeignKey("report.id"), primary_key=True, autoincrement=False)
    urgency: Mapped[int] = mapped_column(default=int(Urgency.PLAIN))  # an `Urgency`
    present: Mapped[str] = mapped_column(Text, default="")  # labels, as `marked` writes them
    uncertain: Mapped[str] = mapped_column(Text, default="")
    modality: Mapped[str] = mapped_column(String(16), default="")  # of the film that was read
    view: Mapped[str] = mapped_column(String(16), default="")
    body_part: Mapped[str] = mapped_column(String(64), default="")
    station: Mapped[str] = mapped_column(String(64), default="")


def glance_of(findings: Iterable[Finding], films: Sequence[Dataset]) -> Glance:
    """Sum up a draft. findings: what its text says. films: headers of those that were read, the first one first.

    A label that both label sets have in other words (Pleural Effusion, Effusion) is named once, as CheXpert does.
    """
    glance = Glance(
        modality=_element(films, "Modality")[:16],
        view=_element(films, "ViewPosition")[:16],
        body_part=_element(films, "BodyPartExamined"),
        station=_element(films, "StationName"),
    )
    _say(glance, findings)
    return glance


def keep(tx: Session, glance: Glance, report_id: int) -> None:
    """Keep it beside a report that was just recorded."""
    glance.report_id = report_id
    tx.add(glance)


def say_anew(tx: Session, report_id: int, findings: Iterable[Finding]) -> None:
    """The report says something else now. findings: what its text says. Older reports have no row, and get none."""
    glance = tx.get(Glance, report_id)
    if glance is not None:
        _say(glance, findings)


def _say(glance: Glance, findings: Iterable[Finding]) -> None:
    said = {finding.label: finding.state for finding in findings if finding.label in CHEXPERT[1:]}
    glance.urgency = int(min((URGENCIES.get(one, Urgency.PLAIN) for one in said.items()), default=Urgency.PLAIN))
    glance.present = marked(label for label, state in said.items() if state is State.PRESENT)
    glance.uncertain = marked(label for label, state in said.items() if state is State.UNCERTAIN)


def marked(labels: Iterable[str]) -> str:
    """Labels as a row keeps them, so that one can be searched for: |Edema|Fracture|, or nothing."""
    joined = _MARK.join(labels)
    return f"{_MARK}{joined}{_MARK}" if joined else ""


def unmarked(written: str) -> tuple[str, ...]:
    """The labels that a row keeps."""
    return tuple(label for label in written.split(_MARK) if label)


def _element(films: Sequence[Dataset], keyword: str) -> str:
    """What the first film that has it says, printable."""
    for film in films:
        said = "".join(letter for letter in str(film.get(keyword) or "") if letter.isprintable()).strip()
        if said:
            return said[:_HEADER]
    return ""
