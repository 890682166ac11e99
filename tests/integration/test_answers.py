"""Every answer to our C-STORE, as the manual tells it; and a PACS that was away for hours is not stormed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pynetdicom import AE, evt
from sqlalchemy import select, update

from dicom_node import books, sender, worklist
from dicom_node.database import Database
from dicom_node.files import write_document
from dicom_node.headers import Header
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import AuditRow, Book, Delivery, DeliveryState, Proof, RemoteAE
from dicom_node.worklist import Arrival, Ending, Outgoing
from tests.harness import dcmtk
from tests.harness.node import free_port
from tests.harness.outbox import SR, Outbox, document, encoded
from tests.harness.parcels import object_of

PAGE = Path(__file__).parents[2] / "deploy" / "docs" / "pacs.md"
BEGIN, END = "<!-- run by the test of answers -->", "<!-- end of the answers -->"
STATES = {"sent": DeliveryState.SENT, "queued": DeliveryState.QUEUED, "failed": DeliveryState.FAILED}


def rows() -> Iterator[tuple[int, str]]:
    """Statuses of the manual with what it says of them; a range by its ends and one between."""
    table = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    for line in table.strip().splitlines()[2:]:
        answers, _, state = (cell.strip() for cell in line.strip("|").split("|"))
        for answer in answers.split(", "):
            assert re.fullmatch(r"[0-9A-F]+x*", answer), answer
            digits = {answer.replace("x", digit) for digit in ("0", "7", "F")}
            yield from ((int(one, 16), state) for one in sorted(digits))


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    opened = Database(sqlite_url, busy_seconds=10)
    yield opened
    opened.close()


class Answering:
    """A Storage SCP that answers as it is told, and counts associations and objects."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.status = 0x0000
        self.stored: list[str] = []
        self.open = self.most = self.associations = 0

    def __enter__(self) -> Answering:
        entity = AE(ae_title="PACS")
        for sop_class in (SR, "1.2.840.10008.5.1.4.1.1.88.59"):
            entity.add_supported_context(sop_class)
        handlers = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_ACCEPTED, self._accepted),
            (evt.EVT_CONN_CLOSE, self._closed),
        ]
        self._server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def _store(self, event: evt.Event) -> int:
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return self.status

    def _accepted(self, _event: evt.Event) -> None:
        self.open += 1
        self.associations += 1
        self.most = max(self.most, self.open)

    def _closed(self, _event: evt.Event) -> None:
        self.open -= 1


def test_the_manual_tells_of_every_class_of_answers() -> None:
    told = dict(rows())
    assert {0x0000, 0x0111, 0xA700, 0xA7FF, 0xA900, 0xB000, 0xB777, 0xC000, 0xCFFF, 0x0122} <= set(told)
    assert set(told.values()) == set(STATES)


def test_every_answer_has_the_consequence_that_the_manual_tells(database: Database, tmp_path: Path) -> None:
    """One association and one delivery for all: it is put back after each answer."""
    found = {}
    with Answering(free_port()) as peer:
        box = Outbox(database, tmp_path / "data", port=peer.port)
        for status, _ in rows():
            peer.status = status
            delivery = box.step()
            found[status] = delivery.state.name.lower()
            if delivery.state is not DeliveryState.SENT:
                assert f"0x{status:04X}" in delivery.last_error
            if delivery.state is DeliveryState.QUEUED:
                assert box.pause() == 30, f"0x{status:04X} waits as the first failure does"
                assert not box.sender.deliver_one()
            put_back(database)
        box.transport.close()
    assert found == dict(rows())
    assert len(peer.stored) == len(found)


def put_back(database: Database) -> None:
    """As if nothing had happened to the delivery yet."""
    with database.write() as tx:
        past = datetime.now(UTC) - timedelta(seconds=1)
        tx.execute(
            update(Delivery).values(
                state=DeliveryState.QUEUED, attempts=0, next_attempt_at=past, sent_at=None, reason="", last_error=""
            )
        )


