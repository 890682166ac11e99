"""A study that the archive deleted without a note: what is still to be sent does not leave, and a person is told."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import delete, select, update

from agent.asking import WhoseStudy
from agent.bystanders import Bystanders
from agent.cli import wetread
from agent.counting import Counter
from agent.desk import Desk
from agent.leaving import agrees_with_the_books
from agent.reconciling import Reconciler
from dicom_node import outages, worklist
from dicom_node.database import Database
from dicom_node.dicomweb import StowTransport
from dicom_node.dimse import DimseTransport
from dicom_node.errors import SendFailure
from dicom_node.identity import FILM_GONE, GONE
from dicom_node.kinds import Kind, Stage
from dicom_node.known_tables import KnownFilm, KnownStudy
from dicom_node.loopback import LoopbackPacs
from dicom_node.rules.tables import Routing
from dicom_node.sender import Sender
from dicom_node.tables import Book, Delivery, DeliveryState, Endpoint, Mode, Proof, RemoteAE, Study, Way
from dicom_node.worklist import known
from dicom_node.worklist.known_films import Films
from reports.hl7.mllp import MllpTransport
from reports.web import letters, timeline
from reports.web.identity import in_words
from tests.harness import dcmtk
from tests.harness.node import free_port
from tests.harness.orthanc import TITLE, Orthanc
from tests.harness.reporting import Ris, ris
from tests.unit.agent.desk_of_readers import sign
from tests.unit.agent.ward import Ward, as_file, now
from tests.unit.reports import films

WORDS = f"{TITLE} no longer has this study, which it had before"
DAY = date(2025, 3, 1)  # of the film


class Archive(Orthanc):
    """Orthanc, with the film that the ward reads."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, wetread_port=free_port(), dicom_web=True, routes=False)
        self._film, self._beside = folder / "film.dcm", folder / "beside.dcm"
        self._film.write_bytes(as_file(films.film()))
        self._beside.write_bytes(as_file(films.film(SOPInstanceUID=f"{films.FILM}.9", ViewPosition="LL")))

    def take_film(self, *, beside: bool = False) -> None:
        """beside: another one of the same series, which never comes to us."""
        for path in (self._film, self._beside)[: 1 + beside]:
            assert dcmtk.store(self.port, path, calling="DX1", called=TITLE, options=("-R",)).returncode == 0

    @property
    def reports(self) -> int:
        return len(self.instances("SR"))


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive(tmp_path / "pacs") as running:
        yield running


@pytest.fixture
def ward(sqlite_url: str, tmp_path: Path, archive: Archive) -> Iterator[Ward]:
    """The archive is its only destination."""
    database = Database(sqlite_url)
    at_work = Ward(tmp_path, database)
    at_work.peer(TITLE, Kind.BASIC_TEXT, Kind.KOS)
    at_work.do(lambda tx: tx.execute(update(RemoteAE).values(port=archive.port)))
    yield at_work
    assert at_work.problems() == ()
    database.close()


def send(ward: Ward, *, most: int = 40) -> None:
    """What is due, over the network; no wait is waited for."""
    transports = {
        Way.DIMSE: DimseTransport("WETREAD", connect_seconds=30, answer_seconds=60, keep_seconds=0),
        Way.STOW: StowTransport({}, connect_seconds=30, answer_seconds=60),
        Way.MLLP: MllpTransport(),
        Way.FHIR: MllpTransport(),  # nothing of these gets so far as to be sent
        Way.WEBHOOK: MllpTransport(),
    }
    check = partial(agrees_with_the_books, patient_systems=ward.desk.config.fhir.patient_systems)
    look = Bystanders(ward.desk.config, ward.database)
    sender = Sender(ward.desk.config.node, ward.database, transports, check, partial(secrets.token_hex, 16), look=look)
    for _ in range(most):
        ward.do(lambda tx: tx.execute(update(Delivery).values(next_attempt_at=now() - timedelta(seconds=1))))
        for table in (KnownStudy, KnownFilm):
            ward.do(lambda tx, table=table: tx.execute(update(table).values(missed_at=now() - timedelta(hours=1))))
        if not sender.deliver_one():
            return


