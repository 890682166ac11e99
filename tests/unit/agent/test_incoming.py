"""What others say of a study: reports, rejections and merges, each seen once, none of a patient's values in the log."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from agent import drafting, examining
from agent.desk import Desk
from agent.examining import Examiner
from dicom_node import worklist
from dicom_node.errors import StoreAway, WrongState
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Book, DeliveryState, Instance, Mode, Way
from dicom_node.worklist import Claim
from reports import life
from reports.hl7.incoming import Code
from reports.objects import tree
from reports.tables import Event, Report, ReportState, Sighting
from tests.unit.agent.ward import Ward, now
from tests.unit.reports import films

BASIC_TEXT = "1.2.840.10008.5.1.4.1.1.88.11"
DOSE_REPORT = "1.2.840.10008.5.1.4.1.1.88.67"
KEY_OBJECT = "1.2.840.10008.5.1.4.1.1.88.59"
MSH = "MSH|^~\\&|RIS|HOSP|WETREAD|AI|20250302||{}|C1|P|2.5.1"


def final(
    *,
    accession: str = "ACC0001",
    patient: str = "EX-0001",
    status: str = "F",
    study: str = "",
    filler: str = "",
    placer: str = "",
    section: str = "",
) -> list[str]:
    order = f"OBR|1|{placer}|{filler}|||||||||||||||{accession}||||||{section}|{status}"
    lines = [MSH.format("ORU^R01"), f"PID|1||{patient}||Secret^Name", order]
    return [*lines, f"ZDS|{study}"] if study else lines


def merge(prior: str, into: str = "EX-9999") -> list[str]:
    return [MSH.format("ADT^A40"), f"PID|1||{into}||Secret^Name", f"MRG|{prior}"]


def update(patient: str) -> list[str]:
    return [MSH.format("ADT^A08"), f"PID|1||{patient}||Secret^Name"]


def report_of_another(**changes: Any) -> Dataset:
    """A report that a radiologist signed in another system."""
    values: dict[str, Any] = {
        "SOPClassUID": BASIC_TEXT,
        "SOPInstanceUID": f"{films.STUDY}.77",
        "SeriesInstanceUID": f"{films.STUDY}.7",
        "Modality": "SR",
        "CompletionFlag": "COMPLETE",
        "VerificationFlag": "VERIFIED",
    }
    return films.film(**{**values, **changes})


def note_of_the_pacs(title: str, *about: str, uid: str = f"{films.STUDY}.88") -> Dataset:
    note = films.film(SOPClassUID=KEY_OBJECT, SOPInstanceUID=uid, SeriesInstanceUID=uid, Modality="KO")
    note.ConceptNameCodeSequence = [
        films.item(CodeValue=title, CodingSchemeDesignator="DCM", CodeMeaning="Rejected for Some Reason")
    ]
    references = [films.item(ReferencedSOPClassUID=films.DX, ReferencedSOPInstanceUID=one) for one in about]
    series = films.item(SeriesInstanceUID=f"{films.STUDY}.1", ReferencedSOPSequence=references)
    note.CurrentRequestedProcedureEvidenceSequence = [
        films.item(StudyInstanceUID=films.STUDY, ReferencedSeriesSequence=[series])
    ]
    return note


def sightings(ward: Ward) -> list[Sighting]:
    return ward.ask(lambda tx: list(tx.scalars(select(Sighting).order_by(Sighting.id))))


# --- reports from elsewhere -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["F", "C"])
def test_a_final_report_withdraws_the_draft_and_takes_it_back(ward: Ward, status: str) -> None:
    ward.peer()
    ward.study_with_draft()
    ward.deliver()

    assert ward.hear(*final(status=status)).code is Code.ACCEPT

    assert ward.report().state is ReportState.WITHDRAWN
    ward.recaller.step()
    assert [one.stage for one in ward.deliver()] == [Stage.REJECTION]


@pytest.mark.parametrize("status", ["R", "P", "I"])
def test_a_preliminary_report_changes_nothing(ward: Ward, status: str) -> None:
    ward.study_with_draft()
    assert ward.hear(*final(status=status)).code is Code.ACCEPT
    assert ward.report().state is ReportState.DRAFT


@pytest.mark.parametrize(
    "lines",
    [
        final(accession="OTHER"),
        final(accession="OTHER", study="1.2.3.4"),
        final(accession=""),
        final(patient="EX-0002"),
        final(patient="EX-0002", study=films.STUDY),
        final(patient="EX-0002", accession="", filler="ACC0001", section="LAB"),
        final(section="LAB"),
        final(section="CT", study=films.STUDY),
    ],
    ids=[
        "accession",
        "study",
        "neither",
        "patient",
        "patient of the study",
        "laboratory",
        "section",
        "section of the study",
    ],
)
def test_a_report_of_another_study_is_accepted_and_changes_nothing(ward: Ward, lines: list[str]) -> None:
    ward.study_with_draft()
    with capture_logs() as log:
        assert ward.hear(*lines).code is Code.ACCEPT
    assert ward.report().state is ReportState.DRAFT
    assert not any(secret in str(log) for secret in ("Secret", "EX-000", "OTHER", "ACC", "1.2."))


def test_the_study_instance_uid_is_stronger_than_the_accession_number(ward: Ward) -> None:
    ward.study_with_draft()
    ward.hear(*final(accession="OTHER", study=films.STUDY))
    assert ward.report().state is ReportState.WITHDRAWN


@pytest.mark.parametrize("section", ["RAD", "RX", "cxr"])
def test_a_report_of_radiology_is_one(ward: Ward, section: str) -> None:
    ward.study_with_draft()
    ward.hear(*final(section=section))
    assert ward.report().state is ReportState.WITHDRAWN


@pytest.mark.parametrize(
    ("issuer", "patient", "state"),
    [
        ("HOSP", "EX-0001", ReportState.WITHDRAWN),
        ("HOSP", "EX-0001^^^HOSP", ReportState.WITHDRAWN),
        ("", "EX-0001^^^HOSP", ReportState.WITHDRAWN),
        ("HOSP", "EX-0002~EX-0001^^^&HOSP&ISO", ReportState.WITHDRAWN),
        ("HOSP", "EX-0001^^^CLINIC", ReportState.DRAFT),
    ],
)
@pytest.mark.parametrize("early", [False, True])
def test_a_final_report_is_of_the_study_where_patient_and_issuer_agree(
    ward: Ward, issuer: str, patient: str, state: ReportState, *, early: bool
) -> None:
    if early:
        ward.hear(*final(patient=patient))
    ward.study_with_draft(IssuerOfPatientID=issuer)
    if not early:
        ward.hear(*final(patient=patient))
    assert ward.report().state is state


def test_an_early_report_of_another_patient_silences_nothing(ward: Ward) -> None:
    ward.hear(*final(patient="EX-0002"))
    ward.hear(*final(patient="EX-0002", study=films.STUDY))
    ward.study_with_draft()
    assert ward.report().state is ReportState.DRAFT


ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # no question of locks
NUMBERS_ELSEWHERE = pytest.mark.parametrize(
    "numbers",
    [
        {"accession": "ROOM 3", "filler": "ACC0001"},
        {"accession": "ROOM 3", "filler": "F-77", "placer": "ACC0001"},
        {"accession": "", "filler": "F-77", "placer": "ACC0001"},
    ],
)


@ON_SQLITE
@NUMBERS_ELSEWHERE
def test_the_accession_number_is_found_behind_a_room_or_a_number_of_another_system(
    ward: Ward, numbers: dict[str, str]
) -> None:
    ward.study_with_draft()
    assert ward.hear(*final(patient="EX-0002", **numbers)).code is Code.ACCEPT
    assert ward.report().state is ReportState.DRAFT
    ward.hear(*final(**numbers))
    assert ward.report().event == Event.FINAL_ELSEWHERE


@ON_SQLITE
@NUMBERS_ELSEWHERE
def test_any_number_of_a_report_that_came_before_its_images_counts(ward: Ward, numbers: dict[str, str]) -> None:
    ward.peer()
    ward.hear(*final(**numbers))
    ward.study_with_draft()
    assert ward.report().event == Event.FINAL_ELSEWHERE


@ON_SQLITE
def test_the_accession_number_that_fits_is_the_only_one_that_counts(ward: Ward) -> None:
    """A filler order number that happens to be the accession number of another study of the patient."""
    ward.study_with_draft()
    ward.hear(*final(accession="ACC0001", filler="ACC0002"))
    ward.receive(films.film(SOPInstanceUID="1.2.9.1", StudyInstanceUID="1.2.9", AccessionNumber="ACC0002"))
    other = ward.draft().id
    assert ward.ask(lambda tx: tx.get_one(Report, other).state) is ReportState.DRAFT


def test_a_report_ends_every_study_of_the_patient_under_its_accession_number(ward: Ward) -> None:
    ward.study_with_draft()
    ward.receive(films.film(StudyInstanceUID="1.2.9", SOPInstanceUID="1.2.9.1", SeriesInstanceUID="1.2.9.2"))
    ward.draft()
    ward.hear(*final())
    reports = ward.ask(lambda tx: list(tx.scalars(select(Report))))
    assert [one.state for one in reports] == [ReportState.WITHDRAWN] * 2


def test_of_two_studies_with_one_accession_number_that_of_the_patient_counts(ward: Ward) -> None:
    ward.study_with_draft()
    ward.receive(films.film(StudyInstanceUID="1.2.9", SOPInstanceUID="1.2.9.1", PatientID="EX-0002"))
    ward.hear(*final(patient="EX-0003"))
    assert ward.report().state is ReportState.DRAFT
    ward.hear(*final(patient="EX-0001"))
    assert ward.report().state is ReportState.WITHDRAWN


def test_a_resent_message_changes_nothing_more(ward: Ward) -> None:
    ward.study_with_draft()
    ward.hear(*final())
    before = ward.events(), len(sightings(ward))
    ward.hear(*final())
    assert (ward.events(), len(sightings(ward))) == before


def test_no_draft_leaves_after_a_final_report(ward: Ward) -> None:
    """The report comes while the model reads; the draft is kept."""
    ward.peer()
    ward.receive(films.film())
    claimed = ward.claim()
    ward.hear(*final())

    ward.draft(claimed)

    assert ward.deliveries() == []
    assert ward.report().state is ReportState.WITHDRAWN
    assert (ward.revision().book, ward.revision().reason) == (Book.CLOSED, "final-elsewhere")


@pytest.mark.parametrize("study", ["", films.STUDY], ids=["accession", "study"])
def test_a_final_report_that_came_before_its_images_counts(ward: Ward, study: str) -> None:
    ward.peer()
    ward.hear(*final(study=study))
    ward.study_with_draft()
    assert ward.deliveries() == []
    assert ward.report().event == Event.FINAL_ELSEWHERE


def test_what_was_heard_of_studies_that_never_came_is_forgotten(ward: Ward) -> None:
    ward.hear(*final())
    ward.study_with_draft(AccessionNumber="OTHER")
    ward.hear(*final(accession="OTHER"))
    assert ward.do(lambda tx: examining.forget_early(tx, now() + timedelta(days=29))) == 0
    assert ward.do(lambda tx: examining.forget_early(tx, now() + timedelta(days=31))) == 2
    assert [one.study_id is None for one in sightings(ward)] == [False]


def test_a_late_image_after_a_final_report_gives_no_draft_that_leaves(ward: Ward) -> None:
    ward.peer()
    ward.study_with_draft()
    ward.deliver()
    ward.hear(*final())
    ward.recaller.step()
    ward.deliver()
    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.2"))
    ward.draft()
    assert ward.deliver() == []
    assert ward.report(2).state is ReportState.WITHDRAWN


def test_a_signed_sr_from_elsewhere_withdraws_the_draft(ward: Ward) -> None:
    ward.study_with_draft()
    ward.receive(report_of_another(), caller="RIS")
    assert ward.examiner.step() == 1
    assert ward.report().state is ReportState.WITHDRAWN
    assert ward.report().event == Event.FINAL_ELSEWHERE
    assert ward.examiner.step() == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"VerificationFlag": "UNVERIFIED"},
        {"CompletionFlag": "PARTIAL"},
        {"PreliminaryFlag": "PRELIMINARY"},
        {"SOPClassUID": DOSE_REPORT},
        {"VerificationFlag": None},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_an_sr_that_is_no_final_report_changes_nothing(ward: Ward, changes: dict[str, Any]) -> None:
    ward.study_with_draft()
    ward.receive(report_of_another(**changes))
    assert ward.examiner.step() == 1
    assert ward.report().state is ReportState.DRAFT
    assert [one.event for one in sightings(ward)] == [""]


def test_every_object_is_examined_once_also_after_a_restart(ward: Ward) -> None:
    ward.study_with_draft()
    for number in range(60):
        uid = f"{films.STUDY}.77.{number}"
        ward.receive(report_of_another(SOPInstanceUID=uid, VerificationFlag="UNVERIFIED"))
    assert ward.examiner.step() == 50
    restarted = Examiner(ward.desk)
    assert [restarted.step(), restarted.step(), restarted.step()] == [10, 0, 0]
    ward.receive(report_of_another())
    assert (restarted.step(), ward.examiner.step()) == (1, 0)
    assert ward.report().state is ReportState.WITHDRAWN


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_object_is_examined_when_the_store_is_back(ward: Ward) -> None:
    ward.study_with_draft()
    ward.receive(report_of_another())
    store = ward.desk.config.node.store_folder
    store.rename(ward.folder / "away")
    with pytest.raises(StoreAway):
        ward.examiner.step()
    (ward.folder / "away").rename(store)
    assert ward.examiner.step() == 1
    assert ward.report().state is ReportState.WITHDRAWN


def test_an_unreadable_object_is_booked_as_examined(ward: Ward) -> None:
    ward.study_with_draft()
    ward.receive(report_of_another())
    digest = ward.ask(lambda tx: tx.scalars(select(Instance.digest).order_by(Instance.id.desc()).limit(1)).one())
    (path,) = ward.desk.config.node.store_folder.glob(f"*/{digest}.dcm")
    path.write_bytes(path.read_bytes()[:150])
    assert (ward.examiner.step(), ward.examiner.step()) == (1, 0)
    assert ward.report().state is ReportState.DRAFT


def test_a_final_report_waits_for_a_draft_that_is_being_committed(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes at the last moment before the commit of the draft; neither passes the other."""
    ward.peer()
    ward.receive(films.film())
    hearing = threading.Thread(target=ward.hear, args=final())
    record = life.record

    def record_and_wait(*arguments: Any, **keywords: Any) -> None:
        record(*arguments, **keywords)
        hearing.start()
        hearing.join(0.5)  # it cannot end before this transaction does

    monkeypatch.setattr(life, "record", record_and_wait)
    ward.draft()
    hearing.join()

    assert ward.report().state is ReportState.WITHDRAWN
    assert [one.state for one in ward.deliveries()] == [DeliveryState.CANCELED]


