"""What becomes of a study whose images cannot be read, or cannot be read just now."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from sqlalchemy import select

from agent import logs, reading
from agent.config import Config, LogConfig
from agent.demo import phantom
from agent.imaging.decoder import DecoderProcess, DecoderUnavailableError
from agent.imaging.pixels import Film, UndecodableImage
from agent.readers.protocol import Generation, ReaderIdentity, Reading, UnreadableText
from agent.reading import Interrupted, Room, read_study
from dicom_node import books, files, worklist
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.errors import StoreAway
from dicom_node.headers import read_header
from dicom_node.kinds import Stage
from dicom_node.rules.tables import Routing
from dicom_node.tables import Book, Delivery, RemoteAE, Revision, Workitem, WorkitemState
from reports.objects.content import read_content
from reports.render import as_text
from reports.tables import Report

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
EXPLICIT = "1.2.840.10008.1.2.1"


class Parrot:
    """A reader that says the same of every film."""

    identity = ReaderIdentity("parrot", "1", "none", "fp32", "0" * 64, "")

    def report(
        self,
        film: NDArray[np.uint8],
        generation: Generation,
        progress: Callable[[int], None] = lambda _tokens: None,
        *,
        urgent: bool = False,
    ) -> Reading:
        self.urgent = urgent
        progress(1)
        return Reading("Findings: The lungs are clear. Impression: No finding.", generation, 9, 0.1)


class Decoder:
    """Fails as it is told, one film after the other (None: not this one), then decodes."""

    process: DecoderProcess

    def __init__(self, *trouble: Exception | None) -> None:
        self.trouble = list(trouble)

    def render(self, path: Path) -> Film:
        error = self.trouble.pop(0) if self.trouble else None
        if error is not None:
            raise error
        return self.process.render(path)


class House:
    """A worker with its store and worklist."""

    def __init__(self, folder: Path, database: Database, process: DecoderProcess) -> None:
        self.process = process
        node = NodeConfig(data_folder=folder, retry_seconds=(0.0,))
        files.make_store(node.store_folder, "here")
        self.config = Config(node=node)
        self.database = database
        self.folder = folder

    def receive(self, content: bytes) -> None:
        """As the listener does it: stored when the header can be read that far."""
        path = self.folder / "arrived.dcm"
        path.write_bytes(content)
        header = read_header(path)
        digest = files.digest_of_dataset(path, EXPLICIT)
        files.adopt(path, self.config.node.store_folder, digest)
        with self.database.write() as tx:
            worklist.record_instance(tx, worklist.Arrival(header, EXPLICIT, digest, len(content), "CR"), clock(tx))

    def add_peer(self) -> None:
        """One that wants notices."""
        with self.database.write() as tx:
            tx.add(RemoteAE(ae_title="PACS", host="127.0.0.1", port=104, send_to=True, notices=True))

    def queued(self) -> list[Stage]:
        with self.database.read() as tx:
            return list(tx.scalars(select(Delivery.stage)))

    def hold_reason(self) -> str:
        with self.database.read() as tx:
            return tx.scalars(select(Workitem.hold_reason)).one()

    def draft(self) -> Dataset:
        with self.database.read() as tx:
            digest = tx.scalars(select(Report.digest)).one()
        return dcmread(io.BytesIO(files.read_document(self.config.node.store_folder, digest)))

    def read(
        self,
        decoder: Decoder | None = None,
        *,
        reader: Parrot | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> str:
        """Complete what has arrived, claim it and read it."""
        with self.database.write() as tx:
            now = clock(tx)
            worklist.complete_studies(tx, now, quiet=timedelta(), deadline=timedelta())
            claim = worklist.claim(tx, worker="w", token=secrets.token_hex(16), lease=timedelta(minutes=1), now=now)
        assert claim is not None
        return read_study(self.room(decoder, reader, stopping), claim)

    def room(
        self,
        decoder: Decoder | None = None,
        reader: Parrot | None = None,
        stopping: Callable[[], bool] = lambda: False,
        pulse: Callable[[], None] = lambda: None,
    ) -> Room:
        """Where the worker reads, with the process that decodes."""
        decoder = decoder or Decoder()
        decoder.process = self.process
        return Room(self.config, self.database, decoder, reader or Parrot(), stopping, pulse)

    @property
    def ending(self) -> tuple[Book, str]:
        with self.database.read() as tx:
            revision = tx.scalars(select(Revision)).one()
            assert books.balance(tx).problems == ()
            return revision.book, revision.reason

    @property
    def state(self) -> WorkitemState:
        with self.database.read() as tx:
            return tx.scalars(select(Workitem)).one().state


@pytest.fixture
def house(
    tmp_path: Path, sqlite_url: str, open_database: Callable[[str], Database], decoder_process: DecoderProcess
) -> House:
    return House(tmp_path, open_database(sqlite_url), decoder_process)


@pytest.fixture
def film(tmp_path: Path) -> bytes:
    numbers = count(1)
    drawn = phantom.film(3, now=NOW, new_uid=lambda: f"2.25.88{next(numbers)}", rows=128, columns=112)
    drawn.save_as(tmp_path / "film.dcm", enforce_file_format=True)
    return (tmp_path / "film.dcm").read_bytes()


def test_a_sound_film_is_drafted(house: House, film: bytes) -> None:
    house.receive(film)
    assert house.read() == "drafted"
    assert house.ending == (Book.DEAD_LETTERED, "no-destination")


def test_where_the_rule_names_only_what_is_gone_the_dead_letter_says_so(house: House, film: bytes) -> None:
    house.add_peer()
    house.receive(film)
    with house.database.write() as tx:
        worklist.complete_studies(tx, clock(tx), quiet=timedelta(), deadline=timedelta())
        routing = tx.scalars(select(Routing)).one()
        routing.rule, routing.destinations = "er", '["PACSS", "OLD=hold"]'
    assert house.read() == "drafted"
    assert house.ending == (Book.DEAD_LETTERED, "no-destination")
    with house.database.read() as tx:
        explanation = tx.scalars(select(Revision.explanation)).one()
    assert "rule er sends it to PACSS, OLD alone" in explanation
    assert "wetread rule edit er --to" in explanation


def test_a_stored_header_that_breaks_off_excludes_the_study_at_once(house: House, film: bytes) -> None:
    house.receive(film)
    (stored,) = house.config.node.store_folder.glob("*/*.dcm")
    unended_sequence = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff"
    stored.write_bytes(film[: film.index(b"\x28\x00\x02\x00US")] + unended_sequence)
    assert house.read() == "excluded: unreadable-file"
    assert house.ending == (Book.EXCLUDED, "unreadable-file")


def test_a_study_whose_films_were_deleted_waits_until_they_come_again(house: House, film: bytes) -> None:
    house.receive(film)
    for stored in house.config.node.store_folder.glob("*/*.dcm"):
        stored.unlink()
    assert house.read() == "held"
    assert house.ending[0] is Book.IN_FLIGHT
    assert house.hold_reason() == "film-deleted"


def test_store_that_is_away_says_nothing_of_a_film(house: House, film: bytes) -> None:
    house.receive(film)
    store = house.config.node.store_folder
    store.rename(house.folder / "away")
    with pytest.raises(StoreAway, match="mount its disk"):
        house.read()
    assert house.hold_reason() == ""
    assert not store.exists(), "no film is put where the disk belongs"


def test_store_that_goes_while_a_film_is_decoded_says_nothing_of_it(house: House, film: bytes) -> None:
    class Leaving(Decoder):
        def render(self, path: Path) -> Film:
            house.config.node.store_folder.rename(house.folder / "away")
            return super().render(path)

    house.receive(film)
    with pytest.raises(StoreAway, match="mount its disk"):
        house.read(Leaving())
    assert house.state is WorkitemState.IN_PROGRESS, "the worker gives it back"


def test_trouble_of_the_disk_is_no_fault_of_the_study(
    house: House, film: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    house.receive(film)
    monkeypatch.setattr(reading, "open_header", unreadable)
    with pytest.raises(OSError, match="Input/output"):
        house.read()
    assert house.ending[0] is Book.IN_FLIGHT


@pytest.mark.parametrize("code", ["decode-timeout", "decoder-crashed", "out-of-memory"])
def test_trouble_that_may_pass_is_tried_once_more(house: House, film: bytes, code: str) -> None:
    house.receive(film)
    trouble = UndecodableImage(code, "The machine was busy.")
    decoder = Decoder(trouble)
    assert house.read(decoder) == code
    assert (house.ending[0], house.state) == (Book.IN_FLIGHT, WorkitemState.SCHEDULED)
    assert house.read(decoder) == "drafted"


def test_trouble_that_comes_again_is_told_to_a_person(house: House, film: bytes) -> None:
    house.receive(film)
    decoder = Decoder(*[UndecodableImage("decode-timeout", "Decoding took longer than 1 s.")] * 2)
    house.read(decoder)
    assert house.read(decoder) == "decode-timeout"
    assert house.ending == (Book.DEAD_LETTERED, "decode-timeout")


def test_an_undecodable_film_is_not_tried_again(house: House, film: bytes) -> None:
    house.receive(film)
    assert house.read(Decoder(UndecodableImage("undecodable", "No."))) == "excluded: undecodable"


def test_a_decoder_that_does_not_start_is_no_fault_of_the_study(house: House, film: bytes) -> None:
    house.receive(film)
    with pytest.raises(DecoderUnavailableError):
        house.read(Decoder(DecoderUnavailableError("no memory")))
    assert house.ending[0] is Book.IN_FLIGHT


def test_what_pydicom_says_of_a_bad_header_stays_out_of_the_logs(
    house: House, film: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = film.replace(b"PHANTOM^CHEST", b"SECRET\x1b\xff^NAME").replace(b"19", b"X9")
    logs.set_up(LogConfig(format="json"))
    house.receive(bad)
    house.read()
    told = capfd.readouterr()
    assert "SECRET" not in told.out + told.err
    assert "pydicom" not in told.out + told.err


def test_a_broken_film_does_not_keep_a_sound_one_from_being_read(house: House, film: bytes) -> None:
    house.receive(film)
    house.receive(_another_of_the_study(film))

    ended = house.read(Decoder(UndecodableImage("undecodable", "The pixels cannot be decoded.")))

    assert ended == "drafted"
    draft = house.draft()
    assert "1 further image of the study" in as_text(draft)
    (used,) = draft.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert used.ReferencedSOPInstanceUID == "2.25.2"


def test_a_notice_stands_on_the_image_whose_header_can_be_read(house: House, film: bytes) -> None:
    house.add_peer()
    house.receive(film)
    (stored,) = house.config.node.store_folder.glob("*/*.dcm")
    house.receive(_another_of_the_study(film, ViewPosition="LL"))
    unended_sequence = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff"
    stored.write_bytes(film[: film.index(b"\x28\x00\x02\x00US")] + unended_sequence)

    assert house.read() == "excluded: unreadable-file"
    assert house.ending == (Book.EXCLUDED, "unreadable-file")
    assert house.queued() == [Stage.NOTICE]


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"AccessionNumber": "OTHER"}, "accessions-differ"), ({"IssuerOfPatientID": "ELSEWHERE"}, "patients-differ")],
)
@pytest.mark.parametrize("view", ["PA", "LL"])
def test_a_study_whose_images_name_two_identities_gets_no_draft(
    house: House, film: bytes, change: dict[str, str], reason: str, view: str
) -> None:
    house.add_peer()
    house.receive(film)
    house.receive(_another_of_the_study(film, ViewPosition=view, **change))

    assert house.read() == f"excluded: {reason}"
    assert house.ending == (Book.EXCLUDED, reason)
    assert house.queued() == []


def test_a_second_film_of_another_order_is_found_where_the_first_is_broken(house: House, film: bytes) -> None:
    house.receive(film)
    house.receive(_another_of_the_study(film, AccessionNumber="OTHER"))

    assert house.read(Decoder(UndecodableImage("undecodable", "No."))) == "excluded: accessions-differ"


def test_unusable_text_gets_one_sampled_chance_that_can_be_repeated(house: House, film: bytes) -> None:
    house.receive(film)
    stammers = Stammerer(1)

    ended = house.read(reader=stammers)

    assert ended == "drafted"
    first, second = stammers.heard
    assert first.mode == "greedy"
    assert (second.mode, second.temperature, second.top_p, second.top_k) == ("sampled", 0.2, 0.8, 50)
    assert f"sampled, seed {second.seed}" in as_text(house.draft(), width=1000)


def test_text_that_stays_unusable_excludes_the_study(house: House, film: bytes) -> None:
    house.receive(film)

    assert house.read(reader=Stammerer(2)) == "excluded: repeating-text"
    assert house.ending == (Book.EXCLUDED, "repeating-text")


def test_a_second_frontal_film_is_read_too_and_both_are_named(house: House, film: bytes) -> None:
    house.receive(film)
    house.receive(_darker(film, ViewPosition="AP", InstanceNumber="7"))

    assert house.read() == "drafted"
    draft = house.draft()
    content = read_content(draft)
    one, two = "Image 1 (DX PA, instance 1):\n", "Image 2 (DX AP, instance 7):\n"
    assert content.findings == f"{one}The lungs are clear.\n\n{two}The lungs are clear."
    assert content.impression == f"{one}No finding.\n\n{two}No finding."
    assert len(content.films) == 2
    evidence = draft.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert {item.ReferencedSOPInstanceUID for item in evidence} == {uid for _, uid in content.films}
    assert "Read: 2 images (DX PA; DX AP). Not seen: prior examinations" in as_text(draft, width=1000)
    with house.database.read() as tx:
        report = tx.scalars(select(Report)).one()
        assert len(set(report.films)) == 2


def test_texts_that_differ_in_state_or_side_are_said_to(house: House, film: bytes) -> None:
    house.receive(film)
    house.receive(_darker(film))
    one = "Findings: Small left pleural effusion. No pneumothorax. Heart size is normal. Impression: Left effusion."
    two = "Findings: Small right pleural effusion. There is a pneumothorax. Heart size is normal. Impression: Effusion."

    assert house.read(reader=Says(one, two)) == "drafted"
    assert "images 1 and 2 are described differently: Pneumothorax, Pleural Effusion" in as_text(
        house.draft(), width=1000
    )


def test_the_same_picture_twice_is_one_text_and_two_names(house: House, film: bytes) -> None:
    house.receive(film)
    house.receive(_another_of_the_study(film))

    assert house.read() == "drafted"
    assert read_content(house.draft()).findings == "The lungs are clear."
    assert len(read_content(house.draft()).films) == 2


def test_many_copies_of_a_picture_are_no_second_film(house: House, film: bytes) -> None:
    house.receive(film)
    for number in range(6):
        house.receive(_another_of_the_study(film, f"2.25.66{number}"))

    assert house.read() == "drafted"
    assert "Image 2" not in read_content(house.draft()).findings


def test_a_second_film_is_found_behind_many_copies_of_the_first(house: House, film: bytes) -> None:
    house.receive(film)
    for number in range(5):
        house.receive(_another_of_the_study(film, f"2.25.66{number}"))
    house.receive(_darker(film, "2.25.7"))

    assert house.read() == "drafted"
    content = read_content(house.draft())
    assert "Image 2" in content.findings
    assert "2.25.7" in [uid for _, uid in content.films]


@pytest.mark.parametrize("keyword", ["StudyTime", "StudyDate", "StudyID"])
def test_films_that_describe_their_study_differently_share_a_draft(house: House, film: bytes, keyword: str) -> None:
    value = {"StudyTime": "235959", "StudyDate": "20200101", "StudyID": "OTHER"}[keyword]
    house.receive(film)
    house.receive(_darker(film, **{keyword: value}))
    house.receive(_another_of_the_study(film, uid="2.25.3", **{keyword: value}))

    assert house.read() == "drafted"
    content = read_content(house.draft())
    assert (len(content.films), "Image 2" in content.findings) == (3, True)
    assert house.draft()[keyword].value == dcmread(io.BytesIO(film))[keyword].value


@pytest.mark.parametrize("same_picture", [True, False])
def test_a_second_film_under_another_name_has_no_part_in_the_draft(
    house: House, film: bytes, same_picture: bool
) -> None:
    make = _another_of_the_study if same_picture else _darker
    house.receive(film)
    house.receive(make(film, PatientName="Somebody^Else"))

    assert house.read() == "drafted"
    content = read_content(house.draft())
    assert (len(content.films), "Image 2" in content.findings) == (1, False)
    assert "another frontal image was left out (identity-differs)" in as_text(house.draft(), width=1000)


def test_of_three_frontal_films_two_are_read_and_one_is_counted(house: House, film: bytes) -> None:
    house.receive(film)
    house.receive(_darker(film))
    house.receive(_darker(_darker(film), uid="2.25.3"))

    assert house.read() == "drafted"
    assert "Read: 2 images (DX PA; DX PA). Not seen: 1 further image of the study" in as_text(house.draft(), width=1000)


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (UnreadableText("contradicting-text", "It contradicts itself."), "contradicting-text"),
        (UnreadableText("reading-timeout", "It took too long."), "reading-timeout"),
        (UndecodableImage("undecodable", "The pixels cannot be decoded."), "undecodable"),
        (UndecodableImage("decode-timeout", "It took too long."), "decode-timeout"),
    ],
)
def test_a_second_film_that_cannot_be_read_costs_only_its_own_text(
    house: House, film: bytes, trouble: UnreadableText | UndecodableImage, code: str
) -> None:
    house.receive(film)
    house.receive(_darker(film))

    fails = [None, trouble, trouble] if isinstance(trouble, UndecodableImage) else []  # also as a copy of the first
    assert house.read(Decoder(*fails), reader=AnswersOnce(trouble)) == "drafted"
    content = read_content(house.draft())
    assert content.findings == "The lungs are clear."
    assert len(content.films) == 1
    assert f"another frontal image was left out ({code})" in as_text(house.draft(), width=1000)
    assert "1 further image of the study" in as_text(house.draft(), width=1000)


def test_a_second_film_of_another_patient_is_an_alarm_about_the_study(house: House, film: bytes) -> None:
    house.receive(_of_another_patient(_darker(film)))
    assert house.read() == "drafted"
    house.receive(film)
    house.receive(_darker(film))

    assert house.read() == "held"
    with house.database.read() as tx:
        assert {item.hold_reason for item in tx.scalars(select(Workitem))} == {"", "film-of-another-patient"}


def test_how_each_of_two_texts_was_written_is_said(house: House, film: bytes) -> None:
    house.receive(film)
    house.receive(_darker(film))

    assert house.read(reader=Stammerer(1)) == "drafted"
    assert "image 1 sampled, seed " in as_text(house.draft(), width=1000)
    assert "; image 2 greedy" in as_text(house.draft(), width=1000)


def test_a_text_that_takes_too_long_is_tried_again_later_and_then_a_person_is_told(house: House, film: bytes) -> None:
    house.receive(film)
    slow = Stammerer(2, "reading-timeout")

    assert house.read(reader=slow) == "reading-timeout"
    assert house.state is WorkitemState.SCHEDULED
    assert house.read(reader=slow) == "reading-timeout"
    assert house.ending == (Book.DEAD_LETTERED, "reading-timeout")
    assert [generation.mode for generation in slow.heard] == ["greedy", "greedy"]


@pytest.mark.parametrize(("priority", "urgent"), [(0, True), (5, False)])
def test_the_priority_of_a_study_reaches_the_reader(house: House, film: bytes, priority: int, urgent: bool) -> None:
    house.receive(film)
    with house.database.write() as tx:
        worklist.complete_studies(tx, clock(tx), quiet=timedelta(), deadline=timedelta())
        tx.scalars(select(Workitem)).one().priority = priority
    parrot = Parrot()

    assert house.read(reader=parrot) == "drafted"
    assert parrot.urgent is urgent


def test_a_worker_that_stops_gives_the_study_back(house: House, film: bytes) -> None:
    house.receive(film)

    with pytest.raises(Interrupted):
        house.read(stopping=lambda: True)


class Stammerer(Parrot):
    """Says nothing usable so many times."""

    def __init__(self, times: int, code: str = "repeating-text") -> None:
        self.times = times
        self.code = code
        self.heard: list[Generation] = []

    def report(
        self,
        film: NDArray[np.uint8],
        generation: Generation,
        progress: Callable[[int], None] = lambda _tokens: None,
        *,
        urgent: bool = False,
    ) -> Reading:
        self.heard.append(generation)
        if len(self.heard) <= self.times:
            raise UnreadableText(self.code, "The model repeats itself.")
        return super().report(film, generation, progress, urgent=urgent)


class Says(Parrot):
    """Writes one text after the other."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)

    def report(
        self,
        film: NDArray[np.uint8],
        generation: Generation,
        progress: Callable[[int], None] = lambda _tokens: None,
        *,
        urgent: bool = False,
    ) -> Reading:
        return replace(super().report(film, generation, progress, urgent=urgent), text=self.texts.pop(0))