def told(ward: Ward, *words: str) -> str:
    """What a command says."""
    config = ward.folder / "wetread.toml"
    config.write_text(f'[node]\ndata_folder = "{ward.folder}"\n')
    done = CliRunner().invoke(wetread, ["--config", str(config), *words], env={"COLUMNS": "400"})
    return done.output


def test_signed_report_of_a_deleted_study_stays_here_and_a_person_is_told(ward: Ward, archive: Archive) -> None:
    archive.take_film()
    ward.receive(films.film())
    ward.draft()
    send(ward)
    assert [one.state for one in ward.deliveries()] == [DeliveryState.COMMITTED]
    assert archive.reports == 1
    archive.delete_studies()

    signed = sign(ward)
    send(ward)

    assert archive.ask("/studies") == []
    (_, dead) = ward.deliveries()
    assert (dead.stage, dead.sop_instance_uid) == (Stage.SIGNED, signed.sop_instance_uid)
    assert (dead.state, dead.reason, dead.sent_at) == (DeliveryState.FAILED, GONE, None)
    assert ward.events().count("study-missing") == 4, "one empty answer may be a mistake"
    assert (ward.revision().book, ward.revision().reason) == (Book.DEAD_LETTERED, GONE)
    for command in (("queue", "dead"), ("study", "show", "#1")):
        assert GONE in told(ward, *command)
        assert WORDS in told(ward, *command)
    assert "dead letters     1: wetread study list --book dead-lettered" in told(ward, "check")
    assert ("study-missing" in timeline.WORDS, GONE in letters.CURES) == (True, True)


def test_draft_of_a_study_that_the_archive_never_had_leaves_as_ever(ward: Ward, archive: Archive) -> None:
    ward.receive(films.film())
    ward.draft()
    send(ward)

    assert [one.state for one in ward.deliveries()] == [DeliveryState.COMMITTED]
    assert archive.reports == 1
    assert "study-missing" not in ward.events()


def test_study_of_which_it_had_our_draft_alone_is_none_that_it_had(ward: Ward, archive: Archive) -> None:
    """An archive of reports: what is removed there is ours, and a newer one goes there as the first did."""
    ward.receive(films.film())
    ward.draft()
    send(ward)
    asked_at_sign_off(ward)
    archive.delete_studies()

    sign(ward)
    send(ward)

    assert [one.state for one in ward.deliveries()] == [DeliveryState.COMMITTED] * 2
    assert "study-missing" not in ward.events()


def test_study_that_comes_back_gets_what_waited_for_it(ward: Ward, archive: Archive) -> None:
    archive.take_film()
    ward.receive(films.film())
    ward.draft()
    send(ward)
    archive.delete_studies()
    sign(ward)
    send(ward, most=1)
    (_, waiting) = ward.deliveries()
    assert (waiting.state, waiting.last_error.startswith(WORDS)) == (DeliveryState.QUEUED, True)
    assert ward.ask(lambda tx: outages.outages(tx, now())) == [], "the archive answers, and takes what is for others"

    archive.take_film()
    send(ward)

    assert [one.state for one in ward.deliveries()] == [DeliveryState.COMMITTED] * 2
    assert archive.reports == 1, "the signed one; the draft was deleted"


def test_person_who_has_brought_the_study_back_queues_the_dead_letter_again(ward: Ward, archive: Archive) -> None:
    archive.take_film()
    ward.receive(films.film())
    ward.draft()
    send(ward)
    archive.delete_studies()
    sign(ward)
    send(ward)
    ward.do(lambda tx: worklist.requeue_for(tx, TITLE, now(), actor="test"))
    send(ward, most=1)
    assert [one.reason for one in ward.deliveries()] == ["", GONE], "it is still gone: said at once"

    archive.take_film()
    ward.do(lambda tx: worklist.requeue_for(tx, TITLE, now(), actor="test"))
    send(ward)

    assert [one.state for one in ward.deliveries()] == [DeliveryState.COMMITTED] * 2