# --- rejections at the PACS -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "event", "stage"),
    [
        ("113001", Event.CANCELED, Stage.REJECTION),
        ("113039", Event.CANCELED, Stage.REJECTION),
        ("113037", Event.CANCELED_FOR_SAFETY, Stage.WITHDRAWAL),
        ("113038", Event.CANCELED_FOR_SAFETY, Stage.WITHDRAWAL),
    ],
)
def test_a_rejected_image_takes_its_draft_with_it(ward: Ward, title: str, event: Event, stage: Stage) -> None:
    ward.peer()
    ward.study_with_draft()
    ward.deliver()
    ward.receive(note_of_the_pacs(title, films.FILM))
    ward.examiner.step()
    assert (ward.report().state, ward.report().event) == (ReportState.WITHDRAWN, event)
    ward.recaller.step()
    assert [one.stage for one in ward.deliver()] == [stage]


def draft_of_two(ward: Ward, claimed: Claim) -> None:
    """Of the newest image and of the first one."""
    draft, report = ward.prepare(claimed)
    report.second_film_digest = ward.ask(lambda tx: worklist.images_of(tx, claimed.study_id))[0].digest
    drafting.commit(ward.desk, claimed, draft, report)


@pytest.mark.parametrize("rejected", [films.FILM, f"{films.FILM}.2"])
def test_a_draft_about_two_films_ends_with_either_of_them(ward: Ward, rejected: str) -> None:
    ward.receive(films.film())
    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.2"))
    draft_of_two(ward, ward.claim())
    ward.receive(note_of_the_pacs("113037", rejected))
    ward.examiner.step()
    assert (ward.report().state, ward.report().event) == (ReportState.WITHDRAWN, Event.CANCELED_FOR_SAFETY)