class AnswersOnce(Parrot):
    """Writes about the first film; of the second it says what it is told."""

    def __init__(self, trouble: Exception) -> None:
        self.trouble = trouble
        self.done = False

    def report(
        self,
        film: NDArray[np.uint8],
        generation: Generation,
        progress: Callable[[int], None] = lambda _tokens: None,
        *,
        urgent: bool = False,
    ) -> Reading:
        if self.done:
            raise self.trouble
        self.done = True
        return super().report(film, generation, progress, urgent=urgent)


def _darker(film: bytes, uid: str = "2.25.2", **changes: str) -> bytes:
    """Another exposure in the same study."""
    dataset = dcmread(io.BytesIO(film))
    pixels = dataset.pixel_array
    dataset.PixelData = (pixels - pixels // 8).astype(pixels.dtype).tobytes()
    written = io.BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return _another_of_the_study(written.getvalue(), uid, **changes)


def _of_another_patient(film: bytes) -> bytes:
    changes = {
        "PatientID": "OTHER",
        "PatientName": "OTHER",
        "StudyInstanceUID": "2.25.4",
        "SeriesInstanceUID": "2.25.5",
    }
    return _another_of_the_study(film, "2.25.6", **changes)


def _another_of_the_study(film: bytes, uid: str = "2.25.2", **changes: str) -> bytes:
    dataset = dcmread(io.BytesIO(film))
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    written = io.BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()
