"""What a destination takes, what it is called, and what becomes of what it refuses."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial

import pytest

from dicom_node import destinations, endpoints, peers, worklist
from dicom_node.errors import ConfigurationError, NotFound
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Book, DeliveryState, Endpoint, Mode, Proof, RemoteAE, Way
from dicom_node.transports import Destination
from dicom_node.worklist import Outgoing, Refusal
from tests.unit.dicom_node.desk import DEVICE, Desk, header

COMPREHENSIVE = "1.2.840.10008.5.1.4.1.1.88.33"


def one(mode: Mode = Mode.DRAFT, *objects: Kind, notices: bool = False) -> Destination:
    kinds = frozenset(objects or {Kind.BASIC_TEXT, Kind.KOS})
    return Destination("PACS", Way.DIMSE, "h", 104, "", mode, Proof.QUERY, kinds, notices)


def service(desk: Desk, name: str = "RIS", url: str = "mllp://10.0.0.7", **settings: object) -> Endpoint:
    where = endpoints.place(url)
    return desk.do(lambda tx: endpoints.add(tx, name, where, now=desk.now, actor="p", **settings))  # type: ignore[arg-type]


# --- what goes there --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "stage", "taken"),
    [
        (Mode.DRAFT, Stage.DRAFT, True),
        (Mode.HOLD, Stage.DRAFT, False),
        (Mode.SHADOW, Stage.DRAFT, False),
        (Mode.DRAFT, Stage.SIGNED, True),
        (Mode.HOLD, Stage.SIGNED, True),
        (Mode.HOLD, Stage.COSIGNED, True),
        (Mode.HOLD, Stage.ADDENDUM, True),
        (Mode.SHADOW, Stage.SIGNED, False),
        (Mode.DRAFT, Stage.NOTICE, False),
        (Mode.HOLD, Stage.REJECTION, True),
        (Mode.SHADOW, Stage.WITHDRAWAL, True),
    ],
)
def test_mode_decides_by_stage(mode: Mode, stage: Stage, taken: bool) -> None:
    assert destinations.takes(one(mode), Kind.BASIC_TEXT, stage) is taken


@pytest.mark.parametrize(("mode", "taken"), [(Mode.DRAFT, True), (Mode.HOLD, True), (Mode.SHADOW, False)])
def test_notices_go_where_they_are_wanted(mode: Mode, taken: bool) -> None:
    assert destinations.takes(one(mode, notices=True), Kind.BASIC_TEXT, Stage.NOTICE) is taken


def test_form_that_it_does_not_get_is_not_taken() -> None:
    assert not destinations.takes(one(), Kind.PDF, Stage.DRAFT)


def test_peer_gets_what_was_chosen_else_what_the_probe_advises_else_the_two_that_nearly_all_take() -> None:
    peer = RemoteAE(ae_title="PACS", objects="", probed="")
    assert destinations.objects_of(peer) == {Kind.BASIC_TEXT, Kind.KOS}
    peer.probed = json.dumps({"objects": ["pdf"]})
    assert destinations.objects_of(peer) == {Kind.PDF}
    peer.probed = json.dumps({"objects": []})
    assert destinations.objects_of(peer) == {Kind.BASIC_TEXT, Kind.KOS}, "a peer that takes nothing must fail visibly"
    peer.objects = "basic-text,tid1500"
    assert destinations.objects_of(peer) == {Kind.BASIC_TEXT, Kind.TID1500}


def test_list_holds_both_kinds_by_name(desk: Desk) -> None:
    desk.peer("PACS")
    service(desk, "ARCHIVE", "https://pacs.example/dicom-web", objects="basic-text,pdf")
    service(desk)
    found = desk.ask(destinations.destinations)

    assert [(to.name, to.way, destinations.in_words(to.objects), to.proof) for to in found] == [
        ("ARCHIVE", Way.STOW, "basic-text,pdf", Proof.QUERY),
        ("PACS", Way.DIMSE, "basic-text,kos", Proof.QUERY),
        ("RIS", Way.MLLP, "oru", Proof.ACKNOWLEDGEMENT),
    ]


# --- registered -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "way", "place"),
    [
        ("mllp://ris.example", None, endpoints.Place(Way.MLLP, "ris.example", 2575)),
        ("mllp://[::1]:9000", None, endpoints.Place(Way.MLLP, "::1", 9000)),
        ("https://h/dicom-web/", None, endpoints.Place(Way.STOW, url="https://h/dicom-web")),
        ("https://h/dcm4chee-arc/aets/A/rs", None, endpoints.Place(Way.STOW, url="https://h/dcm4chee-arc/aets/A/rs")),
        ("http://h:8080/FHIR/R4", None, endpoints.Place(Way.FHIR, url="http://h:8080/FHIR/R4")),
        ("https://h/x", Way.WEBHOOK, endpoints.Place(Way.WEBHOOK, url="https://h/x")),
    ],
)
def test_url_says_where_and_how(url: str, way: Way | None, place: endpoints.Place) -> None:
    assert endpoints.place(url, way) == place


@pytest.mark.parametrize(
    ("url", "way", "words"),
    [
        ("https://h/x", None, "--way stow"),
        ("ftp://h", None, "must be mllp"),
        ("https://u:p@h/fhir", None, "no user or password"),
        ("https://h/fhir?a=b", None, "without a query"),
        ("mllp://", None, "mllp://HOST:PORT"),
        ("mllp://h:70000", None, "no URL"),
        ("mllp://h", Way.FHIR, "mllp://HOST:PORT"),
        ("https://h/dicom-web", Way.MLLP, "--way"),
    ],
)
def test_wrong_url_is_refused_with_what_to_do(url: str, way: Way | None, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        endpoints.place(url, way)


def test_name_is_taken_once_over_both_kinds(desk: Desk) -> None:
    desk.peer("PACS")
    service(desk)
    with pytest.raises(ConfigurationError, match="registered already"):
        service(desk, "PACS")
    with pytest.raises(ConfigurationError, match="registered already"):
        service(desk)
    with pytest.raises(ConfigurationError, match="registered already"):
        desk.do(lambda tx: peers.add(tx, RemoteAE(ae_title="RIS", may_send=True), now=desk.now, actor="p"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "a b"}, "is no name"),
        ({"objects": "pdf"}, "nothing that mllp carries"),
        ({"credential": "token"}, "no credentials"),
        ({"url": "http://h/fhir", "credential": "token"}, "must be https"),
    ],
)
def test_wrong_service_is_refused(desk: Desk, settings: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        service(desk, **settings)  # type: ignore[arg-type]


def test_service_is_changed_and_forgotten_with_a_trace(desk: Desk) -> None:
    service(desk, "WEB", "https://h/dicom-web")
    desk.do(lambda tx: endpoints.edit(tx, "WEB", now=desk.now, actor="p", mode=Mode.HOLD, objects="kos,basic-text"))
    changed = desk.ask(lambda tx: endpoints.find(tx, "WEB"))
    assert (changed.mode, changed.objects, changed.url) == (Mode.HOLD, "basic-text,kos", "https://h/dicom-web")
    with pytest.raises(ConfigurationError, match="speaks stow"):
        desk.do(lambda tx: endpoints.edit(tx, "WEB", now=desk.now, actor="p", where=endpoints.place("mllp://h")))
    desk.do(lambda tx: endpoints.remove(tx, "WEB", now=desk.now, actor="p"))
    with pytest.raises(NotFound, match="registered: none"):
        desk.ask(lambda tx: endpoints.find(tx, "WEB"))
    assert desk.events() == ["destination-added", "destination-edited", "destination-removed"]


# --- refused ----------------------------------------------------------------------------------------------------------


def queue(desk: Desk, *kinds: Kind, stage: Stage = Stage.DRAFT) -> None:
    desk.peer()
    desk.do(lambda tx: peers.edit(tx, "PACS", now=desk.now, actor="p", objects="basic-text,tid1500,kos,pdf,sc"))
    desk.receive()
    desk.complete()
    desk.finish(desk.must_claim(), kinds=kinds, stage=stage)


def refuse(desk: Desk, instead: Outgoing | None = None) -> Refusal:
    held = desk.must_take()
    return desk.do(lambda tx: worklist.mark_refused(tx, held, error="takes none", instead=instead, now=desk.now))


def deliver(desk: Desk) -> None:
    held = desk.must_take()
    desk.sent(held)
    desk.proven(desk.must_take())


def states(desk: Desk) -> list[tuple[Kind, DeliveryState, str]]:
    return [(delivery.kind, delivery.state, delivery.reason) for delivery in desk.deliveries()]


def test_refused_form_is_replaced_by_the_other_in_one_commit(desk: Desk) -> None:
    queue(desk, Kind.BASIC_TEXT, Kind.TID1500)
    deliver(desk)
    instead = Outgoing("PACS", Kind.TID1500, Stage.DRAFT, COMPREHENSIVE, "2.25.77", DEVICE, "e" * 64)
    assert refuse(desk, instead) is Refusal.INSTEAD
    assert desk.revision().book is Book.IN_FLIGHT
    assert desk.problems() == ()
    deliver(desk)

    assert states(desk) == [
        (Kind.BASIC_TEXT, DeliveryState.COMMITTED, ""),
        (Kind.TID1500, DeliveryState.CANCELED, "class-refused"),
        (Kind.TID1500, DeliveryState.COMMITTED, ""),
    ]
    assert desk.revision().book is Book.DELIVERED
    assert desk.problems() == ()
    assert "delivery-refused" in desk.events()


@pytest.mark.parametrize("kind", [Kind.TID1500, Kind.PDF, Kind.SC])
@pytest.mark.parametrize("first", ["narrative", "refusal"])
def test_what_has_a_narrative_beside_it_is_done_without(desk: Desk, kind: Kind, first: str) -> None:
    queue(desk, *([Kind.BASIC_TEXT, kind] if first == "narrative" else [kind, Kind.BASIC_TEXT]))
    if first == "narrative":
        deliver(desk)
    assert refuse(desk) is Refusal.WITHOUT
    if first == "refusal":
        assert desk.revision().book is Book.IN_FLIGHT
        deliver(desk)

    assert sorted(state for _, state, _ in states(desk)) == [DeliveryState.CANCELED, DeliveryState.COMMITTED]
    assert desk.revision().book is Book.DELIVERED
    assert desk.problems() == ()


@pytest.mark.parametrize("kinds", [(Kind.BASIC_TEXT,), (Kind.PDF,), (Kind.BASIC_TEXT, Kind.TID1500)])
def test_what_is_all_that_it_was_to_get_is_a_dead_letter(desk: Desk, kinds: tuple[Kind, ...]) -> None:
    queue(desk, *kinds)
    assert refuse(desk) is Refusal.DEAD_LETTER

    assert states(desk)[0] == (kinds[0], DeliveryState.FAILED, "class-refused")
    assert (desk.revision().book, desk.revision().reason) == (Book.DEAD_LETTERED, "class-refused")
    assert desk.requeue() == "1 delivery queued again"
    assert states(desk)[0] == (kinds[0], DeliveryState.QUEUED, "")


def test_two_forms_that_are_all_there_is_cannot_both_be_done_without(desk: Desk) -> None:
    queue(desk, Kind.TID1500, Kind.PDF)
    assert [refuse(desk), refuse(desk)] == [Refusal.WITHOUT, Refusal.DEAD_LETTER]
    assert desk.revision().book is Book.DEAD_LETTERED
    assert desk.problems() == ()


def test_what_was_called_off_meanwhile_stays_called_off(desk: Desk) -> None:
    queue(desk, Kind.BASIC_TEXT)
    held = desk.must_take()
    desk.set_aside()
    assert (
        desk.do(lambda tx: worklist.mark_refused(tx, held, error="takes none", instead=None, now=desk.now))
        is Refusal.CALLED_OFF
    )
    assert states(desk) == [(Kind.BASIC_TEXT, DeliveryState.CANCELED, "called-off")]
    assert desk.revision().book is Book.EXCLUDED
    desk.wait(120)
    assert desk.take() is None


# --- taken back -------------------------------------------------------------------------------------------------------


def take_back(desk: Desk, stage: Stage) -> None:
    note = Outgoing("PACS", Kind.KOS, stage, "1.2.840.10008.5.1.4.1.1.88.59", "2.25.88", DEVICE, "f" * 64)

    def enqueue(tx: object) -> None:
        revision = worklist.current_revision(tx, desk._study(tx))  # type: ignore[arg-type]
        assert worklist.enqueue(tx, revision, [note], desk.now, actor="p") == 1  # type: ignore[arg-type]
        assert worklist.enqueue(tx, revision, [note], desk.now, actor="p") == 0, "queued twice"  # type: ignore[arg-type]

    desk.do(enqueue)


@pytest.mark.parametrize("stage", [Stage.REJECTION, Stage.WITHDRAWAL])
@pytest.mark.parametrize("mode", [Mode.DRAFT, Mode.HOLD, Mode.SHADOW])
def test_what_takes_back_goes_where_the_draft_went_whatever_the_mode_is_now(
    desk: Desk, stage: Stage, mode: Mode
) -> None:
    queue(desk, Kind.BASIC_TEXT)
    deliver(desk)
    assert desk.revision().book is Book.DELIVERED
    take_back(desk, stage)
    assert desk.revision().book is Book.IN_FLIGHT
    desk.do(lambda tx: peers.edit(tx, "PACS", now=desk.now, actor="p", mode=mode))
    deliver(desk)

    assert [state for _, state, _ in states(desk)] == [DeliveryState.COMMITTED] * 2
    assert (desk.revision().book, desk.revision().reason) == (Book.CLOSED, "taken-back")
    assert desk.problems() == ()


def test_nothing_is_taken_back_where_nothing_went(desk: Desk) -> None:
    queue(desk, Kind.BASIC_TEXT)
    desk.retry(desk.must_take(), wait=3600)
    take_back(desk, Stage.REJECTION)
    desk.do(lambda tx: peers.edit(tx, "PACS", now=desk.now, actor="p", mode=Mode.SHADOW))
    desk.now += timedelta(hours=2)
    for _ in range(3):
        assert desk.take() is None

    assert [(state, reason) for _, state, reason in states(desk)] == [
        (DeliveryState.CANCELED, "called-off"),
        (DeliveryState.CANCELED, "nothing-to-take-back"),
    ]
    assert desk.revision().book is Book.CLOSED
    assert desk.problems() == ()


def test_note_that_is_refused_is_a_dead_letter_since_the_draft_is_still_there(desk: Desk) -> None:
    queue(desk, Kind.BASIC_TEXT)
    deliver(desk)
    take_back(desk, Stage.REJECTION)

    assert refuse(desk) is Refusal.DEAD_LETTER
    assert (desk.revision().book, desk.revision().reason) == (Book.DEAD_LETTERED, "class-refused")
    assert desk.problems() == ()


# --- tried again ------------------------------------------------------------------------------------------------------


def test_dead_letters_of_every_form_are_queued_by_one_command(desk: Desk) -> None:
    queue(desk, Kind.BASIC_TEXT, Kind.TID1500, Kind.PDF)
    deliver(desk)
    desk.failed(desk.must_take())
    desk.failed(desk.must_take())
    assert desk.do(lambda tx: worklist.requeue_for(tx, "OTHER", desk.now, actor="p")) == 0
    assert desk.do(lambda tx: worklist.requeue_for(tx, "PACS", desk.now, actor="p")) == 2
    assert desk.revision().book is Book.IN_FLIGHT
    deliver(desk)
    deliver(desk)

    assert desk.revision().book is Book.DELIVERED
    assert desk.problems() == ()
    assert desk.events().count("destination-requeued") == 2


def test_dead_letters_of_a_held_study_stay_save_what_takes_back(desk: Desk) -> None:
    queue(desk, Kind.BASIC_TEXT)
    deliver(desk)
    take_back(desk, Stage.WITHDRAWAL)
    desk.failed(desk.must_take())
    desk.do(lambda tx: setattr(desk._study(tx), "hold_reason", "two-patients"))

    assert desk.do(lambda tx: worklist.requeue_for(tx, "PACS", desk.now, actor="p")) == 1
    deliver(desk)


def test_note_on_a_replaced_draft_is_queued_again_and_the_replaced_draft_is_not(desk: Desk) -> None:
    queue(desk, Kind.BASIC_TEXT)
    deliver(desk)
    take_back(desk, Stage.REJECTION)
    desk.failed(desk.must_take())
    assert desk.requeue() == "1 delivery queued again"
    desk.failed(desk.must_take())
    desk.receive(header(instance="1.2.3.99"))
    desk.complete()
    desk.finish(desk.must_claim())
    assert desk.study().revision == 2

    assert desk.do(lambda tx: worklist.requeue_for(tx, "PACS", desk.now, actor="p")) == 1
    assert [(kind, state) for kind, state, _ in states(desk)][:2] == [
        (Kind.BASIC_TEXT, DeliveryState.COMMITTED),
        (Kind.KOS, DeliveryState.QUEUED),
    ]


@pytest.mark.parametrize(
    ("name", "url"), [("RIS", "mllp://ris"), ("EHR", "https://ehr/fhir"), ("HOOK", "https://hook")]
)
def test_notices_are_refused_where_the_protocol_carries_none(desk: Desk, name: str, url: str) -> None:
    way = Way.WEBHOOK if name == "HOOK" else None
    where = endpoints.place(url, way)
    refuse = partial(endpoints.add, name=name, where=where, now=desk.now, actor="person:a", notices=True)
    with pytest.raises(ConfigurationError, match=r"said in basic-text, which .* does not carry \(dimse, stow do\)"):
        desk.do(refuse)


def test_what_wanted_notices_in_vain_before_can_still_be_shut(desk: Desk) -> None:
    desk.do(lambda tx: tx.add(Endpoint(name="RIS", way=Way.MLLP, host="ris", port=2575, notices=True)))
    with pytest.raises(ConfigurationError, match="leave notices out"):
        desk.do(lambda tx: endpoints.edit(tx, "RIS", now=desk.now, actor="person:a", notices=True))
    shut = desk.do(lambda tx: endpoints.edit(tx, "RIS", now=desk.now, actor="person:a", mode=Mode.SHADOW))
    assert shut.mode is Mode.SHADOW
