"""Which film of a study is read, and which waits: from the claim to the hold or the draft, with real books."""

from __future__ import annotations

import secrets
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from io import BytesIO
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent import gating
from agent.config import Config
from agent.demo import phantom
from agent.desk import Desk
from agent.imaging.config import ImagingConfig
from agent.imaging.decoder import DecoderProcess
from agent.imaging.pixels import Film, UndecodableImage
from agent.readers.protocol import Generation, Reading
from agent.reading import Interrupted, read_study
from agent.routing import Router
from dicom_node import films, worklist
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.errors import WrongState
from dicom_node.files import read_document
from dicom_node.tables import AuditRow, Instance, Study, Workitem
from dicom_node.worklist import Claim
from reports.render import as_text as rendered
from reports.tables import Report
from tests.unit.agent.test_reading import NOW, Decoder, House, Parrot

NUMBERS = count(1)


class Site(House):
    """A worker whose gate is configured; studies are read one after the other."""

    def configure(self, **imaging: object) -> None:
        self.config = Config(
            node=NodeConfig(data_folder=self.folder, retry_seconds=(0.0,)), imaging=ImagingConfig(**imaging)
        )

    def send(self, image: Dataset) -> None:
        buffer = BytesIO()
        image.save_as(buffer, enforce_file_format=True)
        self.receive(buffer.getvalue())

    def work(self, reader: Parrot | None = None) -> str:
        """Read what is due next."""
        return read_study(self.room(reader=reader), self.claim())

    def claim(self) -> Claim:
        with self.database.write() as tx:
            now = clock(tx)
            worklist.complete_studies(tx, now, quiet=timedelta(), deadline=timedelta())
        Router(Desk(self.config, self.database)).step()
        with self.database.write() as tx:
            now = clock(tx)
            claim = worklist.claim(tx, worker="w", token=secrets.token_hex(16), lease=timedelta(minutes=1), now=now)
        assert claim is not None
        return claim

    def newest_draft(self) -> Dataset:
        with self.database.read() as tx:
            digest = tx.scalars(select(Report.digest).order_by(Report.id.desc())).first()
        assert digest is not None
        return dcmread(BytesIO(read_document(self.config.node.store_folder, digest)))

    def standing(self, image: Dataset) -> tuple[str, str]:
        """Book and reason, or the reason of a hold."""
        with self.database.read() as tx:
            study = tx.scalars(select(Study).where(Study.study_instance_uid == image.StudyInstanceUID)).one()
            revision = worklist.current_revision(tx, study)
            held = tx.scalar(select(Workitem.hold_reason).where(Workitem.revision_id == revision.id))
            return str(revision.book), held or revision.reason

    def events(self, image: Dataset) -> list[str]:
        with self.database.read() as tx:
            study = tx.scalars(select(Study).where(Study.study_instance_uid == image.StudyInstanceUID)).one()
            return list(tx.scalars(select(AuditRow.event).where(AuditRow.study_id == study.id).order_by(AuditRow.id)))

    def change(self, image: Dataset, how: Callable[..., object], *more: str) -> object:
        with self.database.write() as tx:
            study = tx.scalars(select(Study).where(Study.study_instance_uid == image.StudyInstanceUID)).one()
            return how(tx, study, *more, clock(tx), actor="person:jane")


@pytest.fixture
def site(
    tmp_path: Path, sqlite_url: str, open_database: Callable[[str], Database], decoder_process: DecoderProcess
) -> Site:
    return Site(tmp_path, open_database(sqlite_url), decoder_process)


def film(seed: int, patient: str = "P1", **elements: object) -> Dataset:
    image = phantom.film(seed, now=NOW, new_uid=lambda: f"2.25.77{next(NUMBERS)}", rows=256, columns=224)
    image.PatientID = patient
    for keyword, value in elements.items():
        setattr(image, keyword, value)
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return image


def as_text(draft: Dataset) -> str:
    """In one line."""
    return " ".join(rendered(draft).split())


def turned(image: Dataset) -> Dataset:
    pixels = np.rot90(image.pixel_array, 2)
    image.PixelData = np.ascontiguousarray(pixels).tobytes()
    return image