def counted(ward: Ward) -> None:
    node = ward.desk.config.node.model_copy(update={"count_peers": (TITLE,), "count_quiet_seconds": 0.001})
    Counter(Desk(ward.desk.config.model_copy(update={"node": node}), ward.database)).step()


def reconciled(ward: Ward) -> None:
    assert Reconciler(ward.desk.config, ward.database).compare(TITLE, DAY, actor="test").found == 1


def asked_at_sign_off(ward: Ward) -> None:
    assert WhoseStudy(ward.desk.config, ward.database)(films.draft()).asked == (TITLE,)


@pytest.mark.parametrize("question", [counted, reconciled, asked_at_sign_off])
def test_whoever_has_asked_the_archive_its_answer_counts(
    ward: Ward, archive: Archive, question: Callable[[Ward], None]
) -> None:
    archive.take_film()
    ward.receive(films.film())
    question(ward)
    archive.delete_studies()

    ward.draft()
    send(ward)

    assert [(one.state, one.reason) for one in ward.deliveries()] == [(DeliveryState.FAILED, GONE)]
    assert archive.ask("/studies") == []
    if question is asked_at_sign_off:
        said = WhoseStudy(ward.desk.config, ward.database)(films.draft())
        assert said.trouble == (f"{TITLE} no longer has the study, which it had before.",)


def test_archive_that_is_not_asked_gets_it_all_the_same(ward: Ward, archive: Archive) -> None:
    archive.take_film()
    ward.receive(films.film())
    asked_at_sign_off(ward)
    archive.delete_studies()
    ward.do(lambda tx: tx.execute(update(RemoteAE).values(identity_check=False)))

    ward.draft()
    send(ward)

    assert [one.state for one in ward.deliveries()] == [DeliveryState.COMMITTED]


def test_what_takes_a_draft_back_leaves_whatever_became_of_the_study(ward: Ward, archive: Archive) -> None:
    archive.take_film()
    ward.receive(films.film())
    ward.draft()
    send(ward)
    archive.delete_studies()
    told(ward, "report", "withdraw", "#1", "--reason", "deleted")
    ward.recaller.step()
    send(ward)

    assert [(one.kind, one.state) for one in ward.deliveries()][1:] == [(Kind.KOS, DeliveryState.COMMITTED)]


def in_place_of_the_archive(ward: Ward, archive: Archive) -> None:
    """Its DICOMweb service."""
    web = {"way": Way.STOW, "url": archive.dicom_web_url, "proof": Proof.QUERY, "objects": "basic-text"}
    ward.do(lambda tx: tx.execute(update(RemoteAE).values(send_to=False)))
    ward.do(lambda tx: tx.add(Endpoint(name="WEB", **web)))


def test_dicomweb_service_is_believed_in_the_same_way(ward: Ward, archive: Archive) -> None:
    in_place_of_the_archive(ward, archive)
    archive.take_film()
    ward.receive(films.film())
    ward.draft()
    send(ward)
    archive.delete_studies()

    sign(ward)
    send(ward)

    assert [(one.state, one.reason) for one in ward.deliveries()] == [
        (DeliveryState.COMMITTED, ""),
        (DeliveryState.FAILED, GONE),
    ]
    assert archive.ask("/studies") == []


@pytest.fixture
def system(ward: Ward) -> Iterator[Ris]:
    ward.service("RIS", Way.MLLP)
    with ris() as running:
        ward.do(lambda tx: tx.execute(update(Endpoint).values(port=running.port)))
        yield running


def statuses(system: Ris) -> list[str]:
    return [message.obr.obr_25.value for message in system.messages]