@pytest.mark.parametrize(
    ("options", "state", "in_doubt"),
    [
        (["--refuse"], "queued", False),
        (["--reject"], "sent", True),
        (["--abort-during"], "queued", True),
        (["--abort-after"], "queued", True),
        (["--sleep-during", "60"], "queued", True),
        (["--ignore"], "sent", True),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_storescp_with_faults_leaves_the_delivery_as_the_manual_tells(
    database: Database, tmp_path: Path, options: list[str], state: str, in_doubt: bool
) -> None:
    patience = 3 if "60" in options else 60
    with dcmtk.receiver(tmp_path / "pacs", *options) as port:
        box = Outbox(database, tmp_path / "data", port=port, answer_seconds=patience)
        delivery = box.step()
        box.transport.close()
    assert (delivery.state, delivery.sent_at is not None) == (STATES[state], in_doubt)
    assert f"`{options[0]}`" in PAGE.read_text(encoding="utf-8")


# --- away for hours ---------------------------------------------------------------------------------------------------


def fill(database: Database, box: Outbox, number: int, now: datetime) -> None:
    """So many studies with a draft each, for the same peer."""
    for place in range(number):
        draft = object_of(Kind.KOS, place + 1)
        digest = write_document(box.config.store_folder, encoded(draft))
        head = Header("1.2.840.10008.5.1.4.1.1.1.1", f"1.2.9.{place}.1", f"1.2.9.{place}", "1.2.3", "P1", "", "", "")
        with database.write() as tx:
            worklist.record_instance(tx, Arrival(head, "1.2.840.10008.1.2.1", f"{place:064d}", 1, "PACS"), now)
            worklist.complete_studies(tx, now, quiet=timedelta(), deadline=timedelta())
            held = worklist.claim(tx, worker="w", token="t", lease=timedelta(minutes=1), now=now)
            assert held is not None
            outgoing = Outgoing("PACS", Kind.KOS, Stage.DRAFT, draft.SOPClassUID, draft.SOPInstanceUID, "", digest)
            worklist.finish(tx, held, [outgoing], nothing_leaves=Ending(Book.CLOSED), now=now)


def test_peer_that_is_away_for_hours_loses_nothing_and_is_not_stormed_when_it_returns(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies, port, began = 12, free_port(), datetime.now(UTC)
    now = [began]
    monkeypatch.setattr(sender, "clock", lambda _tx: now[0])
    box = Outbox(database, tmp_path / "data", port=port, proof=Proof.ACKNOWLEDGEMENT, waits=(30, 60, 120, 300, 900))
    fill(database, box, studies - 1, began)
    hours = 5
    attempts = 0
    while now[0] < began + timedelta(hours=hours):
        while box.sender.deliver_one():
            attempts += 1
        now[0] += timedelta(seconds=300)
    with database.read() as tx:
        assert set(tx.scalars(select(Delivery.state))) == {DeliveryState.QUEUED}, "nothing was given up"
        failed = select(AuditRow).where(AuditRow.event == "delivery-attempt-failed")
        assert len(tx.scalars(failed).all()) == attempts
    assert attempts <= hours * 12 + 3, "one at a time, and not each of the twelve"
    with Answering(port) as peer:
        box.transport.close()
        deadline = now[0] + timedelta(minutes=20)
        while now[0] < deadline and len(peer.stored) < studies:
            while box.sender.deliver_one():
                pass
            now[0] += timedelta(seconds=30)
        box.transport.close()
    assert sorted(peer.stored) == sorted({*peer.stored}), "each once"
    assert len(peer.stored) == studies
    assert peer.most <= 2
    with database.read() as tx:
        assert set(tx.scalars(select(Delivery.state))) == {DeliveryState.COMMITTED}
        assert tx.scalar(select(RemoteAE.ae_title)) == "PACS"
        assert books.balance(tx).problems == ()
    assert document().SOPInstanceUID in peer.stored