def test_a_film_upside_down_waits_and_a_confirmation_reads_it_with_a_note(site: Site) -> None:
    image = turned(film(1))
    site.send(image)
    assert site.work() == "held"
    assert site.standing(image) == ("in flight", "looks-rotated")
    site.change(image, worklist.confirm)
    assert site.work() == "drafted"
    text = as_text(site.draft())
    assert "the film looks rotated by 180 degrees" in text
    assert "confirmed as a frontal adult chest film by a person" in text
    assert "jane" not in text


def test_a_site_that_wants_no_holds_gets_the_doubt_in_the_draft(site: Site) -> None:
    site.configure(doubts="note")
    site.send(turned(film(1)))
    assert site.work() == "drafted"
    assert "the film looks rotated by 180 degrees" in as_text(site.draft())


def test_a_doubted_film_does_not_keep_a_sound_one_from_being_read(site: Site) -> None:
    doubted = turned(film(1))
    sound = film(2, StudyInstanceUID=doubted.StudyInstanceUID, SeriesInstanceUID=doubted.SeriesInstanceUID)
    site.send(doubted)
    site.send(sound)
    assert site.work() == "drafted"
    assert read_images(site.draft()) == [sound.SOPInstanceUID]


class Watched(Decoder):
    """Counts the films that it decoded, and how many of them somebody still held when the next one was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels: list[weakref.ref[NDArray[np.uint8]]] = []
        self.held = 0

    def render(self, path: Path) -> Film:
        self.held = max(self.held, sum(one() is not None for one in self.pixels))
        film = super().render(path)
        self.pixels.append(weakref.ref(film.pixels))
        return film


def send_doubted(site: Site, number: int) -> Dataset:
    first = turned(film(1))
    of_the_study = {"StudyInstanceUID": first.StudyInstanceUID, "SeriesInstanceUID": first.SeriesInstanceUID}
    for image in (first, *(turned(film(seed, **of_the_study)) for seed in range(2, number + 1))):
        site.send(image)
    return first


def test_of_many_doubted_films_only_the_first_is_kept(site: Site) -> None:
    send_doubted(site, 5)
    decoder = Watched()

    assert read_study(site.room(decoder), site.claim()) == "held"
    assert (len(decoder.pixels), decoder.held) == (5, 2)  # the first, and the one before


def test_of_many_doubted_films_some_are_looked_at_and_the_draft_says_so(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gating, "_LOOKED_AT", 2)
    image = send_doubted(site, 4)
    decoder = Watched()

    assert read_study(site.room(decoder), site.claim()) == "held"
    assert len(decoder.pixels) == 2
    site.change(image, worklist.confirm)
    assert site.work() == "drafted"
    assert "only the first 2 of 4 images were looked at" in as_text(site.draft())


def test_every_decoded_film_is_progress_and_a_worker_that_stops_decodes_no_more(site: Site) -> None:
    send_doubted(site, 3)
    decoder = Watched()
    pulses: list[int] = []
    room = site.room(decoder, None, lambda: len(pulses) == 2, lambda: pulses.append(1))

    with pytest.raises(Interrupted):
        read_study(room, site.claim())
    assert len(decoder.pixels) == 2


def test_a_copy_in_the_same_study_is_read_once_and_named_twice(site: Site) -> None:
    first = film(1)
    copy = film(1, StudyInstanceUID=first.StudyInstanceUID, SeriesInstanceUID=first.SeriesInstanceUID)
    site.send(first)
    site.send(copy)
    assert site.work() == "drafted"
    assert sorted(read_images(site.draft())) == sorted([first.SOPInstanceUID, copy.SOPInstanceUID])
    assert "the same picture came in several images of the study; read once" in as_text(site.draft())


def test_the_picture_of_another_patient_waits_and_both_studies_say_so(site: Site) -> None:
    first, second = film(1, "P1"), film(1, "P2")
    site.send(first)
    assert site.work() == "drafted"
    site.send(second)
    assert site.work() == "held"
    assert site.standing(second) == ("in flight", "film-of-another-patient")
    assert "film-of-two-patients" in site.events(first)
    assert "film-of-two-patients" in site.events(second)
    site.change(second, worklist.confirm)
    assert site.work() == "drafted"


class ReadsAnotherMeanwhile(Parrot):
    """While it writes, another slot of the worker reads the study of another patient."""

    def __init__(self, site: Site, other: Dataset) -> None:
        self.site = site
        self.other = other
        self.ended = ""

    def report(
        self,
        film: NDArray[np.uint8],
        generation: Generation,
        progress: Callable[[int], None] = lambda _tokens: None,
        *,
        urgent: bool = False,
    ) -> Reading:
        self.site.send(self.other)
        self.ended = self.site.work()
        return super().report(film, generation, progress, urgent=urgent)


def test_an_alarm_that_is_raised_while_a_draft_is_written_holds_the_draft(site: Site) -> None:
    first, second = film(1, "P1"), film(1, "P2")
    site.add_peer()
    site.send(first)
    slow = ReadsAnotherMeanwhile(site, second)

    assert (site.work(slow), slow.ended) == ("held", "held")
    assert site.standing(first) == site.standing(second) == ("in flight", "film-of-another-patient")
    assert site.queued() == []

    site.change(first, worklist.confirm)
    assert site.work() == "drafted"


def test_a_picture_that_comes_for_the_same_patient_while_a_draft_is_written_holds_nothing(site: Site) -> None:
    site.send(film(1))
    slow = ReadsAnotherMeanwhile(site, film(1))

    assert (site.work(slow), slow.ended) == ("drafted", "drafted")


def test_a_site_that_lets_one_picture_be_of_many_patients_has_no_draft_held(site: Site) -> None:
    site.configure(same_film="note")
    site.send(film(1, "P1"))
    slow = ReadsAnotherMeanwhile(site, film(1, "P2"))

    assert (site.work(slow), slow.ended) == ("drafted", "drafted")


@pytest.mark.postgres
def test_two_who_look_at_one_picture_at_the_same_time_do_not_miss_each_other(
    tmp_path: Path,
    empty_postgres_url: str,
    open_database: Callable[[str], Database],
    decoder_process: DecoderProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site(tmp_path, open_database(empty_postgres_url), decoder_process)
    both = [film(1, "P1"), film(1, "P2")]
    for image in both:
        site.send(image)
    claims = [site.claim(), site.claim()]
    one_process, decoded, asking = threading.Lock(), threading.Barrier(2), threading.Barrier(2)
    twins = films.twins

    class DecodesTogether(Decoder):
        def render(self, path: Path) -> Film:
            with one_process:
                film = super().render(path)
            decoded.wait(60)
            return film

    def ask_together(tx: Session, instance: Instance, digest: str) -> Sequence[films.Twin]:
        with suppress(threading.BrokenBarrierError):  # one after the other is what should be
            asking.wait(2)
        return twins(tx, instance, digest)

    monkeypatch.setattr(films, "twins", ask_together)
    with ThreadPoolExecutor(2) as slots:
        room = site.room(DecodesTogether())
        ends = list(slots.map(partial(read_study, room), claims))

    assert "held" in ends
    assert all("film-of-two-patients" in site.events(image) for image in both)


def test_the_same_picture_again_for_the_same_patient_is_read_with_a_note(site: Site) -> None:
    site.send(film(1))
    site.work()
    site.send(film(1))
    assert site.work() == "drafted"
    assert "the same picture came in another study of the patient" in as_text(site.newest_draft())


def test_a_site_may_let_one_picture_be_of_many_patients(site: Site) -> None:
    site.configure(same_film="note")
    site.send(film(1, "P1"))
    site.work()
    site.send(film(1, "P2"))
    assert site.work() == "drafted"


def test_an_exclusion_is_overruled_by_its_name_only(site: Site) -> None:
    child = film(1, PatientAge="009Y", PatientBirthDate="")
    site.send(child)
    assert site.work() == "excluded: child"
    with pytest.raises(WrongState, match=r"another reason \(child\)"):
        site.change(child, worklist.overrule, "lateral")
    site.change(child, worklist.overrule, "child")
    assert site.work() == "drafted"
    assert "read although excluded (child): a person overruled it" in as_text(site.draft())
    assert "exclusion-overruled" in site.events(child)


def test_another_reason_still_excludes(site: Site) -> None:
    child = film(1, PatientAge="009Y", PatientBirthDate="", BodyPartExamined="HAND", AnatomicRegionSequence=None)
    site.send(child)
    site.work()
    site.change(child, worklist.overrule, "child")
    assert site.work() == "excluded: not-a-chest"
    site.change(child, worklist.overrule, "not-a-chest")
    assert site.work() == "drafted"


def two_laterals() -> tuple[Dataset, Dataset]:
    first = film(1, ViewPosition="LL")
    of_the_study = {"StudyInstanceUID": first.StudyInstanceUID, "SeriesInstanceUID": first.SeriesInstanceUID}
    return first, film(2, ViewPosition="LL", **of_the_study)


def test_an_overruled_exclusion_lets_one_film_in_and_no_second_one(site: Site) -> None:
    first, second = two_laterals()
    site.send(first)
    site.send(second)
    assert site.work() == "excluded: lateral"
    site.change(first, worklist.overrule, "lateral")
    assert site.work() == "drafted"
    assert read_images(site.draft()) == [first.SOPInstanceUID]


def test_an_overruled_exclusion_says_nothing_of_an_image_that_comes_later(site: Site) -> None:
    first, late = two_laterals()
    site.send(first)
    site.work()
    site.change(first, worklist.overrule, "lateral")
    assert site.work() == "drafted"
    site.send(late)
    broken = Decoder(UndecodableImage("undecodable", "The pixels cannot be decoded."))
    assert read_study(site.room(broken), site.claim()) == "excluded: undecodable"


def test_an_exclusion_is_overruled_again_for_what_came_later(site: Site) -> None:
    first, late = two_laterals()
    site.send(first)
    site.work()
    site.change(first, worklist.overrule, "lateral")
    site.work()
    for stored in site.config.node.store_folder.glob("*/*.dcm"):
        stored.unlink()
    site.send(late)
    assert site.work() == "excluded: lateral"
    site.change(first, worklist.overrule, "lateral")
    assert site.work() == "drafted"
    assert read_images(site.newest_draft()) == [late.SOPInstanceUID]


def test_what_is_not_excluded_cannot_be_overruled(site: Site) -> None:
    image = turned(film(1))
    site.send(image)
    site.work()
    with pytest.raises(WrongState, match="nothing to overrule"):
        site.change(image, worklist.overrule, "looks-rotated")


def test_an_unknown_age_waits_where_the_site_wants_it(site: Site) -> None:
    site.configure(unknown_age="hold")
    image = film(1, PatientAge="", PatientBirthDate="")
    site.send(image)
    assert site.work() == "held"
    assert site.standing(image) == ("in flight", "age-unknown")


def nameless(seed: int, **elements: object) -> Dataset:
    image = film(seed, BodyPartExamined="", **elements)
    del image.AnatomicRegionSequence
    return image


def test_a_film_without_a_body_part_waits_unless_the_site_lets_its_pixels_decide(site: Site) -> None:
    held = nameless(1)
    site.send(held)
    assert site.work() == "held"
    assert site.standing(held) == ("in flight", "body-part-unknown")
    site.configure(unknown_body_part="pixels")
    site.send(nameless(2))
    assert site.work() == "drafted"
    assert "body part not in the header; the pixels raised no doubt" in as_text(site.draft())


def test_a_film_without_a_body_part_is_read_in_spite_of_no_doubt(site: Site) -> None:
    site.configure(unknown_body_part="pixels", doubts="note")
    doubted = turned(nameless(1))
    site.send(doubted)
    assert site.work() == "held"
    assert site.standing(doubted) == ("in flight", "looks-rotated")
    site.change(doubted, worklist.confirm)
    assert site.work() == "drafted"
    text = as_text(site.draft())
    assert "body part not in the header" in text
    assert "the pixels raised no doubt" not in text


def test_a_film_whose_body_part_is_named_goes_first(site: Site) -> None:
    site.configure(unknown_body_part="pixels", doubts="note")
    first = turned(nameless(1))
    named = turned(film(2, StudyInstanceUID=first.StudyInstanceUID, SeriesInstanceUID=first.SeriesInstanceUID))
    site.send(first)
    site.send(named)
    assert site.work() == "drafted"
    assert read_images(site.draft()) == [named.SOPInstanceUID]


def test_a_child_without_any_date_of_its_film_is_known_by_the_day_it_came(site: Site) -> None:
    child = film(1, PatientAge="", PatientBirthDate=f"{NOW.year - 5}0101")
    for keyword in ("StudyDate", "AcquisitionDate", "SeriesDate", "ContentDate"):
        setattr(child, keyword, "")
    site.send(child)
    assert site.work() == "excluded: child"


def read_images(draft: Dataset) -> list[str]:
    return [
        reference.ReferencedSOPInstanceUID
        for study in draft.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    ]
