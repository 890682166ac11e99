"""A signed report in a real PACS beside its draft; and what validators say of all that sign-off sends."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import update

from agent.leaving import agrees_with_the_books
from dicom_node.database import Database
from dicom_node.dimse import DimseTransport
from dicom_node.files import read_document
from dicom_node.kinds import Kind, Stage
from dicom_node.sender import Sender
from dicom_node.tables import Book, Delivery, DeliveryState, RemoteAE, Way
from reports.signoff.reasons import Reason
from tests.harness import dcmtk
from tests.harness.node import free_port
from tests.harness.orthanc import TITLE, Orthanc
from tests.unit.agent.desk_of_readers import CARL, RITA, TOM, add, ready, service, sign
from tests.unit.agent.ward import Ward, as_file, now
from tests.unit.reports import films
from tests.validators import content_findings, iod_findings, template_findings


@pytest.fixture
def ward(sqlite_url: str, tmp_path: Path) -> Iterator[Ward]:
    database = Database(sqlite_url)
    at_work = Ward(tmp_path, database)
    yield at_work
    assert at_work.problems() == ()
    database.close()


def send(ward: Ward) -> None:
    """Everything that is due, over the network, with the sender's own last look."""
    sender = Sender(
        ward.desk.config.node,
        ward.database,
        {Way.DIMSE: DimseTransport("WETREAD", connect_seconds=30, answer_seconds=60)},
        partial(agrees_with_the_books, patient_systems={}),
        partial(secrets.token_hex, 16),
    )
    while sender.deliver_one():
        ward.do(lambda tx: tx.execute(update(Delivery).values(next_attempt_at=now() - timedelta(seconds=1))))


def test_a_signed_report_is_verified_in_the_pacs_and_replaces_the_draft(ward: Ward, tmp_path: Path) -> None:
    with Orthanc(tmp_path / "pacs", wetread_port=free_port(), routes=False) as pacs:
        ward.peer(TITLE, Kind.BASIC_TEXT, Kind.TID1500, Kind.KOS)
        ward.do(lambda tx: tx.execute(update(RemoteAE).values(port=pacs.port, identity_check=True)))
        image = films.film()
        path = tmp_path / "film.dcm"
        path.write_bytes(as_file(image))
        assert dcmtk.store(pacs.port, path, calling="DX1", called=TITLE, options=("-R",)).returncode == 0
        ward.receive(image)
        draft = ward.draft()
        send(ward)

        signed = sign(ward)
        send(ward)
        addendum = add(ward, CARL, "No change.", now() + timedelta(minutes=1))
        send(ward)

        there = {one["SOPInstanceUID"]: one for one in pacs.instances("SR")}
        assert there[draft.sop_instance_uid]["VerificationFlag"] == "UNVERIFIED"
        for done in (signed, addendum):
            assert there[done.sop_instance_uid]["VerificationFlag"] == "VERIFIED"
            assert there[done.sop_instance_uid]["CompletionFlag"] == "COMPLETE"
        assert len({one["SeriesInstanceUID"] for one in there.values()}) == 4, "draft, final, and their codes"
        assert len(pacs.ask("/studies")) == len(pacs.ask("/patients")) == 1
    assert {one.proven_by for one in ward.deliveries()} == {"query"}
    assert service(ward).in_pacs(signed.study_id) == {TITLE: DeliveryState.COMMITTED}
    assert ward.revision().book is Book.DELIVERED


def test_no_validator_finds_an_error_in_what_sign_off_sends(ward: Ward, tmp_path: Path) -> None:
    ward.peer("PACS", Kind.BASIC_TEXT, Kind.TID1500, Kind.KOS)
    ward.study_with_draft()
    ward.deliver()
    first = sign(ward, TOM)
    opened = ready(ward)
    service(ward).cosign(first.report_id, RITA, opened.text, opened.version, now() + timedelta(seconds=2))
    ward.deliver()
    add(ward, CARL, "Compared with the CT.", now() + timedelta(minutes=1))
    ward.deliver()
    service(ward).withdraw(first.study_id, CARL, "Another patient's film.", now(), for_safety=True)
    ward.recaller.step()
    ward.deliver()
    other = f"{films.STUDY}.5"
    ward.receive(films.film(StudyInstanceUID=other, SOPInstanceUID=f"{other}.1", SeriesInstanceUID=f"{other}.2"))
    rejected = ward.draft()
    ward.deliver()
    service(ward).reject(rejected.id, RITA, Reason.WRONG_FINDING, "", now())
    ward.recaller.step()
    ward.deliver()

    sent = [one for one in ward.deliveries() if one.stage is not Stage.DRAFT]
    assert [(one.kind, one.stage) for one in sent] == [
        (Kind.BASIC_TEXT, Stage.SIGNED),
        (Kind.TID1500, Stage.SIGNED),
        (Kind.BASIC_TEXT, Stage.ADDENDUM),
        (Kind.TID1500, Stage.ADDENDUM),
        (Kind.KOS, Stage.WITHDRAWAL),
        (Kind.KOS, Stage.REJECTION),
    ]
    store = ward.desk.config.node.store_folder
    files = []
    for number, one in enumerate(sent):
        files.append(tmp_path / f"{number}-{one.kind}-{one.stage}.dcm")
        files[-1].write_bytes(read_document(store, one.digest))
    templates = template_findings(files)
    found = {path.name: iod_findings(path) + content_findings(path) + templates[path] for path in files}
    assert {name: findings for name, findings in found.items() if findings} == {}