@pytest.mark.parametrize("rejected", [films.FILM, f"{films.FILM}.2"])
def test_either_of_two_films_that_is_rejected_while_they_are_read_keeps_the_draft_back(
    ward: Ward, rejected: str
) -> None:
    ward.peer()
    ward.receive(films.film())
    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.2"))
    claimed = ward.claim()
    ward.receive(note_of_the_pacs("113037", rejected))
    ward.examiner.step()
    draft_of_two(ward, claimed)
    assert ward.deliveries() == []


@pytest.mark.parametrize(("title", "about"), [("113001", f"{films.FILM}.9"), ("113000", films.FILM)])
def test_a_note_on_something_else_changes_nothing(ward: Ward, title: str, about: str) -> None:
    """An image that was not read, and a note that is no rejection (113000, Of Interest)."""
    ward.study_with_draft()
    ward.receive(note_of_the_pacs(title, about))
    ward.examiner.step()
    assert ward.report().state is ReportState.DRAFT


@pytest.mark.parametrize(("title", "event"), [("113001", Event.REJECTED), ("113037", Event.REJECTED_FOR_SAFETY)])
def test_a_draft_that_was_rejected_in_the_pacs_is_rejected_here(ward: Ward, title: str, event: Event) -> None:
    ward.peer()
    report = ward.study_with_draft()
    ward.deliver()
    ward.receive(note_of_the_pacs(title, report.sop_instance_uid))
    ward.examiner.step()
    assert (ward.report().state, ward.report().event) == (ReportState.REJECTED, event)


