"""Signing a draft: what goes out, to whom, what the books say, and who is refused."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from dicom_node import worklist
from dicom_node.database import Database
from dicom_node.errors import WrongState
from dicom_node.kinds import Kind, Stage
from dicom_node.rules.tables import Late
from dicom_node.tables import Book, DeliveryState, Mode, Study, Way
from dicom_node.worklist.moves import next_revision
from reports import life
from reports.checks import DocumentRefused
from reports.objects.content import read_content
from reports.signoff import bookings, documents
from reports.signoff.errors import (
    AlreadySigned,
    Ended,
    IdentityUnproven,
    NotAllowed,
    NotCurrent,
    NotShown,
    OpenedByAnother,
    PatientChanged,
    Restless,
    SamePerson,
    SignOffError,
    StaleVersion,
    Unwritable,
)
from reports.signoff.person import Person
from reports.signoff.tables import Decision, Identity, SignedDocument, SignedKind, Verdict
from reports.tables import Event, ReportState
from reports.text import DraftText
from tests.unit.agent.desk_of_readers import CARL, EDITED, RITA, TOM, predecessor, ready, service, sign
from tests.unit.agent.test_incoming import merge
from tests.unit.agent.ward import Ward, now
from tests.unit.reports import films

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # no question of locks


def decision(ward: Ward) -> Decision:
    return ward.ask(lambda tx: tx.scalars(select(Decision)).one())


def refused(ward: Ward, error: type[SignOffError], person: Person = RITA, text: DraftText = EDITED) -> SignOffError:
    """A signature that fails, and leaves nothing."""
    before = ward.events()
    opened = service(ward).look(ward.report().id, person, now())
    with pytest.raises(error) as raised:
        service(ward).sign(opened.report_id, person, text, opened.version, now())
    assert ward.events() == before
    assert ward.ask(lambda tx: tx.scalars(select(SignedDocument)).all()) == []
    return raised.value


# --- what goes out ----------------------------------------------------------------------------------------------------


def test_a_signed_report_replaces_the_draft_where_that_went(ward: Ward) -> None:
    ward.peer("PACS")
    draft = ward.study_with_draft()
    ward.deliver()

    done = sign(ward)

    assert (done.kind, done.state, done.destinations) == (SignedKind.SIGNED, ReportState.VERIFIED, ("PACS",))
    assert ward.revision().book is Book.IN_FLIGHT
    assert service(ward).in_pacs(done.study_id) == {"PACS": DeliveryState.QUEUED}
    (sent,) = ward.deliver()
    document = ward.document(sent)
    assert (sent.stage, predecessor(document)) == (Stage.SIGNED, draft.sop_instance_uid)
    assert document.VerifyingObserverSequence[0].VerifyingObserverName == RITA.name
    assert read_content(document).findings == EDITED.findings
    assert (ward.report().state, ward.revision().book) == (ReportState.VERIFIED, Book.DELIVERED)
    assert service(ward).in_pacs(done.study_id) == {"PACS": DeliveryState.COMMITTED}
    assert "report-signed" in ward.events()


def test_each_destination_gets_what_its_mode_says(ward: Ward) -> None:
    """Hold: no predecessor that it never had. Shadow: nothing."""
    ward.peer("DRAFTS", Kind.BASIC_TEXT, Kind.TID1500, Kind.KOS)
    ward.peer("HOLDS", mode=Mode.HOLD)
    ward.peer("SHADOW", mode=Mode.SHADOW)
    ward.study_with_draft()
    ward.deliver()

    sign(ward)

    sent = ward.deliver()
    assert [(one.destination, one.kind) for one in sent] == [
        ("DRAFTS", Kind.BASIC_TEXT),
        ("DRAFTS", Kind.TID1500),
        ("HOLDS", Kind.BASIC_TEXT),
    ]
    assert [predecessor(ward.document(one)) is None for one in sent] == [False, False, True]
    assert ward.revision().book is Book.DELIVERED


def test_a_held_draft_waits_in_its_book_until_it_is_signed_and_proven(ward: Ward) -> None:
    ward.peer("HOLDS", mode=Mode.HOLD)
    ward.study_with_draft()
    assert (ward.deliver(), ward.revision().book) == ([], Book.AWAITING_SIGNOFF)
    sign(ward)
    assert ward.revision().book is Book.IN_FLIGHT
    assert [one.stage for one in ward.deliver()] == [Stage.SIGNED]
    assert ward.revision().book is Book.DELIVERED


@ON_SQLITE
def test_where_nobody_gets_it_the_books_say_so(ward: Ward) -> None:
    ward.peer("HOLDS", mode=Mode.HOLD)
    ward.study_with_draft()
    ward.set_mode("HOLDS", Mode.SHADOW)

    assert sign(ward).destinations == ()

    assert (ward.revision().book, ward.revision().reason) == (Book.CLOSED, bookings.NOT_SENT)


def test_a_draft_that_has_not_left_stays_here_and_is_no_predecessor(ward: Ward) -> None:
    ward.peer("PACS")
    ward.peer("DEAD")
    ward.study_with_draft()
    held = ward.must_take()
    ward.do(lambda tx: worklist.mark_failed(tx, held, error="refused", now=now()))

    sign(ward)

    sent = ward.deliver()
    assert [(one.stage, predecessor(ward.document(one))) for one in sent] == [(Stage.SIGNED, None)] * 2
    assert {one.reason for one in ward.deliveries() if one.stage is Stage.DRAFT} == {"signed-instead"}
    assert ward.revision().book is Book.DELIVERED


def test_a_draft_that_is_being_sent_goes_first_and_is_the_predecessor(ward: Ward) -> None:
    ward.peer("PACS")
    draft = ward.study_with_draft()
    held = ward.must_take()

    sign(ward)

    assert (ward.deliveries()[0].stage, ward.deliveries()[0].state) == (Stage.DRAFT, DeliveryState.QUEUED)
    ward.do(lambda tx: worklist.mark_sent(tx, held, now()))
    (sent,) = ward.deliver()
    assert predecessor(ward.document(sent)) == draft.sop_instance_uid
    assert ward.revision().book is Book.DELIVERED


def test_messages_say_final_and_take_the_drafts_notice_back(ward: Ward) -> None:
    for name, way in (("RIS", Way.MLLP), ("EHR", Way.FHIR), ("QUALITY", Way.WEBHOOK)):
        ward.service(name, way)
    ward.service("RIS-HOLDS", Way.MLLP, mode=Mode.HOLD)
    ward.receive(films.film())
    ward.draft(text="FINDINGS: There is a pneumothorax.\nIMPRESSION: Pneumothorax.")
    ward.deliver()

    sign(ward)

    said = {one.destination: ward.payload(one) for one in ward.deliver()}
    assert b"|F|" in said["RIS"].split(b"\r")[3]
    assert b"WITHDRAWN" in said["RIS"]
    assert b"WITHDRAWN" not in said["RIS-HOLDS"], "it never got the findings of a draft"
    bundle = json.loads(said["EHR"])
    assert [
        one["resource"]["status"] for one in bundle["entry"] if one["resource"]["resourceType"] == "DiagnosticReport"
    ] == ["final"]
    assert json.loads(said["QUALITY"])["result"] == "modified"


def test_a_complete_report_lists_every_image_of_its_procedure(ward: Ward) -> None:
    """Read was the newest; the draft names that one alone."""
    ward.peer("PACS", Kind.BASIC_TEXT, Kind.TID1500)
    first, second, third = (films.film(SOPInstanceUID=f"{films.FILM}.{number}") for number in (1, 2, 3))
    first.RequestAttributesSequence = [films.item(RequestedProcedureID="ANOTHER")]
    third.RequestAttributesSequence = [films.item(RequestedProcedureID="RP1")]
    for image in (first, second, third):
        ward.receive(image)
    ward.draft()
    ward.deliver()

    sign(ward)

    for sent in ward.deliver():
        (study,) = ward.document(sent).CurrentRequestedProcedureEvidenceSequence
        listed = [
            one.ReferencedSOPInstanceUID
            for part in study.ReferencedSeriesSequence
            for one in part.ReferencedSOPSequence
        ]
        assert listed == [third.SOPInstanceUID, second.SOPInstanceUID]


@ON_SQLITE
def test_accepted_as_is_says_so(ward: Ward) -> None:
    ward.service("QUALITY", Way.WEBHOOK)
    ward.study_with_draft()
    opened = ready(ward)

    service(ward).accept(opened.report_id, RITA, opened.version, now() + timedelta(seconds=1))

    (outcome,) = [json.loads(ward.payload(one)) for one in ward.deliver() if one.stage is Stage.SIGNED]
    assert outcome["result"] == "accepted"
    assert (decision(ward).verdict, decision(ward).words_changed) == (Verdict.ACCEPTED, 0)


def test_a_device_that_writes_zeros_into_its_names_can_be_signed_and_is_known_without_them(ward: Ward) -> None:
    names = {"Manufacturer": "Ac\0me", "ManufacturerModelName": "X\x001", "StationName": "ER\x001"}
    ward.receive(films.film(**names, InstitutionName="Nor\0th"))
    ward.draft()

    sign(ward)

    row = decision(ward)
    assert (row.device, row.station, row.institution) == ("Acme X1", "ER1", "North")


@ON_SQLITE
def test_the_site_of_a_film_is_read_in_the_character_set_that_is_assumed(tmp_path: Path, database: Database) -> None:
    ward = Ward(tmp_path, database, assume_charset="ISO_IR 101")
    written = {"InstitutionName": "Příbram", "StationName": "ř"}  # bytes of Latin-2 without a word about it
    film = films.film(**{name: text.encode("iso8859-2").decode("latin-1") for name, text in written.items()})
    ward.receive(film)
    ward.draft()

    sign(ward)

    assert (decision(ward).institution, decision(ward).station) == ("Příbram", "ř")


def test_the_decision_is_counted_without_a_word_of_the_report(ward: Ward) -> None:
    ward.study_with_draft()
    sign(ward)
    row = decision(ward)
    assert (row.verdict, row.user_id, row.reason) == (Verdict.MAJOR, RITA.user_id, "")
    assert json.loads(row.signed)["Pleural Effusion"] == "present"
    assert json.loads(row.drafted)["Pneumothorax"] == "absent"
    assert row.received_at is not None
    assert row.opened_at is not None
    assert row.received_at <= row.drafted_at <= row.opened_at <= row.decided_at
    assert row.words_changed > 0
    said = " ".join(str(value) for value in vars(row).values())
    assert "lungs" not in said
    assert films.film().PatientID not in said


# --- case 50: two people at once --------------------------------------------------------------------------------------


def test_of_two_who_sign_at_once_one_wins_and_the_other_is_told_by_whom(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    opened = ready(ward)
    ready(ward, CARL)
    service(ward).leave(opened.report_id, RITA)
    told: list[object] = []
    start = threading.Barrier(2)

    def run(person: Person) -> None:
        start.wait()
        try:
            told.append(service(ward).sign(opened.report_id, person, EDITED, opened.version, now()))
        except SignOffError as error:
            told.append(error)

    threads = [threading.Thread(target=run, args=(person,)) for person in (RITA, CARL)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    (winner,) = ward.ask(lambda tx: tx.scalars(select(SignedDocument.login)).all())
    (loser,) = [one for one in told if isinstance(one, AlreadySigned)]
    assert loser.by == winner
    assert f"already, by {winner}" in str(loser)
    assert [one.stage for one in ward.deliver()] == [Stage.SIGNED]


# --- case 51: the second signature ------------------------------------------------------------------------------------


def test_a_trainees_signature_waits_and_the_second_one_verifies(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    ward.deliver()

    first = sign(ward, TOM)

    assert (first.kind, first.state, first.destinations) == (SignedKind.ATTESTED, ReportState.AWAITING_SECOND, ())
    assert ward.deliver() == []
    opened = ready(ward, RITA)
    assert (opened.text, opened.first and opened.first.login) == (EDITED, "tom")
    done = service(ward).cosign(opened.report_id, RITA, opened.text, opened.version, now() + timedelta(seconds=2))
    (sent,) = ward.deliver()
    document = ward.document(sent)
    assert (done.kind, done.number) == (SignedKind.SIGNED, 2)
    assert [one.ParticipationType for one in document.ParticipantSequence] == ["ATTEST", "SOURCE"]
    assert [one.VerifyingObserverName for one in document.VerifyingObserverSequence] == [RITA.name]


@ON_SQLITE
@pytest.mark.parametrize(
    "same",
    [
        replace(RITA, user_id=TOM.user_id),
        replace(RITA, name="TRAINEE^TOM^"),
        replace(RITA, name="Trainee^Tom^^Dr"),
        replace(RITA, name="훈련생^톰=Ｔｒａｉｎｅｅ^Tom"),
        replace(RITA, identifier=TOM.identifier, scheme=TOM.scheme),
    ],
    ids=["user", "name", "title", "script", "staff number"],
)
def test_the_same_person_cannot_sign_second(ward: Ward, same: Person) -> None:
    ward.study_with_draft()
    sign(ward, TOM)
    opened = ready(ward, same)
    with pytest.raises(SamePerson):
        service(ward).cosign(opened.report_id, same, opened.text, opened.version, now() + timedelta(seconds=2))
    assert ward.report().state is ReportState.AWAITING_SECOND


@ON_SQLITE
def test_a_trainee_cannot_sign_second_and_nobody_signs_first_twice(ward: Ward) -> None:
    ward.study_with_draft()
    sign(ward, TOM)
    other = replace(TOM, user_id=9, login="tim", name="Trainee^Tim", identifier="T-9")
    opened = ready(ward, other)
    with pytest.raises(NotAllowed):
        service(ward).cosign(opened.report_id, other, opened.text, opened.version, now())
    with pytest.raises(NotAllowed):
        service(ward).sign(opened.report_id, other, opened.text, opened.version, now())


def test_what_is_sent_back_is_a_draft_again_with_its_words(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    sign(ward, TOM)
    report_id = ward.report().id
    with pytest.raises(Unwritable):
        service(ward).send_back(report_id, RITA, " ", now())

    service(ward).send_back(report_id, RITA, "Look at the left base again.", now())

    assert (ward.report().state, ward.report().event) == (ReportState.DRAFT, Event.SENT_BACK)
    assert service(ward).look(report_id, TOM, now()).text == EDITED
    ward.do(lambda tx: life.expire(tx, ward.report().changed_at + timedelta(hours=1), after=timedelta(hours=2)))
    assert ward.report().state is ReportState.DRAFT
    assert sign(ward).kind is SignedKind.SIGNED, "who signed first counts no more"


def test_two_readers_where_the_site_wants_them(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    strict = service(ward)
    strict = replace(
        strict,
        workshop=replace(
            strict.workshop, config=strict.workshop.config.model_copy(update={"second_signature": "always"})
        ),
    )
    opened = ready(ward)
    assert strict.sign(opened.report_id, RITA, EDITED, opened.version, now()).kind is SignedKind.ATTESTED
    opened = ready(ward, CARL)

    done = strict.cosign(opened.report_id, CARL, EDITED, opened.version, now() + timedelta(seconds=1))

    assert done.kind is SignedKind.COSIGNED
    (sent,) = ward.deliver()
    assert [one.name for one in read_content(ward.document(sent)).verified_by] == [RITA.name, CARL.name]


# --- case 52: whose study it is ---------------------------------------------------------------------------------------


def test_nothing_is_signed_after_the_patient_changed(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    ready(ward)
    ward.hear(*merge(films.film().PatientID))
    refused(ward, Ended)


def test_nothing_is_signed_while_the_study_is_held(ward: Ward) -> None:
    ward.study_with_draft()
    ready(ward)
    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.9", PatientID="OTHER"))
    refused(ward, PatientChanged)


@ON_SQLITE
def test_nothing_is_signed_once_an_image_came_again_with_another_name(ward: Ward) -> None:
    """Corrected in the PACS and sent again: other bytes under the same UID, which are kept and not used."""
    ward.study_with_draft()
    ready(ward)
    ward.receive(films.film(PatientName="Somebody^Else"))
    assert "PatientName" in str(refused(ward, PatientChanged))


@ON_SQLITE
@pytest.mark.parametrize(
    ("outcome", "age", "unasked", "words"),
    [
        (None, 0, False, "has not confirmed"),
        (Identity.SAME, 11, False, "has not confirmed"),
        (Identity.UNKNOWN, 0, True, "has not confirmed"),
        (Identity.DIFFERS, 0, True, "another patient"),
        (Identity.NOBODY, 0, False, "sign_unasked"),
        (Identity.NOBODY, 0, True, ""),
    ],
)
def test_the_pacs_must_have_said_lately_whose_study_it_is(
    ward: Ward, outcome: Identity | None, age: int, unasked: bool, words: str
) -> None:
    ward.study_with_draft()
    report_id = ward.report().id
    signing = service(ward)
    config = signing.workshop.config.model_copy(update={"sign_unasked": unasked})
    signing = replace(signing, workshop=replace(signing.workshop, config=config))
    opened = signing.open_(report_id, RITA, now())
    signing.film_shown(report_id, RITA, now())
    if outcome is not None:
        signing.identity_checked(report_id, outcome, now() - timedelta(minutes=age))
    if not words:
        assert signing.sign(report_id, RITA, EDITED, opened.version, now()).state is ReportState.VERIFIED
        return
    with pytest.raises(IdentityUnproven, match=words):
        signing.sign(report_id, RITA, EDITED, opened.version, now())


# --- who is refused, and why ------------------------------------------------------------------------------------------


@ON_SQLITE
def test_nobody_signs_whom_the_film_was_not_shown_to(ward: Ward) -> None:
    ward.study_with_draft()
    ready(ward)
    service(ward).leave(ward.report().id, RITA)
    refused(ward, NotShown, CARL)


@ON_SQLITE
@pytest.mark.parametrize("days", [0, 30])
def test_film_that_was_shown_before_it_was_opened_again_does_not_count(ward: Ward, days: int) -> None:
    ward.study_with_draft()
    report_id = ready(ward, at=now() - timedelta(days=days)).report_id
    assert service(ward).look(report_id, RITA, now()).film_shown
    ready(ward, CARL)  # his own look stays his

    for _ in range(2):  # a page that is loaded anew
        assert not service(ward).open_(report_id, RITA, now()).film_shown
    refused(ward, NotShown)
    assert service(ward).look(report_id, CARL, now()).film_shown


@ON_SQLITE
def test_another_version_than_the_newest_is_not_signed(ward: Ward) -> None:
    ward.study_with_draft()
    opened = ready(ward)
    newer = service(ward).save(opened.report_id, RITA, EDITED, {"Pleural Effusion": "present"}, opened.version, now())
    with pytest.raises(StaleVersion) as raised:
        service(ward).sign(opened.report_id, RITA, EDITED, opened.version, now())
    assert (raised.value.version, raised.value.by) == (newer, "rita")


@ON_SQLITE
def test_what_somebody_else_has_open_is_not_signed(ward: Ward) -> None:
    ward.study_with_draft()
    ready(ward)
    service(ward).film_shown(ward.report().id, CARL, now())
    error = refused(ward, OpenedByAnother, CARL)
    assert "opened by rita since" in str(error)


ENDINGS: dict[str, Callable[[Ward], object]] = {
    "expired": lambda ward: ward.do(lambda tx: life.expire(tx, now() + timedelta(days=9), after=timedelta(hours=24))),
    "withdrawn": lambda ward: ward.do(lambda tx: life.end_all(tx, 1, Event.WITHDRAWN, now(), actor="person:x")),
}


@ON_SQLITE
@pytest.mark.parametrize("what", ENDINGS)
def test_what_has_ended_is_not_signed(ward: Ward, what: str) -> None:
    ward.study_with_draft()
    ready(ward)
    ENDINGS[what](ward)
    assert what in str(refused(ward, Ended))


def test_newer_images_must_be_read_first(ward: Ward) -> None:
    ward.study_with_draft()
    ready(ward)
    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.2"))
    refused(ward, NotCurrent)


def test_newer_images_that_were_excluded_are_not_waited_for(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.2"))
    claim = ward.claim()
    ward.do(lambda tx: worklist.exclude(tx, claim, reason="not-a-chest", explanation="No chest.", now=now()))

    assert sign(ward).state is ReportState.VERIFIED

    assert [one.stage for one in ward.deliver()] == [Stage.SIGNED]
    assert [ward.revision(number).book for number in (1, 2)] == [Book.DELIVERED, Book.EXCLUDED]


@ON_SQLITE
@pytest.mark.parametrize("text", [DraftText("", "x"), DraftText("x", " . "), DraftText("x" * 70000, "x")])
def test_a_section_needs_words_and_not_too_many(ward: Ward, text: DraftText) -> None:
    ward.study_with_draft()
    ready(ward)
    refused(ward, Unwritable, text=text)


# --- a crash, and what comes later ------------------------------------------------------------------------------------


def test_a_crash_before_the_commit_leaves_no_row(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are durable by then: files that no row names, which the next sweep takes away."""
    ward.peer("PACS")
    ward.study_with_draft()
    ward.deliver()
    opened = ready(ward)
    before = ward.events(), [one.id for one in ward.deliveries()]

    def killed(*_arguments: object, **_more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(bookings, "decide", killed)  # the last thing before the commit
        with pytest.raises(KeyboardInterrupt):
            service(ward).sign(opened.report_id, RITA, EDITED, opened.version, now())

    assert (ward.events(), [one.id for one in ward.deliveries()]) == before
    assert ward.report().state is ReportState.DRAFT
    assert ward.ask(lambda tx: tx.scalars(select(SignedDocument)).all()) == []
    assert service(ward).sign(opened.report_id, RITA, EDITED, opened.version, now()).number == 1


def test_a_sender_that_takes_the_draft_meanwhile_makes_it_a_predecessor(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The documents were written when it had not left: they are written again."""
    ward.peer("PACS")
    draft = ward.study_with_draft()
    opened = ready(ward)
    written: list[documents.Written] = []
    verify = documents.verify

    def slowly(*arguments: object) -> documents.Written:
        made = verify(*arguments)  # type: ignore[arg-type]
        if not written:
            ward.must_take()
        written.append(made)
        return made

    monkeypatch.setattr(documents, "verify", slowly)
    service(ward).sign(opened.report_id, RITA, EDITED, opened.version, now())

    (signed,) = [one for one in ward.deliveries() if one.stage is Stage.SIGNED]
    assert len(written) == 2
    assert signed.sop_instance_uid == written[1].sop_instance_uid != written[0].sop_instance_uid
    assert draft.sop_instance_uid


@ON_SQLITE
def test_where_everything_changes_all_the_time_the_person_is_told(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    ward.study_with_draft()
    opened = ready(ward)
    verify = documents.verify

    def slowly(*arguments: object) -> documents.Written:
        ward.peer(f"NEW{secrets.token_hex(4)}")
        return verify(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(documents, "verify", slowly)
    with pytest.raises(Restless):
        service(ward).sign(opened.report_id, RITA, EDITED, opened.version, now())
    assert ward.report().state is ReportState.DRAFT


def test_late_images_only_flag_a_signed_study(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    ward.deliver()
    sign(ward)

    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.2"), late=Late.REPLACE)

    assert (ward.study().revision, ward.events()[-1]) == (1, "late-image")
    assert [one.stage for one in ward.deliver()] == [Stage.SIGNED]
    assert ward.revision().book is Book.DELIVERED


def test_a_signed_study_is_not_read_anew_before_its_report_is_withdrawn(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    sign(ward)
    ward.deliver()
    for again in (worklist.requeue, worklist.reprocess):
        with pytest.raises(WrongState, match="has a signed report"):
            ward.do(lambda tx, again=again: again(tx, tx.get_one(Study, 1), now(), actor="person:x"))  # type: ignore[misc]
    assert ward.study().revision == 1
    service(ward).withdraw(1, RITA, "Another patient's film.", now())
    ward.recaller.step()
    ward.deliver()

    ward.do(lambda tx: worklist.reprocess(tx, tx.get_one(Study, 1), now(), actor="person:x"))

    assert ward.study().revision == 2


def test_a_newer_revision_calls_no_signature_off(ward: Ward) -> None:
    """A person has it read again before the signed report is out."""
    ward.peer("PACS")
    ward.study_with_draft()
    ward.deliver()
    sign(ward)
    ward.do(lambda tx: next_revision(tx, tx.get_one(Study, 1), now(), actor="person:x"))
    ward.draft()

    assert [one.stage for one in ward.deliver()] == [Stage.SIGNED]
    assert [ward.report(number).state for number in (1, 2)] == [ReportState.VERIFIED, ReportState.WITHDRAWN]
    assert [ward.revision(number).book for number in (1, 2)] == [Book.DELIVERED, Book.CLOSED]


def test_what_is_signed_waits_while_its_study_is_held(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    ward.deliver()
    sign(ward)
    ward.hear(*merge(films.film().PatientID))
    assert (ward.deliver(), ward.study().hold_reason) == ([], "patient-changed")

    ward.do(lambda tx: worklist.release_study(tx, tx.get_one(Study, 1), now(), actor="person:x"))

    assert [one.stage for one in ward.deliver()] == [Stage.SIGNED]
    assert (ward.revision(1).book, ward.revision(1).reason) == (Book.DELIVERED, "")


def test_what_is_signed_does_not_leave_for_another_patient(ward: Ward) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    ward.deliver()
    sign(ward)
    ward.receive(films.film(PatientID="OTHER"))
    assert ward.deliver() == []
    ward.do(lambda tx: worklist.release_study(tx, tx.get_one(Study, 1), now(), actor="person:x"))
    with pytest.raises(DocumentRefused, match="PatientID is not that of the books"):
        ward.deliver()
