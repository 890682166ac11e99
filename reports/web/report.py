"""What the page of one report asks: the draft, what was signed, how far that is on its way, and what comes next."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from pydicom import Dataset, dcmread
from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from dicom_node.errors import NotFound, StoreAway
from dicom_node.headers import UNREADABLE
from dicom_node.kinds import FINAL
from dicom_node.tables import Book, Delivery, DeliveryState, Instance, Revision, Role, Study, Workitem
from reports import drafts, shelf
from reports.glance import Glance
from reports.objects.tree import plain
from reports.page.sheet import day, person, visible
from reports.signoff.copies import OFFERED, SILENCE
from reports.signoff.tables import SignedDocument, SignedKind, WorkingCopy
from reports.tables import Report, ReportState
from reports.web import choice
from reports.web.offers import kept_for_another
from reports.web.withdrawal import withdrawn_by

_NO_SUCH = 2**31
_THEN = "Load this page again when it is back; nothing is done here before."
_UNPAIRED = "U"  # Image Laterality of a chest (PS3.3 C.8.11.2): nothing to read for a person
_OF_FILM = ("Modality", "BodyPartExamined", "ViewPosition", "ImageLaterality", "StationName", "SpecificCharacterSet")


@dataclass(frozen=True, slots=True)
class Papers:
    """The report of a study that people care for, as `drafts.foremost` says. revision: the one it is of.

    signed: signatures of it that hold, in order. shadow: nobody may see it. late: an image came
    after it was signed, and was not read. sendings: of the newest signed document; none of what is not signed.
    taken_back: the last document that was verified, of a report that is withdrawn. withdrawn_by: as the function.
    """

    study: Study
    report: Report | None
    revision: int
    shadow: bool
    signed: Sequence[SignedDocument]
    late: bool
    sendings: Sequence[Delivery]
    taken_back: SignedDocument | None = None
    withdrawn_by: str = ""


@dataclass(frozen=True, slots=True)
class Neighbors:
    """Studies before and after this one in the order of the work: the most urgent, then the oldest draft first."""

    previous: int | None
    next: int | None
    left: int  # open drafts besides this one


@dataclass(frozen=True, slots=True)
class Label:
    """One value of the identity strip. key: a word for styles and tests."""

    key: str
    name: str
    value: str


def papers(tx: Session, study_id: int, report_id: int = 0) -> Papers | None:
    """The papers of the study with this number, or None.

    report_id: one of its reports that no newer draft replaces; any other number is as good as none.
    """
    study = tx.get(Study, study_id) if study_id < _NO_SUCH else None
    if study is None:
        return None
    reports = drafts.of_study(tx, study.id)
    meant = [one for one in reports if one.id == report_id and one.state is not ReportState.SUPERSEDED]
    report = next(iter(meant), None) or drafts.foremost(reports)
    if report is None:
        return Papers(study, None, 0, shadow=False, signed=(), late=False, sendings=())
    revision = tx.get_one(Revision, report.revision_id)
    return Papers(
        study=study,
        report=report,
        revision=revision.number,
        shadow=revision.book is Book.CLOSED and revision.reason == "shadow",
        signed=tx.scalars(_signed(), {"report": report.id}).all(),
        late=_came_late(tx, study, report, revision),
        sendings=_sendings(tx, report) if report.state is ReportState.VERIFIED else (),
        taken_back=_last_withdrawn(tx, report),
        withdrawn_by=withdrawn_by(tx, report, revision),
    )


def _came_late(tx: Session, study: Study, report: Report, revision: Revision) -> bool:
    """Has an image come after the report was signed, which opened no revision?"""
    if report.state is not ReportState.VERIFIED or revision.number != study.revision:
        return False
    image = (Instance.study_id == study.id) & (Instance.role == Role.IMAGE) & Instance.conflict.is_(False)
    return tx.scalar(select(Instance.id).where(image, Instance.received_at > report.changed_at).limit(1)) is not None


def _sendings(tx: Session, report: Report) -> Sequence[Delivery]:
    """By destination and form the newest delivery of what was signed of this one."""
    sent = tx.scalars(_sent(), {"revision": report.revision_id})
    newest = {(one.destination, one.kind): one for one in sent}
    return list(newest.values())


@cache
def _signed() -> Select[SignedDocument]:
    chosen = select(SignedDocument).where(SignedDocument.report_id == bindparam("report"))
    return chosen.where(SignedDocument.ended_at.is_(None)).order_by(SignedDocument.number)


def _last_withdrawn(tx: Session, report: Report) -> SignedDocument | None:
    if report.state is not ReportState.WITHDRAWN:
        return None
    return tx.scalars(_taken_back(), {"report": report.id}).first()


@cache
def _taken_back() -> Select[SignedDocument]:
    chosen = select(SignedDocument).where(SignedDocument.report_id == bindparam("report"))
    verified = SignedDocument.kind != SignedKind.ATTESTED
    return chosen.where(verified, SignedDocument.ended_at.is_not(None)).order_by(SignedDocument.number.desc())


@cache
def _sent() -> Select[Delivery]:
    final = Delivery.stage.in_(FINAL), Delivery.state != DeliveryState.CANCELED
    return select(Delivery).where(Delivery.revision_id == bindparam("revision"), *final).order_by(Delivery.id)


def neighbors(tx: Session, study_id: int, user_id: int, now: datetime) -> Neighbors:
    """What a person may open before and after, in the order of the worklist: what nobody else has open, and what is
    kept for nobody else.
    """
    moments = {"silent_since": now - SILENCE, "offered_since": now - OFFERED}
    asked = {choice.USER: user_id, "study": study_id, **moments}
    order = list(dict.fromkeys(tx.scalars(_next_to(), asked)))
    others = [one for one in order if one != study_id]
    if study_id not in order:
        return Neighbors(None, next(iter(others), None), len(others))
    place = order.index(study_id)
    before, after = order[:place], order[place + 1 :]
    return Neighbors(
        before[-1] if before else None, next(iter([*after, *(before if not after else [])]), None), len(others)
    )


@cache
def _next_to() -> Select[int]:
    """Studies in the order of the worklist whose draft a person may open, and one study that he has before him."""
    free = WorkingCopy.holder_id.is_(None) | (WorkingCopy.holder_id == choice.user())
    silent = WorkingCopy.heard_at.is_(None) | (WorkingCopy.heard_at <= bindparam("silent_since"))
    kept = kept_for_another(bindparam("offered_since"))
    is_free = WorkingCopy.report_id.is_(None) | ((free | silent) & ~kept)
    return (
        select(Revision.study_id)
        .join(Report, Report.revision_id == Revision.id)
        .join(Workitem, Workitem.revision_id == Revision.id)
        .outerjoin(WorkingCopy, WorkingCopy.report_id == Report.id)
        .outerjoin(Glance, Glance.report_id == Report.id)
        .where(Report.id.in_(choice.first_open()), is_free | (Revision.study_id == bindparam("study")))
        .order_by(*choice.ORDER_OF_READING)
        .limit(2000)
    )


def document_or_why(digest: str, store: Path, what: str) -> tuple[Dataset | None, str]:
    """As `document_of`, and where there is none a sentence that says why. what: how it is called there."""
    try:
        return shelf.load(store, digest), ""
    except StoreAway:
        return None, f"The store is away: {what} cannot be shown now. Tell the administrator. {_THEN}"
    except NotFound:
        why = f"{what} cannot be shown: the document is not in the store, or it is damaged."
        return None, f"{why[:1].upper()}{why[1:]} Tell the administrator. {_THEN}"


def document_of(digest: str, store: Path) -> Dataset | None:
    """A document of ours from the store; None where it is not there. Not within a transaction: it may be slow.

    Its digest has proven that it is what was written, so that nothing of it is decoded before it is asked for.
    """
    return document_or_why(digest, store, "it")[0]


def latest_final(found: Papers) -> SignedDocument | None:
    """What was verified last; what a trainee attested is not verified."""
    verified = [one for one in found.signed if one.kind is not SignedKind.ATTESTED]
    return verified[-1] if verified else None


def strip(document: Dataset) -> tuple[Label, ...]:
    """Whose study this is, from the draft itself; absent values stay away. For people: it holds the patient's name."""
    study_time = plain(document, "StudyTime").partition(".")[0]
    clock = ":".join(study_time[at : at + 2] for at in range(0, min(len(study_time), 4), 2))
    written = (
        ("name", "Patient", person(plain(document, "PatientName"))),
        ("id", "Patient ID", plain(document, "PatientID")),
        ("issuer", "Issuer", plain(document, "IssuerOfPatientID")),
        ("sex", "Sex", plain(document, "PatientSex")),
        ("age", "Age then", age_then(plain(document, "PatientBirthDate"), plain(document, "StudyDate"))),
        ("born", "Born", day(plain(document, "PatientBirthDate"))),
        ("accession", "Accession", plain(document, "AccessionNumber")),
        ("study", "Study", " ".join(filter(None, (day(plain(document, "StudyDate")), clock)))),
        ("what", "Description", plain(document, "StudyDescription")),
    )
    always = {"name", "id", "accession"}
    return tuple(
        Label(key, name, visible(value).strip() or "-")
        for key, name, value in written
        if value.strip() or key in always
    )