def test_an_image_that_is_rejected_while_it_is_read_gives_no_draft(ward: Ward) -> None:
    ward.peer()
    ward.receive(films.film())
    claimed = ward.claim()
    ward.receive(note_of_the_pacs("113037", films.FILM))
    ward.examiner.step()
    ward.draft(claimed)
    assert ward.deliveries() == []
    assert ward.report().event == Event.CANCELED_FOR_SAFETY


# --- merged and changed patients --------------------------------------------------------------------------------------


@pytest.mark.parametrize("lines", [merge("EX-0001"), update("EX-0001")], ids=["A40", "A08"])
def test_a_changed_patient_holds_the_study_and_takes_the_draft_back(ward: Ward, lines: list[str]) -> None:
    ward.peer()
    ward.study_with_draft()
    ward.deliver()

    assert ward.hear(*lines).code is Code.ACCEPT

    assert ward.study().hold_reason == "patient-changed"
    assert (ward.report().state, ward.report().event) == (ReportState.WITHDRAWN, Event.PATIENT_CHANGED)
    ward.recaller.step()
    (note,) = ward.deliver()
    assert (note.stage, tree.name_of(ward.document(note))[0]) == (Stage.WITHDRAWAL, "113037")
    assert ward.revision().book is Book.DEAD_LETTERED, "a person must look"