def test_draft_of_a_deleted_study_leaves_as_no_message_and_what_is_signed_does(
    ward: Ward, archive: Archive, system: Ris
) -> None:
    ward.service("EHR", Way.FHIR)
    ward.service("HOOK", Way.WEBHOOK)
    archive.take_film()
    ward.receive(films.film())
    asked_at_sign_off(ward)
    archive.delete_studies()

    ward.draft()
    send(ward)

    held = {one.destination: (one.state, one.reason, one.sent_at) for one in ward.deliveries()}
    assert held == dict.fromkeys((TITLE, "RIS", "EHR", "HOOK"), (DeliveryState.FAILED, GONE, None))
    assert system.messages == []
    assert told(ward, "queue", "dead").count(WORDS) == 4

    ward.do(lambda tx: tx.execute(delete(Endpoint).where(Endpoint.name != "RIS")))
    sign(ward)
    send(ward)

    assert statuses(system) == ["F"], "an archive keeps nobody from a report that a person has signed"
    signed = {one.destination: (one.state, one.reason) for one in ward.deliveries() if one.stage is Stage.SIGNED}
    assert signed == {TITLE: (DeliveryState.FAILED, GONE), "RIS": (DeliveryState.COMMITTED, "")}


@pytest.mark.parametrize("why", ["the study is there", "nobody answers", "it may not be asked", "it never had it"])
def test_message_about_a_draft_waits_for_no_archive_that_does_not_say_that_it_has_lost_the_study(
    ward: Ward, archive: Archive, system: Ris, why: str
) -> None:
    ward.set_mode(TITLE, Mode.HOLD)
    archive.take_film()
    ward.receive(films.film())
    if why != "it never had it":
        asked_at_sign_off(ward)
    if why != "the study is there":
        archive.delete_studies()
    changes = {"nobody answers": {"port": free_port()}, "it may not be asked": {"identity_check": False}}
    if why in changes:
        ward.do(lambda tx: tx.execute(update(RemoteAE).values(**changes[why])))

    ward.draft()
    send(ward)

    assert statuses(system) == ["R"]


@pytest.mark.parametrize(("path", "sent"), [("", []), ("/nowhere", ["R"])], ids=["lost", "answers 404"])
def test_message_about_a_draft_asks_a_dicomweb_service_too(
    ward: Ward, archive: Archive, system: Ris, path: str, sent: list[str]
) -> None:
    in_place_of_the_archive(ward, archive)
    url = archive.dicom_web_url + path
    ward.do(lambda tx: tx.execute(update(Endpoint).where(Endpoint.name == "WEB").values(mode=Mode.HOLD, url=url)))
    ward.receive(films.film())
    known.named(ward.database, "WEB", [films.STUDY])

    ward.draft()
    send(ward)

    assert statuses(system) == sent


@pytest.fixture
def annex(ward: Ward, tmp_path: Path) -> Iterator[LoopbackPacs]:
    """A second PACS, which has named the study and has lost it."""
    with LoopbackPacs("ANNEX", 0, tmp_path / "annex") as running:
        ward.peer("ANNEX", Kind.BASIC_TEXT, mode=Mode.HOLD)
        ward.do(lambda tx: tx.execute(update(RemoteAE).where(RemoteAE.ae_title == "ANNEX").values(port=running.port)))
        yield running


@pytest.mark.parametrize("other", ["has it", "does not answer", "has lost it"])
def test_message_about_a_draft_waits_for_a_second_archive_that_may_have_the_study(
    ward: Ward, archive: Archive, annex: LoopbackPacs, system: Ris, other: str
) -> None:
    ward.set_mode(TITLE, Mode.HOLD)
    ward.receive(films.film())
    for name in (TITLE, annex.ae_title):
        known.named(ward.database, name, [films.STUDY])
    if other == "has it":
        archive.take_film()
    port = free_port() if other == "does not answer" else archive.port
    ward.do(lambda tx: tx.execute(update(RemoteAE).where(RemoteAE.ae_title == TITLE).values(port=port)))

    ward.draft()
    send(ward, most=8)

    (message,) = ward.deliveries()
    expected = {
        "has it": (DeliveryState.COMMITTED, ""),
        "does not answer": (DeliveryState.QUEUED, ""),
        "has lost it": (DeliveryState.FAILED, GONE),
    }
    assert (message.state, message.reason) == expected[other]
    assert statuses(system) == (["R"] if other == "has it" else [])
    if other == "does not answer":
        said = [one.sentence for one in ward.ask(lambda tx: timeline.timeline(tx, message.revision_id))]
        assert "ANNEX no longer had the study, attempt 1 for RIS; it was asked again." in said


