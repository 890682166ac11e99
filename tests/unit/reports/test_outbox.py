"""What goes out for one event: by mode and objects, each object made once, each checked."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Mode, Proof, Way
from dicom_node.transports import Destination
from reports import outbox
from reports.checks import check_draft
from reports.findings import Finding, extract
from reports.messages.fhir import FhirSite
from reports.objects.basic_text import build_notice
from reports.objects.content import read_content
from reports.objects.signed import build_signed
from reports.objects.signer import Signature, Signer
from reports.outbox import Made, Report, Taking, Workshop
from reports.page.fonts import Fonts
from reports.source import normalize
from reports.tables import Event
from reports.text import DraftText
from tests.unit.reports import films

DICOM = frozenset({Kind.BASIC_TEXT, Kind.TID1500, Kind.KOS, Kind.PDF, Kind.SC})
WORKSHOP = Workshop(films.CONFIG, site=FhirSite({"": "urn:oid:1.2.3"}))
LATER = datetime(2025, 3, 2, 9, tzinfo=UTC)


def destination(name: str = "PACS", *objects: Kind, mode: Mode = Mode.DRAFT, **changes: Any) -> Destination:
    values: dict[str, Any] = {
        "way": Way.DIMSE,
        "host": "10.0.0.1",
        "port": 104,
        "url": "",
        "proof": Proof.QUERY,
        "objects": frozenset(objects or {Kind.BASIC_TEXT, Kind.KOS}),
        **changes,
    }
    return Destination(name=name, mode=mode, **values)


def report_on(master: Dataset, **changes: Any) -> Report:
    findings = tuple(extract(read_content(master).narrative).by_label.values())
    values: dict[str, Any] = {
        "draft": master,
        "drafted_at": films.MOMENT,
        "at": films.MOMENT,
        "findings": findings,
        "films": (normalize(films.film(), films.CONFIG),),
        **changes,
    }
    return Report(**values)


def drafts_for(*destinations: Destination, workshop: Workshop = WORKSHOP) -> Made:
    master, masters = outbox.editions(lambda _: films.draft(), destinations, Stage.DRAFT)
    return outbox.parcels(masters, Stage.DRAFT, destinations, workshop, report_on(master))


def kinds(made: Made) -> list[tuple[str, Kind]]:
    return [(packet.destination, packet.kind) for packet in made.packets]


def read(payload: bytes) -> Dataset:
    return dcmread(io.BytesIO(payload))


def signed(words: DraftText | None = None) -> Dataset:
    signature = Signature(Signer("Reader^Rita", "Example Hospital"), LATER)
    return build_signed(
        films.draft(),
        words or films.text(),
        [signature],
        number=1,
        not_before=films.MOMENT,
        config=films.CONFIG,
        predecessor=None,
    )


def test_what_the_check_returned_is_what_leaves() -> None:
    to = [destination("ONE"), destination("TWO")]
    master, masters = outbox.editions(lambda _: films.draft(), to, Stage.DRAFT)
    checked = check_draft(master, [films.film()], films.CONFIG)
    files = {str(master.SOPInstanceUID): checked}
    one, two = outbox.parcels(masters, Stage.DRAFT, to, WORKSHOP, report_on(master), files=files).packets
    assert one.payload is checked
    assert two.payload is checked

    del master.SpecificCharacterSet  # whatever happens to it after the check
    (again, _) = outbox.parcels(masters, Stage.DRAFT, to, WORKSHOP, report_on(films.draft()), files=files).packets
    assert again.payload is checked


def test_every_form_is_made_for_who_wants_it() -> None:
    everything = [
        destination("PACS", *DICOM),
        destination("RIS", Kind.ORU, way=Way.MLLP),
        destination("EHR", Kind.FHIR, way=Way.FHIR),
        destination("HOOK", Kind.OUTCOME, way=Way.WEBHOOK),
    ]
    made = drafts_for(*everything)
    assert kinds(made) == [
        ("PACS", Kind.BASIC_TEXT),
        ("PACS", Kind.TID1500),
        ("PACS", Kind.PDF),
        ("PACS", Kind.SC),
        ("RIS", Kind.ORU),
        ("EHR", Kind.FHIR),
        ("HOOK", Kind.OUTCOME),
    ]
    assert made.left_out == ()
    for packet in made.packets[:4]:
        document = read(packet.payload)
        assert (document.SOPInstanceUID, document.SOPClassUID) == (packet.sop_instance_uid, packet.sop_class_uid)
        assert document.PatientID == "EX-0001"
    assert {packet.device_uid for packet in made.packets} == {films.provenance().device_uid}
    assert len({packet.sop_instance_uid for packet in made.packets}) == 7


def test_message_of_a_signed_report_deletes_the_notice_of_its_draft() -> None:
    """A system that keeps OBX by their identifiers would show it beside what the radiologist signed."""
    to = [destination("RIS", Kind.ORU, way=Way.MLLP)]
    _, masters = outbox.editions(lambda _: signed(), to, Stage.SIGNED)
    (oru,) = outbox.parcels(masters, Stage.SIGNED, to, WORKSHOP, report_on(films.draft(), at=LATER)).packets

    assert b"|TX|55112-7^Summary^LN||WITHDRAWN||||||D\r" in oru.payload


def test_message_of_a_signed_report_deletes_nothing_where_no_draft_went() -> None:
    to = [destination(name, Kind.ORU, way=Way.MLLP) for name in ("HAD", "NEW", "ALSO")]
    _, masters = outbox.editions(lambda _: signed(), to, Stage.SIGNED)
    report = report_on(films.draft(), at=LATER, messaged=frozenset({"HAD", "ALSO"}))
    had, new, also = outbox.parcels(masters, Stage.SIGNED, to, WORKSHOP, report).packets

    assert b"WITHDRAWN" in had.payload
    assert b"WITHDRAWN" not in new.payload
    assert also.payload is had.payload


def test_what_several_destinations_get_is_made_once() -> None:
    made = drafts_for(destination("A", Kind.BASIC_TEXT, Kind.TID1500), destination("B", Kind.TID1500))
    first, second = (packet for packet in made.packets if packet.kind is Kind.TID1500)
    assert first.payload is second.payload


def test_the_same_report_gives_the_same_bytes() -> None:
    everyone = [destination("PACS", Kind.BASIC_TEXT, Kind.TID1500), destination("RIS", Kind.ORU, way=Way.MLLP)]
    assert drafts_for(*everyone) == drafts_for(*everyone)


@pytest.mark.parametrize(
    ("mode", "stages"), [(Mode.DRAFT, {"draft", "signed"}), (Mode.HOLD, {"signed"}), (Mode.SHADOW, set())]
)
def test_the_mode_says_what_leaves(mode: Mode, stages: set[str]) -> None:
    to = destination(mode=mode)
    found = set()
    for stage, master in ((Stage.DRAFT, films.draft()), (Stage.SIGNED, signed())):
        _, masters = outbox.editions(lambda _, master=master: master, [to], stage)  # type: ignore[misc]
        made = outbox.parcels(masters, stage, [to], WORKSHOP, report_on(films.draft(), at=LATER))
        found |= {packet.stage.value for packet in made.packets}
    assert found == stages


def test_an_edition_names_what_its_destination_has() -> None:
    older = films.draft()
    asked: list[Dataset | None] = []

    def build(predecessor: Dataset | None) -> Dataset:
        asked.append(predecessor)
        return films.draft(revision=2, predecessor=predecessor)

    everyone = [destination("HAS"), destination("ALSO"), destination("NEW"), destination("HOLD", mode=Mode.HOLD)]
    earlier = {"HAS": {Kind.BASIC_TEXT: older}, "ALSO": {Kind.BASIC_TEXT: older}, "HOLD": {Kind.BASIC_TEXT: older}}
    kept, masters = outbox.editions(build, everyone, Stage.DRAFT, earlier)

    assert [before is None for before in asked] == [False, True]
    assert masters["HAS"] is masters["ALSO"] is kept
    assert "PredecessorDocumentsSequence" in kept
    assert "PredecessorDocumentsSequence" not in masters["NEW"]
    assert "HOLD" not in masters


def test_messages_are_made_from_the_edition_that_is_kept() -> None:
    everyone = [destination("HAS"), destination("RIS", Kind.ORU, way=Way.MLLP)]
    earlier = {"HAS": {Kind.BASIC_TEXT: films.draft()}}
    kept, masters = outbox.editions(
        lambda before: films.draft(revision=2, predecessor=before), everyone, Stage.DRAFT, earlier
    )
    assert masters["RIS"] is kept


def test_there_is_an_edition_to_keep_although_nobody_gets_one() -> None:
    kept, masters = outbox.editions(lambda _: films.draft(), [destination(mode=Mode.SHADOW)], Stage.DRAFT)
    assert kept.VerificationFlag == "UNVERIFIED"
    assert masters == {}


def test_a_notice_goes_as_text_to_who_asked_for_it() -> None:
    notice = build_notice(
        [films.film()], "A lateral film.", films.provenance(), revision=1, content_at=films.MOMENT, config=films.CONFIG
    )
    check_draft(notice, [films.film()], films.CONFIG)
    everyone = [destination("ASKED", *DICOM, notices=True), destination("SILENT", *DICOM)]
    _, masters = outbox.editions(lambda _: notice, everyone, Stage.NOTICE)
    made = outbox.parcels(masters, Stage.NOTICE, everyone, WORKSHOP, report_on(notice))
    assert kinds(made) == [("ASKED", Kind.BASIC_TEXT)]


def test_what_cannot_be_made_keeps_nothing_else_back() -> None:
    """No font for the pages, no identifier system for the patient: the narrative leaves all the same."""
    poor = Workshop(films.CONFIG, fonts=lambda: Fonts({}))
    made = drafts_for(
        destination("PACS", Kind.BASIC_TEXT, Kind.PDF), destination("EHR", Kind.FHIR, way=Way.FHIR), workshop=poor
    )
    assert kinds(made) == [("PACS", Kind.BASIC_TEXT)]
    assert [(one.destination, one.kind) for one in made.left_out] == [("PACS", Kind.PDF), ("EHR", Kind.FHIR)]
    assert not any("EX-0001" in one.words or "Example" in one.words for one in made.left_out)


def test_a_report_too_long_for_pages_leaves_in_its_other_forms() -> None:
    """Drafted or signed: nobody goes without a report because another destination wants pages."""
    long = DraftText("\n".join(f"Line {number}." for number in range(3000)), "Right pneumothorax.")
    everyone = [destination("PACS"), destination("PAGES", Kind.BASIC_TEXT, Kind.PDF, Kind.SC)]
    for stage, master in ((Stage.DRAFT, films.draft(text=long)), (Stage.SIGNED, signed(long))):
        masters = {one.name: master for one in everyone}
        made = outbox.parcels(masters, stage, everyone, WORKSHOP, report_on(master))
        assert kinds(made) == [("PACS", Kind.BASIC_TEXT), ("PAGES", Kind.BASIC_TEXT)]
        assert [(one.destination, one.kind) for one in made.left_out] == [("PAGES", Kind.PDF), ("PAGES", Kind.SC)]
        assert all("40 pages" in one.words and "pneumothorax" not in one.words for one in made.left_out)


# --- taking back ------------------------------------------------------------------------------------------------------


def taking(event: Event = Event.EXPIRED, stage: Stage = Stage.REJECTION, findings: tuple[Finding, ...] = ()) -> Taking:
    return Taking(stage, event, "It has expired.", films.MOMENT, LATER, 1, findings)


def taken_back(destinations: Iterable[Destination], got: dict[str, Any], **changes: Any) -> Made:
    return outbox.take_back(films.draft(), got, destinations, WORKSHOP, taking(**changes))


def test_a_message_takes_back_the_codes_of_the_one_before_it() -> None:
    ris = destination("RIS", Kind.ORU, way=Way.MLLP)
    said = tuple(extract("Pneumothorax.").by_label.values())
    master, masters = outbox.editions(lambda _: films.draft(), [ris], Stage.DRAFT)
    report = report_on(master, findings=(), formerly=said)

    (newer,) = outbox.parcels(masters, Stage.DRAFT, [ris], WORKSHOP, report).packets
    (back,) = taken_back([ris], {"RIS": ([], ris.objects)}, findings=said).packets

    for packet in (newer, back):
        assert b"36118008^Pneumothorax^SCT||^WITHDRAWN||||||D\r" in packet.payload


def test_one_note_names_all_that_a_destination_has() -> None:
    made = drafts_for(destination("PACS", Kind.BASIC_TEXT, Kind.TID1500))
    documents = [read(packet.payload) for packet in made.packets]
    everyone = [destination("PACS"), destination("TWIN"), destination("NEVER")]
    back = taken_back(everyone, {name: (documents, frozenset()) for name in ("PACS", "TWIN")})

    assert kinds(back) == [("PACS", Kind.KOS), ("TWIN", Kind.KOS)]
    first, second = back.packets
    assert first.payload is second.payload
    assert all(str(document.SOPInstanceUID) in str(read(first.payload)) for document in documents)


def test_a_mode_of_today_does_not_keep_a_note_back() -> None:
    got = {"PACS": ([films.draft()], frozenset())}
    assert kinds(taken_back([destination(mode=Mode.SHADOW)], got)) == [("PACS", Kind.KOS)]


def test_who_takes_no_note_gets_none() -> None:
    assert taken_back([destination("PACS", Kind.BASIC_TEXT)], {"PACS": ([films.draft()], frozenset())}).packets == ()


@pytest.mark.parametrize(
    ("event", "result"),
    [(Event.EXPIRED, "withdrawn"), (Event.REJECTED, "rejected"), (Event.PATIENT_CHANGED, "withdrawn")],
)
def test_a_message_follows_each_message(event: Event, result: str) -> None:
    everyone = [
        destination("RIS", Kind.ORU, way=Way.MLLP),
        destination("EHR", Kind.FHIR, way=Way.FHIR),
        destination("HOOK", Kind.OUTCOME, way=Way.WEBHOOK),
    ]
    got = {one.name: ([], one.objects) for one in everyone}
    oru, fhir, outcome = taken_back(everyone, got, event=event).packets
    assert b"WITHDRAWN: " in oru.payload
    assert b'"cancelled"' in fhir.payload
    assert f'"result":"{result}","reason":"{event.value}"'.encode() in outcome.payload
    drafted = {packet.sop_instance_uid for packet in drafts_for(*everyone).packets}
    assert drafted.isdisjoint({oru.sop_instance_uid, fhir.sop_instance_uid, outcome.sop_instance_uid})