def test_a_study_that_waits_to_be_read_is_held(ward: Ward) -> None:
    ward.peer()
    ward.receive(films.film())
    claimed = ward.claim()
    ward.hear(*merge("EX-0001"))
    with pytest.raises(Exception, match="another process has this workitem"):
        ward.draft(claimed)
    assert ward.study().hold_reason == "patient-changed"


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({}, merge("EX-0002", "EX-0001")),
        ({}, update("EX-0002")),
        ({"IssuerOfPatientID": "HOSP"}, update("EX-0001^^^CLINIC")),
    ],
    ids=["the surviving patient", "another patient", "another issuer"],
)
def test_other_patients_are_left_alone(ward: Ward, change: dict[str, str], lines: list[str]) -> None:
    ward.study_with_draft(**change)
    ward.hear(*lines)
    assert (ward.study().hold_reason, ward.report().state) == ("", ReportState.DRAFT)


def test_a_merge_under_another_name_of_the_issuer_holds_and_warns(ward: Ward) -> None:
    ward.study_with_draft(IssuerOfPatientID="PACS1")
    with capture_logs() as log:
        ward.hear(*merge("EX-0001^^^HOSP"))
    assert ward.study().hold_reason == "patient-changed"
    assert ward.report().event == Event.PATIENT_CHANGED
    (warning,) = (one for one in log if one["log_level"] == "warning")
    assert (warning["event"], warning["held"]) == ("message_of_another_issuer", True)
    assert "EX-0001" not in str(log)