def test_archive_that_did_not_answer_is_left_alone_for_a_minute(ward: Ward, annex: LoopbackPacs, system: Ris) -> None:
    ward.set_mode(TITLE, Mode.HOLD)
    ward.receive(films.film())
    known.named(ward.database, annex.ae_title, [films.STUDY])
    ward.do(lambda tx: tx.execute(update(RemoteAE).values(port=free_port())))
    ward.draft()
    held = ward.must_take()
    seconds = [1000.0]
    look = Bystanders(ward.desk.config, ward.database, monotonic=lambda: seconds[0])

    look(held)
    ward.do(lambda tx: tx.execute(update(RemoteAE).values(port=annex.port)))
    seconds[0] += 59
    look(held)
    seconds[0] += 2
    with pytest.raises(SendFailure, match="no longer has this study"):
        look(held)


def film_is_named(ward: Ward) -> None:
    """As if a draft had gone to the archive before."""
    its = Films(ward.database, TITLE, films.STUDY)
    (film,) = its.among([films.FILM])
    assert its.answered(film, there=True) == 0


def test_draft_of_a_film_that_was_deleted_out_of_its_study_stays_here(
    ward: Ward, archive: Archive, system: Ris
) -> None:
    archive.take_film(beside=True)
    ward.receive(films.film())
    asked_at_sign_off(ward)
    archive.delete_instance(films.FILM)
    for _ in range(6):  # people look as often as they like
        said = WhoseStudy(ward.desk.config, ward.database)(films.draft())
        assert in_words(said.outcome, said) == (
            f"The PACS agrees ({TITLE} asked). {TITLE} no longer has a film of the draft, which it had before."
        )

    ward.draft()
    send(ward)

    held = {one.destination: (one.state, one.reason) for one in ward.deliveries()}
    assert held == dict.fromkeys((TITLE, "RIS"), (DeliveryState.FAILED, FILM_GONE))
    assert (archive.reports, system.messages) == (0, [])
    assert ward.events().count("film-missing") == 4
    assert ("film-missing" in timeline.WORDS, FILM_GONE in letters.CURES) == (True, True)

    sign(ward)
    send(ward)

    assert (archive.reports, statuses(system)) == (1, ["F"]), "the study is there: a signature stands in its own study"


@pytest.mark.parametrize("why", ["it never named it", "it came back", "its proof is no query"])
def test_draft_of_a_film_that_the_archive_need_not_have_leaves(ward: Ward, archive: Archive, why: str) -> None:
    archive.take_film(beside=True)
    ward.receive(films.film(), caller=TITLE)
    if why != "it never named it":
        film_is_named(ward)
    archive.delete_instance(films.FILM)
    if why == "it never named it":
        assert WhoseStudy(ward.desk.config, ward.database)(films.draft()).lost == ()
    if why == "its proof is no query":
        ward.do(lambda tx: tx.execute(update(RemoteAE).values(proof=Proof.ACKNOWLEDGEMENT, identity_check=True)))

    ward.draft()
    if why == "it came back":
        send(ward, most=1)
        assert ward.deliveries()[0].state is DeliveryState.QUEUED
        archive.take_film()
    send(ward)

    assert [one.state for one in ward.deliveries()] == [DeliveryState.COMMITTED]


def test_film_that_a_dicomweb_service_has_named_is_missed_in_a_newer_draft(ward: Ward, archive: Archive) -> None:
    in_place_of_the_archive(ward, archive)
    archive.take_film(beside=True)
    ward.receive(films.film(), caller="DX1")
    ward.draft()
    send(ward)
    archive.delete_instance(films.FILM)

    ward.do(lambda tx: worklist.reprocess(tx, tx.scalars(select(Study)).one(), now(), actor="test"))
    ward.do(lambda tx: tx.execute(update(Routing).values(decided_at=now())))
    ward.draft(text="FINDINGS: Small effusion on the left.\nIMPRESSION: Effusion.")
    send(ward)

    assert [(one.state, one.reason) for one in ward.deliveries()][:2] == [
        (DeliveryState.COMMITTED, ""),
        (DeliveryState.FAILED, FILM_GONE),
    ]