def strip_of_books(study: Study) -> tuple[Label, ...]:
    """As `strip`, of what the database knows, which has no names: for a document that cannot be read."""
    written = (
        ("name", "Patient", "name cannot be shown"),
        ("id", "Patient ID", study.patient_id),
        ("issuer", "Issuer", study.issuer_of_patient_id),
        ("accession", "Accession", study.accession_number),
    )
    shown = (one for one in written if one[2].strip() or one[0] != "issuer")
    return tuple(Label(key, name, visible(value).strip() or "-") for key, name, value in shown)


def film_label(path: Path) -> tuple[Label, ...]:
    """View and station from the header of a stored film; none where it is gone or cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote what stands in the header
            header = dcmread(path, stop_before_pixels=True, specific_tags=list(_OF_FILM))
            header.decode()
            named = (plain(header, keyword) for keyword in _OF_FILM[:4])
            view = " ".join(one for one in named if one not in {"", _UNPAIRED})
            station = plain(header, "StationName")
    except (OSError, *UNREADABLE):
        return ()
    written = (("view", "View", view), ("station", "Station", station))
    return tuple(Label(key, name, visible(value).strip()) for key, name, value in written if value.strip())


def age_then(born: str, studied: str) -> str:
    """Age at the study in the unit that says something; empty where a date is missing or makes no sense."""
    if not (len(born) == len(studied) == 8 and born.isdecimal() and studied.isdecimal() and born <= studied):
        return ""
    months = (int(studied[:4]) - int(born[:4])) * 12 + int(studied[4:6]) - int(born[4:6]) - (studied[6:] < born[6:])
    return f"{months // 12} y" if months >= 24 else f"{months} mo"