@pytest.mark.parametrize("prior", ["EX-0001", "EX-0001^^^HOSP"])
def test_no_draft_leaves_under_an_identifier_that_was_merged_before_the_films_came(ward: Ward, prior: str) -> None:
    ward.peer()
    ward.hear(*merge(prior))
    ward.study_with_draft(IssuerOfPatientID="PACS1")
    assert ward.deliveries() == []
    assert (ward.report().state, ward.report().event) == (ReportState.WITHDRAWN, Event.PATIENT_CHANGED)


def test_a_draft_that_an_early_merge_silences_holds_its_study_until_a_person_releases_it(ward: Ward) -> None:
    ward.peer()
    ward.hear(*merge("EX-0001"))
    ward.study_with_draft()

    assert ward.study().hold_reason == "patient-changed"
    assert (ward.revision().book, ward.revision().reason) == (Book.DEAD_LETTERED, "patient-changed")
    assert "study-held" in ward.events()
    assert ward.recaller.step() == 0
    with pytest.raises(WrongState, match="held"):
        ward.do(lambda tx: worklist.requeue(tx, life.lock(tx, 1), now(), actor="person"))

    ward.do(lambda tx: worklist.release_study(tx, life.lock(tx, 1), now(), actor="person"))
    ward.draft()
    assert ward.study().hold_reason == ""
    assert [one.stage for one in ward.deliver()] == [Stage.DRAFT]


def test_what_a_merge_keeps_is_not_silenced(ward: Ward) -> None:
    ward.hear(*merge("EX-0001^^^CLINIC~EX-0007", "EX-0001^^^HOSP"))
    ward.study_with_draft(IssuerOfPatientID="HOSP")
    assert ward.report().state is ReportState.DRAFT


def test_a_study_that_a_person_released_after_the_merge_is_drafted(ward: Ward) -> None:
    ward.peer()
    ward.receive(films.film())
    ward.claim()
    ward.hear(*merge("EX-0001^^^CLINIC"))
    assert ward.study().hold_reason == "patient-changed"

    def release(tx: Session) -> None:
        worklist.release_study(tx, life.lock(tx, 1), now(), actor="person")

    ward.do(release)
    ward.draft()
    assert ward.report(2).state is ReportState.DRAFT


def test_what_is_over_is_not_held(ward: Ward) -> None:
    ward.peer(mode=Mode.SHADOW)
    ward.study_with_draft()
    ward.hear(*final())
    ward.hear(*merge("EX-0001"))
    assert ward.study().hold_reason == ""


def test_updates_can_be_left_to_people(ward: Ward) -> None:
    ward.study_with_draft()
    calm = ward.desk.config.hl7.model_copy(update={"hold_on_update": False})
    ward.desk = Desk(ward.desk.config.model_copy(update={"hl7": calm}), ward.database)
    ward.hear(*update("EX-0001"))
    assert ward.study().hold_reason == ""


# --- messages ---------------------------------------------------------------------------------------------------------


def test_a_draft_that_went_out_as_messages_is_taken_back_by_messages(ward: Ward) -> None:
    ward.service("RIS", Way.MLLP)
    ward.service("EHR", Way.FHIR)
    ward.service("HOOK", Way.WEBHOOK)
    ward.study_with_draft()
    assert {one.kind for one in ward.deliver()} == {Kind.ORU, Kind.FHIR, Kind.OUTCOME}
    ward.hear(*final())
    ward.recaller.step()

    sent = {one.kind: ward.payload(one).decode() for one in ward.deliver()}

    assert "|D\r" in sent[Kind.ORU]
    assert '"cancelled"' in sent[Kind.FHIR]
    assert '"result":"withdrawn","reason":"final-elsewhere"' in sent[Kind.OUTCOME]


