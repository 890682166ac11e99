"""A worklist on a real database with a clock that tests move by hand; one transaction for each thing that happens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node import books, worklist
from dicom_node.database import Database
from dicom_node.headers import Header
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import (
    AuditRow,
    Book,
    Delivery,
    Mode,
    Outcome,
    Proof,
    RemoteAE,
    Revision,
    Study,
    Workitem,
)
from dicom_node.worklist import Arrival, Claim, Consignment, Ending, Outgoing

DX = "1.2.840.10008.5.1.4.1.1.1.1"
KEY_OBJECT = "1.2.840.10008.5.1.4.1.1.88.59"
SR = "1.2.840.10008.5.1.4.1.1.88.11"
STUDY = "1.2.826.0.1.3680043.10.1.1"
LEASE = timedelta(seconds=60)
DEVICE = "2.25.4711"

T = TypeVar("T")


def header(
    *,
    study: str = STUDY,
    instance: str = "1.2.3.1",
    sop_class: str = DX,
    patient: str = "P1",
    issuer: str = "",
    device: str = "",
) -> Header:
    """A header as `read_header` gives it."""
    return Header(sop_class, instance, study, f"{study}.9", patient, issuer, "A1", device)


class Desk:
    """What listen, dispatch, work and send do to the worklist."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = datetime(2026, 11, 22, 8, tzinfo=UTC)
        self._tokens = 0

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def do(self, change: Callable[[Session], T]) -> T:
        with self.database.write() as tx:
            return change(tx)

    def ask(self, question: Callable[[Session], T]) -> T:
        with self.database.read() as tx:
            return question(tx)

    # --- listen ---------------------------------------------------------------------------------------------------

    def receive(self, head: Header | None = None, *, content: str = "pixels", caller: str = "PACS") -> Outcome:
        head = head or header()
        digest = hashlib.sha256(f"{head.sop_instance_uid} {content}".encode()).hexdigest()
        arrival = Arrival(head, "1.2.840.10008.1.2.1", digest, 1000, caller)
        return self.do(lambda tx: worklist.record_instance(tx, arrival, self.now))

    # --- dispatch -------------------------------------------------------------------------------------------------

    def complete(self) -> int:
        swept = self.sweep()
        assert swept.failed == ()
        return swept.done

    def sweep(self) -> worklist.Swept:
        self.wait(61)
        return self.do(
            lambda tx: worklist.complete_studies(
                tx, self.now, quiet=timedelta(seconds=60), deadline=timedelta(seconds=900), most=20_000
            )
        )

    def take_back(self, attempts: int = 3, wait: float = 30, *, dead: Sequence[str] = ()) -> int:
        gap = timedelta(seconds=wait)
        return self.do(
            lambda tx: worklist.release_lost(
                tx, self.now, is_dead=lambda owner: owner in dead, attempts=attempts, wait=gap
            )
        ).done

    # --- work -----------------------------------------------------------------------------------------------------

    def claim(self, worker: str = "w1") -> Claim | None:
        token = self._token()
        return self.do(lambda tx: worklist.claim(tx, worker=worker, token=token, lease=LEASE, now=self.now))

    def must_claim(self, worker: str = "w1") -> Claim:
        held = self.claim(worker)
        assert held is not None, "nothing to claim"
        return held

    def renew(self, held: Claim) -> None:
        self.do(lambda tx: worklist.renew(tx, held, lease=LEASE, now=self.now))

    def finish(
        self,
        held: Claim,
        destinations: Sequence[str] = ("PACS",),
        *,
        kinds: Sequence[Kind] = (Kind.BASIC_TEXT,),
        stage: Stage = Stage.DRAFT,
        ending: Ending = Ending(Book.DEAD_LETTERED, "no-destination", "nobody to send to"),  # noqa: B008  frozen
    ) -> list[str]:
        """Returns the SOP Instance UIDs of what was queued."""
        uids = [f"2.25.9{held.workitem_id}{held.revision}{place}" for place, _ in enumerate(kinds, 1)]
        outgoing = [
            Outgoing(title, kind, stage, SR, uid, DEVICE, hashlib.sha256(uid.encode()).hexdigest())
            for title in destinations
            for kind, uid in zip(kinds, uids, strict=True)
        ]
        self.do(lambda tx: worklist.finish(tx, held, outgoing, nothing_leaves=ending, now=self.now))
        return uids

    def fail(self, held: Claim, *, attempts: int = 3, wait: float = 30) -> None:
        self.do(
            lambda tx: worklist.fail(
                tx,
                held,
                reason="reading-failed",
                explanation="it broke",
                attempts=attempts,
                wait=timedelta(seconds=wait),
                now=self.now,
            )
        )

    def draft(self, head: Header | None = None, destinations: Sequence[str] = ("PACS",)) -> list[str]:
        """A study from arrival to a queued draft."""
        self.receive(head)
        self.complete()
        return self.finish(self.must_claim(), destinations)

    # --- send -----------------------------------------------------------------------------------------------------

    def peer(self, title: str = "PACS", *, proof: Proof = Proof.QUERY) -> None:
        entity = RemoteAE(
            ae_title=title, host="127.0.0.1", port=104, may_send=True, send_to=True, mode=Mode.DRAFT, proof=proof
        )
        self.do(lambda tx: tx.add(entity))

    def take(self) -> Consignment | None:
        token = self._token()
        return self.do(lambda tx: worklist.claim_delivery(tx, sender="s1", token=token, lease=LEASE, now=self.now))

    def must_take(self) -> Consignment:
        held = self.take()
        assert held is not None, "nothing to deliver"
        return held

    def sent(self, held: Consignment) -> None:
        self.do(lambda tx: worklist.mark_sent(tx, held, self.now))

    def proven(self, held: Consignment) -> None:
        self.do(lambda tx: worklist.mark_committed(tx, held, self.now))

    def missing(self, held: Consignment) -> None:
        self.do(lambda tx: worklist.mark_missing(tx, held, self.now))

    def retry(
        self, held: Consignment, wait: float = 30, *, in_doubt: bool = False, others_wait: float | None = None
    ) -> None:
        gap = timedelta(seconds=wait)
        rest = None if others_wait is None else timedelta(seconds=others_wait)
        self.do(
            lambda tx: worklist.mark_retry(
                tx, held, error="busy", wait=gap, now=self.now, in_doubt=in_doubt, others_wait=rest
            )
        )

    def failed(self, held: Consignment, error: str = "refused") -> None:
        self.do(lambda tx: worklist.mark_failed(tx, held, error=error, now=self.now))

    # --- a person -------------------------------------------------------------------------------------------------

    def confirm(self) -> None:
        self.do(lambda tx: worklist.confirm(tx, self._study(tx), self.now, actor="person:a"))

    def requeue(self, study: str = STUDY) -> str:
        return self.do(lambda tx: worklist.requeue(tx, self._study(tx, study), self.now, actor="person:a"))

    def release(self, study: str = STUDY) -> str:
        return self.do(lambda tx: worklist.release_study(tx, self._study(tx, study), self.now, actor="person:a"))

    def set_aside(self) -> None:
        self.do(lambda tx: worklist.set_aside(tx, self._study(tx), explanation="a hand", now=self.now, actor="p"))

    # --- questions ------------------------------------------------------------------------------------------------

    def study(self, uid: str = STUDY) -> Study:
        return self.ask(lambda tx: self._study(tx, uid))

    def revision(self, number: int = 1, study: str = STUDY) -> Revision:
        return self.ask(
            lambda tx: tx.scalars(
                select(Revision).join(Study).where(Study.study_instance_uid == study, Revision.number == number)
            ).one()
        )

    def workitem(self, revision: int = 1, study: str = STUDY) -> Workitem:
        of_revision = self.revision(revision, study).id
        return self.ask(lambda tx: tx.scalars(select(Workitem).where(Workitem.revision_id == of_revision)).one())

    def deliveries(self) -> Sequence[Delivery]:
        return self.ask(lambda tx: tx.scalars(select(Delivery).order_by(Delivery.id)).all())

    def events(self) -> list[str]:
        return self.ask(lambda tx: list(tx.scalars(select(AuditRow.event).order_by(AuditRow.id))))

    def problems(self) -> tuple[str, ...]:
        return self.ask(lambda tx: books.balance(tx).problems)

    def _study(self, tx: Session, uid: str = STUDY) -> Study:
        return tx.scalars(select(Study).where(Study.study_instance_uid == uid)).one()

    def _token(self) -> str:
        self._tokens += 1
        return f"{self._tokens:032d}"
