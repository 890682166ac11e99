"""What comes after a signature, or instead of one: addenda, rejection, withdrawal, everywhere where something went."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select

from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Book, Mode, Way
from reports.objects import tree
from reports.objects.content import read_content
from reports.signoff.errors import (
    AlreadySigned,
    Ended,
    IdentityUnproven,
    NotAllowed,
    NotShown,
    SignedSince,
    Unwritable,
)
from reports.signoff.reasons import Reason
from reports.signoff.tables import Decision, Identity, SignedDocument, SignedKind, Verdict
from reports.tables import ReportState
from tests.unit.agent.desk_of_readers import CARL, EDITED, RITA, TOM, add, predecessor, ready, service, sign
from tests.unit.agent.ward import Ward, now
from tests.unit.reports import films

PNEUMOTHORAX = "FINDINGS: There is a pneumothorax.\nIMPRESSION: Pneumothorax."

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # no question of locks


def everywhere(ward: Ward) -> None:
    """A PACS that gets drafts, one that does not, and whoever takes messages."""
    ward.peer("PACS", Kind.BASIC_TEXT, Kind.TID1500, Kind.KOS)
    ward.peer("HOLDS", mode=Mode.HOLD)
    for name, way in (("RIS", Way.MLLP), ("EHR", Way.FHIR), ("QUALITY", Way.WEBHOOK)):
        ward.service(name, way)


def draft_of(ward: Ward, text: str) -> None:
    ward.receive(films.film())
    ward.draft(text=text)


def status_of(bundle: bytes) -> str:
    resources = [entry["resource"] for entry in json.loads(bundle)["entry"]]
    return next(str(one["status"]) for one in resources if one["resourceType"] == "DiagnosticReport")


def named_in(note: object) -> set[str]:
    return set(re.findall(r"2\.25\.\d+", str(note)))


# --- case 53: rejection -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("for_safety", "title"), [(False, "113001"), (True, "113037")])
def test_a_rejected_draft_is_taken_back_and_cannot_be_signed(ward: Ward, for_safety: bool, title: str) -> None:
    ward.peer("PACS")
    ward.service("QUALITY", Way.WEBHOOK)
    ward.study_with_draft()
    ward.deliver()
    opened = ready(ward)

    reason = Reason.INVENTED_FINDING
    service(ward).reject(opened.report_id, RITA, reason, "No effusion at all.", now(), for_safety=for_safety)
    ward.recaller.step()

    note, outcome = ward.deliver()
    assert tree.name_of(ward.document(note))[0] == title
    told = json.loads(ward.payload(outcome))
    assert (told["result"], told["reason"]) == ("rejected", "invented-finding")
    words = tree.section_text(ward.document(note))
    assert "a finding that is not on the film. No effusion at all." in words
    assert ward.report().state is ReportState.REJECTED
    (row,) = ward.ask(lambda tx: tx.scalars(select(Decision)).all())
    assert (row.verdict, row.reason, row.words_signed) == (Verdict.REJECTED, "invented-finding", 0)
    with pytest.raises(Ended):
        service(ward).sign(opened.report_id, RITA, EDITED, opened.version, now())
    with pytest.raises(Ended):
        service(ward).reject(opened.report_id, RITA, reason, "", now())


@ON_SQLITE
def test_what_is_signed_is_not_rejected_but_withdrawn(ward: Ward) -> None:
    ward.study_with_draft()
    sign(ward)
    with pytest.raises(AlreadySigned):
        service(ward).reject(ward.report().id, CARL, Reason.QUALITY, "", now())


@ON_SQLITE
def test_a_trainee_rejects_but_not_for_the_patients_safety(ward: Ward) -> None:
    ward.study_with_draft()
    opened = ready(ward, TOM)
    with pytest.raises(NotAllowed, match="only a radiologist"):
        service(ward).reject(opened.report_id, TOM, Reason.QUALITY, "", now(), for_safety=True)
    service(ward).reject(opened.report_id, TOM, Reason.QUALITY, "", now())
    assert ward.report().explanation == "A person has rejected this AI draft for poor quality."


# --- case 54: addenda -------------------------------------------------------------------------------------------------


def test_a_draft_has_no_addendum(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    with pytest.raises(NotAllowed, match="needs a signed report"):
        service(ward).addendum(ward.study().id, RITA, "More.", now())
    sign(ward, TOM)
    with pytest.raises(NotAllowed, match="needs a signed report"):
        service(ward).addendum(ward.study().id, RITA, "More.", now())
    assert [one.stage for one in ward.deliver()] == [Stage.DRAFT]


def test_addenda_are_a_chain_at_each_destination(ward: Ward) -> None:
    everywhere(ward)
    ward.study_with_draft()
    ward.deliver()
    sign(ward)
    signed = {one.destination: one for one in ward.deliver() if one.kind is Kind.BASIC_TEXT}
    add(ward, CARL, "Compared with the CT.", now() + timedelta(minutes=1))
    done = add(ward, RITA, "No change.", now() + timedelta(minutes=2))

    sent = ward.deliver()

    assert (done.kind, done.number) == (SignedKind.ADDENDUM, 3)
    for name in ("PACS", "HOLDS"):
        second, third = (one for one in sent if (one.destination, one.kind) == (name, Kind.BASIC_TEXT))
        assert predecessor(ward.document(second)) == signed[name].sop_instance_uid
        assert predecessor(ward.document(third)) == second.sop_instance_uid
        assert read_content(ward.document(third)).addenda == ("Compared with the CT.", "No change.")
        assert read_content(ward.document(third)).findings == EDITED.findings
    assert signed["PACS"].sop_instance_uid != signed["HOLDS"].sop_instance_uid
    assert [b"|C|" in ward.payload(one).split(b"\r")[3] for one in sent if one.kind is Kind.ORU] == [True, True]
    assert [status_of(ward.payload(one)) for one in sent if one.kind is Kind.FHIR] == ["appended", "appended"]
    assert Kind.OUTCOME not in {one.kind for one in sent}, "what became of the draft is told once"
    assert ward.revision().book is Book.DELIVERED
    rows = ward.ask(lambda tx: tx.scalars(select(SignedDocument).order_by(SignedDocument.number)).all())
    assert [(row.number, row.kind.value, row.predecessor_id) for row in rows] == [
        (1, "signed", None),
        (2, "addendum", rows[0].id),
        (3, "addendum", rows[1].id),
    ]


@ON_SQLITE
def test_an_addendum_is_a_radiologists_and_has_words(ward: Ward) -> None:
    ward.study_with_draft()
    sign(ward)
    with pytest.raises(NotAllowed):
        service(ward).addendum(ward.study().id, TOM, "More.", now())
    with pytest.raises(Unwritable):
        service(ward).addendum(ward.study().id, RITA, " \n ", now())


@ON_SQLITE
def test_an_addendum_is_of_somebody_who_saw_the_film_while_the_pacs_agrees(ward: Ward) -> None:
    ward.study_with_draft()
    done = sign(ward)
    adding = partial(service(ward).addendum, done.study_id, words="A rib fracture.")
    with pytest.raises(NotShown):
        adding(CARL, now=now() + timedelta(minutes=1))
    service(ward).film_shown(done.report_id, CARL, now())
    with pytest.raises(IdentityUnproven, match="in the last ten minutes"):
        adding(CARL, now=now() + timedelta(minutes=11))
    service(ward).identity_checked(done.report_id, Identity.DIFFERS, now())
    with pytest.raises(IdentityUnproven, match="another patient"):
        adding(CARL, now=now() + timedelta(minutes=1))
    service(ward).identity_checked(done.report_id, Identity.SAME, now())

    assert adding(CARL, now=now() + timedelta(minutes=1)).kind is SignedKind.ADDENDUM
    assert not service(ward).open_(done.report_id, CARL, now()).film_shown  # the page of the signed report, anew
    with pytest.raises(NotShown):
        adding(CARL, now=now() + timedelta(minutes=1))


@ON_SQLITE
def test_an_addendum_that_is_sent_twice_is_added_once(ward: Ward) -> None:
    ward.study_with_draft()
    done = sign(ward)
    for words in ("A rib fracture.", "Compared with the CT."):
        later = now() + timedelta(minutes=done.number)
        done = add(ward, RITA, words, later, seen=done.number)
    with pytest.raises(SignedSince, match="rita has signed since"):
        service(ward).addendum(done.study_id, RITA, words, now() + timedelta(minutes=9), seen=done.number - 1)
    assert len(ward.ask(lambda tx: tx.scalars(select(SignedDocument)).all())) == 3


# --- withdrawal -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("for_safety", [False, True])
def test_a_withdrawal_reaches_everybody_who_got_the_signed_report(ward: Ward, for_safety: bool) -> None:
    everywhere(ward)
    draft_of(ward, PNEUMOTHORAX)
    drafts = ward.deliver()
    sign(ward)
    finals = ward.deliver()
    ward.service("CAME-LATER", Way.MLLP)

    service(ward).withdraw(ward.study().id, CARL, "The patients were exchanged.", now(), for_safety=for_safety)
    assert ward.report().state is ReportState.WITHDRAWN
    ward.recaller.step()

    notes = {one.destination: one for one in ward.deliver()}
    stage = Stage.WITHDRAWAL if for_safety else Stage.REJECTION
    assert {one.stage for one in notes.values()} == {stage}
    assert notes.keys() == {"PACS", "HOLDS", "RIS", "EHR", "QUALITY"}
    for name in ("PACS", "HOLDS"):
        there = {one.sop_instance_uid for one in (*drafts, *finals) if one.destination == name}
        assert there <= named_in(ward.document(notes[name])), "every object that it has is named"
    oru = ward.payload(notes["RIS"])
    assert oru.split(b"\r")[3].endswith(b"|C"), "it was final there"
    gone = b"|W\r" if for_safety else b"|D\r"
    assert gone in oru
    assert b"The patients were exchanged." in oru
    assert status_of(ward.payload(notes["EHR"])) == "entered-in-error"
    outcome = json.loads(ward.payload(notes["QUALITY"]))
    assert (outcome["result"], outcome["draft_uid"]) == ("withdrawn", ward.report().sop_instance_uid)
    assert (ward.revision().book, ward.revision().reason) == (Book.CLOSED, ward.report().event)
    (row,) = ward.ask(lambda tx: tx.scalars(select(Decision)).all())
    assert row.withdrawn_at is not None


@ON_SQLITE
def test_the_withdrawal_takes_back_the_findings_of_the_signature_not_those_of_the_draft(ward: Ward) -> None:
    ward.service("RIS", Way.MLLP)
    draft_of(ward, PNEUMOTHORAX)
    ward.deliver()
    sign(ward)
    ward.deliver()
    service(ward).withdraw(ward.study().id, CARL, "Wrong.", now())
    ward.recaller.step()
    (note,) = ward.deliver()
    assert b"Pleural effusion" in ward.payload(note)
    assert b"Pneumothorax" not in ward.payload(note)


def test_what_was_signed_and_not_sent_is_called_off(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    ward.deliver()
    sign(ward)
    service(ward).withdraw(ward.study().id, CARL, "Wrong.", now())
    ward.recaller.step()
    assert [one.stage for one in ward.deliver()] == [Stage.REJECTION]
    assert ward.revision().book is Book.CLOSED


@ON_SQLITE
def test_a_withdrawal_needs_a_signed_report_a_radiologist_and_words(ward: Ward) -> None:
    ward.study_with_draft()
    study_id = ward.study().id
    with pytest.raises(NotAllowed):
        service(ward).withdraw(study_id, RITA, "Why.", now())
    sign(ward)
    with pytest.raises(NotAllowed):
        service(ward).withdraw(study_id, TOM, "Why.", now())
    with pytest.raises(Unwritable):
        service(ward).withdraw(study_id, RITA, "", now())
    service(ward).withdraw(study_id, RITA, "Why.", now())
    with pytest.raises(NotAllowed):
        service(ward).withdraw(study_id, RITA, "Why.", now())