def test_a_newer_draft_is_not_taken_back_with_the_older_message(ward: Ward) -> None:
    ward.service("RIS", Way.MLLP)
    ward.service("EHR", Way.FHIR)
    ward.study_with_draft()
    ward.deliver()
    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.2"))
    ward.draft()
    assert ward.recaller.step() == 0
    assert ward.report(1).taken_back_at is None, "the newer one may still be called off"
    assert {(one.kind, one.stage) for one in ward.deliver()} == {(Kind.ORU, Stage.DRAFT), (Kind.FHIR, Stage.DRAFT)}
    assert ward.recaller.step() == 0
    assert ward.report(1).taken_back_at is not None
    assert ward.deliver() == []


def replaced_by_one_that_waits(ward: Ward) -> None:
    """A draft is there as messages, and the one of a newer revision is queued; dispatch has looked once."""
    ward.service("RIS", Way.MLLP)
    ward.service("EHR", Way.FHIR)
    ward.study_with_draft()
    ward.deliver()
    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.2"))
    ward.draft()
    ward.recaller.step()


def test_an_older_message_is_taken_back_where_the_newer_one_never_left(ward: Ward) -> None:
    replaced_by_one_that_waits(ward)
    ward.hear(*final())

    assert ward.recaller.step() == 2

    taken = {(one.kind, one.stage) for one in ward.deliver()}
    assert taken == {(Kind.ORU, Stage.REJECTION), (Kind.FHIR, Stage.REJECTION)}
    assert ward.recaller.step() == 0
    assert None not in (ward.report(1).taken_back_at, ward.report(2).taken_back_at)


def test_an_older_message_is_taken_back_where_the_newer_one_was_refused(ward: Ward) -> None:
    replaced_by_one_that_waits(ward)
    first = ward.must_take()
    ward.do(lambda tx: worklist.mark_failed(tx, first, error="refused", now=now()))
    second = ward.must_take()
    ward.do(lambda tx: worklist.mark_failed(tx, second, error="no answer", now=now(), in_doubt=True))

    assert ward.recaller.step() == 1, "the one that may have arrived has replaced the older one"

    (taken,) = ward.deliver()
    assert (taken.destination, taken.stage) == (first.destination, Stage.REJECTION)


def test_a_newer_message_that_is_being_sent_when_it_is_called_off_decides_later(ward: Ward) -> None:
    replaced_by_one_that_waits(ward)
    held = ward.must_take()
    ward.hear(*final())
    assert ward.recaller.step() == 1, "the other destination"
    assert ward.report(1).taken_back_at is None

    ward.do(lambda tx: worklist.mark_sent(tx, held, now()))
    assert ward.recaller.step() == 1

    taken = [one for one in ward.deliver() if one.destination == held.destination]
    assert [one.stage for one in taken] == [Stage.REJECTION]
    assert ward.report(1).taken_back_at is not None


# --- notices ----------------------------------------------------------------------------------------------------------


def test_a_notice_leaves_the_study_excluded(ward: Ward) -> None:
    ward.peer("WANTS", notices=True)
    ward.peer("SILENT")
    ward.receive(films.film())
    claimed = ward.claim()
    source = films.film()
    outgoing = drafting.write_notice(ward.desk, claimed, [source], "The film is a lateral.", films.provenance())

    def exclude(tx: Any) -> None:
        worklist.exclude(tx, claimed, reason="lateral", explanation="The film is a lateral.", now=now())
        drafting.queue_notice(tx, claimed, outgoing)

    ward.do(exclude)
    (notice,) = ward.deliver()
    assert (notice.destination, notice.stage) == ("WANTS", Stage.NOTICE)
    assert "No AI draft: The film is a lateral." in tree.section_text(ward.document(notice))
    assert (ward.revision().book, ward.revision().reason) == (Book.EXCLUDED, "lateral")
