"""Reconciliation: every night, and when somebody asks, the PACS's chest films of a day are held against our books."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import structlog

from agent.config import Config
from agent.imaging.gate import is_elsewhere
from dicom_node import destinations, reconcile
from dicom_node.aet import typed
from dicom_node.commitment_tables import Gap, Reconciliation
from dicom_node.database import Database, clock
from dicom_node.errors import NotFound, SendFailure
from dicom_node.fetching import have_given
from dicom_node.peer import Address, address_of
from dicom_node.reconcile import Found, Search, Unreadable
from dicom_node.reconcile_web import searching_web
from dicom_node.storage import Storage
from dicom_node.tables import Retrieve, Way
from dicom_node.transports import Destination
from dicom_node.worklist import gaps, known
from dicom_node.worklist.pauses import What, is_paused

log = structlog.get_logger("reconcile")

_AGAIN = timedelta(minutes=15)  # after a night on which the PACS could not be asked
_PATIENCE = timedelta(hours=12)  # ... until it is another day's work


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What became of one study that a peer was told to send. error: empty where it is here now or on its way."""

    study_instance_uid: str
    objects: int
    is_here: bool
    error: str = ""


class Reconciler:
    """Asks the peers that the configuration names, or any one that is registered."""

    def __init__(self, config: Config, database: Database) -> None:
        self._config = config
        self._database = database

    def step(self) -> bool:
        """What `dispatch` does now and then: last night's comparison, once it is due. False: nothing more is due."""
        if not self._config.node.reconcile_at:
            return False
        with self._database.read() as tx:
            now = clock(tx)
            due = next(
                ((peer, day) for peer in self._config.node.reconcile_peers if (day := self._due(peer, now))), None
            )
        if due is None:
            return False
        peer, day = due
        self.close_gone()
        self.attempt(peer, day, actor="dispatch")
        return True

    def attempt(self, peer: str, day: date, *, actor: str) -> Reconciliation:
        """As `compare`, for a name in the configuration: that nobody has it is booked, and keeps no other waiting."""
        try:
            return self.compare(peer, day, actor=actor)
        except NotFound as error:
            return self._book_trouble(peer, day, str(error), actor)

    def compare(self, peer: str, day: date, *, actor: str) -> Reconciliation:
        """Ask one peer about one day, and book what is missing; the row says so, or why it could not be asked.

        A peer that answers is asked again about the gaps of other days.
        Raises NotFound where nobody is registered under this name.
        """
        to = self._find(peer)
        try:
            with searching(self._config, to) as search:
                told = reconcile.chest_films(search, day, is_elsewhere=is_elsewhere)
        except SendFailure as failure:
            return self._book_trouble(peer, day, str(failure), actor)
        known.named(self._database, peer, [one.study_instance_uid for one in told.found])
        with self._database.write() as tx:
            row = gaps.record(tx, peer, day, told, now=clock(tx), actor=actor)
        tell = log.warning if row.missing else log.info
        tell("reconciled", peer=peer, day=row.day, found=row.found, missing=row.missing)
        if row.trouble:
            log.error("reconciled_in_part", peer=peer, day=row.day, explanation=row.trouble)
        self.test_again(peer, besides=day)
        return row

    def test_again(self, peer: str, *, besides: date | None = None) -> int:
        """Close the open gaps of a peer whose films came meanwhile, or that it has no more; how many.

        The peer is asked again: only it knows of which series a study is made. Raises NotFound.
        """
        with self._database.read() as tx:
            waiting = [
                gap for gap in gaps.open_gaps(tx, peer=peer) if besides is None or gap.day != besides.isoformat()
            ]
        if not waiting:
            return 0
        told: list[tuple[int, Found]] = []
        try:
            with searching(self._config, self._find(peer)) as search:
                for gap in waiting:
                    uid = gap.study_instance_uid
                    try:
                        told.append((gap.id, Found(uid, reconcile.series_of(search, uid, is_elsewhere=is_elsewhere))))
                    except Unreadable as failure:  # it stays open; the others are asked about
                        log.warning("gap_not_tested", peer=peer, study_instance_uid=uid, explanation=str(failure))
        except SendFailure as failure:
            log.warning("gaps_not_tested", peer=peer, explanation=str(failure))
        with self._database.write() as tx:
            now = clock(tx)
            closed = sum(gaps.close_if_here(tx, gap_id, found, now) for gap_id, found in told)
        log.info("gaps_tested", peer=peer, asked=len(told), closed=closed)
        return closed

    def close_gone(self) -> tuple[str, ...]:
        """Close the gaps of peers that are registered no more, of which nobody can be asked; whose they were."""
        with self._database.write() as tx:
            names = sorted({gap.peer for gap in gaps.open_gaps(tx)})
            gone = {name: 0 for name in names if not _can_be_asked(destinations.find(tx, name))}
            for name in gone:
                gone[name] = gaps.close_all(tx, name, clock(tx), why=f"{name} is registered no more")
        for name, closed in gone.items():
            log.warning("gaps_closed", peer=name, closed=closed, explanation="the peer is registered no more")
        return tuple(gone)

    def retrieve(self, gap: Gap) -> Retrieval:
        """Have a peer send us what is missing, or give it, as it is registered. Raises NotFound."""
        to = self._find(gap.peer)
        uid = gap.study_instance_uid
        try:
            if to.way is not Way.DIMSE:
                raise SendFailure(f"{to.name} cannot be told to send: name the PACS as an AE title (wetread ae add)")
            address = address_of(to, self._config.node)
            with reconcile.searching(address) as search:
                found = Found(uid, reconcile.series_of(search, uid, is_elsewhere=is_elsewhere))
            objects = self._bring(to, address, found)
        except SendFailure as failure:
            with self._database.write() as tx:
                gaps.mark_asked(tx, gap.id, clock(tx), error=str(failure))
            log.error("not_retrieved", peer=gap.peer, study_instance_uid=uid, explanation=str(failure))
            return Retrieval(uid, 0, is_here=False, error=str(failure))
        with self._database.write() as tx:
            now = clock(tx)
            gaps.mark_asked(tx, gap.id, now)
            is_here = gaps.close_if_here(tx, gap.id, found, now)
        log.info("retrieved", peer=gap.peer, study_instance_uid=uid, objects=objects, is_here=is_here)
        return Retrieval(uid, objects, is_here)

    def _bring(self, to: Destination, address: Address, found: Found) -> int:
        """C-MOVE to our port, or C-GET into our store; how many objects came. Raises SendFailure."""
        uid, node = found.study_instance_uid, self._config.node
        if to.retrieve is Retrieve.MOVE:
            return reconcile.have_sent(address, uid, found.series, to=address.own_ae_title)
        with self._database.read() as tx:
            if is_paused(tx, What.RECEIVE, to.name):
                raise SendFailure(f"a person paused receiving from {to.name}; how to go on stands in: wetread queue")
        storage = Storage(node, self._database)
        return have_given(address, uid, found.series, storage, maximum_pdu_size=node.maximum_pdu_size)

    def yesterday(self) -> date:
        """In the time zone of the site."""
        with self._database.read() as tx:
            return self._here(clock(tx)).date() - timedelta(days=1)

    def _book_trouble(self, peer: str, day: date, trouble: str, actor: str) -> Reconciliation:
        with self._database.write() as tx:
            row = gaps.record_trouble(tx, peer, day, trouble=trouble, now=clock(tx), actor=actor)
        log.error("not_reconciled", peer=peer, day=row.day, explanation=trouble)
        return row

    def _due(self, peer: str, now: datetime) -> date | None:
        here = self._here(now)
        at = datetime.combine(here.date(), time.fromisoformat(self._config.node.reconcile_at), here.tzinfo)
        day = here.date() - timedelta(days=1)
        if not at <= here < at + _PATIENCE:
            return None
        with self._database.read() as tx:
            last = gaps.newest(tx, peer, day)
        if last is None or last.asked_at < at or (last.trouble and now - last.asked_at >= _AGAIN):
            return day
        return None

    def _here(self, now: datetime) -> datetime:
        return now.astimezone(ZoneInfo(self._config.reports.time_zone))

    def _find(self, peer: str) -> Destination:
        with self._database.read() as tx:
            to = destinations.find(tx, peer)
        if to is None or not _can_be_asked(to):
            raise NotFound(f"{peer!r} cannot be asked; see wetread ae list and wetread destination list")
        return to


def _can_be_asked(to: Destination | None) -> bool:
    return to is not None and to.way in {Way.DIMSE, Way.STOW}


@contextmanager
def searching(config: Config, to: Destination, *, seconds: float | None = None) -> Iterator[Search]:
    """C-FIND or QIDO-RS, whichever it speaks. seconds: the longest that somebody waits. Raises SendFailure."""
    if to.way is Way.STOW:
        usual = config.node.dimse_timeout_seconds
        with searching_web(
            to, config.delivery.credentials, seconds=usual if seconds is None else min(usual, seconds)
        ) as search:
            yield search
        return
    if not to.host:
        raise SendFailure(f"{to.name} has no address: wetread ae edit {typed(to.name)} --address HOST:PORT")
    with reconcile.searching(address_of(to, config.node, seconds=seconds)) as search:
        yield search
