"""The documents of a study that people signed, in their order: how it became what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.errors import NotFound
from reports import drafts
from reports.signoff.tables import SignedDocument, SignedKind
from reports.tables import Report, ReportState


@dataclass(frozen=True, slots=True)
class Link:
    """One signed document. number: among the signatures of the study. replaces: the number of its predecessor, or 0."""

    number: int
    kind: SignedKind
    sop_instance_uid: str
    digest: str
    login: str
    at: datetime
    replaces: int

    @property
    def line(self) -> str:
        """For a terminal: who did what when, by login."""
        after = f", after {self.replaces}" if self.replaces else ""
        return f"{self.number}: {self.kind} by {self.login}, {self.at:%Y-%m-%d %H:%M} UTC{after}"


def standing_report(tx: Session, study_id: int) -> Report | None:
    """The report of a study that counts: the signed one, else the newest; None where there is none."""
    everyone = drafts.of_study(tx, study_id)
    return next((one for one in everyone if one.state is ReportState.VERIFIED), next(iter(everyone), None))


def chain_of(tx: Session, report: Report) -> tuple[Link, ...]:
    """What was signed of a report, the oldest first, also where it was withdrawn since; no attestations."""
    rows = tx.scalars(
        select(SignedDocument).where(SignedDocument.report_id == report.id).order_by(SignedDocument.number)
    ).all()
    numbers = {row.id: row.number for row in rows if row.kind is not SignedKind.ATTESTED}
    return tuple(
        Link(
            number=row.number,
            kind=row.kind,
            sop_instance_uid=row.sop_instance_uid,
            digest=row.digest,
            login=row.login,
            at=row.at,
            replaces=numbers.get(row.predecessor_id or 0, 0),
        )
        for row in rows
        if row.id in numbers
    )


def one_of(report: Report, chain: Sequence[Link], number: int | None) -> str:
    """Digest of the document with this number, 0 for the draft; None: the newest. Raises NotFound."""
    if number is None:
        return chain[-1].digest if chain else report.digest
    if number == 0:
        return report.digest
    for link in chain:
        if link.number == number:
            return link.digest
    there = ", ".join(str(link.number) for link in chain) or "none"
    raise NotFound(f"the report has no signed document {number}; there are: {there}, and 0 for the draft")
